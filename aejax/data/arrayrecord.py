"""``arrayrecord:PATH``: a folder of ArrayRecord files, each record an image: what is larger than memory, in few files.

In the folder PATH lie ::

    train-00000-of-00002.array_record     records, in shards or in one file, train.array_record
    train-00001-of-00002.array_record
    train.labels.npy                      labels, if there are any: [number of records] integers, NumPy's own format
    classes.txt                           their names, if they have any: one a line, the first that of label 0

and perhaps the same for ``valid`` (or ``validation``, ``val``) and ``test``. Other files are left. All splits have
labels, or none has; without ``classes.txt`` classes are called 0, 1, … up to the largest label of train. A record is

* an image file of any raster format that Pillow reads, such as PNG or JPEG: see ``pixels``; or
* an array [h, w] or [h, w, c] uint8 as ``numpy.save`` writes it, which takes more room and less time to read.

Nothing is unpickled. ``python -m aejax.data.pack`` writes such a folder from one of images; without it::

    from array_record.python.array_record_module import ArrayRecordWriter
    writer = ArrayRecordWriter("train.array_record", "group_size:1")  # each record can be read by itself
    for path in paths:
        writer.write(open(path, "rb").read())
    writer.close()
    numpy.save("train.labels.npy", labels)

What does not fit in memory: see ``records``. Of each file that has been read from, ArrayRecord keeps where its records
begin, some ten bytes a record.
"""

import bisect
import io
import itertools
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from aejax.data import pixels, records, tree
from aejax.data.dataset import Source, home, one_line
from aejax.errors import UserError

SUFFIX = ".array_record"
FILE = re.compile(r"(?P<split>[a-z]+)(-(?P<shard>\d+)-of-(?P<shards>\d+))?" + re.escape(SUFFIX))
ARRAY = b"\x93NUMPY"  # how numpy.save begins


class Stored:
    """Records of several splits, one after another.

    Args:
      name: the ``data.name``.
      parts: split -> its records.
    """

    def __init__(self, name: str, parts: Mapping[str, Sequence[bytes]]):
        self.name, self.parts = name, dict(parts)
        self._names, self._sources = list(parts), list(parts.values())
        self._ends = list(itertools.accumulate(len(source) for source in self._sources))
        self.count = self._ends[-1]

    def where(self, row: int) -> str:
        """What to call a record in a message, such as ``tfds:mnist train[3]``."""
        part, place = self._place(row)
        return f"{self.name} {self._names[part]}[{place}]"

    def rows(self, part: str) -> slice:
        """The rows of a split."""
        end = self._ends[self._names.index(part)]
        return slice(end - len(self.parts[part]), end)

    def fetch(self, rows: list[int]) -> list[bytes]:
        """The records at these rows.

        Raises:
          UserError: names the one that cannot be read.
        """
        found: list[bytes] = [b""] * len(rows)
        places = [self._place(row) for row in rows]
        for part, source in enumerate(self._sources):
            of = [i for i, (other, _) in enumerate(places) if other == part]
            try:
                stored = source.__getitems__([places[i][1] for i in of]) if of else []
            except ImportError:
                raise
            except Exception:  # it does not say which one
                stored = [self._one(rows[i]) for i in of]
            for i, record in zip(of, stored, strict=True):
                found[i] = record
        return found

    def _one(self, row: int) -> bytes:
        part, place = self._place(row)
        try:
            return self._sources[part][place]
        except Exception as error:  # the readers underneath fail each in its own way
            raise UserError(f"{self.where(row)}: unreadable record ({one_line(error)})") from error

    def _place(self, row: int) -> tuple[int, int]:
        part = bisect.bisect_right(self._ends, row)
        return part, row - self._ends[part] + len(self._sources[part])


