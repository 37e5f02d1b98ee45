import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from aejax import keys, nets
from aejax.errors import UserError

SHAPE = (3, 3, 1)
KEY = jax.random.key(0)


class Both(nn.Module):
    """An encoder and its tied decoder, as an autoencoder holds them."""

    widths: tuple = ()

    def setup(self):
        self.encoder = nets.MlpEncoder(SHAPE, 4, self.widths, activation="tanh")
        self.decoder = nets.TiedDecoder(SHAPE, self.encoder, activation="tanh")

    def __call__(self, x):
        return self.decoder(self.encoder(x))


def test_mlp_is_its_layers(rng):
    net = nets.MlpEncoder(SHAPE, 4, (5,), activation="tanh")
    x = rng.normal(size=(2, *SHAPE)).astype(np.float32)
    params = net.init(jax.random.key(0), x)["params"]
    params = jax.tree.map(lambda a: rng.normal(size=a.shape).astype(np.float32), params)
    first, last = params["layers_0"], params["layers_1"]
    expected = np.tanh(x.reshape(2, 9) @ first["kernel"] + first["bias"]) @ last["kernel"] + last["bias"]
    np.testing.assert_allclose(net.apply({"params": params}, x), expected, rtol=1e-4)


def test_decoder_lands_on_the_images_shape(rng):
    z = rng.normal(size=(2, 4)).astype(np.float32)
    for shape in ((28, 28, 1), (5, 7, 3)):
        net = nets.MlpDecoder(shape, 4, (6,))
        assert net.init_with_output(jax.random.key(0), z)[0].shape == (2, *shape)


@pytest.mark.parametrize("widths", [(), (6,), (7, 5)])
def test_tied_decoder_is_the_encoders_adjoint(rng, widths):
    x = rng.normal(size=(2, *SHAPE)).astype(np.float32)
    params = Both(widths).init(jax.random.key(0), x)["params"]
    assert all(name.startswith("bias") for name in params["decoder"]), "it has biases and nothing else"
    params = jax.tree.map(lambda a: rng.normal(size=a.shape).astype(np.float32), params)
    encoder, decoder = params["encoder"], params["decoder"]
    depth = len(widths) + 1
    h = x.reshape(2, 9)
    for i in range(depth):
        h = h @ encoder[f"layers_{i}"]["kernel"] + encoder[f"layers_{i}"]["bias"]
        h = np.tanh(h) if i < depth - 1 else h
    for i in range(depth):
        h = h @ encoder[f"layers_{depth - 1 - i}"]["kernel"].T + decoder[f"bias_{i}"]
        h = np.tanh(h) if i < depth - 1 else h
    np.testing.assert_allclose(Both(widths).apply({"params": params}, x), h.reshape(2, *SHAPE), rtol=1e-3, atol=1e-4)


def test_the_linear_part_of_a_layer_and_its_adjoint_satisfy_the_inner_product(rng):
    x, y = rng.normal(size=(6, 5)).astype(np.float32), rng.normal(size=(6, 3)).astype(np.float32)
    layer = nets.Dense(5, 3, jax.nn.initializers.normal(1.0))
    params = layer.init(jax.random.key(0), x)
    forward = layer.apply(params, x) - params["params"]["bias"][None]
    np.testing.assert_allclose(jnp.vdot(forward, y), jnp.vdot(x, layer.apply(params, y, method="adjoint")), rtol=1e-4)


@pytest.mark.parametrize("name", sorted(nets.ACTIVATIONS))
def test_activations_keep_shape_and_are_finite(rng, name):
    x = rng.normal(size=(4, 3)).astype(np.float32)
    y = nets.activation(name, "encoder.activation")(x)
    assert y.shape == x.shape and np.isfinite(y).all()


@pytest.mark.parametrize("name", sorted(nets.KERNEL_INITS))
def test_initialisers_give_kernels(name):
    kernel = nets.kernel_init(name, 0.5, "encoder.kernel_init")(jax.random.key(0), (400, 300))
    assert kernel.shape == (400, 300)
    if name in ("normal", "truncated_normal"):
        assert abs(float(kernel.std()) - 0.5) < 0.08


