"""What ``data.binarise`` names: prepared images [b, h, w, c] in [0, 1] -> the images that the model reads.

Beside x, each names what it needs: ``keys`` [b], fresh at every step and for every example, or ``identity`` [b]
uint32, by which an example is known (see ``identity``).
"""

import jax

from aejax.keys import root


def none(x: jax.Array) -> jax.Array:
    """Grey values as they are."""
    return x


def threshold(x: jax.Array) -> jax.Array:
    """1 where a pixel is above ½, else 0."""
    return (x > 0.5).astype(x.dtype)


def fixed(x: jax.Array, identity: jax.Array) -> jax.Array:
    """One draw from Bernoulli(x) for each image, the same at every step, in every split and in every run.

    Salakhutdinov, Murray: On the quantitative analysis of deep belief networks (2008), sampled MNIST once so.
    """
    key = root(0, "binarise")
    return _drawn(x, jax.vmap(lambda i: jax.random.fold_in(key, i))(identity))


def dynamic(x: jax.Array, keys: jax.Array) -> jax.Array:
    """A fresh draw from Bernoulli(x) whenever an image is read."""
    return _drawn(x, keys)


def _drawn(x: jax.Array, keys: jax.Array) -> jax.Array:
    return jax.vmap(lambda key, p: jax.random.bernoulli(key, p))(keys, x).astype(x.dtype)
