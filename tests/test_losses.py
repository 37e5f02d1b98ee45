from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from aejax import losses

SHAPE = (3, 4, 4, 2)


@pytest.fixture
def pair(rng):
    return rng.normal(size=SHAPE).astype(np.float32), rng.random(SHAPE).astype(np.float32)


def summed(values):
    return values.reshape(len(values), -1).sum(1)


def test_bernoulli_is_the_cross_entropy_summed_over_pixels(pair):
    logits, x = pair
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    expected = summed(-x * np.log(p) - (1 - x) * np.log(1 - p))
    np.testing.assert_allclose(losses.bernoulli(logits, x), expected, rtol=1e-5)


def test_bernoulli_is_finite_where_the_sigmoid_saturates():
    logits = jnp.array([[[[-500.0, 500.0]]]])
    x = jnp.array([[[[1.0, 1.0]]]])
    assert losses.bernoulli(logits, x).tolist() == [500.0]
    assert np.isfinite(jax.grad(lambda logits: losses.bernoulli(logits, x).sum())(logits)).all()


def test_squared_error_is_summed_over_pixels(pair):
    output, x = pair
    np.testing.assert_allclose(losses.squared_error(output, x), summed((output - x) ** 2), rtol=1e-5)


@pytest.mark.parametrize("std", [0.3, 1.0, 4.0])
def test_gaussian_is_the_log_density(pair, std):
    output, x = pair
    expected = -summed(stats.norm.logpdf(x, output, std))
    np.testing.assert_allclose(losses.gaussian(output, x, np.log(std)), expected, rtol=1e-5)
    given = losses.Gaussian().apply({}, output, x, std=jnp.float32(std))
    np.testing.assert_allclose(given, expected, rtol=1e-5)


def test_squared_error_is_the_unit_gaussian_doubled_without_its_constant(pair):
    output, x = pair
    constant = 0.5 * np.log(2 * np.pi) * np.prod(SHAPE[1:])
    np.testing.assert_allclose(
        losses.squared_error(output, x), 2 * (losses.gaussian(output, x, 0.0) - constant), rtol=1e-4
    )


def test_the_learned_scalar_is_best_at_the_residuals_deviation(pair):
    output, x = pair
    likelihood = losses.LearnedGaussian()
    params = likelihood.init(jax.random.key(0), output, x)
    assert jax.tree.map(jnp.shape, params) == {"params": {"log_std": ()}}
    at = {"params": {"log_std": jnp.log(jnp.sqrt(jnp.mean((output - x) ** 2)))}}
    slope = jax.grad(lambda p: likelihood.apply(p, output, x).sum())(at)["params"]["log_std"]
    assert abs(slope) < 1e-3
    assert abs(jax.grad(lambda p: likelihood.apply(p, output, x).sum())(params)["params"]["log_std"]) > 1


@pytest.mark.parametrize("likelihood", [losses.bernoulli, losses.squared_error, partial(losses.gaussian, log_std=0.0)])
def test_shapes_must_match(pair, likelihood):
    output, x = pair
    with pytest.raises(ValueError, match="equal shapes"):
        likelihood(output[:1], x)


def test_l1(rng):
    z = rng.normal(size=(5, 3)).astype(np.float32)
    np.testing.assert_allclose(losses.l1(z), np.abs(z).sum(1), rtol=1e-6)
