"""log p(x) by importance sampling: on linear Gaussian models, whose log p(x) is known, and by hand."""

import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import FrozenConfigDict
from scipy import stats

import aejax
from aejax import codes, log_likelihood, model, parts, schema
from aejax.analysis import bounds, command, likelihood
from aejax.data.identity import identity
from aejax.errors import UserError
from aejax.run import Run
from tests import configurations
from tests.test_analysis_commands import HandMadeRun

SHAPE, STD = (2, 3, 1), 0.7
W = np.array([[1.0, 0.5, 0, -0.3, 0, 0.2], [-0.5, 1.0, 0.4, 0, 0.3, 0]], np.float32)  # [size, d]; orthogonal rows
B = np.linspace(-0.2, 0.4, 6).astype(np.float32)

importance_samples = jax.jit(log_likelihood.importance_samples, static_argnums=0, static_argnames=("samples", "chunk"))
init = jax.jit(model.init, static_argnums=(0, 1))


class Linear:
    """``z ~ N(0, I)``, ``x|z ~ N(zW + b, σ²I)``, with the exact posterior as q, or one shifted and too wide."""

    def __init__(self, exact=True, **changes):
        base = {"code.size": 2, "encoder.widths": (), "decoder.widths": (), "loss.likelihood": "gaussian"}
        base["data.binarise"] = "none"
        self.config = FrozenConfigDict(configurations.load("vae", {**base, "loss.std": STD, **changes}))
        self.net = model.build(self.config, SHAPE)
        self.covariance = 1 / (1 + np.diag(W @ W.T) / STD**2)
        to_mean = (W * self.covariance[:, None] / STD**2).T
        self.shift, self.stretch = (0.0, 1.0) if exact else (0.3, 1.3)
        bias = np.concatenate([self.shift - B @ to_mean, np.log(self.stretch * np.sqrt(self.covariance))])
        kernel = np.hstack([to_mean, np.zeros((6, 2))])
        self.variables = {"params": {"encoder": {"layers_0": self.layer(kernel, bias)},
                                     "decoder": {"layers_0": self.layer(W, B)}}}  # fmt: skip
        rng = np.random.default_rng(0)
        x = rng.normal(size=(40, 2)) @ W + B + STD * rng.normal(size=(40, 6))
        self.x = x.reshape(-1, *SHAPE).astype(np.float32)
        self.truth = stats.multivariate_normal(B, W.T @ W + STD**2 * np.eye(6)).logpdf(x)
        # KL(q ‖ posterior) of diagonal Gaussians: what the evidence lower bound lacks of log p(x)
        t = self.stretch**2
        self.gap = 0.5 * np.sum(self.shift**2 / self.covariance + t - 1 - np.log(t))

    def layer(self, kernel, bias):
        return {"kernel": jnp.asarray(kernel, jnp.float32), "bias": jnp.asarray(bias, jnp.float32)}

    def samples(self, samples, rows=slice(None), **given):
        x = jnp.asarray(self.x[rows])
        found = importance_samples(self.net, self.variables, x, identity(x), samples=samples, **given)
        return log_likelihood.Samples(*map(np.asarray, found))


@pytest.fixture(scope="module")
def wide():
    linear = Linear(exact=False)
    return linear, linear.samples(5000)


