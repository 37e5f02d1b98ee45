import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from aejax import optim
from configs.base import base

TOTAL = 100


def section(**changes):
    config = base().optim
    config.update(changes)
    return config, {k: jnp.float32(v) for k, v in config.items() if isinstance(v, float)}


def rates(**changes):
    config, numbers = section(learning_rate=0.5, **changes)
    return np.array([optim.learning_rate(config, numbers, jnp.int32(s), TOTAL) for s in range(TOTAL)])


def test_constant():
    np.testing.assert_allclose(rates(), 0.5)


def test_warm_up_rises_to_the_peak_and_the_schedule_takes_the_rest():
    got = rates(schedule="linear", warmup=0.2)
    np.testing.assert_allclose(got[:20], 0.5 * np.arange(1, 21) / 20, rtol=1e-5)
    np.testing.assert_allclose(got[20:], 0.5 * (1 - np.arange(80) / 80), rtol=1e-4)


def test_cosine_is_optaxs():
    expected = [optax.cosine_decay_schedule(0.5, TOTAL, alpha=0.1)(s) for s in range(TOTAL)]
    np.testing.assert_allclose(rates(schedule="cosine", final=0.1), expected, rtol=1e-4)


def test_step_multiplies_at_each_milestone():
    got = rates(schedule="step", milestones=(0.5, 0.75), factor=0.1)
    np.testing.assert_allclose(got[[0, 49, 50, 74, 75, 99]], [0.5, 0.5, 0.05, 0.05, 0.005, 0.005], rtol=1e-5)


def updates(gradient, params, steps=1, **changes):
    config, numbers = section(**changes)
    state = optim.init(config, numbers, params)
    for _ in range(steps):
        change, state = optim.optimiser(config, numbers, numbers["learning_rate"]).update(gradient, state, params)
    return change


def test_adam_by_hand():
    g, params = jnp.array([1.0, -4.0]), jnp.zeros(2)
    change = updates(g, params, steps=2, learning_rate=0.1, b1=0.5, b2=0.75, eps=1e-3)
    m, v = (0.5 * g + 0.5 * 0.5 * g) / (1 - 0.5**2), (0.25 * g**2 + 0.75 * 0.25 * g**2) / (1 - 0.75**2)
    np.testing.assert_allclose(change, -0.1 * m / (np.sqrt(v) + 1e-3), rtol=1e-5)


def test_weight_decay_is_decoupled_where_the_optimiser_has_it_and_in_the_gradient_where_not():
    g, params = jnp.zeros(2), jnp.array([1.0, -2.0])
    decay = {"learning_rate": 0.1, "weight_decay": 0.5}
    np.testing.assert_allclose(updates(g, params, name="sgd", **decay), -0.1 * 0.5 * params, rtol=1e-6)
    np.testing.assert_allclose(updates(g, params, name="adamw", **decay), -0.1 * 0.5 * params, rtol=1e-6)
    np.testing.assert_allclose(updates(g, params, name="adam", **decay), -0.1 * jnp.sign(params), rtol=1e-3)


def test_clipping_bounds_the_global_norm():
    g = {"a": jnp.array([3.0]), "b": jnp.array([4.0])}
    change = updates(g, jax.tree.map(jnp.zeros_like, g), name="sgd", learning_rate=1.0, clip_norm=1.0)
    np.testing.assert_allclose([change["a"][0], change["b"][0]], [-0.6, -0.8], rtol=1e-6)


def test_momentum():
    change = updates(jnp.ones(1), jnp.zeros(1), steps=3, name="sgd", learning_rate=1.0, momentum=0.5)
    np.testing.assert_allclose(change, -(1 + 0.5 + 0.25), rtol=1e-6)


def test_no_momentum_is_none_also_where_optax_has_some_by_default():
    change = [updates(jnp.ones(1), jnp.ones(1), steps=3, name="lars", momentum=m) for m in (0.0, 0.9)]
    assert abs(change[1][0]) > 2 * abs(change[0][0])


@pytest.mark.parametrize("name", sorted(optim.OPTIMISERS))
def test_every_optimiser_steps_downhill_with_traced_numbers(name):
    config, numbers = section(name=name, learning_rate=0.01)
    params = {"kernel": jnp.full((4, 3), 2.0), "bias": jnp.full(3, 2.0)}

    @jax.jit
    def ten(numbers, params):
        def loss(p):
            return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(p))

        state, start = optim.init(config, numbers, params), loss(params)
        for _ in range(10):
            change, state = optim.optimiser(config, numbers, numbers["learning_rate"]).update(
                jax.grad(loss)(params), state, params
            )
            params = optax.apply_updates(params, change)
        return start, loss(params)

    start, end = ten(numbers, params)
    assert end < start


def test_adam_is_optaxs(rng):
    """Over several steps with gradients of many sizes, its state included."""
    params = {"kernel": jnp.asarray(rng.normal(size=(5, 3)), jnp.float32), "bias": jnp.zeros(3)}
    numbers = {"learning_rate": 0.01, "b1": 0.8, "b2": 0.99, "eps": 1e-4}
    ours, theirs = optim.adam(**numbers), optax.adam(**numbers)
    states = [ours.init(params), theirs.init(params)]
    for step in range(4):
        gradient = jax.tree.map(lambda p, s=step: jnp.asarray(rng.normal(size=p.shape) * 10.0 ** (2 * s - 5)), params)
        found, states[0] = ours.update(gradient, states[0], params)
        expected, states[1] = theirs.update(gradient, states[1], params)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5), (found, states[0]), (expected, states[1])
        )
