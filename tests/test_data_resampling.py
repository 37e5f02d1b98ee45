"""Train drawn anew: bootstrap samples, parts of cross-validation, and which labelled examples are kept."""

import zlib

import numpy as np
import pytest

from aejax.data import Split, load, split
from aejax.data.dataset import Dataset, Source
from aejax.data.text import Documents
from tests.test_data import config, numbered, refusal


def rows_of(part):
    return part.images.ravel().astype(int).tolist()


def complete(source, **keys):
    return split.complete("it", source, **{"test": 0.0, "valid": 0.0, "seed": 0, **keys})


# -- bootstrap


def test_a_bootstrap_sample_is_of_train_with_replacement_and_pure_in_its_seed():
    whole, one, again, other = (load(config("mnist5k", resample=n)) for n in (0, 1, 1, 2))
    assert len(one.train) == len(whole.train) == 3600
    assert np.array_equal(one.train.images, again.train.images) and np.array_equal(one.train.labels, again.train.labels)
    assert not np.array_equal(one.train.images, other.train.images)
    labelled = {(image.tobytes(), label) for image, label in zip(whole.train.images, whole.train.labels, strict=True)}
    drawn = [(image.tobytes(), label) for image, label in zip(one.train.images, one.train.labels, strict=True)]
    assert set(drawn) < labelled
    assert len(set(drawn)) / 3600 == pytest.approx(1 - 1 / np.e, abs=0.02)
    for part in ("valid", "test"):
        assert np.array_equal(getattr(one, part).images, getattr(whole, part).images)
        assert np.array_equal(getattr(one, part).labels, getattr(whole, part).labels)


def test_the_bootstrap_rule_by_hand():
    draws = np.random.PCG64(np.random.SeedSequence([3, zlib.crc32(b"resample")])).random_raw(10)
    assert split.drawn_anew(10, 3).tolist() == sorted(int(draw) % 10 for draw in draws)
    assert split.drawn_anew(8, 1).tolist() == [0, 0, 1, 1, 1, 4, 5, 7]  # pinned, or old studies could not go on


def test_every_row_is_drawn_as_often_as_every_other():
    counts = sum(np.bincount(split.drawn_anew(20, seed), minlength=20) for seed in range(1, 2001))
    assert counts.sum() == 40_000 and abs(counts - 2000).max() < 5 * np.sqrt(2000)


def test_a_sample_is_drawn_from_the_labelled_examples_that_are_kept():
    some, drawn = (load(config("mnist5k", labels=100, resample=n)) for n in (0, 4))
    assert len(drawn.train) == 100
    assert {image.tobytes() for image in drawn.train.images} < {image.tobytes() for image in some.train.images}


def test_what_a_source_learns_from_train_is_learnt_before_the_sample_is_drawn():
    seen = []

    def finish(dataset):
        seen.append(rows_of(dataset.train))
        return dataset

    drawn = complete(Source({"train": numbered([0] * 20)}, ("a",), finish), resample=1)
    assert seen == [list(range(20))] and rows_of(drawn.train) == split.drawn_anew(20, 1).tolist()


# -- cross-validation


@pytest.mark.parametrize("folds", [2, 5, 7])
def test_folds_partition_train_and_valid_by_class(folds):
    whole = load(config("digits"))
    every = [load(config("digits", folds=folds, fold=fold)) for fold in range(folds)]
    both = sorted(image.tobytes() for part in (whole.train, whole.valid) for image in part.images)
    assert sorted(image.tobytes() for data in every for image in data.valid.images) == both
    for data in every:
        assert sorted(image.tobytes() for part in (data.train, data.valid) for image in part.images) == both
        assert np.array_equal(data.test.images, whole.test.images)
    counts = np.array([np.bincount(data.valid.labels, minlength=10) for data in every])
    assert np.ptp(counts, axis=0).max() <= 1 and np.ptp(counts.sum(axis=1)) <= 1


def test_the_rule_of_the_folds_by_hand():
    """Each class in the order of its draws, dealt out in turn, the second class where the first one ended."""
    labels = np.array([0, 1, 1, 0, 1, 0, 1], np.int32)
    expected, dealt = {}, 0
    for label in (0, 1):
        rows = np.flatnonzero(labels == label)
        draws = np.random.PCG64(np.random.SeedSequence([7, zlib.crc32(b"folds"), label])).random_raw(len(rows))
        for row in rows[np.argsort(draws)]:
            expected[int(row)], dealt = dealt % 3, dealt + 1
    assert split.parts_of(labels, 3, 7).tolist() == [expected[row] for row in range(7)]


