"""Drawing that the analyses and the training loop share.

Figures are ``matplotlib.figure.Figure`` on the Agg canvas, never pyplot: no
global state, so they can be drawn from any thread and without a display. Sizes
are in inches, for a page about 7 inches wide.
"""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from aejax.files import replacing

PAGE = 7.2  # width of a page's text, inches

# Okabe and Ito's palette, told apart in every common form of colour blindness.
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE = OKABE_ITO = (
    *("#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"),
)
GREY = "#8C8C8C"

# Zero is grey, so that it differs from the white of the page; both ends are as dark as one another.
DIVERGING = LinearSegmentedColormap.from_list(
    "blue_grey_vermillion", ["#002B4D", "#0072B2", "#7FB3D1", "#E4E4E4", "#EBA679", "#D55E00", "#5C2200"]
).with_extremes(bad="white")


def new(width: float = PAGE, height: float = 4.0) -> Figure:
    """An empty figure of that size in inches, laid out so that nothing overlaps."""
    figure = Figure(figsize=(width, height), dpi=200, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path | str) -> None:
    """Write the figure as PNG, whole or not at all; makes the folder.

    Raises:
      OSError: the folder cannot be written or the disk is full.
    """
    with replacing(Path(path)) as temporary:
        figure.savefig(temporary, format="png")


def set_title(figure: Figure, title: str) -> None:
    """The figure's title, wrapped to its width."""
    characters = int(figure.get_figwidth() * 14)
    figure.suptitle("\n".join(textwrap.fill(line, characters) for line in title.splitlines()), fontsize=9.5)


def tidy(axes: Axes) -> None:
    """Leave of a plot's frame what carries information."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.grid(axis="y", color="#E4E4E4", linewidth=0.6)
    axes.set_axisbelow(True)


def rgb(images: np.ndarray) -> np.ndarray:
    """[n, h, w, c] floats to [n, h, w, 3] in [0, 1], clipped: grey for every c but 3 (the mean over channels)."""
    images = np.nan_to_num(np.asarray(images, np.float32))
    if images.shape[-1] != 3:
        images = np.repeat(images.mean(axis=-1, keepdims=True), 3, axis=-1)
    return np.clip(images, 0.0, 1.0)


def mosaic(tiles: np.ndarray, columns: int, gap: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Tiles [n, h, w, ...] laid out in rows of ``columns``, ``gap`` pixels apart on NaN.

    Returns:
      The canvas [H, W, ...] and the corners [n, 2] (top row, left column) of the tiles in it.
    """
    n, h, w = tiles.shape[:3]
    rows = -(-n // columns)
    corners = np.stack([np.arange(n) // columns * (h + gap), np.arange(n) % columns * (w + gap)], axis=1)
    canvas = np.full((rows * (h + gap) - gap, columns * (w + gap) - gap, *tiles.shape[3:]), np.nan, np.float32)
    for tile, (top, left) in zip(tiles, corners, strict=True):
        canvas[top : top + h, left : left + w] = tile
    return canvas, corners


def draw_reconstructions(
    inputs: np.ndarray, outputs: np.ndarray, title: str, captions: Sequence[str] | None = None
) -> Figure:
    """Inputs over their reconstructions, up to ten pairs a row.

    Args:
      inputs, outputs: [n, h, w, c] floats in [0, 1] (clipped), n >= 1.
      title: what it is.
      captions: [n] short texts, of a line or two, one under each pair.

    Raises:
      ValueError: the shapes differ.
    """
    if inputs.shape != outputs.shape or inputs.ndim != 4:
        raise ValueError(f"inputs {inputs.shape} and outputs {outputs.shape} must both be [n, h, w, c]")
    n, h, w = inputs.shape[:3]
    columns = min(n, 10)
    lines = 1 + max((text.count("\n") + 1 for text in captions or ()), default=0)
    inner, outer = max(1, h // 14), max(2, lines * h // 5)
    tile = np.ones((n, 2 * h + inner + outer, w, 3), np.float32)  # a pair and the white under it
    tile[:, :h], tile[:, h + inner : 2 * h + inner] = rgb(inputs), rgb(outputs)
    canvas, corners = mosaic(tile, columns, gap=max(1, w // 14))
    # Few images are drawn smaller than a page allows: a column is at most 0.9 inches.
    width = min(PAGE, 0.6 + 0.9 * columns)
    figure = new(max(width, 3.6), (width - 0.5) * canvas.shape[0] / canvas.shape[1] + 0.5)
    axes = figure.add_subplot()
    axes.imshow(np.nan_to_num(canvas, nan=1.0), interpolation="nearest")
    axes.spines[:].set_visible(False)
    tops = np.unique(corners[:, 0])
    middles = np.concatenate([tops + (h - 1) / 2, tops + h + inner + (h - 1) / 2])
    axes.set_yticks(middles, ["input"] * len(tops) + ["output"] * len(tops), fontsize=7)
    axes.set_xticks([])
    axes.tick_params(length=0)
    for text, (top, left) in zip(captions or (), corners, strict=False):
        axes.text(left + (w - 1) / 2, top + 2 * h + inner, text, ha="center", va="top", fontsize=6.5)
    set_title(figure, title)
    return figure


def draw_weights(axes: Axes, weights: np.ndarray, title: str, marked: np.ndarray | None = None) -> None:
    """A square mosaic of weight images, each on a scale symmetric about zero up to its own largest magnitude.

    One channel: ``DIVERGING``, blue below zero, grey at it, vermillion above. Three:
    as colours, mid-grey at zero. Any other number is summed over channels.

    Args:
      weights: [n, h, w, c].
      marked: [n] bool; these get a black frame.
    """
    n, h, w, c = weights.shape
    values = weights if c == 3 else weights.sum(axis=-1)
    scale = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True)
    values = values / np.where(scale > 0, scale, 1.0)
    canvas, corners = mosaic(values, int(np.ceil(np.sqrt(n))), gap=2)
    if c == 3:
        axes.imshow(np.nan_to_num((canvas + 1) / 2, nan=1.0), interpolation="nearest")
    else:
        axes.imshow(canvas, cmap=DIVERGING, vmin=-1, vmax=1, interpolation="nearest")
    for (top, left), mark in zip(corners, np.zeros(n, bool) if marked is None else marked, strict=True):
        if mark:
            x, y = left - 1, top - 1
            axes.plot([x, x + w + 1, x + w + 1, x, x], [y, y, y + h + 1, y + h + 1, y], color=BLACK, linewidth=0.9)
    axes.set_axis_off()
    axes.set_title(title, fontsize=9)
