"""Penalties on Jacobians against jacrev, closed forms and finite differences; estimates against what they estimate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax import penalties
from aejax.errors import UserError
from aejax.penalties import jacobian

B, SHAPE = 4, (3, 2, 1)  # of images: 6 components
KEY = jax.random.key(5)


def drawn(rng, *shape):
    return jnp.asarray(rng.normal(size=shape), jnp.float32)


def one_layer(act):
    """``encode(params, x)`` of one dense layer."""
    return lambda params, x: act(x.reshape(len(x), -1) @ params["w"] + params["b"][None])


def two_layers(params, x):
    h = jnp.tanh(x.reshape(len(x), -1) @ params["w"] + params["b"][None])
    return jax.nn.sigmoid(h @ params["v"])


def maps(params, x):
    """Codes of more dimensions than the images, as maps [b, 3, 2, 4]."""
    return jnp.tanh(x * params["m"][None, None, None])


NETS = {
    "sigmoid": (one_layer(jax.nn.sigmoid), 4),
    "relu": (one_layer(jax.nn.relu), 4),
    "wide": (one_layer(jnp.tanh), 9),
    "two_layers": (two_layers, 5),
    "maps": (maps, 5),
}


def made(name, rng):
    encode, d = NETS[name]
    params = {"w": drawn(rng, 6, d), "b": drawn(rng, d), "v": drawn(rng, d, 3), "m": drawn(rng, 4)}
    return encode, params, drawn(rng, B, *SHAPE)


@pytest.fixture(params=NETS)
def net(request, rng):
    return made(request.param, rng)


def by_jacrev(f, x):
    """[b] by the whole Jacobian of each example."""
    jacobian = jax.jit(jax.vmap(jax.jacrev(lambda one: f(one[None])[0])))(x)
    return jnp.sum(jnp.square(jacobian.reshape(len(x), -1)), axis=1)


def by_differences(f, x, eps=1e-5):
    """The same in float64 by central differences, one component at a time."""
    with jax.enable_x64(True):
        f, x = jax.jit(f), np.asarray(x, np.float64)
        total = np.zeros(len(x))
        for i in np.ndindex(x.shape[1:]):
            step = np.zeros(x.shape)
            step[(slice(None), *i)] = eps
            slope = (np.asarray(f(jnp.asarray(x + step))) - np.asarray(f(jnp.asarray(x - step)))) / (2 * eps)
            total += np.square(slope.reshape(len(x), -1)).sum(1)
        return total


def test_contractive_is_the_norm_of_the_jacobian(net):
    encode, params, x = net
    f = lambda x: encode(params, x)  # noqa: E731
    value = jax.jit(lambda x: penalties.contractive(x, f))(x)
    np.testing.assert_allclose(value, by_jacrev(f, x), rtol=1e-5)
    np.testing.assert_allclose(value, by_differences(f, x), rtol=1e-4)


@pytest.mark.parametrize("act", [jax.nn.sigmoid, jax.nn.relu])
def test_the_closed_form_of_one_layer_is_the_same(rng, act):
    w, b, x = drawn(rng, 6, 4), drawn(rng, 4), drawn(rng, B, *SHAPE)

    def closed(w):
        h = x.reshape(B, -1) @ w + b[None]
        slope = jax.jvp(act, (h,), (jnp.ones_like(h),))[1]
        return penalties.contractive(x, None, (w, slope))

    general = lambda w: penalties.contractive(x, lambda x: one_layer(act)({"w": w, "b": b}, x))  # noqa: E731
    np.testing.assert_allclose(jax.jit(closed)(w), jax.jit(general)(w), rtol=1e-5)
    slopes = [jax.jit(jax.grad(lambda w, f=f: jnp.sum(f(w))))(w) for f in (closed, general)]
    np.testing.assert_allclose(*slopes, rtol=1e-4, atol=1e-5)


def test_contractive_of_a_sigmoid_layer_by_hand():
    w = jnp.array([[3.0, 1.0], [4.0, 0.0]])
    value = penalties.contractive(jnp.zeros((1, 2)), lambda x: jax.nn.sigmoid(x @ w))
    np.testing.assert_allclose(value, [25 / 16 + 1 / 16], rtol=1e-6)  # slopes of 1/4


@pytest.mark.parametrize("name", ["two_layers", "maps"])
def test_contractive_is_differentiable_and_keeps_to_its_memory(rng, name, monkeypatch):
    encode, params, x = made(name, rng)
    loss = lambda f: lambda p: jnp.sum(f(x, lambda x: encode(p, x)))  # noqa: E731
    expected = jax.jit(jax.grad(loss(lambda x, f: by_jacrev(f, x))))(params)
    for at_once in (2**22, 50):  # all basis vectors together; a few, with some left over
        monkeypatch.setattr(jacobian, "AT_ONCE", at_once)
        found = jax.jit(jax.grad(loss(lambda x, f: penalties.contractive(x, f))))(params)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), found, expected)


def mean_is(samples, expected, errors=3.0):
    """Whether the mean of samples [n, b] is within so many standard errors of what is expected [b]."""
    samples = np.asarray(samples, np.float64)
    error = samples.std(0) / np.sqrt(len(samples))
    return (np.abs(samples.mean(0) - np.asarray(expected)) <= errors * error + 1e-5 * np.asarray(expected)).all()


@pytest.mark.parametrize("name, probes", [("relu", 1), ("wide", 1), ("two_layers", 3), ("maps", 1)])
def test_the_estimate_is_unbiased(rng, name, probes):
    encode, params, x = made(name, rng)
    f = lambda x: encode(params, x)  # noqa: E731
    estimate = jax.jit(jax.vmap(lambda key: penalties.contractive_hutchinson(x, f, key, probes=probes)))
    samples = estimate(jax.random.split(KEY, 2000))
    assert mean_is(samples, by_jacrev(f, x))
    assert not mean_is(samples, 1.1 * by_jacrev(f, x))


def test_more_probes_estimate_better_and_examples_have_their_own(rng):
    w, x = drawn(rng, 6, 6), jnp.zeros((3, 6))
    estimate = jax.jit(
        lambda key, probes: penalties.contractive_hutchinson(x, lambda x: x @ w, key, probes=probes),
        static_argnames="probes",
    )
    spread = {n: np.std([estimate(k, n)[0] for k in jax.random.split(KEY, 200)]) for n in (1, 16)}
    assert 3 < spread[1] / spread[16] < 5.3  # 4
    assert len(np.unique(np.round(estimate(KEY, 1), 4))) > 1  # one net, one input, another probe each


def test_the_probe_of_a_single_unit_is_exact(rng):
    w, x = drawn(rng, 6, 1), drawn(rng, B, 6)
    f = lambda x: jnp.tanh(x @ w)  # noqa: E731
    np.testing.assert_allclose(penalties.contractive_hutchinson(x, f, KEY), by_jacrev(f, x), rtol=1e-5)
    decode = lambda z: jnp.tanh(z @ w.T)  # noqa: E731
    z = drawn(rng, B, 1)
    np.testing.assert_allclose(penalties.decoder_gradient(z, decode, KEY), by_jacrev(decode, z), rtol=1e-5)


@pytest.mark.parametrize("name", ["contractive_hutchinson", "contractive_change"])
def test_no_probes_are_refused_by_name(name):
    numbers = {"noise": 0.1} if name == "contractive_change" else {}
    with pytest.raises(UserError, match="config.loss.probes=0; accepted: 1 or more"):
        getattr(penalties, name)(jnp.ones((2, 3)), jnp.tanh, KEY, probes=0, **numbers)


def test_the_change_of_a_quadratic_encoder_is_known(rng):
    """z = (x A x)/2 has J = xA for symmetric A, so the change is ‖εA‖², of mean noise² ‖A‖²."""
    a = drawn(rng, 6, 6)
    a = a + a.T
    x = drawn(rng, B, 6)
    change = lambda key: penalties.contractive_change(  # noqa: E731
        x, lambda x: 0.5 * jnp.sum(x * (x @ a), axis=1)[:, None], key, noise=0.3
    )
    samples = jax.jit(jax.vmap(change))(jax.random.split(KEY, 2000))
    assert mean_is(samples, np.full(B, 0.09 * np.square(a).sum()))


@pytest.mark.parametrize("name, probes", [("relu", 1), ("two_layers", 2), ("maps", 1)])
def test_the_change_is_that_of_the_jacobians(rng, name, probes):
    encode, params, x = made(name, rng)
    f = lambda x: encode(params, x)  # noqa: E731
    whole = jax.vmap(jax.jacrev(lambda one: f(one[None])[0].ravel()))

    def expected(key):  # over draws of its own: the distribution of ε is what they share
        moved = x + 0.5 * jax.random.normal(key, x.shape)
        return jnp.sum(jnp.square((whole(x) - whole(moved)).reshape(B, -1)), axis=1)

    split = jax.random.split(KEY, 2000)
    found = jax.jit(jax.vmap(lambda key: penalties.contractive_change(x, f, key, noise=0.5, probes=probes)))(split)
    wanted = np.asarray(jax.jit(jax.vmap(expected))(split), np.float64)
    error = np.sqrt((found.var(0) + wanted.var(0)) / 2000)
    assert (np.abs(found.mean(0) - wanted.mean(0)) <= 3 * error).all()


def test_no_noise_and_a_linear_encoder_have_no_change(rng):
    w, x = drawn(rng, 6, 4), drawn(rng, B, 6)
    still = penalties.contractive_change(x, lambda x: jnp.tanh(x @ w), KEY, noise=0.0)
    straight = penalties.contractive_change(x, lambda x: x @ w, KEY, noise=1.0)
    np.testing.assert_allclose(still, np.zeros(B), atol=1e-9)
    np.testing.assert_allclose(straight, np.zeros(B), atol=1e-9)


def test_the_noise_is_an_argument_and_reaches_the_parameters(rng):
    w, x = drawn(rng, 6, 4), drawn(rng, B, 6)
    loss = jax.jit(
        lambda w, noise: jnp.sum(penalties.contractive_change(x, lambda x: jnp.tanh(x @ w), KEY, noise=noise))
    )
    slope = jax.grad(loss)(w, 0.1)
    assert np.isfinite(slope).all() and np.any(slope)
    loss(w, 0.2)
    assert loss._cache_size() == 1


def test_the_decoder_gradient_is_unbiased_and_reaches_codes_and_parameters(rng):
    w, z = drawn(rng, 3, 12), drawn(rng, B, 3)
    decode = lambda w, z: jnp.tanh(z @ w).reshape(len(z), 2, 3, 2)  # noqa: E731
    value = lambda w, z, key: penalties.decoder_gradient(z, lambda z: decode(w, z), key)  # noqa: E731
    samples = jax.jit(jax.vmap(lambda key: value(w, z, key)))(jax.random.split(KEY, 2000))
    assert mean_is(samples, by_jacrev(lambda z: decode(w, z), z))
    for slope in jax.grad(lambda w, z: jnp.sum(value(w, z, KEY)), (0, 1))(w, z):
        assert np.isfinite(slope).all() and np.any(slope)


@pytest.mark.parametrize(
    "name, given",
    [
        ("contractive", {}),
        ("contractive_hutchinson", {"key": KEY}),
        ("contractive_change", {"key": KEY, "noise": 0.3}),
    ],
)
def test_an_example_depends_on_itself_alone(rng, name, given):
    encode, params, x = made("two_layers", rng)
    value = jax.jit(lambda x: getattr(penalties, name)(x, encode=lambda x: encode(params, x), **given))
    np.testing.assert_allclose(value(x)[:2], value(x.at[2:].set(7.0))[:2], rtol=1e-5)
