"""The dimensions of a code: which there are, over what range each moves, and how much that changes the output."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aejax.analysis import known_codes, progress
from aejax.errors import UserError

PERCENTILES = (1, 99)
RANGE = "1st to 99th percentile of the values on train that are not 0, and 0 where it is taken"
FEW = 64  # numbers of a code of maps up to which every one is a dimension of its own
DENSE = 0.1  # share of zeros in the training codes up to which their mean is like one of them


@dataclass(frozen=True)
class Walk:
    """Dimensions of a code, each moved from ``low`` to ``high`` while the others stay at ``base``.

    Attributes:
      base: [d], flat.
      places: [m] which number of the code each dimension is.
      units: [m] the unit that it belongs to.
      names: [m] what it is called.
      low, high: [m].
    """

    base: np.ndarray
    places: np.ndarray
    units: np.ndarray
    names: list[str]
    low: np.ndarray
    high: np.ndarray

    def codes(self, chosen: np.ndarray, steps: int) -> np.ndarray:
        """[len(chosen), steps, d] codes of some dimensions, evenly from low to high."""
        t = np.linspace(0, 1, steps)
        codes = np.tile(self.base.astype(np.float32), (len(chosen), steps, 1))
        values = self.low[chosen, None] * (1 - t) + self.high[chosen, None] * t
        codes[np.arange(len(chosen)), :, self.places[chosen]] = values
        return codes


def ranges(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The range of each unit over its training values [n, units]: [units] and [units].

    From the 1st to the 99th percentile of the values that are not 0, so that a unit
    which is hardly ever active is moved as far as it goes when it is; from or to 0 where
    that is beyond, if the unit is ever exactly 0. (0, 0) for one that always is.
    """
    low, high = np.zeros(values.shape[1]), np.zeros(values.shape[1])
    for unit, column in enumerate(values.T):
        active = column[column != 0]
        if len(active):
            low[unit], high[unit] = np.percentile(active, PERCENTILES)
        if len(active) < len(column):
            low[unit], high[unit] = min(low[unit], 0.0), max(high[unit], 0.0)
    return low, high


def change(path: np.ndarray) -> np.ndarray:
    """``(s − 1) Σ_i ‖x_{i+1} − x_i‖²`` along paths [n, s, ...]: [n]; of a straight, even one ``‖x_s − x_1‖²``."""
    path = path.reshape(*path.shape[:2], -1)
    return (path.shape[1] - 1) * np.square(np.diff(path, axis=1)).sum(axis=(1, 2), dtype=np.float64)


def carrying(changes: np.ndarray, share: float = 0.9) -> int:
    """How many of the largest changes [n] make up at least that share of their sum; 0 where there is none."""
    total = np.cumsum(np.sort(changes)[::-1])
    return int(np.argmax(total >= share * total[-1] * (1 - 1e-9))) + 1 if total[-1] > 0 else 0


def typical(codes: np.ndarray) -> int:
    """Of codes [n, d] the first whose number of units that are not 0 is the median (the lower of two)."""
    active = np.count_nonzero(codes, axis=1)
    return int(np.flatnonzero(active == np.sort(active)[(len(active) - 1) // 2])[0])


def dimensions(active: np.ndarray, shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """What is moved of a code: places in it, units and names, [m] each.

    Every number of a vector. Of maps (h, w, size), which unit j fills with h · w numbers,
    the one of largest magnitude in ``active`` [d], what the base's image is encoded to
    before any winner is taken; or where they are no more than ``FEW``, every one.
    """
    if len(shape) == 1:
        return np.arange(shape[0]), np.arange(shape[0]), [f"unit {i}" for i in range(shape[0])]
    h, w, size = shape
    if active.size <= FEW:
        places = np.arange(active.size)
    else:
        places = np.abs(active.reshape(h * w, size)).argmax(axis=0) * size + np.arange(size)
    units, where = places % size, places // size
    return places, units, [f"map {u} at {p // w},{p % w}" for u, p in zip(units, where, strict=True)]


def choose_base(run: Any, train: np.ndarray, test: Any, image: int, noun: str) -> tuple[np.ndarray, int | None, str]:
    """The code [d] that walks start from, the test image that has it or None, and both in words.

    ``image`` is its index; -1 for the mean of ``train`` [n, d] where that is like a code:
    a vector that is hardly ever exactly 0 and no bits. Other codes take the test image
    with the median number of active units.
    """
    dense = np.mean(train == 0) <= DENSE and len(run.code_shape) == 1 and run.config.code.name not in known_codes.BITS
    if image < 0 and dense:
        return train.mean(axis=0), None, "the mean training code"
    if not image < len(test.images):
        n = len(test.images)
        raise UserError(f"--image={image}: accepted are indices of the {n} test images, or -1 for a base by rule")
    codes = known_codes.known(run, test.images).reshape(len(test.images), -1)
    image = typical(codes) if image < 0 else image
    return codes[image], image, f"the code of test {noun} {image}"


def build(run: Any, dataset: Any, image: int, noun: str) -> tuple[Walk, int | None, str]:
    """The walk over all dimensions of the run's code, with the test image of its base or None, and it in words."""
    train = known_codes.flat_codes(run, dataset.train)
    base, index, told = choose_base(run, train, dataset.test, image, noun)
    active = base if index is None else np.asarray(run.encode(dataset.test.images[index : index + 1])).ravel()
    places, units, names = dimensions(active, run.code_shape)
    if run.config.code.name in known_codes.BITS:
        moving = (train.min(axis=0) < train.max(axis=0))[places]  # a bit that train never turns stays where it is
        low, high = (np.where(moving, end, base[places]) for end in (0.0, 1.0))
    elif len(run.code_shape) == 1 or base.size <= FEW:
        low, high = ranges(train)
    else:
        low, high = (x[units] for x in ranges(train.reshape(-1, run.code_shape[-1])))
    return Walk(base, places, units, names, low, high), index, told


def changes(run: Any, walk: Walk, pixels: int, total: float) -> np.ndarray:
    """[m]: the ``change`` of every dimension over three steps, low, middle and high; in blocks to spare memory.

    Args:
      run: as ``aejax.load`` gives it.
      walk: the dimensions.
      pixels: values of an example.
      total: as ``known_codes.decoded`` takes it.
    """
    block = max(1, known_codes.BLOCK // (3 * max(walk.base.size, pixels)))
    found = np.zeros(len(walk.places))
    for start in progress.over(range(0, len(found), block), "units"):
        part = np.arange(start, min(start + block, len(found)))
        codes = walk.codes(part, 3)
        outputs = known_codes.decoded(run, codes.reshape(-1, walk.base.size), total)
        found[part] = change(outputs.reshape(len(part), 3, -1))
    return found
