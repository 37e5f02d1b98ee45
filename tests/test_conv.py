import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from aejax import conv

# Height, width, channels in and out, kernel, strides, padding: some for each way to write a convolution as products.
CONVOLUTIONS = {
    "patches": (7, 6, 2, 5, (3, 3), (1, 1), "SAME"),
    "patches, strides": (8, 7, 3, 4, (3, 2), (2, 3), "SAME"),
    "patches, stride beyond the kernel": (9, 9, 2, 3, (2, 1), (3, 2), "VALID"),
    "patches, odd padding": (5, 6, 1, 4, (4, 3), (2, 1), ((2, 0), (1, 3))),
    "rows": (4, 5, 128, 3, (3, 2), (2, 1), "SAME"),
    "shift and add": (6, 7, 8, 1, (5, 4), (1, 1), "SAME"),
    "shift and add, valid": (6, 7, 12, 3, (2, 3), (1, 1), "VALID"),
    "one pixel": (4, 4, 2, 3, (1, 1), (1, 1), "SAME"),
    "sound": (1, 11, 2, 3, (1, 5), (1, 2), "SAME"),
}
TRANSPOSED = {
    "same": (4, 3, 3, 4, (3, 3), (2, 2), "SAME"),
    "even kernel, strides": (3, 2, 2, 3, (4, 5), (2, 3), "SAME"),
    "valid": (3, 4, 2, 3, (3, 4), (2, 3), "VALID"),
    "stride beyond the kernel": (3, 3, 2, 3, (2, 1), (3, 2), "VALID"),
    "few outputs": (4, 3, 8, 1, (3, 3), (2, 2), "SAME"),
    "explicit": (4, 3, 2, 3, (3, 2), (2, 2), ((1, 2), (0, 1))),
    "cropped": (5, 4, 2, 3, (2, 2), (2, 2), ((-1, 0), (0, -2))),
    "one row of pixels": (1, 5, 2, 3, (1, 3), (1, 2), "SAME"),
}


@pytest.fixture(params=["cpu", "gpu"])
def platform(request, monkeypatch):
    monkeypatch.setattr(conv, "_on_cpu", lambda: request.param == "cpu")
    return request.param


def close(found, expected):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * max(1.0, float(jnp.abs(expected).max())))


def agree(rng, ours, theirs, strides, shape):
    """The same parameters, values and gradients, of the input too."""
    x = rng.normal(size=(2, *shape)).astype(np.float32)
    params = jax.tree.map(lambda a: rng.normal(size=a.shape).astype(np.float32), theirs.init(jax.random.key(0), x))
    like = jax.eval_shape(ours.init, jax.random.key(0), x)
    assert jax.tree.map(jnp.shape, like) == jax.tree.map(jnp.shape, params), "Flax's names and shapes"

    def value_and_gradient(apply, params, x):
        def loss(params, x):
            y = apply(params, x)
            return jnp.mean(jnp.sin(y)), y

        (_, y), gradient = jax.value_and_grad(loss, (0, 1), has_aux=True)(params, x)
        return y, gradient

    applies = (lambda params, x: ours.apply(params, x, strides)), theirs.apply
    found, expected = jax.jit(lambda params, x: [value_and_gradient(f, params, x) for f in applies])(params, x)
    jax.tree.map(close, found, expected)


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolution_is_that_of_flax(rng, platform, case):
    h, w, i, o, kernel, strides, padding = CONVOLUTIONS[case]
    ours = conv.Conv(i, o, kernel, nn.initializers.normal(1.0), padding=padding)
    agree(rng, ours, nn.Conv(o, kernel, strides, padding=padding), strides, (h, w, i))


@pytest.mark.parametrize("case", TRANSPOSED)
def test_transposed_convolution_is_that_of_flax(rng, platform, case):
    h, w, i, o, kernel, strides, padding = TRANSPOSED[case]
    ours = conv.ConvTranspose(i, o, kernel, nn.initializers.normal(1.0), padding=padding)
    agree(rng, ours, nn.ConvTranspose(o, kernel, strides, padding=padding), strides, (h, w, i))


def primitives(jaxpr):
    return {str(e.primitive) for e in jaxpr.eqns}


@pytest.mark.parametrize("function", [conv.convolve, conv.convolve_transposed])
def test_the_platform_decides_how_it_is_computed(platform, function):
    x, kernel = jnp.zeros((2, 6, 6, 2)), jnp.zeros((3, 3, 2, 3))
    found = primitives(jax.make_jaxpr(lambda x, k: function(x, k, (2, 2)))(x, kernel).jaxpr)
    assert ("conv_general_dilated" in found) == (platform == "gpu")
    assert ("dot_general" in found) == (platform == "cpu")


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_each_case_takes_its_way(case, monkeypatch):
    h, w, i, o, kernel, strides, padding = CONVOLUTIONS[case]
    taken = []
    for name in ("_patches", "_rows", "_shift_and_add"):
        way = getattr(conv, name)
        monkeypatch.setattr(conv, name, lambda *a, way=way, name=name: taken.append(name) or way(*a))
    jax.eval_shape(
        lambda x, k: conv.convolve(x, k, strides, padding), jnp.zeros((2, h, w, i)), jnp.zeros((*kernel, i, o))
    )
    named = "_" + case.partition(",")[0].replace(" ", "_")
    assert taken == [named if hasattr(conv, named) else "_patches"]


