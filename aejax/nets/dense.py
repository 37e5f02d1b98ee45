"""Dense nets and their adjoints: from images [b, h, w, c] to features [b, d] and back."""

import math
from collections.abc import Callable, Iterable
from itertools import pairwise

import jax
import jax.numpy as jnp
from flax import linen as nn

from aejax.errors import UserError
from aejax.nets.layers import Finish, activation, kernel_init, norm, shifted


class Dense(nn.Module):
    """``y = x W + b`` with W [inputs, outputs], and the adjoint of its linear part, ``x = y Wᵀ``; b if ``biased``.

    Products are in the type of what comes in.
    """

    inputs: int
    outputs: int
    kernel_init: Callable
    bias_init: float = 0.0
    biased: bool = True

    def setup(self):
        self.kernel = self.param("kernel", self.kernel_init, (self.inputs, self.outputs))
        if self.biased:
            self.bias = self.param("bias", nn.initializers.constant(self.bias_init), (self.outputs,))

    def __call__(self, x: jax.Array) -> jax.Array:
        y = x @ self.kernel.astype(x.dtype)
        return shifted(y, self.bias) if self.biased else y

    def adjoint(self, y: jax.Array) -> jax.Array:
        return y @ self.kernel.astype(y.dtype).T


def dense_stack(net: nn.Module, sizes: tuple[int, ...], section: str, hidden: int) -> list[Dense]:
    """Dense layers through ``sizes``, the first so many ``hidden``, as the net's fields of that config section say."""
    init = kernel_init(net.kernel_init, net.init_std, f"{section}.kernel_init")
    centres = norm(net.norm, f"{section}.norm").centres
    return [
        Dense(i, o, init, net.bias_init, biased=n >= hidden or not centres) for n, (i, o) in enumerate(pairwise(sizes))
    ]


def norm_stack(net: nn.Module, hidden: int, section: str) -> list[nn.Module]:
    """A normalisation for each of so many hidden layers."""
    return [norm(net.norm, f"{section}.norm")() for _ in range(hidden)]


def through(layers: Iterable[Dense], finish: Callable, h: jax.Array) -> jax.Array:
    """``h`` [b, inputs] through the layers, with ``finish`` after each but the last."""
    *hidden, last = layers
    return last(beneath(hidden, finish, h))


def beneath(hidden: Iterable[Dense], finish: Callable, h: jax.Array) -> jax.Array:
    """``h`` [b, inputs] through the layers, with ``finish`` after each."""
    for layer in hidden:
        h = finish(layer(h))
    return h


def vectors(z: jax.Array, decoder: str) -> jax.Array:
    """The code z [b, d], unless it is maps.

    Raises:
      UserError: it is maps.
    """
    if z.ndim != 2:
        raise UserError(
            f"config.decoder.name={decoder!r} reads a code [b, d], not maps {list(z.shape)}; accepted with "
            "config.encoder.name='allconv': allconv"
        )
    return z


class MlpEncoder(nn.Module):
    """A multilayer perceptron from [b, *shape] to [b, outputs]: hidden layers of ``widths`` units, a linear end."""

    shape: tuple[int, int, int]
    outputs: int
    widths: tuple[int, ...] = ()
    activation: str = "relu"
    kernel_init: str = "glorot_uniform"
    init_std: float = 0.01
    bias_init: float = 0.0
    norm: str = "none"
    dropout: float = 0.0

    @property
    def single(self) -> bool:
        """Whether it is one dense layer and nothing else: norm and dropout belong to hidden layers."""
        return not self.widths

    def setup(self):
        self.act = activation(self.activation, "encoder.activation")
        sizes = (math.prod(self.shape), *self.widths, self.outputs)
        self.layers = dense_stack(self, sizes, "encoder", hidden=len(self.widths))
        self.norms = norm_stack(self, len(self.widths), "encoder")

    def __call__(
        self, x: jax.Array, *, train: bool = False, weight: jax.Array | None = None, key: jax.Array | None = None
    ) -> jax.Array:
        return self.layers[-1](self.hidden(x, train=train, weight=weight, key=key))

    def hidden(
        self, x: jax.Array, *, train: bool = False, weight: jax.Array | None = None, key: jax.Array | None = None
    ) -> jax.Array:
        """What the last layer reads: the last hidden layer [b, d], or the pixels where there is none."""
        finish = Finish(self, train, weight, key)
        return beneath(self.layers[:-1], finish, x.reshape(x.shape[0], math.prod(self.shape)))


