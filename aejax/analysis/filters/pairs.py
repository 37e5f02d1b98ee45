"""How alike are what a unit of the code reads and what it writes?"""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from aejax.analysis import figure


def cosines(filters: np.ndarray, atoms: np.ndarray) -> np.ndarray:
    """[n]: ``⟨f_u, a_u⟩ / (‖f_u‖ ‖a_u‖)`` of each filter and atom [n, h, w, c]; NaN where one is all zero."""
    f, a = (x.reshape(len(x), -1).astype(np.float64) for x in (filters, atoms))
    with np.errstate(invalid="ignore"):
        return (f * a).sum(axis=1) / (np.linalg.norm(f, axis=1) * np.linalg.norm(a, axis=1))


def describe(values: np.ndarray, alive: np.ndarray) -> dict:
    """Median, quartiles and ends of cosines [n], and all of them by unit.

    The first five, None where none is left, are over units that are ``alive`` [n] and whose cosine is finite.
    """
    known = values[np.isfinite(values) & alive]
    names = ("min", "lower_quartile", "median", "upper_quartile", "max")
    levels = np.quantile(known, [0, 0.25, 0.5, 0.75, 1]) if len(known) else [None] * 5
    return {**dict(zip(names, levels, strict=True)), "by_unit": values}


def told(described: dict, linear: bool) -> str:
    """In words how close the units are to reading what they write; ``linear``: through several layers."""
    if described["median"] is None:
        return "No unit that fires has both a filter and an atom that are not all zero."
    median = described["median"]
    close = "close to tied" if median > 0.9 else "much alike" if median > 0.6 else "somewhat alike"
    close = close if median > 0.25 else "nearly unrelated" if median > -0.25 else "opposed"
    through = ", through all layers taken linearly" if linear else ""
    return (
        f"What a code unit reads and what it writes{through}: {close} (cosine {median:.2f} in the median, "
        f"{described['min']:.2f} to {described['max']:.2f})."
    )


def draw(filters: np.ndarray, atoms: np.ndarray, units: Sequence[int], values: np.ndarray, title: str) -> Figure:
    """Filter and atom of each unit side by side, its number and their cosine beneath.

    Args:
      filters, atoms: [n, h, w, c].
      units: [n] their numbers.
      values: [n] their cosines.
      title: what it is.
    """
    left, right = figure.weight_planes(filters), figure.weight_planes(atoms)
    n, h, w = left.shape[:3]
    inner = max(1, w // 14)
    across = min(n, max(2, min(8, round(9 * h / w))))
    tiles = np.full((n, h, 2 * w + inner, *left.shape[3:]), np.nan, np.float32)
    tiles[:, :, :w], tiles[:, :, w + inner :] = left, right
    gap = max(2, w // 4)
    width = max(3.6, min(figure.PAGE, 1.75 * across))
    pixel = (width - 0.2) / (across * (2 * w + inner + gap))  # inches
    under = round(0.16 / pixel)
    tiles = np.pad(tiles, ((0, 0), (0, under), (0, 0)) + ((0, 0),) * (tiles.ndim - 3), constant_values=np.nan)
    canvas, corners = figure.mosaic(tiles, across, gap)
    picture = figure.new(width, pixel * canvas.shape[0] + 0.25 + 0.17 * (1 + title.count("\n")))
    axes = picture.add_subplot()
    if canvas.ndim == 3:
        figure.show(axes, np.nan_to_num((canvas + 1) / 2, nan=1.0), width)
    else:
        figure.show(axes, canvas, width, cmap=figure.DIVERGING, vmin=-1, vmax=1)
    for unit, value, (top, corner) in zip(units, values, corners, strict=True):
        text = f"{unit}: {value:.2f}" if np.isfinite(value) else f"{unit}: zero"
        axes.text(corner + w + inner / 2 - 0.5, top + h, text, ha="center", va="top", fontsize=6.5)
    axes.set_axis_off()
    figure.set_title(picture, title)
    return picture
