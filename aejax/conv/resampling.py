"""Pooling and up-sampling of maps [b, h, w, c].

Written with slices, sums and stacks of whole maps, which every compiler makes into long vectors, where
reductions over windows in the middle of an array are none. Summing windows and repeating pixels are each
other's derivative.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from aejax.conv import platforms
from aejax.conv.geometry import Pair, padded


def max_pool(x: jax.Array, window: Pair) -> jax.Array:
    """The largest pixel of each window; [b, h, w, c] -> [b, ⌈h / window⌉, ⌈w / window⌉, c].

    Windows lie side by side, and over the edges by as much on either side; only real pixels count. Pixels that
    are equally large share the gradient equally.
    """
    return _max_pool(x, tuple(window))


def average_pool(x: jax.Array, window: Pair) -> jax.Array:
    """The mean of the real pixels of each window, zeros beyond the maps not counted.

    [b, h, w, c] -> [b, ⌈h / window⌉, ⌈w / window⌉, c].
    """
    pixels = _joined(np.ones((1, *x.shape[1:3], 1), np.float32), window, 0.0, jnp.add)
    return _sum.bind(x, window=tuple(window), size=x.shape[1:3]) / pixels.astype(x.dtype)


def nearest(x: jax.Array, size: Pair) -> jax.Array:
    """[b, h, w, c] -> [b, *size, c], where a pixel has the value of the one of x under its centre."""
    b, h, w, c = x.shape
    if size[0] % h or size[1] % w:
        return jax.image.resize(x, (b, *size, c), "nearest")
    return _repeat.bind(x, window=(size[0] // h, size[1] // w), size=tuple(size))


def bilinear(x: jax.Array, size: Pair) -> jax.Array:
    """[b, h, w, c] -> [b, *size, c], interpolated linearly along both axes between the centres of the pixels of x."""
    return _bilinear.bind(x, size=x.shape[1:3], to=tuple(size))


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _max_pool(x: jax.Array, window: Pair) -> jax.Array:
    return _largest.bind(x, window=window)


@_max_pool.defjvp
def _max_pool_jvp(window, primals, tangents):
    (x,), (dx,), size = primals, tangents, primals[0].shape[1:3]
    y = _max_pool(x, window)
    largest = (x == _repeat.bind(y, window=window, size=size)).astype(x.dtype)
    share = 1 / _sum.bind(largest, window=window, size=size)
    return y, _sum.bind(largest * dx, window=window, size=size) * share


def _joined(x: jax.Array, window: Pair, fill: float, join: Callable) -> jax.Array:
    """The pixels of each window of x [., h, w, .] joined, two by two."""
    x = padded(x, _pads(x.shape[1:3], window), fill)
    for axis, size in enumerate(window, 1):
        x = x.reshape(*x.shape[:axis], -1, size, *x.shape[axis + 1 :])
        x = functools.reduce(join, [lax.index_in_dim(x, i, axis + 1, keepdims=False) for i in range(size)])
    return x


def _summed(x: jax.Array, window: Pair, size: Pair) -> jax.Array:
    return _joined(x, window, 0.0, jnp.add)


def _repeated(y: jax.Array, window: Pair, size: Pair) -> jax.Array:
    """Each pixel of y [., h, w, .] all over its window, of maps of ``size``."""
    for axis, (count, n, (low, _)) in enumerate(zip(window, size, _pads(size, window), strict=True), 1):
        shape = (*y.shape[:axis], y.shape[axis] * count, *y.shape[axis + 1 :])
        y = jnp.stack([y] * count, axis=axis + 1).reshape(shape)
        y = lax.slice_in_dim(y, low, low + n, axis=axis)
    return y


def _interpolated(x: jax.Array, size: Pair, to: Pair) -> jax.Array:
    if any(n % m for n, m in zip(to, size, strict=True)):
        return jax.image.resize(x, (x.shape[0], *to, x.shape[3]), "bilinear", antialias=False)
    for axis, (m, n) in enumerate(zip(size, to, strict=True), 1):
        before, after = (lax.slice_in_dim(x, max(i, 0), m + min(i, 0), axis=axis) for i in (-1, 1))
        # Beyond an edge, its pixel again.
        before = lax.concatenate([lax.slice_in_dim(x, 0, 1, axis=axis), before], axis)
        after = lax.concatenate([after, lax.slice_in_dim(x, m - 1, m, axis=axis)], axis)
        places = (np.arange(n // m) + 0.5) * m / n - 0.5  # of the new pixels, from the centre of the old one
        new = [(1 - abs(p)) * x + abs(p) * (after if p > 0 else before) for p in places.tolist()]
        x = jnp.stack(new, axis + 1).reshape(*x.shape[:axis], n, *x.shape[axis + 1 :])
    return x


def _interpolated_adjoint(y: jax.Array, size: Pair, to: Pair) -> jax.Array:
    x = jax.ShapeDtypeStruct((y.shape[0], *size, y.shape[3]), y.dtype)
    return jax.linear_transpose(lambda x: _interpolated(x, size, to), x)(y)[0]


def _pads(size: Pair, window: Pair) -> list[Pair]:
    return lax.padtype_to_pads(size, window, window, "SAME")


_largest = platforms.of_maps("largest_of_windows", lambda x, window: _joined(x, window, -jnp.inf, jnp.maximum))
_sum = platforms.of_maps("sum_of_windows", _summed)
_repeat = platforms.of_maps("repeat", _repeated)
platforms.linear_pair(_sum, _repeat)

_bilinear = platforms.of_maps("bilinear", _interpolated)
platforms.linear_pair(_bilinear, platforms.of_maps("bilinear_adjoint", _interpolated_adjoint))
