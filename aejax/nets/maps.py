"""What convolutional nets are made of: layers that shrink and grow maps, and the sizes that they go through.

Each layer shrinks its maps by a factor, rounding up: 28 -> 14 -> 7 -> 4. A decoder goes
back through the same sizes and so ends exactly at the images'.
"""

from collections.abc import Callable
from itertools import pairwise

import jax
from flax import linen as nn

from aejax import conv
from aejax.nets.layers import kernel_init, norm

Size = tuple[int, int]


class MaxPooled(conv.Conv):
    """A convolution of stride 1, and of every window of ``strides`` pixels the largest."""

    def __call__(self, x: jax.Array, strides: Size) -> jax.Array:
        return conv.max_pool(super().__call__(x), strides)


class AveragePooled(conv.Conv):
    """A convolution of stride 1, and of every window of ``strides`` pixels the mean."""

    def __call__(self, x: jax.Array, strides: Size) -> jax.Array:
        return conv.average_pool(super().__call__(x), strides)


class Nearest(conv.Conv):
    """Up-sampling to ``size``, each pixel by the nearest one, then a convolution of stride 1."""

    def __call__(self, x: jax.Array, strides: Size, size: Size) -> jax.Array:
        return super().__call__(conv.nearest(x, size))


class Bilinear(conv.Conv):
    """Up-sampling to ``size``, bilinearly, then a convolution of stride 1."""

    def __call__(self, x: jax.Array, strides: Size, size: Size) -> jax.Array:
        return super().__call__(conv.bilinear(x, size))


SHRINKS: dict[str, type[conv.Conv]] = {"stride": conv.Conv, "max_pool": MaxPooled, "average_pool": AveragePooled}
GROWS: dict[str, type[nn.Module]] = {"transpose": conv.ConvTranspose, "nearest": Nearest, "bilinear": Bilinear}


def shrinking(size: Size, factor: int, layers: int, end: Size = (1, 1)) -> list[Size]:
    """The sizes of maps before, between and after so many layers, of which each shrinks height and width by ``factor``,
    rounding up; one that is at its ``end`` stays."""
    sizes = [tuple(size)]
    for _ in range(layers):
        sizes.append(tuple(n if n == e else -(-n // factor) for n, e in zip(sizes[-1], end, strict=True)))
    return sizes


def needed(size: Size, factor: int, end: Size) -> int | None:
    """The number of layers that shrink maps of ``size`` to their ``end``; None where none do."""
    sizes = shrinking(size, factor, max(size).bit_length(), end)
    return sizes.index(tuple(end)) if tuple(end) in sizes else None


def strides(larger: Size, smaller: Size, factor: int) -> Size:
    """By what a layer between these two sizes shrinks or grows height and width."""
    return tuple(1 if n == m else factor for n, m in zip(larger, smaller, strict=True))


def filters(
    net: nn.Module, cls: Callable, channels: tuple[int, ...], section: str, hidden: int
) -> list[conv.Conv | conv.ConvTranspose]:
    """Layers through so many ``channels``, the first so many ``hidden``, as the net's fields of that config section
    say."""
    init = kernel_init(net.kernel_init, net.init_std, f"{section}.kernel_init")
    centres = norm(net.norm, f"{section}.norm").centres
    return [
        cls(i, o, tuple(net.kernel), init, net.bias_init, biased=n >= hidden or not centres)
        for n, (i, o) in enumerate(pairwise(channels))
    ]
