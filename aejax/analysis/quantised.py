"""The codebook of a vector-quantised run, and codes as entries of it."""

from typing import Any

import numpy as np


def codebook(run: Any) -> np.ndarray | None:
    """[entries, size] of a vector-quantised run, None of another."""
    if run.config.code.name != "vector_quantised":
        return None
    return np.asarray(run.variables["codebook"]["code"]["vectors"])


def entries(codes: np.ndarray, vectors: np.ndarray, block: int = 2**15) -> np.ndarray:
    """Which of vectors [entries, size] is nearest to each vector of codes [n, ...]: [n, values of a code / size]."""
    rows, squares = codes.reshape(-1, vectors.shape[1]), np.square(vectors.astype(np.float64)).sum(axis=1)
    nearest = [
        np.argmin(squares - 2 * rows[i : i + block].astype(np.float64) @ vectors.T, axis=1)
        for i in range(0, len(rows), block)
    ]
    return np.concatenate(nearest).reshape(len(codes), -1)


def snapped(run: Any, codes: np.ndarray) -> np.ndarray:
    """Codes [n, ..., d] with each of their vectors at the nearest entry of the codebook; as they are without one."""
    if (vectors := codebook(run)) is None:
        return codes
    return vectors[entries(codes, vectors)].reshape(codes.shape)
