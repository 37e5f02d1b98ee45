"""Splits that do not fit in memory: examples are decoded when they are asked for.

A source that knows how to decode one image at a time describes itself by a ``Reader``. Where all of its images, of all
its splits together, take at most ``data.host_bytes``, they are read into memory once, and its splits are of type
``Split``; else they are ``Records``, which keep to the same names. That depends on the size of the source alone, so a
run that goes on decides as it did.

``Records`` know which examples are theirs by a function, not by a list, unless there are labels in memory, by which
they are selected. So a split of any length takes no memory.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import numpy as np

from aejax.data import pixels, tree
from aejax.data.dataset import Split
from aejax.errors import UserError

SAMPLED = 64  # examples that a fingerprint is made of


@dataclass(frozen=True, eq=False)
class Reader:
    """The images of a source, one at a time.

    Attributes:
      count: how many.
      decode: place -> ([h, w, c] uint8, its label or a negative number). Called by several threads at a time.
      name: place -> what to call the example in a message.
      labelled: whether every label that ``decode`` gives is one.
      source: the ``data.name``, for messages.
    """

    count: int
    decode: Callable[[int], tuple[np.ndarray, int]]
    name: Callable[[int], str]
    source: str
    labelled: bool = False

    def __post_init__(self):
        """Decodes the first image, whose shape is that of all."""
        with pixels.bombs_are_errors():
            object.__setattr__(self, "shape", self.decode(0)[0].shape)

    @property
    def nbytes(self) -> int:
        """What all the images take, decoded."""
        return self.count * prod(self.shape)

    def read(self, rows: np.ndarray, threads: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """[b] places -> (images [b, h, w, c] uint8, labels [b] int32).

        Raises:
          UserError: names the example that cannot be read, or is not like the first.
        """
        images, labels = np.empty((len(rows), *self.shape), np.uint8), np.zeros(len(rows), np.int32)

        def put(i: int) -> None:
            image, labels[i] = self.decode(int(rows[i]))
            if image.shape != self.shape:
                raise UserError(pixels.difference(self.name(0), self.shape, self.name(int(rows[i])), image.shape))
            if self.labelled and labels[i] < 0:
                raise UserError(f"{self.name(int(rows[i]))}: has no label, but {self.name(0)} has")
            images[i] = image

        if threads == 1:
            for i in range(len(rows)):
                put(i)
        else:
            tree.fill(len(rows), put, threads)
        return images, labels

    def divided(self, host_bytes: int, threads: int = 0) -> "Callable[[slice, np.ndarray | None], Split | Records]":
        """What makes a split of so many places, and of their labels where these are in memory.

        Args:
          host_bytes: ``data.host_bytes``.
          threads: how many read at a time where all is read into memory; 0 takes one a core.
        """
        if self.nbytes > host_bytes:
            return lambda rows, labels=None: Records(self, span(rows.start, rows.stop), labels)
        found = np.zeros(self.count, np.int32)

        def image(i: int) -> np.ndarray:
            image, found[i] = self.decode(i)
            return image

        images = pixels.stack(self.count, image, self.name, threads)
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

    def read(self, rows: np.ndarray, threads: int = 1) -> tuple[np.ndarray, np.ndarray | None]:
        """Any of the examples: [b] integers -> (images [b, h, w, c] uint8, labels [b] int32 or None).

        Raises:
          UserError: names the example that cannot be read.
        """
        rows = np.asarray(rows)
        if rows.size and not 0 <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"rows from {rows.min()} to {rows.max()} of {len(self)}")
        images, labels = self.reader.read(self.places.at(rows), threads)
        if self.labels is not None:
            labels = self.labels[rows]
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
