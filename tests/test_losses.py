from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special, stats

from aejax import losses

SHAPE = (3, 4, 4, 2)
LIKELIHOODS = {
    "bernoulli": jax.jit(losses.bernoulli),
    "continuous_bernoulli": jax.jit(losses.continuous_bernoulli),
    "squared_error": jax.jit(losses.squared_error),
    "gaussian": jax.jit(partial(losses.gaussian, log_std=0.3)),
    "laplace": jax.jit(partial(losses.laplace, log_std=0.3)),
    "poisson": jax.jit(losses.poisson),
    "multinomial": jax.jit(losses.multinomial),
}
# each module, its numbers, and the standard deviation of a component of its samples, of the mean
MODULES = {
    "bernoulli": (losses.Bernoulli(), {}, lambda mean: np.sqrt(mean * (1 - mean))),
    "continuous_bernoulli": (losses.ContinuousBernoulli(), {}, None),
    "squared_error": (losses.SquaredError(), {}, lambda mean: np.sqrt(0.5)),
    "sigmoid_squared_error": (losses.SigmoidSquaredError(), {}, lambda mean: np.sqrt(0.5)),
    "gaussian": (losses.Gaussian(), {"std": 0.7}, lambda mean: 0.7),
    "learned_gaussian": (losses.LearnedGaussian(), {}, lambda mean: 3.0),
    "laplace": (losses.Laplace(), {"std": 0.7}, lambda mean: 0.7),
    "poisson": (losses.Poisson(), {}, np.sqrt),
    "multinomial": (losses.Multinomial(), {}, lambda mean: np.sqrt(mean * (1 - mean))),
}


@pytest.fixture
def pair(rng):
    return rng.normal(size=SHAPE).astype(np.float32), rng.random(SHAPE).astype(np.float32)


@pytest.fixture
def counts(rng):
    return rng.poisson(2.0, size=SHAPE).astype(np.float32)


def summed(values):
    return values.reshape(len(values), -1).sum(1)


def test_bernoulli_is_the_cross_entropy_summed_over_pixels(pair):
    logits, x = pair
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    expected = summed(-x * np.log(p) - (1 - x) * np.log(1 - p))
    np.testing.assert_allclose(LIKELIHOODS["bernoulli"](logits, x), expected, rtol=1e-5)
    bits = (x > 0.5).astype(np.float32)
    expected = -summed(stats.bernoulli.logpmf(bits, p))
    np.testing.assert_allclose(LIKELIHOODS["bernoulli"](logits, bits), expected, rtol=1e-5)


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


def test_logistic_output_units_have_the_squared_error_of_their_sigmoid(pair):
    logits, x = pair
    expected = summed((x - 1 / (1 + np.exp(-logits.astype(np.float64)))) ** 2)
    module = losses.SigmoidSquaredError()
    np.testing.assert_allclose(module.apply({}, logits, x), expected, rtol=1e-5)
    picture = module.apply({}, logits, method="mean")
    np.testing.assert_allclose(picture, special.expit(logits), rtol=1e-5)
    np.testing.assert_allclose(losses.squared_error(picture, x), expected, rtol=1e-5)


@pytest.mark.parametrize("std", [0.3, 4.0])
def test_laplace_is_the_log_density_of_that_standard_deviation(pair, std):
    output, x = pair
    density = stats.laplace(output, std / np.sqrt(2))
    np.testing.assert_allclose(density.std(), std)
    np.testing.assert_allclose(losses.laplace(output, x, np.log(std)), -summed(density.logpdf(x)), rtol=1e-4, atol=1e-4)
    given = losses.Laplace().apply({}, output, x, std=jnp.float32(std))
    np.testing.assert_allclose(given, -summed(density.logpdf(x)), rtol=1e-4, atol=1e-4)


