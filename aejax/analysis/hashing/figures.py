"""The figures of ``hashing``: its scores beside those of the classic hashes, and queries with what they retrieve."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from aejax.analysis import figure
from aejax.analysis.views import viewable

STYLES = {
    "code": {"color": figure.BLUE, "linewidth": 2.2, "linestyle": "-", "marker": "o"},
    "PCA-sign": {"color": figure.ORANGE, "linewidth": 1.3, "linestyle": "-", "marker": "s"},
    "ITQ": {"color": figure.VERMILLION, "linewidth": 1.3, "linestyle": "-", "marker": "^"},
    "LSH": {"color": figure.GREEN, "linewidth": 1.3, "linestyle": "-", "marker": "D"},
    "inputs": {"color": figure.BLACK, "linewidth": 1.0, "linestyle": "--", "marker": ""},
    "chance": {"color": figure.GREY, "linewidth": 1.0, "linestyle": ":", "marker": ""},
}
LABELS = {"code": "this code", "inputs": "inputs, Euclidean"}


def _line(axes: Axes, name: str, x: Sequence, y: Sequence, every: int = 1, **other) -> None:
    style = {**STYLES[name], "label": LABELS.get(name, name), "markersize": 3.5, "markevery": every, **other}
    axes.plot(x, y, **style)


def draw(numbers: Mapping, title: str) -> Figure:
    """Precision, mAP, balance and purity; of data without labels, balance and the codes' entropy.

    Args:
      numbers: as ``hashing.analyse`` writes them.
      title: what it is.
    """
    panels = (draw_precision, draw_map, draw_balance, draw_purity)
    panels = (draw_balance, draw_entropy) if numbers["unlabelled"] else panels
    picture = figure.new(figure.PAGE, 0.9 + 2.5 * len(panels) // 2)
    axes = picture.subplots(len(panels) // 2, 2, squeeze=False)
    for ax, panel in zip(axes.ravel(), panels, strict=True):
        panel(ax, numbers)
        figure.tidy(ax)
        ax.tick_params(labelsize=7)
    handles = {}
    for ax in axes.ravel():
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    picture.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles), fontsize=7, frameon=False
    )
    figure.set_title(picture, title)
    return picture


def draw_precision(axes: Axes, numbers: Mapping) -> None:
    """Precision of the first k, against k."""
    k = numbers["curves"]["k"]
    for name in STYLES:
        _line(axes, name, k, numbers["curves"][name], every=max(1, len(k) // 8))
    axes.set(xscale="log", ylim=(0, None))
    axes.set_xlabel("k, how many are retrieved", fontsize=8)
    axes.set_ylabel("share of the query's class", fontsize=8)
    axes.set_title("Precision at k", fontsize=9)


def draw_map(axes: Axes, numbers: Mapping) -> None:
    """Bars of mAP with two standard errors over queries; lines at that of the inputs and of chance."""
    codes = numbers["codes"]
    for x, (name, scores) in enumerate(codes.items()):
        found = scores["retrieval"]
        bar = {"color": STYLES[name]["color"], "width": 0.65, "capsize": 3, "error_kw": {"linewidth": 0.9}}
        axes.bar(x, found["mean_average_precision"], yerr=2 * found["standard_error"], **bar)
    for name in ("inputs", "chance"):
        style = {key: STYLES[name][key] for key in ("color", "linewidth", "linestyle")}
        axes.axhline(numbers[name]["mean_average_precision"], **style)
    values = [f"{LABELS.get(name, name)}\n{s['retrieval']['mean_average_precision']:.3f}" for name, s in codes.items()]
    axes.set_xticks(range(len(codes)), values)
    depth = f" among the first {numbers['top']:,}" if numbers["top"] else ""
    axes.set_ylabel(f"mAP{depth} ± 2 standard errors", fontsize=8)
    axes.set_title(f"Mean average precision, {numbers['examples']['queries']:,} queries", fontsize=9)


def draw_balance(axes: Axes, numbers: Mapping) -> None:
    """The share of test examples for which each bit is on, in ascending order."""
    for name, scores in numbers["codes"].items():
        share = np.sort(np.asarray(scores["test"]["share_of_ones"]))
        at = 100 * (np.arange(len(share)) + 0.5) / len(share)
        _line(axes, name, at, share, every=max(1, len(share) // 12))
    axes.axhline(0.5, color=figure.GREY, linewidth=0.8, linestyle=":")
    axes.set(xlim=(0, 100), ylim=(-0.03, 1.03))
    axes.set_xlabel("bits in ascending order, %", fontsize=8)
    axes.set_ylabel(f"on for this share of test {numbers['noun']}s", fontsize=8)
    dead = numbers["codes"]["code"]["test"]["dead_bits"]
    axes.set_title(f"Bit balance ({dead or 'no'} dead bit{'s' * (dead != 1)} in this code)", fontsize=9)


def draw_purity(axes: Axes, numbers: Mapping) -> None:
    """Purity of Hamming balls against their radius; dotted: each one's chance level; hollow: few are not empty."""
    for name, scores in numbers["codes"].items():
        radius = [ball["radius"] for ball in scores["balls"]]
        purity, chance = ([_number(ball[key]) for ball in scores["balls"]] for key in ("purity", "chance"))
        _line(axes, name, radius, purity, marker="")
        _line(axes, name, radius, chance, linewidth=0.9, linestyle=":", marker="", label=None)
        style = {"color": STYLES[name]["color"], "marker": STYLES[name]["marker"], "s": 16, "zorder": 3}
        rare = [ball["empty_share"] > 0.9 for ball in scores["balls"]]
        faces = ["white" if hollow else style["color"] for hollow in rare]
        axes.scatter(radius, purity, **{**style, "color": None}, facecolors=faces, edgecolors=style["color"])
    for ball in numbers["codes"]["code"]["balls"]:
        place = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
        text, at = f"{100 * ball['empty_share']:.0f} %", (ball["radius"], 0)
        axes.annotate(text, at, (0, 3), **place, ha="center", fontsize=6.5, color=figure.BLUE)
    if all(ball["empty_share"] == 1 for scores in numbers["codes"].values() for ball in scores["balls"]):
        axes.text(0.5, 0.5, "all are alone", transform=axes.transAxes, ha="center", fontsize=8)
    axes.set(ylim=(-0.1, 1.03), xlim=(-0.3, radius[-1] + 0.3), xticks=radius)
    told = "Hamming radius, bits (above: share of this code's\nballs that are empty; hollow: over 90 % are)"
    axes.set_xlabel(told, fontsize=8)
    axes.set_ylabel("Gini purity (dotted: chance)", fontsize=8)
    axes.set_title(f"Purity around a test {numbers['noun']}, itself left out", fontsize=9)


