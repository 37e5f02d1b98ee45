"""Input noise: ``x̃ = corrupt(x)``, drawn afresh at every step and never when encoding.

Each takes prepared images x [b, h, w, c] and keys [b], one an example, and the
numbers of the config's section ``corruption`` that it has a parameter for. Each says
which components it corrupted, so that the loss can weigh those otherwise than the
rest: emphasised denoising (Vincent et al., "Stacked Denoising Autoencoders", JMLR 11, 2010, section 3.4).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

Number = jax.Array | float


class Corrupted(NamedTuple):
    """What a corruption gives.

    Attributes:
      x: [b, h, w, c], the corrupted images.
      where: [b, h, w, c] bool, the components that were chosen, whether or not their value changed.
    """

    x: jax.Array
    where: jax.Array


def none(x: jax.Array, keys: jax.Array) -> Corrupted:
    """``x̃ = x``; nothing is chosen."""
    return Corrupted(x, jnp.zeros(x.shape, bool))


def gaussian(x: jax.Array, keys: jax.Array, *, std: Number) -> Corrupted:
    """``x̃ = x + std · n`` with n ~ N(0, I); every component is chosen."""
    return Corrupted(x + std * _draw(jax.random.normal, keys, x), jnp.ones(x.shape, bool))


def clipped_gaussian(x: jax.Array, keys: jax.Array, *, std: Number, low: Number, high: Number) -> Corrupted:
    """``x̃ = min(max(x + std · n, low), high)`` with n ~ N(0, I); every component is chosen."""
    noisy, where = gaussian(x, keys, std=std)
    return Corrupted(jnp.clip(noisy, low, high), where)


def masking(x: jax.Array, keys: jax.Array, *, rate: Number) -> Corrupted:
    """``x̃_i = 0`` for each component chosen, with probability ``rate`` each on its own, else x_i.

    The number chosen varies from image to image about the share ``rate``
    (Vincent et al. 2010, section 3.3, masking noise).
    """
    where = _draw(jax.random.uniform, keys, x) < rate
    return Corrupted(jnp.where(where, 0.0, x), where)


def salt_and_pepper(x: jax.Array, keys: jax.Array, *, rate: Number, low: Number, high: Number) -> Corrupted:
    """``x̃_i = low`` or ``high``, as a fair coin falls, for each component chosen, with probability ``rate``; else x_i.

    Vincent et al. 2010, section 3.3. One uniform number decides both: chosen below ``rate``, low below half of it.
    """
    u = _draw(jax.random.uniform, keys, x)
    where = u < rate
    return Corrupted(jnp.where(where, jnp.where(u < rate / 2, low, high), x), where)


def _draw(sample: Callable, keys: jax.Array, x: jax.Array) -> jax.Array:
    """[b, h, w, c] of random numbers, those of an example from its own key."""
    return jax.vmap(lambda key: sample(key, x.shape[1:], x.dtype))(keys)
