"""Batches that Grain reads ahead: their order, their errors, their threads, and the memory that they take."""

import concurrent.futures
import contextlib
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from aejax.data import records, shuffle, streaming
from aejax.data.dataset import Split
from aejax.errors import UserError

ALL = slice(None)
LARGE = 2**30


def source(count, decode=None, labelled=True):
    """Images [2, 3, 1] made of their row, with the row modulo 7 as label."""

    def made(stored, row):
        return np.full((2, 3, 1), stored % 256, np.uint8), stored % 7

    reader = records.Reader(count, list, decode or made, lambda row: f"row {row}", "folder:made", labelled)
    return records.Records(reader, records.span(0, count))


def flat(stream):
    return [(first, images[:, 0, 0, 0].tolist(), labels.tolist()) for first, images, labels in stream]


def test_batches_are_those_of_the_permutation():
    stream = streaming.batches(source(23), 5, 4, range(13), ALL, LARGE)
    seen = flat(stream)
    stream.close()
    assert [step for step, _, _ in seen] == list(range(13))
    for step, images, labels in seen:
        epoch, first = divmod(step, 5)  # five steps an epoch; three examples wait
        rows = shuffle.epoch_rows(5, epoch, 23, np.arange(4 * first, 4 * first + 4))
        assert images == rows.tolist() and labels == (rows % 7).tolist()
    assert len(set(sum((images for _, images, _ in seen[:5]), []))) == 20


def test_resuming_is_knowing_the_step():
    whole = flat(streaming.batches(source(50), 0, 8, range(20), ALL, LARGE))
    assert flat(streaming.batches(source(50), 0, 8, range(9, 20), ALL, LARGE)) == whole[9:]
    assert flat(streaming.batches(source(50), 1, 8, range(20), ALL, LARGE)) != whole


def test_processes_read_their_own_places_of_every_batch():
    asked = []

    def decode(stored, row):
        asked.append(row)
        return np.full((2, 3, 1), stored, np.uint8), 0

    whole = flat(streaming.batches(source(50), 0, 8, range(6), ALL, LARGE))
    parted = source(50, decode)
    asked.clear()
    halves = [flat(streaming.batches(parted, 0, 8, range(6), rows, LARGE)) for rows in (slice(0, 4), slice(4, 8))]
    assert len(asked) == 6 * 8
    for (_, images, _), (_, first, _), (_, second, _) in zip(whole, *halves, strict=True):
        assert first + second == images


def test_a_split_in_memory_gives_the_same_batches():
    rows = np.arange(30)
    images = np.broadcast_to(rows.astype(np.uint8)[:, None, None, None], (30, 2, 3, 1)).copy()
    resident = Split(images, (rows % 7).astype(np.int32))
    assert flat(streaming.batches(resident, 2, 4, range(9), ALL, LARGE)) == flat(
        streaming.batches(source(30), 2, 4, range(9), ALL, LARGE)
    )


def test_without_labels():
    unlabelled = source(9, labelled=False)
    assert {labels for _, _, labels in streaming.batches(unlabelled, 0, 3, range(3), ALL, LARGE)} == {None}


def test_in_order_reads_every_example_once():
    parts = flat(streaming.in_order(source(10), 4, ALL, LARGE))
    assert [(first, images) for first, images, _ in parts] == [(0, [0, 1, 2, 3]), (4, [4, 5, 6, 7]), (8, [8, 9])]
    second = flat(streaming.in_order(source(10), 4, slice(2, 4), LARGE))
    assert [(first, images) for first, images, _ in second] == [(0, [2, 3]), (4, [6, 7]), (8, [])]


def test_batches_in_flight_follow_from_their_size():
    assert streaming.in_flight(100, 1000) == 10
    assert streaming.in_flight(100, 10**9) == streaming.MOST
    assert streaming.in_flight(100, 0) == streaming.LEAST
    stream = streaming.batches(source(100), 0, 10, range(9), slice(0, 5), 5 * 6 * 3)
    stream.close()
    assert stream.in_flight == 3  # of this process's half of a batch


