"""How good are codes? One number an example or a pair, so that two runs can be compared on the very same ones."""

from collections.abc import Callable, Sequence

import numpy as np
from sklearn.metrics import silhouette_samples

from aejax.analysis import nearest
from aejax.codes.variational import ACTIVE


def nearest_right(
    reference: np.ndarray, reference_labels: np.ndarray, codes: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """[n]: whether the nearest reference code [m, d], in Euclidean distance, is of a code's [n, d] own class.

    As ``aejax.analysis.neighbours`` finds it: of references equally near the first in an order that has nothing to do
    with classes.
    """
    order = nearest.shuffled(len(reference))
    found, _ = nearest.nearest(reference[order], codes, 1)
    return reference_labels[order][found[:, 0]] == labels


def silhouettes(codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """[n]: ``(b - a) / max(a, b)`` of codes [n, d], in [-1, 1] (Rousseeuw, J. Comput. Appl. Math. 20, 1987).

    a is a code's mean distance to the others of its class [n], b that to the nearest other class; 0 for a code that
    is alone in its class, and where there are not at least two classes of n examples, and fewer than n.
    """
    if not 2 <= len(np.unique(labels)) < len(labels):
        return np.zeros(len(labels))
    return silhouette_samples(codes, labels)


def gaussian_samples(codes: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """[count, d]: draws from the Gaussian with the mean and the covariance (over n - 1) of codes [n, d], n >= 2.

    ``z = mean + Σ_i w_i (z_i - mean) / √(n - 1)`` with ``w ~ N(0, I)`` has them exactly, whatever d, and needs no
    covariance matrix.
    """
    centred = codes - codes.mean(axis=0)
    weights = np.random.default_rng(seed).standard_normal((count, len(codes))).astype(codes.dtype)
    return codes.mean(axis=0) + weights @ centred / np.sqrt(max(len(codes) - 1, 1)).astype(codes.dtype)


def paths(start: np.ndarray, end: np.ndarray, steps: int) -> np.ndarray:
    """[n, steps + 1, ...]: codes evenly spaced on the lines from ``start`` to ``end`` [n, ...], both ends included."""
    t = np.linspace(0, 1, steps + 1, dtype=start.dtype).reshape(1, -1, *(1,) * (start.ndim - 1))
    return (1 - t) * start[:, None] + t * end[:, None]


def unevenness(images: np.ndarray) -> np.ndarray:
    """[n]: of paths of images [n, steps + 1, ...], the longest step ‖x_t+1 - x_t‖ over the mean step; NaN where
    nothing moves.

    1 for steps that are all as long, the number of steps for a single jump.
    """
    steps = np.diff(images.astype(np.float64), axis=1).reshape(len(images), images.shape[1] - 1, -1)
    lengths = np.sqrt(np.square(steps).sum(axis=2))
    mean = lengths.mean(axis=1)
    return np.where(mean > 0, lengths.max(axis=1) / np.where(mean > 0, mean, 1), np.nan)


def units(encode: Callable, images: np.ndarray, gaussian: bool, block: int = 1000) -> tuple[int, float]:
    """How many units of the code are active, and how many are not 0 for an image, on average.

    Active is a unit whose code is not the same for all images; one that is a Gaussian's mean, whose variance over
    them exceeds ``ACTIVE`` (Burda et al.). A unit of maps [n, h, w, d] is a whole map, its variance that over all
    places.

    Args:
      encode: raw images -> codes [n, d] or [n, h, w, d].
      images: raw [n, ...], n >= 1.
      gaussian: whether the codes are means of Gaussians.
      block: images that are encoded at a time.
    """
    total = squares = shots = 0.0
    low, high, firing = np.inf, -np.inf, 0
    for first in range(0, len(images), block):
        codes = np.asarray(encode(images[first : first + block]), np.float64)
        firing += np.count_nonzero((codes != 0).reshape(len(codes), -1, codes.shape[-1]).any(axis=1))
        rows = codes.reshape(-1, codes.shape[-1])
        low, high = np.minimum(low, rows.min(axis=0)), np.maximum(high, rows.max(axis=0))
        total, squares, shots = total + rows.sum(axis=0), squares + np.square(rows).sum(axis=0), shots + len(rows)
    variance = squares / shots - np.square(total / shots)
    return int(np.sum(variance > ACTIVE if gaussian else high > low)), firing / len(images)


def paired(a: np.ndarray, b: np.ndarray) -> tuple[float, float, int]:
    """The mean of ``a - b`` [n] over the examples at which both are finite, its standard error, and their number.

    The standard error is ``std(a - b) / √n`` with n - 1 in the variance; NaN for fewer than two.
    """
    d = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    d = d[np.isfinite(d)]
    return (float(d.mean()) if len(d) else np.nan, standard_error(d), len(d))


def standard_error(values: Sequence[float]) -> float:
    """Of the mean of the finite ones; NaN for fewer than two."""
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
