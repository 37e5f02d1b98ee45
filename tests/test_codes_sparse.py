"""Selection of the largest, k-sparse and spatial codes: against sorting in NumPy, one example at a time."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from aejax.codes.k_sparse import KSparse, annealed
from aejax.codes.largest import kth_largest, largest
from aejax.codes.winner_take_all import Lifetime, Spatial
from aejax.errors import UserError

KEY = jax.random.key(0)
PLAIN = {"k": 3, "k_start": 0, "k_share": 0.5, "alpha": 1.0, "progress": 1.0}


def normal(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def kept_by_sorting(row, k):
    """Which of a row are the k largest, the first of equals."""
    kept = np.zeros(len(row), bool)
    kept[np.argsort(-row, kind="stable")[:k]] = True
    return kept


@functools.partial(jax.jit, static_argnames="train")
def k_sparse(h, train=True, **numbers):
    code = KSparse(size=h.shape[-1])
    return code.apply({}, h, train=train, weight=jnp.ones(len(h)), key=KEY, **{**PLAIN, **numbers}).z


@functools.partial(jax.jit, static_argnames="train")
def spatial(h, rate, weight=None, train=True):
    weight = jnp.ones(len(h)) if weight is None else weight
    return Spatial(size=h.shape[-1]).apply({}, h, train=train, weight=weight, key=KEY, rate=rate).z


def spatial_by_sorting(h, rate, weight):
    """Spatial and lifetime sparsity one map at a time."""
    z = np.zeros_like(h)
    real = np.flatnonzero(weight)
    k = max(1, round(rate * len(real)))
    for j in range(h.shape[-1]):
        best = {i: np.unravel_index(np.argmax(h[i, :, :, j]), h.shape[1:3]) for i in real}
        ranked = sorted(real, key=lambda i: -h[i, *best[i], j])[:k]
        for i in ranked:
            z[i, *best[i], j] = max(h[i, *best[i], j], 0)
    return z


def on_devices(count, f, *arrays):
    """``f`` compiled over arrays whose first axis is split between so many devices."""
    split = NamedSharding(Mesh(jax.devices()[:count], "b"), PartitionSpec("b"))
    return jax.jit(f)(*(jax.device_put(a, split) for a in arrays))


@pytest.mark.parametrize("axis", [0, 1])
def test_kth_largest_orders_numbers_of_any_sign(rng, axis):
    find = jax.jit(lambda z, k: kth_largest(z, k, axis))
    z = normal(rng, 6, 9)
    z[1:3] = [np.full(9, -0.0), np.full(9, 0.0)]
    z[4, :3] = [np.inf, -np.inf, -3e38]
    for k in range(1, z.shape[axis] + 1):
        expected = np.take(-np.sort(-z, axis=axis), k - 1, axis=axis)
        np.testing.assert_array_equal(find(z, k), expected)
    assert (find(z, z.shape[axis] + 1) == -np.inf).all()


@pytest.mark.parametrize("n", [7, 8, 33])
def test_largest_are_those_of_a_stable_sort_however_many_are_equal(rng, n):
    choose = jax.jit(largest, static_argnames="axis")
    z = np.round(normal(rng, 5, n))
    z[0], z[1, ::2] = 0, -0.0
    for k in (1, 3, n, n + 2):
        expected = np.stack([kept_by_sorting(row, k) for row in z])
        np.testing.assert_array_equal(choose(z, k), expected)
        np.testing.assert_array_equal(choose(z.T, k, axis=0), expected.T)


def test_k_sparse_keeps_the_k_largest_by_signed_value(rng):
    h = normal(rng, 6, 10)
    h[2] = -np.abs(h[2])
    z = np.asarray(k_sparse(h))
    np.testing.assert_array_equal(z, [np.where(kept_by_sorting(row, 3), row, 0) for row in h])
    assert (z[2] < 0).sum() == 3


def test_exactly_k_survive_where_all_are_equal():
    z = np.asarray(k_sparse(np.full((2, 8), -1.5, np.float32)))
    np.testing.assert_array_equal(z, [[-1.5] * 3 + [0] * 5] * 2)


def test_losers_get_no_gradient_and_survivors_get_one(rng):
    h = normal(rng, 6, 10)
    gradient = jax.grad(lambda h: jnp.sum(k_sparse(h)))(h)
    np.testing.assert_array_equal(gradient, [kept_by_sorting(row, 3) for row in h])


def test_k_sparse_maps_compete_within_an_example(rng):
    h = normal(rng, 3, 2, 4, 5)
    rows = h.reshape(3, 40)
    expected = [np.where(kept_by_sorting(row, 7), row, 0) for row in rows]
    np.testing.assert_array_equal(np.asarray(k_sparse(h, k=7)).reshape(3, 40), expected)


def test_k_is_an_argument(rng):
    h = normal(rng, 4, 20)
    program = jax.jit(lambda h, k, alpha, train: k_sparse(h, train, k=k, alpha=alpha), static_argnums=3)
    for k, alpha in ((2, 1.0), (5, 2.0), (9, 3.0)):
        trained = program(h, jnp.int32(k), jnp.float32(alpha), True)
        np.testing.assert_array_equal(jnp.sum(trained != 0, axis=1), k)
    assert program._cache_size() == 1
    for k, alpha, active in ((2, 1.0, 2), (5, 2.0, 10), (3, 1.5, 4), (9, 3.0, 20), (1, 0.1, 1)):
        encoded = program(h, jnp.int32(k), jnp.float32(alpha), False)
        np.testing.assert_array_equal(jnp.sum(encoded != 0, axis=1), active)
    assert program._cache_size() == 2


def test_k_falls_linearly_and_stays():
    def at(progress, k_start=100, k_share=0.5):
        return float(annealed(10, k_start, k_share, progress))

    np.testing.assert_allclose([at(p) for p in (0.0, 0.25, 0.5, 0.8, 1.0)], [100, 55, 10, 10, 10])
    np.testing.assert_allclose([at(p, k_start=0) for p in (0.0, 0.25, 1.0)], 10)
    np.testing.assert_allclose([at(p, k_share=0.0) for p in (0.0, 1.0)], 10)


def test_annealing_is_of_training_alone(rng):
    h = normal(rng, 4, 20)
    numbers = {"k": 4, "k_start": 12, "progress": 0.25}
    assert (k_sparse(h, True, **numbers) != 0).sum() == 4 * 8
    assert (k_sparse(h, False, **numbers) != 0).sum() == 4 * 4


@pytest.mark.parametrize("rate", [0.1, 0.3, 1.0])
def test_spatial_keeps_one_winner_of_the_best_maps(rng, rate):
    h, weight = normal(rng, 12, 3, 4, 5), np.array([1.0] * 10 + [0.0] * 2, np.float32)
    h[10:] += 10
    h[3, :, :, 1] = -1
    z = np.asarray(spatial(h, rate, weight))
    np.testing.assert_array_equal(z, spatial_by_sorting(h, rate, weight))
    assert ((z != 0).sum((1, 2)) <= 1).all()
    if rate < 1:
        assert ((z != 0).sum((0, 1, 2)) == round(rate * 10)).all()


def test_one_of_equal_places_wins_and_gets_the_gradient():
    h = jnp.ones((1, 2, 2, 1))
    gradient = jax.grad(lambda h: jnp.sum(spatial(h, 1.0)))(h)
    np.testing.assert_array_equal(gradient[0, :, :, 0], [[1, 0], [0, 0]])


def test_spatial_losers_get_no_gradient(rng):
    h = normal(rng, 10, 3, 3, 4)
    gradient = jax.grad(lambda h: jnp.sum(spatial(h, 0.2)))(h)
    np.testing.assert_array_equal(gradient, spatial_by_sorting(h, 0.2, np.ones(10)) > 0)


def test_spatial_encodes_with_a_plain_relu(rng):
    h = normal(rng, 3, 2, 2, 4)
    np.testing.assert_array_equal(spatial(h, 0.2, train=False), np.maximum(h, 0))


def test_spatial_needs_maps(rng):
    with pytest.raises(UserError, match="code.name='spatial'.*encoder.name='allconv'"):
        spatial(normal(rng, 3, 8), 0.2)


def test_lifetime_maps_keep_a_share_of_all_their_places(rng):
    h, weight = normal(rng, 6, 2, 5, 3), np.array([1, 1, 1, 1, 1, 0], np.float32)
    code = jax.jit(lambda h, weight: Lifetime(size=3).apply({}, h, train=True, weight=weight, key=KEY, rate=0.1).z)
    z = np.asarray(code(h, weight))
    rows = np.maximum(h[:5].reshape(50, 3), 0)
    border = -np.sort(-rows, axis=0)[5]
    np.testing.assert_array_equal(z[:5].reshape(50, 3), np.where(rows > border, rows, 0))
    assert not z[5].any()


def test_eight_devices_agree_with_one(rng):
    h, weight = normal(rng, 16, 2, 2, 6), np.array([1.0] * 13 + [0.0] * 3, np.float32)

    def codes(h, weight):
        return k_sparse(h.reshape(16, 24)), spatial(h, 0.2, weight)

    jax.tree.map(np.testing.assert_array_equal, on_devices(8, codes, h, weight), on_devices(1, codes, h, weight))
