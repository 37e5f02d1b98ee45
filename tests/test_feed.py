import jax
import numpy as np
import pytest

from aejax import devices
from aejax.feed import Resident, Streamed, feed


def batches(source, steps, batch, start=0):
    rows = []
    for step in range(start, steps):
        s = source.at(step)
        assert s.first <= step < s.stop
        rows.append(batch_of(s, step, batch)[0])
    source.close()
    return np.stack(rows)


def batch_of(source, step, batch):
    """Images and labels that a step trains on."""
    here = step - source.first
    rows = here if source.order is None else np.asarray(source.order)[here * batch :][:batch]
    return tuple(None if a is None else np.asarray(a)[rows][:batch] for a in source.examples)


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (53, 4, 4, 1)).astype(np.uint8)


@pytest.mark.parametrize("start", [0, 3, 7])
@pytest.mark.parametrize("steps_per_block", [1, 2, 3, 100])
def test_streamed_batches_are_the_resident_ones(images, start, steps_per_block):
    batch, steps, mesh = 10, 15, devices.mesh(1)  # three epochs of five steps, three examples waiting
    small = 2 * steps_per_block * batch * 16
    resident = batches(Resident(images, 7, batch, mesh), steps, batch, start)
    streamed = batches(Streamed(images, 7, batch, mesh, small), steps, batch, start)
    np.testing.assert_array_equal(resident, streamed)


@pytest.mark.parametrize("count", [2, 8])
def test_each_device_gets_its_part_of_a_streamed_batch(images, count):
    mesh = devices.mesh(count)
    source = Streamed(images, 7, 10, mesh, 2 * 3 * 2 * 16)
    block = source.at(0).examples[0]
    room = devices.padded(10, mesh)
    assert block.shape[1:] == (room, 4, 4, 1)
    assert {part.data.shape[1] for part in block.addressable_shards} == {room // count}
    source.close()
    resident = batches(Resident(images, 7, 10, devices.mesh(1)), 15, 10)
    np.testing.assert_array_equal(batches(Streamed(images, 7, 10, mesh, 1), 15, 10), resident)


def test_an_epoch_visits_each_example_at_most_once_and_epochs_and_seeds_differ(images):
    mesh = devices.mesh(1)
    first = batches(Resident(images, 7, 10, mesh), 10, 10)
    rows = [{r.tobytes() for r in epoch.reshape(50, -1)} for epoch in (first[:5], first[5:])]
    assert [len(r) for r in rows] == [50, 50]
    assert not np.array_equal(first[:5], first[5:])
    assert not np.array_equal(first, batches(Resident(images, 8, 10, mesh), 10, 10))


def test_what_does_not_fit_streams(images):
    mesh = devices.mesh(1)
    assert isinstance(feed(images, 0, 10, mesh, images.nbytes), Resident)
    assert isinstance(feed(images, 0, 10, mesh, images.nbytes - 1), Streamed)


def test_a_block_is_within_the_bytes_allowed(images):
    source = Streamed(images, 0, 10, devices.mesh(1), 2 * 2 * 10 * 16 + 5)
    assert source.at(0).examples[0].nbytes == 2 * 10 * 16
    source.close()
    assert jax.tree.leaves(source._source) == []


@pytest.mark.parametrize("make", [Resident, lambda *given: Streamed(*given[:-1], 2 * 3 * 10 * 16, given[-1])])
def test_labels_go_with_their_images(images, make):
    labels = np.arange(len(images), dtype=np.int32)
    source = make(images, 7, 10, devices.mesh(1), labels)
    for step in range(3, 12):
        s = source.at(step)
        shown, told = batch_of(s, step, 10)
        np.testing.assert_array_equal(shown, images[told])
    source.close()
