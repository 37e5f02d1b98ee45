import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from aejax import conv, nets
from aejax.errors import UserError
from aejax.nets import maps

KEY = jax.random.key(0)
SIZES = [(8, 8), (28, 28), (32, 32), (13, 17)]


def shapes(net, *args):
    """The shapes of a net's output and its parameters."""
    y, variables = jax.eval_shape(net.init_with_output, KEY, *args)
    return y.shape, {"/".join(p.key for p in path): a.shape for path, a in leaves(variables["params"])}


def leaves(tree):
    return jax.tree_util.tree_flatten_with_path(tree)[0]


def count(found):
    return sum(int(np.prod(shape)) for shape in found.values())


def started(rng, net, *args):
    """Variables of a net with every one drawn, and positive where it is a variance."""

    def draw(path, a):
        values = rng.normal(size=a.shape).astype(a.dtype)
        return np.square(values) + 0.1 if path[-1].key == "var" else values

    return jax.tree_util.tree_map_with_path(draw, jax.eval_shape(net.init, KEY, *args))


def run(net, variables, *args, **kwargs):
    return jax.jit(lambda v: net.apply(v, *args, **kwargs))(variables)


def test_maps_shrink_by_the_factor_rounding_up():
    assert maps.shrinking((28, 28), 2, 3) == [(28, 28), (14, 14), (7, 7), (4, 4)]
    assert maps.shrinking((13, 17), 2, 2) == [(13, 17), (7, 9), (4, 5)]
    assert maps.shrinking((13, 17), 3, 2) == [(13, 17), (5, 6), (2, 2)]
    assert maps.shrinking((5, 5), 1, 2) == [(5, 5)] * 3
    assert maps.shrinking((28, 28), 2, 6, (1, 2))[-2:] == [(1, 2), (1, 2)]
    assert maps.needed((28, 28), 2, (1, 2)) == 5 and maps.needed((28, 28), 2, (28, 28)) == 0
    assert maps.needed((28, 28), 2, (3, 4)) is None and maps.needed((28, 28), 1, (14, 14)) is None
    assert maps.needed((17, 1), 2, (1, 1)) == 5, "a power of two and one"


