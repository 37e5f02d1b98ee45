"""What an example is known by, wherever and whenever it turns up: a number made of its content."""

import math

import jax
import jax.numpy as jnp


def identity(x: jax.Array) -> jax.Array:
    """A hash of each image: [b, ...] of any real type -> [b] uint32.

    Pixels become float32, and their 32 bits are mixed with their place; the sum of these, modulo 2^32, is mixed
    again. Whole numbers all the way, so that neither platform nor sharding nor the rest of the batch plays a part.
    Works inside ``jit``.
    """
    rows = x.reshape(x.shape[0], math.prod(x.shape[1:])).astype(jnp.float32)
    rows = jnp.where(rows == 0, 0, rows)  # -0 is 0
    bits = jax.lax.bitcast_convert_type(rows, jnp.uint32)
    place = jnp.arange(1, rows.shape[1] + 1, dtype=jnp.uint32) * jnp.uint32(0x9E3779B9)  # 2^32 over the golden ratio
    # Mixed before they are added: the bits of 0 and 1, say, differ in the highest nine alone.
    return _mixed(jnp.sum(_mixed(bits + _mixed(place)[None]), axis=1, dtype=jnp.uint32))


def _mixed(bits: jax.Array) -> jax.Array:
    """Each uint32 to another, one to one, so that every bit depends on every other: MurmurHash3's final steps."""
    bits = (bits ^ (bits >> 16)) * jnp.uint32(0x85EBCA6B)
    bits = (bits ^ (bits >> 13)) * jnp.uint32(0xC2B2AE35)
    return bits ^ (bits >> 16)
