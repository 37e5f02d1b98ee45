"""The shuffle without an index."""

import tracemalloc

import jax
import numpy as np
import pytest
from scipy import stats

from aejax import keys
from aejax.data import shuffle


def order(seed, epoch, n):
    return shuffle.epoch_rows(seed, epoch, n, np.arange(n))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 15, 16, 17, 100, 255, 256, 257, 1000, 4095, 4096, 4097, 70_000])
def test_it_is_a_permutation(n):
    rows = order(3, 1, n)
    assert rows.dtype == np.int64 and np.array_equal(np.sort(rows), np.arange(n))


def test_it_is_one_for_each_seed_and_epoch():
    orders = {order(seed, epoch, 200).tobytes() for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9
    assert order(1, 2, 200).tobytes() == order(1, 2, 200).tobytes()


def test_it_follows_the_documented_network():
    """In Python's own integers, from the equations of the module's docstring."""

    def mixed(x):
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            x = (x ^ (x >> shift)) * factor % 2**64
        return x ^ (x >> 31)

    key = jax.random.fold_in(keys.root(7, "order"), 4)
    draws = np.asarray(jax.random.bits(key, (8, 2))).tolist()
    n, width = 5000, 7

    def walked(x):
        left, right = divmod(x, 2**width)
        for high, low in draws:
            left, right = right, left ^ (mixed(right ^ (high * 2**32 + low)) >> (64 - width))
        x = left * 2**width + right
        return x if x < n else walked(x)

    positions = np.array([0, 1, 17, 4999])
    assert shuffle.epoch_rows(7, 4, n, positions).tolist() == [walked(x) for x in positions.tolist()]


def test_a_part_is_the_part_of_the_whole():
    positions = np.array([999, 0, 500, 500])
    assert shuffle.epoch_rows(0, 0, 1000, positions).tolist() == order(0, 0, 1000)[positions].tolist()
    assert shuffle.epoch_rows(0, 0, 1000, np.array([], np.int64)).tolist() == []


@pytest.mark.parametrize("n", [3, 10, 100])
def test_where_a_position_goes_is_uniform_over_keys(n):
    rng = np.random.default_rng(0)
    draws = rng.integers(0, 2**64, (20 * n, shuffle.ROUNDS), dtype=np.uint64)
    for position in (0, n - 1):
        rows = [shuffle.permuted(np.array([position]), n, k)[0] for k in draws]
        assert stats.chisquare(np.bincount(rows, minlength=n)).pvalue > 1e-3


def test_every_order_of_four_is_as_frequent():
    draws = np.random.default_rng(1).integers(0, 2**64, (1200, shuffle.ROUNDS), dtype=np.uint64)
    orders = [tuple(shuffle.permuted(np.arange(4), 4, k)) for k in draws]
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 24 and stats.chisquare(counts).pvalue > 1e-3


def test_an_epoch_is_well_mixed():
    """As a uniform permutation: displacement n/3 on average, one fixed point, no correlation of neighbours."""
    n = 40_000
    rows = order(0, 0, n)
    assert abs(np.abs(rows - np.arange(n)).mean() / n - 1 / 3) < 0.01
    assert (rows == np.arange(n)).sum() < 10
    assert abs(np.corrcoef(rows[:-1], rows[1:])[0, 1]) < 0.02
    assert abs(np.corrcoef(rows, order(0, 1, n))[0, 1]) < 0.02
    assert stats.chisquare(np.bincount(rows[: n // 10] * 20 // n, minlength=20)).pvalue > 1e-3


def test_a_batch_costs_a_batch_of_memory():
    n = 2**40
    shuffle.round_keys(0, "order", 0)
    tracemalloc.start()
    rows = shuffle.epoch_rows(0, 0, n, np.arange(n - 1000, n))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000 and len(set(rows.tolist())) == 1000 and rows.min() >= 0 and n // 2 < rows.max() < n


def test_positions_outside_are_refused():
    for positions in ([-1], [10]):
        with pytest.raises(ValueError, match="accepted: 0 to 9"):
            shuffle.epoch_rows(0, 0, 10, np.array(positions))
    with pytest.raises(ValueError, match="accepted: 1 to"):
        shuffle.epoch_rows(0, 0, 0, np.array([0]))
