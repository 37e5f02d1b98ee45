"""Curves of a mean with a band of one standard deviation around it."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from aejax.tables import Mean


def draw(
    axes: Axes, x: Sequence[float], means: Sequence[Mean], label: str, colour: str, marker: str = "o", line: str = "-"
) -> None:
    """A curve through the means at ``x``; mean ± standard deviation shaded where there is one."""
    mean = np.array([value.mean for value in means], float)
    std = np.array([np.nan if value.std is None else value.std for value in means], float)
    axes.plot(x, mean, color=colour, linestyle=line, marker=marker, markersize=3.5, linewidth=1.3, label=label)
    if np.isfinite(std).any():
        axes.fill_between(x, mean - std, mean + std, color=colour, alpha=0.18, linewidth=0)
