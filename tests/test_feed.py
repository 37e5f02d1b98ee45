import threading

import jax
import numpy as np
import pytest

from aejax import devices
from aejax.data import Split, shuffle
from aejax.data.order import epoch_order
from aejax.data.records import Reader, Records, span
from aejax.errors import UserError
from aejax.feed import FromDisk, Resident, Streamed, feed


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
    resident = batches(Resident(Split(images), 7, batch, mesh), steps, batch, start)
    streamed = batches(Streamed(Split(images), 7, batch, mesh, small), steps, batch, start)
    np.testing.assert_array_equal(resident, streamed)


@pytest.mark.parametrize("count", [2, 8])
def test_each_device_gets_its_part_of_a_streamed_batch(images, count):
    mesh = devices.mesh(count)
    source = Streamed(Split(images), 7, 10, mesh, 2 * 3 * 2 * 16)
    block = source.at(0).examples[0]
    room = devices.padded(10, mesh)
    assert block.shape[1:] == (room, 4, 4, 1)
    assert {part.data.shape[1] for part in block.addressable_shards} == {room // count}
    source.close()
    resident = batches(Resident(Split(images), 7, 10, devices.mesh(1)), 15, 10)
    np.testing.assert_array_equal(batches(Streamed(Split(images), 7, 10, mesh, 1), 15, 10), resident)


def test_an_epoch_visits_each_example_at_most_once_and_epochs_and_seeds_differ(images):
    mesh = devices.mesh(1)
    first = batches(Resident(Split(images), 7, 10, mesh), 10, 10)
    rows = [{r.tobytes() for r in epoch.reshape(50, -1)} for epoch in (first[:5], first[5:])]
    assert [len(r) for r in rows] == [50, 50]
    assert not np.array_equal(first[:5], first[5:])
    assert not np.array_equal(first, batches(Resident(Split(images), 8, 10, mesh), 10, 10))


def test_what_does_not_fit_streams(images):
    mesh = devices.mesh(1)
    for size, kind in ((images.nbytes, Resident), (images.nbytes - 1, Streamed)):
        assert isinstance(feed(Split(images), 0, 10, mesh, {"device_bytes": size}, 9, False), kind)


def test_a_block_is_within_the_bytes_allowed(images):
    source = Streamed(Split(images), 0, 10, devices.mesh(1), 2 * 2 * 10 * 16 + 5)
    assert source.at(0).examples[0].nbytes == 2 * 10 * 16
    source.close()
    assert jax.tree.leaves(source._source) == []


def from_disk(images, labels=None):
    """The same examples, read when they are asked for."""
    reader = Reader(len(images), lambda places: [images[i] for i in places], lambda image, i: (image, -1), str, "made")
    return Records(reader, span(0, len(images)), labels)


@pytest.mark.parametrize("start", [0, 3, 7])
@pytest.mark.parametrize("steps_a_block", [1, 2, 100])
@pytest.mark.parametrize("count", [1, 8])
def test_batches_from_the_disk_are_those_of_the_shuffle(images, monkeypatch, start, steps_a_block, count):
    """Whatever the block and wherever it begins; a block ends with its epoch, and the last with the run."""
    mesh, labels = devices.mesh(count), np.arange(53, dtype=np.int32)
    room = devices.padded(10, mesh)
    monkeypatch.setattr("aejax.feed.BLOCK", steps_a_block * room * 16)
    source = feed(from_disk(images, labels), 7, 10, mesh, {"host_bytes": 2**20}, 12, True)
    assert isinstance(source, FromDisk)
    for step in range(start, 12):
        s = source.at(step)
        assert s.examples[0].shape == (min(steps_a_block, 5), room, 4, 4, 1)
        assert s.stop <= min(12, (step // 5 + 1) * 5)
        shown, told = batch_of(s, step, 10)
        assert told.tolist() == shuffle.epoch_rows(7, step // 5, 53, np.arange(10) + step % 5 * 10).tolist()
        np.testing.assert_array_equal(shown, images[told])
    assert source.waited > 0
    source.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("blocks")]


@pytest.mark.parametrize("disk", [True, False])
def test_a_process_reads_its_own_rows_of_each_batch_alone(images, monkeypatch, disk):
    """As the second of two processes would: of ten examples, and two that fill the batch up, the last six."""
    fetched = set()

    def fetch(places):
        fetched.update(places)
        return [images[i] for i in places]

    monkeypatch.setattr(devices, "own_rows", lambda rows, mesh: slice(6, 12))
    monkeypatch.setattr(devices, "padded", lambda rows, mesh: 12)
    monkeypatch.setattr("aejax.feed.on_devices", lambda batches, room, mesh: batches)
    reader = Reader(53, fetch, lambda image, i: (image, -1), str, "made")
    split = Records(reader, span(0, 53)) if disk else Split(images)
    source = feed(split, 7, 10, devices.mesh(1), {"host_bytes": 2**20, "device_bytes": 0}, 5, False)
    fetched.clear()  # the first image, for its shape
    shown = np.concatenate([source.at(step).examples[0][step - source.at(step).first][:4] for step in range(5)])
    source.close()
    order = shuffle.epoch_rows(7, 0, 53, np.arange(50)) if disk else np.asarray(epoch_order(7, 0, 53))[:50]
    own = order.reshape(5, 10)[:, 6:].ravel()
    np.testing.assert_array_equal(shown, images[own])
    assert not disk or fetched == set(own.tolist())


def test_what_cannot_be_read_is_told_where_it_is_asked_for(images):
    def decode(image, place):
        if place == 20:
            raise UserError("made: 20 is damaged")
        return image, -1

    split = Records(Reader(53, lambda places: [images[i] for i in places], decode, str, "made"), span(0, 53))
    source = feed(split, 7, 10, devices.mesh(1), {"host_bytes": 2**20}, 50, False)
    with pytest.raises(UserError, match="20 is damaged"):
        for step in range(50):
            source.at(step)
    source.close()


@pytest.mark.parametrize("make", [Resident, lambda *given: Streamed(*given[:-1], 2 * 3 * 10 * 16, given[-1])])
def test_labels_go_with_their_images(images, make):
    labels = np.arange(len(images), dtype=np.int32)
    source = make(Split(images, labels), 7, 10, devices.mesh(1), True)
    for step in range(3, 12):
        s = source.at(step)
        shown, told = batch_of(s, step, 10)
        np.testing.assert_array_equal(shown, images[told])
    source.close()