def test_with_the_exact_posterior_every_weight_is_p_of_x():
    linear = Linear()
    weight = linear.samples(7).log_weight
    assert weight.shape == (7, 40)
    np.testing.assert_allclose(weight, np.tile(linear.truth, (7, 1)), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(log_likelihood.effective_samples(weight), 7, rtol=1e-5)
    for k in (1, 2, 7):
        np.testing.assert_allclose(log_likelihood.bound(weight, k), linear.truth, rtol=1e-4, atol=1e-4)


def test_the_estimate_is_log_p_within_its_error(wide):
    linear, drawn = wide
    log_p = log_likelihood.bound(drawn.log_weight, 5000)
    variance = log_likelihood.monte_carlo_variance(drawn.log_weight)
    assert np.all(variance < 0.02**2) and np.all(np.abs(log_p - linear.truth) < 5 * np.sqrt(variance))
    error = np.sqrt(variance.sum()) / len(variance)  # different images have different noise
    assert abs(np.mean(log_p - linear.truth)) < 4 * error
    assert np.std((log_p - linear.truth) / np.sqrt(variance)) == pytest.approx(1, abs=0.4)


def test_the_bound_rises_from_the_elbo_to_log_p(wide):
    linear, drawn = wide
    means = [log_likelihood.bound(drawn.log_weight, k).mean() for k in bounds.levels(5000)]
    assert np.all(np.diff(means) > 0)
    assert means[0] == pytest.approx(linear.truth.mean() - linear.gap, abs=0.02)
    assert means[-1] == pytest.approx(linear.truth.mean(), abs=0.01)
    assert drawn.log_conditional.mean() < means[0] + 10  # a density of x given its code, not a weight
    assert not np.allclose(drawn.log_conditional, drawn.log_weight, atol=0.1)


def test_neither_chunks_nor_other_images_nor_k_change_a_sample():
    linear = Linear(exact=False)
    whole = linear.samples(30)
    for given in ({"chunk": 1}, {"chunk": 7}, {"chunk": 64}):
        for a, b in zip(whole, linear.samples(30, **given), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(linear.samples(11).log_weight, whole.log_weight[:11], rtol=1e-5, atol=1e-5)
    some = linear.samples(30, [5, 2]).log_weight
    np.testing.assert_allclose(some, whole.log_weight[:, [5, 2]], rtol=1e-5, atol=1e-5)
    assert not np.allclose(linear.samples(30, seed=1).log_weight, whole.log_weight, atol=0.01)
    assert len(np.unique(whole.log_weight.round(4))) > 1000  # every sample of every image has noise of its own


def test_squared_error_is_a_gaussian_of_variance_a_half():
    one = Linear(exact=False, **{"loss.likelihood": "squared_error"}).samples(3)
    other = Linear(exact=False, **{"loss.std": np.sqrt(0.5)}).samples(3)
    np.testing.assert_allclose(one.log_conditional, other.log_conditional, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(one.log_weight, other.log_weight, rtol=1e-4, atol=1e-4)


def test_maps_have_one_code_an_image():
    config = FrozenConfigDict(configurations.load("conv_vae", {
        "encoder.name": "allconv", "encoder.widths": (4,), "decoder.name": "allconv", "decoder.widths": (4,),
        "code.size": 3}))  # fmt: skip
    net = model.build(config, (8, 8, 1))
    variables = init(net, 0)
    x = jnp.asarray(np.random.default_rng(0).integers(0, 2, (4, 8, 8, 1)), jnp.float32)
    mean, log_std = jax.jit(lambda v, x: net.apply(v, x, method="posterior"))(variables, x)
    assert mean.ndim == 4 and mean.shape[-1] == 3
    drawn = importance_samples(net, variables, x, identity(x), samples=2000)
    ratio = np.asarray(drawn.log_weight - drawn.log_conditional)  # −KL on average
    kl = bounds.unit_kl(mean, log_std)
    assert kl.shape == (4, 3)
    np.testing.assert_array_less(np.abs(ratio.mean(0) + kl.sum(1)), 5 * ratio.std(0) / np.sqrt(2000) + 1e-4)


def test_bounds_by_hand():
    w = np.log(np.array([[1.0, 4], [3, 4], [5, 1], [7, 1], [100, 100]]))
    np.testing.assert_allclose(log_likelihood.bound(w, 2), [np.log([2, 6]).mean(), np.log([4, 1]).mean()])
    np.testing.assert_allclose(log_likelihood.bound(w[:4], 4), np.log([4, 2.5]))
    np.testing.assert_allclose(log_likelihood.bound(w - 1e4, 1), w.mean(0) - 1e4)
    for k in (0, 6):
        with pytest.raises(ValueError, match="of 5 samples"):
            log_likelihood.bound(w, k)


def test_effective_samples_and_their_noise(rng):
    w = np.log(np.array([[1.0, 1, 2], [1, 1e-30, 1]])) - 900
    np.testing.assert_allclose(log_likelihood.effective_samples(w), [2, 1, 9 / 5])
    np.testing.assert_allclose(log_likelihood.monte_carlo_variance(w), [0, 1, 1 / 9], atol=1e-12)  # s² / (K mean²)
    assert np.isnan(log_likelihood.monte_carlo_variance(w[:1])).all()
    weights = rng.normal(scale=0.5, size=(400, 3000))
    estimates = log_likelihood.bound(weights, 400)
    variance = log_likelihood.monte_carlo_variance(weights).mean()
    assert variance == pytest.approx(estimates.var(), rel=0.1)
    assert estimates.mean() - 0.125 == pytest.approx(-variance / 2, abs=3e-3)  # the mean of exp(n/2) is exp(1/8)


def test_rate_by_unit_in_closed_form(rng):
    mean, log_std = rng.normal(size=(5, 3)), 0.5 * rng.normal(size=(5, 3))
    z = mean + np.exp(log_std) * rng.normal(size=(50_000, 5, 3))
    ratio = stats.norm.logpdf(z, mean, np.exp(log_std)) - stats.norm.logpdf(z)
    np.testing.assert_allclose(bounds.unit_kl(mean, log_std), ratio.mean(0), atol=5 * ratio.std() / np.sqrt(50_000))
    maps = [np.broadcast_to(a[:, None, None], (5, 2, 4, 3)) for a in (mean, log_std)]
    np.testing.assert_allclose(bounds.unit_kl(*maps), 8 * bounds.unit_kl(mean, log_std))
    assert bounds.unit_kl(np.zeros((1, 2)), np.zeros((1, 2))).tolist() == [[0, 0]]


def test_active_units_are_those_of_the_training_s_figure(rng):
    mean = rng.normal(size=(50, 4)) * np.sqrt([0.5, 0.02, 0.005, 0]) + [0, 3, 3, 3]
    spread = bounds.mean_variance(mean)
    np.testing.assert_allclose(spread, mean.var(0))
    logged = codes.variational.active_latents(jnp.asarray(mean, jnp.float32), jnp.ones(50))
    assert int(logged[0]) == (spread > codes.variational.ACTIVE).sum() == 2
    assert bounds.mean_variance(mean.reshape(25, 2, 1, 4)) == pytest.approx(spread)


def test_levels_and_subset():
    assert bounds.levels(1) == [1] and bounds.levels(5) == [1, 5] and bounds.levels(1000) == [1, 5, 50, 500, 1000]
    labels = np.repeat([2, 0, 1], [20, 60, 20])
    rows = likelihood.subset(labels, 100, 50)
    assert np.all(np.diff(rows) > 0) and np.bincount(labels[rows]).tolist() == [30, 10, 10]  # in proportion
    assert likelihood.subset(None, 10, 0).tolist() == likelihood.subset(labels[:10], 10, 99).tolist() == [*range(10)]
    assert likelihood.subset(None, 9, 3).tolist() == [0, 4, 8]


@pytest.mark.parametrize(
    "name, values, kind, told",
    [("bernoulli", [0.0, 1], "probability", "0 or 1"), ("bernoulli", [0.0, 0.5], "score", "no log-likelihood"),
     ("poisson", [0.0, 7], "probability", "counts"), ("poisson", [0.2, 7], "score", "minus a loss"),
     ("multinomial", [3.0, 2], "probability", "in a given order"), ("gaussian", [0.0, 1], "density", "scale"),
     ("squared_error", [0.0, 1], "density", "variance ½"), ("laplace", [0.0], "density", "no probability")],
)  # fmt: skip
def test_what_the_likelihood_means(name, values, kind, told):
    found, says = likelihood.meaning(name, np.array(values))
    assert found == kind and told in says


def test_codes_that_are_gaussians():
    known = parts.modules(codes).items()
    gaussian = {name for name, code in known if {"mean", "log_std"} <= set(schema.reported(code)["extras"])}
    assert set(log_likelihood.CODES) == gaussian == set(command.VARIATIONAL)


class LinearRun(Run):
    """A run of the linear model on 40 test examples of two classes, the second with twice as many."""

    def __init__(self, workdir, linear):
        meta = {"classes": ("ant", "bee"), "reading": {}, "shape": SHAPE}
        scale = {"scale": np.float32(1), "shift": np.float32(0)}
        super().__init__(linear.config, workdir, 7, meta, linear.variables, scale)
        self.test = SimpleNamespace(images=linear.x, labels=(np.arange(40) % 3 > 0).astype(np.int32))

    def dataset(self):
        return SimpleNamespace(train=self.test, valid=self.test, test=self.test, classes=self.classes, shape=SHAPE)


@pytest.fixture
def execute(tmp_path, monkeypatch, capsys):
    def execute(run, *arguments):
        monkeypatch.setattr(aejax, "load", lambda _, best=False: run)
        status = likelihood.main([f"--workdir={tmp_path}", *arguments])
        path = tmp_path / "analysis" / "likelihood.json"
        numbers = json.loads(path.read_text(), parse_constant=pytest.fail) if path.exists() else None
        return status, *capsys.readouterr(), numbers

    return execute


def test_the_command_on_the_linear_model(execute, tmp_path, monkeypatch):
    linear = Linear(exact=False)
    monkeypatch.setattr(bounds, "BLOCK", 15)  # the last block is not full
    status, out, _, numbers = execute(LinearRun(tmp_path, linear), "--samples=600", "--images=0")
    truth, found = linear.truth, numbers["log_likelihood"]
    assert status == 0 and numbers["examples"] == numbers["test_examples"] == 40
    assert found["nats"] == pytest.approx(truth.mean(), abs=5 * found["monte_carlo_error"])
    assert found["standard_error"] == pytest.approx(truth.std(ddof=1) / np.sqrt(40), rel=0.05)
    assert found["bits_per_dimension"] == pytest.approx(-found["nats"] / 6 / np.log(2), rel=1e-5)
    np.testing.assert_allclose(numbers["log_likelihood_by_example"], truth, atol=0.2)
    assert numbers["gap"]["nats"] == pytest.approx(linear.gap, abs=0.1)
    assert numbers["elbo"]["nats"] == pytest.approx(-numbers["rate"]["nats"] - numbers["distortion"]["nats"])
    mean, log_std = LinearRun(tmp_path, linear).posterior(linear.x)
    np.testing.assert_allclose(np.exp(log_std) ** 2, np.tile(1.69 * linear.covariance, (40, 1)), rtol=1e-4)
    kl = 0.5 * (mean**2 + np.exp(2 * log_std) - 1) - log_std
    np.testing.assert_allclose(numbers["kl_by_unit"], kl.mean(0), rtol=1e-4)
    assert numbers["rate"]["nats"] == pytest.approx(kl.sum(1).mean(), rel=1e-4)
    assert [p["samples"] for p in numbers["bound_by_samples"]] == [1, 5, 50, 500, 600]
    assert numbers["meaning"]["kind"] == "density" and numbers["active_units"] == [0, 1]
    by_class = numbers["log_likelihood_by_class"]
    assert by_class["ant"] == pytest.approx(truth[::3].mean(), abs=0.1)
    assert f"log p(x) is {found['nats']:.2f} ±" in out and "all 40 test images" in out and "2 of 2 units" in out
    assert (tmp_path / "analysis/likelihood.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_on_a_subset_and_on_beta(execute, tmp_path):
    linear = Linear(**{"loss.kl": 4.0})
    status, out, _, numbers = execute(LinearRun(tmp_path, linear), "--samples=1", "--images=9", "--seed=3")
    rows = numbers["test_indices"]
    assert status == 0 and len(rows) == 9 and numbers["log_likelihood"]["monte_carlo_error"] is None
    np.testing.assert_allclose(numbers["log_likelihood_by_example"], linear.truth[rows], rtol=1e-3)
    assert "9 of 40" in out and "weighed 4;" in out and "by the number" not in out


def test_grey_and_binarised_pixels_are_told_apart(execute, tmp_path):
    for binarise, kind in (("none", "score"), ("dynamic", "probability")):
        linear = Linear(**{"loss.likelihood": "bernoulli", "data.binarise": binarise})
        linear.x = np.clip(linear.x, 0.1, 0.9)
        run = LinearRun(tmp_path, linear)
        status, out, _, numbers = execute(run, "--samples=3")
        assert status == 0 and numbers["meaning"]["kind"] == kind and ("no log-likelihood" in out) == (kind == "score")
        x = jnp.asarray(run.prepare(linear.x))  # the sample of an image is always the same
        known = identity(jnp.asarray(linear.x))
        again = importance_samples(run.model, run.variables, x, known, samples=3).log_weight
        np.testing.assert_allclose(run.importance_samples(linear.x, 3).log_weight, again, rtol=1e-5, atol=1e-5)


def test_refusals(execute, tmp_path):
    run = HandMadeRun(tmp_path)
    status, out, err, numbers = execute(run)
    assert status == 0 and not err and "does not apply" in out and "lifetime" in out and numbers is None
    run.config = FrozenConfigDict({**run.config.to_dict(), "model": "classifier"})
    assert "a classifier" in execute(run)[1]
    linear = Linear()
    run = LinearRun(tmp_path, linear)
    run.test.images, run.test.labels = linear.x[:0], None
    status, _, err, _ = execute(run)
    assert status == 2 and "test split" in err
    linear.variables["params"]["decoder"]["layers_0"]["bias"] = jnp.full(6, jnp.nan)
    status, _, err, _ = execute(LinearRun(tmp_path, linear))
    assert status == 2 and "diverged" in err
    for flag in ("--samples=0", "--images=-1", "--seed=-1"):
        status, _, err, _ = execute(run, flag)
        assert status == 2 and err.count("\n") == 1 and flag.partition("=")[0] in err


def test_a_run_of_another_code_has_no_posterior(tmp_path):
    config = FrozenConfigDict(configurations.load("shallow", {}))
    net = model.build(config, (8, 8, 1))
    meta = {"classes": (), "reading": {}, "shape": (8, 8, 1)}
    run = Run(config, tmp_path, 0, meta, init(net, 0), {})
    for call in (run.posterior, lambda x: run.importance_samples(x, 2)):
        with pytest.raises(UserError, match="'deterministic'.*importance_weighted, variational"):
            call(np.zeros((1, 8, 8, 1), np.uint8))
