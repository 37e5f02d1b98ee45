import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax import codes
from aejax.errors import UserError

KEY = jax.random.key(3)
BINARY = {"straight_through": codes.StraightThrough(size=4), "gumbel": codes.GumbelSigmoid(size=4)}
NUMBERS = {
    codes.StraightThrough: {},
    codes.GumbelSigmoid: {"temperature": 0.5},
    codes.GaussianNoise: {"std": 0.3},
    codes.LearnedNoise: {},
}
ALL = [codes.StraightThrough(4), codes.GumbelSigmoid(4), codes.GaussianNoise(4, "tanh"), codes.LearnedNoise(4, "tanh")]


def run(code, h, key=KEY, train=True, variables=None, **numbers):
    numbers = {**NUMBERS[type(code)], **numbers}
    given = {"train": train, "weight": jnp.ones(len(h)), "key": key, **numbers}
    if variables is None:
        variables = code.init(jax.random.key(0), h, **{**given, "train": False})
    return code.apply(variables, h, **given)


@pytest.mark.parametrize("code", ALL, ids=lambda code: type(code).__name__)
def test_only_a_key_brings_noise(rng, code):
    h = jnp.asarray(rng.normal(size=(6, 4)), jnp.float32)
    encoded = run(code, h, key=None, train=False).z
    np.testing.assert_allclose(encoded, np.tanh(h) if hasattr(code, "activation") else 1 / (1 + np.exp(-h)), rtol=1e-4)
    first, again = run(code, h, train=False).z, run(code, h, train=False).z
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, encoded)
    assert not np.allclose(first, run(code, h, key=jax.random.key(4), train=False).z)


def test_noise_goes_with_the_place_in_the_batch_and_differs_between_places_of_maps():
    code = codes.GaussianNoise(4, "linear")
    h = jnp.zeros((6, 2, 2, 4))
    z = run(code, h).z
    assert z.shape == h.shape
    assert len(np.unique(z)) == z.size
    np.testing.assert_allclose(run(code, h[:2]).z, z[:2], rtol=1e-6)


@pytest.mark.parametrize("code", BINARY.values(), ids=BINARY)
def test_bits_are_on_with_the_sigmoids_probability(code):
    h = jnp.broadcast_to(jnp.array([[-2.0, 0.0, 0.5, 3.0]]), (20000, 4))
    bits = np.asarray(run(code, h, train=False).z)
    assert set(np.unique(bits)) == {0.0, 1.0}
    np.testing.assert_allclose(bits.mean(0), 1 / (1 + np.exp(-h[0])), atol=0.012)  # three standard deviations


def test_the_gradient_goes_straight_through_the_bits(rng):
    h = jnp.asarray(rng.normal(size=(6, 4)), jnp.float32)
    downstream = jnp.asarray(rng.normal(size=(6, 4)), jnp.float32)
    code = codes.StraightThrough(4)
    gradient = jax.grad(lambda h: jnp.sum(downstream * run(code, h).z))(h)
    p = 1 / (1 + np.exp(-np.asarray(h)))
    np.testing.assert_allclose(gradient, downstream * p * (1 - p), rtol=1e-5)
    # for a loss linear in the bits that is the gradient of its expectation, whatever the bits
    np.testing.assert_allclose(
        gradient, jax.grad(lambda h: jnp.sum(downstream * run(code, h, key=jax.random.key(9)).z))(h), rtol=1e-6
    )


def test_relaxed_bits_become_bits_as_the_temperature_falls_and_their_mean_as_it_rises(rng):
    h = jnp.asarray(rng.normal(size=(6, 4)), jnp.float32)
    code = codes.GumbelSigmoid(4)
    bits = run(code, h, train=False).z
    np.testing.assert_allclose(run(code, h, temperature=1e-4).z, bits, atol=1e-3)
    np.testing.assert_allclose(run(code, h, temperature=1e4).z, 0.5, atol=1e-3)
    np.testing.assert_array_equal(run(code, h, temperature=2.0).z > 0.5, bits > 0)  # the side is that of the bit


def test_the_relaxations_gradient_is_that_of_the_reparameterised_unit():
    h = jnp.broadcast_to(jnp.array([[0.3, -1.0, 0.0, 2.0]]), (6, 4))
    code = codes.GumbelSigmoid(4)
    z = np.asarray(run(code, h).z)
    gradient = jax.grad(lambda h: run(code, h).z.sum())(h)
    np.testing.assert_allclose(gradient, z * (1 - z) / 0.5, rtol=1e-4)


@pytest.mark.parametrize("std", [0.1, 2.0])
def test_gaussian_noise_has_its_deviation(std):
    h = jnp.broadcast_to(jnp.array([[-1.0, 0.0, 1.0, 2.0]]), (20000, 4))
    z = np.asarray(run(codes.GaussianNoise(4, "relu"), h, std=std).z)
    np.testing.assert_allclose(z.mean(0), [0, 0, 1, 2], atol=4 * std / np.sqrt(20000))
    np.testing.assert_allclose(z.std(0), std, rtol=0.02)


def test_learned_noise_has_a_deviation_a_unit_that_learns():
    h = jnp.zeros((20000, 4))
    code = codes.LearnedNoise(4, "linear", std=0.5)
    params = code.init(KEY, h, train=False, weight=jnp.ones(20000), key=KEY)
    np.testing.assert_allclose(params["params"]["log_std"], np.log(0.5), rtol=1e-6)
    params = {"params": {"log_std": jnp.log(jnp.array([0.1, 1.0, 2.0, 3.0]))}}
    coded = run(code, h, variables=params)
    np.testing.assert_allclose(coded.z.std(0), [0.1, 1.0, 2.0, 3.0], rtol=0.02)
    np.testing.assert_allclose(coded.figures["noise_std"], 6.1 / 4, rtol=1e-5)
    # E z² = std², whose derivative by log std is 2 std²
    slope = jax.grad(lambda p: jnp.mean(jnp.square(run(code, h, variables=p).z), axis=0).sum())(params)
    np.testing.assert_allclose(slope["params"]["log_std"], 2 * np.array([0.1, 1.0, 2.0, 3.0]) ** 2, rtol=0.04)


def test_learned_noise_cannot_start_from_none():
    with pytest.raises(UserError, match="config.code.std"):
        run(codes.LearnedNoise(4, std=0.0), jnp.zeros((2, 4)))