def test_squared_error_is_the_gaussian_of_variance_one_half_without_its_constant(pair):
    output, x = pair
    constant = 0.5 * np.log(np.pi) * np.prod(SHAPE[1:])
    np.testing.assert_allclose(
        losses.squared_error(output, x), losses.gaussian(output, x, 0.5 * np.log(0.5)) - constant, rtol=1e-4
    )


def test_poisson_is_the_log_probability_of_the_counts(pair, counts):
    expected = -summed(stats.poisson.logpmf(counts, np.exp(pair[0])))
    np.testing.assert_allclose(LIKELIHOODS["poisson"](pair[0], counts), expected, rtol=1e-5)


def test_multinomial_is_the_log_probability_without_the_number_of_orders(pair, counts):
    logits, x = pair[0].reshape(3, -1).astype(np.float64), counts.reshape(3, -1)
    p = special.softmax(logits, axis=1)
    orders = special.gammaln(x.sum(1) + 1) - special.gammaln(x + 1).sum(1)
    expected = orders - [stats.multinomial.logpmf(x[i], x[i].sum(), p[i]) for i in range(3)]
    np.testing.assert_allclose(LIKELIHOODS["multinomial"](pair[0], counts), expected, rtol=1e-5)
    np.testing.assert_allclose(LIKELIHOODS["multinomial"](pair[0] + 7, counts), expected, rtol=1e-5)


continuous_mean = jax.jit(losses.ContinuousBernoulli().mean)


@pytest.mark.parametrize("logit", [-60.0, -3.0, -0.501, -0.499, -1e-3, 0.0, 1e-6, 0.499, 0.501, 3.0, 60.0])
def test_continuous_bernoulli_is_a_density_with_that_mean(logit):
    def density(x):
        logits = np.full(SHAPE, logit, np.float32)
        return np.exp(-LIKELIHOODS["continuous_bernoulli"](logits, np.full_like(logits, x))[0] / logits[0].size)

    # the density is proportional to exp(l x), which leaves its value at 0 to check
    total = integrate.quad(lambda x: np.exp(logit * x), 0, 1)[0]
    np.testing.assert_allclose(density(0.0) * total, 1, rtol=2e-5)
    np.testing.assert_allclose(density(1.0) / density(0.0), np.exp(logit), rtol=1e-4)
    mean = integrate.quad(lambda x: x * np.exp(logit * x), 0, 1)[0] / total
    np.testing.assert_allclose(continuous_mean(np.array([logit], np.float32)), mean, rtol=1e-4)


def test_continuous_bernoulli_has_a_gradient_everywhere():
    logits = jnp.array([-500.0, -0.5, -1e-4, 0.0, 1e-30, 0.2, 500.0]).reshape(-1, 1, 1, 1)
    x = jnp.full(logits.shape, 0.25)
    gradient = jax.jit(jax.grad(lambda logits: losses.continuous_bernoulli(logits, x).sum()))(logits)
    # that of the normaliser is the mean
    np.testing.assert_allclose(gradient, continuous_mean(logits) - x, rtol=1e-4, atol=1e-6)


def test_the_learned_scalar_is_best_at_the_residuals_deviation(pair):
    output, x = pair
    likelihood = losses.LearnedGaussian()
    params = likelihood.init(jax.random.key(0), output, x)
    assert jax.tree.map(jnp.shape, params) == {"params": {"log_std": ()}}
    at = {"params": {"log_std": jnp.log(jnp.sqrt(jnp.mean((output - x) ** 2)))}}
    slope = jax.jit(jax.grad(lambda p: likelihood.apply(p, output, x).sum()))
    assert abs(slope(at)["params"]["log_std"]) < 1e-3
    assert abs(slope(params)["params"]["log_std"]) > 1


@pytest.mark.parametrize("likelihood", LIKELIHOODS.values(), ids=LIKELIHOODS)
def test_shapes_must_match(pair, likelihood):
    output, x = pair
    with pytest.raises(ValueError, match="equal shapes"):
        likelihood(output[:1], x)
    with pytest.raises(ValueError, match="equal shapes"):
        likelihood(output, x, emphasis=x[:, :1])


