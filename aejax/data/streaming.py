"""Batches read ahead of the steps that train on them, by Grain: a split of any length in little memory.

Threads of Grain (https://google-grain.readthedocs.io) read whole batches, in order. A batch is a pure function of
(seed, step): place i of step s of an epoch is row π(s·b + i), where π is the permutation of the epoch that
``shuffle.epoch_rows`` evaluates where it is asked. So there is no state to save, nor an index of the split, and each of
several processes reads no more than its own places of every batch.

Memory: ``in_flight`` batches of this process's places are being read or wait, and the consumer has what it took. Beside
these each thread has the stored bytes of ``records.PART`` examples, and those that it decodes of them.
"""

import mmap
import threading
from collections.abc import Callable, Iterator
from math import prod

import numpy as np

from aejax.data import records, shuffle
from aejax.data.dataset import Split

MOST, LEAST = 16, 2  # batches in flight

Batch = tuple[int, np.ndarray, np.ndarray | None]


def batches(
    split: "Split | records.Records", seed: int, batch: int, steps: range, rows: slice, host_bytes: int
) -> "Batches":
    """(step, images [b, h, w, c], labels [b] int32 or None) of some steps of training, ready when they are asked for.

    What does not fill a batch waits for another epoch, as in ``order``.

    Args:
      split: train.
      seed: of the run.
      batch: examples a step, of all processes together.
      steps: which, counted from the start of the run: ``range(step, total)`` goes on at a step.
      rows: the places of every batch that this process reads.
      host_bytes: ``data.host_bytes``.

    Raises:
      ValueError: the split does not fill a batch.
    """
    n, per_epoch = len(split), len(split) // batch
    if not per_epoch:
        raise ValueError(f"a batch of {batch} of {n} examples")
    own = np.arange(batch)[rows]

    def places(step: int) -> np.ndarray:
        epoch, first = divmod(step, per_epoch)
        return shuffle.epoch_rows(seed, epoch, n, first * batch + own)

    return Batches(split, places, steps, len(own), host_bytes)


def in_order(split: "Split | records.Records", size: int, rows: slice, host_bytes: int) -> "Batches":
    """(first, images [m, h, w, c], labels [m] int32 or None) of a split in its order, ``size`` examples at a time.

    Each part is that of the examples from ``first`` on, the last one perhaps shorter; of every part, what is in
    ``rows`` of it is read. For evaluation.
    """
    own = np.arange(size)[rows]

    def places(first: int) -> np.ndarray:
        return first + own[own < len(split) - first]

    return Batches(split, places, range(0, len(split), size), len(own), host_bytes)


def in_flight(batch_bytes: int, host_bytes: int) -> int:
    """How many batches are being read or wait: as many as fit in ``host_bytes``, from ``LEAST`` to ``MOST``."""
    return int(np.clip(host_bytes // max(batch_bytes, 1), LEAST, MOST))


class Batches(Iterator[Batch]):
    """What threads of Grain read ahead, in order.

    Attributes:
      in_flight: batches that are being read or wait, at most; so many threads read.
    """

    def __init__(
        self,
        split: "Split | records.Records",
        places: Callable[[int], np.ndarray],
        firsts: range,
        examples: int,
        host_bytes: int,
    ):
        """Of each of ``firsts`` the examples at these places, at most so many."""
        import grain  # takes most of a second

        self.in_flight = in_flight(examples * prod(split.shape) * split.dtype.itemsize, host_bytes)
        self._split, self._places, self._firsts, self._closed = split, places, firsts, threading.Event()
        options = grain.ReadOptions(num_threads=self.in_flight, prefetch_buffer_size=self.in_flight)
        self._batches = iter(grain.MapDataset.range(len(firsts)).map(self._read).to_iter_dataset(options))

    def __next__(self) -> Batch:
        """The next batch; where there is none, or an error, the threads end.

        Raises:
          UserError: names the example that cannot be read.
        """
        try:
            return next(self._batches)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends the threads, after the few examples that they are at."""
        self._closed.set()
        self._batches.close()

    def _read(self, i: int) -> Batch:
        first = self._firsts[i]
        rows = self._places(first)
        images = _room((len(rows), *self._split.shape), self._split.dtype)
        labels = np.empty(len(rows), np.int32) if self._split.labelled else None
        for start in range(0, len(rows), records.PART):
            if self._closed.is_set():
                break  # nobody asks for it any more
            part = slice(start, start + records.PART)
            _, found = self._split.read(rows[part], out=images[part])
            if labels is not None:
                labels[part] = found
        return first, images, labels


def _room(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Memory that goes back to the system once nobody uses it; C's allocator would keep some for each thread."""
    size = max(prod(shape) * dtype.itemsize, 1)
    pages = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.frombuffer(pages, dtype, prod(shape)).reshape(shape)
