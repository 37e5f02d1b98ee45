"""Nearest neighbours beside every distance in NumPy, ties, votes, and what neighbours say of classes."""

import numpy as np
import pytest

from aejax.analysis import nearest, progress
from aejax.analysis.latents import separation


def by_hand(reference, queries, k):
    square = np.square(queries[:, None].astype(np.float64) - reference[None]).sum(axis=-1)
    order = np.argsort(square, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(square, order, axis=1)


@pytest.mark.parametrize("m, n, k", [(500, 40, 1), (500, 40, 7), (20, 5, 20), (1, 3, 1)])
@pytest.mark.parametrize("offset", [0, 300])
def test_nearest_are_those_of_all_distances(monkeypatch, m, n, k, offset):
    rng = np.random.default_rng(m + k)
    reference, queries = (rng.normal(offset, 1, (i, 6)).astype(np.float32) for i in (m, n))
    monkeypatch.setattr(nearest, "DISTANCES", 3000)  # in blocks of a few queries, the last of them smaller
    index, square = nearest.nearest(reference, queries, k)
    expected, squares = by_hand(reference, queries, k)
    assert np.array_equal(index, expected)
    np.testing.assert_allclose(square, squares, rtol=1e-4)


def test_float32_is_enough_for_points_in_general_position(monkeypatch):
    monkeypatch.setattr(nearest, "_among_all", pytest.fail)
    rng = np.random.default_rng(0)
    reference, queries = (rng.normal(20, 1, (n, 6)).astype(np.float32) for n in (400, 20))
    assert np.array_equal(nearest.nearest(reference, queries, 5)[0], by_hand(reference, queries, 5)[0])


def test_a_wrong_candidate_does_not_survive(monkeypatch):
    """Distances that float32 cannot tell apart at this scale: two far clouds, within which points lie close."""
    rng = np.random.default_rng(0)
    clouds = np.where(np.arange(400)[:, None] % 2, 1e4, -1e4)
    reference = (clouds + rng.normal(size=(400, 5))).astype(np.float32)
    queries = (clouds[:30] + rng.normal(size=(30, 5))).astype(np.float32)
    monkeypatch.setattr(nearest, "SPARE", 2)
    monkeypatch.setattr(nearest, "DISTANCES", 4000)
    assert np.array_equal(nearest.nearest(reference, queries, 3)[0], by_hand(reference, queries, 3)[0])


def test_of_equally_near_ones_the_lowest_index_is_first():
    reference = np.array([[2.0, 0], [0, 1], [1, 0], [0, -1], [0, 0], [0, 0]], np.float32)
    index, square = nearest.nearest(reference, np.zeros((1, 2), np.float32), 6)
    assert index.tolist() == [[4, 5, 1, 2, 3, 0]] and square.tolist() == [[0, 0, 1, 1, 1, 4]]


def test_bits_are_in_the_order_of_their_hamming_distance_then_of_train(monkeypatch):
    monkeypatch.setattr(nearest, "DISTANCES", 5000)
    rng = np.random.default_rng(0)
    reference, queries = (rng.integers(0, 2, (n, 8)).astype(np.float32) for n in (700, 50))
    index, square = nearest.nearest(reference, queries, 60)
    hamming = (queries[:, None] != reference[None]).sum(axis=-1)
    assert np.array_equal(index, np.argsort(hamming, axis=1, kind="stable")[:, :60])
    assert np.array_equal(square, np.take_along_axis(hamming, index, axis=1))


def test_dead_codes_are_in_the_order_of_train():
    zeros = np.zeros((300, 4), np.float32)
    index, square = nearest.nearest(zeros, zeros[:3], 5)
    assert index.tolist() == [[0, 1, 2, 3, 4]] * 3 and not square.any()


def test_cosine_forgets_lengths_and_knows_zeros():
    reference = np.array([[0, 0], [0.1, 0.2], [5, 0], [-3, 0], [0, 9]], np.float32)
    index, square = nearest.nearest(reference, np.array([[1, 0], [0, 0]], np.float32), 5, "cosine")
    assert index[0].tolist() == [2, 1, 0, 4, 3]  # cosines 1, .45, 0 for none, 0, -1
    np.testing.assert_allclose(square[0], [0, 2 - 2 / np.sqrt(5), 2, 2, 4], atol=1e-6)
    assert index[1].tolist() == [0, 1, 2, 3, 4] and square[1, 0] == 0  # zeros are like zeros alone
    np.testing.assert_allclose(square[1, 1:], 2, rtol=1e-6)


def test_among_themselves_leaves_out_each_itself():
    points = np.array([[0.0], [1], [3], [3.5]])
    assert nearest.among_themselves(points, 2).tolist() == [[1, 2], [0, 2], [3, 1], [2, 1]]
    same = nearest.among_themselves(np.zeros((5, 2)), 2)
    assert same.tolist() == [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1]]


