"""The variational codes, against Monte Carlo and against a linear Gaussian model whose log p(x) is known."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from aejax import codes, devices, losses
from aejax.errors import UserError

KEY = jax.random.key(3)


def run(code, h, key=KEY, train=True, weight=None, **numbers):
    weight = jnp.ones(len(h)) if weight is None else weight
    numbers = {"free_bits": 0.0, **numbers} if isinstance(code, codes.Variational) else numbers
    return code.apply({}, h, train=train, weight=weight, key=key, **numbers)


@pytest.fixture
def h(rng):
    """Means and log standard deviations of 5 examples with 3 units."""
    return jnp.asarray(rng.normal(size=(5, 6)) * np.array([1, 1, 1, 0.4, 0.4, 0.4]), jnp.float32)


def test_kl_is_that_of_monte_carlo_summed_over_units(rng, h):
    mean, std = np.split(np.asarray(h, np.float64), 2, axis=1)
    std = np.exp(std)
    z = mean + std * rng.normal(size=(20_000, 5, 3))
    ratio = (stats.norm.logpdf(z, mean, std) - stats.norm.logpdf(z)).sum(2)
    coded = run(codes.Variational(3), h)
    assert coded.penalties["kl"].shape == (1, 5)
    np.testing.assert_allclose(coded.penalties["kl"][0], ratio.mean(0), atol=5 * ratio.std(0).max() / np.sqrt(20_000))
    np.testing.assert_array_equal(coded.extras["mean"], h[:, :3])
    np.testing.assert_array_equal(coded.extras["log_std"], h[:, 3:])
    np.testing.assert_array_equal(run(codes.Variational(3), jnp.zeros((5, 6))).penalties["kl"], 0)


def test_maps_are_summed_over_places(h):
    maps = jnp.broadcast_to(h[:, None, None], (5, 2, 1, 6))
    for code in (codes.Variational(3), codes.ImportanceWeighted(3)):
        coded = run(code, maps)
        assert coded.z.shape == (1, 5, 2, 1, 3)
        assert coded.penalties["kl"].shape == (1, 5)
        assert not np.allclose(coded.z[0, :, 0], coded.z[0, :, 1])
    vectors = run(codes.Variational(3), h).penalties["kl"]
    np.testing.assert_allclose(run(codes.Variational(3), maps).penalties["kl"], 2 * vectors, rtol=1e-5)


@pytest.mark.parametrize("cls", [codes.Variational, codes.ImportanceWeighted])
def test_encoding_is_the_mean_and_evaluation_samples(h, cls):
    np.testing.assert_array_equal(run(cls(3), h, key=None, train=False).z, h[:, :3])
    np.testing.assert_array_equal(run(cls(3), h, train=False).z, run(cls(3), h).z)
    assert not np.allclose(run(cls(3), h).z[0], h[:, :3])


@pytest.mark.parametrize("cls", [codes.Variational, codes.ImportanceWeighted])
def test_the_gradient_is_reparameterised(rng, h, cls):
    downstream = jnp.asarray(rng.normal(size=(5, 3)), jnp.float32)
    gradient = jax.grad(lambda h: jnp.sum(downstream * run(cls(3), h).z[0]))(h)
    z = run(cls(3), h).z[0]
    np.testing.assert_allclose(gradient[:, :3], downstream, rtol=1e-5)
    np.testing.assert_allclose(gradient[:, 3:], downstream * (z - h[:, :3]), rtol=1e-4, atol=1e-6)


def test_samples_are_the_same_however_many_there_are(h):
    few, many = run(codes.Variational(3), h).z, run(codes.Variational(3, samples=4), h)
    np.testing.assert_array_equal(few[0], many.z[0])
    assert many.z.shape == (4, 5, 3) and many.penalties["kl"].shape == (4, 5)
    assert len(np.unique(many.z)) == many.z.size
    np.testing.assert_allclose(codes.Variational(3, 4).bound(jnp.array([[1.0, 2.0], [5.0, 2.0]])), [3, 2])


@pytest.mark.parametrize("cls", [codes.Variational, codes.ImportanceWeighted])
def test_no_samples_is_refused(h, cls):
    with pytest.raises(UserError, match="config.code.samples=0"):
        run(cls(3, samples=0), h)


@partial(jax.jit, static_argnames="cls")
@partial(jax.value_and_grad, has_aux=True)
def kl_and_sample(h, cls):
    coded = run(cls(3), h, key=jax.random.key(1))
    return coded.penalties["kl"].sum(), coded.z


@pytest.mark.parametrize("cls", [codes.Variational, codes.ImportanceWeighted])
@pytest.mark.parametrize("log_std", [11.0, 1e4, 1e30, -1e4])
def test_any_log_std_is_finite_and_is_pulled_back(cls, log_std):
    h = jnp.concatenate([jnp.ones((5, 3)), jnp.full((5, 3), log_std)], axis=1)
    (value, z), gradient = kl_and_sample(h, cls)
    assert np.isfinite(value) and np.isfinite(z).all() and np.isfinite(gradient).all()
    slope = gradient[:, 3:].sum()  # of the sampled KL it is positive on average alone
    assert slope > 0 if log_std > 0 else slope < 0


def kl_of_units(h):
    mean, log_std = np.split(np.asarray(h, np.float64), 2, axis=1)
    return 0.5 * (mean**2 + np.exp(2 * log_std) - 1) - log_std


def test_free_bits_cost_each_unit_at_least_so_much_on_the_batchs_mean(h):
    weight = jnp.array([1.0, 1.0, 0.0, 1.0, 0.0])
    h = h.at[2].set(100.0).at[4].set(-100.0)  # padding that would tip every mean
    units = kl_of_units(h)[np.asarray(weight) > 0]
    average = units.mean(0)
    free = float(np.sort(average)[:2].mean())  # between the cheapest unit and the next
    assert (average < free).sum() == 1
    code = codes.Variational(3)

    def mean_kl(h, **given):
        return jnp.sum(weight * run(code, h, weight=weight, **given).penalties["kl"][0]) / 3

    np.testing.assert_allclose(mean_kl(h, free_bits=free), np.maximum(average, free).sum(), rtol=1e-5)
    gradient = jax.grad(mean_kl)(h, free_bits=free)
    paid = np.tile(average > free, 2)
    expected = np.where(paid, jax.grad(mean_kl)(h), 0)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6)
    assert (np.abs(np.asarray(gradient)[np.asarray(weight) > 0][:, paid]) > 0).all()
    np.testing.assert_allclose(mean_kl(h, free_bits=free, train=False), average.sum(), rtol=1e-5)


def test_no_free_bits_change_nothing_not_even_a_unit_at_the_prior(h):
    h = h.at[:, 0].set(1e-25).at[:, 3].set(0)  # a KL that rounds to 0, a slope that does not
    code = codes.Variational(3)
    value, slope = jax.value_and_grad(lambda h: run(code, h, train=True).penalties["kl"].sum())(h)
    plain, plain_slope = jax.value_and_grad(lambda h: run(code, h, train=False).penalties["kl"].sum())(h)
    assert value == plain
    np.testing.assert_array_equal(slope, plain_slope)


def test_active_latents_vary_over_the_examples(h):
    weight = jnp.array([1.0, 1.0, 1.0, 1.0, 0.0])
    means = jnp.array([[5.0, 0.0, -0.2], [5.0, 0.1, 0.2], [5.0, 0.0, -0.2], [5.0, 0.1, 0.2], [9.0, 9.0, 9.0]])
    coded = run(codes.Variational(3), h.at[:, :3].set(means), weight=weight)
    np.testing.assert_array_equal(coded.figures["active_latents"], [1] * 5)  # variances 0, 0.0025, 0.04
    maps = jnp.zeros((5, 2, 1, 6)).at[:, 0, 0, 0].set(1.0)  # varies over places, not over examples
    np.testing.assert_array_equal(run(codes.Variational(3), maps).figures["active_latents"], [1] * 5)


def test_free_bits_on_eight_devices_are_those_on_one(rng):
    h = rng.normal(size=(16, 6)).astype(np.float32)
    weight = np.ones(16, np.float32)
    weight[13:] = 0
    call = jax.jit(lambda h, w: run(codes.Variational(3), h, weight=w, free_bits=0.7))
    one, eight = (call(*jax.device_put((h, weight), devices.batched(devices.mesh(count)))) for count in (1, 8))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), one, eight)


class Linear:
    """``z ~ N(0, I)``, ``x = W z + μ + 0.5 n``: with W of orthogonal columns the posterior has independent units."""

    std = 0.5
    repeat = 200

    def __init__(self, rng):
        self.w = np.linalg.qr(rng.normal(size=(4, 3)))[0] * np.array([2.0, 0.7, 1.0])
        self.mu = rng.normal(size=4)
        self.x = self.mu + rng.normal(size=(5, 3)) @ self.w.T + self.std * rng.normal(size=(5, 4))
        cov = self.w @ self.w.T + self.std**2 * np.eye(4)
        self.log_p = stats.multivariate_normal(self.mu, cov).logpdf(self.x)
        m = np.diag(self.w.T @ self.w) + self.std**2
        self.mean, self.log_std = (self.x - self.mu) @ self.w / m, np.full((5, 3), np.log(self.std / np.sqrt(m)))

    def encoded(self, shift=0.0, widen=0.0):
        """What an encoder would give, ``repeat`` times: the exact posterior, or a shifted and widened one."""
        h = np.concatenate([self.mean + shift, self.log_std + widen], axis=1)
        return jnp.asarray(np.tile(h, (self.repeat, 1)), jnp.float32)

    def losses(self, cls, h):
        """−log p(x|z) + kl of 16 samples for each example [16, b], and the samples [16, b, 3]."""
        coded = run(cls(3, samples=16), h)
        z = np.asarray(coded.z, np.float64)
        x = jnp.asarray(np.tile(self.x, (16 * self.repeat, 1)), jnp.float32)[:, None, None]
        output = jnp.asarray(z @ self.w.T + self.mu, jnp.float32).reshape(x.shape)
        return losses.gaussian(output, x, np.log(self.std)).reshape(16, -1) + coded.penalties["kl"], z

    def off(self, losses):
        """How far −losses [..., b] are from log p(x), on average for each example [5], and the error of that."""
        gap = self.log_p - -np.asarray(losses, np.float64).reshape(-1, 5)
        return gap.mean(0), gap.std(0) / np.sqrt(len(gap))


@pytest.fixture
def linear(rng):
    return Linear(rng)


def test_the_evidence_lower_bound_is_log_p_where_q_is_the_posterior(linear):
    off, error = linear.off(linear.losses(codes.Variational, linear.encoded())[0])
    np.testing.assert_array_less(np.abs(off), 4 * error)
    assert error.max() < 0.05


@pytest.mark.parametrize("samples", [1, 3, 16])
def test_the_importance_weighted_bound_is_log_p_where_q_is_the_posterior(linear, samples):
    bound = codes.ImportanceWeighted(3).bound(linear.losses(codes.ImportanceWeighted, linear.encoded())[0][:samples])
    np.testing.assert_allclose(-bound.reshape(-1, 5), np.broadcast_to(linear.log_p, (linear.repeat, 5)), rtol=1e-4)


def test_one_importance_sample_is_the_evidence_lower_bound(linear):
    h = linear.encoded(0.3, 0.2)
    values, z = linear.losses(codes.ImportanceWeighted, h)
    q = stats.norm.logpdf(z, h[:, :3], np.exp(h[:, 3:])).sum(2)
    x = np.tile(linear.x, (linear.repeat, 1))
    elbo = stats.norm.logpdf(x, z @ linear.w.T + linear.mu, linear.std).sum(2) + stats.norm.logpdf(z).sum(2) - q
    one = [codes.ImportanceWeighted(3).bound(value[None]) for value in values]
    np.testing.assert_allclose(-np.stack(one), elbo, rtol=1e-4)
    # and on average it is log p(x) less the divergence of q from the posterior
    off, error = linear.off(values)
    gap = (0.5 * (np.exp(0.4) + 0.3**2 * np.exp(-2 * linear.log_std) - 1) - 0.2).sum(1)
    np.testing.assert_array_less(np.abs(off - gap), 4 * error)


def test_more_importance_samples_tighten_the_bound(linear):
    values, _ = linear.losses(codes.ImportanceWeighted, linear.encoded(0.3, 0.2))
    bound = codes.ImportanceWeighted(3).bound
    one, four, sixteen = (linear.off(bound(values[:samples]))[0] for samples in (1, 4, 16))
    assert (one > four).all() and (four > sixteen).all() and (sixteen > -0.05).all()
    assert (sixteen < 0.4 * one).all()


def test_the_bound_is_finite_where_the_weights_underflow():
    code = codes.ImportanceWeighted(2, 2)
    np.testing.assert_allclose(code.bound(jnp.array([[5000.0], [5001.0]])), 5000 + np.log(2) - np.log1p(np.exp(-1)))
