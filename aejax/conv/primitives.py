"""The three products of a convolution, each bilinear, and each the derivative of the other two; and a bias over maps.

``convolve`` leads from large maps and a kernel to small maps,
``y[b, m, n, o] = Σ_{i, j, c} x[b, s m + i − a, t n + j − a', c] · k[i, j, c, o]``; ``spread`` is its adjoint in x,
``correlate`` its adjoint in k. Maps are [b, h, w, channels], kernels [kh, kw, c, o], x is zero outside. An accelerator
uses the compiler's convolution, the CPU ``products`` or ``winograd``.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jax.interpreters import ad, batching

from aejax.conv import platforms, products, winograd
from aejax.conv.geometry import Geometry, Pair, mirrored, padded

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def convolve(x: jax.Array, k: jax.Array, geometry: Geometry) -> jax.Array:
    """[b, *large, c], [*taps, c, o] -> [b, *small, o]."""
    return _convolve.bind(x, k, geometry=geometry)


def spread(y: jax.Array, k: jax.Array, geometry: Geometry) -> jax.Array:
    """[b, *small, o], [*taps, c, o] -> [b, *large, c]."""
    return _spread.bind(y, k, geometry=geometry)


def correlate(x: jax.Array, y: jax.Array, geometry: Geometry) -> jax.Array:
    """[b, *large, c], [b, *small, o] -> [*taps, c, o]."""
    return _correlate.bind(x, y, geometry=geometry)


def shift(y: jax.Array, bias: jax.Array) -> jax.Array:
    """y [b, h, w, o] + bias [o] in the type of y; the sum is in the bias's, for its gradient is a long sum."""
    return (y.astype(bias.dtype) + _over_maps.bind(bias, shape=y.shape)).astype(y.dtype)


def native_convolve(x: jax.Array, k: jax.Array, geometry: Geometry) -> jax.Array:
    """``convolve`` by the compiler's convolution."""
    pads = geometry.pads()
    x = _cropped(x, pads)
    return lax.conv_general_dilated(x, k, geometry.strides, _zeros(pads), dimension_numbers=_LAYOUT)


def native_spread(y: jax.Array, k: jax.Array, geometry: Geometry) -> jax.Array:
    """``spread`` by the compiler's convolution, of dilated maps."""
    pads, dilation = geometry.spread_pads(), geometry.strides
    x = lax.conv_general_dilated(y, mirrored(k), (1, 1), _zeros(pads), dilation, dimension_numbers=_LAYOUT)
    return _cropped(x, pads)


def native_correlate(x: jax.Array, y: jax.Array, geometry: Geometry) -> jax.Array:
    """``correlate`` by the compiler's convolution: what differentiating ``native_convolve`` gives."""
    k = jax.ShapeDtypeStruct((*geometry.taps, x.shape[3], y.shape[3]), x.dtype)
    return jax.linear_transpose(lambda k: native_convolve(x, k, geometry), k)(y)[0]


def _cropped(x: jax.Array, pads: list[Pair]) -> jax.Array:
    """x without the pixels of negative pads, which XLA's convolution on the CPU gets wrong."""
    return padded(x, [(min(a, 0), min(b, 0)) for a, b in pads])


def _zeros(pads: list[Pair]) -> list[Pair]:
    """The pads that are left then."""
    return [(max(a, 0), max(b, 0)) for a, b in pads]


def _way(a: jax.Array, geometry: Geometry, channels: Pair, least: dict[int, int]):
    """The faster of the CPU's modules with these three functions."""
    return winograd if winograd.suits(geometry, channels, least, a.dtype) else products


def _long_sums(function):
    """``function`` of arrays in float32 at least: a sum of many products in bfloat16 would lose the small ones."""

    def summed(a, b, geometry):
        wide = jnp.promote_types(a.dtype, jnp.float32)
        return function(a.astype(wide), b.astype(wide), geometry).astype(a.dtype)

    return summed


@_long_sums
def _cpu_convolve(x, k, geometry):
    return _way(x, geometry, k.shape[2:], winograd.CHANNELS).convolve(x, k, geometry)


@_long_sums
def _cpu_spread(y, k, geometry):
    return _way(y, geometry, k.shape[2:], winograd.CHANNELS).spread(y, k, geometry)


@_long_sums
def _cpu_correlate(x, y, geometry):
    return _way(x, geometry, (x.shape[3], y.shape[3]), winograd.CORRELATED).correlate(x, y, geometry)


_convolve = platforms.primitive("convolve", native_convolve, _cpu_convolve)
_spread = platforms.primitive("spread", native_spread, _cpu_spread)
_correlate = platforms.primitive("correlate", native_correlate, _cpu_correlate)
ad.defbilinear(
    _convolve,
    lambda y, x, k, *, geometry: spread(y, k, geometry),
    lambda y, x, k, *, geometry: correlate(x, y, geometry),
)
ad.defbilinear(
    _spread,
    lambda x, y, k, *, geometry: convolve(x, k, geometry),
    lambda x, y, k, *, geometry: correlate(x, y, geometry),
)
ad.defbilinear(
    _correlate,
    lambda k, x, y, *, geometry: spread(y, k, geometry),
    lambda k, x, y, *, geometry: convolve(x, k, geometry),
)
platforms.merge_members(_convolve, native_convolve, axes=(0, 3), out=(0, 3))
platforms.merge_members(_spread, native_spread, axes=(0, 2), out=(0, 3))
platforms.merge_members(_correlate, native_correlate, axes=(3, 3), out=(2, 3))


# A bias over maps, and its adjoint; ``shape`` is that of the maps.
def _broadcast(bias: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return jnp.broadcast_to(bias, shape)


def _total(y: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return jnp.sum(y, axis=(0, 1, 2))


def _members_as_channels(made):
    def rule(arrays, members, *, shape):
        x = jnp.moveaxis(arrays[0], members[0], -2)  # members beside the channels
        count = x.shape[-2]
        y = made.bind(lax.collapse(x, x.ndim - 2), shape=(*shape[:3], count * shape[3]))
        return y.reshape(*y.shape[:-1], count, -1), y.ndim - 1

    batching.primitive_batchers[made] = rule


_over_maps = platforms.primitive("over_maps", _broadcast, _broadcast)
_totalled = platforms.primitive("total", _total, products.total)
platforms.linear_pair(_over_maps, _totalled)
_members_as_channels(_over_maps)
_members_as_channels(_totalled)
