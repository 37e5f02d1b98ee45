"""Sparsity: the measures on codes with known answers, truncation in closed form, and the command on hand-made runs."""

import numpy as np
import pytest
from ml_collections import FrozenConfigDict

from aejax.analysis import results, sparsity
from aejax.analysis.sparsity import measures, summary, truncation
from aejax.analysis.sparsity.measures import Tally, hoyer, rank_correlation, treves_rolls
from tests.test_analysis_commands import HandMadeRun, config, execute, workdir  # noqa: F401


def activity(codes, *cuts):
    """The activity of codes [n, units] or [n, places, units], added in blocks that end at ``cuts``."""
    codes = np.asarray(codes, np.float32)
    tally = Tally()
    for block in np.split(codes[:, None] if codes.ndim == 2 else codes, cuts):
        tally.add(block)
    return tally.activity()


def test_the_variance_is_of_the_values_with_their_signs(rng):
    codes = rng.normal(size=(30, 4))
    np.testing.assert_allclose(activity(codes, 7, 20).variance, codes.astype(np.float32).var(axis=0), rtol=1e-5)


@pytest.mark.parametrize("measure", [hoyer, treves_rolls])
def test_measures_are_1_for_one_alone_and_0_for_all_alike(measure):
    assert measure(np.eye(5)) == pytest.approx(np.ones(5))
    assert measure(np.full(7, -0.3)) == pytest.approx(0, abs=1e-12)
    assert measure(np.array([2.0, -2.0, 2.0])) == pytest.approx(0, abs=1e-12)  # by magnitude
    assert np.isnan(measure(np.zeros(4))) and np.isnan(measure(np.ones((1, 1)))).all()
    x = np.random.default_rng(0).normal(size=(3, 20))
    np.testing.assert_allclose(measure(17 * x), measure(x))
    assert np.all((measure(x) > 0) & (measure(x) < 1))
    np.testing.assert_allclose(measure(x.T, axis=0), measure(x))


def test_measures_by_hand():
    r = np.array([3.0, 0, -4, 0])
    assert hoyer(r) == pytest.approx((2 - 7 / 5) / (2 - 1))
    assert treves_rolls(r) == pytest.approx((1 - (7 / 4) ** 2 / (25 / 4)) / (1 - 1 / 4))


def test_lifetime_is_of_units_and_population_of_examples():
    one_unit = np.array([[1.0, 0, 0]] * 4)  # the same unit alone, at every example
    found = activity(one_unit)
    assert found.population_hoyer == pytest.approx([1, 1, 1, 1]) and found.lifetime_hoyer[0] == pytest.approx(0)
    assert np.isnan(found.lifetime_treves_rolls[1:]).all()
    assert found.firing.tolist() == [1, 0, 0] and found.l0.tolist() == [1, 1, 1, 1]
    turned = activity(one_unit.T)  # one example to which all units respond
    assert turned.population_hoyer[0] == pytest.approx(0) and np.isnan(turned.population_hoyer[1:]).all()
    assert turned.lifetime_hoyer == pytest.approx([1, 1, 1, 1]) and turned.lifetime_treves_rolls == pytest.approx(
        [1] * 4
    )
    assert turned.firing == pytest.approx([1 / 3] * 4) and turned.l0.tolist() == [4, 0, 0]


def test_activity_in_blocks_is_that_of_all_codes():
    z = np.random.default_rng(1).normal(size=(11, 6)) + 0.4
    z = np.where(z > 0, z, 0)
    found, whole = activity(z, 3, 4), activity(z)
    for name in ("firing", "variance", "lifetime_hoyer", "lifetime_treves_rolls", "population_hoyer", "l0"):
        np.testing.assert_allclose(getattr(found, name), getattr(whole, name), rtol=1e-6)
    np.testing.assert_allclose(found.lifetime_hoyer, hoyer(z, axis=0), rtol=1e-6)
    np.testing.assert_allclose(found.lifetime_treves_rolls, treves_rolls(z, axis=0), rtol=1e-6)
    np.testing.assert_allclose(found.population_treves_rolls, treves_rolls(z), rtol=1e-6)
    np.testing.assert_allclose(found.variance, z.var(axis=0), rtol=1e-5)
    assert (found.examples, found.zeros) == (11, (z == 0).sum()) and not found.dense
    assert (found.low, found.high) == (0, pytest.approx(z.max())) and activity(z + 1).dense


