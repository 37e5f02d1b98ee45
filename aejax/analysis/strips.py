"""Rows of pictures, such as the steps of a path, in groups and with a text at either end."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aejax.analysis import figure


@dataclass(frozen=True)
class Row:
    """Pictures [steps, h, w, 3] in [0, 1] in a row.

    Attributes:
      pictures: as long as those of the other rows of a figure.
      left, right: texts beside it.
      first: whether a group begins with it; the gap above is wider.
      marked: a picture to frame, or None.
    """

    pictures: np.ndarray
    left: str = ""
    right: str = ""
    first: bool = False
    marked: int | None = None


def canvas(rows: Sequence[Row]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pictures on one canvas [H, W, 3], white between them; where each row begins [rows], and each column."""
    tiles = [figure.enlarged(row.pictures) for row in rows]
    h, w = tiles[0].shape[1:3]
    gap = max(1, w // 14)
    wider = max(2, h // 5)
    parts, tops, at = [], [], 0
    for number, (row, tile) in enumerate(zip(rows, tiles, strict=True)):
        above = 0 if number == 0 else wider if row.first else gap
        strip, corners = figure.mosaic(tile, len(tile), gap)
        parts += [np.ones((above, *strip.shape[1:]), np.float32), np.nan_to_num(strip, nan=1.0)]
        tops.append(at + above)
        at += above + h
    return np.concatenate(parts), np.array(tops), corners[:, 1]


def draw(
    axes: Axes, rows: Sequence[Row], columns: Sequence[str] = (), width: float = figure.PAGE, size: float = 6.5
) -> None:
    """The rows on axes that are about ``width`` inches wide, with texts ``columns`` under the last one."""
    pixels, tops, lefts = canvas(rows)
    h, w = (figure.enlarged(rows[0].pictures).shape[i] for i in (1, 2))
    figure.show(axes, pixels, width)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, pad=2)
    axes.set_yticks(tops + (h - 1) / 2, [row.left for row in rows], fontsize=size)
    axes.set_xticks((lefts + (w - 1) / 2)[: len(columns)], list(columns), fontsize=size)
    for row, top in zip(rows, tops, strict=True):
        axes.text(pixels.shape[1] + w / 12, top + (h - 1) / 2, row.right, fontsize=size, va="center", clip_on=False)
        if row.marked is not None:
            x, y = lefts[row.marked] - 0.5, top - 0.5
            axes.plot([x, x + w, x + w, x, x], [y, y, y + h, y + h, y], color=figure.ORANGE, linewidth=1.2)
    axes.set(xlim=(-1.5, pixels.shape[1] + 0.5), ylim=(pixels.shape[0] + 0.5, -1.5))


def sized(
    rows: Sequence[Row], left: float, right: float, highest: float = 9.0, tile: float = 0.55
) -> tuple[float, float]:
    """The width and height in inches that the rows take, with so much for the texts; smaller where they are many."""
    n, h, w = rows[0].pictures.shape[:3]
    height, width = canvas(rows)[0].shape[:2]
    natural = tile * n * min(2.0, max(1.0, w / h))
    across = min(figure.PAGE - left - right, natural, highest * width / height)
    return left + across + right, across * height / width


def alone(
    rows: Sequence[Row], title: str, columns: Sequence[str] = (), left: float = 0.9, right: float = 0.9
) -> Figure:
    """A figure of nothing but the rows."""
    width, height = sized(rows, left, right)
    width = max(width, 4.6)
    picture = figure.new(width, height + 0.25 * bool(columns) + 0.1 + 0.17 * (1 + title.count("\n")))
    draw(picture.add_subplot(), rows, columns, width)
    figure.set_title(picture, title)
    return picture
