"""What the members of a sweep came to, read from what they left in its workdir: nothing is loaded, nothing compiled."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from aejax import files, logs, workdirs
from aejax.errors import UserError
from aejax.sweep.members import DIVERGED, FOLDER, settings, specified

SPLITS = ("train", "valid", "test")
NO_FIGURES = ("member", "settings", "step", "epoch", "split")  # what a line holds beside figures

FINISHED, STOPPED, BROKEN, UNFINISHED = STATUSES = ("finished", "stopped early", "diverged", "unfinished")


@dataclass(frozen=True)
class Outcome:
    """One member.

    Attributes:
      number: from 0.
      settings: what sets it apart: dotted key -> value.
      status: one of ``STATUSES``; ``stopped early`` is the end of its patience (``train.early_stopping``).
      lines: its lines of metrics.jsonl, in order.
    """

    number: int
    settings: Mapping[str, Any]
    status: str
    lines: Sequence[Mapping[str, Any]]

    @property
    def diverged(self) -> bool:
        """Whether its loss was not finite."""
        return self.status == BROKEN

    @property
    def setting(self) -> dict[str, Any]:
        """Its settings but for the seed."""
        return {key: value for key, value in self.settings.items() if key != "seed"}

    @property
    def steps(self) -> int:
        """How many it has lines of."""
        return max((int(line["step"]) for line in self.lines), default=0)

    @cached_property
    def final(self) -> dict[str, dict[str, float]]:
        """Split -> the figures of its last line."""
        return {line["split"]: figures(line) for line in self.lines}

    @cached_property
    def best(self) -> Mapping[str, Any]:
        """The line of valid with the lowest loss, the first of equals: its best weights'; {} where there is none."""
        known = [line for line in self.lines if line["split"] == "valid" and finite(line.get("loss"))]
        return min(known, key=lambda line: line["loss"], default={})

    def value(self, metric: str, split: str) -> float | None:
        """A figure of the last line of a split; None of one that diverged, and where it has none that is finite."""
        value = self.final.get(split, {}).get(metric)
        return float(value) if finite(value) and not self.diverged else None

    def best_value(self, metric: str) -> float | None:
        """A figure on valid where the valid loss was lowest; None as above."""
        value = self.best.get(metric)
        return float(value) if finite(value) and not self.diverged else None


@dataclass(frozen=True)
class Outcomes:
    """A sweep.

    Attributes:
      workdir: its folder.
      config: of all, with the section ``sweep``.
      members: in order.
    """

    workdir: Path
    config: ConfigDict
    members: Sequence[Outcome]

    @cached_property
    def keys(self) -> list[str]:
        """The keys that it sweeps but the seed, as its members have them."""
        return [key for key in self.members[0].settings if key != "seed"]

    @cached_property
    def varying(self) -> list[str]:
        """Those keys that have several values."""
        return [key for key in self.keys if len({repr(member.settings[key]) for member in self.members}) > 1]

    @cached_property
    def seeds(self) -> list[int]:
        """The seeds that every setting has; [] where the seed is not swept."""
        return list(dict.fromkeys(m.settings["seed"] for m in self.members if "seed" in m.settings))

    def names(self) -> list[str]:
        """The names of all figures, in order of appearance."""
        return list(dict.fromkeys(key for m in self.members for line in m.lines for key in figures(line)))

    def splits(self, metric: str) -> list[str]:
        """The splits on which some member has the figure."""
        return [split for split in SPLITS if any(m.value(metric, split) is not None for m in self.members)]


def finite(value: Any) -> bool:
    """Whether a value is a number, and finite; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def figures(line: Mapping[str, Any]) -> dict[str, float]:
    """The figures of a line of metrics.jsonl, NaN among them."""
    number = lambda value: isinstance(value, int | float) and not isinstance(value, bool)  # noqa: E731
    return {key: value for key, value in line.items() if key not in NO_FIGURES and number(value)}


def read(workdir: Path | str) -> Outcomes:
    """What lies in a sweep's workdir, however much of it is done.

    Raises:
      UserError: there is no sweep there, or its files cannot be read.
    """
    workdir = Path(workdir)
    config = ConfigDict(workdirs.tuples(workdirs.read_config(workdir)))
    if not specified(config):
        raise UserError(f"--workdir={workdir} is of one model, no sweep; accepted: the workdir of a config.sweep")
    every = settings(config)
    lines: dict[int, list[dict[str, Any]]] = {number: [] for number in range(len(every))}
    for line in files.read_lines(workdir / logs.METRICS):
        if {"step", "split"} <= line.keys() and line.get("member") in lines:
            lines[line["member"]].append(line)
    tested = any(line["split"] == "test" for own in lines.values() for line in own)
    return Outcomes(workdir, config, [
        Outcome(number, setting, _status(workdir, config, number, setting, lines[number], tested), lines[number])
        for number, setting in enumerate(every)
    ])  # fmt: skip


def _status(
    workdir: Path, config: ConfigDict, number: int, setting: Mapping, lines: Sequence[Mapping], tested: bool
) -> str:
    """How far a member is, by its lines: at its end it is tested, where there is a test split."""
    if (workdir / FOLDER / str(number) / DIVERGED).exists():
        return BROKEN
    epochs = max((line["epoch"] for line in lines if line["split"] == "train"), default=0)
    step = max((line["step"] for line in lines), default=0)
    if tested and not any(line["split"] == "test" and line["step"] == step for line in lines):
        return UNFINISHED
    if epochs >= setting.get("train.epochs", config.train.epochs):
        return FINISHED
    patience = setting.get("train.early_stopping", config.train.early_stopping)
    return STOPPED if patience and _since_best(lines) >= patience else UNFINISHED


def _since_best(lines: Sequence[Mapping[str, Any]]) -> int:
    """How many evaluations of valid came after the one with the lowest loss."""
    losses = [line["loss"] if finite(line.get("loss")) else math.inf for line in lines if line["split"] == "valid"]
    return len(losses) - 1 - losses.index(min(losses)) if losses else 0
