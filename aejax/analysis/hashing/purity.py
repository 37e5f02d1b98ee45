"""Gini purity: how much of one class the examples with the same code, or with a near one, are.

The purity of a group of m examples with class shares p_c is ``Σ_c p_c²``, the
chance that two drawn from it with replacement are of one class. Small groups are
pure by themselves: the expectation of m examples whose labels are drawn from all
n without replacement is, with ``G = Σ_c N_c (N_c - 1) / (n (n - 1))``,

    1/m + (1 - 1/m) · G,

since of the m² pairs m are an example with itself and each other is of one class
with probability G. That, at the same sizes, is the chance level of all that follows.
"""

from collections.abc import Sequence

import numpy as np

from aejax.analysis.hashing.bits import hamming_blocks, packed, sets

RADII = (0, 1, 2, 3)


def gini(counts: np.ndarray) -> np.ndarray:
    """``Σ_c p_c²`` [...] of class counts [..., classes]; NaN for an empty group."""
    counts = np.asarray(counts, np.float64)
    total = counts.sum(axis=-1)
    squares = np.square(counts).sum(axis=-1)
    return np.divide(squares, total**2, out=np.full(total.shape, np.nan), where=total > 0)


def same_class(labels: np.ndarray) -> float:
    """G: the probability that two different examples of labels [n] are of one class; 1 for a single example."""
    n, counts = len(labels), np.unique(labels, return_counts=True)[1].astype(float)
    return float((counts * (counts - 1)).sum() / (n * (n - 1))) if n > 1 else 1.0


def by_chance(sizes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The purity [...] to expect of groups of ``sizes`` [...] >= 1 where the labels [n] are permuted."""
    return 1 / sizes + (1 - 1 / sizes) * same_class(labels)


def of_sets(bits: np.ndarray, labels: np.ndarray) -> dict:
    """Purity of the sets of identical codes, ``Σ_s |s| / n · Σ_c p_c²``.

    Args:
      bits: [n, b] bool.
      labels: [n] integers.

    Returns:
      The number of sets; the share of examples that are alone in theirs; the purity and its chance level; both over
      sets of two examples or more alone (NaN without such), since whoever is alone is pure.
    """
    which, sizes = sets(bits)
    _, classes = np.unique(labels, return_inverse=True)
    counts = np.zeros((len(sizes), classes.max() + 1))
    np.add.at(counts, (which, classes), 1)
    pure, chance = gini(counts), by_chance(sizes, labels)
    shared = sizes > 1
    return {
        "sets": len(sizes),
        "singletons_share": float(np.mean(shared[which] == 0)),
        "purity": _mean(pure, sizes),
        "chance": _mean(chance, sizes),
        "purity_without_singletons": _mean(pure, sizes * shared),
        "chance_without_singletons": _mean(chance, sizes * shared),
    }


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    return float(np.average(values, weights=weights)) if weights.any() else float("nan")


def of_balls(bits: np.ndarray, labels: np.ndarray, radii: Sequence[int] = RADII) -> list[dict]:
    """Purity of the codes within a Hamming radius of each example, itself left out, for each radius.

    The mean over the examples whose ball is not empty: ``Σ_c p_c²`` of the others at distance <= radius.

    Args:
      bits: [n, b] bool.
      labels: [n] integers.
      radii: any.

    Returns:
      For each radius: the share of examples whose ball is empty, the mean number of others in a ball (empty ones
      too), the purity, its standard error over examples and its chance level (NaN where every ball is empty).
    """
    codes, bins = packed(bits), max(radii) + 2  # the last bin is for all that is farther
    _, classes = np.unique(labels, return_inverse=True)
    kinds = classes.max() + 1
    counts = np.empty((len(bits), bins, kinds), np.int32)
    for rows, distances in hamming_blocks(codes, codes):
        place = np.arange(len(distances))[:, None] * bins + np.minimum(distances, bins - 1)
        found = np.bincount((place * kinds + classes).ravel(), minlength=len(distances) * bins * kinds)
        counts[rows] = found.reshape(-1, bins, kinds)
    counts[np.arange(len(bits)), 0, classes] -= 1
    counts = counts.cumsum(axis=1)
    return [{"radius": int(r), **_ball(counts[:, r], labels)} for r in radii]


def _ball(counts: np.ndarray, labels: np.ndarray) -> dict:
    """The numbers of one radius, from the classes [n, classes] in each example's ball."""
    size = counts.sum(axis=1)
    there = size > 0
    pure = gini(counts[there])
    some = there.any()
    return {
        "empty_share": float(1 - there.mean()),
        "mean_size": float(size.mean()),
        "purity": float(pure.mean()) if some else float("nan"),
        "standard_error": float(pure.std() / np.sqrt(len(pure))) if some else float("nan"),
        "chance": float(by_chance(size[there], labels).mean()) if some else float("nan"),
    }