def test_an_unknown_name_is_refused_with_those_that_are_known():
    with pytest.raises(UserError, match=r"encoder\.activation='rellu'.*relu"):
        nets.activation("rellu", "encoder.activation")


def normed(norm, **fields):
    return nets.MlpEncoder(SHAPE, 2, (4,), activation="tanh", norm=norm, **fields)


def drawn(rng, net, x):
    """Variables of a net with every one drawn, and positive."""
    return jax.tree.map(lambda a: rng.uniform(0.2, 1, a.shape).astype(a.dtype), jax.eval_shape(net.init, KEY, x))


def hidden(params, x):
    return x.reshape(len(x), 9) @ params["layers_0"]["kernel"] + params["layers_0"].get("bias", 0)


def ended(params, h):
    return h @ params["layers_1"]["kernel"] + params["layers_1"]["bias"]


def test_layer_norm_stands_between_layer_and_activation(rng):
    x = rng.normal(size=(3, *SHAPE)).astype(np.float32)
    net = normed("layer")
    variables = drawn(rng, net, x)
    params = variables["params"]
    h = hidden(params, x)
    h = (h - h.mean(1, keepdims=True)) / np.sqrt(h.var(1, keepdims=True) + 1e-5)
    h = np.tanh(h * params["norms_0"]["norm"]["scale"] + params["norms_0"]["norm"]["bias"])
    np.testing.assert_allclose(net.apply(variables, x), ended(params, h), rtol=1e-4)


def test_batch_norm_trains_on_the_batch_without_its_padding_and_encodes_by_running_statistics(rng):
    x = rng.normal(size=(5, *SHAPE)).astype(np.float32)
    net = normed("batch")
    variables = drawn(rng, net, x)
    params, running = variables["params"], variables["batch_stats"]["norms_0"]["norm"]

    def expected(mean, var):
        h = (hidden(params, x) - mean) / np.sqrt(var + 1e-5)
        return ended(params, np.tanh(h * params["norms_0"]["norm"]["scale"] + params["norms_0"]["norm"]["bias"]))

    examples = hidden(params, x)[:3]
    mean, var = examples.mean(0), examples.var(0)
    weight = jnp.array([1.0, 1, 1, 0, 0])
    y, after = net.apply(variables, x, train=True, weight=weight, mutable=["batch_stats"])
    np.testing.assert_allclose(y[:3], expected(mean, var)[:3], rtol=1e-3, atol=1e-4)
    after = after["batch_stats"]["norms_0"]["norm"]
    np.testing.assert_allclose(after["mean"], 0.9 * running["mean"] + 0.1 * mean, rtol=1e-4)
    np.testing.assert_allclose(after["var"], 0.9 * running["var"] + 0.1 * var, rtol=1e-4)
    np.testing.assert_allclose(net.apply(variables, x), expected(running["mean"], running["var"]), rtol=1e-4)
    alone = net.apply(variables, x[:3], train=True, mutable=["batch_stats"])[0]
    np.testing.assert_allclose(alone, y[:3], rtol=1e-4, err_msg="without weights, all are examples")


def test_padding_has_no_gradient_through_batch_norm(rng):
    x = rng.normal(size=(5, *SHAPE)).astype(np.float32)
    net, weight = normed("batch"), jnp.array([1.0, 1, 1, 0, 0])
    variables = drawn(rng, net, x)

    def loss(x):
        y, _ = net.apply(variables, x, train=True, weight=weight, mutable=["batch_stats"])
        return jnp.sum(weight * jnp.sum(jnp.sin(y), axis=1))

    gradient = np.abs(jax.grad(loss)(x)).reshape(5, -1).max(1)
    assert (gradient[:3] > 0).all() and (gradient[3:] == 0).all()


