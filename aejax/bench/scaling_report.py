"""What the bench tells of scaling: what host devices showed, what accelerators would do on paper, and the
assumptions."""

from collections.abc import Sequence

from aejax.bench import figures, roofline, words
from aejax.bench.accelerators import ACCELERATORS, Accelerator
from aejax.bench.results import Scalings
from aejax.bench.scaling import Row, Scaling
from aejax.units import si


def measured_table(every: Sequence[Scaling]) -> str:
    """A row a net, a kind of scaling and a number of devices."""
    head = ("net", "scaling", "devices", "batch", "a step", "examples/s", "over one device")
    rows = []
    for found in every:
        for kind, of in (("weak", found.weak()), ("strong", found.strong())):
            for number, row in enumerate(of):
                took = figures.spread(row.seconds)
                told = si(took.median, "s")
                if len(row.seconds) > 1:
                    told += f" ({si(took.least, 's')}..{si(took.most, 's')})"
                rate = row.batch / took.median
                label = [found.name, kind] if number == 0 else ["", ""]
                rows.append([*label, str(row.devices), str(row.batch), told, f"{rate:,.0f}", _over_one(of, row)])
    return words.table(head, rows, 2)


def _over_one(of: Sequence[Row], row: Row) -> str:
    """The examples a second over those of one device, round by round."""
    one = next((each for each in of if each.devices == 1), None)
    if one is None or one is row:
        return words.NONE
    rates = [[each.batch / seconds for seconds in each.seconds] for each in (row, one)]
    return words.times(figures.spread(figures.ratios(*rates)), brackets=False)


def costs_table(every: Sequence[Scaling]) -> str:
    """A row a net: what a step on its batch has."""
    head = ("net", "batch", "parameters", "products a step", "an example", "bytes a step", "FLOP a byte",
            "state", "gradient")  # fmt: skip

    def row(found: Scaling) -> list[str]:
        net = found.net()
        flops, moved = net.flops.at(found.batch), net.bytes.at(found.batch)
        return [
            found.name, str(found.batch), f"{found.parameters:,}", si(flops, "FLOP"), si(net.flops.each, "FLOP"),
            si(moved, "B"), f"{flops / moved:.1f}", si(found.state, "B"), si(net.gradient, "B"),
        ]  # fmt: skip

    return words.table(head, map(row, every), 1)


def paper_table(every: Sequence[Scaling]) -> str:
    """A row a net, accelerator and precision."""
    head = ("net", "on", "computing in", "a step on one", "most of it", "all-reduce on all", "weak: taken over at",
            "efficiency on all", "strong: taken over at", "fastest on", "times as fast")  # fmt: skip
    rows = []
    for found in every:
        for chip in ACCELERATORS:
            for precision in chip.peaks:
                rows.append(
                    [found.name, f"{chip.name} x {chip.counts[-1]}", precision, *_cells(chip, precision, found)]
                )
    return words.table(head, rows, 3)


def _cells(chip: Accelerator, precision: str, found: Scaling) -> list[str]:
    net, most = found.net(), chip.counts[-1]
    weak, strong = roofline.weak(chip, precision, net), roofline.strong(chip, precision, net)
    one, best = weak[1], roofline.fastest(strong)
    bound = "computing" if one.compute > one.memory else "memory"
    return [
        si(one.step, "s"), bound, si(weak[most].communication, "s"), _chips(roofline.taken_over(weak)),
        f"{one.step / weak[most].step:.0%}", _chips(roofline.taken_over(strong)), _chips(best),
        f"{one.step / strong[best].step:.1f}",
    ]  # fmt: skip


def _chips(n: int | None) -> str:
    return "never" if n is None else str(n)


