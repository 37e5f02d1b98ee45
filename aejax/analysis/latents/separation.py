"""How far classes lie apart among points: silhouette, and whose neighbours their neighbours are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import silhouette_score

from aejax.analysis import nearest

NEIGHBOURS = 10


def describe(points: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """How far the classes lie apart among points [n, d] with labels [n], by two scores and the pairs that overlap most.

    The silhouette (Rousseeuw, 1987) is the mean of ``(b - a) / max(a, b)``, a the mean distance to a point's own
    class and b that to the nearest other: 1 apart, 0 at one another, below 0 among another. The second score is the
    share of the ``NEIGHBOURS`` nearest that are of the own class; of the same neighbours is ``overlap``.
    """
    order = nearest.shuffled(len(points))
    points, labels = points[order], labels[order]
    k = min(NEIGHBOURS, len(points) - 1)
    shares = class_shares(labels, nearest.among_themselves(points, k), len(names))
    overlaps = overlap(shares)
    own, sizes = np.nan_to_num(np.diagonal(shares)), np.bincount(labels, minlength=len(names))
    pairs = overlapping_pairs(overlaps)
    fits = 1 < np.count_nonzero(sizes) < len(points)
    return {
        "silhouette": silhouette_score(points, labels) if fits else np.nan,
        "neighbours": k,
        "own_class_neighbours_percent": 100 * float(own @ sizes / sizes.sum()),
        "most_overlapping": [{"classes": [names[a], names[b]], "overlap_percent": 100 * o} for a, b, o in pairs],
        "overlap_percent": 100 * overlaps,
    }


def class_shares(labels: np.ndarray, neighbours: np.ndarray, classes: int) -> np.ndarray:
    """[classes, classes]: of the neighbours of class a's points, the share that is of class b; NaN where a has none.

    Args:
      labels: [n] integers below ``classes``.
      neighbours: [n, k] indices into them.
    """
    counts = np.zeros((classes, classes))
    np.add.at(counts, (np.broadcast_to(labels[:, None], neighbours.shape), labels[neighbours]), 1)
    total = counts.sum(axis=1, keepdims=True)
    return np.where(total > 0, counts / np.maximum(total, 1), np.nan)


def overlap(shares: np.ndarray) -> np.ndarray:
    """``O_ab = (S_ab + S_ba) / 2`` of ``class_shares`` S: 0 where neighbourhoods of a and b hold none of the other's.

    Two classes of the same size that are mixed perfectly have 0.5, which is also what a has with itself then. In
    unequal ones the larger class is over-represented among neighbours; the mean of both directions lessens it.
    """
    return (shares + shares.T) / 2


def overlapping_pairs(overlaps: np.ndarray, most: int = 3) -> list[tuple[int, int, float]]:
    """The pairs of different classes that overlap most, as (a, b, overlap), most first; none that do not at all."""
    both = np.triu(np.nan_to_num(overlaps), k=1)
    order = np.argsort(-both, axis=None, kind="stable")[:most]
    pairs = zip(*np.unravel_index(order, both.shape), strict=True)
    return [(int(a), int(b), float(both[a, b])) for a, b in pairs if both[a, b] > 0]
