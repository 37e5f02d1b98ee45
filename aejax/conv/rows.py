"""Maps worked on row by row, several rows in a step: the products of some then run while others are moved."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

TOGETHER = 4  # rows at a time; 1 to 14 were tried


def summed(count: int, term: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """``Σ_i term(i)`` over so many rows."""
    together = _together(count)

    def several(i: jax.Array) -> jax.Array:
        return functools.reduce(jnp.add, [term(i * together + j) for j in range(together)])

    return lax.fori_loop(1, count // together, lambda i, found: found + several(i), several(0))


def stacked(count: int, row: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """Rows [c, 1, …] as maps [c, count, …]."""
    like, together = jax.eval_shape(row, 0), _together(count)

    def several(i: jax.Array, y: jax.Array) -> jax.Array:
        for at in [i * together + j for j in range(together)]:
            y = lax.dynamic_update_slice_in_dim(y, row(at), at, 1)
        return y

    y = jnp.zeros((like.shape[0], count, *like.shape[2:]), like.dtype)
    return lax.fori_loop(0, count // together, several, y)


def _together(count: int) -> int:
    return max(n for n in range(1, TOGETHER + 1) if count % n == 0)
