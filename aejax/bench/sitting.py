"""One sitting: every framework trains one net, round by round, each in a process of its own."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aejax.bench import figures
from aejax.bench.workers import Worker, WorkerFailed

ROOT = Path(__file__).parents[2]
PEERS = Path(__file__).parent / "peers"
LIMIT = 300.0  # seconds that any one request may take
STEPS = 300  # every framework takes so many steps from its own start before it is timed,
LAST = 50  # and its loss is the mean over the last of them
PRODUCTS = 4  # matrix products a round, of which the quickest counts


@dataclass(frozen=True)
class Framework:
    """A row of the table: its name, the command of its worker, and the environment it runs in."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


# Figures are of the CPU: no framework is to see an accelerator that another does not.
_CPU = {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
_HERE = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
OURS = Framework(
    "aejax",
    (sys.executable, "-m", "aejax.bench.ours"),
    {**_CPU, "PYTHONPATH": _HERE, "JAX_ENABLE_COMPILATION_CACHE": "false"},
)
SCRIPTS = {
    "PyTorch eager": ("pytorch.py", "eager"),
    "torch.compile": ("pytorch.py", "compile"),
    "Keras fit": ("keras_fit.py",),
    "Keras fit, 32 steps/call": ("keras_fit.py", "32"),
}


def peers(python: str) -> list[Framework]:
    """The peers' rows, run by that interpreter."""
    environment = {**_CPU, "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    return [Framework(name, (python, str(PEERS / file), *rest), environment) for name, (file, *rest) in SCRIPTS.items()]


@dataclass
class Row:
    """What a framework showed on one net.

    Attributes:
      framework: its name.
      missing: why there are no figures; "" where there are.
      versions: of its libraries.
      how: how its worker trains.
      first_step: seconds from the start of its process to the end of its first training step,
        imports and compilation included, with empty compilation caches.
      loss: per example, the mean over steps 251 to 300 from its own start.
      steps: steps of a repeat.
      rates: images/s of each repeat.
      memory: the peak resident set of its process, bytes.
    """

    framework: str
    missing: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    how: str = ""
    first_step: float = 0.0
    loss: float = 0.0
    steps: int = 0
    rates: list[float] = field(default_factory=list)
    memory: int = 0


@dataclass
class Sitting:
    """What all frameworks showed on one net.

    Attributes:
      name: of the config.
      title: of the net.
      batch: examples a step.
      operations: of the matrix products that training takes for one example; 0 where they are not counted.
      rows: one a framework.
      peaks: the machine's matrix-product peak in each round, FLOP/s.
    """

    name: str
    title: str
    batch: int
    operations: int
    rows: list[Row] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)


def sit(
    sitting: Sitting,
    contestants: Sequence[tuple[Framework, Mapping[str, Any]]],
    repeats: int,
    seconds: float,
    say: Callable[[str], None],
) -> None:
    """Measure every contestant and the matrix-product peak, in turn, ``repeats`` times; adds the rows and the peaks.

    Args:
      sitting: what is measured.
      contestants: frameworks, and what the worker of each is asked to prepare. One that fails is
        noted in its row and stops none of the others.
      repeats: rounds.
      seconds: about how long each repeat is.
      say: tells progress.

    Raises:
      WorkerFailed: the peak cannot be measured.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aejax-bench-")))
        running: list[tuple[Worker, Row]] = []
        for framework, job in contestants:
            row = Row(framework.name)
            sitting.rows.append(row)
            with _noted(row, sitting.name, say):
                cache = {"TORCHINDUCTOR_CACHE_DIR": str(folder / str(len(sitting.rows)))}
                worker = stack.enter_context(Worker(framework.command, {**framework.environment, **cache}))
                running.append((worker, row))
                _begin(worker, row, job)
                say(f"{sitting.name}: {row.framework}, first step after {row.first_step:.1f} s")
        products = stack.enter_context(Worker(OURS.command, OURS.environment))
        products.ask("multiply", LIMIT, count=1)
        _rounds(sitting, running, products, repeats, seconds, say)


def _begin(worker: Worker, row: Row, job: Mapping[str, Any]) -> None:
    """The first step, and those up to where the losses are compared."""
    reply = worker.ask("prepare", LIMIT, **job)
    row.first_step, row.versions, row.how = reply["arrived"], reply["versions"], reply["how"]
    worker.ask("train", LIMIT, steps=STEPS - LAST - 1)
    reply = worker.ask("train", LIMIT, steps=LAST)
    row.loss, row.memory = reply["loss"], reply["memory"]
    row.steps = figures.steps_for(1.0, LAST, reply["seconds"])


def _rounds(sitting: Sitting, running, products: Worker, repeats: int, seconds: float, say) -> None:
    """The repeats, all frameworks in turn; a round that is not counted comes first, and settles their lengths."""
    for number in range(repeats + 1):
        say(f"{sitting.name}: round {number} of {repeats}" if number else f"{sitting.name}: warming up")
        peak = products.ask("multiply", LIMIT, count=PRODUCTS)["flops"]
        if number:
            sitting.peaks.append(peak)
        for worker, row in running:
            if row.missing:
                continue
            with _noted(row, sitting.name, say):
                reply = worker.ask("train", LIMIT, steps=row.steps)
                row.memory = reply["memory"]
                if number:
                    row.rates.append(row.steps * sitting.batch / reply["seconds"])
                else:
                    row.steps = figures.steps_for(seconds, row.steps, reply["seconds"])


@contextlib.contextmanager
def _noted(row: Row, name: str, say: Callable[[str], None]) -> Iterator[None]:
    """Within it, a worker that fails is noted in its row, and told."""
    try:
        yield
    except WorkerFailed as failure:
        row.missing = str(failure)
        say(f"{name}: {row.framework} is missing: {row.missing}")
