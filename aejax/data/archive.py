"""Archives of folders (.zip, .tar, .tar.gz and kin), unpacked into the project's cache once.

Only regular files are written, by their content alone: no links, devices, owners or permissions. A member whose
name leads out of the folder is refused. The folder is named by the archive's SHA-256 and takes its place when
whole, so that an archive that changes is unpacked anew and two runs at once do no harm.
"""

import hashlib
import lzma
import os
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from absl import logging

from aejax.data.dataset import cache, one_line
from aejax.errors import UserError

BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile)
REFUSED = (NotImplementedError, RuntimeError)  # what zipfile raises on other methods and on passwords

Members = Iterator[tuple[str, int, IO[bytes]]]  # (name, size in bytes, content)


def _zip(path: Path) -> Members:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                yield member.filename, member.file_size, archive.open(member)


def _tar(path: Path) -> Members:
    with tarfile.open(path, "r:*") as archive:
        for member in archive:
            if member.isreg():
                yield member.name, member.size, archive.extractfile(member)


READERS = {".zip": _zip, ".tar": _tar, ".tar.gz": _tar, ".tgz": _tar, ".tar.bz2": _tar, ".tar.xz": _tar}


def suffix(path: Path) -> str:
    """Which of the suffixes of ``READERS`` the name ends in; "" for none."""
    return next((ending for ending in READERS if path.name.lower().endswith(ending)), "")


def unpack(path: Path) -> Path:
    """The folder in the cache that holds the archive's files; unpacked there if it is not.

    Raises:
      UserError: names the archive, which is damaged, encrypted or unsafe, or the folder, which cannot be written.
    """
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({one_line(error)})") from error
    folder = cache() / "unpacked" / digest[:16]
    if folder.is_dir():
        return folder
    logging.info("unpacking %s to %s", path, folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix="."))
    except OSError as error:
        why = f"cannot be written ({one_line(error)}); name another cache by $XDG_CACHE_HOME"
        raise UserError(f"{folder.parent}: {why}") from error
    try:
        _write(path, temporary)
        temporary.rename(folder)
    except (*BROKEN, *REFUSED) as error:
        if not folder.is_dir():  # otherwise another run was faster
            raise UserError(f"{path}: cannot be unpacked to {folder.parent} ({one_line(error)})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _write(path: Path, folder: Path) -> None:
    root = folder.resolve()
    for name, size, content in READERS[suffix(path)](path):
        place = (root / name).resolve()
        if root not in place.parents:
            raise UserError(f"{path}: holds {name!r}, which would lie outside the folder that it is unpacked to")
        if size > shutil.disk_usage(root).free:
            raise UserError(f"{path}: {name} takes {size:,} bytes, more than the disk of {folder.parent} has free")
        os.makedirs(place.parent, exist_ok=True)
        with content, open(place, "wb") as file:
            shutil.copyfileobj(content, file, 2**20)