def read(data: ConfigDict, rest: str) -> Source:
    """A folder of ArrayRecord files; the module's docstring has the format.

    Raises:
      UserError: the folder is missing or not as described, or a record is unreadable.
    """
    pixels.check(data)
    folder = home(rest)
    if not os.path.isdir(folder):
        raise UserError(f"data.name={data.name}: {'not a folder' if os.path.exists(folder) else 'no such folder'}")
    stored = Stored(data.name, {part: _opened(data.name, files) for part, files in _files(folder).items()})
    for part, source in stored.parts.items():
        if not len(source):
            raise UserError(f"data.name={data.name}: its {part} split is empty")
    labels, classes = _labels(folder, stored)

    def decode(record: bytes, row: int) -> tuple[np.ndarray, int]:
        if not record.startswith(ARRAY):
            return pixels.decode(io.BytesIO(record), stored.where(row), data.size, data.channels), -1
        return pixels.array(record, stored.where(row), data.size, data.channels), -1

    make = records.Reader(stored.count, stored.fetch, decode, stored.where, data.name).divided(data.host_bytes)
    return Source({part: make(stored.rows(part), labels.get(part)) for part in stored.parts}, classes)


def _files(folder: Path) -> dict[str, list[Path]]:
    """split -> its files, in order."""
    found: dict[str, dict[str, re.Match]] = {}
    for name in sorted(os.listdir(folder), key=tree.natural):
        match = FILE.fullmatch(name)
        if match and match["split"] in tree.SPLITS:
            found.setdefault(match["split"], {})[name] = match
    if "train" not in found:
        accepted = f"train{SUFFIX} or train-00000-of-00001{SUFFIX} and so on"
        raise UserError(f"{folder}: no records of train; accepted: {accepted}, and the same for valid and test")
    parts: dict[str, list[Path]] = {}
    for split, matches in found.items():
        part, shards = tree.SPLITS[split], [match["shards"] for match in matches.values()]
        if part in parts:
            raise UserError(f"{folder}: has {split} and {part}, which mean the same split; keep one")
        if len(set(shards)) > 1 or len(shards) != int(shards[0] or 1):
            raise UserError(f"{folder}: {', '.join(matches)} are not all shards of one split, or one is missing")
        parts[part] = [folder / name for name in matches]
    return {part: parts[part] for part in ("train", "valid", "test") if part in parts}


def _opened(name: str, files: list[Path]) -> Sequence[bytes]:
    try:
        from array_record.python.array_record_data_source import ArrayRecordDataSource
    except ImportError as error:
        raise UserError(f"data.name={name}: needs pip install array_record ({one_line(error)})") from error
    try:
        return ArrayRecordDataSource([str(file) for file in files])
    except Exception as error:  # a damaged file
        raise UserError(f"data.name={name}: damaged files ({one_line(error)})") from error


def _labels(folder: Path, stored: Stored) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """(labels [n] int32 a split, names of the classes); ({}, ()) where there are none."""
    files = {part: found for part in stored.parts if (found := _label_file(folder, part))}
    if not files:
        return {}, ()
    if missing := stored.parts.keys() - files.keys():
        there = next(iter(files.values())).name
        raise UserError(f"{folder}: has {there} but no {min(missing)}.labels.npy; label all splits or none")
    labels = {part: _read_labels(file, len(stored.parts[part])) for part, file in files.items()}
    classes = _classes(folder) or tuple(str(label) for label in range(labels["train"].max() + 1))
    for part, values in labels.items():
        if not 0 <= values.min() <= values.max() < len(classes):
            raise UserError(f"{files[part]}: labels from {values.min()} to {values.max()}; {len(classes)} classes")
    return {part: values.astype(np.int32) for part, values in labels.items()}, classes


def _label_file(folder: Path, part: str) -> Path | None:
    names = [name for name, meant in tree.SPLITS.items() if meant == part]
    return next((file for name in names if (file := folder / f"{name}.labels.npy").exists()), None)


def _read_labels(file: Path, count: int) -> np.ndarray:
    try:
        labels = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{file}: not an array as numpy.save writes it ({one_line(error)})") from error
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "ui" or labels.shape != (count,):
        got = f"{labels.dtype} {labels.shape}" if isinstance(labels, np.ndarray) else "several arrays"
        raise UserError(f"{file}: {got}; accepted: integers ({count},), one a record")
    return labels


def _classes(folder: Path) -> tuple[str, ...]:
    try:
        return tuple((folder / "classes.txt").read_text(encoding="utf-8").splitlines())
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / 'classes.txt'}: cannot be read ({one_line(error)})") from error