def test_votes():
    assert nearest.vote(np.array([[3, 1, 1], [2, 0, 1], [0, 2, 2]])).tolist() == [1, 2, 2]
    assert nearest.vote(np.array([[1, 0, 0, 1], [0, 2, 2, 0]])).tolist() == [1, 0]  # a tie: the nearest
    assert nearest.vote(np.array([[4], [0]])).tolist() == [4, 0]


def test_progress_is_told_where_there_is_no_terminal(capsys):
    assert list(progress.over(range(3), "steps", seconds=0)) == [0, 1, 2]
    assert capsys.readouterr().err.splitlines()[-1] == "steps: 2 of 3"
    assert list(progress.over(range(3), "steps")) == [0, 1, 2] and not capsys.readouterr().err


def test_shares_and_overlap_by_hand():
    labels = np.array([0, 0, 1, 2])
    neighbours = np.array([[1, 2], [0, 3], [0, 1], [2, 1]])
    shares = separation.class_shares(labels, neighbours, 4)
    np.testing.assert_allclose(shares[:3], [[0.5, 0.25, 0.25, 0], [1, 0, 0, 0], [0.5, 0.5, 0, 0]])
    assert np.isnan(shares[3]).all()
    overlaps = separation.overlap(shares)
    assert overlaps[0, 1] == overlaps[1, 0] == 0.625
    assert separation.overlapping_pairs(overlaps) == [(0, 1, 0.625), (0, 2, 0.375), (1, 2, 0.25)]
    assert separation.overlapping_pairs(np.eye(3)) == []


def blobs(distance, classes=3, size=40, d=5, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), size)
    return (rng.normal(size=(len(labels), d)) + distance * np.eye(classes, d)[labels]).astype(np.float32), labels


def test_scores_have_their_ends_at_perfect_and_at_random_codes():
    names = ["ant", "bee", "cow"]
    apart = separation.describe(*blobs(100), names)
    assert apart["silhouette"] > 0.95 and apart["own_class_neighbours_percent"] == 100 and apart["neighbours"] == 10
    assert apart["most_overlapping"] == [] and np.array_equal(apart["overlap_percent"], 100 * np.eye(3))
    mixed = separation.describe(*blobs(0, size=300), names)
    assert abs(mixed["silhouette"]) < 0.02 and mixed["own_class_neighbours_percent"] == pytest.approx(100 / 3, abs=2)
    assert all(pair["overlap_percent"] == pytest.approx(100 / 3, abs=3) for pair in mixed["most_overlapping"])


def test_silhouette_by_hand():
    points, labels = np.array([[0.0], [2], [10], [12]]), np.array([0, 0, 1, 1])
    told = separation.describe(points, labels, ["a", "b"])
    assert told["silhouette"] == pytest.approx(((11 - 2) / 11 + (9 - 2) / 9) / 2)
    alone = separation.describe(points, np.zeros(4, int), ["a"])
    assert np.isnan(alone["silhouette"]) and alone["own_class_neighbours_percent"] == 100


def test_equal_codes_favour_no_class():
    labels = np.repeat(np.arange(2), 200)  # sorted, as data often are
    told = separation.describe(np.zeros((400, 2)), labels, ["a", "b"])
    assert told["most_overlapping"][0]["overlap_percent"] == pytest.approx(50, abs=25)
    assert np.diagonal(told["overlap_percent"]).min() > 5
