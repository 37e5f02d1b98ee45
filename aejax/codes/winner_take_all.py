"""Winner-take-all codes (Makhzani & Frey, "Winner-Take-All Autoencoders", arXiv 1409.2752)."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from aejax import conv
from aejax.codes.coded import Coded
from aejax.codes.largest import kth_largest
from aejax.errors import UserError


class Lifetime(nn.Module):
    """Lifetime sparsity: over the global batch each unit keeps its top ``rate`` share of activations.

    ``z = relu(h) * winners(relu(h))`` in training, plain ``relu(h)`` when
    encoding (Makhzani & Frey, "Winner-Take-All Autoencoders", arXiv 1409.2752,
    section 2). The mask is a constant to differentiation, so losers get no gradient.

    On maps [b, h, w, size] a unit is a map, and the share is of its activations at all
    places of all examples.
    """

    size: int
    of_batch = True  # an example's code, or what is counted, depends on its batch
    masked = True  # of training alone, where the decoder sees nothing else
    separable = True  # units do not depend on each other, nor on how many there are

    @property
    def features(self) -> int:
        return self.size

    def __call__(self, h: jax.Array, *, train: bool, weight: jax.Array, key: jax.Array, rate: jax.Array) -> Coded:
        z = jax.nn.relu(h)
        if not train:
            return Coded(z)
        rows = z.reshape(-1, self.size)
        won = winners(rows, rate, jnp.repeat(weight, len(rows) // len(weight)))
        return Coded(jnp.where(won, rows, 0.0).reshape(z.shape))


class Spatial(nn.Module):
    """Spatial and lifetime sparsity of maps: one winner a map, and few examples a map.

    In training each map of relu(h) [b, h, w, size] first keeps only its largest
    activation, the map's winner; then, over the global batch, each map keeps only the
    ``rate`` share of examples whose winners are the largest. What is left of a map is
    one activation in a few examples, so that its filter in the decoder must draw
    something by itself. ``rate`` 1 is spatial sparsity alone. Encoding and evaluation
    give all of relu(h) (Makhzani & Frey, "Winner-Take-All Autoencoders", arXiv
    1409.2752, section 4: CONV-WTA).

    Of equal activations the first in reading order wins; a map that is nowhere
    positive has no winner. The mask is a constant to differentiation, so losers get
    no gradient; padding takes no place.

    Raises:
      UserError: h is not maps.
    """

    size: int
    of_batch = True  # an example's code, or what is counted, depends on its batch
    masked = True  # of training alone, where the decoder sees nothing else

    @property
    def features(self) -> int:
        return self.size

    def __call__(self, h: jax.Array, *, train: bool, weight: jax.Array, key: jax.Array, rate: jax.Array) -> Coded:
        if h.ndim != 4:
            raise UserError("config.code.name='spatial' works on maps; accepted with it: encoder.name='allconv'")
        z = jax.nn.relu(h)
        if not train:
            return Coded(z)
        return Coded(jnp.where(spatial_winners(z, rate, weight), z, 0.0))


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
    return z > jnp.maximum(kth_largest(z, k + 1), 0.0)[None]


def spatial_winners(z: jax.Array, rate: jax.Array | float, weight: jax.Array) -> jax.Array:
    """Which activations win [b, h, w, d] of d maps: the largest of a map, if it wins over the batch too.

    Args:
      z: [b, h, w, d] non-negative activations.
      rate: share of the batch that each map keeps, in (0, 1]; may be traced.
      weight: [b], 1 for an example and 0 for padding.
    """
    z = jax.lax.stop_gradient(z)
    size = z.shape[1:3]
    # The larger, the earlier in reading order.
    before = -np.arange(math.prod(size), dtype=np.float32).reshape(1, *size, 1)
    largest = conv.max_pool(z, size)
    first = conv.max_pool(jnp.where(z == conv.nearest(largest, size), before, -jnp.inf), size)
    won = winners(largest[:, 0, 0], rate, weight)[:, None, None]
    return before == conv.nearest(jnp.where(won, first, 1.0), size)
