"""The picture of a comparison: what each run makes of the same images, of nothing, and of the way between two."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aejax.analysis import figure
from aejax.analysis.compare import scores
from aejax.analysis.compare.contestants import MEASURES, Contestant
from aejax.analysis.views import viewable

# A run has a colour and a place; beyond these many, colours come again.
COLOURS = (figure.BLUE, figure.ORANGE, figure.GREEN, figure.VERMILLION, figure.PURPLE, figure.SKY)
WORDS = {  # of the panels, narrow as they are
    "squared_error": "squared error\n← lower is better",
    "nearest_neighbour": "1-NN accuracy, %\nhigher is better →",
    "silhouette": "silhouette\nhigher is better →",
    "unevenness": "interpolation: longest\nover mean step, 1 is even",
}
MOST = 10  # runs that a page has room for
SOURCES = {True: "prior", False: "fitted"}

Rows = Sequence[tuple[str, np.ndarray]]  # label and pictures [n, H, W, 3] of each row


def columns(shape: Sequence[int]) -> int:
    """How many pictures of examples (h, w, c) go in a row: ten, fewer where they are wide."""
    h, w, _ = viewable(np.zeros((1, *shape), np.float32)).shape[1:]
    return max(4, min(10, round(15 * h / w)))


def blocks(runs: Sequence[Contestant], same_data: bool) -> dict[str, Rows]:
    """Title -> rows of pictures, a block each; runs without a decoder have none but their inputs."""
    decoders = [run for run in runs if run.decodes]
    view = lambda run, kind: viewable(run.pictures[kind], run.pictures["inputs"])  # noqa: E731
    if same_data:
        rows = [("input", view(runs[0], "inputs")), *((run.label, view(run, "outputs")) for run in decoders)]
    else:
        rows = []
        for run in runs:
            rows.append((f"{run.label}:\ninput", view(run, "inputs")))
            rows += [("output", view(run, "outputs"))] if run.decodes else []
    own = lambda run, kind: viewable(run.pictures[kind], _like(run, kind))  # noqa: E731
    found = {"Test images and their reconstructions": rows}
    if decoders:
        samples = [(f"{run.label}:\n{SOURCES[run.gaussian]}", own(run, "samples")) for run in decoders]
        found["Samples, of the prior or of a Gaussian fitted to the training codes"] = samples
        paths = [(run.label, own(run, "path")) for run in decoders]
        found["From the first test image to the last, evenly in code space"] = paths
    return found


def _like(run: Contestant, kind: str) -> np.ndarray:
    """The examples whose scale pictures that have no input of their own are shown at."""
    images = run.pictures["inputs"].shape[1] > 1
    return run.pictures["inputs"] if images else run.pictures[kind]


def draw(runs: Sequence[Contestant], same_data: bool, title: str, captions: Sequence[str]) -> Figure:
    """The blocks of pictures, one above the other, and a panel for each measure beneath.

    Args:
      runs: measured.
      same_data: whether the inputs are the same for all.
      title: what it is.
      captions: a short text for each column of the reconstructions.
    """
    every = {name: [(label, figure.enlarged(x)) for label, x in rows] for name, rows in blocks(runs, same_data).items()}
    tiles = next(iter(every.values()))[0][1]
    longest = max(len(line) for rows in every.values() for label, _ in rows for line in label.splitlines())
    wide = min(figure.PAGE - 0.25 - 0.062 * longest, 1.1 * tiles.shape[0])
    tall = [wide / tiles.shape[0] * tiles.shape[1] / tiles.shape[2] * len(rows) for rows in every.values()]
    measured = {key: kinds for key in MEASURES if (kinds := [run for run in runs if key in run.values])}
    panels = (0.65 + 0.2 * len(runs)) if measured else 0.0
    heights = [t + 0.32 + (0.14 if i == 0 and any(captions) else 0) for i, t in enumerate(tall)]
    page = figure.new(figure.PAGE, sum(heights) + panels + 0.3 + 0.17 * (1 + title.count("\n")))
    parts = page.subfigures(len(heights) + bool(measured), 1, height_ratios=[*heights, *([panels] if measured else [])])
    parts = np.atleast_1d(parts)
    for i, (name, rows) in enumerate(every.items()):
        _block(parts[i].add_subplot(), rows, name, wide, captions if i == 0 else ())
    if measured:
        axes = parts[-1].subplots(1, len(measured), sharey=True, squeeze=False)[0]
        for ax, key in zip(axes, measured, strict=True):
            _panel(ax, runs, key)
    figure.set_title(page, title)
    return page


def _block(axes: Axes, rows: Rows, title: str, width: float, captions: Sequence[str]) -> None:
    n, h, w = rows[0][1].shape[:3]
    gap = max(1, w // 14)
    canvas, corners = figure.mosaic(np.concatenate([pictures for _, pictures in rows]), n, gap)
    figure.show(axes, np.nan_to_num(canvas, nan=1.0), width)
    axes.set_yticks(corners[::n, 0] + (h - 1) / 2, [label for label, _ in rows], fontsize=7)
    axes.set_xticks(corners[: len(captions), 1] + (w - 1) / 2, captions, fontsize=6.5)
    axes.tick_params(length=0, pad=2)
    axes.spines[:].set_visible(False)
    axes.set_anchor("W")
    axes.set_title(title, fontsize=8.5, loc="left", pad=3)


def _panel(axes: Axes, runs: Sequence[Contestant], key: str) -> None:
    """The mean of a measure for each run, with its standard error; a run that has none leaves its place empty."""
    values: Mapping[str, np.ndarray] = {run.label: run.values[key] for run in runs if key in run.values}
    for place, run in enumerate(runs):
        if run.label in values and np.isfinite(run.values[key]).any():
            mean, error = np.nanmean(run.values[key]), scores.standard_error(run.values[key])
            style = {"color": COLOURS[place % len(COLOURS)], "height": 0.62}
            axes.barh(place, mean, xerr=None if np.isnan(error) else error, error_kw={"linewidth": 0.9}, **style)
            text = f" {mean:.3g} "
            axes.annotate(text, (max(mean + np.nan_to_num(error), 0), place), fontsize=6.5, va="center")
    axes.set_yticks(range(len(runs)), [run.label for run in runs], fontsize=7)
    axes.set_ylim(len(runs) - 0.4, -0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="x", labelsize=6.5)
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.28)
    axes.set_title(WORDS[key], fontsize=7)
    axes.locator_params(axis="x", nbins=3)