@pytest.mark.parametrize("size", [(8, 8), (28, 27), (13, 17), (3, 1)])
@pytest.mark.parametrize(
    ("kernel", "strides"), [((3, 3), (2, 2)), ((5, 2), (1, 3)), ((1, 4), (2, 4)), ((2, 3), (3, 1))]
)
def test_transposed_convolution_to_a_size_is_the_adjoint_of_the_one_from_there(rng, platform, size, kernel, strides):
    smaller = [-(-n // s) for n, s in zip(size, strides, strict=True)]
    x, y = rng.normal(size=(2, *size, 2)), rng.normal(size=(2, *smaller, 3))
    filters = rng.normal(size=(*kernel, 2, 3))
    transposed = conv.ConvTranspose(3, 2, kernel, nn.initializers.zeros)
    params = {"kernel": np.swapaxes(filters[::-1, ::-1], 2, 3), "bias": np.zeros(2)}

    @jax.jit
    def both(x, y):
        there = conv.convolve(x, filters.astype(np.float32), strides, "SAME")
        return jnp.vdot(there, y), jnp.vdot(x, transposed.apply({"params": params}, y, strides, size))

    forward, back = both(x.astype(np.float32), y.astype(np.float32))
    np.testing.assert_allclose(forward, back, rtol=1e-4, atol=1e-3)


def test_a_size_that_no_convolution_comes_from_is_refused():
    with pytest.raises(ValueError, match="from 4 to 9 pixels"):
        conv.pads_to((9, 8), (4, 4), (3, 3), (2, 2))


def test_products_differentiate_forwards_and_twice_and_batch_over_models(rng):
    x, kernels = rng.normal(size=(1, 4, 3, 1)), rng.normal(size=(2, 2, 3, 1, 2))

    def net(kernel, x):
        return conv.convolve_transposed(jnp.tanh(conv.convolve(x, kernel, (2, 1))), jnp.swapaxes(kernel, 2, 3), (2, 1))

    def contraction(kernel):
        return jnp.sum(jnp.square(jax.jacfwd(net, 1)(kernel, x)))

    def written_out(kernel):
        return jnp.sum(jnp.square(jax.jacrev(net, 1)(kernel, x)))

    found, expected = jax.jit(
        lambda kernels: (
            jax.vmap(jax.grad(contraction))(kernels),
            jnp.stack([jax.grad(written_out)(k) for k in kernels]),
        )
    )(kernels)
    close(found, expected)


@pytest.mark.parametrize("size", [(8, 8), (7, 5), (1, 9)])
@pytest.mark.parametrize("window", [(2, 2), (3, 1), (1, 4)])
def test_pooling_is_that_of_flax(rng, size, window):
    x = rng.normal(size=(2, *size, 3)).astype(np.float32) - 5.0  # below 0, where padding with zeros would win
    close(conv.max_pool(x, window), nn.max_pool(x, window, window, "SAME"))
    close(conv.average_pool(x, window), nn.avg_pool(x, window, window, "SAME", count_include_pad=False))


def test_pooling_by_hand():
    x = np.array([[1.0, 2.0, 4.0], [3.0, 8.0, 6.0]], np.float32).reshape(1, 2, 3, 1)
    np.testing.assert_array_equal(conv.max_pool(x, (2, 2)).ravel(), [8, 6])
    np.testing.assert_array_equal(conv.average_pool(x, (2, 2)).ravel(), [3.5, 5.0])
    gradient = jax.grad(lambda x: jnp.sum(conv.max_pool(x, (2, 2)) * jnp.array([1.0, 2.0]).reshape(1, 1, 2, 1)))(x)
    np.testing.assert_array_equal(gradient.ravel(), [0, 0, 0, 0, 1, 2])


@pytest.mark.parametrize("size", [(4, 4), (6, 3), (7, 5), (2, 3)])
def test_nearest_takes_the_pixel_below_the_centre(rng, size):
    x = rng.normal(size=(2, 2, 3, 2)).astype(np.float32)
    rows, columns = (((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(size, (2, 3), strict=True))
    np.testing.assert_array_equal(conv.nearest(x, size), x[:, rows][:, :, columns])


@pytest.mark.parametrize("size", [(4, 6), (7, 5), (2, 3)])
def test_bilinear_interpolates_between_centres(rng, size):
    x = rng.normal(size=(2, 2, 3, 2)).astype(np.float32)
    expected = x
    for axis, n in ((1, size[0]), (2, size[1])):
        m = x.shape[axis]
        places = (np.arange(n) + 0.5) * m / n - 0.5
        expected = np.apply_along_axis(lambda v, p=places, m=m: np.interp(p, np.arange(m), v), axis, expected)
    np.testing.assert_allclose(conv.bilinear(x, size), expected, rtol=1e-4, atol=1e-5)