def test_maps_fire_where_any_place_is_active():
    z = np.zeros((2, 3, 2))  # examples, places, maps
    z[0, :, 0] = 1, 1, 0
    z[1, 2, 1] = 5
    found = activity(z, 1)
    assert found.firing.tolist() == [0.5, 0.5] and found.firing_places == pytest.approx([2 / 6, 1 / 6])
    assert found.l0.tolist() == [2, 1] and found.active_units.tolist() == [1, 1]
    assert found.lifetime_hoyer[1] == pytest.approx(1)  # one of six places
    assert found.lifetime_hoyer[0] == pytest.approx((np.sqrt(6) - 2 / np.sqrt(2)) / (np.sqrt(6) - 1))
    assert found.population_hoyer[1] == pytest.approx(1) and (found.places, found.units, found.zeros) == (3, 2, 9)


def test_histogram_leaves_zeros_out():
    blocks = [np.array([0.0, 1, 2]), np.array([0.0, 0, -2])]
    counts, edges = measures.histogram(blocks, -2, 2, bins=4)
    assert counts.tolist() == [1, 0, 0, 2] and edges.tolist() == [-2, -1, 0, 1, 2]
    counts, edges = measures.histogram([np.full(3, 5.0)], 5, 5, bins=4)
    assert counts.sum() == 3 and edges[0] < 5 < edges[-1]


def test_rank_correlation():
    x = np.array([1.0, 2, 3, 10])
    assert rank_correlation(x, x**3) == pytest.approx(1) and rank_correlation(x, -np.exp(x)) == pytest.approx(-1)
    assert rank_correlation(x, np.array([2.0, 1, 4, 3])) == pytest.approx(1 - 6 * 4 / (4 * 15))
    assert rank_correlation(np.array([1.0, 2, 2, 3]), x) == pytest.approx(4.5 / np.sqrt(4.5 * 5))  # tied: 2.5 each
    assert np.isnan(rank_correlation(x, np.ones(4)))
    assert rank_correlation(np.append(x, np.nan), np.append(x, -5)) == pytest.approx(1)
    assert np.isnan(measures.spread(np.array([np.nan]))["mean"])
    assert measures.spread(np.array([1.0, np.nan, 3]))["quantiles"]["50 %"] == 2


def test_ranks_and_counts():
    assert truncation.ranks(np.array([[1.0, -3, 0, 3]])).tolist() == [[2, 0, 3, 1]]  # of equals the first
    assert truncation.counts(5).tolist() == [1, 2, 3, 4, 5] and truncation.counts(0).tolist() == [1]
    found = truncation.counts(1000)
    assert found[0] == 1 and found[-1] == 1000 and len(found) <= 16 and np.all(np.diff(found) > 0)


@pytest.mark.parametrize("block", [1, 20, 10**6])
def test_tradeoff_of_an_orthonormal_decoder_is_the_energy_left_out(rng, block):
    z, (q, _) = rng.normal(size=(7, 5)), np.linalg.qr(rng.normal(size=(9, 5)))
    x = z @ q.T
    kept = np.arange(6)
    curve = truncation.tradeoff(z, lambda c, which: np.square(x[which] - c @ q.T).sum(1), kept, block)
    energy = np.sort(np.square(z), axis=1)[:, ::-1]
    expected = [energy[:, m:].sum(axis=1).mean() for m in kept]
    np.testing.assert_allclose(curve, expected, atol=1e-12)
    assert np.all(np.diff(curve) < 0) and curve[-1] == pytest.approx(0, abs=1e-12)


def test_how_many_are_enough():
    kept, errors = np.array([1, 2, 4, 8]), np.array([9.0, 1.09, 1.0, 3.0])
    assert truncation.enough(kept, errors) == 2 and truncation.enough(kept, errors, 0.05) == 4


def test_what_truncation_means_nothing_for():
    assert truncation.unsuitable("deterministic", 0) is None
    assert truncation.unsuitable("variational", -2) is None
    assert "smallest is 0.15" in truncation.unsuitable("deterministic", 0.15)
    assert "vector_quantised" in truncation.unsuitable("vector_quantised", -1)


def test_shares_never_round_to_none_or_all():
    told = [summary.percent(x) for x in (0, 0.01, 50, 99.99, 100)]
    assert told == ["0 %", "0.1 %", "50.0 %", "99.9 %", "100 %"]


@pytest.fixture
def undrawn(monkeypatch):
    """The command without its picture, which takes longest."""
    monkeypatch.setattr(sparsity, "draw", lambda *_: None)
    monkeypatch.setattr(results, "save", lambda *_: None)


class MaskedRun(HandMadeRun):
    """In training each code keeps its largest value; what ``sample_codes`` was given is kept."""

    def sample_codes(self, x, seed=0):
        self.__dict__.setdefault("sampled", []).append((seed, x))
        z = self.encode(x)
        return np.where(z == z.max(axis=1, keepdims=True), z, 0)


def squares(run):
    return np.square(run.splits["test"].images.reshape(30, -1) / 255.0)


