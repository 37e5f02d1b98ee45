"""What tuning shows: all trials in order, the metric against each key, and sentences."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from aejax.analysis import figure
from aejax.tables import Mean, number

PANELS = 3  # a row
EDGE = 0.05  # of a range: a best value this near to an end is told


def ranked(numbers: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The trials, lowest mean first, those that diverged last."""
    return sorted(numbers["trials"], key=lambda trial: trial["metric"].mean if trial["metric"] else math.inf)


def tabulate(numbers: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row a trial, the best first."""
    metric = numbers["metric"]
    return [
        {
            "rank": rank,
            **{key: value if is_number(value) else str(value) for key, value in trial["setting"].items()},
            metric: trial["metric"] or "diverged",
            "trial": trial["trial"],
        }
        for rank, trial in enumerate(ranked(numbers), start=1)
    ]


def is_number(value: Any) -> bool:
    """Whether a value is a number, which has a place on an axis; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


# -- figure


def draw(numbers: Mapping[str, Any], name: str) -> Figure:
    """A panel a key: the metric of every trial against the key's value, the best one marked."""
    keys = list(numbers["keys"])
    rows = -(-len(keys) // PANELS)
    f = figure.new(height=0.7 + 2.5 * rows)
    grid = f.subplots(rows, min(PANELS, len(keys)), squeeze=False, sharey=True)
    known = [trial for trial in ranked(numbers) if trial["metric"]]
    for axes, key in zip(grid.flat, keys, strict=False):
        _panel(axes, key, known, numbers["keys"][key]["log"])
    for axes in grid.flat[len(keys) :]:
        axes.set_axis_off()
    values = [trial["metric"].mean for trial in known]
    if max(values) > 10 * min(values) > 0:
        grid.flat[0].set_yscale("log")
    for row in grid:
        row[0].set_ylabel(f"{numbers['metric']}, {'held-out part' if numbers['folds'] else 'valid'}", fontsize=8)
    lost = len(numbers["trials"]) - len(known)
    runs = len(known[0]["values"])
    of = f"mean ± standard deviation of {runs} runs a trial" if runs > 1 else "one run a trial"
    told = f"; {lost} diverged, not shown" if lost else ""
    figure.set_title(f, f"{name}: {len(numbers['trials'])} trials\n{of}, the best as a star{told}")
    return f


def _panel(axes: Axes, key: str, known: Sequence[Mapping[str, Any]], log: bool) -> None:
    values = [trial["setting"][key] for trial in known]
    if all(map(is_number, values)):
        x = np.array(values, float)
        few = sorted(set(values)) if len(set(values)) < min(6, len(values)) else []
        if log or min(values) > 0 and max(values) >= (4 if few else 50) * min(values):
            axes.set_xscale("log")
        if few:  # one of some values
            axes.set_xticks(few, [f"{value:g}" for value in few])
            axes.set_xticks([], minor=True)
    else:
        names = sorted({str(value) for value in values})
        x = np.array([names.index(str(value)) for value in values], float)
        axes.set_xticks(range(len(names)), names, rotation=0 if len("".join(names)) < 30 else 30)
        axes.margins(x=0.15)
    mean = np.array([trial["metric"].mean for trial in known])
    std = np.array([trial["metric"].std or 0.0 for trial in known])
    bars = {"fmt": "o", "markersize": 4, "elinewidth": 0.8, "color": figure.BLUE, "alpha": 0.75}
    axes.errorbar(x[1:], mean[1:], std[1:], **bars)
    axes.errorbar(x[:1], mean[:1], std[:1], **{**bars, "fmt": "*", "markersize": 11, "color": figure.VERMILLION})
    figure.tidy(axes)
    axes.set_xlabel(key, fontsize=8)


# -- sentences


def summarise(numbers: Mapping[str, Any]) -> list[str]:
    """What the numbers say."""
    order = [trial for trial in ranked(numbers) if trial["metric"]]
    lines = [*_best(numbers, order), *_influence(numbers, order), *_edges(numbers, order[0])]
    if lost := len(numbers["trials"]) - len(order):
        lines.append(f"{lost} of {len(numbers['trials'])} trials diverged: their loss ceased to be finite.")
    final, metric = numbers["trained_as_usual"], numbers["metric"]
    told = ", ".join(f"{value} on {split}" for split, value in final.items())
    return [*lines, f"Trained as usual with {_seeds(numbers)}, the best comes to {metric} {told}.", numbers["command"]]


def _seeds(numbers: Mapping[str, Any]) -> str:
    seeds = numbers["seeds"]
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds"


def _best(numbers: Mapping[str, Any], order: Sequence[Mapping[str, Any]]) -> list[str]:
    best: Mean = order[0]["metric"]
    setting = ", ".join(f"{key} {value}" for key, value in order[0]["setting"].items())
    over = f"{numbers['folds']} folds" if numbers["folds"] else "the valid split"
    line = f"Of {len(numbers['trials'])} trials the best is {setting}: {numbers['metric']} {best} over {over}"
    lines = [f"{line}; the worst {order[-1]['metric']}."]
    if best.std is not None and len(order) > 1:
        near = sum(trial["metric"].mean <= best.mean + best.std for trial in order[1:])
        lines.append(
            f"{near or 'None'} of the other {len(order) - 1} lie within its standard deviation"
            + ("; between it and those chance may decide." if near else ".")
        )
    return lines


def influence(key: str, order: Sequence[Mapping[str, Any]]) -> float:
    """Spearman's rank correlation of the key's value with the metric over the trials; NaN where there is none."""
    values = [trial["setting"][key] for trial in order]
    means = [trial["metric"].mean for trial in order]
    if len(order) < 4 or not all(map(is_number, values)) or len(set(values)) < 2 or len(set(means)) < 2:
        return math.nan
    return float(spearmanr(values, means).statistic)


def _influence(numbers: Mapping[str, Any], order: Sequence[Mapping[str, Any]]) -> list[str]:
    found = {key: influence(key, order) for key in numbers["keys"]}
    known = sorted((key for key in found if not math.isnan(found[key])), key=lambda key: -abs(found[key]))
    lines = []
    if known:
        told = ", ".join(f"{key} {found[key]:+.2f}" for key in known)
        lines.append(f"Rank correlation of the key with the metric, below 0 where larger is better: {told}.")
    for key in found:
        groups: dict[str, list[float]] = {}
        for trial in order:
            groups.setdefault(str(trial["setting"][key]), []).append(trial["metric"].mean)
        if key not in known and 1 < len(groups) < len(order):
            means = sorted((float(np.mean(values)), value) for value, values in groups.items())
            lines.append(f"By {key}, on average: {', '.join(f'{value} {number(mean)}' for mean, value in means)}.")
    return lines


def _edges(numbers: Mapping[str, Any], best: Mapping[str, Any]) -> list[str]:
    """Which of the best trial's values lie at the end of their range."""
    lines = []
    for key, space in numbers["keys"].items():
        if "low" in space:
            value, low, high = (
                math.log(v) if space["log"] else v for v in (best["setting"][key], space["low"], space["high"])
            )
            share = (value - low) / (high - low)
            if min(share, 1 - share) < EDGE:
                end = "low" if share < 0.5 else "high"
                lines.append(f"Its {key} lies at the {end} end of the range: a wider one may hold a better.")
    return lines
