"""The picture: seconds of a step against the number of devices, measured on host devices and on paper; a row a net."""

import math
import re
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, NullLocator

from aejax.analysis import figure as drawing
from aejax.bench import figures, roofline, words
from aejax.bench.accelerators import ACCELERATORS
from aejax.bench.results import Scalings
from aejax.bench.scaling import Row, Scaling
from aejax.units import si

# Told apart by colour in every common form of colour blindness, by marker and by dash.
WEAK = {"color": drawing.BLUE, "marker": "o", "markersize": 6, "markerfacecolor": "none", "linewidth": 2.2}
STRONG = {"color": drawing.VERMILLION, "marker": "s", "markersize": 3.2, "linewidth": 1.1}
REDUCE = {"color": drawing.BLACK, "marker": "^", "markersize": 3.5, "linewidth": 1.1, "linestyle": "--"}
PRECISION = "float32"


def draw(results: Scalings) -> Figure:
    """Host devices on the left, an accelerator a column beside them."""
    every = results.nets
    page = drawing.new(drawing.PAGE, 1.2 + 1.9 * len(every))
    grid = page.subplots(len(every), 1 + len(ACCELERATORS), squeeze=False)
    for row, found in zip(grid, every, strict=True):
        _measured(row[0], found)
        for axes, chip in zip(row[1:], ACCELERATORS, strict=True):
            net = found.net()
            _paper(axes, roofline.weak(chip, PRECISION, net), roofline.strong(chip, PRECISION, net))
    for axes in grid[-1]:
        axes.set_xlabel("devices", fontsize=8)
    for axes, title in zip(
        grid[0], ("host devices, measured", *(f"{c.name}, on paper" for c in ACCELERATORS)), strict=True
    ):
        axes.set_title(title, fontsize=8.5)
    for axes, found in zip(grid[:, 0], every, strict=True):
        axes.set_ylabel(f"{found.name}, batch {found.batch}", fontsize=8)
    told = ("batch of the config on each device", "batch of the config over all", "of it the all-reduce (paper)")
    for style, label in zip((WEAK, STRONG, REDUCE), told, strict=True):
        grid[0, 0].plot([], [], label=label, **style)
    page.legend(loc="outside lower center", ncols=3, fontsize=7.5, frameon=False)
    cores = words.count(results.machine["cores"], "core")
    drawing.set_title(page, f"Seconds of a step against the number of devices, {PRECISION}; host devices share {cores}")
    return page


def _measured(axes: Axes, found: Scaling) -> None:
    for rows, style in ((found.weak(), WEAK), (found.strong(), STRONG)):
        _line(axes, rows, style)
    _scale(axes, sorted({row.devices for row in found.rows}))


def _line(axes: Axes, rows: Sequence[Row], style: Mapping) -> None:
    """Medians, and the range of the repeats."""
    spreads = [figures.spread(row.seconds) for row in rows]
    counts = [row.devices for row in rows]
    axes.plot(counts, [each.median for each in spreads], **style)
    axes.vlines(counts, [each.least for each in spreads], [each.most for each in spreads], color=style["color"])


def _paper(axes: Axes, weak: Mapping[int, roofline.Times], strong: Mapping[int, roofline.Times]) -> None:
    for found, style in ((weak, WEAK), (strong, STRONG)):
        axes.plot(list(found), [each.step for each in found.values()], **style)
    several = [n for n in weak if n > 1]
    axes.plot(several, [weak[n].communication for n in several], **REDUCE)
    _scale(axes, list(weak))


def _scale(axes: Axes, counts: Sequence[int]) -> None:
    """Logarithmic both ways, seconds with their unit."""
    drawing.tidy(axes)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(FixedLocator([n for n in counts if len(counts) < 6 or math.log2(n) % 2 == 0]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    low, high = axes.get_ylim()
    if high < 10 * low:  # or there would be no number on the axis
        axes.set_ylim(low / math.sqrt(10 * low / high), high * math.sqrt(10 * low / high))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    axes.yaxis.set_major_formatter(lambda value, _: re.sub(r"\.0+ ", " ", si(value, "s")))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(labelsize=7)
