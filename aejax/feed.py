"""Where a stretch of steps finds its images: a split resident on the devices, or blocks of it from the host.

Both give bit for bit the same batches: row ``i`` of step ``s`` is a pure function of (seed, s).
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
from jax.sharding import Mesh

from aejax import devices
from aejax.data import order


class Source(NamedTuple):
    """Raw images (and labels, or None), and the rows that the steps from ``first`` up to ``stop`` train on; or None,
    where the examples are the batches of those steps."""

    examples: tuple[jax.Array, jax.Array | None]
    order: jax.Array | None
    first: int
    stop: int


class Feed(Protocol):
    def at(self, step: int) -> Source:
        """The source of this step and those after it, to the end of the epoch at most."""

    def close(self) -> None:
        """Let go of threads."""


class Resident:
    """The whole split on every device; an epoch's order is computed there."""

    def __init__(self, images: np.ndarray, seed: int, batch: int, mesh: Mesh, labels: np.ndarray | None = None):
        self.steps_per_epoch = len(images) // batch
        self._examples = devices.put((images, labels), devices.replicated(mesh))
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


class Streamed:
    """Blocks of an epoch's batches, gathered on the host while the device works on the block before.

    Each device gets its rows of every batch alone, and each process gathers those of its devices. Two blocks are on
    the devices at once; on each they take at most ``device_bytes`` together, or one step each where a step alone takes
    more.
    """

    def __init__(
        self,
        images: np.ndarray,
        seed: int,
        batch: int,
        mesh: Mesh,
        device_bytes: int,
        labels: np.ndarray | None = None,
    ):
        self.steps_per_epoch = len(images) // batch
        self._images, self._labels, self._seed, self._batch, self._mesh = images, labels, seed, batch, mesh
        self._room = devices.padded(batch, mesh)
        self._steps = steps_a_block(images, batch, mesh, device_bytes)
        self._own = devices.own_rows(self._room, mesh)
        self._order = jax.jit(order.epoch_order, static_argnums=2)
        self._blocks: Iterator | None = None
        self._source: Source | None = None

    def at(self, step: int) -> Source:
        if self._source is None or not self._source.first <= step < self._source.stop:
            self._source = self._next(step)
        return self._source

    def _next(self, step: int) -> Source:
        epoch, start = divmod(step, self.steps_per_epoch)
        if self._blocks is None or start == 0:
            self.close()
            rows = np.asarray(self._order(np.uint32(self._seed), np.int32(epoch), len(self._images)))
            self._rows = order.batches(rows, self._batch, self._own)
            self._blocks = order.blocks(self._images, self._rows, start, self._steps)
        begin, images = next(self._blocks)
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


def steps_a_block(images: np.ndarray, batch: int, mesh: Mesh, device_bytes: int) -> int:
    """How many steps' batches of a stream lie on the devices at a time; as many again are on their way."""
    of_a_step = images[0].nbytes * devices.padded(batch, mesh) // mesh.devices.shape[0]
    return int(np.clip(device_bytes // 2 // of_a_step, 1, len(images) // batch))


def on_devices(batches: Any, room: int, mesh: Mesh) -> Any:
    """Arrays [m, own rows, …] of batches of ``room`` rows, of which this process has its own -> arrays [m, room, …],
    split over the devices along the rows."""
    sharding = devices.batched(mesh, axis=1)

    def put(a: np.ndarray) -> jax.Array:
        return jax.make_array_from_process_local_data(sharding, a, (len(a), room, *a.shape[2:]))

    return jax.tree.map(put, batches)


def feed(
    images: np.ndarray, seed: int, batch: int, mesh: Mesh, device_bytes: int, labels: np.ndarray | None = None
) -> Feed:
    """Resident where the images fit in ``device_bytes`` and one process has all devices, else streamed."""
    if images.nbytes <= device_bytes and jax.process_count() == 1:
        return Resident(images, seed, batch, mesh, labels)
    return Streamed(images, seed, batch, mesh, device_bytes, labels)
