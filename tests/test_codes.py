import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax import codes


def kept_by_sorting(z, rate, weight):
    """Winners by NumPy, one unit and one example at a time."""
    real = np.flatnonzero(weight)
    k = max(1, round(rate * len(real)))
    won = np.zeros(z.shape, bool)
    for j in range(z.shape[1]):
        border = np.sort(z[real, j])[::-1][k] if k < len(real) else 0.0
        for i in real:
            won[i, j] = z[i, j] > max(border, 0.0)
    return won


@pytest.mark.parametrize("k", [1, 3, 10, 40, 41, 100])
def test_kth_largest_is_that_of_a_sort(rng, k):
    z = np.maximum(rng.normal(size=(40, 7)), 0).astype(np.float32)
    z[:, 0] = 0
    z[5:9, 1] = z[4, 1]
    expected = -np.sort(-z, axis=0)[k - 1] if k <= 40 else np.full(7, -np.inf)
    np.testing.assert_array_equal(jax.jit(codes.kth_largest)(z, k), expected)


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.3, 1.0])
def test_winners_are_those_of_a_sort(rng, rate):
    z = np.maximum(rng.normal(size=(40, 30)), 0).astype(np.float32)
    weight = np.ones(40, np.float32)
    weight[33:] = 0
    won = np.asarray(codes.winners(z, rate, weight))
    np.testing.assert_array_equal(won, kept_by_sorting(z, rate, weight))
    if rate < 0.3:  # more than that share of the activations is positive, so every place is taken
        assert (won.sum(0) == max(1, round(rate * 33))).all()


def test_ties_at_the_border_all_lose_and_ties_inside_all_win():
    weight = jnp.ones(4)
    border = jnp.array([[3.0], [2.0], [2.0], [1.0]])
    assert codes.winners(border, 0.5, weight)[:, 0].tolist() == [True, False, False, False]
    inside = jnp.array([[2.0], [2.0], [1.0], [0.5]])
    assert codes.winners(inside, 0.5, weight)[:, 0].tolist() == [True, True, False, False]


def test_zeros_and_padding_never_win():
    z = jnp.array([[0.0, 0.0], [0.0, 5.0], [0.0, 9.0]])
    won = codes.winners(z, 1.0, jnp.array([1.0, 1.0, 0.0]))
    assert won.tolist() == [[False, False], [False, True], [False, False]]


def lifetime(h, rate, train):
    code = codes.Lifetime(size=h.shape[1])
    return code.apply({}, h, train=train, weight=jnp.ones(len(h)), key=jax.random.key(0), rate=rate).z


def test_losers_get_no_gradient_and_winners_get_one(rng):
    h = jnp.asarray(rng.normal(size=(20, 6)), jnp.float32)
    gradient = jax.grad(lambda h: jnp.sum(lifetime(h, 0.1, True)))(h)
    won = kept_by_sorting(np.maximum(h, 0), 0.1, np.ones(20))
    assert won.sum() == 2 * 6
    np.testing.assert_array_equal(gradient, won.astype(np.float32))


def test_lifetime_encodes_with_a_plain_relu(rng):
    h = jnp.asarray(rng.normal(size=(20, 6)), jnp.float32)
    np.testing.assert_array_equal(lifetime(h, 0.1, False), np.maximum(h, 0))


def test_the_rate_is_an_argument(rng):
    h = jnp.asarray(rng.normal(size=(20, 6)), jnp.float32)
    program = jax.jit(lambda h, rate: lifetime(h, rate, True))
    assert int((program(h, 0.05) > 0).sum()) == 6
    assert int((program(h, 0.2) > 0).sum()) == 24
    assert program._cache_size() == 1


def test_deterministic_is_its_activation(rng):
    h = rng.normal(size=(3, 4)).astype(np.float32)
    code = codes.Deterministic(size=4, activation="tanh")
    coded = code.apply({}, h, train=True, weight=jnp.ones(3), key=jax.random.key(0))
    np.testing.assert_allclose(coded.z, np.tanh(h), rtol=1e-5)
    assert coded.penalties == {}
