"""Penalties on activity, on weights and on the distribution of a batch, against NumPy and hand values."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

from aejax import keys, parts, penalties
from aejax.errors import UserError
from aejax.penalties.divergence import SCALES

KEY = jax.random.key(3)
PADDED = np.array([1, 1, 1, 0, 0], np.float32)  # of a batch of 5


def codes(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def test_every_public_function_is_a_penalty_and_no_helper_is():
    assert sorted(parts.functions(penalties)) == sorted(penalties.__all__)
    for name, function in parts.functions(penalties).items():
        assert function.__doc__ and name == function.__name__
        for parameter in inspect.signature(function).parameters.values():
            assert parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)


@pytest.mark.parametrize("shape", [(5, 3), (5, 2, 4, 3)])
def test_l1_and_l2_sum_over_units_and_positions(rng, shape):
    z = codes(rng, *shape)
    np.testing.assert_allclose(penalties.l1(z), np.abs(z).reshape(5, -1).sum(1), rtol=1e-6)
    np.testing.assert_allclose(penalties.l2(z), (z**2).reshape(5, -1).sum(1) / 2, rtol=1e-6)


# -- KL sparsity


def kl(rho, mean):
    return (rho * np.log(rho / mean) + (1 - rho) * np.log((1 - rho) / (1 - mean))).sum()


def test_kl_sparsity_by_hand():
    z = jnp.array([[0.4, 0.1], [0.6, 0.1]])
    expected = 0.1 * np.log(0.1 / 0.5) + 0.9 * np.log(0.9 / 0.5)
    np.testing.assert_allclose(penalties.kl_sparsity(z, jnp.ones(2), sparsity=0.1), [expected] * 2, rtol=1e-5)


def test_kl_sparsity_is_over_the_batch_and_the_positions(rng):
    z = rng.random((5, 2, 3, 4)).astype(np.float32)
    value = penalties.kl_sparsity(z, jnp.array(PADDED), sparsity=0.05)
    np.testing.assert_allclose(value, np.full(5, kl(0.05, z[:3].mean((0, 1, 2)))), rtol=1e-5)


def test_kl_sparsity_pushes_towards_its_target():
    z = jnp.array([[0.0, 0.01, 0.05, 0.5, 1.0]] * 3)
    slope = jax.grad(lambda z: penalties.kl_sparsity(z, jnp.ones(3), sparsity=0.05)[0])(z)
    assert np.isfinite(slope).all()
    assert (slope[:, :2] < 0).all() and (slope[:, 3:] > 0).all() and (jnp.abs(slope[:, 2]) < 1e-5).all()


def test_a_unit_that_is_never_or_always_on_has_a_finite_divergence():
    z = jnp.array([[0.0, 1.0]] * 4)
    value = penalties.kl_sparsity(z, jnp.ones(4), sparsity=0.05)[0]
    assert kl(0.05, np.array([1e-3, 1 - 1e-3])) < value < kl(0.05, np.array([1e-9, 1 - 1e-9]))


# -- weights


def test_weight_decay_is_half_the_squares_of_all_kernels(rng):
    encoder, decoder = [codes(rng, 4, 3), codes(rng, 3, 2)], [codes(rng, 3, 3, 1, 2)]
    squares = [sum((k.astype(np.float64) ** 2).sum() for k in kernels) / 2 for kernels in (encoder, decoder)]
    np.testing.assert_allclose(penalties.weight_decay(encoder, decoder, jnp.ones(5)), [sum(squares)] * 5, rtol=1e-5)
    np.testing.assert_allclose(penalties.decoder_weight_decay(decoder, jnp.ones(5)), [squares[1]] * 5, rtol=1e-5)
    np.testing.assert_allclose(penalties.weight_decay(encoder, [], jnp.ones(5)), [squares[0]] * 5, rtol=1e-5)


def test_decoder_weight_decay_of_a_tied_decoder_is_refused_by_name():
    with pytest.raises(UserError, match="config.loss.decoder_weight_decay.*loss.weight_decay"):
        penalties.decoder_weight_decay([], jnp.ones(5))


def test_orthogonality_by_hand_and_by_numpy(rng):
    by_hand = jnp.array([[2.0, 0.0], [0.0, 1.0], [0.0, 1.0]])  # WᵀW = [[4, 0], [0, 2]]
    assert penalties.orthogonality([by_hand], jnp.ones(2)).tolist() == [10.0, 10.0]
    conv, dense = codes(rng, 3, 3, 2, 5), codes(rng, 6, 4)
    rows = [conv.reshape(18, 5), dense]
    expected = sum(np.square(w.T @ w - np.eye(w.shape[1])).sum() for w in rows)
    np.testing.assert_allclose(penalties.orthogonality([conv, dense], jnp.ones(3)), [expected] * 3, rtol=1e-5)


def test_orthonormal_filters_cost_nothing_and_more_filters_than_inputs_compare_rows(rng):
    q = np.linalg.qr(rng.normal(size=(6, 4)))[0].astype(np.float32)
    np.testing.assert_allclose(penalties.orthogonality([q, q.T], jnp.ones(2)), [0, 0], atol=1e-9)
    wide = codes(rng, 3, 7)
    columns = np.square(wide.T @ wide - np.eye(7)).sum()
    np.testing.assert_allclose(penalties.orthogonality([wide], jnp.ones(1)), [columns - (7 - 3)], rtol=1e-5)
    slope = jax.grad(lambda w: penalties.orthogonality([w], jnp.ones(1))[0])(wide)
    np.testing.assert_allclose(slope, 4 * wide @ (wide.T @ wide - np.eye(7)), rtol=1e-3, atol=1e-4)


# -- maximum mean discrepancy

KERNELS = {
    "mmd_rbf": lambda squared, c: sum(np.exp(-squared / (s * c)) for s in SCALES),
    "mmd_imq": lambda squared, c: sum(s * c / (s * c + squared) for s in SCALES),
}


def drawn_prior(name, b, d):
    """The samples of the prior that the penalty compares with."""
    example_keys = keys.per_example(keys.named(KEY, name), b)
    return np.asarray(jax.vmap(lambda k: jax.random.normal(k, (d,)))(example_keys), np.float64)


def mmd_by_pairs(z, p, kernel):
    n, d = z.shape
    k = lambda x, y: kernel(((x - y) ** 2).sum(), 2 * d)  # noqa: E731
    within = sum(k(z[i], z[j]) + k(p[i], p[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    return within - 2 * sum(k(z[i], p[j]) for i in range(n) for j in range(n)) / n**2


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("shape", [(5, 3), (5, 2, 1, 2)])
def test_mmd_is_the_double_loop(rng, name, shape):
    z, mmd = codes(rng, *shape), jax.jit(getattr(penalties, name))
    rows = z.reshape(5, -1)
    p = drawn_prior(name, 5, rows.shape[1])
    value = mmd(z, jnp.ones(5), KEY)
    np.testing.assert_allclose(value, np.full(5, mmd_by_pairs(rows, p, KERNELS[name])), rtol=1e-4, atol=1e-5)
    value = mmd(z, jnp.array(PADDED), KEY)  # padding has no part in it
    np.testing.assert_allclose(value, np.full(5, mmd_by_pairs(rows[:3], p[:3], KERNELS[name])), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", KERNELS)
def test_mmd_is_unbiased_at_the_prior_and_large_elsewhere(rng, name):
    value = jax.jit(jax.vmap(lambda z, key: getattr(penalties, name)(z, jnp.ones(20), key)[0]))
    z, several = codes(rng, 300, 20, 4), jax.random.split(KEY, 300)
    drawn = np.asarray(value(z, several))
    assert abs(drawn.mean()) < 3 * drawn.std() / np.sqrt(300)
    for other in (2 + z, 0.1 * z, 5 * z):
        assert np.mean(value(other, several)) > 5 * drawn.std()


@pytest.mark.parametrize("name", KERNELS)
def test_mmd_pulls_codes_to_the_prior_and_is_finite(rng, name):
    mmd = jax.jit(jax.value_and_grad(lambda z, weight: getattr(penalties, name)(z, weight, KEY)[0]))
    assert mmd(2 + codes(rng, 40, 3), jnp.ones(40))[1].mean() > 0
    lone = jnp.zeros(40).at[0].set(1.0)
    for value, weight in ((0.0, jnp.ones(40)), (1e4, jnp.ones(40)), (1.0, lone)):
        assert all(np.isfinite(found).all() for found in mmd(jnp.full((40, 3), value), weight))


# -- total correlation


def total_correlation_by_loops(z, mean, log_std, n):
    m, d = z.shape
    logs = norm.logpdf(z[:, None], mean[None], np.exp(log_std)[None])  # [z of i, x of m, unit]
    joint = logsumexp(logs.sum(2), axis=1) - np.log(n * m)
    alone = sum(logsumexp(logs[:, :, j], axis=1) - np.log(n * m) for j in range(d))
    return joint - alone


@pytest.mark.parametrize("shape", [(5, 3), (5, 2, 1, 2)])
def test_total_correlation_is_that_of_numpy(rng, shape):
    z, mean, log_std = (codes(rng, *shape) * s for s in (1.0, 1.0, 0.3))
    rows = [a.reshape(5, -1).astype(np.float64) for a in (z, mean, log_std)]
    correlation = jax.jit(penalties.total_correlation)
    value = correlation(z, mean, log_std, jnp.ones(5), 100)
    np.testing.assert_allclose(value, total_correlation_by_loops(*rows, 100), rtol=1e-4)
    padded = correlation(z, mean, log_std, jnp.array(PADDED), 100)
    np.testing.assert_allclose(padded[:3], total_correlation_by_loops(*(a[:3] for a in rows), 100), rtol=1e-4)
    assert np.isfinite(padded).all()


def test_total_correlation_of_units_that_copy_each_other_is_larger(rng):
    b, n = 200, 200
    free = codes(rng, b, 2)
    copies = np.repeat(codes(rng, b, 1), 2, axis=1)
    correlation = jax.jit(penalties.total_correlation)
    log_std = jnp.full((b, 2), np.log(0.3))
    value = lambda mean: correlation(mean + 0.3 * codes(rng, b, 2), mean, log_std, jnp.ones(b), n).mean()  # noqa: E731
    assert value(copies) > value(free) + 0.5
    # Independent units: what is left is the estimator's own constant, (d − 1) log N.
    assert abs(value(free) - np.log(n)) < 0.7


def test_total_correlation_has_gradients_that_padding_does_not_spoil(rng):
    z, mean, log_std = codes(rng, 5, 3), codes(rng, 5, 3), 0.1 * codes(rng, 5, 3)

    def loss(z, mean, log_std, weight, n):
        return jnp.sum(weight * penalties.total_correlation(z, mean, log_std, weight, n))

    slopes = jax.jit(jax.grad(loss, (0, 1, 2)))
    whole = slopes(z[:3], mean[:3], log_std[:3], jnp.ones(3), 100)
    padded = slopes(z, mean, log_std, jnp.array(PADDED), 5000)  # and N is in no gradient
    for a, b in zip(whole, padded, strict=True):
        np.testing.assert_allclose(a, b[:3], rtol=1e-4, atol=1e-5)
        assert not np.any(b[3:])