def test_starting_a_net_writes_no_statistics(rng):
    net = normed("batch")
    state = net.init(KEY, jnp.ones((2, *SHAPE)))["batch_stats"]["norms_0"]["norm"]
    np.testing.assert_array_equal(state["mean"], np.zeros(4))
    np.testing.assert_array_equal(state["var"], np.ones(4))


@pytest.mark.parametrize("rate", [0.2, 0.7])
def test_dropout_drops_its_share_and_keeps_the_mean(rate):
    y = np.asarray(nets.dropout(jnp.full((50, 400), 3.0), rate, KEY))
    assert abs((y == 0).mean() - rate) < 0.01 and abs(y.mean() - 3) < 0.1
    np.testing.assert_allclose(y[y != 0], 3 / (1 - rate), rtol=1e-6)
    assert len(np.unique(y, axis=0)) == 50, "every example its own"


def test_dropout_of_an_example_depends_on_its_place_alone():
    h = jnp.ones((6, 30))
    np.testing.assert_array_equal(nets.dropout(h, 0.5, KEY)[:4], nets.dropout(h[:4], 0.5, KEY))
    assert (nets.dropout(h, 0.5, KEY) != nets.dropout(h, 0.5, jax.random.key(1))).any()


def test_dropout_is_after_the_activation_of_each_hidden_layer_in_training_alone(rng):
    x = rng.normal(size=(4, *SHAPE)).astype(np.float32)
    net = normed("none", dropout=0.5)
    variables = drawn(rng, net, x)
    params = variables["params"]
    h = np.tanh(hidden(params, x))
    np.testing.assert_allclose(net.apply(variables, x, key=KEY), ended(params, h), rtol=1e-4)
    kept = np.asarray(nets.dropout(h, 0.5, keys.named(KEY, "dropout_0")))
    assert (kept == 0).any() and (kept != 0).any()
    np.testing.assert_allclose(net.apply(variables, x, train=True, key=KEY), ended(params, kept), rtol=1e-4)


def test_two_hidden_layers_do_not_drop_the_same_units():
    net = nets.MlpDecoder(SHAPE, 6, (6, 6), "linear", dropout=0.5)
    eye = {"kernel": jnp.eye(6), "bias": jnp.zeros(6)}
    params = {"layers_0": eye, "layers_1": eye, "layers_2": {"kernel": jnp.ones((6, 9)), "bias": jnp.zeros(9)}}
    y = net.apply({"params": params}, jnp.ones((200, 6)), train=True, key=KEY)
    np.testing.assert_allclose(float((y[:, 0, 0, 0] / 4).mean()), 6 * 0.25, atol=0.2)


@pytest.mark.parametrize("name", sorted(nets.NORMS))
def test_parameters_of_norms(name):
    params = jax.eval_shape(normed(name).init, KEY, jnp.zeros((2, *SHAPE)))["params"]
    assert set(params) == {"layers_0", "layers_1"} | (set() if name == "none" else {"norms_0"})
    assert ("bias" in params["layers_0"]) == (name != "batch"), "the batch's mean takes it away"
    assert "bias" in params["layers_1"], "no norm follows the last layer"


class Dictionary(nn.Module):
    """An encoder and its dictionary, as an autoencoder holds them."""

    widths: tuple = ()
    inputs: int = 4

    def setup(self):
        self.encoder = nets.MlpEncoder(SHAPE, 4, self.widths, bias_init=0.5)
        self.decoder = nets.DictionaryDecoder(SHAPE, self.inputs, self.encoder)

    def __call__(self, x):
        return self.decoder(self.encoder(x))

    def decode(self, z):
        return self.decoder(z)

    def atoms(self):
        return self.decoder.atoms()

    def linear(self, z):
        return self.decoder.linear(z)