def draw_entropy(axes: Axes, numbers: Mapping) -> None:
    """Bars of the entropy of the codes, and how high they could be."""
    codes = numbers["codes"]
    for x, (name, scores) in enumerate(codes.items()):
        value, most = (scores["test"][key] for key in ("code_entropy_bits", "most_code_entropy_bits"))
        axes.bar(x, value, color=STYLES[name]["color"], width=0.65)
        axes.plot([x - 0.33, x + 0.33], [most, most], color=figure.BLACK, linewidth=1.2)
    values = [f"{LABELS.get(name, name)}\n{s['test']['code_entropy_bits']:.2f}" for name, s in codes.items()]
    axes.set_xticks(range(len(codes)), values)
    axes.set_ylabel("entropy, bits (line: the most)", fontsize=8)
    axes.set_title(f"Distribution of the codes of {scores['test']['examples']:,} test {numbers['noun']}s", fontsize=9)


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def draw_queries(
    pictures: np.ndarray, distances: np.ndarray, classes: Sequence[Sequence[str]] | None, title: str
) -> Figure:
    """A row a query: it, and what it retrieves, nearest first, with the distance beneath.

    What is of the query's class has a thin blue frame; what is not a thick vermillion one and a cross. Pictures are
    shown as ``viewable`` does.

    Args:
      pictures: [q, 1 + r, h, w, c], each query before the r that it retrieves.
      distances: [q, r].
      classes: [q][1 + r] names; None: no frames.
      title: what it is.
    """
    across = pictures.shape[1]
    tiles = figure.enlarged(viewable(pictures.reshape(-1, *pictures.shape[2:])))
    h, w = tiles.shape[1:3]
    gap = max(2, w // 6)
    pixel = (figure.PAGE - 0.8) / (across * (w + gap) + w // 2)  # inches
    lower = round(0.11 / pixel)
    canvas, corners = figure.mosaic(np.pad(tiles, ((0, 0), (0, lower), (0, 0), (0, 0)), constant_values=1), across, gap)
    apart = np.full((len(canvas), w // 2, 3), np.nan)  # between a query and what it retrieves
    canvas = np.nan_to_num(np.concatenate([canvas[:, : w + gap], apart, canvas[:, w + gap :]], axis=1), nan=1.0)
    corners = corners.reshape(-1, across, 2) + np.where(np.arange(across)[:, None] > 0, (0, w // 2), 0)
    picture = figure.new(figure.PAGE, pixel * len(canvas) + 0.35 + 0.17 * (1 + title.count("\n")))
    axes = picture.add_subplot()
    figure.show(axes, canvas, figure.PAGE)
    for (row, column), distance in np.ndenumerate(distances):
        top, left = corners[row, 1 + column]
        axes.text(left + (w - 1) / 2, top + h + 0.3 * gap, f"{distance}", ha="center", va="top", fontsize=6.5)
        if classes:
            _frame(axes, left, top, w, h, right=classes[row][1 + column] == classes[row][0])
    axes.set_yticks(corners[:, 0, 0] + h / 2, [c[0][:12] for c in classes] if classes else [""] * len(distances))
    axes.tick_params(length=0, labelsize=7)
    axes.set_xticks([(w - 1) / 2, corners[0, 1:, 1].mean() + w / 2], ["query", "retrieved, nearest first"], fontsize=7)
    axes.xaxis.tick_top()
    axes.set(xlim=(-gap, canvas.shape[1] - 0.5 + gap), ylim=(len(canvas) - 0.5, -gap))
    axes.spines[:].set_visible(False)
    frames = "; blue frame: of the query's class, thick and crossed: of another" if classes else ""
    figure.set_title(picture, title + frames)
    return picture


def _frame(axes: Axes, left: int, top: int, w: int, h: int, right: bool) -> None:
    """Around a picture: thin and blue where it is right; thick and vermillion, a cross in its corner, where not."""
    colour, width = (figure.BLUE, 0.9) if right else (figure.VERMILLION, 2.0)
    axes.add_patch(Rectangle((left - 1, top - 1), w + 1, h + 1, fill=False, edgecolor=colour, linewidth=width))
    if not right:
        white = [withStroke(linewidth=2.6, foreground="white")]
        style = {"marker": "x", "color": colour, "markersize": 4, "markeredgewidth": 1.4, "path_effects": white}
        axes.plot(left + 0.88 * w, top + 0.14 * h, **style)
