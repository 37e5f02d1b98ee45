"""Step time against the number of devices: of one machine, each count in a process of its own, round by round."""

import contextlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aejax.bench import examples, nets
from aejax.bench.frameworks import Framework
from aejax.bench.roofline import Net, through
from aejax.bench.sitting import Contestant, Say
from aejax.bench.workers import WorkerFailed

SMALLER = 8  # costs are counted at the batch and at this part of it: what grows with it, and what does not
FORCED = "--xla_force_host_platform_device_count={}"


@dataclass
class Row:
    """What so many devices showed with so large a batch.

    Attributes:
      devices: how many.
      batch: examples of a step, over all of them.
      missing: why there are no figures; "" where there are.
      versions: of its libraries.
      seconds: of a step, of each repeat.
    """

    devices: int
    batch: int
    missing: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)


@dataclass
class Scaling:
    """What a net showed, and what a step of it costs.

    Attributes:
      name: as ``nets.load`` takes it.
      data: the name of the set.
      batch: examples of a step on one device.
      parameters: how many it learns.
      state: bytes of parameters, optimiser and what else a run carries.
      batches: the two batches at which costs were counted on one device.
      products: floating-point operations of the products of a step, at each of them.
      bytes: that the compiled step reads and writes, at each.
      rows: one a number of devices and a batch.
    """

    name: str
    data: str
    batch: int
    parameters: int
    state: int
    batches: list[int]
    products: list[int]
    bytes: list[float]
    rows: list[Row] = field(default_factory=list)

    def net(self) -> Net:
        """As the roofline sees it; gradients are float32."""
        lines = (through(self.batches, values) for values in (self.products, self.bytes))
        return Net(*lines, 4.0 * self.parameters, self.batch)

    def weak(self) -> list[Row]:
        """The rows with the batch on each device, by their number."""
        return self._rows(lambda row: row.batch == row.devices * self.batch)

    def strong(self) -> list[Row]:
        """The rows with the batch over all devices, by their number."""
        return self._rows(lambda row: row.batch == self.batch)

    def _rows(self, wanted) -> list[Row]:
        return sorted((row for row in self.rows if wanted(row) and not row.missing), key=lambda row: row.devices)


def points(batch: int, devices: Sequence[int]) -> list[tuple[int, int]]:
    """The (devices, batch) to measure: the batch over all devices, and on each."""
    return sorted({(n, total) for n in devices for total in (batch, n * batch)})


def measure(
    name: str, data: str, devices: Sequence[int], ours: Framework, repeats: int, seconds: float, say: Say
) -> Scaling:
    """Measure a net on every number of host devices, in turn, ``repeats`` times; and count what a step costs.

    Args:
      name: ``NAME[:PRESET][@BATCH]``.
      data: the data set; "" for the config's own, or what stands in for it.
      devices: the numbers of them.
      ours: aejax's worker.
      repeats: rounds.
      seconds: about how long each repeat is.
      say: tells progress.

    Raises:
      UserError: there is no such net, or not its data.
      WorkerFailed: its costs cannot be counted.
    """
    config = nets.load(name, data)
    batch = config.train.batch_size
    with tempfile.TemporaryDirectory(prefix="aejax-bench-") as folder, contextlib.ExitStack() as stack:
        saved = examples.save(config, Path(folder))
        job = {"data": data, "classes": list(saved.classes)}
        job |= {key: path for key, path in saved.paths().items() if key != "mean"}
        say("counting what a step costs")
        found = _counted(name, batch, job, _on(ours, 1), say)
        found.data = config.data.name
        contestants = []
        for count, total in points(batch, devices):
            say(f"preparing {count} of the devices, batch {total}")
            row = Row(count, total)
            contestant = Contestant(_on(ours, count), say)
            stack.callback(contestant.close)
            given = {**job, "name": f"{name.partition('@')[0]}@{total}", "precision": "float32", "devices": count}
            if reply := contestant.ask("prepare", **given):
                row.versions, contestant.row.steps = reply["versions"], 1
            found.rows.append(row)
            contestants.append(contestant)
        for number in range(repeats + 1):
            say(f"round {number} of {repeats}" if number else "warming up")
            for contestant, row in zip(contestants, found.rows, strict=True):
                contestant.repeat("train", "steps", seconds, counted=number > 0, examples=row.batch)
        for contestant, row in zip(contestants, found.rows, strict=True):
            row.missing, row.seconds = contestant.row.missing, [row.batch / rate for rate in contestant.row.rates]
    return found


def _counted(name: str, batch: int, job: dict, ours: Framework, say: Say) -> Scaling:
    """The costs alone.

    Raises:
      WorkerFailed: they cannot be counted.
    """
    batches = [max(1, batch // SMALLER), max(2, batch)]
    contestant = Contestant(ours, say)
    with contextlib.closing(contestant):
        reply = contestant.ask("costs", name=name, batches=batches, **job)
    if not reply:
        raise WorkerFailed(f"{name}: {contestant.row.missing}")
    counted = {key: reply[key] for key in ("parameters", "state", "products", "bytes")}
    return Scaling(name, "", batch, batches=batches, **counted)


def _on(ours: Framework, devices: int) -> Framework:
    """aejax on so many host devices."""
    environment = {**ours.environment, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": FORCED.format(devices)}
    return Framework(f"{ours.name} on {devices}", ours.command, environment)
