"""The pictures of ``analysis.denoise``: clean, corrupted and restored over each other; quality against the level."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from aejax.analysis import figure, views

LINES = {
    "corrupted": ("corrupted", figure.GREY, "s"),
    "restored": ("autoencoder", figure.BLUE, "o"),
    "affine": ("affine map, fitted anew", figure.ORANGE, "^"),
    "filter": ("filter, chosen anew", figure.GREEN, "v"),
}
AXES = {"psnr": "PSNR, dB", "ssim": "SSIM", "snr": "signal-to-noise ratio, dB"}


def draw_sheet(
    clean: np.ndarray, pairs: Mapping[float, Sequence[np.ndarray]], numbers: Mapping[str, Any], title: str
) -> Figure:
    """A row of clean examples [n, h, w, c]; under it for each level the corrupted ones over the restored ones.

    Args:
      clean: [n, h, w, c].
      pairs: level -> corrupted and restored, [n, h, w, c] each.
      numbers: as ``denoise.analyse`` writes them.
      title: what it is.
    """
    parameter, measure = numbers["corruption"]["level"], next(iter(numbers["measures"]))
    found = {row["level"]: row for row in numbers["levels"]}
    rows, labels = [clean], ["clean"]
    for level, pair in pairs.items():
        decibels = [found[level][name][measure]["mean"] for name in ("corrupted", "restored")]
        rows += pair
        labels += [f"{parameter} {level:g}\n{decibels[0]:.1f} dB", f"restored\n{decibels[1]:.1f} dB"]
    tiles = [figure.enlarged(views.viewable(x, clean)) for x in rows]
    h, w = tiles[0].shape[1:3]
    across = min(len(clean), max(3, min(10, round(15 * h / w))))
    gap, inner, outer = max(1, w // 14), max(1, h // 14), max(3, h // 4)
    strips, middles, top = [], [], 0
    for i, tile in enumerate(tiles):
        if i:
            strips.append(np.ones((outer if i % 2 else inner, strips[0].shape[1], 3), np.float32))
            top += len(strips[-1])
        strips.append(np.nan_to_num(figure.mosaic(tile[:across], across, gap)[0], nan=1.0))
        middles.append(top + (h - 1) / 2)
        top += h
    canvas = np.concatenate(strips)
    width = min(figure.PAGE, 1.1 + across * (0.85 if w < 2 * h else 1.7))
    scale = views.scale(clean) if clean.shape[1] > 1 else "each column on the scale of its clean one"
    notes = "; ".join(filter(None, (views.layout(clean.shape[1:]), scale)))
    title = f"{title}\nat the left: mean {AXES[measure]}{'; ' + notes if notes else ''}"
    height = (width - 0.95) * canvas.shape[0] / canvas.shape[1] + 0.3 + 0.17 * (2 + title.count("\n"))
    picture = figure.new(width, height)
    axes = picture.add_subplot()
    figure.show(axes, canvas, width)
    axes.spines[:].set_visible(False)
    axes.set_yticks(middles, labels, fontsize=6.5)
    axes.set_xticks([])
    axes.tick_params(length=0)
    figure.set_title(picture, title)
    return picture


def draw_curves(numbers: Mapping[str, Any], title: str) -> Figure:
    """Each measure against the level, for the corrupted examples and all that restore them; bands are ± one standard
    deviation over the examples."""
    levels, measures = [row["level"] for row in numbers["levels"]], list(numbers["measures"])
    trained = numbers["corruption"]["trained"]
    picture = figure.new(figure.PAGE if len(measures) > 1 else 4.6, 3.3)
    axes = picture.subplots(1, len(measures), squeeze=False)[0]
    for ax, measure in zip(axes, measures, strict=True):
        for name, (label, colour, marker) in LINES.items():
            if name not in numbers["levels"][0]:
                continue
            mean, std = (np.array([row[name][measure][k] for row in numbers["levels"]]) for k in ("mean", "std"))
            ax.plot(levels, mean, f"{marker}-", color=colour, markersize=4, linewidth=1.3, label=label)
            if name in ("corrupted", "restored"):
                ax.fill_between(levels, mean - std, mean + std, color=colour, alpha=0.15, linewidth=0)
        if trained is not None:
            ax.axvline(trained, color=figure.BLACK, linestyle=":", linewidth=1, label="trained with")
        ax.set_xlabel(f"{numbers['corruption']['level']} of {numbers['corruption']['name']}", fontsize=8)
        ax.set_ylabel(AXES[measure], fontsize=8)
        figure.tidy(ax)
    handles, names = axes[0].get_legend_handles_labels()
    columns = len(names) if len(measures) > 1 else 3
    picture.legend(handles, names, loc="outside lower center", ncols=columns, fontsize=7, frameon=False)
    figure.set_title(picture, title)
    return picture
