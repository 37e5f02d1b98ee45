"""Encoders, decoders and their adjoints: from images [b, h, w, c] to features [b, d] and back.

An encoder ends in a linear layer: what it returns are pre-activations, and
``aejax.codes`` makes a code of them. A decoder ends in a linear layer too: what
it returns is read by a likelihood (logits, or a mean).
"""

import math
from collections.abc import Callable

import jax
from flax import linen as nn

from aejax import parts

ACTIVATIONS: dict[str, Callable] = {
    "linear": lambda x: x,
    **{
        name: getattr(jax.nn, name)
        for name in ("celu", "elu", "gelu", "hard_sigmoid", "hard_tanh", "leaky_relu", "mish", "relu", "relu6")
        + ("selu", "sigmoid", "silu", "soft_sign", "softplus", "swish", "tanh")
    },
}

_SCALED = (
    *("glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal", "lecun_uniform"),
    "orthogonal",
)
KERNEL_INITS_WITH_STD = ("normal", "truncated_normal")
KERNEL_INITS: dict[str, Callable[[float], Callable]] = {
    **{name: lambda std, name=name: getattr(jax.nn.initializers, name)() for name in _SCALED},
    **{name: getattr(jax.nn.initializers, name) for name in KERNEL_INITS_WITH_STD},
}


def activation(name: str, key: str) -> Callable:
    """The activation function of that name; ``key`` is the config's, for the error.

    Raises:
      UserError: there is none of that name.
    """
    return parts.find(ACTIVATIONS, key, name)


def kernel_init(name: str, std: float, key: str) -> Callable:
    """The initialiser of that name; ``std`` is read by ``normal`` and ``truncated_normal``.

    Raises:
      UserError: there is none of that name.
    """
    return parts.find(KERNEL_INITS, key, name)(std)


class Dense(nn.Module):
    """``y = x W + b`` with W [inputs, outputs], and the adjoint of its linear part, ``x = y Wᵀ``."""

    inputs: int
    outputs: int
    kernel_init: Callable
    bias_init: float = 0.0

    def setup(self):
        self.kernel = self.param("kernel", self.kernel_init, (self.inputs, self.outputs))
        self.bias = self.param("bias", nn.initializers.constant(self.bias_init), (self.outputs,))

    def __call__(self, x: jax.Array) -> jax.Array:
        return x @ self.kernel + self.bias[None]

    def adjoint(self, y: jax.Array) -> jax.Array:
        return y @ self.kernel.T


def dense_stack(net: nn.Module, sizes: tuple[int, ...], section: str) -> list[Dense]:
    """Dense layers through ``sizes``, started as the net's fields of that section of the config say."""
    init = kernel_init(net.kernel_init, net.init_std, f"{section}.kernel_init")
    return [Dense(i, o, init, net.bias_init) for i, o in zip(sizes, sizes[1:], strict=False)]


def through(layers: list[Dense], act: Callable, h: jax.Array) -> jax.Array:
    """``h`` [b, inputs] through the layers, with ``act`` after each but the last."""
    for layer in layers[:-1]:
        h = act(layer(h))
    return layers[-1](h)


class MlpEncoder(nn.Module):
    """A multilayer perceptron from [b, *shape] to [b, outputs]: hidden layers of ``widths`` units, a linear end."""

    shape: tuple[int, int, int]
    outputs: int
    widths: tuple[int, ...] = ()
    activation: str = "relu"
    kernel_init: str = "glorot_uniform"
    init_std: float = 0.01
    bias_init: float = 0.0

    def setup(self):
        self.act = activation(self.activation, "encoder.activation")
        self.layers = dense_stack(self, (math.prod(self.shape), *self.widths, self.outputs), "encoder")

    def __call__(self, x: jax.Array) -> jax.Array:
        return through(self.layers, self.act, x.reshape(x.shape[0], math.prod(self.shape)))


class MlpDecoder(nn.Module):
    """A multilayer perceptron from [b, inputs] to [b, *shape]: hidden layers of ``widths`` units, a linear end."""

    shape: tuple[int, int, int]
    inputs: int
    widths: tuple[int, ...] = ()
    activation: str = "relu"
    kernel_init: str = "glorot_uniform"
    init_std: float = 0.01
    bias_init: float = 0.0

    def setup(self):
        self.act = activation(self.activation, "decoder.activation")
        self.layers = dense_stack(self, (self.inputs, *self.widths, math.prod(self.shape)), "decoder")

    def __call__(self, z: jax.Array) -> jax.Array:
        return through(self.layers, self.act, z).reshape(z.shape[0], *self.shape)


class TiedDecoder(nn.Module):
    """The encoder's adjoint: its kernels transposed, in reverse, with biases of its own.

    For encoder kernels W₁ … W_L, layer k of the decoder is ``act(h W_{L+1−k}ᵀ + b_k)``,
    the last one linear. The encoder's last layer must end at the code itself, not at
    parameters of a distribution over codes.
    """

    shape: tuple[int, int, int]
    encoder: nn.Module
    activation: str = "relu"
    bias_init: float = 0.0

    def setup(self):
        self.act = activation(self.activation, "decoder.activation")
        init = nn.initializers.constant(self.bias_init)
        inputs = [layer.inputs for layer in reversed(self.encoder.layers)]
        self.biases = [self.param(f"bias_{i}", init, (n,)) for i, n in enumerate(inputs)]

    def __call__(self, z: jax.Array) -> jax.Array:
        h = z
        for layer, bias in zip(reversed(self.encoder.layers), self.biases, strict=True):
            h = layer.adjoint(h) + bias[None]
            if layer is not self.encoder.layers[0]:
                h = self.act(h)
        return h.reshape(z.shape[0], *self.shape)
