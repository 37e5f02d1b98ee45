"""Scores of codes against values by hand, closed forms and scikit-learn's own; tables and durations as text."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from aejax.analysis import tables
from aejax.analysis.compare import scores


def test_nearest_neighbour_by_hand():
    reference, of = np.array([[0.0, 0], [1, 0], [5, 5]]), np.array([0, 1, 2])
    codes = np.array([[0.1, 0], [0.9, 0], [4, 4], [0.6, 0]])
    assert scores.nearest_right(reference, of, codes, np.array([0, 1, 2, 0])).tolist() == [True, True, True, False]


def test_silhouettes_by_hand():
    codes, labels = np.array([[0.0], [2.0], [10.0], [14.0]]), np.array([0, 0, 1, 1])
    # a = 2, b = (10 + 14) / 2 = 12 for the first; a = 2, b = 10; a = 4, b = 9; a = 4, b = 13
    assert scores.silhouettes(codes, labels) == pytest.approx([10 / 12, 8 / 10, 5 / 9, 9 / 13])
    assert scores.silhouettes(codes, labels).mean() == pytest.approx(silhouette_score(codes, labels))
    assert scores.silhouettes(codes, np.zeros(4)).tolist() == [0] * 4  # one class
    assert scores.silhouettes(codes, np.arange(4)).tolist() == [0] * 4  # all alone
    assert scores.silhouettes(np.zeros((4, 2)), labels).tolist() == [0] * 4  # constant codes


def test_gaussian_samples_have_the_mean_and_the_covariance_of_the_codes(rng):
    codes = (rng.normal(size=(50, 3)) @ np.array([[2, 1, 0], [0, 1, 0], [0, 0, 0]]) + [1, -2, 7]).astype(np.float32)
    drawn = scores.gaussian_samples(codes, 40_000)
    assert drawn.shape == (40_000, 3) and drawn.dtype == np.float32
    np.testing.assert_allclose(drawn.mean(axis=0), codes.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(codes.T), atol=0.15)
    assert np.ptp(drawn[:, 2]) < 1e-5  # a unit that never changes
    assert np.array_equal(drawn[:5], scores.gaussian_samples(codes, 40_000)[:5])
    assert np.isfinite(scores.gaussian_samples(codes[:1], 4)).all()


def test_paths_and_how_even_they_are():
    lines = scores.paths(np.zeros((1, 2)), np.array([[4.0, 8.0]]), 4)
    assert lines.tolist() == [[[0, 0], [1, 2], [2, 4], [3, 6], [4, 8]]]
    maps = scores.paths(np.zeros((2, 1, 2, 1), np.float32), np.ones((2, 1, 2, 1), np.float32), 2)
    assert maps.shape == (2, 3, 1, 2, 1) and maps.dtype == np.float32 and np.all(maps[:, 1] == 0.5)
    even = np.linspace(0, 1, 6)[None, :, None] * np.ones(7)
    jump = np.array([0.0, 0, 0, 1, 1, 1])[None, :, None]
    assert scores.unevenness(even) == pytest.approx([1])
    assert scores.unevenness(jump) == pytest.approx([5])  # five steps, one of which is all the way
    assert scores.unevenness(np.array([[[0.0, 0], [3, 4], [3, 5]]])) == pytest.approx([5 / 3])
    assert np.isnan(scores.unevenness(np.ones((1, 4, 2)))).all()


@pytest.mark.parametrize("block", (1, 2, 100))
def test_units_that_are_active(block):
    codes = np.array([[0, 1, 0.05, 0], [0, 1, -0.05, 2], [0, 1, 0.05, 0]])
    given = {"encode": lambda x: codes[x], "images": np.arange(3), "block": block}
    active, firing = scores.units(gaussian=False, **given)
    assert active == 2 and firing == pytest.approx((2 + 3 + 2) / 3)  # the first is dead, the second always the same
    assert scores.units(gaussian=True, **given)[0] == 1  # a variance of .0022 is none
    maps = np.zeros((3, 2, 2, 2))
    maps[1, 0, 1, 0] = 5
    active, firing = scores.units(lambda x: maps[x], np.arange(3), False, block)
    assert active == 1 and firing == pytest.approx(1 / 3)


def test_paired_differences_by_hand():
    a, b = np.array([3.0, 5, 4, np.nan]), np.array([1.0, 1, 1, 1])
    mean, error, n = scores.paired(a, b)
    assert (mean, n) == (3, 3) and error == pytest.approx(1 / np.sqrt(3))  # of 2, 4, 3
    assert scores.paired(a, a)[0] == 0
    assert np.isnan(scores.paired(a[:1], b[:1])[1]) and scores.paired(a[:1], b[:1])[0] == 2
    assert np.isnan(scores.paired(a[3:], b[3:])[0])
    rng = np.random.default_rng(0)
    common = rng.normal(size=400)
    noisy, plain = common + 0.01 * rng.normal(size=400), common
    assert scores.paired(noisy, plain)[1] < 0.002 < 0.04 < scores.standard_error(plain)  # what is common falls away


@pytest.mark.parametrize(
    "value, told",
    [(None, "—"), (float("nan"), "—"), (float("inf"), "∞"), (True, "yes"), (12345, "12,345"), (-1234.56, "-1,235"),
     (0.123456, "0.1235"), (3.0, "3"), (0.0, "0"), (2.5e-7, "2.5×10⁻⁷"), (np.float64(1.5), "1.5"), ([], "none"),
     ([1000, "a"], "1,000, a"), (3e20, "3×10²⁰"), ("x", "x")],
)  # fmt: skip
def test_numbers_for_people(value, told):
    assert tables.told(value) == told


@pytest.mark.parametrize(
    "seconds, told",
    [(0.25, "0.25 s"), (0, "0 s"), (9.4, "9 s"), (59.6, "1 min 0 s"), (98, "1 min 38 s"), (3599.7, "1 h 0 min"),
     (7500, "2 h 5 min"), (90000 * 60, "1,500 h 0 min")],
)  # fmt: skip
def test_durations(seconds, told):
    assert tables.duration(seconds) == told


def test_tables_as_text():
    rows = [["", "a", "long"], ["error", "1", "22"], ["x|y", "333", "4"]]
    assert tables.aligned(rows) == ["         a  long", "error    1    22", "x|y    333     4"]
    assert tables.markdown(rows).splitlines()[1:] == [
        "| --- | ---: | ---: |",
        "| error | 1 | 22 |",
        r"| x\|y | 333 | 4 |",
    ]
    assert tables.comma_separated([["a,b", None, 1.5]]) == '"a,b",,1.5\n'
