"""Semantic hashing: bits, thresholds, Gini purity, retrieval with ties, the classic hashes, and the command."""

from itertools import pairwise, permutations
from types import SimpleNamespace

import numpy as np
import pytest
from ml_collections import FrozenConfigDict
from sklearn.decomposition import PCA
from sklearn.metrics import average_precision_score

from aejax.analysis import hashing, results
from aejax.analysis.hashing import bits, figures, hashes, purity, ranking, retrieval, summary
from tests.test_analysis_commands import HandMadeRun, config, execute, workdir  # noqa: F401


@pytest.fixture
def undrawn(monkeypatch):
    """Figures are made, but not rendered, which takes longest."""
    monkeypatch.setattr(results, "save", lambda *_: None)


# Two sets of equal codes, and one that is alone.
FIVE = np.array([[0, 0, 0], [0, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 1], [1, 1, 1]], bool)
CLASSES = np.array([0, 0, 1, 1, 1, 0])


def random_bits(rng, n, b):
    return rng.random((n, b)) < 0.5


@pytest.mark.parametrize("b", [1, 7, 8, 30, 64, 65, 200])
def test_packed_distances_are_those_of_bits(rng, b, monkeypatch):
    x, y = random_bits(rng, 13, b), random_bits(rng, 9, b)
    naive = (x[:, None] != y).sum(axis=2)
    assert bits.packed(x).shape == (13, 8 * -(-b // 64))
    assert np.array_equal(bits.hamming(bits.packed(x), bits.packed(y)), naive)
    monkeypatch.setattr(bits, "BLOCK", 20)  # two rows
    blocks = list(bits.hamming_blocks(bits.packed(x), bits.packed(y)))
    assert [rows.start for rows, _ in blocks] == [0, 2, 4, 6, 8, 10, 12]
    assert np.array_equal(np.concatenate([d for _, d in blocks]), naive)


def test_distances_of_many_bits_do_not_overflow():
    a = np.stack([np.zeros(3000, bool), np.ones(3000, bool)])
    assert bits.hamming(bits.packed(a), bits.packed(a)).tolist() == [[0, 3000], [3000, 0]]


def test_how_bits_are_used_by_hand():
    used = bits.describe(np.array([[0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 1, 1], [0, 1, 0, 0]], bool))
    assert used["share_of_ones"].tolist() == [0, 0.5, 0.5, 0.75] and used["dead_bits"] == 1
    quarter = 0.25 * 2 + 0.75 * np.log2(4 / 3)
    assert used["mean_bit_entropy"] == pytest.approx((0 + 1 + 1 + quarter) / 4)
    assert used["mean_absolute_correlation"] == pytest.approx((1 + 2 / np.sqrt(12) * 2) / 3)
    assert used["distinct_codes"] == 3 and used["code_entropy_bits"] == pytest.approx(1.5)
    assert used["most_code_entropy_bits"] == 2  # four examples tell no more
    assert np.isnan(bits.mean_correlation(np.ones((4, 3), bool)))
    assert bits.describe(np.zeros((5, 3), bool))["code_entropy_bits"] == 0


def test_mean_correlation_is_that_of_numpy(rng):
    x = random_bits(rng, 50, 6)
    r = np.abs(np.corrcoef(x.T.astype(float)))
    dead = np.hstack([x, np.ones((50, 1), bool)])
    assert bits.mean_correlation(dead) == pytest.approx(r[np.triu_indices(6, 1)].mean(), rel=1e-4)


def test_purity_of_equal_codes_by_hand():
    found = purity.of_sets(FIVE, CLASSES)  # sizes 3 (0, 0, 1), 2 (1, 1), 1
    assert found["sets"] == 3 and found["singletons_share"] == pytest.approx(1 / 6)
    assert found["purity"] == pytest.approx((3 * 5 / 9 + 2 + 1) / 6)
    assert found["purity_without_singletons"] == pytest.approx((3 * 5 / 9 + 2) / 5)
    alone = purity.of_sets(np.eye(6, dtype=bool), CLASSES)
    assert alone["purity"] == alone["chance"] == 1 and np.isnan(alone["purity_without_singletons"])


def test_purity_within_a_radius_by_hand():
    zero, one, *_, three = purity.of_balls(FIVE, CLASSES)
    # Without themselves: (0, 1), (0, 1), (1), (0, 0), (1), nobody.
    assert zero["empty_share"] == pytest.approx(1 / 6) and zero["mean_size"] == pytest.approx((2 + 2 + 1 + 2 + 1) / 6)
    assert zero["purity"] == pytest.approx(np.mean([0.5, 0.5, 1, 1, 1]))
    assert zero["standard_error"] == pytest.approx(np.std([0.5, 0.5, 1, 1, 1]) / np.sqrt(5))
    # 4 others: two of 0 with one of 1 less each; 1 for those of class 1.
    assert one["purity"] == pytest.approx(np.mean([(1 + 9) / 16, (1 + 9) / 16, 0.5, 0.5, 0.5])) and one["radius"] == 1
    assert three["empty_share"] == 0 and three["mean_size"] == 5
    assert np.isnan(purity.of_balls(np.eye(6, dtype=bool), CLASSES, radii=(1,))[0]["purity"])


def test_balls_are_those_of_all_pairs(rng, monkeypatch):
    x, y = random_bits(rng, 40, 6), rng.integers(3, size=40)
    distances = (x[:, None] != x).sum(axis=2)
    monkeypatch.setattr(bits, "BLOCK", 100)
    for ball in purity.of_balls(x, y, (0, 2)):
        near = (distances <= ball["radius"]) & ~np.eye(40, dtype=bool)
        shares = [np.bincount(y[i], minlength=3) / i.sum() for i in near if i.any()]
        assert ball["purity"] == pytest.approx(np.square(shares).sum(axis=1).mean())
        assert ball["empty_share"] == pytest.approx(np.mean(~near.any(axis=1)))


def test_chance_of_purity_is_the_mean_over_permuted_labels():
    orders = [CLASSES[list(p)] for p in permutations(range(6))]
    sets = [purity.of_sets(FIVE, y) for y in orders]
    balls = [purity.of_balls(FIVE, y, (0, 1)) for y in orders]
    for key in ("", "_without_singletons"):
        assert np.mean([s["purity" + key] for s in sets]) == pytest.approx(sets[0]["chance" + key])
    for r in (0, 1):
        assert np.mean([b[r]["purity"] for b in balls]) == pytest.approx(balls[0][r]["chance"])


def one_query(distances, hits):
    """The counts of one query whose database lies at these distances, of which these are hits."""
    distances, hits = np.asarray(distances), np.asarray(hits, bool)
    sizes, found = (np.bincount(distances[mask], minlength=8) for mask in (hits | True, hits))
    return sizes[None], found[None]


def average_precision(hits, top):
    """Of hits in order, by its definition."""
    places = [i for i, hit in enumerate(hits[:top], start=1) if hit]
    return np.mean([sum(hits[:i]) / i for i in places]) if places else 0.0


@pytest.mark.parametrize("top", [0, 1, 2, 3, 4, 5, 6, 99])
@pytest.mark.parametrize(
    "distances, hits",
    [([0, 1, 2, 3, 4, 5], [1, 0, 0, 1, 1, 0]),  # no ties
     ([2, 2, 2, 2, 2, 2], [1, 0, 0, 1, 1, 0]),  # nothing but ties
     ([0, 0, 1, 1, 1, 3], [1, 0, 0, 1, 1, 0]),
     ([1, 1, 1, 4, 4, 5], [0, 0, 0, 1, 0, 1]),
     ([1, 1, 1, 5, 5, 5], [1, 1, 1, 0, 0, 0]),
     ([1, 1, 2, 2, 2, 5], [0, 0, 0, 0, 0, 0])],
)  # fmt: skip
def test_average_precision_is_the_mean_over_all_orders_of_ties(distances, hits, top):
    orders = [p for p in permutations(range(6)) if all(distances[i] <= distances[j] for i, j in pairwise(p))]
    expected = np.mean([average_precision([hits[i] for i in p], top or 6) for p in orders])
    counts = one_query(distances, hits)
    assert ranking.average_precision(*counts, top)[0] == pytest.approx(expected, abs=1e-12)
    at = (1, 2, 3, 5, 6)
    precisions = np.mean([[np.take(hits, p)[:k].mean() for k in at] for p in orders], axis=0)
    np.testing.assert_allclose(ranking.precision_at(*counts, at)[0], precisions)


def test_average_precision_without_ties_is_that_of_scikit_learn(rng):
    hits = rng.random(50) < 0.3
    sizes = np.ones((1, 50), int)
    expected = average_precision_score(hits, -np.arange(50))
    assert ranking.average_precision(sizes, hits[None].astype(int))[0] == pytest.approx(expected)


def test_average_precision_of_large_ties_is_exact():
    n, r, before = 50_000, 5_000, 7_000
    sizes, hits = np.array([[before, n]]), np.array([[100, r]])
    t = np.arange(1, n + 1)
    terms = r / n * (100 + 1 + (t - 1) * (r - 1) / (n - 1)) / (before + t)
    added = ranking.block_precision(np.array(before), np.array(100), np.array(n), np.array(r))
    assert added == pytest.approx(terms.sum(), rel=1e-10)
    assert ranking.average_precision(sizes, hits)[0] < 0.1


def test_precision_within_a_radius_by_hand():
    sizes, hits = np.array([[1, 0, 3, 5], [0, 0, 0, 9], [0, 2, 0, 7]]), np.array([[1, 0, 1, 5], [0, 0, 0, 9], [0] * 4])
    precision, near = ranking.precision_within(sizes, hits)
    assert precision.tolist() == [0.5, 0, 0] and near.tolist() == [4, 0, 2]
    assert ranking.precision_within(sizes, hits, 0)[0].tolist() == [1, 0, 0]


def test_counts_at_every_distance(rng, monkeypatch):
    monkeypatch.setattr(bits, "BLOCK", 100)
    (x, a), (q, b) = ((random_bits(rng, n, 5), rng.integers(3, size=n)) for n in (40, 9))
    sizes, hits = ranking.tally(bits.packed(x), a, bits.packed(q), b, 5)
    distances = (q[:, None] != x).sum(axis=2)
    for d in range(6):
        assert np.array_equal(sizes[:, d], (distances == d).sum(axis=1))
        assert np.array_equal(hits[:, d], ((distances == d) & (a == b[:, None])).sum(axis=1))


def test_the_class_as_code_is_perfect_and_random_bits_are_near_chance(rng, monkeypatch):
    y = [rng.integers(4, size=n) for n in (400, 200)]
    perfect = retrieval.retrieve(np.eye(4, dtype=bool)[y[0]], y[0], np.eye(4, dtype=bool)[y[1]], y[1], at=(1, 50))
    assert np.allclose(perfect.average_precision, 1) and np.allclose(perfect.precision, 1)
    near = retrieval.by_chance(*y, at=(1, 50))
    x = [random_bits(rng, len(labels), 20) for labels in y]
    monkeypatch.setattr(retrieval, "BLOCK", 21 * 7)  # seven queries
    drawn = retrieval.retrieve(x[0], y[0], x[1], y[1], at=(1, 50))
    assert drawn.average_precision.shape == (200,) and drawn.precision.shape == (200, 2)
    assert drawn.average_precision.mean() == pytest.approx(near.average_precision.mean(), abs=0.02)
    np.testing.assert_allclose(near.precision.mean(axis=0), np.mean([np.mean(y[0] == c) for c in y[1]]))
    assert 0.25 < near.average_precision.mean() < 0.28  # above the share: the first places count in every term


def test_euclidean_retrieval_by_hand():
    x = np.array([[0.0], [1.0], [3.0], [10.0]])
    found = retrieval.retrieve_nearest(x, np.array([0, 1, 0, 1]), np.array([[0.9], [9.0]]), np.array([0, 1]), at=(1, 3))
    np.testing.assert_allclose(found.average_precision, [(1 / 2 + 2 / 3) / 2, (1 + 2 / 3) / 2])  # 1 0 3 10; 10 3 1 0
    np.testing.assert_allclose(found.precision, [[0, 2 / 3], [1, 2 / 3]])
    first = retrieval.retrieve_nearest(x, np.array([0, 1, 0, 1]), np.array([[0.9]]), np.array([0]), at=(1,), top=2)
    assert first.average_precision[0] == pytest.approx(1 / 2)


def test_scores_of_named_codes(rng):
    y = [np.arange(n) % 3 for n in (60, 30)]
    codes = {"class": [np.eye(3, dtype=bool)[i] for i in y], "noise": [random_bits(rng, len(i), 8) for i in y]}
    scores = retrieval.score_all(codes, *y, queries=np.arange(6), at=(1, 10))
    assert scores["class"]["bits"] == 3 and scores["class"]["train"]["examples"] == 60
    found = scores["class"]["retrieval"]
    assert found["mean_average_precision"] == 1 and found["precision_at"] == {"1": 1, "10": 1}
    assert found["precision_within_radius_2"] == pytest.approx(1 / 3)  # any two classes differ in two bits
    assert scores["class"]["sets"]["purity"] == 1 and scores["noise"]["sets"]["purity"] < 1
    assert scores["noise"]["retrieval"]["mean_average_precision"] < 0.6
    assert scores["noise"]["sets"] == purity.of_sets(codes["noise"][1], y[1])  # of test
    few = retrieval.score(*codes["noise"], *y, balls=np.arange(9), top=4)
    expected = retrieval.retrieve(codes["noise"][0], y[0], codes["noise"][1], y[1], top=4).average_precision
    assert np.array_equal(few[1].average_precision, expected)
    assert few[0]["balls"] == purity.of_balls(codes["noise"][1][:9], y[1][:9])
    assert set(retrieval.score_all(codes)["class"]) == {"bits", "test", "train"}
    assert retrieval.score(*codes["noise"], *y)[1].at == (1, 10)  # as deep as there is a database
    a, b = np.array([0.5, 0.7, 0.9]), np.array([0.4, 0.7, 0.5])
    assert retrieval.paired_difference(a, b) == pytest.approx((0.5 / 3, np.std([0.1, 0, 0.4]) / np.sqrt(3)))


def test_thresholds(rng):
    z = rng.normal(size=(101, 4)).astype(np.float32) * [1, 2, 3, 0] + 5
    on = hashes.median(z)(z)
    assert on.sum(axis=0).tolist() == [50, 50, 50, 0]  # the constant unit is dead
    assert np.array_equal(hashes.median(z)(z[:7] + 1), z[:7] + 1 > np.median(z, axis=0))  # train's, not their own
    small = np.array([[-1, 0, 0.4, 0.5, 0.6, 1]])
    assert hashes.half(small)(small).tolist() == [[False, False, False, False, True, True]]
    assert hashes.zero(small)(small).tolist() == [[False, False, True, True, True, True]]


def test_the_rule_suits_the_codes(rng):
    z = rng.normal(size=(200, 10))
    assert hashes.fitting_rule((z > 0) * 1.0) == "half"
    assert hashes.fitting_rule(1 / (1 + np.exp(-z))) == "half"
    assert hashes.fitting_rule(np.maximum(z, 0)) == "zero" and hashes.fitting_rule(z * (z > 1)) == "zero"
    assert hashes.fitting_rule(z * (np.abs(z) > 1)) == "zero"  # sparse, of both signs
    assert hashes.fitting_rule(z) == "median"
    z[:, :3] = 0
    assert hashes.fitting_rule(z) == "median"  # dead units say nothing of the others
    assert hashes.fitting_rule(np.zeros((5, 2))) == "half"


def stretched(rng, n=300, d=12):
    return (rng.normal(size=(n, d)) * np.geomspace(3, 0.1, d) + 7) @ np.linalg.qr(rng.normal(size=(d, d)))[0]


def test_principal_components_are_centred_and_orthonormal(rng):
    x = stretched(rng)
    hash_ = hashes.pca_sign(x, 5)
    np.testing.assert_allclose(hash_.directions.T @ hash_.directions, np.eye(5), atol=1e-6)
    np.testing.assert_allclose(hash_.centre, x.mean(axis=0))
    scores = PCA(5, svd_solver="full").fit_transform(x)
    same = (hash_(x) == (scores > 0)).mean(axis=0)
    assert np.all(np.maximum(same, 1 - same) > 0.99)  # the sign of a component is free
    assert hashes.pca_sign(x, 40)(x).shape == (300, 12)
    flat = np.hstack([x, np.ones((300, 5))])
    assert hashes.pca_sign(flat, 17).directions.shape == (17, 12)  # no bits of rounding errors


def test_itq_turns_and_loses_less_each_time(rng):
    x = stretched(rng)
    v = (x - x.mean(axis=0)) @ hashes.pca_sign(x, 6).directions
    rotation, errors = hashes.itq_rotation(v)
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(6), atol=1e-6)
    assert len(errors) == 51 and np.all(np.diff(errors) <= 1e-9 * errors[0]) and errors[-1] < 0.99 * errors[0]
    turned = v @ rotation
    assert errors[-1] == pytest.approx(np.square(np.sign(turned) - turned).sum())
    made = hashes.itq(x, 6)
    np.testing.assert_allclose(made.directions.T @ made.directions, np.eye(6), atol=1e-6)
    assert np.array_equal(made(x), turned > 0)


def test_itq_finds_the_corners(rng):
    corners = rng.choice([-1.0, 1.0], size=(500, 3)) + 0.05 * rng.normal(size=(500, 3))
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    rotation, errors = hashes.itq_rotation(corners @ turn, iterations=50)
    assert errors[-1] / 1500 < 0.01  # every one on its own corner
    assert np.allclose(np.sort(np.abs(turn @ rotation).ravel())[-3:], 1, atol=0.05)


def test_random_projections_are_fixed_by_their_seed(rng):
    x = stretched(rng)
    a, b = hashes.lsh(x, 40), hashes.lsh(x, 40)
    assert np.array_equal(a.directions, b.directions) and a(x).shape == (300, 40)  # more bits than inputs
    assert not np.array_equal(a.directions, hashes.lsh(x, 40, seed=1).directions)
    np.testing.assert_allclose(a.centre, x.mean(axis=0))


def test_hashed_in_blocks_and_fitted_on_few(rng, monkeypatch):
    monkeypatch.setattr(hashing, "ROWS", 7)
    x = rng.normal(size=(20, 4))
    assert np.array_equal(hashing.hashed(x, lambda rows: 2 * rows, lambda z: z > 1), 2 * x > 1)
    run = SimpleNamespace(code_shape=(4,), encode=lambda rows: rows)
    dataset = SimpleNamespace(train=SimpleNamespace(images=x), test=SimpleNamespace(images=x[:5] + 1))
    train, test, how = hashing.bits_of_codes(run, dataset, "auto")
    assert how["rule"] == "median" and how["fitted_on"] == 20
    assert np.array_equal(train, x > np.median(x, axis=0)) and np.array_equal(test, x[:5] + 1 > np.median(x, axis=0))
    monkeypatch.setattr(hashing, "FIT", 2)
    train, test, how = hashing.bits_of_codes(run, dataset, "median")
    assert how["fitted_on"] == 2 and np.array_equal(train, x > (x[0] + x[-1]) / 2)


def test_mean_of_draws():
    draws = [{"a": {"share": np.array([s]), "x": x, "r": 3}, "b": [b]} for s, x, b in ((0.1, 1.0, np.nan), (0.5, 2, 4))]
    assert hashing.mean_of_draws(draws) == {"a": {"share": [0.1], "x": 1.5, "r": 3}, "b": [4.0], "draws": 2}
    assert hashing.mean_of_draws(draws[:1]) == draws[0]


def test_every_hash_is_fitted_on_train_alone(rng, monkeypatch):
    seen = []

    def fit(x, count):
        seen.append((x.tolist(), count))
        return lambda rows: rows > 0

    monkeypatch.setattr(hashing, "BASELINES", {"one": (fit,), "two": (fit, fit)})
    train, test = rng.normal(size=(20, 6)), rng.normal(size=(9, 6))
    y = {"train_labels": np.arange(20) % 2, "test_labels": np.arange(9) % 2}
    numbers, scores = hashing.compare((train > 0, test > 0), (train, test), **y)
    assert seen == [(train.tolist(), 6)] * 3
    assert numbers["one"]["retrieval"] == numbers["code"]["retrieval"]
    assert numbers["two"]["mean_average_precision_std_over_draws"] == 0
    np.testing.assert_array_equal(scores["two"].average_precision, scores["code"].average_precision)
    gap = hashing.differences(numbers, scores)["two"]
    assert gap["mean_average_precision"] == gap["standard_error"] == 0
    numbers["two"]["mean_average_precision_std_over_draws"] = 0.2
    assert hashing.differences(numbers, scores)["two"]["standard_error"] == pytest.approx(0.2 / np.sqrt(2))


def test_what_is_retrieved_first():
    train = np.array([[0, 0], [1, 1], [0, 0], [0, 1], [0, 0]], bool)
    found, distances = hashing.retrieved(train, np.array([[1, 1], [0, 0]], bool), 3)
    assert found[0, 0] == 1 and found[0, 1] == 3 and found[0, 2] in (0, 2, 4) and distances[0].tolist() == [0, 1, 2]
    order = np.random.default_rng(0).permutation(5)
    assert found[1].tolist() == [i for i in order if i in (0, 2, 4)] and distances[1].tolist() == [0, 0, 0]


def test_hashing_command(execute, workdir):  # noqa: F811
    status, out, _, numbers = execute("hashing")
    code = numbers["codes"]["code"]
    # Above ½ is the pixel that tells the class, and no other.
    assert status == 0 and numbers["threshold"]["rule"] == "half" and code["bits"] == 16
    assert code["test"]["dead_bits"] == 13 and "13 of 16 are always the same (13 on train)" in out
    assert code["sets"]["purity"] == 1 and code["sets"]["sets"] == 3
    assert code["retrieval"]["mean_average_precision"] == pytest.approx(1)
    assert code["retrieval"]["precision_at"] == {"1": 1, "10": 1}
    assert numbers["examples"] == {"train": 60, "test": 30, "queries": 30}
    assert numbers["codes"]["LSH"]["draws"] == hashing.DRAWS and numbers["codes"]["ITQ"]["bits"] == 16
    gap = numbers["code_minus"]["LSH"]
    theirs = numbers["codes"]["LSH"]["retrieval"]["mean_average_precision"]
    assert gap["mean_average_precision"] == pytest.approx(1 - theirs, abs=1e-5)
    assert gap["standard_error"] > 0 and "above the" in out and "mAP: 1.000" in out
    assert numbers["chance"]["precision_at"]["1"] == pytest.approx(1 / 3)
    assert (workdir / "analysis/hashing_queries.png").read_bytes().startswith(b"\x89PNG")
    assert len(numbers["shown"]) == 10 and all(s["classes"][0] == s["classes"][-1] for s in numbers["shown"])
    assert numbers["shown"][0]["distances"] == [0] * 10


def test_queries_thresholds_and_depth_are_what_flags_say(execute, undrawn):  # noqa: F811
    status, out, _, numbers = execute("hashing", "--threshold=median", "--queries=6", "--top=5")
    assert status == 0 and numbers["examples"]["queries"] == 6 and "mAP among the first 5" in out
    assert numbers["codes"]["code"]["test"]["dead_bits"] < 13 and "train median" in out
    first = [numbers["codes"]["code"]["retrieval"], numbers["inputs"], numbers["chance"]]
    whole = execute("hashing", "--threshold=median", "--queries=6")[3]
    whole = [whole["codes"]["code"]["retrieval"], whole["inputs"], whole["chance"]]
    few, all_ = ([s["mean_average_precision"] for s in scores] for scores in (first, whole))
    assert few[0] > all_[0] + 0.1 and few[1] == all_[1] == 1 and few[2] > all_[2] + 0.05
    assert execute("hashing", "--queries=0")[3]["examples"]["queries"] == 30
    status, out, _, numbers = execute("hashing", "--threshold=zero")
    assert numbers["codes"]["code"]["test"]["distinct_codes"] == 1 and "16 of 16 are always the same" in out
    chance = numbers["chance"]["mean_average_precision"]
    assert numbers["codes"]["code"]["retrieval"]["mean_average_precision"] == pytest.approx(chance)
    assert "--threshold=median, the same units tell" in out
    for flag, told in (("--threshold=sign", "accepted are auto, half, zero, median"), ("--queries=-1", "--queries")):
        status, _, err, _ = execute("hashing", flag)
        assert status == 2 and err.count("\n") == 1 and told in err


def test_without_labels_bits_alone(execute, workdir):  # noqa: F811
    status, out, _, numbers = execute("hashing", run=HandMadeRun(workdir, labels=False, valid=0))
    assert status == 0 and "Bits, balance and distinct codes alone: purity or retrieval needs labels" in out
    assert numbers["codes"]["code"]["test"]["dead_bits"] == 13 and "sets" not in numbers["codes"]["code"]
    assert "mAP" not in out and numbers["shown"][0]["classes"] is None and "code_minus" not in numbers
    run = HandMadeRun(workdir)
    for split in run.splits.values():
        split.labels = np.zeros_like(split.labels)
    assert "needs two classes or more" in execute("hashing", run=run)[1]


def test_a_classifier_other_shapes_and_maps(execute, workdir, undrawn):  # noqa: F811
    run = HandMadeRun(workdir)
    run.config = FrozenConfigDict({**config().to_dict(), "model": "classifier"})
    run.variables["params"].pop("decoder")
    assert execute("hashing", run=run)[0] == 0
    for shape in ((1, 4, 4), (1, 16, 1), (1, 1, 16)):
        assert execute("hashing", run=HandMadeRun(workdir).reshaped(*shape))[0] == 0
    run = HandMadeRun(workdir)
    flat = run.encode
    run.code_shape, run.encode = (4, 4, 300), lambda x: np.repeat(flat(x).reshape(-1, 4, 4, 1), 300, axis=3)
    status, out, _, numbers = execute("hashing", run=run)
    assert status == 0 and "maps 4×4×300, max-pooled over 2×2" in out and numbers["codes"]["code"]["bits"] == 1200
    assert "150 bytes" in out and numbers["codes"]["ITQ"]["bits"] == 16 and "At fewer bits: PCA-sign, 16" in out


def test_what_cannot_be_hashed(execute, workdir):  # noqa: F811
    run = HandMadeRun(workdir)
    run.encode = lambda x: np.full((len(x), 16), np.nan)
    status, _, err, _ = execute("hashing", run=run)
    assert status == 2 and "not all finite" in err
    run = HandMadeRun(workdir)
    run.splits["test"].images = run.splits["test"].images[:0]
    status, _, err, _ = execute("hashing", run=run)
    assert status == 2 and "test split" in err and err.count("\n") == 1


def test_words_follow_the_numbers():
    assert summary.verdict(0.1, 0.04) == "above" and summary.verdict(-0.1, 0.04) == "below"
    assert summary.verdict(0.1, 0.05) == summary.verdict(-0.01, 0.05) == "within noise of"


def test_right_and_wrong_are_framed_apart():
    classes = [["ant", "ant", "bee", "ant"], ["bee", "ant", "bee", "bee"]]
    picture = figures.draw_queries(np.zeros((2, 4, 5, 5, 1)), np.ones((2, 3), int), classes, "queries")
    axes = picture.axes[0]
    widths = [patch.get_linewidth() for patch in axes.patches]
    assert [w > 1 for w in widths] == [False, True, False, True, False, False] and len(axes.lines) == 2  # two crosses
    assert [label.get_text() for label in axes.get_yticklabels()] == ["ant", "bee"]
    plain = figures.draw_queries(np.zeros((2, 4, 5, 5, 1)), np.ones((2, 3), int), None, "queries").axes[0]
    assert not plain.patches and not plain.lines