class MlpDecoder(nn.Module):
    """A multilayer perceptron from [b, inputs] to [b, *shape]: hidden layers of ``widths`` units, a linear end.

    Raises:
      UserError: the code is maps.
    """

    shape: tuple[int, int, int]
    inputs: int
    widths: tuple[int, ...] = ()
    activation: str = "relu"
    kernel_init: str = "glorot_uniform"
    init_std: float = 0.01
    bias_init: float = 0.0
    norm: str = "none"
    dropout: float = 0.0

    def setup(self):
        self.act = activation(self.activation, "decoder.activation")
        sizes = (self.inputs, *self.widths, math.prod(self.shape))
        self.layers = dense_stack(self, sizes, "decoder", hidden=len(self.widths))
        self.norms = norm_stack(self, len(self.widths), "decoder")

    def __call__(
        self, z: jax.Array, *, train: bool = False, weight: jax.Array | None = None, key: jax.Array | None = None
    ) -> jax.Array:
        finish = Finish(self, train, weight, key)
        return through(self.layers, finish, vectors(z, "mlp")).reshape(z.shape[0], *self.shape)


class TiedDecoder(nn.Module):
    """The encoder's adjoint: its kernels transposed, in reverse, with biases of its own.

    For encoder kernels W₁ … W_L, layer k of the decoder is ``act(h W_{L+1−k}ᵀ + b_k)``,
    the last one linear. The encoder's last layer must end at the code itself, not at
    parameters of a distribution over codes.

    Raises:
      UserError: the encoder is not dense.
    """

    shape: tuple[int, int, int]
    encoder: nn.Module
    activation: str = "relu"
    bias_init: float = 0.0

    def setup(self):
        if not isinstance(self.encoder, MlpEncoder):
            raise UserError("config.decoder.name='tied' transposes dense layers; accepted: config.encoder.name='mlp'")
        self.act = activation(self.activation, "decoder.activation")
        init = nn.initializers.constant(self.bias_init)
        inputs = [layer.inputs for layer in reversed(self.encoder.layers)]
        self.biases = [self.param(f"bias_{i}", init, (n,)) for i, n in enumerate(inputs)]

    def __call__(
        self, z: jax.Array, *, train: bool = False, weight: jax.Array | None = None, key: jax.Array | None = None
    ) -> jax.Array:
        h = z
        for layer, bias in zip(reversed(self.encoder.layers), self.biases, strict=True):
            h = shifted(layer.adjoint(h), bias)
            if layer is not self.encoder.layers[0]:
                h = self.act(h)
        return h.reshape(z.shape[0], *self.shape)


class DictionaryDecoder(nn.Module):
    """``x̂ = z D + b``, where the rows ("atoms") of D [inputs, pixels] have unit norm: ``D_j = W_j / ‖W_j‖``.

    W starts as the transpose of the encoder's kernel, so that at first each unit
    writes what it reads; from then on the two learn apart (Gao et al., "Scaling and
    evaluating sparse autoencoders", arXiv 2406.04093, section 2 and appendix A).

    Raises:
      UserError: the encoder is more than one dense layer, or does not end at the code itself.
    """

    shape: tuple[int, int, int]
    inputs: int
    encoder: nn.Module
    bias_init: float = 0.0

    def setup(self):
        if not isinstance(self.encoder, MlpEncoder) or not self.encoder.single:
            raise UserError(
                "config.decoder.name='dictionary' starts from the transpose of one dense layer; "
                "accepted: config.encoder.name='mlp' with config.encoder.widths=()"
            )
        if self.encoder.outputs != self.inputs:
            raise UserError(
                f"config.decoder.name='dictionary' needs an encoder that ends at the code of {self.inputs} units, "
                f"and config.code.name has it end at {self.encoder.outputs}; accepted: codes of as many features"
            )
        start = self.encoder.layers[-1].kernel.T  # here, and not in the initialiser: it makes the encoder's parameters
        self.kernel = self.param("kernel", lambda key: start)
        self.bias = self.param("bias", nn.initializers.constant(self.bias_init), (math.prod(self.shape),))

    def atoms(self) -> jax.Array:
        """D [inputs, pixels]; each row has norm 1."""
        squares = jnp.sum(jnp.square(self.kernel), axis=1, keepdims=True)
        return self.kernel * jax.lax.rsqrt(jnp.maximum(squares, jnp.finfo(squares.dtype).tiny))

    def linear(self, z: jax.Array) -> jax.Array:
        """``z D`` as an image [b, h, w, c], without the bias."""
        return self._flat(z).reshape(z.shape[0], *self.shape)

    def __call__(
        self, z: jax.Array, *, train: bool = False, weight: jax.Array | None = None, key: jax.Array | None = None
    ) -> jax.Array:
        return shifted(self._flat(z), self.bias).reshape(z.shape[0], *self.shape)

    def _flat(self, z: jax.Array) -> jax.Array:
        """``z D`` [b, pixels]."""
        return z @ self.atoms().astype(z.dtype)
