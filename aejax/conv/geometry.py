"""How maps lie in memory, and where the pixels of two layers of them meet in a convolution."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

Pair = tuple[int, int]


class Geometry(NamedTuple):
    """Small maps and large ones: a kernel's tap i joins pixel m of the small to ``stride · m + i − low`` of the large.

    A convolution leads from the large maps to the small, a transposed one from the small to the large.

    Attributes:
      taps: height and width of the kernel.
      strides: for height and width, as all that follow.
      low: zeros before the first pixel of the large maps; negative where pixels are left out.
      large: pixels of the large maps.
      small: pixels of the small maps.
    """

    taps: Pair
    strides: Pair
    low: Pair
    large: Pair
    small: Pair

    def pads(self) -> list[Pair]:
        """The zeros before and after the large maps with which a convolution of them is "VALID"."""
        axes = zip(self.taps, self.strides, self.low, self.large, self.small, strict=True)
        return [(a, (m - 1) * s + k - n - a) for k, s, a, n, m in axes]

    def spread_pads(self) -> list[Pair]:
        """The zeros around the small maps, stride − 1 zeros put between their pixels, with which one of stride 1 with
        the kernel mirrored gives the large."""
        axes = zip(self.taps, self.strides, self.low, self.large, self.small, strict=True)
        return [(k - 1 - a, n + a - (m - 1) * s - 1) for k, s, a, n, m in axes]


def last(x: jax.Array) -> jax.Array:
    """Examples last: [b, h, w, c] -> [c, h, w, b]."""
    return jnp.transpose(x, (3, 1, 2, 0))


def first(x: jax.Array) -> jax.Array:
    """Examples first: [c, h, w, b] -> [b, h, w, c]."""
    return jnp.transpose(x, (3, 1, 2, 0))


def padded(x: jax.Array, pads: Sequence[Pair], fill: float = 0.0) -> jax.Array:
    """x [., h, w, .] with zeros, or ``fill``, before and after its height and width; less of them where negative."""
    return lax.pad(x, jnp.asarray(fill, x.dtype), ((0, 0, 0), *((*pair, 0) for pair in pads), (0, 0, 0)))


def mirrored(k: jax.Array) -> jax.Array:
    """The kernel [kh, kw, c, o] of the adjoint, [kh, kw, o, c]: its taps from the last to the first."""
    return jnp.swapaxes(k[::-1, ::-1], 2, 3)
