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
from matplotlib.patheffects import withStroke

from aejax.analysis.views import plane, viewable
from aejax.files import replacing

PAGE = 7.2  # width of a page's text, inches

# Okabe and Ito's palette, told apart in every common form of colour blindness.
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE = OKABE_ITO = (
    *("#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"),
)
GREY = "#8C8C8C"

# Classes differ in colour and in marker, so that neither has to be told apart alone.
CLASS_COLOURS = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, BLACK, GREY, "#882255", "#8B6B00")
CLASS_MARKERS = ("o", "^", "s", "D", "v", "P", "X", "p", "<", ">", "*")

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


def no_y(axes: Axes) -> None:
    """Take the vertical scale away where nothing is drawn that it would measure."""
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def name_axes(axes: Axes, title: str, x: str, y: str) -> None:
    """A plot's title and what its axes are."""
    axes.set_title(title, fontsize=9)
    axes.set_xlabel(x, fontsize=8)
    axes.set_ylabel(y, fontsize=8)


def scatter_by_class(
    axes: Axes, points: np.ndarray, labels: np.ndarray, names: Sequence[str], size: float = 7.0
) -> None:
    """Points [n, 2] in the colour and marker of their class [n]; each class's name at the median of its points."""
    fontsize = 9 if max(map(len, names)) <= 3 else 6.5
    for k in np.unique(labels):
        mine = points[labels == k]
        style = {"color": CLASS_COLOURS[k % len(CLASS_COLOURS)], "marker": CLASS_MARKERS[k % len(CLASS_MARKERS)]}
        axes.scatter(*mine.T, s=size, linewidths=0, alpha=0.75, label=names[k], rasterized=True, **style)
    kinds = np.unique(labels)
    medians = np.stack([np.median(points[labels == k], axis=0) for k in kinds])
    span = np.maximum(np.ptp(points, axis=0), 1e-12)
    longest = max(len(names[k]) for k in kinds)
    box = np.array([0.6 * longest, 1.2]) * fontsize / 72 / (PAGE / 2.4)  # as shares of axes half a page wide
    places = apart(medians / span, box) * span
    for k, place in zip(kinds, places, strict=True):
        text = axes.text(*place, names[k], fontsize=fontsize, weight="bold", ha="center", va="center")
        text.set_path_effects([withStroke(linewidth=2.2, foreground="white")])
    axes.tick_params(labelsize=7)


def apart(places: np.ndarray, box: np.ndarray, rounds: int = 200) -> np.ndarray:
    """Places [n, 2] moved, each as little as may be, until boxes [2] (width, height) around them do not overlap."""
    places = places.astype(np.float64) + 1e-6 * np.arange(len(places))[:, None]  # equal ones too
    for _ in range(rounds):
        gap = places[:, None] - places[None]
        over = np.maximum(box - np.abs(gap), 0) * (1 - np.eye(len(places)))[..., None]
        over[np.any(over == 0, axis=2)] = 0
        if not over.any():
            break
        shorter = over[..., 0] / box[0] < over[..., 1] / box[1]  # the way out that is the shorter of the two
        push = np.stack([np.where(shorter, over[..., 0], 0), np.where(shorter, 0, over[..., 1])], axis=-1)
        places += 0.5 * (np.sign(gap) * push).sum(axis=1)
    return places


def class_legend(figure: Figure, axes: Axes) -> None:
    """The classes that ``scatter_by_class`` drew into the axes, beneath all panels of the figure."""
    handles, names = axes.get_legend_handles_labels()
    columns = legend_columns(names, figure.get_figwidth())
    figure.legend(handles, names, loc="outside lower center", ncols=columns, fontsize=7, frameon=False, markerscale=1.8)


def legend_columns(names: Sequence[str], width: float = PAGE) -> int:
    """How many names, each with its marker, stand side by side in a legend so many inches wide."""
    return max(1, min(len(names), int(95 * width / PAGE / (4 + max(map(len, names), default=1)))))


