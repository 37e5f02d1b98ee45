"""Operators by themselves: every framework repeats each, round by round, its worker the same for all of them."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aejax.bench import figures, operators
from aejax.bench.frameworks import Framework
from aejax.bench.sitting import Contestant, Row, Say

SHARE = 0.25  # of the seconds of a net's repeat


@dataclass
class Timing:
    """What all frameworks showed on one operator.

    Attributes:
      name: as ``operators.name`` has it.
      operations: floating-point ones of a call; 0 where they are not counted.
      rows: one a framework; ``rates`` are calls/s.
    """

    name: str
    operations: int = 0
    rows: list[Row] = field(default_factory=list)


class Crew:
    """The frameworks' workers, each at work until it fails at an operator; then another takes its place."""

    def __init__(self, frameworks: Sequence[Framework], job: Mapping[str, Any], say: Say):
        self._frameworks, self._job, self._say = frameworks, job, say
        self._workers: dict[str, Contestant] = {}

    def ready(self, operator: Mapping[str, Any]) -> Iterator[Contestant]:
        """The workers with this operator built, and a fresh row each."""
        for framework in self._frameworks:
            contestant = self._workers.get(framework.name)
            if contestant is None or contestant.row.missing:
                contestant = self._workers[framework.name] = Contestant(framework, self._say)
            if not contestant.row.missing:
                contestant.row = Row(framework.name)
            reply = contestant.ask("operator", operator=operator, **self._job)
            if reply:
                contestant.row.versions, contestant.row.how = reply["versions"], reply["how"]
            yield contestant

    def close(self) -> None:
        """End them all."""
        for contestant in self._workers.values():
            contestant.close()


def measure(
    wanted: Sequence[Mapping[str, Any]],
    frameworks: Sequence[Framework],
    job: Mapping[str, Any],
    repeats: int,
    seconds: float,
    say: Say,
    done: Callable[[Timing], None],
) -> None:
    """Measure the operators, and hand each over as it is done.

    Args:
      wanted: operators, as in ``operators.OPERATORS``.
      frameworks: the rows.
      job: what every worker is told besides the operator: threads and device.
      repeats: rounds.
      seconds: about how long a repeat of a net is; one of an operator is a share of it.
      say: tells progress.
      done: takes what was found.
    """
    with contextlib.ExitStack() as stack:
        crew = Crew(frameworks, job, say)
        stack.callback(crew.close)
        for number, operator in enumerate(wanted, start=1):
            found = Timing(operators.name(operator), operators.arithmetic(operator))
            say(f"operator {number} of {len(wanted)}: {found.name}")
            contestants = list(crew.ready(operator))
            found.rows = [contestant.row for contestant in contestants]
            _rounds(contestants, repeats, SHARE * seconds)
            done(found)


def _rounds(contestants: Sequence[Contestant], repeats: int, seconds: float) -> None:
    for contestant in contestants:
        reply = contestant.ask("repeat", count=1)
        if reply:
            contestant.row.steps = figures.steps_for(seconds / 10, 1, reply["seconds"])
    for number in range(repeats + 1):
        for contestant in contestants:
            contestant.repeat("repeat", "count", seconds, counted=number > 0)
