"""``folder:PATH``: images in folders.

One sub-folder a class, and perhaps ``train``, ``valid`` (or ``val``, ``validation``) and ``test`` above them::

    PATH/cat/1.png            PATH/train/cat/1.png
    PATH/dog/1.png            PATH/test/cat/1.png

* Where PATH has ``train``, only the folders of splits are read, and the others must hold no class that train lacks.
* Images that lie in PATH (or in a split) itself, without class folders, have no labels.
* Below a class folder, images are found at any depth.
* Read are files whose suffix belongs to a raster format that Pillow decodes. Others are skipped, and so are names
  that begin with a dot and ``__MACOSX``.
* Classes and images come in natural order: 2 before 10. That depends on their names alone.

Sizes, modes, orientation: see ``pixels``.
"""

import os
import re
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from aejax.data import pixels
from aejax.data.dataset import Source, Split, home, one_line
from aejax.errors import UserError

SPLITS = {"train": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": "test"}

# Formats that Pillow opens only with help from outside (a handler, Ghostscript), or that hold no raster.
FOREIGN = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PDF", "WMF"}

Files = dict[str | None, list[Path]]  # class -> its images; the class is None where there are none


def read(data: ConfigDict, rest: str) -> Source:
    """An image folder; the module's docstring has the rules.

    Raises:
      UserError: the folder is missing or empty, an image is unreadable, or images differ and no key says what to do.
    """
    pixels.check(data)
    root = home(rest)
    if not os.path.isdir(root):
        raise UserError(f"data.name=folder:{rest}: {'not a folder' if os.path.exists(root) else 'no such folder'}")
    suffixes = _suffixes()
    try:
        parts = {part: _classes(folder, suffixes) for part, folder in _splits(root).items()}
    except OSError as error:
        raise UserError(f"data.name=folder:{rest}: cannot be listed ({one_line(error)})") from error
    classes = _agreed(root, parts)
    files = [path for by_class in parts.values() for paths in by_class.values() for path in paths]

    def decode(i: int) -> np.ndarray:
        return pixels.decode(files[i], str(files[i]), data.size, data.channels)

    images = pixels.stack(len(files), decode, lambda i: str(files[i]))
    splits, start = {}, 0
    for part, by_class in parts.items():
        counts = [len(paths) for paths in by_class.values()]
        stop = start + sum(counts)
        labels = np.repeat([classes.index(name) for name in by_class], counts).astype(np.int32) if classes else None
        splits[part] = Split(images[start:stop], labels)
        start = stop
    return Source(splits, classes)


def natural(name: str) -> tuple:
    """A sorting key by which numbers inside names count as numbers."""
    pieces = re.split(r"(\d+)", name)
    return [int(piece) if i % 2 else piece for i, piece in enumerate(pieces)], name


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


def _classes(folder: Path, suffixes: set[str]) -> Files:
    """class -> its images, in order."""
    entries = _entries(folder)
    folders = [entry for entry in entries if entry.is_dir()]
    loose = [entry for entry in entries if entry.is_file() and entry.suffix.lower() in suffixes]
    if folders and loose:
        raise UserError(f"{loose[0]}: lies beside class folders; move it into one of them")
    files = {entry.name: _images(entry, suffixes) for entry in folders} or {None: loose}
    for name, paths in files.items():
        if not paths:
            raise UserError(f"{folder / (name or '')}: no images in this folder")
    return files


def _images(folder: Path, suffixes: set[str]) -> list[Path]:
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


def _suffixes() -> set[str]:
    """Suffixes of the formats that Pillow opens by itself: {".png", ".jpg", ...}."""
    from PIL import Image

    return {s for s, name in Image.registered_extensions().items() if name in Image.OPEN and name not in FOREIGN}