@pytest.mark.parametrize("resample", nets.SHRINKS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_sizes_of_encoders(size, channels, resample):
    x = jnp.zeros((2, *size, channels))
    h, params = shapes(nets.ConvEncoder((*size, channels), 5, (4, 6), resample=resample, dense=(7,)), x)
    last = [-(-n // 4) for n in size]  # rounding up twice is rounding up once
    assert h == (2, 5)
    assert params["convs_0/kernel"] == (3, 3, channels, 4) and params["convs_1/kernel"] == (3, 3, 4, 6)
    assert params["layers_0/kernel"] == (last[0] * last[1] * 6, 7) and params["layers_1/kernel"] == (7, 5)
    h, params = shapes(nets.AllconvEncoder((*size, channels), 5, (4,), resample=resample), x)
    assert h == (2, *last, 5) and params["convs_1/kernel"] == (3, 3, 4, 5)


@pytest.mark.parametrize("resample", nets.GROWS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_decoders_land_on_the_images_size(size, channels, resample):
    for factor in (2, 3):
        net = nets.ConvDecoder((*size, channels), 5, (4, 6), factor=factor, resample=resample)
        y, params = shapes(net, jnp.zeros((2, 5)))
        assert y == (2, *size, channels)
        assert params["convs_0/kernel"] == (3, 3, 4, 4) and params["convs_1/kernel"] == (3, 3, 4, 6)
        assert params["convs_2/kernel"] == (3, 3, 6, channels)
        net = nets.AllconvDecoder((*size, channels), 5, (4, 6), factor=factor, resample=resample)
        z = jnp.zeros((2, *maps.shrinking(size, factor, 3)[-1], 5))
        assert shapes(net, z)[0] == (2, *size, channels)
        assert shapes(net, jnp.zeros((2, *size, 5)))[0] == (2, *size, channels), "no growing left to do"


def test_the_small_convolutional_net_has_its_parameters():
    h, params = shapes(nets.ConvEncoder((28, 28, 1), 10, (16, 32)), jnp.zeros((2, 28, 28, 1)))
    assert h == (2, 10)
    assert count(params) == (9 * 1 * 16 + 16) + (9 * 16 * 32 + 32) + (7 * 7 * 32 * 10 + 10) == 20490
    y, params = shapes(nets.ConvDecoder((28, 28, 1), 10, (32, 16)), jnp.zeros((2, 10)))
    assert y == (2, 28, 28, 1)
    assert count(params) == (10 * 1568 + 1568) + (9 * 32 * 32 + 32) + (9 * 32 * 16 + 16) + (9 * 16 + 1) == 31265


def test_the_all_convolutional_net_has_a_code_of_one_by_two():
    widths = (16, 16, 16, 16)
    z, params = shapes(nets.AllconvEncoder((28, 28, 1), 1, widths, map=(1, 2)), jnp.zeros((3, 28, 28, 1)))
    assert z == (3, 1, 2, 1)
    assert count(params) == (9 * 16 + 16) + 3 * (9 * 16 * 16 + 16) + (9 * 16 + 1) == 7265
    y, params = shapes(nets.AllconvDecoder((28, 28, 1), 1, widths), jnp.zeros(z))
    assert y == (3, 28, 28, 1) and count(params) == 7265


def test_the_winner_take_all_net_keeps_its_size():
    net = nets.AllconvEncoder((28, 28, 1), 64, (64, 64), (5, 5), factor=1)
    z, params = shapes(net, jnp.zeros((2, 28, 28, 1)))
    assert z == (2, 28, 28, 64) and count(params) == (25 * 64 + 64) + 2 * (25 * 64 * 64 + 64) == 206592
    y, params = shapes(nets.AllconvDecoder((28, 28, 1), 64, (), (11, 11), factor=1), jnp.zeros(z))
    assert y == (2, 28, 28, 1) and count(params) == 121 * 64 + 1


def test_layers_that_batch_norm_follows_have_no_bias():
    nets_and_arguments = (
        (nets.ConvEncoder((8, 8, 1), 3, (2, 4), dense=(5,), norm="batch"), (2, 8, 8, 1), {"layers_1"}),
        (nets.ConvDecoder((8, 8, 1), 3, (4, 2), dense=(5,), norm="batch"), (2, 3), {"convs_2"}),
        (nets.AllconvEncoder((8, 8, 1), 3, (2, 4), norm="batch"), (2, 8, 8, 1), {"convs_2"}),
        (nets.AllconvDecoder((8, 8, 1), 3, (4, 2), norm="batch"), (2, 1, 1, 3), {"convs_2"}),
    )
    for net, argument, expected in nets_and_arguments:
        params = jax.eval_shape(net.init, KEY, jnp.zeros(argument))["params"]
        assert {name for name in params if "norm" not in name and "bias" in params[name]} == expected


def test_sound_has_a_height_of_one():
    z, params = shapes(nets.AllconvEncoder((1, 50, 2), 3, (4,), (1, 9), factor=4), jnp.zeros((2, 1, 50, 2)))
    assert z == (2, 1, 4, 3) and params["convs_0/kernel"] == (1, 9, 2, 4)
    assert shapes(nets.AllconvDecoder((1, 50, 2), 3, (4,), (1, 9), factor=4), jnp.zeros(z))[0] == (2, 1, 50, 2)


def test_convolutional_encoder_is_its_layers(rng):
    x = rng.normal(size=(2, 5, 6, 2)).astype(np.float32)
    net = nets.ConvEncoder((5, 6, 2), 3, (4, 2), dense=(5,), activation="tanh")
    variables = started(rng, net, x)
    p = variables["params"]
    h = x
    for i, width in enumerate((4, 2)):
        h = jnp.tanh(nn.Conv(width, (3, 3), (2, 2)).apply({"params": p[f"convs_{i}"]}, h))
    h = np.tanh(np.asarray(h).reshape(2, -1) @ p["layers_0"]["kernel"] + p["layers_0"]["bias"])
    expected = h @ p["layers_1"]["kernel"] + p["layers_1"]["bias"]
    np.testing.assert_allclose(run(net, variables, x), expected, rtol=1e-4, atol=1e-5)


def test_convolutional_decoder_is_its_layers(rng):
    z = rng.normal(size=(2, 3)).astype(np.float32)
    net = nets.ConvDecoder((8, 4, 2), 3, (4, 3), activation="tanh")
    variables = started(rng, net, z)
    p = variables["params"]
    h = np.tanh(z @ p["layers_0"]["kernel"] + p["layers_0"]["bias"]).reshape(2, 2, 1, 4)
    for i, width in enumerate((4, 3)):
        h = jnp.tanh(nn.ConvTranspose(width, (3, 3), (2, 2)).apply({"params": p[f"convs_{i}"]}, h))
    expected = nn.Conv(2, (3, 3)).apply({"params": p["convs_2"]}, h)
    np.testing.assert_allclose(run(net, variables, z), expected, rtol=1e-4, atol=1e-4)


def test_all_convolutional_nets_are_their_layers(rng):
    x = rng.normal(size=(2, 7, 4, 1)).astype(np.float32)
    encoder = nets.AllconvEncoder((7, 4, 1), 2, (3,), map=(4, 1))
    variables = started(rng, encoder, x)
    p = variables["params"]
    h = jax.nn.relu(nn.Conv(3, (3, 3), (2, 2)).apply({"params": p["convs_0"]}, x))
    expected = nn.Conv(2, (3, 3), (1, 2)).apply({"params": p["convs_1"]}, h)
    assert expected.shape == (2, 4, 1, 2) and (expected < 0).any(), "it ends linear"
    np.testing.assert_allclose(run(encoder, variables, x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("resample", ["nearest", "bilinear"])
def test_up_sampling_decoders_grow_and_then_convolve(rng, resample):
    z = rng.normal(size=(2, 4, 1, 2)).astype(np.float32)
    net = nets.AllconvDecoder((7, 4, 1), 2, (3, 3), resample=resample, activation="tanh")
    variables = started(rng, net, z)
    p, h = variables["params"], z
    for i, size in enumerate([(4, 1), (4, 2), (7, 4)]):  # one layer more than is needed keeps the size
        h = nn.Conv(1 if i == 2 else 3, (3, 3)).apply({"params": p[f"convs_{i}"]}, getattr(conv, resample)(h, size))
        h = h if i == 2 else jnp.tanh(h)
    np.testing.assert_allclose(run(net, variables, z), h, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("resample", "pool"), [("max_pool", nn.max_pool), ("average_pool", nn.avg_pool)])
def test_pooling_encoders_convolve_and_then_pool(rng, resample, pool):
    x = rng.normal(size=(2, 6, 4, 1)).astype(np.float32)
    net = nets.AllconvEncoder((6, 4, 1), 2, resample=resample)
    variables = started(rng, net, x)
    h = nn.Conv(2, (3, 3)).apply({"params": variables["params"]["convs_0"]}, x)
    np.testing.assert_allclose(run(net, variables, x), pool(h, (2, 2), (2, 2)), rtol=1e-4, atol=1e-5)


def test_batch_norm_of_maps_is_over_batch_and_places_and_takes_no_notice_of_padding(rng):
    net = nets.AllconvEncoder((4, 4, 1), 2, (3,), norm="batch")
    x = rng.normal(size=(3, 4, 4, 1)).astype(np.float32)
    variables = started(rng, net, x)
    weight = jnp.ones(3)
    h, state = run(net, variables, x, train=True, weight=weight, mutable=["batch_stats"])
    padded = np.concatenate([x, 100 + np.zeros((2, 4, 4, 1), np.float32)])
    weight = jnp.array([1.0, 1, 1, 0, 0])
    again, padded_state = run(net, variables, padded, train=True, weight=weight, mutable=["batch_stats"])
    np.testing.assert_allclose(again[:3], h, rtol=1e-4, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), state, padded_state)
    p, before = variables["params"], variables["batch_stats"]["norms_0"]["norm"]
    inner = nn.Conv(3, (3, 3), (2, 2), use_bias=False).apply({"params": p["convs_0"]}, x)
    mean, found = inner.mean((0, 1, 2)), state["batch_stats"]["norms_0"]["norm"]
    np.testing.assert_allclose(found["mean"], 0.9 * before["mean"] + 0.1 * mean, rtol=1e-4, atol=1e-6)


def test_dropout_of_an_example_depends_on_its_place_and_the_key_alone(rng):
    net = nets.ConvEncoder((4, 4, 1), 3, (2,), dense=(8,), dropout=0.5)
    x = rng.normal(size=(4, 4, 4, 1)).astype(np.float32)
    variables = started(rng, net, x)
    h = run(net, variables, x, train=True, key=KEY)
    np.testing.assert_allclose(run(net, variables, x[:2], train=True, key=KEY), h[:2], rtol=1e-4, atol=1e-5)
    assert np.abs(run(net, variables, x, train=True, key=jax.random.key(1)) - h).max() > 0.01
    assert np.abs(run(net, variables, x, train=False, key=KEY) - h).max() > 0.01
    same = np.broadcast_to(x[:1], x.shape)
    assert np.abs(np.diff(run(net, variables, same, train=True, key=KEY), axis=0)).max() > 0.01


@pytest.mark.parametrize(
    ("net", "argument", "message"),
    [
        (
            nets.AllconvEncoder((28, 28, 1), 1, (16, 16), map=(1, 2)),
            (2, 28, 28, 1),
            r"encoder\.widths=\(16, 16\) .* to 4x4 .*encoder\.map=\(1, 2\); accepted: 4 widths or more",
        ),
        (
            nets.AllconvEncoder((28, 20, 1), 1, (16, 16), map=(3, 5)),
            (2, 28, 20, 1),
            r"encoder\.map=\(3, 5\) .*height of 28, 14, 7, 4, 2, 1 and a width of 20, 10, 5, 3, 2, 1",
        ),
        (nets.AllconvEncoder((8, 8, 1), 1, map=(2,)), (2, 8, 8, 1), r"encoder\.map=\(2,\) is no size"),
        (
            nets.AllconvDecoder((28, 28, 1), 1, (16,)),
            (2, 4, 4, 1),
            r"decoder\.widths=\(16,\) .* 4x4 to 28x28; accepted: 2 widths or more",
        ),
        (nets.AllconvDecoder((28, 28, 1), 1, (16,), factor=3), (2, 7, 7, 1), r"decoder\.factor=3 .*7x7"),
        (nets.AllconvDecoder((28, 28, 1), 1, (16,)), (2, 4), r"decoder\.name='allconv' .*encoder\.name='allconv'"),
        (nets.ConvDecoder((8, 8, 1), 2, (4,)), (2, 4, 4, 2), r"decoder\.name='conv' reads a code \[b, d\]"),
        (nets.ConvEncoder((8, 8, 1), 2, (4,), resample="mean"), (2, 8, 8, 1), r"encoder\.resample='mean' .*stride"),
        (nets.ConvDecoder((8, 8, 1), 2, (4,), resample="stride"), (2, 2), r"decoder\.resample='stride' .*transpose"),
    ],
)
def test_what_cannot_be_is_refused_by_name(net, argument, message):
    with pytest.raises(UserError, match=message):
        jax.eval_shape(net.init, KEY, jnp.zeros(argument))
