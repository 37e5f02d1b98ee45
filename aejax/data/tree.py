"""Folders of files by class, for the sources that read such: which files, in which split, of which class.

One sub-folder a class, and perhaps ``train``, ``valid`` (or ``val``, ``validation``) and ``test`` above them::

    PATH/cat/1.png            PATH/train/cat/1.png
    PATH/dog/1.png            PATH/test/cat/1.png

* Where PATH has ``train``, only the folders of splits are read, and the others must hold no class that train lacks.
* Files that lie in PATH (or in a split) itself, without class folders, have no labels.
* Below a class folder, files are found at any depth.
* Files with other suffixes than the source reads are skipped, and so are names that begin with a dot and
  ``__MACOSX``.
* Classes and files come in natural order: 2 before 10. That depends on their names alone.
* PATH may be an archive (see ``archive``); where all of it is in one folder, that folder is meant.
"""

import dataclasses
import os
import re
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from aejax.data import archive
from aejax.data.dataset import home, one_line
from aejax.errors import UserError

SPLITS = {"train": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": "test"}
CHUNK = 64  # files a task of the thread pool

Files = dict[str | None, list[Path]]  # class -> its files; the class is None where there are none


@dataclasses.dataclass(frozen=True)
class Tree:
    """What a folder holds.

    Attributes:
      parts: split -> class -> files, in order.
      classes: names of the classes, those of train; () where there are no labels.
    """

    parts: dict[str, Files]
    classes: tuple[str, ...]

    @property
    def files(self) -> list[Path]:
        """All files, split after split and class after class."""
        return [path for by_class in self.parts.values() for paths in by_class.values() for path in paths]

    def divide(self, make: Callable[[slice, np.ndarray | None], Any]) -> dict[str, Any]:
        """split -> ``make`` of its rows among ``files`` and of their labels, [n] int32 or None."""
        splits, start = {}, 0
        for part, by_class in self.parts.items():
            counts = [len(paths) for paths in by_class.values()]
            rows = slice(start, start := start + sum(counts))
            places = [self.classes.index(name) for name in by_class] if self.classes else None
            splits[part] = make(rows, None if places is None else np.repeat(places, counts).astype(np.int32))
        return splits


def walk(prefix: str, rest: str, suffixes: Collection[str], what: str) -> Tree:
    """The files of ``prefix:rest``; the module's docstring has the rules.

    Args:
      prefix: of ``data.name``, for messages.
      rest: the path behind it.
      suffixes: of the files to read, in lower case, each with its dot; "" for names that have none.
      what: the files are, in the plural, for messages.

    Raises:
      UserError: the folder is missing or empty, or cannot be read as said above.
    """
    root = _root(prefix, rest)
    try:
        parts = {part: _classes(folder, suffixes, what) for part, folder in _splits(root).items()}
    except OSError as error:
        raise UserError(f"data.name={prefix}:{rest}: cannot be listed ({one_line(error)})") from error
    return Tree(parts, _agreed(root, parts))


def fill(count: int, read: Callable[[int], None], threads: int = 0) -> None:
    """Calls ``read`` with every place below ``count``, in a pool of threads; what it raises first, by place.

    Args:
      count: how many.
      read: reads a file and puts it into its place.
      threads: how many read at a time; 0 takes one a core.
    """

    def chunk(start: int) -> None:
        for i in range(start, min(start + CHUNK, count)):
            read(i)

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        for _ in pool.map(chunk, range(0, count, CHUNK)):  # in order: the error told is the first one's
            pass


def natural(name: str) -> tuple:
    """A sorting key by which numbers inside names count as numbers."""
    pieces = re.split(r"(\d+)", name)
    return [int(piece) if i % 2 else piece for i, piece in enumerate(pieces)], name


def _root(prefix: str, rest: str) -> Path:
    path = home(rest)
    if os.path.isdir(path):
        return path
    if os.path.isfile(path) and archive.suffix(path):
        root = archive.unpack(path)
        inside = _entries(root)
        alone = len(inside) == 1 and inside[0].is_dir() and inside[0].name not in SPLITS
        return inside[0] if alone else root
    why = f"not a folder or an archive ({', '.join(archive.READERS)})" if os.path.exists(path) else "no such folder"
    raise UserError(f"data.name={prefix}:{rest}: {why}")


def _splits(root: Path) -> dict[str, Path]:
    """split -> its folder."""
    names = {entry.name for entry in _entries(root) if entry.is_dir()}
    if "train" not in names:
        if names and names <= SPLITS.keys():
            raise UserError(f"{root}: has {', '.join(sorted(names))} but no train")
        return {"train": root}
    folders = {}
    for name, part in SPLITS.items():
        if name in names:
            if part in folders:
                raise UserError(f"{root}: {folders[part].name} and {name} mean the same split; keep one")
            folders[part] = root / name
    return folders


def _classes(folder: Path, suffixes: Collection[str], what: str) -> Files:
    """class -> its files, in order."""
    entries = _entries(folder)
    folders = [entry for entry in entries if entry.is_dir()]
    loose = [entry for entry in entries if entry.is_file() and entry.suffix.lower() in suffixes]
    if folders and loose:
        raise UserError(f"{loose[0]}: lies beside class folders; move it into one of them")
    files = {entry.name: _below(entry, suffixes) for entry in folders} or {None: loose}
    for name, paths in files.items():
        if not paths:
            raise UserError(f"{folder / (name or '')}: no {what} in this folder")
    return files


def _below(folder: Path, suffixes: Collection[str]) -> list[Path]:
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not _hidden(name)]
        found += [Path(place, n) for n in names if not _hidden(n) and os.path.splitext(n)[1].lower() in suffixes]
    return sorted(found, key=lambda path: natural(str(path.relative_to(folder))))


def _agreed(root: Path, parts: dict[str, Files]) -> tuple[str, ...]:
    """The classes of train, which the other splits must keep to; () without labels."""
    classes = tuple(parts["train"])
    for part, files in parts.items():
        for name in files:
            if name not in classes:
                what = f"a class {name!r} that train lacks" if name else "no classes, but train has"
                raise UserError(f"{root}: {part} has {what}")
    return () if classes == (None,) else classes


def _entries(folder: Path) -> list[Path]:
    return sorted((e for e in folder.iterdir() if not _hidden(e.name)), key=lambda entry: natural(entry.name))


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
