"""The k largest of many numbers, for a k that may be traced.

Floats are ordered as their bits are once the sign is folded in, so the k-th
largest is found bit by bit from the top: 32 rounds that only count. That costs
the same for every k, and over an axis that many devices share adds up counts
where a sort would gather numbers.
"""

import jax
import jax.numpy as jnp


def kth_largest(z: jax.Array, k: jax.Array | int, axis: int = 0) -> jax.Array:
    """The k-th largest value of z along ``axis``, which the result lacks; −inf where there are fewer than k.

    Args:
      z: floats of any sign, at most float32.
      k: from 1; an array where it differs between the places of the result.
    """
    found = jnp.squeeze(_kth(_ordered(z), jnp.expand_dims(k, axis) if jnp.ndim(k) else k, axis, 32), axis)
    bits = jnp.where(found >> 31 == 1, found ^ jnp.uint32(1 << 31), ~found)
    return jnp.where(found == 0, -jnp.inf, jax.lax.bitcast_convert_type(bits, jnp.float32))


def largest(z: jax.Array, k: jax.Array | int, axis: int = -1) -> jax.Array:
    """Which values are among the k largest of their line along ``axis``: boolean, exactly ``min(k, n)`` true of n.

    Signed: −1 is larger than −2. Of equal values at the border those with the lower
    index are taken, so that k is exact even where a whole line is equal. A constant
    to differentiation.
    """
    order = _ordered(z)
    border = _kth(order, k, axis, 32)
    above, tied = order > border, order == border
    places = jnp.maximum(k - jnp.sum(above, axis=axis, keepdims=True), 0)
    n = z.shape[axis]

    def first() -> jax.Array:
        early = n - jax.lax.broadcasted_iota(jnp.uint32, z.shape, axis % z.ndim)
        early = jnp.where(tied, early, 0)  # of the tied: n for the first of the line, 1 for the last
        return above | ((early > 0) & (early >= _kth(early, places, axis, n.bit_length())))

    crowded = jnp.any(jnp.sum(tied, axis=axis, keepdims=True) > places)  # seldom: a fifth of the time saved
    return jax.lax.cond(crowded, first, lambda: above | tied)


def keep_largest(h: jax.Array, k: jax.Array | int) -> jax.Array:
    """``h`` [b, ...] with all but the k largest units of each example set to 0; the losers get no gradient.

    On maps [b, h, w, size] the k are the largest over all places and maps of the example together.
    """
    rows = h.reshape(h.shape[0], -1)
    return jnp.where(largest(rows, k), rows, 0.0).reshape(h.shape)


def whole(k: jax.Array | float) -> jax.Array:
    """A number of units that an argument asks for: rounded, and at least 1."""
    return jnp.maximum(1, jnp.round(k).astype(jnp.int32))


def _ordered(z: jax.Array) -> jax.Array:
    """Unsigned integers in the order of the floats z, with 0 and −0 equal."""
    z = jax.lax.stop_gradient(z).astype(jnp.float32)
    bits = jax.lax.bitcast_convert_type(jnp.where(z == 0, 0.0, z), jnp.uint32)
    return jnp.where(bits >> 31 == 1, ~bits, bits | jnp.uint32(1 << 31))


def _kth(order: jax.Array, k: jax.Array | int, axis: int, bits: int) -> jax.Array:
    """The largest integer that at least k of a line of unsigned ``order`` reach, below 2^bits; 0 where none is."""

    def settle(i, found):
        candidate = found | (jnp.uint32(1) << (bits - 1 - i).astype(jnp.uint32))
        enough = jnp.sum(order >= candidate, axis=axis, keepdims=True, dtype=jnp.int32) >= k
        return jnp.where(enough, candidate, found)

    line = jnp.zeros_like(jnp.take(order, jnp.array([0]), axis=axis))
    return jax.lax.fori_loop(0, bits, settle, line)
