"""What stands between the layers of every net: activations, initialisers, normalisation, dropout.

A hidden layer is its linear part, then norm, activation and dropout, in this order. Each computes in
the type of what it is given, float32 or bfloat16, with parameters that are float32; sums over examples are float32.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from aejax import keys, parts

ACTIVATIONS: dict[str, Callable] = {
    "linear": lambda x: x,
    **{
        name: getattr(jax.nn, name)
        for name in ("celu", "elu", "gelu", "hard_sigmoid", "hard_tanh", "leaky_relu", "mish", "relu", "relu6")
        + ("selu", "sigmoid", "silu", "soft_sign", "softplus", "swish", "tanh")
    },
}

PRECISIONS = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}

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


def precision(name: str) -> jnp.dtype:
    """The type of that name that nets compute in.

    Raises:
      UserError: there is none of that name.
    """
    return parts.find(PRECISIONS, "precision", name)


def shifted(y: jax.Array, bias: jax.Array) -> jax.Array:
    """``y + bias`` for y [b, d] and a bias [d], in the type of y.

    The sum is float32's: the bias's gradient is a sum over examples, and in bfloat16, whose digits are eight bits, a
    sum of ones ends at 256 or, in blocks, at some thousands.
    """
    return (y.astype(bias.dtype) + bias[None]).astype(y.dtype)


class NoNorm(nn.Module):
    """The identity."""

    centres = False  # whether a bias before it has no effect: then it has no gradient but rounding errors, which an
    # optimiser that scales gradients would follow, and the layers before it have none

    def __call__(self, h: jax.Array, *, train: bool, weight: jax.Array | None) -> jax.Array:
        return h


class BatchNorm(nn.Module):
    """``(h − mean) / √(variance + 1e-5) · scale + bias`` for each feature of the last axis.

    In training, mean and variance are those of the global batch (and of all places of a map), over the
    examples of weight above 0, in float32; otherwise the running ones, in the collection ``batch_stats``, of which
    each training step renews a tenth (Ioffe & Szegedy, arXiv 1502.03167).
    """

    centres = True

    @nn.compact
    def __call__(self, h: jax.Array, *, train: bool, weight: jax.Array | None) -> jax.Array:
        mask = None if weight is None else jnp.reshape(weight > 0, (-1,) + (1,) * (h.ndim - 1))
        # The variance in two passes: the difference of two large numbers loses the digits of a small variance.
        norm = nn.BatchNorm(momentum=0.9, use_fast_variance=False, dtype=h.dtype, name="norm")
        return norm(h, use_running_average=not train, mask=mask)


class LayerNorm(nn.Module):
    """``(h − mean) / √(variance + 1e-5) · scale + bias`` over the last axis, for each example and each place of a map
    by itself, its statistics in float32 (Ba et al., arXiv 1607.06450)."""

    centres = False

    @nn.compact
    def __call__(self, h: jax.Array, *, train: bool, weight: jax.Array | None) -> jax.Array:
        return nn.LayerNorm(epsilon=1e-5, use_fast_variance=False, dtype=h.dtype, name="norm")(h)


NORMS: dict[str, type[nn.Module]] = {"none": NoNorm, "batch": BatchNorm, "layer": LayerNorm}


def norm(name: str, key: str) -> type[nn.Module]:
    """The normalisation of that name, called as ``norm()(h, train=…, weight=…)``; ``key`` is the config's.

    Raises:
      UserError: there is none of that name.
    """
    return parts.find(NORMS, key, name)


def dropout(h: jax.Array, rate: float, key: jax.Array) -> jax.Array:
    """Each element of h [b, ...] is 0 with probability ``rate`` and else ``h / (1 − rate)``, so that its mean stays.

    What is dropped of an example depends on ``key`` and its place in the batch alone
    (Srivastava et al., "Dropout", JMLR 15, 2014).
    """
    draw = jax.vmap(lambda k: jax.random.bernoulli(k, 1 - rate, h.shape[1:]))
    return jnp.where(draw(keys.per_example(key, h.shape[0])), h / (1 - rate), 0.0)


class Finish:
    """Norm, activation and dropout after the hidden layers of one call of a net; it counts the layers.

    Args:
      net: has ``act``, ``norms`` (one a hidden layer) and ``dropout``.
      train: with the batch's statistics and dropout, or without.
      weight: [b], 1 for an example and 0 for padding; None: all are examples.
      key: of this call; read in training with dropout alone.
    """

    def __init__(self, net: nn.Module, train: bool, weight: jax.Array | None, key: jax.Array | None):
        self.net, self.train, self.weight, self.key, self.done = net, train, weight, key, 0

    def __call__(self, h: jax.Array) -> jax.Array:
        i, net = self.done, self.net
        self.done += 1
        h = net.act(net.norms[i](h, train=self.train, weight=self.weight))
        if self.train and net.dropout:
            h = dropout(h, net.dropout, keys.named(self.key, f"dropout_{i}"))
        return h


def called(call: Callable[[nn.Module, jax.Array], jax.Array], part: nn.Module, x: jax.Array, remat: bool) -> jax.Array:
    """``call(part, x)``; with ``remat`` what is computed on the way is forgotten, and computed again to differentiate.

    Memory for time (Chen et al., "Training Deep Nets with Sublinear Memory Cost", arXiv 1604.06174): of encoder and
    decoder only one has its activations at a time.
    """
    return (nn.remat(call) if remat else call)(part, x)
