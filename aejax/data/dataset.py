"""What every source hands over: arrays and what they mean."""

import dataclasses
import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Examples in the source's order.

    Attributes:
      images: [n, h, w, c] uint8 or float32, C-contiguous, as they came: scaling happens inside the step.
      labels: [n] int32, indices into the data set's classes, or None.

    Raises:
      ValueError: the arrays are not of that form.
    """

    images: np.ndarray
    labels: np.ndarray | None = None

    def __post_init__(self):
        """Checks the form."""
        images, labels = self.images, self.labels
        if images.ndim != 4 or images.dtype not in (np.uint8, np.float32) or not images.flags.c_contiguous:
            raise ValueError(
                f"images must be [n, h, w, c], uint8 or float32, C-contiguous; they are {images.dtype} {images.shape}"
            )
        if labels is not None and (labels.shape != images.shape[:1] or labels.dtype != np.int32):
            raise ValueError(f"labels must be int32 {images.shape[:1]}; they are {labels.dtype} {labels.shape}")

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(h, w, c) of one image."""
        return self.images.shape[1:]

    @property
    def dtype(self) -> np.dtype:
        """Of the images."""
        return self.images.dtype

    @property
    def nbytes(self) -> int:
        """What the images take in memory."""
        return self.images.nbytes

    @property
    def labelled(self) -> bool:
        """Whether ``read`` gives labels."""
        return self.labels is not None

    def read(self, rows: np.ndarray, out: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray | None]:
        """Any of the examples: [b] integers -> (images [b, h, w, c], put into ``out`` if given; labels [b] or None)."""
        return np.take(self.images, rows, axis=0, out=out), None if self.labels is None else self.labels[rows]

    def rows(self, rows: np.ndarray | slice) -> "Split":
        """Some of the examples: [n] bool, or a slice."""
        return Split(self.images[rows], None if self.labels is None else self.labels[rows])

    def fingerprint(self) -> int:
        """CRC-32 of the images."""
        return zlib.crc32(self.images)


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """What a reader found, before the missing splits are cut.

    Attributes:
      parts: the splits that the source has: ``train``, and perhaps ``valid`` and ``test``. They are of type ``Split``,
        or ``records.Records`` where they do not fit in memory; where there is a ``finish``, they may be of another
        type with a length, ``labels`` and ``rows``, such as ``text.Documents``.
      classes: names of the classes, () where there are no labels.
      finish: makes the images once the splits are cut, for a source whose images depend on what is in train.
    """

    parts: dict[str, Any]
    classes: tuple[str, ...] = ()
    finish: "Callable[[Dataset], Dataset] | None" = None


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A data set with all three splits; ``valid`` and ``test`` may be empty.

    Where they do not fit in memory, all three are of type ``records.Records``, which keeps to the names of ``Split``.

    Attributes:
      name: the ``data.name`` that it was loaded by.
      train: what models learn from.
      valid: what decisions (early stopping, C of a probe) are taken on.
      test: what is reported.
      classes: names of the classes, () where there are no labels.
      reading: what train taught about reading raw data, beyond the config: plain JSON, for the checkpoint's
        ``meta``. ``data.from_raw`` takes it.
    """

    name: str
    train: Split
    valid: Split
    test: Split
    classes: tuple[str, ...] = ()
    reading: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(h, w, c) of one image."""
        return self.train.shape

    @property
    def words(self) -> tuple[str, ...]:
        """The vocabulary, a word a channel; () where the data are no text."""
        return tuple(self.reading.get("words", ()))


def home(path: str | Path) -> Path:
    """The path with ~ expanded; as it is where nobody's home is known (``Path.expanduser`` would fail there)."""
    return Path(os.path.expanduser(path))


def cache() -> Path:
    """The project's cache of downloads and unpacked archives; it need not exist."""
    return home(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "aejax"


def one_line(error: BaseException) -> str:
    """An exception's message without line breaks, or its class name where it has none."""
    return " ".join(str(error).split()) or type(error).__name__