def test_no_more_is_read_than_may_be_in_flight():
    asked = []

    def decode(stored, row):
        asked.append(row)
        return np.zeros((1, 1, 1), np.uint8), 0

    stream = streaming.batches(source(1000, decode), 0, 10, range(100), ALL, 0)
    next(stream)
    settled()
    assert len(asked) <= 1 + 10 * (1 + streaming.LEAST)  # the first image of all, one batch taken, two ahead
    stream.close()


def test_a_batch_larger_than_the_split_is_refused():
    with pytest.raises(ValueError, match="a batch of 10 of 9"):
        streaming.batches(source(9), 0, 10, range(1), ALL, LARGE)


def damaged(stored, row):
    if row == 13:
        raise UserError(f"row {row}: unreadable")
    return np.zeros((1, 1, 1), np.uint8), 0


def test_a_damaged_example_is_told_at_its_step():
    rows = shuffle.epoch_rows(0, 0, 40, np.arange(40)).tolist()
    at = rows.index(13) // 4
    stream, seen = streaming.batches(source(40, damaged), 0, 4, range(10), ALL, LARGE), []
    with pytest.raises(UserError) as caught:
        for step, _, _ in stream:
            seen.append(step)
    assert str(caught.value) == "row 13: unreadable" and seen == list(range(at))


def reading():
    return [thread for thread in threading.enumerate() if thread.name.startswith("grain")]


def settled(seconds=10.0):
    """Waits until no thread starts or ends any more."""
    deadline = time.monotonic() + seconds
    while reading() and time.monotonic() < deadline:
        before = len(reading())
        time.sleep(0.1)
        if len(reading()) == before:
            return


def test_closing_ends_the_threads_within_a_batch():
    slow = threading.Event()

    def decode(stored, row):
        if stored:  # not the first image, whose shape is asked for
            slow.wait(0.002)
        return np.zeros((1, 1, 1), np.uint8), 0

    stream = streaming.batches(source(200_000, decode), 0, 100_000, range(2), ALL, LARGE)  # minutes a batch

    def ask():
        with contextlib.suppress(RuntimeError, concurrent.futures.CancelledError):  # it is closed meanwhile
            next(stream)

    waiting = threading.Thread(target=ask, daemon=True)
    waiting.start()
    while not reading():
        time.sleep(0.01)
    stream.close()
    ended()
    waiting.join(10)
    assert not waiting.is_alive()


def test_threads_end_with_the_last_batch_and_with_an_error():
    for whole in (source(9), source(40, damaged)):
        with contextlib.suppress(UserError):
            list(streaming.in_order(whole, 4, ALL, LARGE))
        ended()


def ended():
    deadline = time.monotonic() + 30
    while reading() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not reading()


def test_grain_is_imported_by_streaming_alone():
    code = "import sys; import aejax.data.streaming, aejax.data.arrayrecord; assert 'grain' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


MEMORY = """
import numpy as np
from aejax.data import records, split, streaming
from aejax.data.dataset import Source

def peak():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))

shape, count, host_bytes = (128, 128, 3), 10**10, 32 * 2**20  # 491 TB
def decode(stored, row):
    return np.full(shape, stored % 256, np.uint8), -1

reader = records.Reader(count, list, decode, str, "folder:made")
found = Source({"train": reader.divided(host_bytes)(slice(0, count))})
dataset = split.complete("folder:made", found, test=0.2, valid=0.1, seed=0)
assert len(dataset.train) + len(dataset.valid) + len(dataset.test) == count
batch = 64  # 3 MiB
for steps in (range(1), range(100, 160)):
    before = peak()
    stream = streaming.batches(dataset.train, 0, batch, steps, slice(None), host_bytes)
    assert stream.in_flight * batch * np.prod(shape) <= host_bytes
    for step, images, labels in stream:
        assert images.shape == (batch, *shape)
    stream.close()
print(peak() - before)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads /proc")
def test_memory_is_bounded():
    """Of 491 TB, 60 batches of 3 MiB take ``host_bytes``, the batch that the consumer has, and a little for threads."""
    told = subprocess.run([sys.executable, "-c", MEMORY], check=True, capture_output=True, text=True).stdout
    assert 2**20 < int(told) < 32 * 2**20 + 64 * 128 * 128 * 3 + 8 * 2**20, told
