"""Where a stretch of steps finds its images: a split resident on the devices, or blocks of it from the host.

Both give bit for bit the same batches: row ``i`` of step ``s`` is a pure function of (seed, s).
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import jax
import numpy as np
from jax.sharding import Mesh

from aejax import devices
from aejax.data import order


class Source(NamedTuple):
    """Raw images (and labels, or None), and the rows that the steps from ``first`` up to ``stop`` train on."""

    examples: tuple[jax.Array, jax.Array | None]
    order: jax.Array
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
        self._examples = jax.device_put((images, labels), devices.replicated(mesh))
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

    Two blocks are on the device at once; together they take at most ``device_bytes``,
    or one step each where a step alone takes more.
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
        self._steps = int(np.clip(device_bytes // 2 // (images[0].nbytes * batch), 1, self.steps_per_epoch))
        rows = np.arange(self._steps * batch, dtype=np.int32)
        self._identity = jax.device_put(rows, devices.replicated(mesh))
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
            self._rows = rows
            self._blocks = order.blocks(self._images, rows, self._batch, start, self._steps)
        begin, images = next(self._blocks)
        first = epoch * self.steps_per_epoch + begin
        stop = min(first + self._steps, (epoch + 1) * self.steps_per_epoch)
        labels = None
        if self._labels is not None:
            labels = np.resize(self._labels[self._rows[begin * self._batch :][: len(images)]], len(images))
        examples = jax.device_put((images, labels), devices.replicated(self._mesh))
        return Source(examples, self._identity, first, stop)

    def close(self) -> None:
        if self._blocks is not None:
            self._blocks.close()
        self._blocks = self._source = None


def feed(
    images: np.ndarray, seed: int, batch: int, mesh: Mesh, device_bytes: int, labels: np.ndarray | None = None
) -> Feed:
    """Resident where the images fit in ``device_bytes``, else streamed."""
    if images.nbytes <= device_bytes:
        return Resident(images, seed, batch, mesh, labels)
    return Streamed(images, seed, batch, mesh, device_bytes, labels)
