"""Convolutions of stride 1 with fewer multiplications, for the CPU: Winograd's form along the width, for 3 and 5 taps.

Four neighbouring outputs of a filter of 5 taps take 20 multiplications; as values of a product of polynomials at 8
points they take 8. With data d of a tile, kernel g, and matrices that depend on the points alone,
``y = Aᵀ [(G g) ⊙ (D d)]`` (Winograd 1980; Lavin & Gray, arXiv 1509.09308, equation 6). The channels and the rows that
a kernel's columns meet are summed between the transforms: at each point a product of matrices. Along the height the
taps stay as they are: in two dimensions the transforms move more numbers than the products save.

The result differs from a sum of products by rounding, 1e-6 of the largest value in float32; in bfloat16 by much more.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from aejax.conv import rows
from aejax.conv.geometry import Geometry, Pair, first, last, mirrored, padded

POINTS = np.array([0, 1, -1, 2, -2, 0.5, -0.5])  # with infinity: powers of two, so that the transforms are exact
OUTPUTS = 4  # of a tile
CHANNELS = {5: 16, 3: 64}  # taps -> with fewer, the transforms cost more than the products save;
CORRELATED = {5: 64, 3: 64}  # of the kernel's gradient, whose products are slower in this form


def suits(geometry: Geometry, channels: Pair, least: dict[int, int], dtype: jnp.dtype) -> bool:
    """Whether this form is for such maps, and faster there.

    Args:
      channels: in and out.
      least: ``CHANNELS`` or ``CORRELATED``.
    """
    wide = min(geometry.small[1], geometry.large[1]) > OUTPUTS
    there = wide and geometry.strides == (1, 1) and dtype == jnp.float32
    return there and min(channels) >= least.get(geometry.taps[1], math.inf)


def convolve(x: jax.Array, k: jax.Array, geometry: Geometry) -> jax.Array:
    """As ``primitives.convolve``."""
    (kh, _, c, o), (h, w), b = k.shape, geometry.small, x.shape[0]
    to_kernel, _, to_outputs = transforms(geometry.taps[1])
    points = len(to_kernel)
    v = _of_data(last(x), geometry)
    u = jnp.einsum("pj,ijco->poci", to_kernel, k).reshape(points, o, c * kh)

    def row(i: jax.Array) -> jax.Array:
        met = lax.dynamic_slice_in_dim(v, i, kh, 2).reshape(points, c * kh, -1)
        at_points = lax.optimization_barrier(_products(u, met, 1)).reshape(points, o, 1, -1, b)
        return jnp.stack([_combined(column, at_points) for column in to_outputs.T], 3)  # [o, 1, tiles, OUTPUTS, b]

    return first(rows.stacked(h, row).reshape(o, h, -1, b)[:, :, :w])


def spread(y: jax.Array, k: jax.Array, geometry: Geometry) -> jax.Array:
    """As ``primitives.spread``: with stride 1, the convolution with the mirrored kernel."""
    low = tuple(a for a, _ in geometry.spread_pads())
    return convolve(y, mirrored(k), geometry._replace(low=low, large=geometry.small, small=geometry.large))


def correlate(x: jax.Array, y: jax.Array, geometry: Geometry) -> jax.Array:
    """As ``primitives.correlate``."""
    kh, kw = geometry.taps
    x, y = last(x), last(y)
    to_kernel, _, to_outputs = transforms(kw)
    points = len(to_kernel)
    v = _of_data(x, geometry)
    z = _at_points(to_outputs, _tiles(y, (0, 0), OUTPUTS, v.shape[3]))

    def row(i: jax.Array) -> jax.Array:
        met = lax.dynamic_slice_in_dim(v, i, kh, 2).reshape(points, -1, v.shape[3] * v.shape[4])
        here = lax.dynamic_index_in_dim(z, i, 2, keepdims=False).reshape(points, y.shape[0], -1)
        return _products(met, here, 2)

    u = rows.summed(geometry.small[0], row)
    return jnp.einsum("pj,pcio->ijco", to_kernel, u.reshape(points, x.shape[0], kh, -1))


@functools.cache
def transforms(taps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """G [points, taps], D [points, points] and A [points, OUTPUTS] of ``y = Aᵀ [(G g) ⊙ (D d)]``."""
    finite = POINTS[: OUTPUTS + taps - 2]
    others = [np.delete(finite, i) for i in range(len(finite))]
    norms = np.array([np.prod(p - rest) for p, rest in zip(finite, others, strict=True)])
    to_kernel = np.vstack([np.vander(finite, taps, increasing=True) / norms[:, None], np.eye(taps)[-1]])
    to_outputs = np.vstack([np.vander(finite, OUTPUTS, increasing=True), np.eye(OUTPUTS)[-1]])
    of_data = [[*np.poly(rest)[::-1], 0.0] for rest in others] + [np.poly(finite)[::-1]]
    return to_kernel.astype(np.float32), np.array(of_data, np.float32), to_outputs.astype(np.float32)


def _of_data(x: jax.Array, geometry: Geometry) -> jax.Array:
    """x [c, h, w, b] -> [points, c, rows with their zeros, tiles, b]."""
    above_and_below, columns = geometry.pads()
    _, of_data, _ = transforms(geometry.taps[1])
    x = padded(x, [above_and_below, (0, 0)])
    return _at_points(of_data, _tiles(x, columns, len(of_data), -(-geometry.small[1] // OUTPUTS)))


def _tiles(x: jax.Array, pads: Pair, size: int, count: int) -> list[jax.Array]:
    """x [c, h, w, b] -> the pixels of each row's tiles, OUTPUTS apart, that are first, second, … in their tile."""
    width = (count - 1 + -(-size // OUTPUTS)) * OUTPUTS
    x = padded(x, [(0, 0), (pads[0], width - x.shape[2] - pads[0])])
    x = x.reshape(*x.shape[:2], -1, OUTPUTS, x.shape[3])
    return [x[:, :, at // OUTPUTS : at // OUTPUTS + count, at % OUTPUTS] for at in range(size)]


def _at_points(matrix: np.ndarray, pixels: list[jax.Array]) -> jax.Array:
    """Once for all rows: within the loop over rows the compiler would do it for each tap again."""
    return lax.optimization_barrier(jnp.stack([_combined(row, pixels) for row in matrix]))


def _combined(weights: np.ndarray, terms: jax.Array | list[jax.Array]) -> jax.Array:
    return sum(term if weight == 1 else weight * term for weight, term in zip(weights, terms, strict=True) if weight)


def _products(a: jax.Array, b: jax.Array, axis: int) -> jax.Array:
    """At each point [m, k] times b, whose axis ``axis`` is summed over with a's last."""
    return lax.dot_general(a, b, (((2,), (axis,)), ((0,), (0,))))
