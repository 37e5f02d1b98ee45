"""Readers of the two binary formats that the canonical sets come in. Nothing here unpickles."""

import gzip
import math
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aejax.data.dataset import one_line
from aejax.errors import UserError

CIFAR_SHAPE = (3, 32, 32)  # channels first in the files
CIFAR_RECORD = 1 + math.prod(CIFAR_SHAPE)  # a byte for the label, then the pixels
CIFAR_EXAMPLES = 10_000  # in each file
BROKEN = (OSError, EOFError, zlib.error, tarfile.TarError)  # what gzip and tar raise on a damaged file


def read_idx(path: Path, ndim: int) -> np.ndarray:
    """An IDX file of unsigned bytes with so many dimensions, gzipped or not.

    Raises:
      UserError: names the file, which is not of that format, truncated or corrupt.
    """
    try:
        with _open(path) as file:
            raw = file.read()
    except BROKEN as error:
        raise UserError(f"{path}: truncated or corrupt ({one_line(error)})") from error
    if raw[:4] != bytes((0, 0, 8, ndim)) or len(raw) < 4 + 4 * ndim:
        raise UserError(f"{path}: not an IDX file of unsigned bytes in {ndim} dimensions")
    shape = tuple(np.frombuffer(raw, ">u4", ndim, offset=4).tolist())
    header, body = 4 + 4 * ndim, math.prod(shape)
    if len(raw) != header + body:
        raise UserError(f"{path}: truncated or corrupt ({len(raw) - header:,} of {body:,} bytes)")
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


def read_cifar_files(paths: Sequence[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Files of CIFAR-10's binary version, in that order: (images [n, 32, 32, 3], labels [n]), uint8.

    Raises:
      UserError: names a file that cannot be read or has the wrong length.
    """
    raw = []
    for path in paths:
        try:
            with _open(path) as file:
                raw.append(file.read())
        except BROKEN as error:
            raise UserError(f"{path}: truncated or corrupt ({one_line(error)})") from error
    return _cifar(raw, paths)


def read_cifar_archive(path: Path, *groups: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray]]:
    """The members named in each group, from CIFAR-10's binary archive: (images, labels) a group.

    Members are read into memory one by one; nothing is extracted to a path.

    Raises:
      UserError: names the archive, or the member that it lacks.
    """
    wanted = {name for group in groups for name in group}
    raw = {}
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                name = member.name.rsplit("/", 1)[-1]
                if name in wanted and member.isfile():
                    # One byte more than a good member has: enough to see that a bad one is too long.
                    raw[name] = archive.extractfile(member).read(CIFAR_EXAMPLES * CIFAR_RECORD + 1)
    except BROKEN as error:
        raise UserError(f"{path}: truncated or corrupt ({one_line(error)})") from error
    if missing := sorted(wanted - raw.keys()):
        raise UserError(f"{path}: lacks {', '.join(missing)}; the binary version of CIFAR-10 is wanted")
    return [_cifar([raw[name] for name in group], [f"{path}/{name}" for name in group]) for group in groups]


def _cifar(raw: Sequence[bytes], names: Sequence) -> tuple[np.ndarray, np.ndarray]:
    for data, name in zip(raw, names, strict=True):
        if len(data) != CIFAR_EXAMPLES * CIFAR_RECORD:
            raise UserError(f"{name}: truncated or corrupt (not {CIFAR_EXAMPLES * CIFAR_RECORD:,} bytes)")
    records = np.frombuffer(b"".join(raw), np.uint8).reshape(-1, CIFAR_RECORD)
    images = records[:, 1:].reshape(-1, *CIFAR_SHAPE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), records[:, 0].copy()


def _open(path: Path):
    """The file, through gzip where it begins like one, whatever its name."""
    with open(path, "rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if zipped else open(path, "rb")
