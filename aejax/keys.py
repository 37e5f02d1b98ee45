"""Random keys as pure functions of seed, step, name and place in the batch."""

import zlib

import jax


def named(key: jax.Array, name: str) -> jax.Array:
    """The key folded with a name, so that parts that draw noise never share it."""
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def root(seed: jax.Array | int, name: str) -> jax.Array:
    """The key of everything called ``name`` in a run with this seed (which may be traced)."""
    return named(jax.random.key(seed), name)


def per_example(key: jax.Array, examples: int) -> jax.Array:
    """[n] keys, one for each place in the global batch, whatever device holds it or however far it is padded."""
    return jax.vmap(jax.random.fold_in, (None, 0))(key, jax.numpy.arange(examples))