def verdicts(every: Sequence[Scaling]) -> list[str]:
    """For each net in words what more chips would give at its own batch, in float32."""
    told = []
    for found in every:
        for chip in ACCELERATORS:
            strong = roofline.strong(chip, "float32", found.net())
            best = roofline.fastest(strong)
            gain = strong[1].step / strong[best].step
            room = f"of its {si(chip.memory, 'B')} of memory the state takes {si(found.state, 'B')}"
            if best == 1:
                several = f"one {chip.name} is enough, more are slower"
            else:
                several = f"{best} {chip.name} are fastest, {gain:.1f} times as fast as one"
            told.append(f"{found.name}, batch {found.batch}: {several}; {room}.")
    return told


def assumptions() -> list[str]:
    """What the figures on paper take for granted, a sentence or two each."""
    return [
        "Arithmetic is that of the products of matrices and convolutions of a step, counted in the traced program; "
        f"{roofline.ATTAINED:.0%} of a chip's peak is attained. That is a guess, and generous to small nets: "
        "a batch of 32 does not fill a matrix unit of 128 x 128.",
        "Bytes are those that XLA counts in the step that it compiled for one device of this machine's CPU, at the "
        "batch and at a part of it; between and beyond the two they lie on a line. Accelerators fuse other operations "
        "and keep small arrays on the chip, and CPU convolutions, lowered as products of matrices, move more: for them "
        f"it is an upper bound. {roofline.STREAMED:.0%} of the memory's bandwidth is attained, a guess too. Bytes are "
        "float32's in bfloat16 as well.",
        "A chip's own time is the longer of computing and moving bytes. Communication comes after it, none of it "
        "hidden: it is one all-reduce of the float32 gradients of all parameters, the links at their peak, with a "
        "latency for each step of the ring. Communication takes over where it is longer than the chip's own time.",
        "Every chip updates all parameters: the bytes of weights and optimiser do not shrink with more chips, which is "
        "what holds back a wide net with a small batch under strong scaling.",
        "What a global batch also asks for is not counted: winners of a winner-take-all over it (a sum over chips for "
        "each bit of a threshold), batch statistics, sums of the loss.",
        "Neither is the time to start an operation: some microseconds each on a GPU, tens of them a step, which for "
        "nets as small as these is more than all that is counted. Steps of one call follow each other without "
        "the host.",
        "Weak scaling has the config's batch on each chip, strong scaling has it over all of them, one example a chip "
        "at least: beyond as many chips as examples the rest computes padding.",
        "The train split lies on every chip: no example comes from the host or another chip.",
    ]  # fmt: skip


def text(results: Scalings) -> str:
    """All tables, what they were taken on, and what they assume."""
    every = results.nets
    rows = [row for found in every for row in found.rows]
    missing = [f"{f.name}, {words.count(r.devices, 'device')}, batch {r.batch}, is missing: {r.missing}"
               for f in every for r in f.rows if r.missing]  # fmt: skip
    sections = [
        words.about(results.machine, rows),
        "## Host devices, measured",
        measured_table(every),
        "\n".join(missing),
        _meaning(results),
        "## What a step costs",
        costs_table(every),
        "## Accelerators, on paper",
        paper_table(every),
        "\n".join(f"- {line}" for line in verdicts(every)),
        "Assumptions:",
        "\n".join(f"- {line}" for line in assumptions()),
        "Numbers of the makers:",
        "\n".join(f"- {chip.name}: {' '.join(chip.sources)}" for chip in ACCELERATORS),
    ]
    return "\n\n".join(section for section in sections if section)


def _meaning(results: Scalings) -> str:
    settings, cores = results.settings, results.machine["cores"]
    repeats = words.count(settings["repeats"], "interleaved repeat")
    return (
        f"Host devices are threads of one process that share {words.count(cores, 'core')} of this machine: they show "
        f"that a program runs on many devices and what splitting it costs, and no speed that many machines would have. "
        f"More devices than {cores} cannot be faster, and one device uses every core already. Medians (least..most) of "
        f"{repeats} of about {settings['seconds']:g} s, each number of devices in a process of its own. weak: the "
        "config's batch on each device; strong: over all of them. over one device: examples a second, round by round."
    )
