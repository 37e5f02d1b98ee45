"""The order of the batches and the blocks that stream them."""

import threading

import jax
import numpy as np
import pytest

from aejax import keys
from aejax.data import order


def test_epoch_order_is_a_permutation_of_seed_and_epoch():
    orders = {(s, e): np.asarray(order.epoch_order(s, e, 50)) for s in (0, 1) for e in (0, 1)}
    for rows in orders.values():
        assert rows.dtype == np.int32 and sorted(rows.tolist()) == list(range(50))
    assert len({rows.tobytes() for rows in orders.values()}) == 4


def test_epoch_order_follows_its_documented_key():
    key = jax.random.fold_in(keys.root(3, "order"), 5)
    draws = np.asarray(jax.random.bits(key, (40,), np.uint32))
    assert order.epoch_order(3, 5, 40).tolist() == sorted(range(40), key=lambda row: draws[row])


def test_epoch_order_takes_traced_seed_and_epoch():
    traced = jax.jit(lambda *given: order.epoch_order(*given), static_argnums=2)  # with a cache of its own
    for seed, epoch in ((0, 0), (4, 9)):
        assert traced(seed, epoch, 30).tolist() == order.epoch_order(seed, epoch, 30).tolist()
    assert traced._cache_size() == 1  # a new seed does not compile anew


def test_batches_of_an_epoch_are_disjoint_slices():
    rows = order.epoch_order(0, 0, 23)
    read = jax.jit(order.batch_rows, static_argnums=2)
    batches = [read(rows, step, 5).tolist() for step in range(23 // 5)]
    assert sum(batches, []) == rows.tolist()[:20]


def resident(images, rows, batch_size):
    """Batches as the compiled step reads them when the whole split is on the device."""
    read = jax.jit(lambda data, rows, step: data[order.batch_rows(rows, step, batch_size)])
    return [np.asarray(read(images, rows, step)) for step in range(len(rows) // batch_size)]


def batches(rows, batch_size):
    return order.batches(np.asarray(rows), batch_size, slice(0, batch_size))


def test_a_process_reads_its_own_places_of_each_batch_and_places_beyond_it_are_filled():
    rows = np.asarray(order.epoch_order(1, 2, 30))
    whole = batches(rows, 4)
    assert whole.tolist() == rows[:28].reshape(7, 4).tolist()
    first, second = (order.batches(rows, 4, slice(start, start + 3)) for start in (0, 3))  # of six places
    assert first.tolist() == whole[:, :3].tolist()
    assert second.tolist() == whole[:, [3, 0, 0]].tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize(("first_step", "steps_per_block"), [(0, 3), (0, 7), (2, 2), (5, 3), (0, 100), (6, 1)])
def test_blocks_give_the_resident_batches_bit_for_bit(dtype, first_step, steps_per_block):
    batch_size, n = 4, 30  # 7 steps; two examples wait for another epoch
    images = np.random.default_rng(0).normal(size=(n, 3, 2, 1)).astype(dtype)
    rows = np.asarray(order.epoch_order(1, 2, n))
    expected = resident(images, rows, batch_size)

    seen = []
    for first, block in order.blocks(images, batches(rows, batch_size), first_step, steps_per_block):
        assert block.shape == (steps_per_block, batch_size, 3, 2, 1) and block.dtype == dtype
        assert first == first_step + len(seen)
        seen += list(block[: 7 - first])
        assert not block[7 - first :].any()
    assert len(seen) == 7 - first_step
    for batch, same in zip(seen, expected[first_step:], strict=True):
        assert batch.tobytes() == same.tobytes()


def test_blocks_past_the_end_are_none():
    images = np.zeros((8, 1, 1, 1), np.uint8)
    assert list(order.blocks(images, batches(np.arange(8), 4), 2, 3)) == []
    assert list(order.blocks(images, batches(np.arange(8), 9), 0, 3)) == []


def test_the_next_block_is_gathered_while_this_one_is_used():
    gathered = threading.Event()

    class Images(np.ndarray):
        def take(self, rows, *args, **kwargs):
            if rows[0] == 2:
                gathered.set()
            return super().take(rows, *args, **kwargs)

    images = np.arange(8, dtype=np.uint8).reshape(8, 1, 1, 1).view(Images)
    stream = order.blocks(images, batches(np.arange(8), 1), 0, 2)
    _, first = next(stream)
    assert gathered.wait(5)
    _, second = next(stream)
    assert first.ravel().tolist() == [0, 1] and second.ravel().tolist() == [2, 3]  # no buffer is used twice
    stream.close()


def reading_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("blocks")]


def test_closing_ends_the_thread():
    stream = order.blocks(np.zeros((100, 1, 1, 1), np.uint8), batches(np.arange(100), 1), 0, 10)
    next(stream)
    assert reading_threads()
    stream.close()
    assert not reading_threads()


def test_what_fails_in_the_thread_is_raised_here():
    class Images(np.ndarray):
        def take(self, rows, *args, **kwargs):
            if 4 in rows:
                raise OSError("the disk is gone")
            return super().take(rows, *args, **kwargs)

    images = np.zeros((8, 1, 1, 1), np.uint8).view(Images)
    seen = []
    with pytest.raises(OSError, match="the disk is gone"):
        for first, _ in order.blocks(images, batches(np.arange(8), 2), 0, 1):
            seen.append(first)
    assert seen == [0, 1] and not reading_threads()


def test_an_order_that_does_not_fit_is_refused():
    with pytest.raises(IndexError):
        list(order.blocks(np.zeros((8, 1, 1, 1), np.uint8), batches(np.arange(9), 3), 0, 1))
