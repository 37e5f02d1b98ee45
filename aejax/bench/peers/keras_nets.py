"""Described nets in Keras: its own layers in the functional style, and the few that it has not, written small.

Maps are channels_last, Keras's default, and TensorFlow's faster layout on the CPU.
"""

from typing import NamedTuple

import keras
import protocol
from keras import ops

ACTIVATIONS = {
    name: name
    for name in ("celu", "elu", "hard_sigmoid", "hard_tanh", "mish", "relu", "relu6", "selu", "sigmoid", "silu")
    + ("softplus", "swish", "tanh", "linear")
}
ACTIVATIONS |= {"gelu": lambda x: ops.gelu(x, approximate=True), "leaky_relu": lambda x: ops.leaky_relu(x, 0.01)}
ACTIVATIONS |= {"soft_sign": "softsign"}
INITS = {
    "glorot_uniform": lambda std, seed: keras.initializers.GlorotUniform(seed),
    "glorot_normal": lambda std, seed: keras.initializers.GlorotNormal(seed),
    "he_uniform": lambda std, seed: keras.initializers.HeUniform(seed),
    "he_normal": lambda std, seed: keras.initializers.HeNormal(seed),
    "lecun_uniform": lambda std, seed: keras.initializers.LecunUniform(seed),
    "lecun_normal": lambda std, seed: keras.initializers.LecunNormal(seed),
    "orthogonal": lambda std, seed: keras.initializers.Orthogonal(seed=seed),
    "normal": lambda std, seed: keras.initializers.RandomNormal(stddev=std, seed=seed),
    "truncated_normal": lambda std, seed: keras.initializers.TruncatedNormal(stddev=std, seed=seed),
}


class Adjoint(keras.layers.Layer):
    """The transpose of a dense layer's kernel, with a bias of its own."""

    def __init__(self, dense, bias_init):
        super().__init__()
        self.dense = dense
        self.bias = self.add_weight(shape=(dense.kernel.shape[0],), initializer=keras.initializers.Constant(bias_init))

    def call(self, y):
        return ops.matmul(y, ops.transpose(self.dense.kernel)) + self.bias


class Dictionary(keras.layers.Layer):
    """``z D + b`` with rows of D of norm 1; they start as the columns of a dense layer's kernel."""

    def __init__(self, dense, bias_init, regularizer):
        super().__init__()
        start = ops.transpose(dense.kernel.value)
        self.kernel = self.add_weight(start.shape, lambda shape, dtype: start, regularizer=regularizer)
        self.bias = self.add_weight((start.shape[1],), keras.initializers.Constant(bias_init))

    def linear(self, z):
        return ops.matmul(z, ops.normalize(self.kernel, axis=1))

    def call(self, z):
        return self.linear(z) + self.bias


class Place(NamedTuple):
    """Where a layer stands: the shape it reads, the encoder's dense layers, its seed, its kernel's regularizer."""

    shape: tuple
    before: list
    seed: int
    regularizer: keras.Regularizer | None


def through(h, layers, before, decay, seed):
    """``h`` through the described layers.

    Args:
      h: a symbolic tensor.
      layers: their descriptions.
      before: the encoder's dense layers, for those that transpose one.
      decay: weight in the loss of half the squared norm of each kernel.
      seed: of the first layer's kernel; the next one's is one more.

    Returns:
      What they make of it, and the Keras layers.
    """
    made, regularizer = [], keras.regularizers.L2(decay / 2) if decay else None
    for number, layer in enumerate(layers):
        make = protocol.pick(LAYERS, "kind", layer["kind"])
        made.append(make(layer, Place(h.shape, before, seed + number, regularizer)))
        h = made[-1](h)
    return h, made


def _dense(layer, place):
    if "adjoint_of" in layer:
        return Adjoint(place.before[layer["adjoint_of"]], layer["bias_init"])
    return keras.layers.Dense(layer["outputs"], **_start(layer, place))


def _dictionary(layer, place):
    return Dictionary(place.before[-1], layer["bias_init"], place.regularizer)


def _conv(layer, place):
    return keras.layers.Conv2D(layer["outputs"], **_window(layer), **_start(layer, place))


def _conv_transpose(layer, place):
    """From size_in to size_out, where Keras by itself would go to size_in times the strides."""
    axes = zip(layer["size_in"], layer["size_out"], layer["kernel"], layer["strides"], strict=True)
    more = tuple(to - (at - 1) * stride - taps + 2 * (taps // 2) for at, to, taps, stride in axes)
    return keras.layers.Conv2DTranspose(layer["outputs"], output_padding=more, **_window(layer), **_start(layer, place))


def _window(layer):
    return {"kernel_size": layer["kernel"], "strides": layer["strides"], "padding": "same"}


def _start(layer, place):
    """What layers with a kernel have in common."""
    return {
        "use_bias": layer.get("biased", True),
        "kernel_initializer": protocol.pick(INITS, "kernel_init", layer["kernel_init"])(layer["init_std"], place.seed),
        "bias_initializer": keras.initializers.Constant(layer["bias_init"]),
        "kernel_regularizer": place.regularizer,
    }


def upsampling(interpolation, size, to):
    """The layer from maps of one size to another: by whole factors UpSampling2D, which repeats pixels rather than
    gathers them; else Resizing."""
    (rows, r), (columns, c) = (divmod(large, small) for large, small in zip(to, size, strict=True))
    if r or c:
        return keras.layers.Resizing(*to, interpolation=interpolation)
    return keras.layers.UpSampling2D((rows, columns), interpolation=interpolation)


LAYERS = {
    "dense": _dense,
    "dictionary": _dictionary,
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "max_pool": lambda layer, _: keras.layers.MaxPooling2D(layer["window"], padding="same"),
    "average_pool": lambda layer, _: keras.layers.AveragePooling2D(layer["window"], padding="same"),
    "nearest": lambda layer, place: upsampling("nearest", place.shape[1:3], layer["size"]),
    "bilinear": lambda layer, place: upsampling("bilinear", place.shape[1:3], layer["size"]),
    "flatten": lambda layer, _: keras.layers.Flatten(),
    "reshape": lambda layer, _: keras.layers.Reshape(layer["shape"]),
    "norm": lambda layer, _: protocol.pick(NORMS, "norm", layer["name"])(),
    "activation": lambda layer, _: keras.layers.Activation(protocol.pick(ACTIVATIONS, "activation", layer["name"])),
    "dropout": lambda layer, _: keras.layers.Dropout(layer["rate"]),
}
NORMS = {
    "batch": lambda: keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
    "layer": lambda: keras.layers.LayerNormalization(epsilon=1e-5),
}
