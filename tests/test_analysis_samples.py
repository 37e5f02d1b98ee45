"""Samples: densities on known distributions, scores on known sets, copies, and the command."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from ml_collections import FrozenConfigDict

from aejax.analysis import command, known_codes, nearest_images, samples
from aejax.analysis.samples import categories, densities, draws, realism
from tests import test_analysis_commands as commands
from tests.test_analysis_interpolation import CodedRun

execute, workdir = commands.execute, commands.workdir  # fixtures


# --- densities -----------------------------------------------------------------------------------


def named(code, **loss):
    return SimpleNamespace(config=FrozenConfigDict({"code": {"name": code}, "loss": loss}))


def test_a_gaussian_recovers_mean_and_covariance(rng):
    mixing = np.array([[1.0, 0, 0], [0.8, 0.5, 0], [0, -0.3, 0.2]])
    codes = (rng.normal(size=(4000, 3)) @ mixing.T + [1, -2, 3]).astype(np.float32)
    codes = np.hstack([codes[:, :2], np.full((4000, 1), 7, np.float32), codes[:, 2:]])  # a dead unit
    found = densities.fitted(named("deterministic"), codes, codes[:400], 2, 0)
    assert list(found) == ["gaussian", "mixture"]
    drawn = found["gaussian"].draw(20000, rng)
    ridge = densities.RIDGE * codes[:, [0, 1, 3]].var(axis=0).mean()
    np.testing.assert_allclose(drawn.mean(axis=0), codes.mean(axis=0), atol=0.04)
    expected = np.cov(codes.astype(float).T, bias=True) + ridge * np.diag([1, 1, 0, 1])
    np.testing.assert_allclose(np.cov(drawn.T), expected, atol=0.04)
    assert np.all(drawn[:, 2] == 7)
    assert np.array_equal(
        found["gaussian"].draw(5, np.random.default_rng(4)), found["gaussian"].draw(5, np.random.default_rng(4))
    )
    one = densities.gaussians(codes[:, [0, 1, 3]].astype(float), 1)
    np.testing.assert_allclose(one.means_[0], codes[:, [0, 1, 3]].mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(one.covariances_[0], expected[np.ix_([0, 1, 3], [0, 1, 3])], rtol=1e-3, atol=1e-5)


def test_a_prior_is_there_where_training_had_one(rng):
    codes = rng.normal(size=(60, 4)).astype(np.float32)
    having = [named("variational"), named("importance_weighted"), named("deterministic", mmd_imq=1.0)]
    for run in (*having, named("deterministic"), named("deterministic", mmd_rbf=0.0)):
        found = densities.fitted(run, codes, codes, 1, 0)
        assert ("prior" in found) == (run in having)
    drawn = densities.fitted(named("variational"), codes, codes, 1, 0)["prior"].draw(20000, rng)
    np.testing.assert_allclose(drawn.mean(axis=0), 0, atol=0.04)
    np.testing.assert_allclose(np.cov(drawn.T), np.eye(4), atol=0.05)


def test_large_codes_are_fitted_on_their_principal_components(rng, monkeypatch):
    monkeypatch.setattr(densities, "LARGEST", 10)
    monkeypatch.setattr(densities, "PRINCIPAL", 3)
    axes = np.linalg.qr(rng.normal(size=(30, 3)))[0].T
    codes = rng.normal(size=(500, 3)) * [5, 3, 1] @ axes + 2
    space = densities.Space.of(codes)
    assert space.explained == pytest.approx(1) and space.points(codes).shape == (500, 3)
    np.testing.assert_allclose(space.codes(space.points(codes)), codes, atol=1e-8)
    found = densities.fitted(named("deterministic"), codes, codes, 1, 0)
    np.testing.assert_allclose(np.cov(found["gaussian"].draw(20000, rng).T), np.cov(codes.T), atol=0.15)
    assert found["mixture"].facts["dimensions"] == 3


def test_the_number_of_components_is_chosen_on_valid():
    truth = {2: -3.0, 5: -2.0, 10: -2.5, 20: -1.0}
    fits = []

    def fit(k):
        fits.append(k)
        return SimpleNamespace(k=k, score_samples=lambda x: np.full(len(x), truth[k]))

    valid = np.zeros((3, 1))
    k, model, scores = densities.choose(fit, valid, most=1000)
    assert (k, model.k, fits) == (5, 5, [2, 5, 10]) and scores == {2: -3, 5: -2, 10: -2.5}
    assert densities.choose(fit, valid, most=4)[0] == 2
    assert densities.choose(fit, valid, most=1000, components=20)[0] == 20
    points = np.random.default_rng(0).normal(size=(400, 2)) * 0.1 + np.repeat(
        [[0, 0], [3, 3], [0, 3], [3, 0]], 100, axis=0
    )
    k, _, scores = densities.choose(lambda k: densities.gaussians(points, k), points[::2], 10)
    assert scores[5] > scores[2] + 0.5


def test_without_valid_codes_a_tenth_of_train_is_held_out():
    train = np.arange(100)[:, None]
    kept, held = densities.parted(train, train[:0], 0)
    assert len(kept) == 90 and len(held) == 10 and set(np.vstack([kept, held]).ravel()) == set(range(100))
    kept, held = densities.parted(train, train[:7], 0)
    assert np.array_equal(kept, train) and len(held) == 7


def test_what_is_told_of_valid_is_of_valid(rng):
    train, valid = rng.normal(size=(300, 2)), rng.normal(size=(300, 2)) + 1
    found = densities.fitted(named("deterministic"), train, valid, 0, 0)
    from_train = densities.fitted(named("deterministic"), train, train, 0, 0)
    for name in found:
        assert found[name].facts["valid_nats"] < from_train[name].facts["valid_nats"] - 0.5
    bits = [(rng.random((300, 4)) < share).astype(np.float32) for share in (0.1, 0.5)]
    found = densities.fitted(named("hashing"), *bits, 0, 0)
    from_train = densities.fitted(named("hashing"), bits[0], bits[0], 0, 0)
    for name in found:
        assert found[name].facts["valid_nats"] < from_train[name].facts["valid_nats"] - 0.5


def test_constant_codes_have_no_density():
    with pytest.raises(command.DoesNotApply, match="the same"):
        densities.fitted(named("deterministic"), np.ones((9, 2)), np.ones((3, 2)), 0, 0)


def test_values_outside_of_the_range_are_counted_and_clipped():
    codes, percent = known_codes.clipped(np.array([[-1.0, 0.5, 2, -1e-9]]), (0.0, 1.0))
    assert codes.tolist() == [[0, 0.5, 1, 0]] and percent == 50


# --- categories ----------------------------------------------------------------------------------


def test_independent_bits_have_the_rates_of_train(rng):
    bits = (rng.random((3000, 4)) < [0.1, 0.5, 0.9, 0]).astype(int)
    one = categories.fit(bits, 2, 1)
    np.testing.assert_allclose(one.chances[0, :, 1], (bits.sum(axis=0) + 0.5) / 3001)
    np.testing.assert_allclose(one.draw(20000, rng).mean(axis=0), bits.mean(axis=0), atol=0.015)
    p = one.chances[0, :, 1]
    by_hand = np.log(np.where(bits[:5] == 1, p, 1 - p)).sum(axis=1)
    np.testing.assert_allclose(one.score_samples(bits[:5]), by_hand)


def test_a_mixture_of_bits_finds_the_groups_and_is_a_distribution(rng):
    rates = np.array([[0.95, 0.95, 0.05, 0.05, 0.5], [0.05, 0.05, 0.95, 0.95, 0.5]])
    groups = rng.choice(2, 4000, p=[0.3, 0.7])
    bits = (rng.random((4000, 5)) < rates[groups]).astype(int)
    two = categories.fit(bits, 2, 2)
    order = np.argsort(two.weights)
    np.testing.assert_allclose(two.weights[order], [0.3, 0.7], atol=0.03)
    np.testing.assert_allclose(two.chances[order][:, :, 1], rates, atol=0.05)
    every = np.array(list(itertools.product((0, 1), repeat=5)))
    assert np.exp(two.score_samples(every)).sum() == pytest.approx(1)
    drawn = two.draw(20000, rng)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(bits.T), atol=0.02)
    assert two.score_samples(bits).mean() > categories.fit(bits, 2, 1).score_samples(bits).mean() + 0.5


def test_categories_have_as_many_values_as_there_are(rng):
    indices = rng.choice(3, (2000, 2), p=[0.2, 0.3, 0.5])
    one = categories.fit(indices, 4, 1)
    np.testing.assert_allclose(one.chances.sum(axis=2), 1)
    drawn = one.draw(20000, rng)
    np.testing.assert_allclose(np.bincount(drawn[:, 1], minlength=4) / 20000, [0.2, 0.3, 0.5, 0], atol=0.03)
    every = np.array(list(itertools.product(range(4), repeat=2)))
    assert np.exp(one.score_samples(every)).sum() == pytest.approx(1)


# --- scores --------------------------------------------------------------------------------------


def test_precision_and_recall_of_known_sets(rng):
    x = rng.normal(size=(300, 5)).astype(np.float32)
    assert nearest_images.precision_and_recall(x, x) == (1, 1)
    assert nearest_images.precision_and_recall(x, x + 100) == (0, 0)
    near, far = rng.normal(size=(200, 2)), rng.normal(size=(200, 2)) + 50
    both = np.concatenate([near, far])
    precision, recall = nearest_images.precision_and_recall(both, rng.normal(size=(200, 2)))
    assert precision > 0.9 and 0.4 < recall <= 0.5  # one of two modes: all right, half is missing
    precision, recall = nearest_images.precision_and_recall(near, np.concatenate([rng.normal(size=(200, 2)), far]))
    assert 0.4 < precision <= 0.5 and recall > 0.9


def test_balls_reach_to_the_kth_other_neighbour():
    line = np.array([[0.0], [1], [3], [7]])
    assert nearest_images.radii(line, 1).tolist() == [1, 1, 2, 4]
    assert nearest_images.radii(line, 2).tolist() == [3, 2, 3, 6]
    assert nearest_images.radii(line, 9).tolist() == [7, 6, 4, 7]
    assert nearest_images.covered(np.array([[-1.0], [-1.1], [11.0]]), line, np.array([1.0, 1, 2, 4]), block=2) == 2 / 3


def test_copies_are_told_from_what_is_new(rng):
    train, test = rng.normal(size=(2, 200, 10)).astype(np.float32)
    again = test + 0.1 * rng.normal(size=(200, 10)).astype(np.float32)
    away = {name: nearest_images.nearest(x, train)[1] for name, x in (("test", test), ("reconstructions", again))}
    fresh = {"test": test, "reconstructions": again}
    rows, distances = nearest_images.nearest(train, train)
    assert np.array_equal(rows, np.arange(200))
    copied = realism.compare(train, distances, fresh, away)
    assert copied["copies"] and copied["over_test"] < 1e-6 and copied["closer_than_1_percent_of_test_percent"] == 100
    drawn = rng.normal(size=(200, 10)).astype(np.float32)
    new = realism.compare(drawn, nearest_images.nearest(drawn, train)[1], fresh, away)
    assert not new["copies"] and new["over_test"] == pytest.approx(1, abs=0.1)
    assert new["closer_than_1_percent_of_test_percent"] < 5
    assert new["against_test"]["precision_percent"] > 80
    p, r, f = (new["against_test"][f"{key}_percent"] for key in ("precision", "recall", "f"))
    assert f == pytest.approx(2 * p * r / (p + r))


def test_classes_of_the_nearest_are_counted():
    labels = np.array([0, 0, 1, 1])
    assert realism.tallied(labels, np.array([0, 1, 0, 2]), ["a", "b", "c"]) == ({"a": 75, "b": 25, "c": 0}, 25)
    assert realism.tallied(labels, np.array([2]), ["a", "b"])[1] == 50


def test_noise_by_hand():
    inputs, means = np.zeros((2, 1, 1, 4)), np.full((2, 1, 1, 4), 0.5)
    drawn = np.array([[0.0, 1, 0, 1], [0.5, 0.5, 0.5, 1.5]]).reshape(2, 1, 1, 4)
    assert draws.noise(inputs, means, drawn) == {"squared_noise": 1, "squared_error": 1, "ratio": 1}
    assert "as much as" in draws.told({"squared_noise": 1, "squared_error": 1, "ratio": 1}, "image")
    assert "more than" in draws.told({"squared_noise": 2, "squared_error": 1, "ratio": 2}, "image")


# --- command -------------------------------------------------------------------------------------


def test_command(execute, workdir):
    run = CodedRun(workdir)
    status, out, _, numbers = execute("samples", "--images=6", "--components=2", run=run)
    assert status == 0 and list(numbers["densities"]) == ["gaussian", "mixture"] and numbers["compared"] == 30
    scores = numbers["densities"]["gaussian"]
    assert len(scores["nearest_train_indices"]) == 6 and scores["outside_percent"] > 0
    assert sum(scores["nearest_classes_percent"].values()) == pytest.approx(100, abs=1e-3)
    assert numbers["densities"]["mixture"]["components"] == 2 and numbers["draws"] is None
    assert "(given)" in out and "lie outside of the code's range" in out
    again = execute("samples", "--images=6", "--components=2", run=run)[3]
    other = execute("samples", "--images=6", "--components=2", "--seed=1", run=run)[3]
    assert again == numbers and other["densities"] != numbers["densities"]
    assert (workdir / "analysis/samples.png").read_bytes().startswith(b"\x89PNG")


def test_distances_and_classes_belong_to_what_they_are_named_for(execute, workdir):
    run = CodedRun(workdir)
    numbers = execute("samples", "--images=30", "--components=1", run=run)[3]
    train, test = (run.splits[name].images.reshape(-1, 16) / 255.0 for name in ("train", "test"))
    again = test * (np.arange(16) < 15)  # without the unit that never fires
    for name, x in (("test", test), ("reconstructions", again)):
        away = np.linalg.norm(train[None] - x[:, None], axis=2).min(axis=1)
        assert numbers["distance_to_train"][name] == pytest.approx(away.mean(), rel=1e-4)
        over = numbers["densities"]["gaussian"]["to_train"] / away.mean()
        assert numbers["densities"]["gaussian"][f"over_{name}"] == pytest.approx(over, rel=1e-4)
    for scores in numbers["densities"].values():
        classes = run.splits["train"].labels[scores["nearest_train_indices"]]
        expected = 100 * np.bincount(classes, minlength=3) / 30
        assert list(scores["nearest_classes_percent"].values()) == pytest.approx(expected.tolist(), rel=1e-4)


def test_a_decoder_that_knows_the_training_images_copies(execute, workdir):
    run = CodedRun(workdir)
    train = run.splits["train"].images.reshape(60, 16).astype(np.float32) / 255
    run.decode = lambda z: train[(np.abs(z.reshape(len(z), 16)).sum(axis=1) * 1e4).astype(int) % 60].reshape(
        -1, 4, 4, 1
    )
    _, out, _, numbers = execute("samples", "--images=3", "--components=1", run=run)
    scores = numbers["densities"]["gaussian"]
    assert scores["copies"] and scores["over_test"] < 1e-6 and "Copies of training images come from" in out


@pytest.mark.parametrize(
    "code, there", [("hashing", ["independent", "mixture"]), ("variational", ["prior", "gaussian", "mixture"])]
)
def test_command_by_code(execute, workdir, code, there):
    run = CodedRun(workdir, code)
    means = run.encode
    run.encode = (lambda x: (means(x) > 0.2).astype(np.float32)) if code == "hashing" else means
    status, _, _, numbers = execute("samples", "--images=3", run=run)
    assert status == 0 and list(numbers["densities"]) == there
    assert code != "hashing" or numbers["densities"]["mixture"]["outside_percent"] == 0


def test_entries_are_drawn_from_the_codebook(workdir, rng):
    run = CodedRun(workdir, "vector_quantised")
    vectors = rng.normal(size=(3, 2))
    run.variables["codebook"] = {"code": {"vectors": vectors}}
    train = vectors[rng.choice(3, (80, 4), p=[0.1, 0.1, 0.8])].reshape(80, 8)
    found = densities.fitted(run, train, train[:0], 1, 0)
    assert list(found) == ["prior", "independent", "mixture"]
    for name, share in (("prior", 1 / 3), ("independent", 0.8)):
        drawn = found[name].draw(2000, rng).reshape(-1, 2)
        third = (drawn == vectors[2]).all(axis=1)
        assert third.mean() == pytest.approx(share, abs=0.06)
        assert np.all((drawn[:, None] == vectors[None]).all(axis=2).any(axis=1))


def test_bits_are_drawn_from_their_means(workdir):
    run = CodedRun(workdir, "straight_through")
    images = run.splits["train"].images
    run.encode = lambda x: np.full((len(x), 16), 0.25, np.float32)
    bits = known_codes.known(run, images, posterior=True)
    assert set(np.unique(bits)) == {0, 1} and bits.mean() == pytest.approx(0.25, abs=0.05)
    assert np.all(known_codes.known(run, images) == 0.25)


def test_command_draws_from_the_decoder(execute, workdir):
    run = CodedRun(workdir)
    run.config = FrozenConfigDict({**run.config.to_dict(), "loss": {"likelihood": "gaussian"}})
    noise = np.random.default_rng(0)
    run.draw = lambda z, seed=0: run.decode(z) + 0.5 * noise.normal(size=(len(z), 4, 4, 1)).astype(np.float32)
    status, out, _, numbers = execute("samples", "--images=3", "--components=1", run=run)
    assert status == 0 and numbers["draws"]["squared_noise"] == pytest.approx(16 / 4, rel=0.2)
    lost = np.square(run.splits["test"].images[:, 3, 3, 0] / 255).mean()
    assert numbers["draws"]["squared_error"] == pytest.approx(lost, rel=1e-3)
    assert "more than the inputs do" in out and (workdir / "analysis/samples_draws.png").is_file()


@pytest.mark.parametrize("shape", ((1, 4, 4), (1, 16, 1), (1, 1, 16)))
def test_other_examples_are_shown(execute, workdir, shape):
    run = CodedRun(workdir, labels=False, valid=0).reshaped(*shape)
    run.words = tuple(f"word{i}" for i in range(16)) if shape == (1, 1, 16) else ()
    status, out, _, numbers = execute("samples", "--images=3", run=run)
    assert status == 0 and "nearest_classes_percent" not in numbers["densities"]["gaussian"]
    assert numbers["chosen_on"] == "a tenth of train"
    assert ("Drawn: word" in out) == bool(run.words)


def test_a_multinomial_draws_texts_of_the_mean_length(execute, workdir, monkeypatch):
    run = CodedRun(workdir).reshaped(1, 1, 16)
    run.config = FrozenConfigDict({**run.config.to_dict(), "loss": {"likelihood": "multinomial"}})
    decode = run.decode
    run.decode = lambda z: decode(z) / np.maximum(decode(z).sum(axis=(1, 2, 3), keepdims=True), 1e-6)
    found = known_codes.decoded(run, run.encode(run.splits["test"].images), 7.0)
    np.testing.assert_allclose(found.sum(axis=(1, 2, 3)), 7, rtol=1e-5)
    totals = np.arange(30.0)
    np.testing.assert_allclose(
        known_codes.decoded(run, run.encode(run.splits["test"].images), totals).sum((1, 2, 3)), totals, rtol=1e-5
    )
    assert execute("samples", "--components=1", run=run)[0] == 0


def test_summary_ranks_and_warns():
    def density(title, f, copies=False, close=1.0, shift=12.0):
        shares = {"precision_percent": f, "recall_percent": f, "f_percent": f}
        return {"title": title, "against_test": shares, "against_reconstructions": shares, "over_test": 1.0,
                "over_reconstructions": 1.1, "outside_percent": 0.0, "copies": copies,
                "closer_than_1_percent_of_test_percent": close, "class_shift_percent": shift,
                "nearest_classes_percent": {"ant": 60.0, "bee": 40.0}}  # fmt: skip

    shares = density("", 90)["against_test"]
    references = dict.fromkeys(("images_against_test", "against_test", "against_reconstructions"), shares)
    references["class_shift_percent"] = 10.0
    numbers = {"densities": {"a": density("one", 40), "b": density("two", 60), "c": density("three", 59)},
               "references": references, "noise_percent": 2, "draws": None, "components_given": False}  # fmt: skip
    told = "\n".join(samples.summarise(numbers, "image"))
    assert "(60 %): two, within noise of three." in told and "none copies" in told and "outside" not in told
    assert "classes" not in told and "closer" not in told
    numbers["densities"]["a"] = density("one", 40, close=45, shift=22)
    told = "\n".join(samples.summarise(numbers, "image"))
    assert "45 % of them are closer to train" in told and "single ones may (above)" in told
    assert "22 % would have to change, 10 % of real codes'; the most frequent is ant (60 %)" in told
    numbers["references"]["class_shift_percent"] = 15.0
    assert "classes" not in "\n".join(samples.summarise(numbers, "image"))
    numbers["densities"]["a"] = density("one", 40, copies=True)
    assert "come from one." in "\n".join(samples.summarise(numbers, "image"))


@pytest.mark.parametrize("argument", ("--images=0", "--components=31", "--components=-1", "--seed=-1"))
def test_mistakes_are_refused(execute, workdir, argument):
    status, _, err, numbers = execute("samples", argument, run=CodedRun(workdir))
    assert status == 2 and err.count("\n") == 1 and argument.split("=")[0].lstrip("-") in err and numbers is None
