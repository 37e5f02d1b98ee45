import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from aejax import conv
from aejax.conv import primitives, products, winograd
from aejax.conv.geometry import Geometry

# Height, width, channels in and out, kernel, strides, padding.
CONVOLUTIONS = {
    "patches": (7, 6, 2, 5, (3, 3), (1, 1), "SAME"),
    "patches, strides": (8, 7, 3, 4, (3, 2), (2, 3), "SAME"),
    "patches, stride beyond the kernel": (9, 9, 2, 3, (2, 1), (3, 2), "VALID"),
    "patches, odd padding": (5, 6, 1, 4, (4, 3), (2, 1), ((2, 0), (1, 3))),
    "shares": (6, 7, 8, 1, (5, 4), (1, 1), "SAME"),
    "shares, valid": (6, 7, 12, 3, (2, 3), (1, 1), "VALID"),
    "patches of rows, shares of columns": (6, 7, 4, 4, (5, 5), (1, 1), "SAME"),
    "strides along one axis": (6, 7, 8, 2, (3, 5), (1, 2), "SAME"),
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


@pytest.fixture(params=["at once", "row by row", "winograd"])
def way(request, monkeypatch):
    """The way of the CPU: products of maps that fit the cache, and of maps that do not; Winograd's where it can."""
    monkeypatch.setattr(products, "CACHE", 0 if request.param == "row by row" else 2**30)
    for least in ("CHANNELS", "CORRELATED"):
        monkeypatch.setattr(winograd, least, {3: 1, 5: 1} if request.param == "winograd" else {})
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
def test_convolution_is_that_of_flax(rng, way, case):
    h, w, i, o, kernel, strides, padding = CONVOLUTIONS[case]
    ours = conv.Conv(i, o, kernel, nn.initializers.normal(1.0), padding=padding)
    agree(rng, ours, nn.Conv(o, kernel, strides, padding=padding), strides, (h, w, i))


@pytest.mark.parametrize("case", TRANSPOSED)
def test_transposed_convolution_is_that_of_flax(rng, way, case):
    h, w, i, o, kernel, strides, padding = TRANSPOSED[case]
    ours = conv.ConvTranspose(i, o, kernel, nn.initializers.normal(1.0), padding=padding)
    agree(rng, ours, nn.ConvTranspose(o, kernel, strides, padding=padding), strides, (h, w, i))


@pytest.mark.parametrize("function", [conv.convolve, conv.convolve_transposed])
@pytest.mark.parametrize(
    ("platform", "operator"), [("cpu", "dot_general"), ("cuda", "convolution"), ("tpu", "convolution")]
)
def test_the_platform_decides_how_it_is_computed(function, platform, operator):
    def both(x, k):
        y, back = jax.vjp(lambda x, k: function(x, k, (2, 2)), x, k)
        return back(y)

    traced = jax.jit(both).trace(jnp.zeros((2, 6, 6, 2)), jnp.zeros((3, 3, 2, 3)))
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    found = {name for name in ("dot_general", "convolution") if f"stablehlo.{name}" in text}
    assert found == {operator}


def test_the_cpus_products_are_the_convolutions_of_the_compiler(rng, way, monkeypatch):
    used = []
    monkeypatch.setattr(winograd, "transforms", lambda taps, of=winograd.transforms: used.append(taps) or of(taps))
    for case in range(12):
        taps, small, strides = (tuple(map(int, rng.integers(1, most, 2))) for most in (6, 12, 4))
        if case % 2:
            taps, strides = (taps[0], 3 + case % 4 - 1), (1, 1)  # 3 or 5 across
        low = tuple(map(int, rng.integers(-1, 4, 2)))
        ends = map(int, rng.integers(-1, 3, 2))  # pixels beyond the last tap, or zeros under it
        axes = zip(small, strides, taps, low, ends, strict=True)
        large = tuple(max(1, (m - 1) * s + k - a + end) for m, s, k, a, end in axes)
        geometry = Geometry(taps, strides, low, large, small)
        c, o = map(int, rng.integers(1, 9, 2))
        x, y, k = (rng.normal(size=s).astype(np.float32) for s in ((3, *large, c), (3, *small, o), (*taps, c, o)))
        for name, a, b in (("convolve", x, k), ("spread", y, k), ("correlate", x, y)):
            found = jax.jit(functools.partial(getattr(primitives, name), geometry=geometry))(a, b)
            close(found, getattr(primitives, f"native_{name}")(a, b, geometry))
    assert set(used) == ({3, 5} if way == "winograd" else set())


def test_winograds_form_is_taken_where_it_saves():
    def suits(taps=(5, 5), strides=(1, 1), size=(28, 28), channels=(16, 16), dtype=jnp.float32):
        geometry = Geometry(taps, strides, (2, 2), size, size)
        return winograd.suits(geometry, channels, winograd.CHANNELS, jnp.dtype(dtype))

    assert suits() and suits(size=(1, 5)) and suits(taps=(3, 3), channels=(64, 64))
    assert not suits(taps=(5, 4)) and not suits(strides=(1, 2)) and not suits(size=(28, 4))
    assert not suits(channels=(1, 16)) and not suits(taps=(3, 3)) and not suits(dtype=jnp.bfloat16)


@pytest.mark.parametrize("taps", [3, 5])
def test_winograds_transforms_filter_a_line(rng, taps):
    to_kernel, of_data, to_outputs = winograd.transforms(taps)
    data, kernel = rng.normal(size=winograd.OUTPUTS + taps - 1), rng.normal(size=taps)
    found = to_outputs.T @ ((to_kernel @ kernel) * (of_data @ data))
    np.testing.assert_allclose(found, np.correlate(data, kernel, "valid"), rtol=1e-5, atol=1e-5)
    assert len(of_data) == len(data), "as many multiplications as data"


@pytest.mark.parametrize("shared", [(), (0,), (1,)])
def test_convolutions_batch_over_models(rng, shared):
    """As one after another, where both the maps and the kernels are a member's own and where they are shared."""
    x, k = (rng.normal(size=(3, *s)).astype(np.float32) for s in ((2, 5, 4, 2), (3, 2, 2, 3)))
    given = [v[0] if place in shared else v for place, v in enumerate((x, k))]
    members = [None if place in shared else 0 for place in range(2)]

    def gradient(x, k):
        def loss(x, k):
            y = conv.max_pool(jnp.tanh(conv.convolve(x, k, (2, 1))), (2, 2))
            return jnp.sum(jnp.square(conv.convolve_transposed(y, jnp.swapaxes(k, 2, 3), (2, 1))))

        return jax.grad(loss, (0, 1))(x, k)

    found = jax.jit(jax.vmap(gradient, members))(*given)
    one_by_one = [gradient(*(v if place in shared else v[i] for place, v in enumerate(given))) for i in range(3)]
    for a, *b in zip(found, *one_by_one, strict=True):
        close(a, jnp.stack(b))


@pytest.mark.parametrize("members", [(None, 0), (0, None), (0, 0)])
def test_transposed_convolutions_batch_over_models(rng, members):
    x, k = (rng.normal(size=(3, *s)).astype(np.float32) for s in ((2, 4, 3, 2), (3, 2, 2, 5)))
    x, k = (v if axis == 0 else v[0] for v, axis in zip((x, k), members, strict=True))
    found = jax.vmap(lambda x, k: conv.convolve_transposed(x, k, (2, 1)), members)(x, k)
    pairs = [[v[i] if axis == 0 else v for v, axis in zip((x, k), members, strict=True)] for i in range(3)]
    close(found, jnp.stack([conv.convolve_transposed(*pair, (2, 1)) for pair in pairs]))


def test_the_gradient_of_equal_pixels_is_shared():
    gradient = jax.grad(lambda x: jnp.sum(conv.max_pool(x, (2, 2))))(jnp.ones((1, 2, 2, 1)))
    np.testing.assert_array_equal(gradient, np.full((1, 2, 2, 1), 0.25))


def test_the_ways_that_move_least_are_taken(monkeypatch):
    """For 5x5 filters between maps of 16 rows of patches and shares of columns, and row by row where that is much."""
    chosen = []

    def choice(possible, moved, of=products._choice):
        chosen.append(of(possible, moved))
        return chosen[-1]

    monkeypatch.setattr(products, "_choice", choice)
    for channels, size in ((16, 28), (1, 28), (16, 7)):
        geometry = Geometry((5, 5), (1, 1), (2, 2), (size, size), (size, size))
        shapes = jnp.zeros((100, size, size, channels)), jnp.zeros((5, 5, channels, 16))
        jax.eval_shape(lambda x, k, g=geometry: products.convolve(x, k, g), *shapes)
    assert chosen == [((True, False), True), ((True, True), False), ((True, False), False)]


def test_nothing_left_of_the_maps_is_told(rng):
    x = jnp.zeros((1, 3, 14, 1))
    with pytest.raises(ValueError, match="a kernel of .* does not fit maps"):
        conv.convolve(x, jnp.zeros((6, 4, 1, 1)), padding="VALID")
    with pytest.raises(ValueError, match="nothing is left of maps"):
        conv.convolve_transposed(x, jnp.zeros((1, 1, 1, 1)), padding=((-2, -2), (0, 0)))


def test_calls_outside_jit_compile_once(monkeypatch):
    x, k = jnp.zeros((1, 4, 4, 1)), jnp.zeros((3, 3, 1, 1))
    conv.convolve(x, k)
    compiled = []
    monkeypatch.setattr(products, "convolve", lambda *a: compiled.append(a))
    conv.convolve(x + 1, k)
    assert not compiled


@pytest.mark.parametrize("members", [0, None])
def test_a_bias_batches_over_models(rng, members):
    y, bias = rng.normal(size=(3, 2, 4, 5, 2)).astype(np.float32), rng.normal(size=(3, 2)).astype(np.float32)
    y = y[0] if members is None else y
    shifted = jax.vmap(primitives.shift, (members, 0))
    expected = y + bias[:, None, None, None]
    close(shifted(y, bias), expected)
    found = jax.grad(lambda bias: jnp.sum(jnp.square(shifted(y, bias))))(bias)
    close(found, jnp.sum(2 * expected, axis=(1, 2, 3)))


@pytest.mark.parametrize("size", [(8, 8), (28, 27), (13, 17), (3, 1)])
@pytest.mark.parametrize(
    ("kernel", "strides"), [((3, 3), (2, 2)), ((5, 2), (1, 3)), ((1, 4), (2, 4)), ((2, 3), (3, 1))]
)
def test_transposed_convolution_to_a_size_is_the_adjoint_of_the_one_from_there(rng, way, size, kernel, strides):
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
    for ours, theirs in (
        (conv.max_pool, nn.max_pool),
        (conv.average_pool, functools.partial(nn.avg_pool, count_include_pad=False)),
    ):
        found = jax.grad(lambda x, f=ours: jnp.sum(jnp.sin(f(x, window))))(x)
        close(found, jax.grad(lambda x, f=theirs: jnp.sum(jnp.sin(f(x, window, window, "SAME"))))(x))


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
    found = jax.grad(lambda x: jnp.sum(jnp.sin(conv.nearest(x, size))))(x)
    close(found, jax.grad(lambda x: jnp.sum(jnp.sin(x[:, rows][:, :, columns])))(x))


@pytest.mark.parametrize("size", [(4, 6), (7, 5), (2, 3)])
def test_bilinear_interpolates_between_centres(rng, size):
    x = rng.normal(size=(2, 2, 3, 2)).astype(np.float32)
    expected = x
    for axis, n in ((1, size[0]), (2, size[1])):
        m = x.shape[axis]
        places = (np.arange(n) + 0.5) * m / n - 0.5
        expected = np.apply_along_axis(lambda v, p=places, m=m: np.interp(p, np.arange(m), v), axis, expected)
    np.testing.assert_allclose(conv.bilinear(x, size), expected, rtol=1e-4, atol=1e-5)
    found = jax.grad(lambda x: jnp.sum(jnp.sin(conv.bilinear(x, size))))(x)
    resized = lambda x: jax.image.resize(x, (2, *size, 2), "bilinear", antialias=False)  # noqa: E731
    close(found, jax.grad(lambda x: jnp.sum(jnp.sin(resized(x))))(x))
