"""Bottlenecks: from an encoder's features [b, features] to a code [b, size].

Each is a module called as ``code(h, train=…, weight=…, key=…, **arguments)``:
``weight`` [b] is 1 for an example and 0 for padding; ``arguments`` are the
numbers of the config's section ``code`` that its call has a parameter for; it
returns a ``Coded``. With ``train=False`` a code is what the paper encodes with:
no sparsity mask and no noise.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from aejax import nets


class Coded(NamedTuple):
    """A code [b, size], and the penalties that it reports, one number per example [b] by loss name."""

    z: jax.Array
    penalties: dict[str, jax.Array]


class Deterministic(nn.Module):
    """``z = act(h)``."""

    size: int
    activation: str = "relu"

    @property
    def features(self) -> int:
        return self.size

    def __call__(self, h: jax.Array, *, train: bool, weight: jax.Array, key: jax.Array) -> Coded:
        return Coded(nets.activation(self.activation, "code.activation")(h), {})


class Lifetime(nn.Module):
    """Lifetime sparsity: over the global batch each unit keeps its top ``rate`` share of activations.

    ``z = relu(h) * winners(relu(h))`` in training, plain ``relu(h)`` when
    encoding (Makhzani & Frey, "Winner-Take-All Autoencoders", arXiv 1409.2752,
    section 2). The mask is a constant to differentiation, so losers get no gradient.
    """

    size: int

    @property
    def features(self) -> int:
        return self.size

    def __call__(self, h: jax.Array, *, train: bool, weight: jax.Array, key: jax.Array, rate: jax.Array) -> Coded:
        z = jax.nn.relu(h)
        return Coded(jnp.where(winners(z, rate, weight), z, 0.0) if train else z, {})


def winners(z: jax.Array, rate: jax.Array | float, weight: jax.Array) -> jax.Array:
    """Which activations win [b, d]: at most ``k = max(1, round(rate · Σ weight))`` of each column.

    A winner is positive and strictly above the (k+1)-th largest activation of its
    unit, so ties at the border all lose and zeros never win. Padding (weight 0)
    takes no place.

    Args:
      z: [b, d] non-negative activations.
      rate: share of the batch, in (0, 1]; may be traced.
      weight: [b], 1 for an example and 0 for padding.
    """
    z = jnp.where(weight[:, None] > 0, jax.lax.stop_gradient(z), 0.0)
    k = jnp.maximum(1, jnp.round(rate * jnp.sum(weight)).astype(jnp.int32))
    return z > kth_largest(z, k + 1)[None]


def kth_largest(z: jax.Array, k: jax.Array | int) -> jax.Array:
    """The k-th largest value of each column of non-negative z [b, d]: [d]; 0 where k > b.

    Non-negative floats are ordered as their bits are, so the value is found bit by
    bit from the top: 31 rounds that only count. That works for a traced k, costs
    the same for every k, is twenty times faster than a sort on a CPU, and over a
    batch on many devices adds up counts where a sort would gather activations.
    """
    bits = jax.lax.bitcast_convert_type(z.astype(jnp.float32), jnp.int32)

    def settle(i, found):
        candidate = found | (1 << (30 - i))
        enough = jnp.sum(bits >= candidate[None], axis=0) >= k
        return jnp.where(enough, candidate, found)

    found = jax.lax.fori_loop(0, 31, settle, jnp.zeros(z.shape[1], jnp.int32))
    return jax.lax.bitcast_convert_type(found, jnp.float32)
