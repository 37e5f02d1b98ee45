"""The plane of a code with two values: which part of it figures show, on which axes, and its cells.

Whatever is drawn on a ``Plane`` has the same limits, ticks and proportions, at the same size and place below the top
left corner of its figure, so that two pictures can be laid side by side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from aejax.analysis import command, figure, views
from aejax.errors import UserError

MARGIN = 0.03  # of the range, around it
WIDTH, LEFT, RIGHT = 4.6, 0.62, 0.18  # of the axes and beside them, inches
BENEATH, LINE = 0.5, 0.17  # the axes' ticks and name; a line of title or legend: inches


def is_plane(code_shape: Sequence[int]) -> bool:
    """Whether a code has two values in all, as (2,), or as maps (1, 2, 1)."""
    return int(np.prod(code_shape)) == 2


def codes_of(run: Any, images: np.ndarray) -> np.ndarray:
    """The codes [n, 2] of raw images of a run whose code is a plane; means, where they are Gaussians.

    Raises:
      UserError: one is not finite.
    """
    codes = np.asarray(run.encode(images)).reshape(len(images), 2)
    if not np.isfinite(codes).all():
        raise UserError("the codes are not all finite; it needs a run whose training did not diverge")
    return codes


@dataclass(frozen=True)
class Plane:
    """A rectangle of the plane, in which every training code lies.

    Attributes:
      low, high: its corners (x, y); x is the code's first value, y its second.
      tall: height over width of the drawn axes: an example's, within a half and two.
    """

    low: tuple[float, float]
    high: tuple[float, float]
    tall: float = 1.0

    @classmethod
    def around(cls, codes: np.ndarray, shape: Sequence[int]) -> "Plane":
        """The range of the training codes [n, 2], n > 0; one unit wide where a value is always the same.

        Args:
          codes: of train.
          shape: (h, w, c) of an example.
        """
        low, high = codes.min(axis=0).astype(np.float64), codes.max(axis=0).astype(np.float64)
        constant = high - low <= 1e-9 * np.maximum(np.abs(low), 1e-9)
        low, high = low - 0.5 * constant, high + 0.5 * constant
        rows, columns = views.viewable(np.zeros((1, *shape), np.float32)).shape[1:3]
        return cls(tuple(map(float, low)), tuple(map(float, high)), float(np.clip(rows / columns, 0.5, 2.0)))

    @property
    def limits(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Of the axes: (left, right), (bottom, top)."""
        rooms = [MARGIN * (b - a) for a, b in zip(self.low, self.high, strict=True)]
        return tuple((a - room, b + room) for a, b, room in zip(self.low, self.high, rooms, strict=True))

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """The rectangle as ``imshow`` takes it: left, right, bottom, top."""
        return self.low[0], self.high[0], self.low[1], self.high[1]

    def centres(self, side: int) -> tuple[np.ndarray, np.ndarray]:
        """The middles of ``side`` equal steps: x [side] rightwards, y [side] downwards."""
        steps = (np.arange(side) + 0.5) / side
        x, y = (a + (b - a) * steps for a, b in zip(self.low, self.high, strict=True))
        return x, y[::-1]

    def cell_of(self, codes: np.ndarray, side: int) -> np.ndarray:
        """[n]: in which of the side² cells, in the order of ``grid_of(*centres)``, codes [n, 2] lie; -1 in none."""
        share = (codes - np.array(self.low)) / (np.array(self.high) - np.array(self.low))
        return cells_of_shares(share, side)

    def beyond(self, codes: np.ndarray) -> int:
        """How many of the codes [n, 2] the axes do not show."""
        (left, right), (bottom, top) = self.limits
        x, y = codes.T
        return int(np.sum((x < left) | (x > right) | (y < bottom) | (y > top)))


def grid_of(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The points (x_j, y_i) [rows · columns, 2] of x [columns] and y [rows], row after row."""
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def cells_of_shares(share: np.ndarray, side: int) -> np.ndarray:
    """[n]: the cell of each point [n, 2] of the unit square, row after row from the top left; -1 outside of it."""
    column, upwards = np.minimum((share * side).astype(int), side - 1).T
    inside = np.all((share >= 0) & (share <= 1), axis=1)
    return np.where(inside, (side - 1 - upwards) * side + column, -1)


def panel(plane: Plane, title: str, beneath: int = 0) -> tuple[Figure, Axes]:
    """A figure whose axes show the plane, with room for a title of three lines, and for so many lines beneath."""
    width, height = LEFT + WIDTH + RIGHT, WIDTH * plane.tall
    # Room for a title of three lines, always: or the axes would stand elsewhere under a shorter one.
    above, below = 0.12 + 3 * LINE, BENEATH + LINE * beneath
    total = above + height + below
    picture = figure.new(width, total)
    picture.set_layout_engine("none")
    axes = picture.add_axes((LEFT / width, below / total, WIDTH / width, height / total))
    figure.set_title(picture, title)
    frame(axes, plane)
    return picture, axes


def frame(axes: Axes, plane: Plane) -> None:
    """Set limits, ticks and names of axes that show the plane; what is drawn into them then does not change these."""
    for axis, (low, high), unit in zip((axes.xaxis, axes.yaxis), plane.limits, (0, 1), strict=True):
        ticks = MaxNLocator(6).tick_values(low, high)
        axis.set_ticks(ticks[(ticks >= low) & (ticks <= high)])
        axis.set_label_text(f"code unit {unit}", fontsize=8)
    axes.set(xlim=plane.limits[0], ylim=plane.limits[1], aspect="auto")
    axes.tick_params(labelsize=7)


def about(run: Any, plane: Plane) -> dict[str, Any]:
    """The axes, as numbers."""
    named = run.config.code.get("name") if "code" in run.config else None
    return {
        "codes": "means" if named in command.VARIATIONAL else "codes",
        "range": {"low": plane.low, "high": plane.high},
        "axes": {"xlim": plane.limits[0], "ylim": plane.limits[1]},
    }