def named(run, code, **more):
    run.config = FrozenConfigDict({**config().to_dict(), "code": {"name": code}, **more})
    return run


def test_command(execute, workdir):  # noqa: F811
    run = MaskedRun(workdir)
    status, out, _, numbers = execute("sparsity", run=run)
    encoding, trained, lost = numbers["encoding"], numbers["as_trained"], squares(run)
    assert status == 0 and "Masked as in training" in out and "15 of 16" not in out
    assert encoding["zeros_percent"] == pytest.approx(100 / 16) and encoding["l0"]["mean"] == 15
    assert trained["l0"]["quantiles"]["100 %"] == 1 and trained["population"]["hoyer"]["mean"] == pytest.approx(1)
    assert encoding["squared_error"]["mean"] == pytest.approx(lost[:, 15].mean(), rel=1e-4)
    np.testing.assert_allclose(
        encoding["population"]["hoyer"]["mean"], hoyer(np.sqrt(lost) * (np.arange(16) < 15)).mean(), rtol=1e-4
    )
    curve = encoding["tradeoff"]
    assert curve["kept"][-1] == 15 and curve["squared_error"][-1] == pytest.approx(lost[:, 15].mean(), rel=1e-4)
    best = np.sort(lost[:, :15], axis=1)[:, ::-1]
    total = lost.sum(axis=1)
    for kept, error in zip(curve["kept"], curve["squared_error"], strict=True):
        assert error == pytest.approx((total - best[:, :kept].sum(1)).mean(), rel=1e-4)
    assert curve["squared_error_of_none"] == pytest.approx(total.mean(), rel=1e-4)
    assert trained["squared_error"]["mean"] == pytest.approx((total - best[:, 0]).mean(), rel=1e-4)
    assert numbers["tradeoff_examples"] == 30 and encoding["rank_correlation_of_error"]["l0"] is None
    assert (workdir / "analysis/sparsity.png").read_bytes().startswith(b"\x89PNG")


def test_dead_on_train_is_told_from_dead_on_test(execute, workdir, undrawn):  # noqa: F811
    run = MaskedRun(workdir)
    run.splits["train"].images[:, 1, 0] = 0  # pixel 4
    run.splits["test"].images[:, 2, 1:3] = 0  # pixels 9 and 10
    run.splits["test"].images[0, 3, 2] = 0  # pixel 14
    status, out, _, numbers = execute("sparsity", run=run)
    found = numbers["units"]
    assert found["dead_on_train"] == [4, 15] and found["dead_on_test"] == [9, 10, 15]
    assert 4 in found["always_on_test"] and 4 not in found["always_on_train"] and 14 not in found["always_on_test"]
    assert 14 in found["always_on_train"]
    assert "2 never fire on train, 3 on test (1 on both); 11 always fire on both" in out
    assert numbers["encoding"]["firing_percent_sorted"][11:14] == pytest.approx([100, 100 * 29 / 30, 0], rel=1e-4)


def test_blocks_are_of_mixed_classes_and_errors_of_their_own_images(execute, workdir, undrawn, monkeypatch):  # noqa: F811
    run = MaskedRun(workdir)
    test = run.splits["test"]
    by_class = np.argsort(test.labels, kind="stable")
    test.images, test.labels = test.images[by_class], test.labels[by_class]
    monkeypatch.setattr(sparsity, "ROWS", 10)
    status, _, _, numbers = execute("sparsity", run=run)
    seeds = [seed for seed, _ in run.sampled[:3]]
    brightest = [x.reshape(len(x), -1)[:, :3].argmax(axis=1) for _, x in run.sampled[:3]]
    assert seeds == [0, 1, 2] and all(len(set(b.tolist())) == 3 for b in brightest)
    errors = numbers["as_trained"]["squared_error"]
    lost = squares(run)
    assert errors["quantiles"]["100 %"] == pytest.approx((lost.sum(1) - lost[:, :15].max(1)).max(), rel=1e-4)
    assert numbers["encoding"]["l0"]["mean"] == 15 and numbers["block_of_examples"] == 10


def test_tradeoff_is_of_as_many_examples_of_each_class(execute, workdir, undrawn, monkeypatch):  # noqa: F811
    run = named(HandMadeRun(workdir), "deterministic")
    monkeypatch.setattr(sparsity, "MOST", 6)
    _, _, _, numbers = execute("sparsity", run=run)
    first = squares(run)[[0, 1, 2, 3, 4, 5], 15]  # labels are 0, 1, 2, 0, 1, 2, ...
    assert numbers["tradeoff_examples"] == 6
    assert numbers["encoding"]["tradeoff"]["squared_error"][-1] == pytest.approx(first.mean(), rel=1e-4)


