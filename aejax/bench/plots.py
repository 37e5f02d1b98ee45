"""The picture: for each net or operator how many times as fast aejax is as each framework,
on a logarithmic axis."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from aejax.analysis import figure as drawing
from aejax.bench import figures, report
from aejax.bench.frameworks import OURS
from aejax.bench.sitting import Sitting
from aejax.bench.timing import Timing

# Told apart by colour in every common form of colour blindness, and by shape.
STYLES = {
    "PyTorch eager": (drawing.SKY, "o"),
    "torch.compile": (drawing.BLUE, "s"),
    "Keras fit": (drawing.ORANGE, "^"),
    "Keras fit, 32 steps/call": (drawing.VERMILLION, "v"),
    "Keras": (drawing.ORANGE, "^"),
    "pythae": (drawing.GREEN, "D"),
}
OTHER = (drawing.PURPLE, "X")
TICKS = [m * 10.0**e for e in range(-3, 4) for m in (1, 2, 5)]


def draw(every: Sequence[Sitting] | Sequence[Timing], caption: str) -> Figure:
    """A line of the figure for each, the first on top: a dot a framework, and the range of its repeats."""
    page = drawing.new(drawing.PAGE, 1.3 + 0.24 * len(every))
    axes = page.subplots()
    peers = report.peers(every)
    for place, found in enumerate(every):
        _draw_one(axes, place, found, peers)
    for peer in peers:
        colour, marker = STYLES.get(peer, OTHER)
        axes.plot([], [], marker, color=colour, markersize=5, label=f"over {peer}")
    drawing.tidy(axes)
    axes.grid(axis="x", color="#E4E4E4", linewidth=0.6)
    axes.axvline(1.0, color=drawing.BLACK, linewidth=0.8, zorder=1)
    axes.set_yticks(range(len(every)), [_name(found) for found in every], fontsize=7)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(every) - 0.4, -0.6)
    _scale(axes, every, peers)
    if peers:
        page.legend(loc="outside lower center", ncols=3, fontsize=7.5, frameon=False)
    drawing.set_title(page, caption)
    return page


def _draw_one(axes: Axes, place: int, found: Sitting | Timing, peers: Sequence[str]) -> None:
    """The dots of one net, a little above one another, so that none hides behind another."""
    for number, peer in enumerate(peers):
        ratio = report.ratio(found, peer)
        if ratio is None:
            continue
        height = place + 0.6 * ((number + 0.5) / len(peers) - 0.5)
        colour, marker = STYLES.get(peer, OTHER)
        axes.plot([ratio.least, ratio.most], [height, height], color=colour, linewidth=1.1, zorder=2)
        axes.plot([ratio.median], [height], marker, color=colour, markersize=3.8, markeredgewidth=0, zorder=3)


def _name(found: Sitting | Timing) -> str:
    """Its name, and aejax's own speed."""
    repeats = report.rates(found).get(OURS)
    if not repeats:
        return report.label(found)
    rate = figures.spread(repeats).median
    speed = f"{rate:,.0f} images/s" if isinstance(found, Sitting) else f"{1e6 / rate:,.0f} µs"
    return f"{report.label(found)}  ({speed})"


def _scale(axes: Axes, every: Sequence[Sitting | Timing], peers: Sequence[str]) -> None:
    """A logarithmic axis over all ratios, with 1 on it."""
    ratios = [ratio for found in every for peer in peers if (ratio := report.ratio(found, peer))]
    least, most = min((1.0, *(r.least for r in ratios))), max((1.0, *(r.most for r in ratios)))
    axes.set_xscale("log")
    axes.set_xlim(least / 1.25, most * 1.25)
    axes.xaxis.set_major_locator(FixedLocator([t for t in TICKS if least / 1.25 <= t <= most * 1.25]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axes.set_xlabel("times as fast", fontsize=8, labelpad=14)
    for side, told in (("right", "← the other is faster  "), ("left", "  aejax is faster →")):
        axes.annotate(told, (1.0, 0), (0, -15), ("data", "axes fraction"), "offset points",
                      ha=side, va="top", fontsize=7.5)  # fmt: skip