def test_split_seed_cuts_other_folds_and_order_is_kept():
    source = Source({"train": numbered([0, 1] * 20)}, ("a", "b"))
    one, again, other = (complete(source, folds=4, fold=2, seed=seed) for seed in (0, 0, 1))
    assert rows_of(one.valid) == rows_of(again.valid) != rows_of(other.valid)
    assert rows_of(one.train) == sorted(rows_of(one.train)) and rows_of(one.valid) == sorted(rows_of(one.valid))
    assert np.array_equal(one.valid.labels, np.asarray(rows_of(one.valid)) % 2)


def test_a_source_with_its_own_valid_is_cut_anew_and_its_test_stays():
    given, held = numbered([0, 1, 0, 1]), numbered([1])
    given = Split(given.images + 100, given.labels)
    source = Source({"train": numbered([0, 1, 1, 0, 1, 0]), "valid": given, "test": held}, ("a", "b"))
    every = [complete(source, test=0.5, folds=5, fold=fold) for fold in range(5)]
    assert sorted(row for data in every for row in rows_of(data.valid)) == [0, 1, 2, 3, 4, 5, 100, 101, 102, 103]
    assert all(data.test is held and len(data.valid) == 2 and len(data.train) == 8 for data in every)
    assert all(sorted(data.valid.labels) == [0, 1] for data in every)


def test_texts_and_examples_without_labels_are_dealt_out_too():
    texts = Source({"train": Documents(np.array(list("abcdef"), object)), "valid": Documents(np.array(["g"], object))})
    every = [complete(texts, folds=3, fold=fold) for fold in range(3)]
    assert sorted("".join(data.valid.texts) for data in every) != ["", "", ""]
    assert sorted("".join(text for data in every for text in data.valid.texts)) == list("abcdefg")
    assert isinstance(every[0], Dataset) and every[0].train.labels is None


def test_folds_with_few_labels_keep_valid_whole():
    data = load(config("mnist5k", folds=5, fold=4, labels=50, resample=2))
    assert len(data.valid) == 800 and len(data.train) == 50


def test_fewer_examples_than_folds():
    message = refusal(complete, Source({"train": numbered([0, 0, 0])}, ("a",)), folds=4)
    assert message == "data.folds=4: it has 3 examples beside test; accepted: 2 to that, or 0"


# -- labelled examples


def test_labels_seed_draws_other_examples_and_nought_draws_those_it_always_did():
    train = numbered([0, 1] * 50)
    draws = [np.random.PCG64(np.random.SeedSequence([0, zlib.crc32(b"labels"), k])).random_raw(50) for k in (0, 1)]
    always = sorted(int(2 * row + k) for k in (0, 1) for row in np.argsort(draws[k])[:5])
    assert rows_of(split.keep("it", train, 10, 0)) == rows_of(split.keep("it", train, 10, 0, 0)) == always
    kept = {seed: rows_of(split.keep("it", train, 10, 0, seed)) for seed in (0, 1, 2)}
    assert len({tuple(rows) for rows in kept.values()}) == 3
    assert all(np.bincount(np.asarray(rows) % 2).tolist() == [5, 5] for rows in kept.values())
    assert set(kept[1]) < set(rows_of(split.keep("it", train, 20, 0, 1)))


def test_labels_seed_leaves_the_other_splits():
    one, other = (load(config("mnist5k", labels=100, labels_seed=seed)) for seed in (0, 1))
    assert not np.array_equal(one.train.images, other.train.images)
    assert np.bincount(other.train.labels).tolist() == [10] * 10
    for part in ("valid", "test"):
        assert np.array_equal(getattr(one, part).images, getattr(other, part).images)


# -- mistakes


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"folds": 1}, "data.folds=1: "),
        ({"folds": -2}, "data.folds=-2: "),
        ({"fold": 1}, "data.fold=1: "),
        ({"folds": 5, "fold": 5}, "data.fold=5: "),
        ({"folds": 5, "fold": -1}, "data.fold=-1: "),
        ({"folds": 2000}, "data.folds=2000: "),
        ({"resample": -1}, "data.resample=-1: "),
        ({"labels_seed": -1, "labels": 10}, "data.labels_seed=-1: "),
        ({"labels_seed": 1}, "data.labels_seed=1: "),
    ],
)
def test_keys_out_of_range_are_named(keys, told):
    assert refusal(load, config("digits", **keys)).startswith(told)
