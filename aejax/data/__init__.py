"""Data sets by name: ``load(config.data)`` gives arrays and what they mean.

A name is one of the built-in sets, or a prefix and what it reads: ``npz:PATH``,
``folder:PATH``, ``tfds:NAME``. Importing this package costs NumPy alone; what
else a source needs is imported when it is read. The batch order and the scaling,
which run on the device, are in ``order`` and ``transforms``.
"""

from collections.abc import Callable
from functools import partial

from ml_collections import ConfigDict

from aejax.data import canonical, embedded, folder, npz, split, tfds
from aejax.data.dataset import Dataset, Source, Split
from aejax.errors import UserError

__all__ = ["Dataset", "Split", "load"]

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
}

RESIZED = ("folder", "tfds")  # the prefixes whose images data.size and data.channels convert


def load(data: ConfigDict) -> Dataset:
    """The data set that a config names, with train, valid and test.

    A split that the source lacks is cut from train by class and by ``data.split_seed``; see ``split``.

    Args:
      data: ``config.data``.

    Raises:
      UserError: the name is unknown, a key is out of range, or the data cannot be found or read.
    """
    split.check(data)
    reader = _reader(data)
    return split.complete(data.name, reader(data), test=data.test, valid=data.valid, seed=data.split_seed)


def _reader(data: ConfigDict) -> Callable[[ConfigDict], Source]:
    prefix, colon, rest = data.name.partition(":")
    if (data.size or data.channels) and not (colon and prefix in RESIZED):
        key = "size" if data.size else "channels"
        raise UserError(f"data.{key}={data[key]}: only {' and '.join(RESIZED)} sources are converted; leave it at 0")
    if data.name in READERS:
        return READERS[data.name]
    if colon and prefix in PREFIXES:
        read, what = PREFIXES[prefix]
        if not rest:
            raise UserError(f"data.name={data.name}: say what to read, {prefix}:{what}")
        return partial(read, rest=rest)
    accepted = [*READERS, *(f"{prefix}:{what}" for prefix, (_, what) in PREFIXES.items())]
    raise UserError(f"data.name={data.name!r}: no such data set; accepted: {', '.join(accepted)}")
