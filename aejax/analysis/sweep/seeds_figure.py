"""A sweep over seeds alone: curves over the epochs, and where they end."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from aejax.analysis import curves, figure
from aejax.analysis.averaged import over_members
from aejax.analysis.sweep.keys_figure import LOST
from aejax.sweep.outcomes import Outcomes
from aejax.tables import mean_std

MOST = 40  # members with a line of their own


def draw(found: Outcomes, metric: str) -> Figure:
    """Train and valid over the epochs, mean ± standard deviation and a thin line a member; the final values beside."""
    f = figure.new(height=3.4)
    left, right = f.subplots(1, 2, gridspec_kw={"width_ratios": [2.2, 1]})
    _curves(left, found, metric)
    _strip(right, found, metric)
    lost = sum(member.diverged for member in found.members)
    told = f"; {lost} diverged, left out of mean and band" if lost else ""
    several = len(found.members) > 1
    of = f"mean ± standard deviation and a thin line a member{told}" if several else "one member"
    figure.set_title(f, f"{found.config.name}: {metric} of {len(found.members)} member{'s' * several}\n{of}")
    return f


def _curves(axes: Axes, found: Outcomes, metric: str) -> None:
    means, spreads = over_members([member for member in found.members if not member.diverged])
    shown = {s: c for s, c in curves.by_split(means, metric).items() if s != "test"}
    for member in found.members[:MOST] if len(found.members) > 1 else []:
        for split, (epochs, values) in curves.by_split(member.lines, metric).items():
            if split != "test":
                axes.plot(epochs, values, color=curves.LOOK[split][0], linewidth=0.5, alpha=0.45)
    curves.draw(axes, shown, curves.by_split(spreads, metric))
    ends = [max((line["epoch"] for line in m.lines), default=0) for m in found.members if m.diverged]
    if ends:
        axes.plot(ends, np.full(len(ends), 0.97), transform=axes.get_xaxis_transform(), zorder=4, **LOST)
    figure.tidy(axes)
    if not any(np.isfinite(line.get_ydata()).any() for line in axes.lines if line.get_label() != LOST["label"]):
        figure.no_y(axes)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    word = " (log)" if curves.scale_y(axes, shown) else ""
    figure.name_axes(axes, f"over the epochs{word}", "epoch", metric)
    if shown or ends:
        axes.legend(fontsize=8, frameon=False)


def _strip(axes: Axes, found: Outcomes, metric: str) -> None:
    """The final values of all members by split, side by side where they would hide one another."""
    splits = found.splits(metric)
    drawn = {}
    for place, split in enumerate(splits):
        values = np.array([v for m in found.members if (v := m.value(metric, split)) is not None])
        drawn[split] = (np.arange(len(values)), values)
        colour, _, _ = curves.LOOK[split]
        golden = (np.arange(len(values)) * (math.sqrt(5) - 1) / 2) % 1 - 0.5  # spread evenly, the same every time
        axes.plot(place + 0.3 * golden, values, "o", color=colour, markersize=4, alpha=0.65, markeredgewidth=0)
        mean = mean_std(values)
        if mean.std is not None:
            style = {"fmt": "_", "markersize": 16, "markeredgewidth": 1.6, "elinewidth": 1.2, "capsize": 4}
            axes.errorbar([place + 0.32], [mean.mean], [mean.std], color=colour, **style)
    figure.tidy(axes)
    if not splits:
        figure.no_y(axes)
    axes.set_xticks(range(len(splits)), splits, fontsize=8)
    axes.set_xlim(-0.5, max(len(splits), 1) - 0.3)
    word = " (log)" if drawn and curves.scale_y(axes, drawn) else ""
    figure.name_axes(axes, f"after the last epoch{word}", "", "")
