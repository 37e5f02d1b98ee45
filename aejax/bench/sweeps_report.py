"""What the bench tells of many models together: a table with a row a way of training them."""

from collections.abc import Sequence

from aejax.bench import figures, words
from aejax.bench.report import AGREE
from aejax.bench.results import Sweeps
from aejax.bench.sweeps import AGAINST, TOGETHER, Row, Sweep


def over(found: Sweep, row: Row) -> figures.Spread | None:
    """A row's seconds over those of training together, round by round; None for itself, or where either has none."""
    known = {each.name: each.seconds for each in found.rows if not each.missing}
    if row.name == TOGETHER or not {row.name, TOGETHER} <= known.keys():
        return None
    return figures.spread(figures.ratios(known[row.name], known[TOGETHER]))


def table(every: Sequence[Sweep]) -> str:
    """A row an experiment and way."""
    head = ("experiment", "trained by", "seconds", "over together", "loss", "memory, MB")

    def cells(found: Sweep, row: Row) -> list[str]:
        if row.missing:
            return [f"missing: {row.missing}", *[""] * (len(head) - 3)]
        took = figures.spread(row.seconds)
        seconds = f"{took.median:.1f}" + (f" ({took.least:.1f}..{took.most:.1f})" if len(row.seconds) > 1 else "")
        loss = "not finite" if None in row.losses else f"{figures.mean(row.losses):.5g}"
        ratio = words.times(over(found, row), brackets=len(row.seconds) > 1)
        return [seconds, ratio, loss, f"{row.memory / 1e6:,.0f}"]

    rows = []
    for found in every:
        for number, row in enumerate(found.rows):
            rows.append([_title(found) if number == 0 else "", row.name, *cells(found, row)])
    return words.table(head, rows, 2)


def _title(found: Sweep) -> str:
    """``five seeds: shallow, mnist5k, 3,933 images, 5 epochs each``."""
    epochs = words.count(found.epochs, "epoch")
    return f"{found.title}: {found.config} on {found.data}, {found.examples:,} examples, {epochs} each"


def agreement(every: Sequence[Sweep]) -> list[str]:
    """Which models' losses differ from one row to another, or by how much at most."""
    told, most, several = [], 0.0, 0
    for found in every:
        for number, model in enumerate(found.models):
            losses = {r.name: r.losses[number] for r in found.rows if not r.missing and len(r.losses) > number}
            finite = {name: loss for name, loss in losses.items() if loss is not None}
            if strange := [name for name in losses if name not in finite]:
                told.append(f"{found.title}, {model}: the loss of {', '.join(strange)} is not finite.")
            if len(finite) > 1:
                apart = figures.disagreement(list(finite.values()))
                most, several = max(most, apart), several + 1
                if apart > AGREE:
                    values = ", ".join(f"{name} {loss:.5g}" for name, loss in finite.items())
                    told.append(f"{found.title}, {model}: the losses DIFFER by {apart:.1%}: {values}.")
    if several and not told:
        told.append(f"The losses of all rows agree to within {most:.1%}, on each of {words.count(several, 'model')}.")
    return told


def as_long(every: Sequence[Sweep]) -> list[str]:
    """How many times as long as one model all of them together take, where one was measured."""
    told = []
    for found in every:
        alone = next((row for row in found.rows if row.name == AGAINST["one"]), None)
        if alone and (ratio := over(found, alone)):
            models = words.count(len(found.models), "model")
            told.append(f"{found.title}: {models} together take {1 / ratio.median:.2f} times as long as one of them.")
    return told


def text(results: Sweeps) -> str:
    """The table, what it was taken on, and what its columns mean."""
    every = results.sweeps
    rows = [row for found in every for row in found.rows]
    about = words.about(results.machine, rows)
    told = "\n".join([*as_long(every), *agreement(every)])
    worked = words.how((row.name, row.how, found.title) for found in every for row in found.rows)
    return "\n\n".join(section for section in (about, table(every), told, _meaning(results, rows), worked) if section)


def _meaning(results: Sweeps, rows: Sequence[Row]) -> str:
    repeats = results.settings["repeats"]
    rounds = "Medians (least..most) of " if repeats > 1 else "Of "
    return (
        f"Measured on {words.device(results.machine)}. {rounds}{words.count(repeats, 'interleaved round')}, each row "
        "in a fresh process. seconds: from the first model's start to the last one's end, building and compiling "
        "(compilation caches empty) included; libraries are imported before. What counts is not the same for all: "
        "aejax's rows also load the data, evaluate valid after every epoch and test at the end, write metrics, draw "
        "figures and save checkpoints, as its commands do; the other frameworks read an array, train, and neither "
        "evaluate nor save. over together: the row's seconds over those of training together, round by round: above 1 "
        "together is faster. loss: per example, the mean over the last epoch of training and over the models. memory: "
        f"{words.memory(rows)}."
    )
