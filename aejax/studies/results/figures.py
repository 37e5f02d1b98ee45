"""A row's figure: what its lines came to, beside what is published."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aejax.analysis import figure

COLOURS = [colour for colour in figure.CLASS_COLOURS if colour != figure.VERMILLION]  # which is what is published
FIGURE, LINE = 0.12, 0.3  # heights in inches: of each of a line's figures, and of a line at least


def draw(row: Mapping[str, Any]) -> Figure | None:
    """A panel for each kind of measure, a line in it for each of the table's; None of a row without figures."""
    known = [line for line in row["lines"] if line["figures"]]
    if not known:
        return None
    panels: dict[str, list[Mapping[str, Any]]] = {}
    for line in known:
        panels.setdefault(line["measure"], []).append(line)
    heights = [0.75 + sum(map(_height, lines)) for lines in panels.values()]
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
    spread = any(found["std"] for line in known for found in line["figures"].values())
    figure.set_title(drawn, row["title"] + spread * "\nbars: standard deviation over seeds or draws")
    return drawn


def _height(line: Mapping[str, Any]) -> float:
    return max(LINE, FIGURE * (1 + len(line["figures"])))


def _panel(axes: Axes, lines: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    ends = np.cumsum([_height(line) for line in lines])
    places = ends - 0.5 * np.array([_height(line) for line in lines])
    for place, line in zip(places, lines, strict=True):
        mine = list(line["figures"])
        for number, name in enumerate(mine):
            found, i = line["figures"][name], names.index(name)
            y = place + FIGURE * (number - (len(mine) - 1) / 2)
            colour, marker = COLOURS[i % len(COLOURS)], figure.CLASS_MARKERS[i % len(figure.CLASS_MARKERS)]
            style = {"color": colour, "marker": marker, "markersize": 4.5, "linewidth": 1.2, "capsize": 2}
            axes.errorbar(found["mean"], y, xerr=found["std"] or None, linestyle="", label=name or "here", **style)
            if name in line["published"]:
                style = {"edgecolor": figure.VERMILLION, "facecolor": "none", "marker": "D", "s": 34, "zorder": 3}
                axes.scatter(line["published"][name], y, label="published", **style)
    axes.set_yticks(places, [line["setting"] for line in lines], fontsize=7)
    axes.set_ylim(ends[-1], 0)
    figure.tidy(axes)
    axes.tick_params(axis="x", labelsize=7)
    axes.grid(axis="x", color="#E4E4E4", linewidth=0.6)
