"""What each active unit buys: the error of codes of which only the largest units are kept."""

from collections.abc import Callable

import numpy as np

# Codes whose units have no size to be ranked by: bits, and vectors of a codebook.
UNRANKED = ("hashing", "straight_through", "vector_quantised")
POINTS = 16  # of the curve
BLOCK = 2**22  # values of the codes that are ranked at a time


def unsuitable(code: str, low: float) -> str | None:
    """Why 0 does not mean "off" for a code of that name whose smallest value is ``low``; None where it does."""
    if code in UNRANKED:
        return f"the units of a {code} code have no magnitude to be ranked by"
    return f"0 is no value of this code: its smallest is {low:.3g}" if low > 0 else None


def ranks(codes: np.ndarray) -> np.ndarray:
    """For each value of codes [n, d] how many of its row go before it by magnitude: 0 for the largest; of equals the
    first goes first."""
    order = np.argsort(-np.abs(codes), axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(codes.shape[1])[None], axis=1)
    return rank


def counts(most: int, points: int = POINTS) -> np.ndarray:
    """Whole numbers from 1 to ``most``, evenly spaced on a logarithmic scale, at most so many."""
    return np.unique(np.geomspace(1, max(most, 1), points).round().astype(int))


def tradeoff(
    codes: np.ndarray, errors: Callable[[np.ndarray, slice], np.ndarray], kept: np.ndarray, block: int = BLOCK
) -> np.ndarray:
    """The mean error [len(kept)] of the codes with all but the m values of largest magnitude set to 0, m of ``kept``.

    Args:
      codes: [n, d], flat.
      errors: of codes [b, d] and which of the n they are, a slice: [b].
      kept: whole numbers, 0 for none.
      block: values to a block.
    """
    n, d = codes.shape
    rows = max(1, block // d)
    sums = np.zeros(len(kept))
    for start in range(0, n, rows):
        which = slice(start, min(start + rows, n))
        rank = ranks(codes[which])
        sums += [errors(np.where(rank < m, codes[which], 0), which).sum() for m in kept]
    return sums / n


def enough(kept: np.ndarray, errors: np.ndarray, slack: float = 0.1) -> int:
    """The fewest of ``kept`` with an error at most ``1 + slack`` times the smallest on the curve."""
    return int(kept[np.flatnonzero(errors <= (1 + slack) * errors.min())[0]])