def grid(count: int, h: int, w: int, gap: int = 2) -> tuple[int, float]:
    """The columns in which so many tiles [h, w] come nearest to a square, of equals the wider, and the height of that
    mosaic over its width."""
    columns = np.arange(count, 0, -1)
    shapes = (-(-count // columns) * (h + gap) - gap) / (columns * (w + gap) - gap)
    best = np.argmin(np.abs(np.log(shapes)).round(6))
    return int(columns[best]), float(shapes[best])


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


def show(axes: Axes, canvas: np.ndarray, width: float = PAGE / 2, **colours) -> None:
    """The canvas [H, W, ...] in hard pixels, or where the axes, so many inches wide, have fewer than it, averaged."""
    fits = canvas.shape[1] <= width * axes.figure.dpi
    axes.imshow(canvas, interpolation="nearest" if fits else "auto", **colours)


def draw_reconstructions(
    inputs: np.ndarray, outputs: np.ndarray, title: str, captions: Sequence[str] | None = None
) -> Figure:
    """Inputs over their reconstructions, up to ten pairs a row, fewer where they are wide.

    Args:
      inputs, outputs: [n, h, w, c] floats, shown as ``viewable`` does at the scale of the inputs, n >= 1.
      title: what it is.
      captions: [n] short texts, of a line or two, one under each pair.

    Raises:
      ValueError: the shapes differ.
    """
    if inputs.shape != outputs.shape or inputs.ndim != 4:
        raise ValueError(f"inputs {inputs.shape} and outputs {outputs.shape} must both be [n, h, w, c]")
    upper, lower = (enlarged(viewable(x, inputs)) for x in (inputs, outputs))
    n, h, w = upper.shape[:3]
    across = min(n, max(4, min(10, round(15 * h / w))))
    # Few images are drawn smaller than a page allows: a column is at most 0.9 inches, or twice that for wide ones.
    width = min(PAGE, 0.6 + (0.9 if w < 2 * h else 1.8) * across)
    gap = max(1, w // 14)
    pixel = (width - 0.5) / (across * (w + gap))  # inches
    lines = max((text.count("\n") + 1 for text in captions or ()), default=0)
    inner, outer = max(1, h // 14), max(2, round((0.08 + 0.12 * lines) / pixel))
    tile = np.ones((n, 2 * h + inner + outer, w, 3), np.float32)  # a pair and the white under it
    tile[:, :h], tile[:, h + inner : 2 * h + inner] = upper, lower
    canvas, corners = mosaic(tile, across, gap)
    figure = new(max(width, 3.6), pixel * canvas.shape[0] + 0.25 + 0.17 * (1 + title.count("\n")))
    axes = figure.add_subplot()
    show(axes, np.nan_to_num(canvas, nan=1.0), width)
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


def enlarged(pictures: np.ndarray, least: int = 24) -> np.ndarray:
    """Small pictures [n, h, w, ...] with every pixel repeated, so that gaps between them can be narrow."""
    factor = max(1, least // max(pictures.shape[1:3]))
    return pictures.repeat(factor, axis=1).repeat(factor, axis=2)


def weight_planes(weights: np.ndarray) -> np.ndarray:
    """Weights [n, h, w, c] over each one's largest magnitude, laid out as ``plane`` does and enlarged: [n, H, W], or
    colours [n, H, W, 3] of images with three channels. Other channels are summed."""
    colours = weights.shape[1] > 1 and weights.shape[3] == 3
    values = weights if colours or weights.shape[1] == 1 else weights.sum(axis=-1, keepdims=True)
    largest = np.abs(values).max(axis=(1, 2, 3), keepdims=True)
    values = plane(values / np.where(largest > 0, largest, 1.0))
    return enlarged(values if colours else values[..., 0])


def draw_weights(axes: Axes, weights: np.ndarray, title: str, marked: np.ndarray | None = None) -> None:
    """A near-square mosaic of weight images, each on a scale symmetric about zero up to its own largest magnitude.

    One channel: ``DIVERGING``, blue below zero, grey at it, vermillion above. Three:
    as colours, mid-grey at zero. Any other number is summed over channels. Weights of
    sound and of vectors are laid out as ``plane`` does.

    Args:
      weights: [n, h, w, c].
      marked: [n] bool; these get a black frame.
    """
    values = weight_planes(weights)
    n, h, w = values.shape[:3]
    canvas, corners = mosaic(values, grid(n, h, w)[0], gap=2)
    if values.ndim == 4:
        show(axes, np.nan_to_num((canvas + 1) / 2, nan=1.0))
    else:
        show(axes, canvas, cmap=DIVERGING, vmin=-1, vmax=1)
    for (top, left), mark in zip(corners, np.zeros(n, bool) if marked is None else marked, strict=True):
        if mark:
            x, y = left - 1, top - 1
            axes.plot([x, x + w + 1, x + w + 1, x, x], [y, y, y + h + 1, y + h + 1, y], color=BLACK, linewidth=0.9)
    axes.set(xlim=(-1.9, canvas.shape[1] + 0.9), ylim=(canvas.shape[0] + 0.9, -1.9))  # with the frames at the edge
    axes.set_axis_off()
    axes.set_anchor("N")
    axes.set_title(title, fontsize=9)
