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
from aejax.analysis import command, likelihood
from aejax.analysis.likelihood import bounds
from aejax.data.identity import identity
from aejax.errors import UserError
from aejax.run import Run
from tests import configurations
from tests.test_analysis_commands import HandMadeRun

SHAPE, STD = (2, 3, 1), 0.5**0.5
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
        given = {"seed": 0, **given}
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


def test_neither_chunks_nor_other_images_nor_k_change_a_sample(wide):
    linear, whole = wide
    for a, b in zip(whole, linear.samples(11, [5, 2], chunk=4, seed=0), strict=True):
        np.testing.assert_allclose(b, a[:11, [5, 2]], rtol=1e-5, atol=1e-5)
    other = linear.samples(11, [5, 2], chunk=4, seed=1).log_weight
    assert not np.isclose(other, whole.log_weight[:11, [5, 2]], atol=1e-4).any()
    noise = whole.log_conditional[:200]  # every sample of every image has its own
    assert len(np.unique(noise.round(4))) > 7000 and np.abs(np.corrcoef(noise.T)[0, 1:]).max() < 0.3


def test_squared_error_is_a_gaussian_of_variance_a_half(wide):
    drawn = Linear(exact=False, **{"loss.likelihood": "squared_error"}).samples(3)
    for a, b in zip(drawn, wide[1], strict=True):
        np.testing.assert_allclose(a, b[:3], rtol=1e-4, atol=1e-4)


def test_maps_have_one_code_an_image(rng):
    mean, log_std = (jnp.asarray(rng.normal(size=(4, 2, 3, 5)) * scale, jnp.float32) for scale in (1, 0.3))
    shapes = []

    def apply(variables, x, z=None, *, method):
        shapes.append(None if z is None else z.shape)
        return (mean, log_std) if method == "posterior" else jnp.sum(x, (1, 2, 3)) + jnp.sum(z, (1, 2, 3))

    net = SimpleNamespace(apply=apply, config=SimpleNamespace(loss=SimpleNamespace(likelihood="bernoulli")))
    x = jnp.arange(4.0).reshape(4, 1, 1, 1)
    drawn = log_likelihood.importance_samples(net, {}, x, jnp.arange(4, dtype=jnp.uint32), samples=2000, chunk=50)
    assert shapes == [None, (200, 2, 3, 5)]
    ratio = np.asarray(drawn.log_weight - drawn.log_conditional)  # −KL on average
    kl = bounds.unit_kl(mean, log_std)
    np.testing.assert_array_less(np.abs(ratio.mean(0) + kl.sum(1)), 5 * ratio.std(0) / np.sqrt(2000))
    expected = np.arange(4) + np.sum(mean, (1, 2, 3))
    np.testing.assert_allclose(drawn.log_conditional.mean(0), expected, atol=5 * 6 / np.sqrt(2000))


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
    assert f"log p(x) is at least {found['nats']:.2f} ±" in out
    assert "all 40 test images" in out and "2 of 2 units" in out
    effective = numbers["effective_samples"]
    assert f"they are worth {effective['median']:.3g} of equal weight for the median example, " in out
    assert "{" not in out
    assert (tmp_path / "analysis/likelihood.png").read_bytes().startswith(b"\x89PNG")


class DrawnRun(HandMadeRun):
    """A run whose weights are all exp(-40 − the image's class), and whose posterior has means in one unit alone."""

    def __init__(self, workdir, **changes):
        super().__init__(workdir, **changes)
        loss = {"likelihood": "bernoulli", "kl": 4.0}
        self.config = FrozenConfigDict({**self.config.to_dict(), "code": {"name": "variational"}, "loss": loss})

    def importance_samples(self, x, samples, seed):
        weight = np.tile(-40.0 - np.argmax(x[:, 0, :3, 0], axis=1), (samples, 1))
        return log_likelihood.Samples(weight, weight + 2)

    def posterior(self, x):
        mean = 3 * self.prepare(x).reshape(len(x), -1) * (np.arange(16) == 5)
        return mean, np.zeros_like(mean)


def test_the_command_on_a_subset(execute, tmp_path):
    status, out, _, numbers = execute(DrawnRun(tmp_path), "--samples=1", "--images=9")
    assert status == 0 and numbers["test_indices"] == likelihood.subset(np.arange(30) % 3, 30, 9).tolist()
    assert numbers["log_likelihood"]["nats"] == -41 and numbers["log_likelihood"]["monte_carlo_error"] is None
    assert numbers["distortion"]["nats"] == 39 and numbers["log_likelihood_by_class"]["cow"] == -42
    assert "9 of 30" in out and "weighed 4;" in out and "by the number" not in out and "least: cow (-42.0)" in out
    assert numbers["meaning"]["kind"] == "score" and "minus a loss" in out  # grey pixels
    status, out, _, numbers = execute(DrawnRun(tmp_path, labels=False, valid=0), "--samples=20")
    assert status == 0 and numbers["examples"] == 30 and numbers["log_likelihood_by_class"] is None
    assert numbers["active_units"] == [5] and "1 of 16 units are active" in out and "20 for the worst" in out
    assert numbers["kl_by_unit"][4] == 0 < numbers["kl_by_unit"][5]
    status, out, _, _ = execute(DrawnRun(tmp_path), "--samples=1", "--images=1")
    assert status == 0 and "log p(x) is at least -40.00 nats" in out


def test_a_dynamic_binarisation_has_one_sample_an_image(tmp_path):
    linear = Linear(**{"loss.likelihood": "bernoulli", "data.binarise": "dynamic"})
    raw = np.clip(linear.x, 0.1, 0.9)
    run = LinearRun(tmp_path, linear)
    x = jnp.asarray(run.prepare(raw))
    assert set(np.unique(x)) == {0, 1}
    again = importance_samples(run.model, run.variables, x, identity(jnp.asarray(raw)), samples=3)
    for a, b in zip(run.importance_samples(raw, 3), again, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_refusals(execute, tmp_path):
    run = HandMadeRun(tmp_path)
    status, out, err, numbers = execute(run)
    assert status == 0 and not err and "does not apply" in out and "lifetime" in out and numbers is None
    run.config = FrozenConfigDict({**run.config.to_dict(), "model": "classifier"})
    assert "a classifier" in execute(run)[1]
    run = DrawnRun(tmp_path)
    run.importance_samples = lambda x, samples, seed: log_likelihood.Samples(*np.full((2, samples, len(x)), np.nan))
    status, _, err, _ = execute(run)
    assert status == 2 and "diverged" in err
    run.splits["test"].images, run.splits["test"].labels = run.splits["test"].images[:0], None
    status, _, err, _ = execute(run)
    assert status == 2 and "test split" in err
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
