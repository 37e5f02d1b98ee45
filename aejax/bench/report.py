"""What a bench tells: a table with a row a net, one with a row an operator, and what each framework showed on each."""

import math
from collections.abc import Sequence

from aejax.bench import figures, nets, words
from aejax.bench.frameworks import OURS
from aejax.bench.results import Results
from aejax.bench.sitting import PART, PARTS, STEPS, Row, Sitting
from aejax.bench.timing import SHARE, Timing

AGREE = 0.05  # losses further apart than this share, and than they wander by themselves, are told


def rates(found: Sitting | Timing) -> dict[str, list[float]]:
    """The repeats, images/s or calls/s, of each framework that has figures."""
    return {row.framework: row.rates for row in found.rows if not row.missing}


def peers(every: Sequence[Sitting | Timing]) -> list[str]:
    """The frameworks beside aejax that any of them has a row of, in order."""
    return list(dict.fromkeys(row.framework for found in every for row in found.rows if row.framework != OURS))


def ratio(found: Sitting | Timing, peer: str) -> figures.Spread | None:
    """aejax's rate over the peer's, round by round; None where either has none."""
    known = rates(found)
    if peer == OURS or not {peer, OURS} <= known.keys():
        return None
    return figures.spread(figures.ratios(known[OURS], known[peer]))


def fastest(found: Sitting | Timing) -> str | None:
    """The peer that aejax has the least ratio over; None without any."""
    over = {name: ratio(found, name) for name in rates(found)}
    return min((name for name in over if over[name]), key=lambda name: over[name].median, default=None)


def label(found: Sitting | Timing) -> str:
    """Its name, and its precision where that is not float32."""
    precision = getattr(found, "precision", "float32")
    return found.name + (f", {precision}" if precision != "float32" else "")


# -- tables


def net_table(sittings: Sequence[Sitting]) -> str:
    """A row a net: aejax, its ratio over the fastest peer and over each."""
    others = peers(sittings)
    over = ["over the fastest", *others] if others else []
    head = ["net", "batch", "aejax, images/s", *over, "first step, s", "memory, MB", "share of peak"]

    def row(found: Sitting) -> list[str]:
        ours = next(row for row in found.rows if row.framework == OURS)
        ratios = [words.times(ratio(found, fastest(found) or ""))] if others else []
        ratios += [words.times(ratio(found, peer), brackets=False) for peer in others]
        cells = ["missing", *ratios, *[""] * 3] if ours.missing else [_rate(ours)[0], *ratios, *_costs(found, ours)]
        return [label(found), str(found.batch), *cells]

    return words.table(head, map(row, sittings), 1)


def operator_table(timings: Sequence[Timing]) -> str:
    """A row an operator: aejax's time for a call, its arithmetic, its ratio over the fastest peer and over each."""
    others = peers(timings)
    over = ["over the fastest", *others] if others else []

    def row(found: Timing) -> list[str]:
        known = rates(found)
        cells = [words.NONE, words.NONE]
        if OURS in known:
            rate = figures.spread(known[OURS]).median
            cells = [f"{1e6 / rate:,.0f}", f"{found.operations * rate / 1e9:,.0f}" if found.operations else words.NONE]
        ratios = [words.times(ratio(found, fastest(found) or ""))] if others else []
        return [found.name, *cells, *ratios, *(words.times(ratio(found, peer), brackets=False) for peer in others)]

    return words.table(["operator", "aejax, µs", "GFLOP/s", *over], map(row, timings), 1)


def detail(sittings: Sequence[Sitting]) -> str:
    """A row a net and framework."""
    head = ("net", "framework", "images/s", "aejax is", "loss", "first step, s", "memory, MB", "share of peak")

    def cells(found: Sitting, row: Row) -> list[str]:
        if row.missing:
            return [f"missing: {row.missing}", *[""] * (len(head) - 3)]
        loss = f"{figures.mean(row.losses):.5g}" if _finite(row) else "not finite"
        return [" ".join(_rate(row)), words.times(ratio(found, row.framework)), loss, *_costs(found, row)]

    rows = []
    for found in sittings:
        for number, row in enumerate(found.rows):
            rows.append([f"{label(found)}: {found.title}" if number == 0 else "", row.framework, *cells(found, row)])
    return words.table(head, rows, 2)


def _rate(row: Row) -> tuple[str, str]:
    rate = figures.spread(row.rates)
    return f"{rate.median:,.0f}", f"({rate.least:,.0f}..{rate.most:,.0f})"


def _costs(found: Sitting, row: Row) -> list[str]:
    """First step, memory, share of the peak."""
    share = words.NONE
    if found.operations:
        share = f"{figures.spread(figures.shares(row.rates, found.operations, found.peaks)).median:.0%}"
    return [f"{row.first_step:.1f}", f"{row.memory / 1e6:,.0f}", share]


