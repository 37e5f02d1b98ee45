"""A figure against every key of a sweep: a panel a key, curves where few settings share them, else points."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from aejax.analysis import bands, curves, figure
from aejax.analysis.sweep.scales import Scale, scale
from aejax.analysis.sweep.settings import Setting
from aejax.sweep.outcomes import Outcomes
from aejax.tables import mean_std

LINES = 6  # so many curves share a panel
COLUMNS = 3
LOOK = {split: (curves.LOOK[split][0], marker, line)
        for split, marker, line in (("train", "^", ":"), ("valid", "s", "-"), ("test", "o", "--"))}  # fmt: skip
LOST = {"marker": "X", "color": figure.CLASS_COLOURS[8], "markersize": 6, "linestyle": "none", "label": "diverged"}


def draw(found: Outcomes, settings: Sequence[Setting], metric: str, splits: Sequence[str]) -> Figure:
    """A panel a key that varies: the figure after the last epoch, band and points over the seeds.

    Curves of one key have the colours of the splits; where several keys are combined in few ways, a split has a row of
    panels to itself, with a curve for each combination of the other keys; else all members are points, with their mean
    at each value.
    """
    keys = found.varying
    series = {key: _series(found, settings, key) for key in keys}
    apart = any(len(of) > 1 for of in series.values())
    rows = [(split,) for split in splits] if apart and splits else [tuple(splits)]
    columns = min(COLUMNS, len(keys))
    blocks = [keys[i : i + columns] for i in range(0, len(keys), columns)]
    names = sum(max(len(series[key]) for key in block) for block in blocks) if apart else 0
    lines = len(blocks) * len(rows)
    f = figure.new(figure.PAGE if columns > 1 else 5.0, 0.9 + 2.2 * lines + 0.14 * names)
    grid = f.subplots(lines, columns, squeeze=False, sharey=True)
    _log(grid[0, 0], settings, metric, splits)
    for line, axes in enumerate(grid):
        block, shown = blocks[line // len(rows)], rows[line % len(rows)]
        for ax, key in zip(axes, block, strict=False):
            _panel(ax, found, settings, scale(found, key), series[key], metric, shown)
            if len(series[key]) > 1 and shown and shown is rows[-1]:
                _name_series(ax, series[key], "-" if scale(found, key).numeric else "none")
        axes[0].set_ylabel(f"{metric}, {shown[0]}" if len(shown) == 1 else metric, fontsize=8)
        for ax in axes[len(block) :]:
            ax.set_axis_off()
    if not splits:
        for ax in grid.ravel():
            figure.no_y(ax)
    joined = any(of and scale(found, key).numeric for key, of in series.items())
    _legend(f, found, [] if apart else splits, joined, hollow=not any(series.values()))
    figure.set_title(f, _title(found, settings, metric, series))
    return f


def _title(found: Outcomes, settings: Sequence[Setting], metric: str, series: Mapping[str, Mapping]) -> str:
    parts = [f"mean ± standard deviation over {len(found.seeds)} seeds"] if len(found.seeds) > 1 else []
    parts = [*(parts if any(series.values()) else []), "a point a member"]
    again = any(not of and _repeated(scale(found, key), settings) for key, of in series.items())
    parts += ["their mean where a value comes again"] if again else []
    return f"{found.config.name}: {metric} of {len(found.members)} members after the last epoch\n{'; '.join(parts)}"


def _series(found: Outcomes, settings: Sequence[Setting], key: str) -> dict[str, list[Setting]]:
    """What the others of the keys are -> the settings of a curve; {} where the members are points."""
    if found.config.sweep.combine == "random":
        return {}
    others = [other for other in found.varying if other != key]
    if len({repr(setting.values[key]) for setting in settings}) == len(settings):
        return {"": list(settings)}  # the others go with it
    scales, short = [scale(found, other) for other in others], _short(found)
    groups: dict[str, list[Setting]] = {}
    for setting in sorted(settings, key=lambda s: [x.place(s.values[x.key]) for x in scales]):
        name = ", ".join(f"{short[x.key]} {x.name(setting.values[x.key])}" for x in scales)
        groups.setdefault(name, []).append(setting)
    return groups if len(groups) <= LINES and min(map(len, groups.values())) > 1 else {}


def _short(found: Outcomes) -> dict[str, str]:
    """What the keys that vary are called: by their last part, unless other keys of the config end so too."""
    ends = Counter(key.rpartition(".")[2] for key in _leaves(found.config) if not key.startswith("sweep."))
    return {key: key if ends[end := key.rpartition(".")[2]] > 1 else end for key in found.varying}


def _leaves(tree: Mapping, prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        yield from _leaves(value, f"{prefix}{key}.") if hasattr(value, "items") else [f"{prefix}{key}"]


def _panel(
    axes: Axes, found: Outcomes, settings: Sequence[Setting], x: Scale, series: dict, metric: str, splits: Sequence[str]
) -> None:
    several = len(series) > 1
    looks = [_combination(i) for i in range(len(series))] if several else [LOOK[split] for split in splits]
    for i, look in enumerate(looks if splits else ()):
        split, aside = splits[0] if several else splits[i], _aside(x, i, len(looks))
        if series:
            _curve(axes, list(series.values())[i if several else 0], x, metric, split, look, aside)
        else:
            _points(axes, settings, x, metric, split, look, aside)
    lost = [x.place(m.settings[x.key]) for m in found.members if m.diverged]
    axes.plot(lost, np.full(len(lost), 0.97), transform=axes.get_xaxis_transform(), zorder=4, **LOST)
    figure.tidy(axes)
    x.apply(axes)


def _combination(i: int) -> tuple[str, str, str]:
    return figure.CLASS_COLOURS[i], figure.CLASS_MARKERS[i], "-"


def _aside(x: Scale, i: int, count: int) -> Callable[[float], float]:
    """How series are moved apart: only beside names, which have room there."""
    by = 0.0 if x.numeric else 0.5 * ((i + 0.5) / count - 0.5)
    return lambda place: place + by


def _curve(
    axes: Axes, settings: Sequence[Setting], x: Scale, metric: str, split: str, look: tuple, aside: Callable
) -> None:
    """Mean and band at each value, and a point a member where there are several; of names no line joins them."""
    colour, marker, line = look
    known = [s for s in sorted(settings, key=lambda s: x.place(s.values[x.key])) if s.mean(metric, split)]
    places = [aside(x.place(s.values[x.key])) for s in known]
    means = [s.mean(metric, split) for s in known]
    if x.numeric:
        bands.draw(axes, places, means, split, colour, marker, line)
    else:
        bars = [mean.std or 0.0 for mean in means]
        axes.errorbar(places, [m.mean for m in means], bars, fmt=marker, color=colour, markersize=5, elinewidth=1.2)
    for place, setting, mean in zip(places, known, means, strict=True):
        if mean.count > 1:
            values = [v for m in setting.counted if (v := m.value(metric, split)) is not None]
            axes.plot([place] * len(values), values, ".", color=colour, markersize=3, alpha=0.55)


def _points(
    axes: Axes, settings: Sequence[Setting], x: Scale, metric: str, split: str, look: tuple, aside: Callable
) -> None:
    """A point a member, and through values that come again and again their mean."""
    colour, marker, line = look
    found: dict[float, list[float]] = {}
    for setting in settings:
        values = [value for m in setting.counted if (value := m.value(metric, split)) is not None]
        found.setdefault(aside(x.place(setting.values[x.key])), []).extend(values)
    found = {place: values for place, values in sorted(found.items()) if values}
    pairs = [(place, value) for place, values in found.items() for value in values]
    hollow = {"markerfacecolor": "none", "markersize": 5.5, "markeredgewidth": 0.7}  # around those of valid
    style = hollow if split == "test" else {"markersize": 3.5, "alpha": 0.7, "markeredgewidth": 0}
    axes.plot(*np.array(pairs).reshape(-1, 2).T, marker, color=colour, **style)
    if _repeated(x, settings):
        means = [mean_std(values).mean for values in found.values()]
        if x.numeric:
            axes.plot(list(found), means, color=colour, linewidth=1.2, linestyle=line)
        else:
            ends = np.array(list(found)) + np.array([[-0.1], [0.1]])
            axes.hlines(means, *ends, color=colour, linewidth=1.6)


def _repeated(x: Scale, settings: Sequence[Setting]) -> bool:
    """Whether the values of a key have two settings each, or more."""
    return len(x.values) * 2 <= len(settings)


def _log(axes: Axes, settings: Sequence[Setting], metric: str, splits: Sequence[str]) -> None:
    """A logarithmic scale for all panels where it serves."""
    values = [v for s in settings for m in s.counted for split in splits if (v := m.value(metric, split)) is not None]
    curves.scale_y(axes, {"all": (np.arange(len(values)), np.array(values))})


def _name_series(axes: Axes, series: dict[str, list[Setting]], line: str) -> None:
    """The combinations, beneath the panel."""
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle=line, markersize=3.5, linewidth=1.3, label=name)
        for name, (colour, marker, _) in zip(series, map(_combination, range(len(series))), strict=True)
    ]
    turned = any(label.get_rotation() for label in axes.get_xticklabels())
    below = axes.transAxes + ScaledTranslation(-0.1, -0.8 if turned else -0.4, axes.figure.dpi_scale_trans)
    place = {"loc": "upper left", "bbox_to_anchor": (0, 0), "bbox_transform": below, "borderaxespad": 0}
    axes.legend(handles=handles, fontsize=6.5, frameon=False, handlelength=1.6, labelspacing=0.25, **place)


def _legend(f: Figure, found: Outcomes, splits: Sequence[str], joined: bool, hollow: bool) -> None:
    """The splits as they are drawn, and what diverged, beneath the figure."""
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle=line if joined else "none", markersize=4, label=split,
               markerfacecolor="none" if hollow and split == "test" else colour)
        for split, (colour, marker, line) in ((split, LOOK[split]) for split in splits)
    ]  # fmt: skip
    if any(member.diverged for member in found.members):
        handles.append(Line2D([], [], **LOST))
    if handles:
        f.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=7.5, frameon=False)
