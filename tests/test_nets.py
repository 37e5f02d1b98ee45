import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax import nets
from aejax.errors import UserError

SHAPE = (3, 3, 1)


class Both(nets.nn.Module):
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
