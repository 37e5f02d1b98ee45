"""A shuffle without an index: where a keyed permutation of {0 … n−1} puts any of its positions.

What fits in memory is shuffled by a sort (``order.epoch_order``), which holds n rows. Here the permutation is a cipher
on {0 … n−1}, so that a batch costs what it has of rows, whatever n is.

* A Feistel network of ``ROUNDS`` rounds on two halves of w bits, (l, r) → (r, l ⊕ F_k(r)), permutes {0 … 4^w−1}
  whatever F is, and looks random where F does (Luby, Rackoff: How to construct pseudorandom permutations, 1988).
  F_k(r) is the highest w bits of r ⊕ k mixed by the last steps of SplitMix64 (Steele, Lea, Flood: Fast splittable
  pseudorandom number generators, 2014).
* What falls outside {0 … n−1} is put through it again, until it falls inside ("cycle walking": Black, Rogaway: Ciphers
  with arbitrary finite domains, 2002). 4^w is the next power of four, so that takes less than four times on average.

Whole numbers all the way: the same on every platform and in every version of NumPy.
"""

import functools

import jax
import numpy as np

from aejax.keys import root

ROUNDS = 8
LARGEST = 2**62  # positions: two halves of at most 31 bits


def epoch_rows(seed: int, epoch: int, n: int, positions: np.ndarray) -> np.ndarray:
    """The rows of train at these positions of an epoch's order: [b] integers below n -> [b] int64.

    A pure function of its arguments; the key is that of ``order.epoch_order``, the permutation another.
    """
    return permuted(positions, n, round_keys(seed, "order", epoch))


def permuted(positions: np.ndarray, n: int, keys: np.ndarray) -> np.ndarray:
    """Where the permutation of {0 … n−1} under these keys puts the positions: [b] integers -> [b] int64.

    Args:
      positions: in {0 … n−1}.
      n: how many, up to 2^62.
      keys: [ROUNDS] uint64, such as ``round_keys`` gives.

    Raises:
      ValueError: a position is outside, or n is.
    """
    if not 0 < n <= LARGEST:
        raise ValueError(f"n={n}: accepted: 1 to 2^62")
    rows = np.asarray(positions).astype(np.int64)
    if rows.size and not 0 <= rows.min() <= rows.max() < n:
        raise ValueError(f"positions from {rows.min()} to {rows.max()}; accepted: 0 to {n - 1}")
    width = max(1, ((n - 1).bit_length() + 1) // 2)
    rows = rows.astype(np.uint64)
    outside = np.arange(len(rows))
    while outside.size:
        rows[outside] = _feistel(rows[outside], width, keys)
        outside = outside[rows[outside] >= n]
    return rows.astype(np.int64)


@functools.lru_cache(maxsize=64)
def round_keys(seed: int, name: str, number: int = 0) -> np.ndarray:
    """[ROUNDS] uint64: random bits under the key fold_in(root(seed, name), number)."""
    with jax.default_device(_cpu()):  # elsewhere they would wait for the program that runs there
        key = jax.random.fold_in(root(np.uint32(seed), name), np.uint32(number))
        bits = np.asarray(jax.random.bits(key, (ROUNDS, 2), np.uint32)).astype(np.uint64)
    return (bits[:, 0] << np.uint64(32)) | bits[:, 1]


def _feistel(x: np.ndarray, width: int, keys: np.ndarray) -> np.ndarray:
    """The network on 2·width bits: [b] uint64 -> [b] uint64."""
    half, low = np.uint64(width), np.uint64(2**width - 1)
    left, right = x >> half, x & low
    for key in keys:
        left, right = right, left ^ (_mixed(right ^ key) >> np.uint64(64 - width))
    return (left << half) | right


def _mixed(x: np.ndarray) -> np.ndarray:
    """Each uint64 to another, one to one, so that every bit depends on every other."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _cpu() -> jax.Device | None:
    """A CPU device; None, which is the default device, where JAX is told to use none."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        return None
