"""The nearest neighbours of points, exactly and in an order that is always the same, and their vote."""


import numpy as np

from aejax.analysis import progress

DISTANCES = 2**24  # held at a time
VALUES = 2**24  # of differences, held at a time
SPARE = 16  # candidates beyond the k nearest in float32
LEVELS = 2.0**40  # distances that agree to this share of the largest are one, where float64 has to tell ties


def as_they_are(x: np.ndarray) -> np.ndarray:
    """[n, d] float32."""
    return np.ascontiguousarray(x, np.float32)


def on_the_sphere(x: np.ndarray) -> np.ndarray:
    """``x / ‖x‖`` [n, d + 1], so that ``‖u - v‖² = 2 (1 - cos)``; zeros alone, of no angle, are at 90° to all but one
    another."""
    norm = np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    units = x / np.where(norm > 0, norm, 1.0)
    return np.concatenate([units, norm == 0], axis=1).astype(np.float32)


METRICS = {"euclidean": as_they_are, "cosine": on_the_sphere}  # what is done to points before distances are Euclidean


def nearest(
    reference: np.ndarray, queries: np.ndarray, k: int, metric: str = "euclidean", what: str = "neighbours"
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest points of the reference for each query, nearest first; of equally near ones the lowest index first.

    Squared distances ``‖x‖² + ‖y‖² - 2 x·y`` of blocks in float32 find candidates, whose ``Σ (x - y)²`` then decides.
    Where rounding could have hidden a neighbour, or the last of the k is one of many equally near, float64 decides
    among all: products of bits are exact in it, so binary codes are in the order of their Hamming distance.

    Args:
      reference: [m, d] finite, m >= k; at most 4 million.
      queries: [n, d] finite.
      k: how many.
      metric: a key of ``METRICS``.
      what: is told while it takes long.

    Returns:
      Indices [n, k] into the reference, and squared distances [n, k] float64; of unit vectors for ``cosine``.
    """
    reference, queries = METRICS[metric](reference), METRICS[metric](queries)
    m, d = reference.shape
    candidates = min(k + SPARE, m)
    block = max(1, min(DISTANCES // m, VALUES // (candidates * d)))
    index, square = np.empty((len(queries), k), np.int64), np.empty((len(queries), k))
    centre = reference.mean(axis=0)  # a large common part would cost digits
    centred = reference - centre
    norms = np.einsum("md,md->m", centred, centred)
    doubtful = []
    starts = range(0, len(queries), block)
    for start in progress.over(starts, what):
        x = queries[start : start + block]
        near = (x - centre) @ (-2 * centred.T)
        near += norms
        chosen = np.argpartition(near, candidates - 1, axis=1)[:, :candidates]
        rows = slice(start, start + len(x))
        index[rows], square[rows] = _ordered(reference, x, chosen, k)
        if candidates < m:
            size = np.square(x - centre).sum(axis=1)
            beyond = np.take_along_axis(near, chosen, axis=1).max(axis=1) + size  # nothing left out is nearer
            last = square[rows, -1]
            rounding = 8 * np.finfo(np.float32).eps * np.sqrt(d) * (np.sqrt(size) + np.sqrt(last)) ** 2
            doubtful.append(start + np.flatnonzero(beyond - last <= rounding))
    doubtful = np.concatenate(doubtful) if doubtful else np.arange(0)
    if len(doubtful):
        index[doubtful], square[doubtful] = _among_all(reference, queries[doubtful], k, what)
    return index, square


def _ordered(reference, queries, chosen, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The first k of the chosen [n, candidates] by distance, then by index."""
    difference = reference[chosen] - queries[:, None]
    square = np.einsum("bkd,bkd->bk", difference, difference, dtype=np.float64)
    order = np.lexsort((chosen, square))[:, :k]
    return np.take_along_axis(chosen, order, axis=1), np.take_along_axis(square, order, axis=1)


def _among_all(reference, queries, k: int, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Like ``nearest``, by whole numbers ``(rounded distance, index)``, no two of which are the same."""
    m, d = reference.shape
    block = max(1, min(DISTANCES // (2 * m), VALUES // (k * d)))
    y = reference.astype(np.float64)
    norms = np.einsum("md,md->m", y, y)
    found = []
    starts = range(0, len(queries), block)
    for start in progress.over(starts, f"{what}, ties"):
        x = queries[start : start + block].astype(np.float64)
        square = x @ y.T
        square *= -2
        square += norms
        square += np.square(x).sum(axis=1)[:, None]
        np.maximum(square, 0, out=square)
        square *= LEVELS / max(square.max(), 1e-200)  # all 0 stay 0
        key = np.rint(square, out=square).astype(np.int64)
        key *= m
        key += np.arange(m)
        chosen = np.argpartition(key, k - 1, axis=1)[:, :k]
        found.append(_ordered(reference, queries[start : start + block], chosen, k))
    return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))


def shuffled(n: int) -> np.ndarray:
    """An order of n points that is always the same. Data often lie sorted by class; among equally near points the
    lowest index would then be the lowest class."""
    return np.random.default_rng(0).permutation(n)


def among_themselves(points: np.ndarray, k: int) -> np.ndarray:
    """[n, k]: the k nearest others of each of the points [n, d], n > k, nearest first."""
    found, _ = nearest(points, points, k + 1)
    own = found == np.arange(len(points))[:, None]
    own[~own.any(axis=1), -1] = True  # where so many others are the same point, the last is one too many
    return found[~own].reshape(len(points), k)


def vote(labels: np.ndarray) -> np.ndarray:
    """The class [n] of most of the neighbours, of labels [n, k] nearest first; of equals that of the nearest."""
    n, k = labels.shape
    votes = np.zeros((n, int(labels.max(initial=0)) + 1), np.int64)
    np.add.at(votes, (np.arange(n)[:, None], labels), 1)
    own = np.take_along_axis(votes, labels, axis=1)
    return labels[np.arange(n), np.argmax(own == own.max(axis=1, keepdims=True), axis=1)]
