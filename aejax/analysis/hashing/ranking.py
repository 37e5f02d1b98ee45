"""Rankings by Hamming distance, scored exactly where distances tie, as those of short codes nearly always do.

All scores of a query follow from two counts at every distance 0 … b: how many of
the database lie there (``sizes``), and how many of those are of its class (``hits``).
Examples at one distance are in no order, so a score is its mean over all orders
(McSherry & Najork, "Computing information retrieval performance measures
efficiently in the presence of tied scores", ECIR 2008; He, Cakir, Bargal &
Sclaroff, "Hashing as tie-aware learning to rank", arXiv 1705.08562), in closed form.
"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import hypergeom

from aejax.analysis.hashing.bits import hamming_blocks

RADIUS = 2  # of the lookup in a hash table


def tally(codes: np.ndarray, labels: np.ndarray, query_codes: np.ndarray, query_labels: np.ndarray, bits: int):
    """The counts of a block of queries at every distance.

    Args:
      codes, query_codes: ``packed`` codes of the database [n, bytes] and of the queries [q, bytes].
      labels, query_labels: integers [n], [q].
      bits: their number b.

    Returns:
      ``sizes`` and ``hits``, integers [q, b + 1].
    """
    counts = np.empty((len(query_codes), bits + 1, 2), np.int64)
    for rows, distances in hamming_blocks(query_codes, codes):
        place = np.arange(len(distances))[:, None] * (bits + 1) + distances
        place = 2 * place + (labels == query_labels[rows, None])
        counts[rows] = np.bincount(place.ravel(), minlength=counts[rows].size).reshape(-1, bits + 1, 2)
    return counts.sum(axis=2), counts[:, :, 1]


def block_precision(before: np.ndarray, found: np.ndarray, sizes: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """What the hits of one distance are expected to add to the sum of precisions of average precision.

    With N examples before the block, R of them hits, and n in it, r of them hits, place N + t holds a hit
    with probability r / n, and then ``R + 1 + (t - 1)(r - 1)/(n - 1)`` hits are expected up to it:

        Σ_{t=1}^{n} r/n · (R + 1 + (t - 1)(r - 1)/(n - 1)) / (N + t)
          = r/n · ((R + 1) Δ + (r - 1)/(n - 1) · (n - (N + 1) Δ)),   Δ = H(N + n) - H(N),

    with the harmonic numbers H (McSherry & Najork 2008).

    Args:
      before, found, sizes, hits: N, R, n and r, integers of one shape.

    Returns:
      float64 of that shape; 0 where n is 0.
    """
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, int((before + sizes).max(initial=0)) + 1))])
    delta = harmonic[before + sizes] - harmonic[before]
    further = (hits - 1) / np.maximum(sizes - 1, 1) * (sizes - (before + 1) * delta)
    return hits / np.maximum(sizes, 1) * ((found + 1) * delta + np.where(sizes > 1, further, 0))


def average_precision(sizes: np.ndarray, hits: np.ndarray, top: int = 0) -> np.ndarray:
    """AP of each query: the mean, over the hits among the first ``top``, of the precision at their places.

    As usual in hashing, the sum of precisions is divided by the hits among the first ``top``, not by all there are;
    a query without any scores 0. Which of a tie are among the first ``top`` is as random as their order:
    their number of hits is hypergeometric, and the mean is over it too.

    Args:
      sizes, hits: integers [q, b + 1], as ``tally`` gives them; each row of sizes sums to n.
      top: how deep to look; 0: over the whole database.

    Returns:
      [q], in [0, 1].
    """
    n = int(sizes[:1].sum())
    top = min(top, n) or n
    upto, found = sizes.cumsum(axis=1), hits.cumsum(axis=1)
    whole = upto <= top
    before, earlier = upto - sizes, found - hits
    added = np.where(whole, block_precision(before, earlier, sizes, hits), 0).sum(axis=1)
    known = np.where(whole, hits, 0).sum(axis=1)
    scores = np.divide(added, known, out=np.zeros(len(sizes)), where=known > 0)
    for i in np.flatnonzero(~whole.all(axis=1)):
        j = int(whole[i].argmin())  # the tie in which the first ``top`` end
        drawn = top - before[i, j]
        some = np.arange(max(0, drawn - sizes[i, j] + hits[i, j]), min(drawn, hits[i, j]) + 1)
        same = np.full_like(some, 1)
        partly = block_precision(same * before[i, j], same * earlier[i, j], same * drawn, some)
        chance = hypergeom.pmf(some, sizes[i, j], hits[i, j], drawn)
        scores[i] = (chance * (added[i] + partly) / np.maximum(known[i] + some, 1)).sum()
    return scores


def precision_at(sizes: np.ndarray, hits: np.ndarray, at: Sequence[int]) -> np.ndarray:
    """The expected share of hits among the first k, [q, len(at)], for each k in ``at``, from 1 to the size of the
    database; of the tie in which the first k end, hits count in proportion."""
    ends, found = (np.pad(x.cumsum(axis=1), ((0, 0), (1, 0))) for x in (sizes, hits))
    at = np.asarray(at)
    return np.stack([np.interp(at, *rising) / at for rising in zip(ends, found, strict=True)])


def precision_within(sizes: np.ndarray, hits: np.ndarray, radius: int = RADIUS) -> tuple[np.ndarray, np.ndarray]:
    """The share of hits among all within the radius, [q], 0 where there are none; and how many there are, [q]."""
    near, found = (x[:, : radius + 1].sum(axis=1) for x in (sizes, hits))
    return np.divide(found, near, out=np.zeros(len(sizes)), where=near > 0), near
