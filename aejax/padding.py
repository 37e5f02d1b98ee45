"""A model's arrays in the shapes of a wider one, with zeros for the units that it lacks, and back."""

from typing import Any

import jax
import numpy as np


def padded(tree: Any, size: int, like: Any) -> Any:
    """Arrays of a code of ``size`` units, with zeros for the units beyond them, in the shapes of ``like``.

    An axis that is longer there is ``blocks · size`` long, as where the features are means and deviations: each block
    is filled up.
    """
    return jax.tree.map(lambda a, b: _fitted(np.asarray(a), size, b.shape), tree, like)


def cut(tree: Any, size: int, like: Any) -> Any:
    """``padded`` undone: the arrays of a code of ``size`` units, in the shapes of ``like``."""
    return padded(tree, size, like)


def _fitted(a: np.ndarray, size: int, shape: tuple[int, ...]) -> np.ndarray:
    """The array with as many units in each block of an axis as ``shape`` has: zeros are added, or the last ones left
    out. One of both has blocks of ``size`` units."""
    for axis, (own, other) in enumerate(zip(a.shape, shape, strict=True)):
        if own != other:
            blocks = min(own, other) // size
            before, after = a.shape[:axis], a.shape[axis + 1 :]
            found = np.zeros((*before, blocks, other // blocks, *after), a.dtype)
            units = [slice(None)] * (axis + 1) + [slice(size)]
            found[tuple(units)] = a.reshape(*before, blocks, own // blocks, *after)[tuple(units)]
            a = found.reshape(*before, other, *after)
    return a
