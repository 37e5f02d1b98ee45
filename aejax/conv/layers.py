"""Layers of convolution with Flax's parameters, and convolution as pure functions, of maps [b, h, w, c]."""

from collections.abc import Callable, Sequence

import jax
from flax import linen as nn
from jax import lax

from aejax.conv import primitives
from aejax.conv.geometry import Geometry, Pair, mirrored

Padding = str | Sequence[Pair]


class _Filters(nn.Module):
    """Filters [kh, kw, inputs, outputs] and, where ``biased``, a bias [outputs]; they compute in the type of the maps.

    Attributes:
      padding: "SAME", "VALID", or the zeros around the maps, ((top, bottom), (left, right)).
    """

    inputs: int
    outputs: int
    kernel_size: Pair
    kernel_init: Callable
    bias_init: float = 0.0
    padding: Padding = "SAME"
    biased: bool = True

    def setup(self):
        self.kernel = self.param("kernel", self.kernel_init, (*self.kernel_size, self.inputs, self.outputs))
        if self.biased:
            self.bias = self.param("bias", nn.initializers.constant(self.bias_init), (self.outputs,))

    def _shifted(self, y: jax.Array) -> jax.Array:
        return primitives.shift(y, self.bias) if self.biased else y


class Conv(_Filters):
    """``convolve`` and a bias, as ``flax.linen.Conv``; "SAME" gives maps of ⌈h / stride⌉ by ⌈w / stride⌉."""

    def __call__(self, x: jax.Array, strides: Pair = (1, 1)) -> jax.Array:
        return self._shifted(convolve(x, self.kernel.astype(x.dtype), strides, self.padding))


class ConvTranspose(_Filters):
    """``convolve_transposed`` and a bias, as ``flax.linen.ConvTranspose``; "SAME" gives h · stride by w · stride.

    With a ``size`` the maps get that height and width, whatever ``padding`` is: those of the
    adjoint of a "SAME" convolution of maps of that size.
    """

    def __call__(self, x: jax.Array, strides: Pair = (1, 1), size: Pair | None = None) -> jax.Array:
        padding = self.padding if size is None else pads_to(size, x.shape[1:3], self.kernel_size, strides)
        return self._shifted(convolve_transposed(x, self.kernel.astype(x.dtype), strides, padding))


def convolve(x: jax.Array, kernel: jax.Array, strides: Pair = (1, 1), padding: Padding = "SAME") -> jax.Array:
    """``y[b, m, n, o] = Σ_{i, j, c} x[b, s m + i − top, t n + j − left, c] · kernel[i, j, c, o]``, x zero outside.

    Args:
      x: [b, h, w, c].
      kernel: [kh, kw, c, o].
      strides: (s, t), for height and width.
      padding: "SAME", "VALID", or the zeros around the maps, ((top, bottom), (left, right)).

    Raises:
      ValueError: nothing is left of the maps.
    """
    size, taps = x.shape[1:3], kernel.shape[:2]
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(size, taps, strides, padding)
    axes = zip(size, taps, strides, padding, strict=True)
    small = tuple((n + sum(pads) - k) // s + 1 for n, k, s, pads in axes)
    if min(small) < 1:
        raise ValueError(f"a kernel of {taps} does not fit maps of {size} with padding {padding}")
    low = tuple(pads[0] for pads in padding)
    return primitives.convolve(x, kernel, Geometry(taps, tuple(strides), low, size, small))


def convolve_transposed(
    x: jax.Array, kernel: jax.Array, strides: Pair = (1, 1), padding: Padding = "SAME"
) -> jax.Array:
    """``convolve`` with stride 1 of maps that have stride − 1 zeros put between the pixels of x.

    Args:
      x: [b, h, w, c].
      kernel: [kh, kw, c, o].
      strides: for height and width.
      padding: "SAME" (to h · stride), "VALID", or the zeros around those maps, ((top, bottom), (left, right)).

    Raises:
      ValueError: nothing is left of the maps.
    """
    small, taps = x.shape[1:3], kernel.shape[:2]
    if padding == "SAME":
        padding = pads_to([n * s for n, s in zip(small, strides, strict=True)], small, taps, strides)
    elif padding == "VALID":
        padding = [(k - 1, max(k, s) - 1) for k, s in zip(taps, strides, strict=True)]
    axes = zip(small, taps, strides, padding, strict=True)
    large = tuple((m - 1) * s + 2 + sum(pads) - k for m, k, s, pads in axes)
    if min(large) < 1:
        raise ValueError(f"nothing is left of maps of {small} with a kernel of {taps} and padding {padding}")
    low = tuple(k - 1 - pads[0] for k, pads in zip(taps, padding, strict=True))
    return primitives.spread(x, mirrored(kernel), Geometry(taps, tuple(strides), low, large, small))


def pads_to(size: Pair, smaller: Pair, kernel: Pair, strides: Pair) -> list[Pair]:
    """The padding with which ``convolve_transposed`` brings maps of ``smaller`` height and width to ``size``.

    It is the adjoint of the "SAME" convolution from ``size``, which gives ``smaller = ⌈size / stride⌉``.

    Raises:
      ValueError: that convolution gives another size.
    """
    pads = []
    for n, m, k, s in zip(size, smaller, kernel, strides, strict=True):
        if m != -(-n // s):
            raise ValueError(f"no transposed convolution of stride {s} leads from {m} to {n} pixels")
        top = k - 1 - max((m - 1) * s + k - n, 0) // 2
        pads.append((top, n - (m - 1) * s + k - 2 - top))
    return pads
