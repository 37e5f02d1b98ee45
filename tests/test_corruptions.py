"""Corruptions: their shares and values, what they say they chose, and whose key decides."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax import corruptions, keys, parts

SHAPE = (6, 20, 20, 2)
NUMBERS = {
    "none": {},
    "gaussian": {"std": 0.2},
    "clipped_gaussian": {"std": 0.2, "low": 0.0, "high": 1.0},
    "masking": {"rate": 0.25},
    "salt_and_pepper": {"rate": 0.25, "low": -1.0, "high": 2.0},
}


@pytest.fixture
def x(rng):
    return jnp.asarray(rng.random(SHAPE), jnp.float32)


@pytest.fixture
def example_keys():
    return keys.per_example(jax.random.key(0), SHAPE[0])


def share_is(where, rate):
    """Whether a share of independent choices is within 4 standard errors of their rate."""
    return abs(np.mean(where) - rate) < 4 * np.sqrt(rate * (1 - rate) / where.size)


def test_the_public_functions_are_the_corruptions():
    assert sorted(parts.functions(corruptions)) == sorted(NUMBERS)


def test_none_changes_and_chooses_nothing(x, example_keys):
    noisy, where = corruptions.none(x, example_keys)
    assert noisy is x and not where.any() and where.shape == x.shape


def test_gaussian_noise_has_its_deviation_everywhere(x, example_keys):
    noisy, where = corruptions.gaussian(x, example_keys, std=0.2)
    noise = np.asarray(noisy - x)
    assert where.all() and abs(noise.std() - 0.2) < 0.01 and abs(noise.mean()) < 4 * 0.2 / np.sqrt(noise.size)


def test_clipped_gaussian_is_gaussian_then_clipped(x, example_keys):
    noisy, where = corruptions.clipped_gaussian(x, example_keys, std=0.5, low=0.1, high=0.8)
    unclipped = corruptions.gaussian(x, example_keys, std=0.5).x
    np.testing.assert_array_equal(noisy, np.clip(unclipped, np.float32(0.1), np.float32(0.8)))
    assert where.all() and np.mean(noisy == np.float32(0.1)) > 0.05 and np.mean(noisy == np.float32(0.8)) > 0.05


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
def test_masking_zeroes_a_share_and_leaves_the_rest(x, example_keys, rate):
    noisy, where = corruptions.masking(x, example_keys, rate=rate)
    np.testing.assert_array_equal(noisy, np.where(where, 0, x))
    assert share_is(where, rate) if 0 < rate < 1 else (where == bool(rate)).all()


def test_what_masking_chose_is_chosen_though_it_was_0(x, example_keys):
    zeros = corruptions.masking(jnp.zeros_like(x), example_keys, rate=0.25).where
    np.testing.assert_array_equal(zeros, corruptions.masking(x, example_keys, rate=0.25).where)
    assert zeros.any()


def test_salt_and_pepper_are_as_many(x, example_keys):
    noisy, where = corruptions.salt_and_pepper(x, example_keys, rate=0.4, low=-1.0, high=2.0)
    assert share_is(where, 0.4) and share_is(noisy == -1, 0.2) and share_is(noisy == 2, 0.2)
    np.testing.assert_array_equal(where, (noisy == -1) | (noisy == 2))
    np.testing.assert_array_equal(noisy[~where], x[~where])


@pytest.mark.parametrize("name", NUMBERS)
def test_an_examples_noise_is_its_own(x, example_keys, name):
    corrupt = lambda x, k: getattr(corruptions, name)(x, k, **NUMBERS[name])  # noqa: E731
    whole = corrupt(x, example_keys)
    for a, b in zip(whole, corrupt(x[2:4], example_keys[2:4]), strict=True):
        np.testing.assert_array_equal(a[2:4], b)
    other = corrupt(x.at[:2].set(0.0), example_keys.at[:2].set(jax.random.split(jax.random.key(9))))
    np.testing.assert_array_equal(other.x[2:], whole.x[2:])
    if name != "none":
        same = corrupt(jnp.broadcast_to(x[:1], x.shape), example_keys).x
        assert all((same[i] != same[j]).any() for i in range(6) for j in range(i))


@pytest.mark.parametrize("name", NUMBERS)
def test_shapes_types_and_arguments(x, example_keys, name):
    corrupt = jax.jit(lambda x, k, numbers: getattr(corruptions, name)(x, k, **numbers))
    for factor in (1.0, 0.5):
        numbers = {k: jnp.float32(factor * v) for k, v in NUMBERS[name].items()}
        noisy, where = corrupt(x, example_keys, numbers)
        assert noisy.shape == where.shape == x.shape and noisy.dtype == x.dtype and where.dtype == bool
        assert np.isfinite(noisy).all()
    assert corrupt._cache_size() == 1
