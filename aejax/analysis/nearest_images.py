"""Distances to the nearest example of a large set, and two sets compared by them."""

from typing import Any

import numpy as np
from sklearn.neighbors import NearestNeighbors

from aejax.analysis import known_codes, progress

BLOCK = 2**24  # values of training images that are held at a time


def flat(examples: np.ndarray) -> np.ndarray:
    """[n, ...] as [n, d]."""
    return np.asarray(examples).reshape(len(examples), -1)


def nearest(queries: np.ndarray, base: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each of queries [n, d] the row of base [m, d] that is nearest, and its distance ``‖q − b‖``: [n], [n]."""
    search = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(base)
    rows = search.kneighbors(queries, return_distance=False)[:, 0]
    return rows, np.linalg.norm(queries.astype(np.float64) - base[rows], axis=1)


def nearest_images(run: Any, images: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``nearest`` for queries [n, h, w, c], scaled as ``known_codes.comparable``, among raw images, in blocks.

    Returns:
      The indices into ``images`` [n], and the distances [n].
    """
    queries = flat(queries)
    block = max(1, BLOCK // queries.shape[1])
    rows, distances = np.zeros(len(queries), int), np.full(len(queries), np.inf)
    for start in progress.over(range(0, len(images), block), "nearest images"):
        found, away = nearest(queries, flat(known_codes.comparable(run, images[start : start + block])))
        closer = away < distances
        rows[closer], distances[closer] = start + found[closer], away[closer]
    return rows, distances


def radii(points: np.ndarray, k: int) -> np.ndarray:
    """The distance of each of points [n, d] to its k-th nearest other one: [n]; k at most n - 1."""
    search = NearestNeighbors(n_neighbors=min(k, len(points) - 1), algorithm="brute").fit(points)
    return search.kneighbors()[0][:, -1]


def covered(points: np.ndarray, balls: np.ndarray, radius: np.ndarray, block: int = 500) -> float:
    """The share of points [n, d] that lie in at least one of the balls around [m, d] with radius [m]."""
    points, balls = points.astype(np.float64), balls.astype(np.float64)
    squares, inside = np.square(balls).sum(axis=1), 0
    for part in (points[i : i + block] for i in range(0, len(points), block)):
        away = np.square(part).sum(axis=1)[:, None] + squares[None] - 2 * part @ balls.T
        reach = np.square(radius)[None] * (1 + 1e-9) + 1e-9 * squares.max(initial=0.0)  # rounding of the differences
        inside += int(np.any(away <= reach, axis=1).sum())
    return inside / len(points)


def precision_and_recall(real: np.ndarray, fake: np.ndarray, k: int = 3) -> tuple[float, float]:
    """How much of what is drawn is like the data, and how much of the data is like what is drawn: shares in [0, 1].

    A set is taken for the union of the balls around its points that reach to each one's
    k-th nearest neighbour in the set. Precision is the share of ``fake`` in that of
    ``real``, recall the share of ``real`` in that of ``fake`` (Kynkäänniemi et al.,
    "Improved precision and recall metric", arXiv 1904.06991, equations 1 and 2; there on
    features of a classifier).

    Args:
      real, fake: [n, d] and [m, d], at least two each; the numbers compare between sets of the same sizes.
      k: which neighbour; 3 in the paper.
    """
    real, fake = flat(real), flat(fake)
    return covered(fake, real, radii(real, k)), covered(real, fake, radii(fake, k))
