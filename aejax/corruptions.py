"""Input noise: ``x̃ = corrupt(x)``, drawn afresh at every step and never when encoding.

Each takes prepared images x [b, h, w, c] and keys [b], one an example, and the
numbers of the config's section ``corruption`` that it has a parameter for.
"""

import jax


def none(x: jax.Array, keys: jax.Array) -> jax.Array:
    """``x̃ = x``."""
    return x


def gaussian(x: jax.Array, keys: jax.Array, *, std: jax.Array | float) -> jax.Array:
    """``x̃ = x + std · n`` with n ~ N(0, I)."""
    return x + std * jax.vmap(lambda key: jax.random.normal(key, x.shape[1:], x.dtype))(keys)
