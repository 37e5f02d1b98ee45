"""A row's figure: what its lines came to, beside what is published."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aejax.analysis import figure

COLOURS = (figure.BLUE, figure.ORANGE, figure.GREEN, figure.PURPLE, figure.BLACK, figure.SKY)
MARKERS = ("o", "s", "^", "v", "P", "X")
APART = 0.22  # of two figures of one line, in lines


def draw(row: Mapping[str, Any]) -> Figure | None:
    """A panel for each kind of measure, a line in it for each of the table's; None of a row without figures."""
    known = [line for line in row["lines"] if line["figures"]]
    if not known:
        return None
    panels: dict[str, list[Mapping[str, Any]]] = {}
    for line in known:
        panels.setdefault(line["measure"], []).append(line)
    heights = [0.75 + 0.3 * len(lines) for lines in panels.values()]
    drawn = figure.new(height=0.8 + sum(heights))
    every = drawn.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    names = list(dict.fromkeys(name for line in known for name in line["figures"]))
    for axes, (measure, lines) in zip(every, panels.items(), strict=True):
        _panel(axes, lines, names)
        axes.set_xlabel(measure, fontsize=8)
    handles = {label: handle for axes in every for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    columns = figure.legend_columns(list(handles), drawn.get_figwidth())
    style = {"fontsize": 7, "frameon": False, "ncols": columns}
    drawn.legend(handles.values(), handles.keys(), loc="outside lower center", **style)
    figure.set_title(drawn, f"{row['title']}\nmean and standard deviation over seeds or draws")
    return drawn


def _panel(axes: Axes, lines: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    for place, line in enumerate(lines):
        mine = list(line["figures"])
        for number, name in enumerate(mine):
            found, i = line["figures"][name], names.index(name)
            y = place + APART * (number - (len(mine) - 1) / 2)
            colour, marker = COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]
            style = {"color": colour, "marker": marker, "markersize": 4.5, "linewidth": 1.2, "capsize": 2}
            axes.errorbar(found["mean"], y, xerr=found["std"] or None, linestyle="", label=name or "here", **style)
            if name in line["published"]:
                style = {"edgecolor": figure.VERMILLION, "facecolor": "none", "marker": "D", "s": 34, "zorder": 3}
                axes.scatter(line["published"][name], y, label="published", **style)
    axes.set_yticks(range(len(lines)), [line["setting"] for line in lines], fontsize=7)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    figure.tidy(axes)
    axes.tick_params(axis="x", labelsize=7)
    axes.grid(axis="x", color="#E4E4E4", linewidth=0.6)
