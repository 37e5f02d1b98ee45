"""What an autoencoder has to beat: an affine map fitted on train, and a filter, each chosen on valid."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
from scipy import ndimage

MOST = 4096  # values of an example above which no affine map is fitted: its matrix would be too large
RIDGES = (1e-4, 1e-3, 1e-2, 1e-1)  # over the mean variance of the corrupted values
SIGMAS, SIZES = (0.5, 0.7, 1.0, 1.5, 2.5), (3, 5)  # of filters, in pixels or steps of time


class Denoiser(NamedTuple):
    """A function of corrupted examples [n, h, w, c] that gives cleaner ones, and what it is."""

    restore: Callable[[np.ndarray], np.ndarray]
    what: str


def affine(
    clean: np.ndarray, corrupted: np.ndarray, valid: tuple[np.ndarray, np.ndarray], ridges: Sequence[float] = RIDGES
) -> Denoiser:
    """The affine map of least squared error from corrupted examples to clean ones, ``x̂ = μ + A(x̃ − μ̃)``,

      ``A = C(x, x̃) (C(x̃, x̃) + λ I)⁻¹``

    with the means and covariances of train (the linear Wiener filter), λ of the ``ridges`` times the mean variance,
    chosen by the error on valid.

    Args:
      clean, corrupted: [n, h, w, c] of train, row for row.
      valid: the same of valid, as a pair.
      ridges: what λ is tried at.
    """
    x, y = (a.reshape(len(a), -1).astype(np.float32) for a in (clean, corrupted))
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    x, y = x - mean_x, y - mean_y
    scale = max(float(np.square(y).mean(dtype=np.float64)), 1e-12)
    few = len(y) < y.shape[1]  # then Yᵀ(YYᵀ + nλ I)⁻¹X, the same matrix, takes the smaller system
    inner, right = (y @ y.T, x) if few else (y.T @ y, y.T @ x)

    def mapped(ridge: float) -> Callable[[np.ndarray], np.ndarray]:
        lifted = inner.astype(np.float64) + len(y) * ridge * scale * np.eye(len(inner))
        solved = scipy.linalg.cho_solve(scipy.linalg.cho_factor(lifted), right).astype(np.float32)
        matrix = y.T @ solved if few else solved
        return lambda a: (mean_x + (a.reshape(len(a), -1) - mean_y) @ matrix).reshape(a.shape)

    found = _best({ridge: mapped(ridge) for ridge in ridges}, *valid)
    return Denoiser(found[1], f"affine map, ridge {found[0]:g}")


def filtering(valid: tuple[np.ndarray, np.ndarray]) -> Denoiser:
    """The filter along the axes of space or time of least squared error on valid, a pair of clean and corrupted
    examples [n, h, w, c]; leaving them alone is one."""
    along = [0, *(int(length > 1) for length in valid[0].shape[1:3]), 0]
    tried: dict[str, Callable] = {"no filter": lambda a: a}
    for sigma in SIGMAS:
        tried[f"Gaussian filter, σ {sigma:g}"] = partial(ndimage.gaussian_filter, sigma=[sigma * on for on in along])
    for size in SIZES:
        tried[f"median filter of {size}"] = partial(ndimage.median_filter, size=[size if on else 1 for on in along])
    name, restore = _best(tried, *valid)
    return Denoiser(restore, name)


def _best(tried: dict[Any, Callable], clean: np.ndarray, corrupted: np.ndarray) -> tuple[Any, Callable]:
    """Of functions by name the one of least squared error, and its name; of equals the first."""
    errors = {name: np.square(restore(corrupted) - clean).mean(dtype=np.float64) for name, restore in tried.items()}
    name = min(errors, key=errors.get)
    return name, tried[name]
