"""Retrieval by codes: the database is train, the queries are of test, and right is what has the query's class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aejax.analysis.hashing.bits import describe, packed
from aejax.analysis.hashing.purity import of_balls, of_sets
from aejax.analysis.hashing.ranking import average_precision, precision_at, precision_within, tally

AT = (1, 10, 100, 500, 1000)  # depths k of precision@k
BLOCK = 2**22  # counts, or distances, that are held at a time


@dataclass(frozen=True)
class Retrieval:
    """The scores of each query, all in [0, 1].

    Attributes:
      average_precision: [q].
      at: the depths k, ascending.
      precision: [q, len(at)], at those depths.
      within: [q], precision within Hamming radius 2, 0 where nothing is there.
      near: [q], how many of the database are.
    """

    average_precision: np.ndarray
    at: tuple[int, ...]
    precision: np.ndarray
    within: np.ndarray
    near: np.ndarray

    @classmethod
    def mean(cls, several: Sequence["Retrieval"]) -> "Retrieval":
        """Each query's means over several codes, such as random ones of different seeds."""
        fields = ("average_precision", "precision", "within", "near")
        means = {name: np.mean([getattr(r, name) for r in several], axis=0) for name in fields}
        return cls(at=several[0].at, **means)

    def numbers(self) -> dict:
        """Means over the queries, two of them with their standard errors; precision at the depths of ``AT``."""
        return {
            "mean_average_precision": float(self.average_precision.mean()),
            "standard_error": standard_error(self.average_precision),
            "precision_at": {str(k): float(self.precision[:, i].mean()) for i, k in enumerate(self.at) if k in AT},
            "precision_within_radius_2": float(self.within.mean()),
            "precision_within_radius_2_standard_error": standard_error(self.within),
            "nothing_within_radius_2_share": float(np.mean(self.near == 0)),
            "mean_number_within_radius_2": float(self.near.mean()),
        }


def standard_error(values: np.ndarray) -> float:
    """``std / √n`` of values [n]."""
    return float(np.std(values) / np.sqrt(len(values)))


def depths(n: int, points: int = 0) -> tuple[int, ...]:
    """The depths of ``AT`` that a database of n has, and so many more from 1 to n, evenly spaced in their logarithm."""
    between = np.geomspace(1, n, points).round().astype(int)
    return tuple(sorted({*(k for k in AT if k <= n), *between.tolist()}))


def retrieve(
    bits: np.ndarray,
    labels: np.ndarray,
    query_bits: np.ndarray,
    query_labels: np.ndarray,
    at: Sequence[int] | None = None,
    top: int = 0,
) -> Retrieval:
    """Every query's retrieval of its class from a database.

    Args:
      bits, labels: of the database, [n, b] bool and [n] integers.
      query_bits, query_labels: of the queries, [q, b] and [q].
      at: depths k of precision@k, at most n; ``depths(n)`` unless given.
      top: how deep average precision looks; 0: over the whole database.
    """
    at = tuple(depths(len(bits)) if at is None else at)
    codes, asked = packed(bits), packed(query_bits)
    step = max(1, BLOCK // (bits.shape[1] + 1))
    parts = []
    for rows in (slice(first, first + step) for first in range(0, len(asked), step)):
        sizes, hits = tally(codes, labels, asked[rows], query_labels[rows], bits.shape[1])
        within = precision_within(sizes, hits)
        parts.append((average_precision(sizes, hits, top), precision_at(sizes, hits, at), *within))
    precisions, curves, within, near = (np.concatenate(x) for x in zip(*parts, strict=True))
    return Retrieval(precisions, at, curves, within, near)


def retrieve_nearest(
    x: np.ndarray, labels: np.ndarray, asked: np.ndarray, asked_labels: np.ndarray, at: Sequence[int], top: int = 0
) -> Retrieval:
    """``retrieve`` by Euclidean distance, for database x [n, d] and queries [q, d]: what hashes of x approximate.

    Ties, which real values hardly have, stay in the order of the database. Nothing is said of radii: NaN.
    """
    depth = min(top, len(x)) or len(x)
    place = np.arange(1, len(x) + 1)
    squares = np.einsum("nd,nd->n", x, x)
    step = max(1, BLOCK // len(x))
    precisions, curves = [], []
    for rows in (slice(first, first + step) for first in range(0, len(asked), step)):
        order = np.argsort(squares - 2 * asked[rows] @ x.T, axis=1, kind="stable")
        hits = labels[order] == asked_labels[rows, None]
        precision = hits.cumsum(axis=1) / place
        first = hits[:, :depth]
        precisions.append((precision[:, :depth] * first).sum(axis=1) / np.maximum(first.sum(axis=1), 1))
        curves.append(precision[:, np.asarray(at) - 1])
    nothing = np.full(len(asked), np.nan)
    return Retrieval(np.concatenate(precisions), tuple(at), np.concatenate(curves), nothing, nothing)


def by_chance(labels: np.ndarray, query_labels: np.ndarray, at: Sequence[int] | None = None, top: int = 0) -> Retrieval:
    """``retrieve`` in a random order, as with a code that is the same for all: exact, no draw."""
    same = np.zeros((len(labels), 1), bool)
    return retrieve(same, labels, np.zeros((len(query_labels), 1), bool), query_labels, at, top)


def paired_difference(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """The mean of a_i - b_i over the same queries, [q] each, and its standard error."""
    return float(np.mean(a - b)), standard_error(a - b)


def score(
    train_bits: np.ndarray,
    test_bits: np.ndarray,
    train_labels: np.ndarray | None = None,
    test_labels: np.ndarray | None = None,
    queries: np.ndarray | None = None,
    at: Sequence[int] | None = None,
    top: int = 0,
    balls: np.ndarray | None = None,
) -> tuple[dict, Retrieval | None]:
    """All scores of one code.

    Args:
      train_bits, test_bits: [n, b] and [m, b] bool.
      train_labels, test_labels: [n] and [m] integers; None: how the bits are used, and nothing else.
      queries: which of test ask; all unless given.
      at, top: as ``retrieve`` takes them.
      balls: which of test the purity within a radius is taken over; all unless given. Its time is quadratic.

    Returns:
      Plain numbers: ``bits``, ``test`` and ``train`` (``bits.describe``); and with labels ``sets`` (``purity.of_sets``
      of test), ``balls`` (``purity.of_balls``) and ``retrieval`` (``Retrieval.numbers``). And the scores of each query.
    """
    numbers = {"bits": test_bits.shape[1], "test": describe(test_bits), "train": describe(train_bits)}
    if train_labels is None or test_labels is None:
        return numbers, None
    asking, near = (slice(None) if i is None else i for i in (queries, balls))
    found = retrieve(train_bits, train_labels, test_bits[asking], test_labels[asking], at, top)
    numbers["sets"] = of_sets(test_bits, test_labels)
    numbers["balls"] = of_balls(test_bits[near], test_labels[near])
    return {**numbers, "retrieval": found.numbers()}, found


def score_all(codes: Mapping[str, tuple[np.ndarray, np.ndarray]], *labels, **how) -> dict[str, dict]:
    """The numbers of ``score`` for each named code, given as (train bits, test bits); the rest goes to ``score``."""
    return {name: score(*bits, *labels, **how)[0] for name, bits in codes.items()}
