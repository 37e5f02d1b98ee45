"""One sitting: every framework trains one net, round by round, each in a process of its own."""

import contextlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aejax.bench import figures
from aejax.bench.frameworks import Framework
from aejax.bench.workers import Worker, WorkerFailed

LIMIT = 300.0  # seconds that any one request may take
STEPS = 300  # every framework takes so many steps from its own start before it is timed,
FEWEST, LONGEST = 10, 20.0  # or as many as the slowest takes in so many seconds, but not below so few;
PARTS = 5  # its loss is the mean over the last of them, in so many parts,
PART = 30  # each the number of steps over this
PROBES, QUICK, MORE = 2, 1.0, 10  # single steps that show how long one takes; of nets below QUICK seconds MORE follow
PRODUCTS = 4  # matrix products a round, of which the quickest counts

Say = Callable[[str], None]


@dataclass
class Row:
    """What a framework showed on one net, or on one operator.

    Attributes:
      framework: its name.
      missing: why there are no figures; "" where there are.
      versions: of its libraries.
      how: how its worker works.
      first_step: of a net, seconds from the start of its process to the end of its first training step, imports and
        compilation included, with empty compilation caches.
      losses: per example, the means over the last parts of the steps that it took before it was timed.
      steps: steps, or calls of an operator, of a repeat.
      rates: images/s, or calls/s, of each repeat.
      memory: the peak of its memory, bytes,
      memory_of: of the "process", or of the "device" as the framework counts it.
    """

    framework: str
    missing: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    how: str = ""
    first_step: float = 0.0
    losses: list[float] = field(default_factory=list)
    steps: int = 0
    rates: list[float] = field(default_factory=list)
    memory: int = 0
    memory_of: str = "process"


@dataclass
class Sitting:
    """What all frameworks showed on one net.

    Attributes:
      name: as the command has it, such as "deep@256".
      precision: "float32" or "bfloat16".
      title: of the net.
      data: the name of the set that it was trained on.
      batch: examples a step.
      parameters: how many it learns; 0 where they are not counted.
      operations: of the matrix products that training takes for one example; 0 where they are not counted.
      compared: the step up to which losses are compared.
      rows: one a framework.
      peaks: the machine's matrix-product peak in each round, FLOP/s.
    """

    name: str
    precision: str
    title: str
    data: str
    batch: int
    parameters: int = 0
    operations: int = 0
    compared: int = 0
    rows: list[Row] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)


class Contestant:
    """A framework at work: its worker and its row. The first failure is noted in the row, and ends the worker."""

    def __init__(self, framework: Framework, say: Say):
        self.row, self._say, self._worker = Row(framework.name), say, None
        self._cache = tempfile.TemporaryDirectory(prefix="aejax-bench-")
        try:
            given = {**framework.environment, "TORCHINDUCTOR_CACHE_DIR": self._cache.name}
            self._worker = Worker(framework.command, given)
        except WorkerFailed as failure:
            self.fail(str(failure))

    def ask(self, do: str, **arguments: Any) -> dict[str, Any] | None:
        """The reply, or None once it has failed."""
        if self.row.missing:
            return None
        try:
            reply = self._worker.ask(do, LIMIT, **arguments)
        except WorkerFailed as failure:
            return self.fail(str(failure))
        self.row.memory, self.row.memory_of = reply.get("memory", 0), reply.get("memory_of", "process")
        return reply

    def repeat(self, do: str, length: str, seconds: float, counted: bool, examples: int = 1) -> None:
        """A repeat, whose rate is kept where it is counted; else one that settles how long they are.

        Args:
          do: the request.
          length: its argument that says how many steps, or calls.
          seconds: about how long a repeat is.
          counted: whether it is.
          examples: of a step.
        """
        row = self.row
        reply = self.ask(do, **{length: row.steps})
        if reply and counted:
            row.rates.append(row.steps * examples / reply["seconds"])
        elif reply:
            row.steps = figures.steps_for(seconds, row.steps, reply["seconds"])

    def fail(self, why: str) -> None:
        """Note why there are no figures."""
        self.row.missing = why
        self._say(f"{self.row.framework} is missing: {why}")
        self.close()

    def close(self) -> None:
        """End its worker."""
        if self._worker:
            self._worker.close()
            self._worker = None
        self._cache.cleanup()


