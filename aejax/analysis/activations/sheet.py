"""A contact sheet: a row a unit, its weights at the left and then the examples that excite it most."""

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from aejax.analysis import figure, views

BEYOND = (0.80, 0.89, 0.96)  # what lies beyond an image's border: no grey, so that none of the image is taken for it


class Row(NamedTuple):
    """One unit.

    Attributes:
      head: what is said of it.
      weights: its weight images, [H, W, 3] each.
      examples: [n, H, W, 3] what excites it most, most first.
      captions: [n] short texts.
    """

    head: str
    weights: Sequence[np.ndarray]
    examples: np.ndarray
    captions: Sequence[str]


def coloured(weights: np.ndarray) -> np.ndarray:
    """Weight images [n, h, w, c] as pictures [n, H, W, 3], in the colours that ``figure.draw_weights`` has."""
    planes = figure.weight_planes(weights)
    return (np.nan_to_num(planes, nan=1.0) + 1) / 2 if planes.ndim == 4 else _diverging(planes)


def _diverging(planes: np.ndarray) -> np.ndarray:
    colours = figure.DIVERGING((np.ma.masked_invalid(planes) + 1) / 2)
    return colours[..., :3]


def pictures(patches: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Examples or patches of them [n, h, w, c] as ``views.viewable`` shows them at the scale of ``like`` [n, ...].

    NaN, which is beyond an image's border, is tinted; of waveforms it is silence.
    """
    shown = views.viewable(np.nan_to_num(patches), like)
    _, h, w, c = patches.shape
    if h > 1 or (w > 1 and c > 1):
        shown[np.any(views.plane(np.isnan(patches).astype(np.float32)) > 0, axis=-1)] = BEYOND
    return shown


def draw(rows: Sequence[Row], title: str, columns: int, legend: str = "") -> Figure:
    """The sheet; units go down the page, and then down its second half where a row needs no more than one half.

    Args:
      rows: one a unit, at least one.
      title: what it is.
      columns: the examples that there is room for in a row.
      legend: what the heads mean, at the foot.
    """
    first = rows[0]
    left = len(first.weights)
    h, w = first.examples.shape[1:3]
    halves = 2 if left + columns <= 12 and w < 2 * h and len(rows) > 1 else 1
    gap, between, margin = 0.03, 0.10, 0.22  # inches: of tiles; of weights and examples; of the halves
    room = (figure.PAGE - 0.1 - margin * (halves - 1)) / halves - between * bool(left)
    wide = min(0.9, room / (left + columns) - gap)
    high = wide * h / w
    head, beneath = 0.17, 0.19
    deep = -(-len(rows) // halves)
    height = deep * (head + high + beneath)
    picture = figure.new(figure.PAGE, height + 0.45 + 0.17 * (1 + title.count("\n")))
    axes = picture.add_subplot()
    for i, row in enumerate(rows):
        x, y = i // deep * (figure.PAGE - 0.1 + margin) / 2, i % deep * (head + high + beneath) + head
        axes.text(x, y - 0.03, row.head, fontsize=6.5, va="bottom", ha="left")
        for j, tile in enumerate(row.weights):
            _put(axes, tile, x + j * (wide + gap), y, wide, high)
        x += left * (wide + gap) + between * bool(left)
        for j, (tile, caption) in enumerate(zip(row.examples, row.captions, strict=True)):
            _put(axes, tile, x + j * (wide + gap), y, wide, high)
            axes.text(x + j * (wide + gap) + wide / 2, y + high + 0.02, caption, fontsize=6.5, va="top", ha="center")
    axes.set(xlim=(0, figure.PAGE - 0.1), ylim=(height, 0))
    axes.set_aspect("equal")
    axes.set_axis_off()
    picture.supxlabel(textwrap.fill(legend, 125), fontsize=6.5)
    figure.set_title(picture, title)
    return picture


def _put(axes, tile: np.ndarray, x: float, y: float, wide: float, high: float) -> None:
    """A picture [H, W, 3] into a box at x, y, whole and in the middle; all in inches."""
    h, w = tile.shape[:2]
    scale = min(wide / w, high / h)
    x, y = x + (wide - scale * w) / 2, y + (high - scale * h) / 2
    figure.show(axes, tile, scale * w, extent=(x, x + scale * w, y + scale * h, y))
