"""Figures of metrics.jsonl over the epochs, a curve a split, and their look."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from aejax.analysis import figure

LOOK = {"train": (figure.BLUE, "-", "o"), "valid": (figure.VERMILLION, "--", "s"), "test": (figure.BLACK, "none", "*")}

Curve = tuple[np.ndarray, np.ndarray]  # epochs [k] ascending, values [k]


def by_split(rows: Sequence[dict[str, Any]], key: str) -> dict[str, Curve]:
    """Split -> its curve of ``key``: from the lines of metrics.jsonl that hold a number (NaN is one) under it."""
    found: dict[str, dict[float, float]] = {}
    for row in rows:
        if isinstance(row.get(key), int | float):
            found.setdefault(row["split"], {})[float(row["epoch"])] = float(row[key])
    return {split: tuple(np.array(sorted(points.items())).T) for split, points in found.items()}


def wants_log(found: dict[str, Curve], ratio: float = 4.0) -> bool:
    """Whether a logarithmic scale serves: all values are positive, the largest over ``ratio`` times the smallest."""
    values = np.concatenate([v[np.isfinite(v)] for _, v in found.values()])
    return bool(len(values) and values.min() > 0 and values.max() > ratio * values.min())


def draw(axes: Axes, found: dict[str, Curve], spread: dict[str, Curve] | None = None) -> None:
    """The splits' curves, with a band of ``spread``, a deviation at some of the epochs, to both sides."""
    for split, (epochs, values) in found.items():
        colour, line, marker = LOOK.get(split, (figure.GREY, ":", "x"))
        lone = split == "test" or len(epochs) == 1
        if split == "test":  # tested at the end; the earlier lines, if any, are no curve to choose by
            epochs, values = epochs[-1:], values[-1:]
        marked = marker if lone or len(epochs) <= 20 else None
        size = 9 if split == "test" else 3.5
        style = {"color": colour, "linestyle": "none" if lone else line, "marker": marked, "markersize": size}
        axes.plot(epochs, values, linewidth=1.4, label=split, zorder=3, **style)
        if spread and split in spread:
            at, deviation = (x[np.isin(spread[split][0], epochs)] for x in spread[split])
            middle = values[np.isin(epochs, at)]
            if lone:
                axes.errorbar(at, middle, deviation, color=colour, fmt="none", capsize=3)
            else:
                axes.fill_between(at, middle - deviation, middle + deviation, color=colour, alpha=0.18, linewidth=0)


def scale_y(axes: Axes, found: dict[str, Curve]) -> bool:
    """Give the axes a logarithmic scale where it serves, and tell whether it does."""
    if not found or not wants_log(found):
        return False
    axes.set_yscale("log")
    if wants_log(found, 1e6):  # powers of ten, as Matplotlib writes them
        return True
    axes.yaxis.set_major_locator(
        LogLocator(subs=(1.0, 2.0, 5.0) if wants_log(found, 20.0) else (1.0, 2.0, 3.0, 4.0, 6.0, 8.0))
    )
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())
    return True