def sit(
    found: Sitting,
    jobs: Sequence[tuple[Framework, Mapping[str, Any]]],
    measure: Framework,
    repeats: int,
    seconds: float,
    say: Say,
) -> None:
    """Measure every framework and the matrix-product peak, in turn, ``repeats`` times; adds the rows and the peaks.

    Args:
      found: what is measured.
      jobs: frameworks, and what the worker of each is asked to prepare. One that fails is
        noted in its row and stops none of the others.
      measure: whose worker measures the peak.
      repeats: rounds.
      seconds: about how long each repeat is.
      say: tells progress.

    Raises:
      WorkerFailed: the peak cannot be measured.
    """
    with contextlib.ExitStack() as stack:
        contestants = []
        for framework, job in jobs:
            contestant = Contestant(framework, say)
            stack.callback(contestant.close)
            found.rows.append(contestant.row)
            contestants.append(contestant)
            _begin(contestant, job, found.parameters, say)
        _compare(found, contestants, say)
        products = stack.enter_context(Worker(measure.command, measure.environment))

        def peak() -> float:
            return products.ask("multiply", LIMIT, count=PRODUCTS, precision=found.precision)["flops"]

        peak()
        _rounds(found, contestants, peak, repeats, seconds, say)


def _begin(contestant: Contestant, job: Mapping[str, Any], parameters: int, say: Say) -> None:
    """The first step of a net of as many parameters as there should be."""
    reply, row = contestant.ask("prepare", **job), contestant.row
    if not reply:
        return
    row.first_step, row.versions, row.how = reply["arrived"], reply["versions"], reply["how"]
    if parameters and reply.get("parameters", parameters) != parameters:
        contestant.fail(f"its net has {reply['parameters']:,} parameters and not {parameters:,}")
        return
    say(f"{row.framework}, first step after {row.first_step:.1f} s")


def _compare(found: Sitting, contestants: Sequence[Contestant], say: Say) -> None:
    """The same number of steps of each, and the losses of the last of them."""
    seconds, taken = _probe(contestants)
    found.compared = figures.steps_compared(seconds, STEPS, FEWEST, LONGEST)
    part = max(1, found.compared // PART)
    before = max(0, found.compared - 1 - taken - PARTS * part)
    found.compared = 1 + taken + before + PARTS * part
    for contestant in contestants:
        if before:
            contestant.ask("train", steps=before)
        replies = [contestant.ask("train", steps=part) for _ in range(PARTS)]
        if all(replies):
            contestant.row.losses = [reply["loss"] for reply in replies]
            contestant.row.steps = figures.steps_for(1.0, PARTS * part, sum(reply["seconds"] for reply in replies))
            say(f"{contestant.row.framework}, loss {figures.mean(contestant.row.losses):.5g} at step {found.compared}")


def _probe(contestants: Sequence[Contestant]) -> tuple[list[float], int]:
    """About the seconds that a step of each takes, and how many steps each has taken for that."""

    def seconds_a_step(steps: int, times: int) -> list[float]:
        replies = [[contestant.ask("train", steps=steps) for _ in range(times)] for contestant in contestants]
        return [min(reply["seconds"] for reply in some) / steps for some in replies if all(some)]

    single = seconds_a_step(1, PROBES)
    if max(single, default=0.0) >= QUICK:
        return single, PROBES
    return seconds_a_step(MORE, 1), PROBES + MORE  # a call has its own cost, which counts for one step alone


def _rounds(found: Sitting, contestants: Sequence[Contestant], peak: Callable, repeats: int, seconds: float, say: Say):
    """The repeats, all frameworks in turn; a round that is not counted comes first, and settles their lengths."""
    for number in range(repeats + 1):
        say(f"round {number} of {repeats}" if number else "warming up")
        flops = peak()
        if number:
            found.peaks.append(flops)
        for contestant in contestants:
            contestant.repeat("train", "steps", seconds, counted=number > 0, examples=found.batch)
