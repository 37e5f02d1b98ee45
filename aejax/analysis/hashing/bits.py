"""Bits as codes: packed, the Hamming distances between them, and how well they are used.

Bits are [n, b] bool, a row an example.
"""

from collections.abc import Iterator

import numpy as np

BLOCK = 2**22  # distances that are held at a time
MOST = 10_000  # examples whose bits are correlated


def packed(bits: np.ndarray) -> np.ndarray:
    """Bits [n, b] as bytes, uint8 [n, 8 · ⌈b / 64⌉]: eight to a byte, filled up with zeros to whole words of 64."""
    n, b = bits.shape
    room = np.zeros((n, 8 * max(1, -(-b // 64))), np.uint8)
    room[:, : -(-b // 8)] = np.packbits(bits, axis=1)
    return room


def hamming(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The numbers of bits that differ, uint16 [n, m], between ``packed`` codes [n, bytes] and [m, bytes]."""
    rows, columns = (np.ascontiguousarray(x.view(np.uint64).T) for x in (a, b))
    distances = np.zeros((len(a), len(b)), np.uint16)
    for row, column in zip(rows, columns, strict=True):
        distances += np.bitwise_count(row[:, None] ^ column)
    return distances


def hamming_blocks(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """``hamming`` in blocks of rows, to spare memory: which rows of ``a``, and their distances [rows, m]."""
    step = max(1, BLOCK // max(1, len(b)))
    for first in range(0, len(a), step):
        rows = slice(first, min(first + step, len(a)))
        yield rows, hamming(a[rows], b)


def entropy(share: np.ndarray) -> np.ndarray:
    """``-p log₂ p - (1 - p) log₂(1 - p)`` in bits, of shares of ones p, any shape: 1 at ½, 0 at 0 and 1."""
    p = np.stack([share, 1 - np.asarray(share)])
    return -(p * np.log2(np.where(p > 0, p, 1))).sum(axis=0)


def sets(bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which examples have identical codes: the set of each example [n], integers from 0, and the sets' sizes [s]."""
    _, which, sizes = np.unique(packed(bits), axis=0, return_inverse=True, return_counts=True)
    return which.reshape(-1), sizes


def code_entropy(sizes: np.ndarray) -> float:
    """``-Σ_s p_s log₂ p_s`` with ``p_s = sizes_s / n``: the code's effective length in bits, at most log₂ n."""
    p = sizes / sizes.sum()
    return float(-(p * np.log2(p)).sum())


def mean_correlation(bits: np.ndarray) -> float:
    """The mean of |r| over all pairs of bits that take both values; NaN where there is no such pair."""
    live = bits[:, bits.any(axis=0) & ~bits.all(axis=0)].astype(np.float32)
    count = live.shape[1]
    if count < 2:
        return float("nan")
    live -= live.mean(axis=0)
    live /= np.linalg.norm(live, axis=0)
    r = np.abs(live.T @ live)
    return float((r.sum(dtype=np.float64) - np.trace(r)) / (count * (count - 1)))


def describe(bits: np.ndarray) -> dict:
    """How well the bits [n, b] of a split are used.

    Returns:
      ``share_of_ones`` [b]; the mean over bits of their ``entropy`` in bits; ``dead_bits``, which are the same for
      every example; the mean |r| among the others, over at most ``MOST`` evenly spaced examples; the number of
      distinct codes; the entropy of their distribution, in bits, and the most that it could be, min(b, log₂ n).
    """
    share = bits.mean(axis=0)
    _, sizes = sets(bits)
    few = bits[:: -(-len(bits) // MOST)]
    return {
        "examples": len(bits),
        "share_of_ones": share,
        "mean_bit_entropy": float(entropy(share).mean()),
        "dead_bits": int(np.sum((share == 0) | (share == 1))),
        "mean_absolute_correlation": mean_correlation(few),
        "distinct_codes": len(sizes),
        "code_entropy_bits": code_entropy(sizes),
        "most_code_entropy_bits": float(min(bits.shape[1], np.log2(len(bits)))),
    }