def test_dictionary_starts_as_the_encoders_transpose_and_is_then_its_own(rng):
    x, z = rng.normal(size=(2, *SHAPE)).astype(np.float32), rng.normal(size=(2, 4)).astype(np.float32)
    both = Dictionary()
    variables = jax.jit(both.init)(KEY, x)
    params = variables["params"]
    np.testing.assert_array_equal(params["decoder"]["kernel"], params["encoder"]["layers_0"]["kernel"].T)
    assert set(params["decoder"]) == {"kernel", "bias"} and params["decoder"]["bias"].shape == (9,)
    params = jax.tree.map(lambda a: rng.normal(size=a.shape).astype(np.float32), params)
    kernel, bias = params["decoder"]["kernel"], params["decoder"]["bias"]
    unit = kernel / np.linalg.norm(kernel, axis=1, keepdims=True)
    variables = {"params": params}
    np.testing.assert_allclose(both.apply(variables, method="atoms"), unit, rtol=1e-5)
    found = jax.jit(lambda z: both.apply(variables, z, method="decode"))(z)  # before the encoder has been called
    np.testing.assert_allclose(found, (z @ unit + bias).reshape(2, *SHAPE), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        both.apply(variables, z, method="linear"), (z @ unit).reshape(2, *SHAPE), rtol=1e-4, atol=1e-5
    )
    started = jax.jit(lambda key: both.init(key, z, method="decode"))(KEY)["params"]
    np.testing.assert_array_equal(started["decoder"]["kernel"], started["encoder"]["layers_0"]["kernel"].T)


def test_the_length_of_an_atom_has_no_gradient(rng):
    both, z = Dictionary(), rng.normal(size=(2, 4)).astype(np.float32)
    params = both.init(KEY, jnp.ones((2, *SHAPE)))["params"]
    gradient = jax.grad(lambda p: jnp.sum(jnp.sin(both.apply({"params": p}, z, method="decode"))))(params)["decoder"]
    along = jnp.sum(gradient["kernel"] * params["decoder"]["kernel"], axis=1)
    np.testing.assert_allclose(along, np.zeros(4), atol=1e-5)
    assert jnp.abs(gradient["kernel"]).max() > 0.01
    silent = jax.tree.map(jnp.zeros_like, params)
    assert np.isfinite(both.apply({"params": silent}, z, method="decode")).all(), "an atom of zeros stays one"


class Mixed(nn.Module):
    """A decoder that wants dense layers, on an encoder that has others too."""

    decoder_class: type

    def setup(self):
        self.encoder = nets.ConvEncoder((4, 4, 1), 4, (2,))
        given = {"inputs": 4} if self.decoder_class is nets.DictionaryDecoder else {}
        self.decoder = self.decoder_class(shape=(4, 4, 1), encoder=self.encoder, **given)

    def __call__(self, x):
        return self.decoder(self.encoder(x))


def test_decoders_refuse_encoders_and_codes_that_do_not_go_with_them():
    for net, x, message in (
        (Dictionary((5,)), jnp.zeros((2, *SHAPE)), r"decoder\.name='dictionary'.*encoder\.widths=\(\)"),
        (Dictionary(inputs=3), jnp.zeros((2, *SHAPE)), r"decoder\.name='dictionary'.*code of 3 units.*at 4"),
        (Mixed(nets.DictionaryDecoder), jnp.zeros((2, 4, 4, 1)), r"decoder\.name='dictionary'.*encoder\.name='mlp'"),
        (Mixed(nets.TiedDecoder), jnp.zeros((2, 4, 4, 1)), r"decoder\.name='tied'.*encoder\.name='mlp'"),
        (nets.MlpDecoder(SHAPE, 2), jnp.zeros((2, 4, 4, 2)), r"decoder\.name='mlp'.*\[2, 4, 4, 2\].*allconv"),
        (normed("bach"), jnp.zeros((2, *SHAPE)), r"encoder\.norm='bach'.*batch, layer, none"),
    ):
        with pytest.raises(UserError, match=message):
            jax.eval_shape(net.init, KEY, x)


def test_which_encoders_are_a_single_dense_layer():
    assert nets.MlpEncoder(SHAPE, 2, norm="batch", dropout=0.5).single
    assert not nets.MlpEncoder(SHAPE, 2, (3,)).single
    assert not nets.ConvEncoder(SHAPE, 2).single and not nets.AllconvEncoder(SHAPE, 2).single
