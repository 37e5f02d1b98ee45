"""What a bench tells: a table, its raw numbers, and a picture of bars."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from aejax.analysis import figure as drawing
from aejax.bench import figures
from aejax.bench.sitting import LAST, OURS, STEPS, Row, Sitting

HEAD = ("net", "framework", "images/s", "aejax is", "loss", "first step, s", "memory, MB", "share of peak")
COLOURS = (drawing.VERMILLION, drawing.SKY, drawing.BLUE, drawing.GREEN, drawing.YELLOW, drawing.PURPLE)
AGREE = 0.05  # losses further apart than this share are told


def rates(sitting: Sitting) -> dict[str, list[float]]:
    """The repeats, images/s, of each framework that has figures."""
    return {row.framework: row.rates for row in sitting.rows if not row.missing}


def table(sittings: Sequence[Sitting]) -> str:
    """The figures as a Markdown table, one line a net and framework."""
    lines = ["| " + " | ".join(HEAD) + " |", "| --- | --- |" + " ---: |" * (len(HEAD) - 2)]
    for sitting in sittings:
        for number, row in enumerate(sitting.rows):
            net = f"{sitting.name}: {sitting.title}" if number == 0 else ""
            lines.append("| " + " | ".join([net, row.framework, *_cells(sitting, row)]) + " |")
    return "\n".join(lines)


def _cells(sitting: Sitting, row: Row) -> list[str]:
    if row.missing:
        return [f"missing: {row.missing.replace('|', '/')}", *[""] * (len(HEAD) - 3)]
    rate = figures.spread(row.rates)
    share = "—"
    if sitting.operations:
        share = f"{figures.spread(figures.shares(row.rates, sitting.operations, sitting.peaks)).median:.0%}"
    return [
        f"{rate.median:,.0f} ({rate.least:,.0f}..{rate.most:,.0f})",
        _ratio(sitting, row.framework),
        f"{row.loss:.5g}",
        f"{row.first_step:.1f}",
        f"{row.memory / 1e6:,.0f}",
        share,
    ]


def _ratio(sitting: Sitting, peer: str) -> str:
    """``2.31× (2.20..2.40)``: aejax's rate over the peer's, round by round."""
    known = rates(sitting)
    if peer == OURS.name or OURS.name not in known:
        return "—"
    ratio = figures.spread(figures.ratios(known[OURS.name], known[peer]))
    return f"{ratio.median:.2f}× ({ratio.least:.2f}..{ratio.most:.2f})"


def summary(sitting: Sitting) -> list[str]:
    """What the figures of a net come to: aejax beside the fastest peer, and whether all did the same work."""
    known = rates(sitting)
    lines = []
    peer = figures.fastest({name: r for name, r in known.items() if name != OURS.name})
    if peer and OURS.name in known:
        lines.append(f"{sitting.name}: aejax is {_ratio(sitting, peer)} as fast as the fastest peer, {peer}.")
    losses = [row.loss for row in sitting.rows if not row.missing]
    if len(losses) > 1:
        apart = figures.disagreement(losses)
        judged = "agree" if apart <= AGREE else "DIFFER: not the same work"
        lines.append(f"{sitting.name}: the losses {judged} within {apart:.1%}.")
    return lines


def text(about: Mapping[str, Any], sittings: Sequence[Sitting]) -> str:
    """The table with what it was taken on, and what its columns mean."""
    machine, settings = about["machine"], about["settings"]
    versions: dict[str, str] = {}
    for row in (row for sitting in sittings for row in sitting.rows):
        versions |= {"python": machine["python"]} | row.versions if row.framework == OURS.name else row.versions
    how = {row.framework: row.how for sitting in sittings for row in sitting.rows if row.how}
    peaks = [peak for sitting in sittings for peak in sitting.peaks]
    found = f"{figures.spread(peaks).median / 1e9:.0f} GFLOP/s" if peaks else "not measured"
    return "\n".join([
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}; "
        + ", ".join(f"{name} {version}" for name, version in versions.items()),
        "",
        table(sittings),
        "",
        *(line for sitting in sittings for line in summary(sitting)),
        "",
        f"Training in float32 on the CPU, {machine['cores']} threads each. images/s: the median (least..most) of "
        f"{settings['repeats']} interleaved repeats of about {settings['seconds']:g} s. aejax is: its rate over "
        f"this framework's, round by round. loss: per example, the mean over steps {STEPS - LAST + 1} to {STEPS}. "
        "first step: from the start of the process to the end of the first training step, compilation caches empty. "
        f"memory: the process's peak. share of peak: arithmetic of the matrix products over a float32 product of "
        f"square matrices measured in every round, {found}.",
        "",
        *(f"{name}: {said}." for name, said in how.items()),
    ])  # fmt: skip


def numbers(about: Mapping[str, Any], sittings: Sequence[Sitting]) -> dict[str, Any]:
    """Everything measured, raw repeats included, for JSON."""
    return {**about, "nets": [dataclasses.asdict(sitting) for sitting in sittings]}


def draw(sittings: Sequence[Sitting], caption: str) -> Figure:
    """A panel a net, a bar a framework: the median of images/s, a dot a repeat, and how many times as fast aejax is."""
    columns = min(3, len(sittings))
    rows = -(-len(sittings) // columns)
    most = max(len(sitting.rows) for sitting in sittings)
    page = drawing.new(max(drawing.PAGE * columns / 3, 4.5), rows * (0.8 + 0.28 * most) + 0.5)
    panels = page.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(sittings) :]:
        axes.set_axis_off()
    for number, (axes, sitting) in enumerate(zip(panels, sittings, strict=False)):
        _draw_net(axes, sitting, names=number % columns == 0)
    drawing.set_title(page, caption)
    return page


def _draw_net(axes, sitting: Sitting, names: bool) -> None:
    known = rates(sitting)
    places = range(len(sitting.rows))
    for place, row, colour in zip(places, sitting.rows, COLOURS * len(sitting.rows), strict=False):
        repeats = known.get(row.framework)
        if not repeats:
            axes.text(0, place, " missing", va="center", fontsize=7, color=drawing.GREY)
            continue
        middle = figures.spread(repeats).median
        axes.barh(place, middle, color=colour, height=0.72)
        axes.plot(repeats, [place] * len(repeats), "o", color=drawing.BLACK, markersize=1.8, markeredgewidth=0)
        ratio = "" if row.framework == OURS.name else f"  ({_ratio(sitting, row.framework).split()[0]})"
        axes.annotate(f"{middle:,.0f}{ratio}", (max(repeats), place), (4, 0), textcoords="offset points", va="center",
                      fontsize=6.5)  # fmt: skip
    drawing.tidy(axes)
    axes.grid(visible=False)
    axes.set_yticks(places, [row.framework if names else "" for row in sitting.rows], fontsize=7.5)
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.45 * max((max(r) for r in known.values()), default=1.0))
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.tick_params(axis="x", labelsize=6.5)
    axes.set_xlabel("images/s", fontsize=7.5)
    axes.set_title(f"{sitting.name}\n{sitting.title}", fontsize=8)