@pytest.mark.parametrize("likelihood", LIKELIHOODS.values(), ids=LIKELIHOODS)
def test_emphasis_weighs_components(pair, counts, likelihood):
    output, _ = pair
    x = np.minimum(counts, 1)
    np.testing.assert_allclose(likelihood(output, x, emphasis=np.ones_like(x)), likelihood(output, x), rtol=1e-5)
    half = np.zeros_like(x)
    half[:, ::2] = 1
    first, rest = likelihood(output, x, emphasis=half), likelihood(output, x, emphasis=3 * (1 - half))
    np.testing.assert_allclose(first + rest / 3, likelihood(output, x), rtol=1e-4)
    assert not np.allclose(first, rest)
    other = x.copy()
    other[:, 1::2] = 1 - other[:, 1::2]
    np.testing.assert_array_equal(likelihood(output, other, emphasis=half), first)


@pytest.mark.parametrize("name", MODULES)
def test_modules_hand_emphasis_on_and_samples_have_the_mean_and_the_spread(name):
    module, numbers, spread = MODULES[name]
    variables = {"params": {"log_std": jnp.log(3.0)}} if name == "learned_gaussian" else {}
    output = jnp.broadcast_to(jnp.array([-1.0, 0.2, 0.0, 1.5]).reshape(1, 2, 2, 1), (4000, 2, 2, 1))

    drawn = module.apply(variables, output, jax.random.key(1), **numbers, method="sample")
    plain = module.apply(variables, output, drawn, **numbers)
    weighted = module.apply(variables, output, drawn, output, **numbers)
    drawn, mean = np.asarray(drawn), np.asarray(module.mean(output)[0])
    assert drawn.shape == output.shape and drawn.dtype == output.dtype
    np.testing.assert_array_less(np.abs(drawn.mean(0) - mean), 4 * drawn.std(0) / np.sqrt(4000))
    if spread:
        np.testing.assert_allclose(drawn.std(0), np.broadcast_to(spread(mean), mean.shape), rtol=0.08)
    if name == "multinomial":
        assert (summed(drawn) == 1).all() and set(np.unique(drawn)) == {0, 1}
    assert len(np.unique(drawn.reshape(4000, 4), axis=0)) > 3  # every example has a key of its own
    assert not np.allclose(plain, weighted)


def test_continuous_bernoulli_samples_follow_its_distribution():
    sample = jax.jit(losses.ContinuousBernoulli().sample)
    for logit in (-4.0, 0.0, 4.0):
        drawn = np.asarray(sample(np.full((4000, 2, 2, 1), logit, np.float32), jax.random.key(2)), np.float64).ravel()
        assert drawn.min() >= 0 and drawn.max() <= 1
        below = drawn if logit == 0 else np.expm1(logit * drawn) / np.expm1(logit)  # its distribution function
        assert stats.kstest(below, "uniform").pvalue > 1e-3


def test_poisson_pictures_are_rates_and_multinomial_pictures_are_shares(pair):
    np.testing.assert_allclose(losses.Poisson().mean(pair[0]), np.exp(pair[0]), rtol=1e-5)
    shares = losses.Multinomial().mean(pair[0])
    assert shares.shape == SHAPE
    np.testing.assert_allclose(summed(np.asarray(shares)), 1, rtol=1e-5)


def test_cross_entropy_is_minus_the_log_probability_of_the_label(rng):
    logits = rng.normal(size=(5, 3)).astype(np.float32)
    labels = np.array([0, 2, 1, 1, 0])
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(losses.cross_entropy(logits, labels), -np.log(p[np.arange(5), labels]), rtol=1e-5)
    assert losses.cross_entropy(jnp.array([[0.0, -900.0]]), jnp.array([1])).tolist() == [900.0]
    for wrong in (labels[:1], labels[:, None]):
        with pytest.raises(ValueError, match="labels"):
            losses.cross_entropy(logits, wrong)
