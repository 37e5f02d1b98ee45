"""Where a stretch of steps finds its images: a split resident on the devices, or blocks from the host or the disk.

Row ``i`` of step ``s`` is a pure function of (seed, s). Resident splits and blocks of the host give bit for bit the
same batches; what does not fit in memory is visited in an order of its own, which needs no list of all rows.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
from jax.sharding import Mesh

from aejax import devices
from aejax.data import order, records, streaming
from aejax.data.dataset import Split

BLOCK = 2**24  # bytes of this process's part of a block that is read from the disk, about


class Source(NamedTuple):
    """Raw images (and labels, or None), and the rows that the steps from ``first`` up to ``stop`` train on; or None,
    where the examples are the batches of those steps."""

    examples: tuple[jax.Array, jax.Array | None]
    order: jax.Array | None
    first: int
    stop: int


class Feed(Protocol):
    """
    Attributes:
      waited: seconds that ``at`` has waited for examples, all together.
    """

    waited: float

    def at(self, step: int) -> Source:
        """The source of this step and those after it, to the end of the epoch at most."""

    def close(self) -> None:
        """Let go of threads."""


class Resident:
    """The whole split on every device; an epoch's order is computed there."""

    waited = 0.0

    def __init__(self, split: Split, seed: int, batch: int, mesh: Mesh, labelled: bool = False):
        self.steps_per_epoch = len(split) // batch
        examples = (split.images, split.labels if labelled else None)
        self._examples = devices.put(examples, devices.replicated(mesh))
        self._seed = seed
        self._order = jax.jit(order.epoch_order, static_argnums=2, out_shardings=devices.replicated(mesh))
        self._source: Source | None = None

    def at(self, step: int) -> Source:
        epoch = step // self.steps_per_epoch
        first = epoch * self.steps_per_epoch
        if self._source is None or self._source.first != first:
            rows = self._order(np.uint32(self._seed), np.int32(epoch), len(self._examples[0]))
            self._source = Source(self._examples, rows, first, first + self.steps_per_epoch)
        return self._source

    def close(self) -> None:
        self._source = None


class Blocks:
    """A source that is good for a block of steps, and replaced by the next one."""

    def __init__(self):
        self.waited = 0.0
        self._source: Source | None = None

    def at(self, step: int) -> Source:
        if self._source is None or not self._source.first <= step < self._source.stop:
            self._source = self._next(step)
        return self._source

    def _next(self, step: int) -> Source:
        """The source from a step on."""
        raise NotImplementedError

    def _awaited(self, take: Callable[[], Any]) -> Any:
        """What ``take`` gives; the time it takes has been waited."""
        began = time.perf_counter()
        taken = take()
        self.waited += time.perf_counter() - began
        return taken


class Streamed(Blocks):
    """Blocks of an epoch's batches, gathered on the host while the device works on the block before.

    Each device gets its rows of every batch alone, and each process gathers those of its devices. Two blocks are on
    the devices at once; on each they take at most ``device_bytes`` together, or one step each where a step alone takes
    more.
    """

    def __init__(self, split: Split, seed: int, batch: int, mesh: Mesh, device_bytes: int, labelled: bool = False):
        super().__init__()
        self.steps_per_epoch = len(split) // batch
        self._images, self._labels = split.images, split.labels if labelled else None
        self._seed, self._batch, self._mesh = seed, batch, mesh
        self._room = devices.padded(batch, mesh)
        self._steps = steps_a_block(split, batch, mesh, device_bytes)
        self._own = devices.own_rows(self._room, mesh)
        self._order = jax.jit(order.epoch_order, static_argnums=2)
        self._blocks: Iterator | None = None

    def _next(self, step: int) -> Source:
        epoch, start = divmod(step, self.steps_per_epoch)
        if self._blocks is None or start == 0:
            self.close()
            rows = np.asarray(self._order(np.uint32(self._seed), np.int32(epoch), len(self._images)))
            self._rows = order.batches(rows, self._batch, self._own)
            self._blocks = order.blocks(self._images, self._rows, start, self._steps)
        begin, images = self._awaited(partial(next, self._blocks))
        first = epoch * self.steps_per_epoch + begin
        stop = min(first + self._steps, (epoch + 1) * self.steps_per_epoch)
        labels = None
        if self._labels is not None:
            labels = np.zeros(images.shape[:2], self._labels.dtype)
            labels[: stop - first] = self._labels[self._rows[begin : begin + stop - first]]
        return Source(on_devices((images, labels), self._room, self._mesh), None, first, stop)

    def close(self) -> None:
        if self._blocks is not None:
            self._blocks.close()
        self._blocks = self._source = None


