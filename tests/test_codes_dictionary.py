"""Codes of sparse dictionaries and their penalties: against NumPy, and against the papers' formulae by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from aejax.codes.dictionary import LONGEST, BatchTopK, TopK
from aejax.codes.gates import Gated, JumpRelu, jump_relu, step
from aejax.errors import UserError
from aejax.penalties.dictionary import aux_k, gate_auxiliary, gate_l1, l0

KEY = jax.random.key(0)


def normal(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


@functools.partial(jax.jit, static_argnums=0)
def start(code, h, **numbers):
    return code.init(KEY, h, train=False, weight=jnp.ones(len(h)), key=KEY, **numbers)


@functools.partial(jax.jit, static_argnums=0)
def trained(code, variables, h, weight=None, **numbers):
    """The code in training, and the variables as it leaves them."""
    weight = jnp.ones(len(h)) if weight is None else weight
    collections = [name for name in variables if name != "params"]
    coded, changed = code.apply(variables, h, train=True, weight=weight, key=KEY, mutable=collections, **numbers)
    return coded, {**variables, **changed}


@functools.partial(jax.jit, static_argnums=0)
def encoded(code, variables, h, **numbers):
    return code.apply(variables, h, train=False, weight=jnp.ones(len(h)), key=None, **numbers)


def silent(variables):
    return np.asarray(variables["silence"]["silence"]["silent"])


def threshold(variables):
    return float(variables["threshold"]["total"] / variables["threshold"]["mass"])


# TopK


def top_k(rng, b=6, size=10, **numbers):
    numbers = {"k": 3, "dead_after": 100, **numbers}
    h = normal(rng, b, size)
    code = TopK(size=size)
    return code, h, start(code, h, **numbers), numbers


def test_top_k_keeps_the_k_largest_that_are_positive(rng):
    code, h, variables, numbers = top_k(rng)
    h[1] = -np.abs(h[1])
    h[2, 2:] = -1
    h[2, :2] = 1
    expected = [np.where(row >= np.sort(row)[-3], np.maximum(row, 0), 0) for row in h]
    z = trained(code, variables, h, **numbers)[0].z
    np.testing.assert_array_equal(z, expected)
    np.testing.assert_array_equal(jnp.sum(z != 0, axis=1)[:3], [3, 0, 2])
    np.testing.assert_array_equal(encoded(code, variables, h, **numbers).z, expected)
    gradient = jax.grad(lambda h: jnp.sum(encoded(code, variables, h, **numbers).z))(h)
    np.testing.assert_array_equal(gradient, np.array(expected) > 0)


def test_top_k_of_maps_is_over_an_example_and_a_unit_is_a_map(rng):
    h = normal(rng, 4, 2, 3, 5)
    h[..., 1] = -1
    code, numbers = TopK(size=5), {"k": 6, "dead_after": 4}
    coded, variables = trained(code, start(code, h, **numbers), h, **numbers)
    np.testing.assert_array_equal(jnp.sum(coded.z > 0, axis=(1, 2, 3)), 6)
    assert coded.extras["dead"].tolist() == [False, True, False, False, False]
    np.testing.assert_allclose(coded.figures["dead_share"], np.full(4, 0.2))


def test_silence_is_counted_in_real_examples(rng):
    code, h, variables, numbers = top_k(rng, k=2, dead_after=10)
    h = np.full((6, 10), -1, np.float32)
    h[:, :2] = 1
    weight = jnp.array([1.0, 1, 1, 1, 1, 0])
    coded, variables = trained(code, variables, h, weight, **numbers)
    np.testing.assert_array_equal(silent(variables), [0, 0] + [5] * 8)
    assert not coded.extras["dead"].any()
    h[5, 7], h[5, 0] = 2, -1  # padding: unit 7 is active there alone
    h[3, 8], h[3, 1] = 2, -1
    coded, variables = trained(code, variables, h, weight, **numbers)
    np.testing.assert_array_equal(silent(variables), [0, 0] + [10] * 6 + [0, 10])
    np.testing.assert_array_equal(coded.extras["dead"], silent(variables) == 10)
    np.testing.assert_allclose(coded.figures["dead_share"], np.full(6, 0.7))
    np.testing.assert_array_equal(encoded(code, variables, h, **numbers).extras["dead"], silent(variables) == 10)


def test_a_count_of_silence_does_not_overflow(rng):
    code, h, variables, numbers = top_k(rng)
    variables["silence"]["silence"]["silent"] = jnp.full(10, LONGEST + 5, jnp.int32)
    _, variables = trained(code, variables, -np.abs(h), **numbers)
    assert (silent(variables) == LONGEST + 6).all()


def test_k_and_dead_after_are_arguments(rng):
    code, h, variables, numbers = top_k(rng)
    program = jax.jit(lambda v, k, dead: trained(code, v, jnp.abs(h), k=k, dead_after=dead)[0])
    for k, dead in ((1, 2), (4, 7), (10, 1)):
        coded = program(variables, jnp.int32(k), jnp.int32(dead))
        np.testing.assert_array_equal(jnp.sum(coded.z > 0, axis=1), k)
    assert program._cache_size() == 1


# BatchTopK


def batch_top_k(h, decay=0.9, k=2):
    code, numbers = BatchTopK(size=h.shape[-1]), {"k": k, "dead_after": 100, "decay": decay}
    return code, start(code, h, **numbers), numbers


def test_batch_top_k_keeps_the_largest_of_the_real_examples(rng):
    h, weight = normal(rng, 8, 10), np.array([1.0] * 6 + [0.0] * 2, np.float32)
    h[6:] += 20
    h[0] += 3
    code, variables, numbers = batch_top_k(h)
    coded, _ = trained(code, variables, h, weight, **numbers)
    border = np.sort(h[:6].ravel())[-12]
    np.testing.assert_array_equal(coded.z, np.where((h >= border) & (weight > 0)[:, None], h, 0))
    np.testing.assert_array_equal(coded.figures["active_units"], (h >= border).sum(1) * weight)
    assert coded.figures["active_units"][0] > 2


def test_batch_top_k_takes_no_zero_and_breaks_ties():
    h = np.array([[1, 1, -1], [1, 0, -1]], np.float32)
    code, variables, numbers = batch_top_k(h)
    assert trained(code, variables, h, **numbers)[0].z.tolist() == [[1, 1, 0], [1, 0, 0]]
    assert trained(code, variables, h, **{**numbers, "k": 1})[0].z.tolist() == [[1, 1, 0], [0, 0, 0]]


def test_the_threshold_is_the_running_mean_of_the_smallest_kept(rng):
    batches = [normal(rng, 6, 10) for _ in range(4)]
    code, variables, numbers = batch_top_k(batches[0])
    assert encoded(code, variables, batches[0], **numbers).z.tolist() == np.maximum(batches[0], 0).tolist()
    smallest = [np.sort(h.ravel())[-12] for h in batches]
    for h in batches:
        _, variables = trained(code, variables, h, **numbers)
    weights = 0.9 ** np.arange(4)[::-1]
    assert threshold(variables) == pytest.approx(weights @ smallest / weights.sum(), rel=1e-5)
    unseen = normal(rng, 50, 10)
    coded = encoded(code, variables, unseen, **numbers)
    np.testing.assert_array_equal(coded.z, np.where(unseen > threshold(variables), unseen, 0))


def test_a_batch_without_activations_leaves_the_threshold(rng):
    h = normal(rng, 6, 10)
    code, variables, numbers = batch_top_k(h)
    _, first = trained(code, variables, h, **numbers)
    _, second = trained(code, first, -np.abs(h), **numbers)
    assert threshold(second) == threshold(first) > 0


def test_the_threshold_converges_to_k_an_example(rng):
    code, variables, numbers = batch_top_k(normal(rng, 64, 20), decay=0.95, k=3)
    program = jax.jit(lambda v, h: trained(code, v, h, **numbers)[1])
    for _ in range(100):
        variables = program(variables, normal(rng, 64, 20))
    active = encoded(code, variables, normal(rng, 2000, 20), **numbers).figures["active_units"]
    assert float(active.mean()) == pytest.approx(3, abs=0.15)


# AuxK


def linear(kernel, shape):
    return lambda z: (z @ kernel).reshape(-1, *shape)


def test_aux_k_by_hand(rng):
    x, output, h, kernel = normal(rng, 4, 2, 2, 1), normal(rng, 4, 2, 2, 1), normal(rng, 4, 6), normal(rng, 6, 4)
    dead = np.array([True, False, True, True, False, True])
    expected = []
    for i in range(4):
        chosen = sorted(np.flatnonzero(dead), key=lambda j: -h[i, j])[:2]
        made = sum(max(h[i, j], 0) * kernel[j] for j in chosen)
        expected.append(np.sum((x[i].ravel() - output[i].ravel() - made) ** 2))
    value = jax.jit(aux_k, static_argnums=4)(x, output, h, dead, linear(kernel, (2, 2, 1)), aux_units=2)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_aux_k_reaches_dead_units_and_the_decoder_alone(rng):
    x, h, kernel = normal(rng, 4, 2, 2, 1), np.abs(normal(rng, 4, 6)), normal(rng, 6, 4)
    dead = jnp.array([True, False, False, True, False, False])

    def loss(output, h, dead, aux_units):
        return jnp.sum(aux_k(x, output, h, dead, linear(kernel, (2, 2, 1)), aux_units=aux_units))

    slope = jax.jit(jax.value_and_grad(loss, (0, 1)))
    _, (for_output, for_h) = slope(x * 0.5, h, dead, 64)
    assert not for_output.any()
    assert (for_h != 0).tolist() == [dead.tolist()] * 4
    value, (_, for_h) = slope(x * 0.5, h, jnp.zeros(6, bool), 3)
    assert value == 0 and not for_h.any()


def faint_unit_is_dead(weight, rng):
    """Whether unit 5 of a TopK autoencoder, too faint to be chosen at first, is dead after training."""
    x = jnp.asarray(np.abs(normal(rng, 64, 6)))
    code, numbers = TopK(size=6), {"k": 2, "dead_after": 100}
    kernel = 0.5 * np.eye(6, dtype=np.float32)
    encoder = kernel.copy()
    encoder[5, 5] = 1e-3
    params = {"encoder": jnp.asarray(encoder), "decoder": jnp.asarray(kernel), "bias": jnp.zeros(6)}
    optimiser = optax.adam(1e-2)

    def loss(params, variables):
        h = x @ params["encoder"] + params["bias"][None]
        coded, variables = trained(code, variables, h, **numbers)
        output = coded.z @ params["decoder"]
        aux = aux_k(x, output, h, coded.extras["dead"], linear(params["decoder"], (6,)), aux_units=2)
        return jnp.mean(jnp.sum((x - output) ** 2, axis=1) + weight * aux), (variables, coded.extras["dead"])

    def update(carry, _):
        params, variables, state = carry
        gradient, (variables, dead) = jax.grad(loss, has_aux=True)(params, variables)
        changes, state = optimiser.update(gradient, state)
        return (optax.apply_updates(params, changes), variables, state), dead

    carry = params, start(code, x, **numbers), optimiser.init(params)
    _, dead = jax.jit(lambda carry: jax.lax.scan(update, carry, length=150))(carry)
    assert dead[5].tolist() == [False] * 5 + [True]
    return bool(dead[-1, 5])


def test_aux_k_revives_a_unit_and_nothing_else_does(rng):
    assert faint_unit_is_dead(0.0, rng)
    assert not faint_unit_is_dead(1 / 32, rng)


# JumpReLU


H = np.array([[-1.0, 0.0, 0.39, 0.41], [0.49, 0.51, 0.59, 0.61]], np.float32)
THETA, WIDTH = 0.5, 0.2
NEAR = np.abs(H - THETA) < WIDTH / 2  # 0.41 to 0.59: within half the bandwidth of the threshold


def test_jump_relu_and_its_estimated_derivatives_by_hand():
    g = np.arange(1, 9, dtype=np.float32).reshape(H.shape)
    theta = np.full(H.shape, THETA, np.float32)
    z, pull = jax.vjp(lambda h, t: jump_relu(h, t, WIDTH), H, theta)
    np.testing.assert_array_equal(z, np.where(H > THETA, H, 0))
    for_h, for_theta = pull(g)
    np.testing.assert_array_equal(for_h, g * (H > THETA))
    np.testing.assert_allclose(for_theta, -g * THETA / WIDTH * NEAR)
    on, pull = jax.vjp(lambda h, t: step(h, t, WIDTH), H, theta)
    np.testing.assert_array_equal(on, H > THETA)
    for_h, for_theta = pull(g)
    assert not for_h.any()
    np.testing.assert_allclose(for_theta, -g / WIDTH * NEAR)
    _, forward = jax.jvp(lambda t: jump_relu(H, t, WIDTH), (theta,), (g,))
    np.testing.assert_allclose(forward, -g * THETA / WIDTH * NEAR)


@pytest.mark.parametrize("shape", [(2, 4), (1, 2, 1, 4)])
def test_jump_relu_learns_the_logarithm_of_its_thresholds(shape):
    h = H.reshape(shape)
    code, numbers = JumpRelu(size=4, threshold=THETA), {"bandwidth": WIDTH}
    variables = start(code, h, **numbers)

    def terms(variables):
        coded = encoded(code, variables, h, **numbers)
        return jnp.sum(coded.z), jnp.sum(l0(h, **coded.extras))

    np.testing.assert_allclose(encoded(code, variables, h, **numbers).extras["threshold"], np.full(4, THETA))
    for_z, for_l0 = (g["params"]["log_threshold"] for g in jax.jit(jax.jacrev(terms))(variables))
    np.testing.assert_allclose(for_z, -THETA * THETA / WIDTH * NEAR.sum(0), rtol=1e-5)
    np.testing.assert_allclose(for_l0, -THETA / WIDTH * NEAR.sum(0), rtol=1e-5)


def test_l0_counts_active_units(rng):
    h = normal(rng, 5, 7)
    code, numbers = JumpRelu(size=7, threshold=0.2), {"bandwidth": 0.1}
    coded = encoded(code, start(code, h, **numbers), h, **numbers)
    np.testing.assert_array_equal(l0(h, **coded.extras), (h > 0.2).sum(1))
    np.testing.assert_array_equal(coded.figures["active_units"], (h > 0.2).sum(1))
    assert not jax.grad(lambda h: jnp.sum(l0(h, **coded.extras)))(h).any()


def test_the_bandwidth_is_an_argument(rng):
    h = normal(rng, 5, 7)
    program = jax.jit(jax.grad(lambda t, width: jnp.sum(l0(h, t, width))))
    for width in (0.5, 2.0):
        near = np.abs(h - 0.3) < width / 2
        np.testing.assert_allclose(program(jnp.full(7, 0.3), width), -near.sum(0) / width, rtol=1e-5)
    assert program._cache_size() == 1


def test_a_threshold_that_is_not_positive_is_refused():
    with pytest.raises(UserError, match="config.code.threshold=0.0 .* positive"):
        start(JumpRelu(size=4, threshold=0.0), H, bandwidth=0.1)


# Gated


def gated(rng, h):
    params = {name: normal(rng, h.shape[-1]) for name in ("b_gate", "r_mag", "b_mag")}
    return Gated(size=h.shape[-1]), {"params": params}, params


def test_gated_by_hand(rng):
    h = normal(rng, 5, 7)
    code, variables, p = gated(rng, h)
    coded = encoded(code, variables, h)
    gate = h + p["b_gate"]
    np.testing.assert_array_equal(coded.extras["gate"], gate)
    expected = (gate > 0) * np.maximum(np.exp(p["r_mag"]) * h + p["b_mag"], 0)
    np.testing.assert_allclose(coded.z, expected, rtol=1e-5)
    np.testing.assert_array_equal(coded.figures["active_units"], (expected > 0).sum(1))
    np.testing.assert_allclose(gate_l1(coded.extras["gate"]), np.maximum(gate, 0).sum(1), rtol=1e-5)
    maps = encoded(code, variables, h.reshape(5, 1, 1, 7))
    np.testing.assert_array_equal(maps.z.reshape(5, 7), coded.z)
    np.testing.assert_array_equal(gate_l1(maps.extras["gate"]), gate_l1(coded.extras["gate"]))


def test_gated_starts_as_a_relu(rng):
    h = normal(rng, 5, 7)
    code = Gated(size=7)
    np.testing.assert_array_equal(encoded(code, start(code, h), h).z, np.maximum(h, 0))


def test_only_its_penalties_teach_the_gate(rng):
    h, x, kernel = normal(rng, 5, 7), normal(rng, 5, 2, 2, 1), normal(rng, 7, 4)
    code, variables, p = gated(rng, h)

    def term(f):
        return jax.jit(jax.grad(lambda v: jnp.sum(f(encoded(code, v, h)))))(variables)["params"]

    reconstruction = term(lambda coded: jnp.square(coded.z))
    assert not reconstruction["b_gate"].any()
    assert reconstruction["r_mag"].any() and reconstruction["b_mag"].any()
    closing = term(lambda coded: gate_l1(coded.extras["gate"]))
    np.testing.assert_array_equal(closing["b_gate"], (h + p["b_gate"] > 0).sum(0))
    opening = term(lambda coded: gate_auxiliary(x, coded.extras["gate"], linear(kernel, (2, 2, 1))))
    on = np.maximum(h + p["b_gate"], 0)
    by_hand = ((on > 0) * (2 * (on @ kernel - x.reshape(5, 4)) @ kernel.T)).sum(0)
    np.testing.assert_allclose(opening["b_gate"], by_hand, rtol=1e-4, atol=1e-4)
    for gradient in (closing, opening):
        assert not gradient["r_mag"].any() and not gradient["b_mag"].any()


def test_gate_auxiliary_by_hand(rng):
    x, gate, kernel = normal(rng, 5, 2, 2, 1), normal(rng, 5, 7), normal(rng, 7, 4)
    expected = np.square(x.reshape(5, 4) - np.maximum(gate, 0) @ kernel).sum(1)
    np.testing.assert_allclose(gate_auxiliary(x, gate, linear(kernel, (2, 2, 1))), expected, rtol=1e-5)


# all of them


def test_eight_devices_agree_with_one(rng):
    h, weight = normal(rng, 16, 6), np.array([1.0] * 13 + [0.0] * 3, np.float32)
    h[:, 2] -= 9
    codes = {
        TopK(size=6): {"k": 2, "dead_after": 13},
        BatchTopK(size=6): {"k": 2, "dead_after": 13, "decay": 0.9},
        JumpRelu(size=6): {"bandwidth": 0.5},
        Gated(size=6): {},
    }
    variables = [start(code, h, **numbers) for code, numbers in codes.items()]

    def run(h, weight):
        coded, changed = zip(
            *(trained(c, v, h, weight, **n) for (c, n), v in zip(codes.items(), variables, strict=True)), strict=True
        )
        dead, made = coded[0].extras["dead"], linear(jnp.ones((6, 1)), (1,))
        penalties = aux_k(h[:, :1], h[:, 1:2], h, dead, made, aux_units=1), l0(h, **coded[2].extras)
        return coded, changed, penalties

    def on(count):
        split = NamedSharding(Mesh(jax.devices()[:count], "b"), PartitionSpec("b"))
        return jax.jit(run)(*jax.device_put((h, weight), split))

    one, eight = on(1), on(8)
    assert one[0][0].extras["dead"].tolist() == [False, False, True, False, False, False]
    assert one[2][0].any()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), one, eight)
