"""``folder:PATH``: images in folders, or in an archive of them.

How classes and splits are laid out: see ``tree``. Read are files whose suffix belongs to a raster format that Pillow
decodes. Sizes, modes, orientation: see ``pixels``; what does not fit in memory: see ``records``.
"""

from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from aejax.data import pixels, records, tree
from aejax.data.dataset import Source

# Formats that Pillow opens only with help from outside (a handler, Ghostscript), or that hold no raster.
FOREIGN = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PDF", "WMF"}


def read(data: ConfigDict, rest: str) -> Source:
    """An image folder; the module's docstring has the rules.

    Raises:
      UserError: the folder is missing or empty, an image is unreadable, or images differ and no key says what to do.
    """
    found, reader = opened(data, rest)
    return Source(found.divide(reader.divided(data.host_bytes)), found.classes)


def opened(data: ConfigDict, rest: str) -> tuple[tree.Tree, records.Reader]:
    """The files of an image folder, and what reads their images."""
    pixels.check(data)
    found = tree.walk("folder", rest, _suffixes(), "images")
    files = found.files

    def fetch(rows: list[int]) -> list[Path]:
        return [files[i] for i in rows]

    def decode(file: Path, _: int) -> tuple[np.ndarray, int]:
        return pixels.decode(file, str(file), data.size, data.channels), -1

    return found, records.Reader(len(files), fetch, decode, lambda i: str(files[i]), data.name)


def _suffixes() -> set[str]:
    """Suffixes of the formats that Pillow opens by itself: {".png", ".jpg", ...}."""
    from PIL import Image

    return {s for s, name in Image.registered_extensions().items() if name in Image.OPEN and name not in FOREIGN}
