"""Splits that do not fit in memory: examples are decoded when they are asked for.

A source that knows how to decode one image at a time describes itself by a ``Reader``. Where all of its images, of all
its splits together, take at most ``data.host_bytes``, they are read into memory once, and its splits are of type
``Split``; else they are ``Records``, which keep to the same names. That depends on the size of the source alone, so a
run that goes on decides as it did.

``Records`` know which examples are theirs by a function, not by a list, unless there are labels in memory, by which
they are selected. So a split of any length takes no memory.
"""

import os
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

import numpy as np

from aejax.data import pixels
from aejax.data.dataset import Split
from aejax.errors import UserError

PART = 64  # examples fetched at once, and a task of a pool of threads
SAMPLED = 64  # examples that a fingerprint is made of


@dataclass(frozen=True, eq=False)
class Reader:
    """The images of a source, one at a time. Several threads may call both functions at once.

    Attributes:
      count: how many.
      fetch: [places] -> what is stored of each, in that order.
      decode: (what is stored, place) -> ([h, w, c] uint8, its label or a negative number).
      name: place -> what to call the example in a message.
      source: the ``data.name``, for messages.
      labelled: whether every label that ``decode`` gives is one.
      shape: (h, w, c) of the first image, which is that of all.
    """

    count: int
    fetch: Callable[[list[int]], Sequence[Any]]
    decode: Callable[[Any, int], tuple[np.ndarray, int]]
    name: Callable[[int], str]
    source: str
    labelled: bool = False
    shape: tuple[int, int, int] = field(init=False)

    def __post_init__(self):
        """Reads the first image."""
        with pixels.bombs_are_errors():
            object.__setattr__(self, "shape", self.decode(*self.fetch([0]), 0)[0].shape)

    @property
    def nbytes(self) -> int:
        """What all the images take, decoded."""
        return self.count * prod(self.shape)

    def read(
        self, rows: Sequence[int], threads: int = 1, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """[b] places -> (images [b, h, w, c] uint8, labels [b] int32).

        Args:
          rows: places.
          threads: how many read at a time; 0 takes one a core.
          out: where the images are put; a new array if None.

        Raises:
          UserError: names the example that cannot be read, or is not like the first; or there is no such memory.
        """
        images = pixels.room((len(rows), *self.shape)) if out is None else out
        labels = np.zeros(len(rows), np.int32)

        def part(start: int) -> None:
            places = [int(row) for row in rows[start : start + PART]]
            for i, (stored, place) in enumerate(zip(self.fetch(places), places, strict=True), start):
                images[i], labels[i] = self._like_the_first(place, *self.decode(stored, place))

        parts = range(0, len(rows), PART)
        if threads == 1:
            for start in parts:
                part(start)
        else:
            with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
                for _ in pool.map(part, parts):  # in order: the error told is the first one's
                    pass
        return images, labels

    def _like_the_first(self, place: int, image: np.ndarray, label: int) -> tuple[np.ndarray, int]:
        if image.shape != self.shape:
            raise UserError(pixels.difference(self.name(0), self.shape, self.name(place), image.shape))
        return image, label

    def divided(self, host_bytes: int) -> "Callable[..., Split | Records]":
        """What makes a split of the places from ``start`` to ``stop``, and of their labels where these are in memory.

        Args:
          host_bytes: ``data.host_bytes``.
        """
        if self.nbytes > host_bytes:
            return lambda rows, labels=None: Records(self, span(rows.start, rows.stop), labels)
        with pixels.bombs_are_errors():
            images, found = self.read(range(self.count), threads=0)
        own = found if self.labelled and found.min() >= 0 else None
        return lambda rows, labels=None: Split(images[rows], labels if own is None else own[rows])


class Places(NamedTuple):
    """Which examples of a reader make a split: how many, and a function from places in the split to places there."""

    count: int
    at: Callable[[np.ndarray], np.ndarray]


def span(start: int, stop: int) -> Places:
    """The places from ``start`` up to ``stop``."""
    return Places(stop - start, lambda i: i + start)


@dataclass(frozen=True, eq=False)
class Records:
    """Examples that are read when they are asked for; otherwise as ``Split``.

    Attributes:
      reader: where they come from.
      places: which of them, in order.
      labels: [n] int32, where these are in memory; others come with the images, see ``labelled``.
    """

    reader: Reader
    places: Places
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        """Number of examples."""
        return self.places.count

    @property
    def shape(self) -> tuple[int, int, int]:
        """(h, w, c) of one image."""
        return self.reader.shape

    @property
    def dtype(self) -> np.dtype:
        """uint8."""
        return np.dtype(np.uint8)

    @property
    def nbytes(self) -> int:
        """What the images would take in memory."""
        return len(self) * prod(self.shape)

    @property
    def labelled(self) -> bool:
        """Whether ``read`` gives labels."""
        return self.labels is not None or self.reader.labelled

    @property
    def images(self) -> "Images":
        """[n, h, w, c] uint8, of which is read what is indexed."""
        return Images(self)

    def read(
        self, rows: np.ndarray, threads: int = 1, out: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Any of the examples: [b] integers -> (images [b, h, w, c] uint8, labels [b] int32 or None).

        Args:
          rows: places in the split.
          threads: how many read at a time; 0 takes one a core.
          out: where the images are put; a new array if None.

        Raises:
          UserError: names the example that cannot be read.
        """
        rows = np.asarray(rows)
        if rows.size and not 0 <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"rows from {rows.min()} to {rows.max()} of {len(self)}")
        images, labels = self.reader.read(self.places.at(rows), threads, out)
        if self.labels is not None:
            labels = self.labels[rows]
        elif self.labelled and len(labels) and labels.min() < 0:
            unlabelled = self.reader.name(int(self.places.at(rows)[labels.argmin()]))
            raise UserError(f"{unlabelled}: has no label, but {self.reader.name(0)} has")
        return images, labels if self.labelled else None

    def rows(self, rows: np.ndarray | slice) -> "Records":
        """Some of the examples: [n] bool, or places in the split, or a slice."""
        labels, at = None if self.labels is None else self.labels[rows], self.places.at
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            return Records(self.reader, Places(len(range(start, stop, step)), lambda i: at(start + i * step)), labels)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        return Records(self.reader, Places(len(rows), lambda i: at(rows[i])), labels)

    def drawn(self, seed: int, name: str) -> "Records":
        """All of the examples, without their labels in memory, in an order drawn by seed and name (``shuffle``)."""
        from aejax.data import shuffle  # needs JAX

        n, at = len(self), self.places.at
        keys = shuffle.round_keys(seed % 2**32, name, seed >> 32)
        return Records(self.reader, Places(n, lambda i: at(shuffle.permuted(i, n, keys))))

    def joined(self, other: "Records") -> "Records":
        """These examples and then others of the same reader."""
        n, first, second = len(self), self.places.at, other.places.at

        def at(i: np.ndarray) -> np.ndarray:
            places = np.empty(len(i), np.int64)
            places[i < n], places[i >= n] = first(i[i < n]), second(i[i >= n] - n)
            return places

        labels = None if self.labels is None else np.concatenate([self.labels, other.labels])
        return Records(self.reader, Places(n + len(other), at), labels)

    def fingerprint(self) -> int:
        """CRC-32 of how many examples there are and of ``SAMPLED`` images, evenly over the split.

        It is cheap, and so does not see every change.
        """
        rows = np.linspace(0, max(len(self) - 1, 0), min(SAMPLED, len(self))).astype(np.int64)
        return zlib.crc32(self.read(rows)[0], zlib.crc32(str(len(self)).encode()))


class Images:
    """The images of ``Records`` as an array [n, h, w, c] uint8, of which is read what is indexed.

    It takes whole numbers, slices, masks and places along its first axis, and is never read as a whole by NumPy.
    """

    ndim = 4

    def __init__(self, records: Records):
        self._records = records
        self.shape, self.dtype = (len(records), *records.shape), records.dtype
        self.nbytes = records.nbytes

    def __len__(self) -> int:
        """Number of images."""
        return len(self._records)

    def __getitem__(self, rows: int | slice | np.ndarray) -> np.ndarray:
        """One image [h, w, c], or several [m, h, w, c]; read by a thread a core."""
        if isinstance(rows, int | np.integer):
            return self[np.array([range(len(self))[rows]])][0]
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        rows = np.asarray(rows)
        return self._records.read(np.flatnonzero(rows) if rows.dtype == bool else rows, threads=0)[0]

    def __array__(self, *args, **kwargs):
        """
        Raises:
          UserError: always.
        """
        raise UserError(
            f"data.name={self._records.reader.source}: its images are too many to be read at once; accepted: "
            f"data.host_bytes={self._records.reader.nbytes} or more, or what reads them in parts"
        )
