"""A model's arrays in the shapes of a wider one, with zeros for the units that it lacks, and back."""

from typing import Any

import jax
import numpy as np


def padded(tree: Any, size: int, like: Any) -> Any:
    """Arrays of a code of ``size`` units, with zeros for the units beyond them, in the shapes of ``like``.

    An axis that is longer there is ``blocks · size`` long, as where the features are means and deviations: each block
    is filled up.
    """
    return jax.tree.map(lambda a, b: _padded(np.asarray(a), size, b.shape), tree, like)


def _padded(a: np.ndarray, size: int, shape: tuple[int, ...]) -> np.ndarray:
    for axis, (own, wide) in enumerate(zip(a.shape, shape, strict=True)):
        if own != wide:
            blocks = own // size
            before, after = a.shape[:axis], a.shape[axis + 1 :]
            rows = a.reshape(*before, blocks, size, *after)
            fill = [(0, 0)] * axis + [(0, 0), (0, wide // blocks - size)] + [(0, 0)] * len(after)
            a = np.pad(rows, fill).reshape(*before, wide, *after)
    return a


def cut(tree: Any, size: int, like: Any) -> Any:
    """``padded`` undone: the arrays of a code of ``size`` units, in the shapes of ``like``."""
    return jax.tree.map(lambda a, b: _cut(np.asarray(a), size, b.shape), tree, like)


def _cut(a: np.ndarray, size: int, shape: tuple[int, ...]) -> np.ndarray:
    for axis, (wide, own) in enumerate(zip(a.shape, shape, strict=True)):
        if own != wide:
            blocks = own // size
            before, after = a.shape[:axis], a.shape[axis + 1 :]
            rows = a.reshape(*before, blocks, wide // blocks, *after)
            a = np.take(rows, np.arange(size), axis=axis + 1).reshape(*before, own, *after)
    return a