def test_words_of_a_tradeoff():
    kept = np.array([1, 2, 4])
    told = summary._of_tradeoff(kept, np.array([9.0, 2.0, 3.0]), 12.0)
    assert "2 are enough to come within 10 % of the best, 2 with 2." in told
    told = summary._of_tradeoff(kept, np.array([2.0, 2.0, 2.0]), 12.0)
    assert "1 is enough to come within 10 % of that." in told
    assert "the code hardly matters" in summary._of_tradeoff(kept, np.array([2.0, 2.0, 2.0]), 2.1)


def test_error_against_active_units_has_a_sign(execute, workdir, undrawn):  # noqa: F811
    run = MaskedRun(workdir)
    images = run.splits["test"].images.reshape(30, 16)
    for i in range(30):
        images[i, 3 : 3 + i % 10] = 0
    images[:, 15] = 20 + 20 * (np.arange(30) % 10)  # the pixel that is lost is brighter where fewer are active
    status, out, _, numbers = execute("sparsity", run=run)
    assert numbers["encoding"]["rank_correlation_of_error"]["l0"] == pytest.approx(-1)
    assert "Error against active units: smaller errors where that is higher (rank correlation -1.00)" in out


def test_a_classifier_has_no_errors(execute, workdir):  # noqa: F811
    run = named(HandMadeRun(workdir), "lifetime", model="classifier")
    run.decode = run.reconstruct = None
    status, out, err, numbers = execute("sparsity", run=run)
    assert status == 0 and not err and "features that its head reads" in out and "Error against" not in out
    assert "squared_error" not in numbers["encoding"] and "as_trained" not in numbers
    assert numbers["units"]["dead_on_test"] == [15]


def test_a_gaussian_code_is_active_by_the_variance_of_its_means(execute, workdir, undrawn):  # noqa: F811
    run = named(HandMadeRun(workdir), "variational")
    z = run.encode
    run.encode = lambda x: z(x) - 0.5 + (np.arange(16) == 15) * 1e-3 * x.reshape(len(x), -1)[:, :1]
    status, out, _, numbers = execute("sparsity", run=run)
    variance = run.encode(run.splits["test"].images).var(axis=0)
    assert numbers["units"]["active_by_variance_of_means"] == np.flatnonzero(variance > 0.01).tolist()
    assert f"{(variance > 0.01).sum()} of 16 units are active" in out and "no exact zeros" in out
    assert numbers["encoding"]["exact_zeros"] is False and numbers["no_tradeoff"] is None


def test_bits_are_not_ranked(execute, workdir):  # noqa: F811
    run = named(HandMadeRun(workdir), "hashing")
    z = run.encode
    run.encode = lambda x: (z(x) > 0.3).astype(np.float32)
    status, out, _, numbers = execute("sparsity", run=run)
    assert status == 0 and "no magnitude to be ranked by" in out and "tradeoff" not in numbers["encoding"]


@pytest.mark.parametrize("code", ["deterministic", "lifetime"])
def test_maps_constant_codes_and_no_labels(execute, workdir, code):  # noqa: F811
    run = named(MaskedRun(workdir, labels=False), code)
    flat, decode = run.encode, run.decode
    run.code_shape = (4, 2, 2)
    run.encode = lambda x: flat(x).reshape(-1, 4, 2, 2)
    run.sample_codes = lambda x, seed: 0 * run.encode(x)
    run.decode = lambda z: decode(z.reshape(len(z), -1))
    status, out, _, numbers = execute("sparsity", run=run)
    assert status == 0 and (numbers["places"], numbers["code_units"]) == (8, 2)
    assert numbers["encoding"]["l0"]["mean"] == 15 and numbers["encoding"]["active_units"]["mean"] == 2
    assert numbers["encoding"]["firing_percent_of_places_sorted"] == pytest.approx([100, 100 * 7 / 8])
    assert "values of 8 places × 2 maps" in out and numbers["units"]["dead_on_test"] == []
    if code == "lifetime":
        assert numbers["as_trained"]["population"]["hoyer"]["mean"] is None and "unknown by Hoyer" in out


def test_refusals(execute, workdir, undrawn):  # noqa: F811
    run = MaskedRun(workdir)
    run.splits["test"].images = run.splits["test"].images[:0]
    status, _, err, _ = execute("sparsity", run=run)
    assert status == 2 and err.count("\n") == 1 and "test split" in err
    run = MaskedRun(workdir)
    run.decode = lambda z: np.full((len(z), 4, 4, 1), np.nan)
    status, _, err, _ = execute("sparsity", run=run)
    assert status == 2 and err.count("\n") == 1 and "not all finite" in err