def _losses(found: Sitting) -> dict[str, float]:
    """The finite ones by framework."""
    return {row.framework: figures.mean(row.losses) for row in found.rows if not row.missing and _finite(row)}


def _finite(row: Row) -> bool:
    return all(loss is not None and math.isfinite(loss) for loss in row.losses)


# -- sentences


def verdicts(found: Sitting) -> list[str]:
    """What is amiss with a net: losses that tell of other work, fewer steps before they were compared."""
    told = []
    known = [row for row in found.rows if not row.missing]
    strange = [row.framework for row in known if not _finite(row)]
    if strange:
        told.append(f"{label(found)}: the loss of {', '.join(strange)} is not finite.")
    losses = _losses(found)
    if len(losses) > 1:
        apart = figures.disagreement(list(losses.values()))
        own = max(figures.wander(row.losses) for row in known if row.framework in losses)
        if apart > max(AGREE, own):
            values = ", ".join(f"{name} {loss:.5g}" for name, loss in losses.items())
            told.append(
                f"{label(found)}: the losses DIFFER by {apart:.1%}, by one seed each or because not "
                f"all did the same work: {values}."
            )
    return told


def agreement(sittings: Sequence[Sitting]) -> list[str]:
    """Which nets' losses were compared earlier than others', and by how much those that agree differ at most."""
    fewer = [f"{label(found)} {found.compared}" for found in sittings if found.compared < STEPS]
    lines = [line for found in sittings for line in verdicts(found)]
    several = [found for found in sittings if len([row for row in found.rows if not row.missing]) > 1]
    if several and not lines:
        most = max(figures.disagreement(list(_losses(found).values())) for found in several)
        lines.append(f"The losses of all frameworks agree to within {most:.1%}, on each of {len(several)} nets.")
    if fewer:
        lines.append(f"Losses were compared after {STEPS} steps, of slow nets after fewer: {', '.join(fewer)}.")
    return lines


def caption(results: Results) -> str:
    """What the figures were taken on."""
    machine = results.machine
    on = machine["accelerator"] or f"{machine['processor']}, {words.count(machine['cores'], 'core')}"
    return f"aejax's speed over other frameworks'\n{on}; a mark the median, a line least to most"


def text(results: Results) -> str:
    """All tables, what they were taken on, and what their columns mean."""
    sections = [words.about(results.machine, _rows(results))]
    if results.nets:
        sections += [net_table(results.nets), "\n".join([*agreement(results.nets), *_generated(results.nets)])]
    if results.operators:
        sections += ["Operators by themselves:", operator_table(results.operators)]
    if results.nets:
        sections += ["Every framework:", detail(results.nets)]
    return "\n\n".join(section for section in [*sections, _meaning(results), words.how(_worked(results))] if section)


def _rows(results: Results) -> list[Row]:
    return [row for found in [*results.nets, *results.operators] for row in found.rows]


def _generated(sittings: Sequence[Sitting]) -> list[str]:
    """Which nets were trained on generated examples."""
    names = {label(found): found.data for found in sittings if nets.generated(found.data)}
    if not names:
        return []
    told = ", ".join(f"{name} ({data.removeprefix(nets.GENERATED)})" for name, data in names.items())
    return [f"Trained on generated examples, of the shape and type that the config's own data have: {told}."]


def _meaning(results: Results) -> str:
    settings = results.settings
    lines = [
        f"Measured on {words.device(results.machine)}. Medians (least..most) of "
        f"{words.count(settings['repeats'], 'interleaved repeat')} of about "
        f"{settings['seconds']:g} s for a net and {SHARE * settings['seconds']:g} s for an operator. "
        "Ratios are aejax's rate over the other's, round by round: above 1 aejax is faster; "
        "the fastest is the one that it is least ahead of."
    ]
    if results.nets:
        peaks: dict[str, list[float]] = {}
        for found in results.nets:
            peaks.setdefault(found.precision, []).extend(found.peaks)
        found = ", ".join(f"{figures.spread(p).median / 1e9:,.0f} GFLOP/s in {name}" for name, p in peaks.items() if p)
        lines.append(
            f"loss: per example, the mean over the last {PARTS / PART:.0%} of the steps before timing. "
            "first step: from the start of the process to the end of the first training step, compilation caches "
            f"empty. memory: {words.memory(_rows(results))}. share of peak: arithmetic of the products with kernels "
            f"over a product of square matrices measured in every round, {found}."
        )
    if results.operators:
        lines.append("GFLOP/s: of an operator's three products, forward and both gradients.")
    return " ".join(lines)


def _worked(results: Results) -> list[tuple[str, str, str]]:
    """Framework, way and net or operator, of every row."""
    every = [*results.nets, *results.operators]
    return [(row.framework, row.how, label(found)) for found in every for row in found.rows]