class FromDisk(Blocks):
    """Blocks of batches that are read and decoded while the device works on the block before.

    A block has as many steps as take ``BLOCK`` bytes, one at least. Beside the batches that Grain's threads have in
    flight, two blocks are on the host and two on the devices.
    """

    def __init__(
        self, split: records.Records, seed: int, batch: int, mesh: Mesh, host_bytes: int, total: int, labelled: bool
    ):
        super().__init__()
        self._split, self._seed, self._batch, self._mesh, self._labelled = split, seed, batch, mesh, labelled
        self._host_bytes, self._total, self._room = host_bytes, total, devices.padded(batch, mesh)
        self._own = devices.own_rows(self._room, mesh)
        self._steps = steps_a_block(split, batch, mesh, 0)
        self._per_epoch = len(split) // batch
        self._batches: streaming.Batches | None = None

    def _next(self, step: int) -> Source:
        if self._source is None or step != self._source.stop:
            self.close()
            given = (self._split, self._seed, self._batch, range(step, self._total), self._own, self._host_bytes)
            self._batches = streaming.batches(*given)
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="blocks")
            self._coming = self._thread.submit(self._gather, step)
        examples, stop = self._awaited(self._coming.result)
        if stop < self._total:
            self._coming = self._thread.submit(self._gather, stop)
        return Source(on_devices(examples, self._room, self._mesh), None, step, stop)

    def _gather(self, step: int) -> tuple[tuple[np.ndarray, np.ndarray | None], int]:
        """The batches from a step to the block's end, which an epoch's end may cut, of one shape; and that end."""
        stop = min(step + self._steps, (step // self._per_epoch + 1) * self._per_epoch, self._total)
        shape = (self._steps, self._own.stop - self._own.start)
        images = np.zeros((*shape, *self._split.shape), self._split.dtype)
        labels = np.zeros(shape, np.int32) if self._labelled else None
        for here in range(stop - step):
            _, found, classes = next(self._batches)
            images[here, : len(found)] = found
            if labels is not None:
                labels[here, : len(found)] = classes
        return (images, labels), stop

    def close(self) -> None:
        if self._batches is not None:
            self._thread.shutdown(wait=True)  # a block at most
            self._batches.close()
        self._batches = self._source = None


def steps_a_block(split: Split | records.Records, batch: int, mesh: Mesh, device_bytes: int) -> int:
    """How many steps' batches of a stream lie on the devices at a time; as many again are on their way."""
    room, of_one = devices.padded(batch, mesh), math.prod(split.shape) * split.dtype.itemsize
    own = devices.own_rows(room, mesh)
    here, on_each = (of_one * rows for rows in (own.stop - own.start, room // mesh.devices.shape[0]))
    steps = BLOCK // here if isinstance(split, records.Records) else device_bytes // 2 // on_each
    return int(np.clip(steps, 1, len(split) // batch))


def on_devices(batches: Any, room: int, mesh: Mesh) -> Any:
    """Arrays [m, own rows, …] of batches of ``room`` rows, of which this process has its own -> arrays [m, room, …],
    split over the devices along the rows."""
    sharding = devices.batched(mesh, axis=1)

    def put(a: np.ndarray) -> jax.Array:
        return jax.make_array_from_process_local_data(sharding, a, (len(a), room, *a.shape[2:]))

    return jax.tree.map(put, batches)


def resident(split: Split | records.Records, device_bytes: int) -> bool:
    """Whether all of a split lies on every device: it fits in ``device_bytes``, and one process has all devices."""
    return isinstance(split, Split) and split.nbytes <= device_bytes and jax.process_count() == 1


def feed(
    split: Split | records.Records, seed: int, batch: int, mesh: Mesh, data: Mapping, total: int, labelled: bool
) -> Feed:
    """What feeds a run.

    Args:
      split: train.
      seed: of the run.
      batch: examples a step, over all devices.
      mesh: of the devices.
      data: the section of the config.
      total: steps of the run.
      labelled: whether its model reads labels.
    """
    if isinstance(split, records.Records):
        return FromDisk(split, seed, batch, mesh, data["host_bytes"], total, labelled)
    if resident(split, data["device_bytes"]):
        return Resident(split, seed, batch, mesh, labelled)
    return Streamed(split, seed, batch, mesh, data["device_bytes"], labelled)
