"""Data sets by name: ``load(config.data)`` gives arrays and what they mean.

A name is one of the built-in sets, or a prefix and what it reads: ``npz:PATH``,
``folder:PATH``, ``tfds:NAME``, ``arrayrecord:PATH``, ``audio:PATH``, ``text:PATH``, ``codes:WORKDIR``. Importing
this package costs NumPy alone; what else a source needs is imported when it is read.
The batch order and the preprocessing, which run on the device, are in ``order``
and ``transforms``.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from aejax.data import arrayrecord, audio, canonical, codes, embedded, folder, npz, split, text, tfds
from aejax.data.dataset import Dataset, Source, Split
from aejax.errors import UserError

__all__ = ["Dataset", "Split", "from_raw", "load"]

READERS: dict[str, Callable[[ConfigDict], Source]] = {
    "mnist5k": embedded.mnist5k,
    "digits": embedded.digits,
    **{name: partial(canonical.read, name) for name in canonical.SETS},
}

# prefix -> (reader of what follows the colon, what that is)
PREFIXES: dict[str, tuple[Callable[[ConfigDict, str], Source], str]] = {
    "npz": (npz.read, "PATH"),
    "folder": (folder.read, "PATH"),
    "tfds": (tfds.read, "NAME"),
    "arrayrecord": (arrayrecord.read, "PATH"),
    "audio": (audio.read, "PATH"),
    "text": (text.read, "PATH"),
    "codes": (codes.read, "WORKDIR"),
}

# prefix -> what turns raw data that are no arrays, such as texts, into images
RAW: dict[str, Callable[[Mapping, Mapping, Any], np.ndarray]] = {"audio": audio.from_raw, "text": text.from_raw}

STREAMED = ("folder", "tfds", "arrayrecord")  # prefixes of what may be larger than memory

# key that some sources alone read -> (its default, their prefixes)
READ_BY: dict[str, tuple[Any, tuple[str, ...]]] = {
    "size": (0, STREAMED),
    "channels": (0, STREAMED),
    "host_bytes": (4 * 1024**3, STREAMED),
    "rate": (8000, ("audio",)),
    "seconds": (1.0, ("audio",)),
    "features": ("log_mel", ("audio",)),
    "mels": (32, ("audio",)),
    "words": (2000, ("text",)),
    "weighting": ("counts", ("text",)),
}


def load(data: ConfigDict) -> Dataset:
    """The data set that a config names, with train, valid and test.

    A split that the source lacks is cut from train by class and by ``data.split_seed``, and so is train itself where
    ``data.labels`` wants fewer examples; ``data.folds`` and ``data.resample`` change what train is; see ``split``.

    Args:
      data: ``config.data``.

    Raises:
      UserError: the name is unknown, a key is out of range, or the data cannot be found or read.
    """
    split.check(data)
    source = _reader(data)(data)
    given = {key: data[key] for key in ("test", "valid", "labels", "labels_seed", "folds", "fold", "resample")}
    return split.complete(data.name, source, seed=data.split_seed, **given)


def from_raw(data: Mapping, reading: Mapping[str, Any], raw: Any) -> np.ndarray:
    """Raw data as a user has them -> images [n, h, w, c], as the source's reader would give them.

    For ``text:`` a list of texts, for ``audio:`` a list of paths; arrays, of any source, are images already.

    Args:
      data: ``config.data``.
      reading: ``Dataset.reading``, from a run's checkpoint.
      raw: examples.

    Raises:
      UserError: they are not of that kind, or cannot be read.
    """
    prefix, colon, _ = data["name"].partition(":")
    numbers = isinstance(raw, np.ndarray) and raw.dtype.kind in "buif"
    return RAW[prefix](data, reading, raw) if colon and prefix in RAW and not numbers else np.asarray(raw)


def _reader(data: ConfigDict) -> Callable[[ConfigDict], Source]:
    prefix, colon, rest = data.name.partition(":")
    for key, (default, prefixes) in READ_BY.items():
        if data[key] != default and not (colon and prefix in prefixes):
            raise UserError(
                f"data.{key}={data[key]}: read by {' and '.join(prefixes)} sources alone; leave it at {default}"
            )
    if data.name in READERS:
        return READERS[data.name]
    if colon and prefix in PREFIXES:
        read, what = PREFIXES[prefix]
        if not rest:
            raise UserError(f"data.name={data.name}: say what to read, {prefix}:{what}")
        return partial(read, rest=rest)
    accepted = [*READERS, *(f"{prefix}:{what}" for prefix, (_, what) in PREFIXES.items())]
    raise UserError(f"data.name={data.name!r}: no such data set; accepted: {', '.join(accepted)}")
