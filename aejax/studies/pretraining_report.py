"""What the study of pretraining shows: its table, its figures, and its sentences."""

import math
from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from aejax.analysis import bands, figure
from aejax.tables import Mean, standard_error, sure

LOOK = {
    "scratch": (figure.BLACK, "^", ":"),
    "frozen": (figure.BLUE, "o", "--"),
    "fine_tuned": (figure.VERMILLION, "s", "-"),
}
SCRATCH = "scratch"
NAMES = {"scratch": "from scratch", "frozen": "frozen", "fine_tuned": "fine-tuned"}


def tabulate(numbers: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row for each number of labels and way: test accuracy in percent, and points over scratch, paired by draw."""
    return [
        {
            "labels": row["labels"],
            "encoder": NAMES[way],
            "test accuracy %": found["test_accuracy"],
            "points over scratch": None if way == SCRATCH else found["over_scratch"],
            "draws": row["draws"],
        }
        for row in numbers["rows"]
        for way, found in row["ways"].items()
    ]


def draw(numbers: Mapping[str, Any], name: str) -> Figure:
    """Test accuracy against the number of labels, a curve each way."""
    rows = numbers["rows"]
    f = figure.new(5.6, 3.8)
    axes = f.subplots()
    counts = [row["labels"] for row in rows]
    for way, (colour, marker, line) in _looks(rows):
        means = [row["ways"][way]["test_accuracy"] for row in rows]
        bands.draw(axes, counts, means, NAMES[way], colour, marker, line)
    figure.tidy(axes)
    if len(counts) > 1:
        axes.set_xscale("log")
    axes.set_xticks(counts, [f"{n:,}" for n in counts])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("labelled training examples", fontsize=8)
    axes.set_ylabel("test accuracy, %", fontsize=8)
    axes.legend(fontsize=8, frameon=False)
    draws = sorted({row["draws"] for row in rows})
    drawn = " to ".join(str(n) for n in (draws[0], draws[-1])[: len(draws)])
    figure.set_title(f, f"{name}: the encoder as a classifier\nmean ± standard deviation over {drawn} draws of labels")
    return f


def _looks(rows: list[Mapping[str, Any]]) -> list[tuple[str, tuple[str, str, str]]]:
    """The ways that there are, and how each is drawn."""
    return [(way, look) for way, look in LOOK.items() if way in rows[0]["ways"]]


def draw_curves(numbers: Mapping[str, Any], name: str) -> Figure:
    """Error on valid against the training step, a panel for each number of labels."""
    rows = numbers["rows"]
    columns = min(2, len(rows))
    lines = -(-len(rows) // columns)
    f = figure.new(figure.PAGE if columns > 1 else 4.5, 0.7 + 2.5 * lines)
    panels = f.subplots(lines, columns, squeeze=False).ravel()
    for axes, row in zip(panels, rows, strict=False):
        for way, (colour, marker, line) in _looks(rows):
            found = row["ways"][way]
            bands.draw(axes, found["steps"], found["curve"], NAMES[way], colour, marker, line)
        figure.tidy(axes)
        axes.set_title(f"{row['labels']:,} labels, {row['draws']} draw{'s' * (row['draws'] > 1)}", fontsize=9)
        axes.set_xlabel("training step", fontsize=8)
        axes.set_ylabel("error on valid, %", fontsize=8)
    panels[0].legend(fontsize=7.5, frameon=False)
    for axes in panels[len(rows) :]:
        axes.set_axis_off()
    figure.set_title(f, f"{name}: learning curves of the classifiers, mean ± standard deviation")
    return f


def summarise(numbers: Mapping[str, Any]) -> list[str]:
    """What the numbers say, a sentence a line."""
    lines = []
    for row in numbers["rows"]:
        ways = row["ways"]
        told = ", ".join(f"{NAMES[way]} {found['test_accuracy']}" for way, found in ways.items())
        lines.append(f"{row['labels']:,} labels: test accuracy in percent {told}.")
        if best := _best(ways):
            lines.append(f"  {_verdict(ways[best]['over_scratch'], NAMES[best])}")
    rows = numbers["rows"]
    return [*lines, *_worth(rows), *_against_all(rows)] if _best(rows[0]["ways"]) else lines


def _best(ways: Mapping[str, Any]) -> str | None:
    """The better way of using what was pretrained; None where that is not compared with scratch."""
    pretrained = [way for way in ways if way != SCRATCH]
    compared = SCRATCH in ways and pretrained
    return max(pretrained, key=lambda way: ways[way]["test_accuracy"].mean) if compared else None


def _verdict(over: Mean, name: str) -> str:
    error = standard_error(over)
    if not math.isfinite(error):
        return f"Pretrained, {name}: {over.mean:+.2f} points over scratch in one draw."
    paired = f"(standard error over {over.count} paired draws)"
    if abs(over.mean) <= sure(over.count) * error:
        return f"Pretrained, {name}, is within noise of scratch: {over.mean:+.2f} ± {error:.2f} points {paired}."
    how = "gains" if over.mean > 0 else "loses"
    return f"Pretrained, {name}, {how} {abs(over.mean):.2f} ± {error:.2f} points {paired}."


def _against_all(rows: list[Mapping[str, Any]]) -> list[str]:
    """Pretraining with the fewest labels beside the same net with the most."""
    if len(rows) < 2:
        return []
    way = _best(rows[0]["ways"])
    every = rows[-1]["ways"]["scratch"]["test_accuracy"]
    gap = f"{rows[0]['ways'][way]['test_accuracy'].mean - every.mean:+.2f} points"
    few, most = (f"{row['labels']:,}" for row in (rows[0], rows[-1]))
    return [f"Pretrained, {NAMES[way]}, with {few} labels: {gap} beside scratch with {most} ({every})."]


def _worth(rows: list[Mapping[str, Any]]) -> list[str]:
    """With how many labels scratch first reaches what pretraining reaches with fewer."""
    lines = []
    for row in rows[:-1]:
        best = row["ways"][_best(row["ways"])]["test_accuracy"].mean
        if row["ways"]["scratch"]["test_accuracy"].mean >= best:
            continue
        more = [r["labels"] for r in rows if r["ways"]["scratch"]["test_accuracy"].mean >= best]
        reach = f"with {more[0]:,}" if more else f"with none of these numbers, up to {rows[-1]['labels']:,}"
        lines.append(f"What pretraining reaches with {row['labels']:,} labels, scratch reaches {reach}.")
    return lines
