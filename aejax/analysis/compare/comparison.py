"""Who is better at what: differences of measured runs, paired over the same examples, as a table and in words."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aejax.analysis import tables
from aejax.analysis.compare import scores
from aejax.analysis.compare.contestants import MEASURES, Contestant


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
      title: what it tells, with its unit.
      values: one a run; None where there is no answer.
      shown: what a reader sees of them; None for a row that is in files alone.
    """

    title: str
    values: list[Any]
    shown: list[str] | None


ALTERATIONS = {"binarise": "binarised", "whiten": "whitened"}  # key of config.data -> what it does


def differences(runs: Sequence[Contestant]) -> dict[str, list[dict[str, Any]]]:
    """For each measure and pair of runs that have it, first minus second, paired over the same examples.

    ``standard_errors`` is how many of them the difference is: 0 for none, infinite for one that every example has,
    NaN where there is no standard error.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for key in MEASURES:
        for a, b in itertools.combinations([run for run in runs if key in run.values], 2):
            mean, error, n = scores.paired(a.values[key], b.values[key])
            many = 0.0 if mean == 0 else abs(mean) / error if error else float("inf")
            row = {"runs": [a.label, b.label], "difference": mean, "standard_error": error, "standard_errors": many}
            found.setdefault(key, []).append({**row, "examples": n})
    return found


def table(runs: Sequence[Contestant]) -> list[Row]:
    """All that is told of the runs: sizes, measures with their standard errors, and the losses that training wrote."""
    rows = [_told(runs, title, key) for title, key in (("config", "config"), ("data", "data"), ("code", "code"))]
    shapes = ["×".join(map(str, run.figures["code_shape"])) for run in runs]
    rows.append(Row("code units", [run.figures["code_size"] for run in runs], shapes))
    rows += [_told(runs, key.replace("_", " "), key) for key in ("active_units", "parameters", "step")]
    rows.insert(-2, _told(runs, "units not 0, an example", "units_not_zero"))
    for key, kind in MEASURES.items():
        values = [run.values.get(key) for run in runs]
        if any(v is not None for v in values):
            means = [None if v is None else _mean(v) for v in values]
            errors = [None if v is None else scores.standard_error(v) for v in values]
            rows.append(Row(kind.title, means, [_with_error(*pair) for pair in zip(means, errors, strict=True)]))
            rows.append(Row(f"{kind.title}: its standard error", errors, None))
    return rows + [_told(runs, key.replace("_", " "), key) for key in ("test_loss", "test_reconstruction")]


def means(run: Contestant) -> dict[str, float]:
    """The mean of each measure that a run has."""
    return {key: _mean(values) for key, values in run.values.items()}


def _told(runs: Sequence[Contestant], title: str, key: str) -> Row:
    values = [run.figures[key] for run in runs]
    return Row(title, values, [tables.told(value) for value in values])


def _mean(values: np.ndarray) -> float:
    """Of the finite ones; NaN where there are none."""
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float("nan")


def _with_error(mean: float | None, error: float | None) -> str:
    known = mean is not None and error is not None and np.isfinite(error)
    return f"{mean:.4g} ± {error:.2g}" if known else tables.told(mean)


def verdict(many: float) -> str:
    """What a difference of so many standard errors is worth."""
    if not np.isfinite(many):
        return "on one example" if np.isnan(many) else "on every example alike"
    if many <= 1:
        return "within its standard error, so no difference"
    if many <= 2:
        return f"{many:.1f} times its standard error, which may be chance"
    return f"{many:.3g} times its standard error"


def ranked(runs: Sequence[Contestant], key: str) -> list[tuple[str, float]]:
    """The labels and means of the runs that have a measure, the best first."""
    means = [(run.label, _mean(run.values[key])) for run in runs if key in run.values]
    means = [(label, mean) for label, mean in means if np.isfinite(mean)]
    return sorted(means, key=lambda item: -item[1] if MEASURES[key].higher else item[1])


def summarise(runs: Sequence[Contestant], found: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Who is better at what, by how much, and whether that is more than chance: the best beside the next, a line each.

    Args:
      runs: measured, all on the same data.
      found: their differences.
    """
    lines, better = [], {}
    for key, kind in MEASURES.items():
        order = ranked(runs, key)
        if len(order) < 2:
            continue
        if not kind.ranks:  # a mere blend of pixels would win
            told = ", ".join(f"{label} {mean:.4g}" for label, mean in order)
            lines.append(f"{_capital(kind.title)}: {told} (1 is even, as linear decoders and blends of pixels are).")
            continue
        (best, value), (second, other) = order[:2]
        pair = next(row for row in found[key] if set(row["runs"]) == {best, second})
        gap, error, many = abs(pair["difference"]), pair["standard_error"], pair["standard_errors"]
        by = f"{gap:.3g} ± {error:.2g}" if np.isfinite(error) else f"{gap:.3g}"
        lead = f"{best} is better by {by}, {verdict(many)}" if gap else "no difference"
        than = f"{best} {value:.4g}, {second} {other:.4g}"
        lines.append(f"{_capital(kind.title)}: {than}; {lead} (paired over {pair['examples']:,} {kind.over}).")
        if len(order) > 2:
            lines[-1] += " Then " + ", ".join(f"{label} {mean:.4g}" for label, mean in order[2:]) + "."
        if many > 2:
            better.setdefault(best, []).append(kind.what)
    told = "; ".join(f"{label} at {', '.join(what)}" for label, what in better.items())
    return lines + [f"Beyond two standard errors, the best is {told}." if told else "Nothing tells them apart."]


def sizes(runs: Sequence[Contestant]) -> str:
    """How large the codes and nets are, a sentence."""
    told = [
        f"{run.label} has {run.figures['active_units']:,} of {run.run.code_shape[-1]:,} units active, "
        f"{run.figures['parameters']:,} parameters"
        for run in runs
    ]
    return f"{'; '.join(told)}."


def notes(runs: Sequence[Contestant], same_data: bool) -> list[str]:
    """What keeps numbers apart: other data, other inputs, other objectives; a sentence a line."""
    if not same_data:
        named = ", ".join(f"{run.label} {run.figures['data']}" for run in runs)
        return [f"The test images differ ({named}): errors, accuracies and losses are of each run's own, not compared."]
    lines, inputs = [], {run.label: _altered(run) for run in runs}
    if len(set(inputs.values())) > 1:
        told = "; ".join(f"{label}: {altered or 'as they came'}" for label, altered in inputs.items())
        lines.append(f"The runs read their inputs differently ({told}); all errors are against the data as they came.")
    losses = {run.label: run.figures["test_loss"] for run in runs if run.figures["test_loss"] is not None}
    if len(losses) > 1 and len({_objective(run) for run in runs}) > 1:
        told = ", ".join(f"{value:.4g} of {label}" for label, value in losses.items())
        lines.append(f"The test losses ({told}) are of different objectives and are not compared.")
    return lines


def _altered(run: Contestant) -> str:
    """What was done to the data that a run reads, "" for nothing."""
    data = run.run.config.data
    done = [f"{verb} ({data[key]})" for key, verb in ALTERATIONS.items() if data.get(key, "none") != "none"]
    return ", ".join(done)


def _objective(run: Contestant) -> tuple:
    """What a run's loss is made of; equal for runs whose losses can be compared."""
    config = run.run.config
    return str(config.get("model")), str(config.loss), config.code.name, _altered(run)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
