"""Convolution, transposed convolution, pooling and up-sampling of maps [b, h, w, c].

This file alone knows how a platform computes them. An accelerator has operators of
its own. XLA's convolution on the CPU is slow, and up to ninety times slower still
inside the compiled loop that a training runs in, so there it is matrix products:
each way to write it as those is a function below, plain array code that differentiates
and batches by itself. The platform is the one that JAX computes on by default when a
program is traced; the ways agree, so a program that ends up elsewhere is slow and not wrong.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax

Pair = tuple[int, int]
Padding = str | Sequence[Pair]
_LAYOUT = ("NHWC", "HWIO", "NHWC")


class _Filters(nn.Module):
    """Filters [kh, kw, inputs, outputs] and, where ``biased``, a bias [outputs].

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
        return y + self.bias.reshape(1, 1, 1, -1) if self.biased else y


class Conv(_Filters):
    """``convolve`` and a bias, as ``flax.linen.Conv``; "SAME" gives maps of ⌈h / stride⌉ by ⌈w / stride⌉."""

    def __call__(self, x: jax.Array, strides: Pair = (1, 1)) -> jax.Array:
        return self._shifted(convolve(x, self.kernel, strides, self.padding))


class ConvTranspose(_Filters):
    """``convolve_transposed`` and a bias, as ``flax.linen.ConvTranspose``; "SAME" gives h · stride by w · stride.

    With a ``size`` the maps get that height and width, whatever ``padding`` is: those of the
    adjoint of a "SAME" convolution of maps of that size.
    """

    def __call__(self, x: jax.Array, strides: Pair = (1, 1), size: Pair | None = None) -> jax.Array:
        padding = self.padding if size is None else pads_to(size, x.shape[1:3], self.kernel_size, strides)
        return self._shifted(convolve_transposed(x, self.kernel, strides, padding))


def convolve(x: jax.Array, kernel: jax.Array, strides: Pair = (1, 1), padding: Padding = "SAME") -> jax.Array:
    """``y[b, m, n, o] = Σ_{i, j, c} x[b, s m + i − top, t n + j − left, c] · kernel[i, j, c, o]``, x zero outside.

    Args:
      x: [b, h, w, c].
      kernel: [kh, kw, c, o].
      strides: (s, t), for height and width.
      padding: "SAME", "VALID", or the zeros around the maps, ((top, bottom), (left, right)).
    """
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], strides, padding)
    if not _on_cpu():
        return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=_LAYOUT)
    return _products(_pad(x, padding), kernel, strides)


def convolve_transposed(
    x: jax.Array, kernel: jax.Array, strides: Pair = (1, 1), padding: Padding = "SAME"
) -> jax.Array:
    """``convolve`` with stride 1 of maps that have stride − 1 zeros put between the pixels of x.

    Args:
      x: [b, h, w, c].
      kernel: [kh, kw, c, o].
      strides: for height and width.
      padding: "SAME" (to h · stride), "VALID", or the zeros around those maps, ((top, bottom), (left, right)).
    """
    if padding == "SAME":
        size = [n * s for n, s in zip(x.shape[1:3], strides, strict=True)]
        padding = pads_to(size, x.shape[1:3], kernel.shape[:2], strides)
    elif padding == "VALID":
        padding = [(k - 1, max(k, s) - 1) for k, s in zip(kernel.shape[:2], strides, strict=True)]
    if not _on_cpu():
        return lax.conv_general_dilated(x, kernel, (1, 1), padding, strides, dimension_numbers=_LAYOUT)
    return _phases(x, kernel, strides, padding)


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


def max_pool(x: jax.Array, window: Pair) -> jax.Array:
    """The largest pixel of each window; [b, h, w, c] -> [b, ⌈h / window⌉, ⌈w / window⌉, c].

    Windows lie side by side, and over the edges by as much on either side; only real pixels count.
    """
    return jnp.max(_windows(x, window, -jnp.inf), axis=(2, 4))


def average_pool(x: jax.Array, window: Pair) -> jax.Array:
    """The mean of the real pixels of each window; [b, h, w, c] -> [b, ⌈h / window⌉, ⌈w / window⌉, c]."""
    pixels = _windows(np.ones((1, *x.shape[1:3], 1), np.float32), window, 0)
    return jnp.sum(_windows(x, window, 0.0), axis=(2, 4)) / jnp.sum(pixels, axis=(2, 4))


def nearest(x: jax.Array, size: Pair) -> jax.Array:
    """[b, h, w, c] -> [b, *size, c], where a pixel has the value of the one of x under its centre."""
    b, h, w, c = x.shape
    if size[0] % h == 0 and size[1] % w == 0:
        repeated = jnp.broadcast_to(x[:, :, None, :, None], (b, h, size[0] // h, w, size[1] // w, c))
        return repeated.reshape(b, *size, c)
    return jax.image.resize(x, (b, *size, c), "nearest")


def bilinear(x: jax.Array, size: Pair) -> jax.Array:
    """[b, h, w, c] -> [b, *size, c], interpolated linearly along both axes between the centres of the pixels of x."""
    return jax.image.resize(x, (x.shape[0], *size, x.shape[3]), "bilinear", antialias=False)


def _on_cpu() -> bool:
    return jax.default_backend() == "cpu"


def _pad(x: jax.Array, pads: Sequence[Pair], value: float = 0.0) -> jax.Array:
    """x [b, h, w, c] with so many rows and columns more, or less where negative."""
    return lax.pad(x, jnp.asarray(value, x.dtype), ((0, 0, 0), *((low, high, 0) for low, high in pads), (0, 0, 0)))


def _windows(x: jax.Array, window: Pair, fill: float) -> jax.Array:
    """x [b, h, w, c] padded to whole windows, cut into them: [b, h', window, w', window, c]."""
    x = _pad(x, lax.padtype_to_pads(x.shape[1:3], window, window, "SAME"), fill)
    (b, h, w, c), (i, j) = x.shape, window
    return x.reshape(b, h // i, i, w // j, j, c)


def _every(x: jax.Array, axis: int, taps: int, stride: int) -> list[jax.Array]:
    """For each tap of a kernel along height (axis 1) or width (2), the part of x that it is multiplied with."""
    reach = x.shape[axis] - taps
    return [lax.slice_in_dim(x, i, i + reach + 1, stride, axis) for i in range(taps)]


def _products(x: jax.Array, kernel: jax.Array, strides: Pair) -> jax.Array:
    """The "VALID" convolution by the way that moves the least: patches of the input, or shares of the output.

    Where the patches of single rows are long they serve as well as whole ones, and take a kernel's height less memory.
    """
    _, kw, inputs, outputs = kernel.shape
    if tuple(strides) == (1, 1) and 4 * outputs <= inputs:
        return _shift_and_add(x, kernel)
    return (_rows if kw * inputs >= 256 else _patches)(x, kernel, strides)


def _patches(x: jax.Array, kernel: jax.Array, strides: Pair) -> jax.Array:
    """The "VALID" convolution as one product: of each place's patch [kh · kw · c] with the kernel [kh · kw · c, o]."""
    kh, kw, _, outputs = kernel.shape
    parts = [part for row in _every(x, 1, kh, strides[0]) for part in _every(row, 2, kw, strides[1])]
    return jnp.concatenate(parts, axis=3) @ kernel.reshape(-1, outputs)


def _rows(x: jax.Array, kernel: jax.Array, strides: Pair) -> jax.Array:
    """The same, a row of the kernel at a time: kh products of patches [kw · c], which the rows share."""
    kh, kw, _, outputs = kernel.shape
    patches = jnp.concatenate(_every(x, 2, kw, strides[1]), axis=3)
    rows = zip(_every(patches, 1, kh, strides[0]), kernel, strict=True)
    return sum(part @ row.reshape(-1, outputs) for part, row in rows)


def _shift_and_add(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The "VALID" convolution of stride 1: every pixel's share [kw · kh · o] of the outputs around it in one product,
    then the shares moved to their place and added, along the width and then along the height."""
    kh, kw, inputs, _ = kernel.shape
    shares = x @ jnp.transpose(kernel, (2, 1, 0, 3)).reshape(inputs, -1)
    for axis, taps in ((2, kw), (1, kh)):
        reach = shares.shape[axis] - taps + 1
        parts = jnp.split(shares, taps, axis=3)
        shares = sum(lax.slice_in_dim(part, i, i + reach, 1, axis) for i, part in enumerate(parts))
    return shares


def _phases(x: jax.Array, kernel: jax.Array, strides: Pair, padding: Sequence[Pair]) -> jax.Array:
    """The transposed convolution as one of stride 1 for each remainder of an output's row and column by the
    strides: there only every stride-th tap of the kernel meets a pixel of x, the others meet zeros."""
    axes = list(zip(x.shape[1:3], kernel.shape[:2], strides, padding, strict=True))
    size = [(n - 1) * s + 2 + low + high - k for n, k, s, (low, high) in axes]
    whole = [-(-o // s) for o, s in zip(size, strides, strict=True)]  # pixels of one phase
    rows, columns = (
        [_phase(phase, m, *axis) for phase in range(s)] for m, s, axis in zip(whole, strides, axes, strict=True)
    )

    def convolved(row, column):
        taps = kernel[row[0] :: strides[0], column[0] :: strides[1]]
        if not taps.size:
            return jnp.zeros((x.shape[0], *whole, kernel.shape[3]), x.dtype)
        return _products(_pad(x, (row[1], column[1])), taps, (1, 1))

    y = jnp.stack([jnp.stack([convolved(r, c) for c in columns], axis=3) for r in rows], axis=2)  # [b, m, s, n, t, o]
    y = y.reshape(x.shape[0], whole[0] * strides[0], whole[1] * strides[1], kernel.shape[3])
    return y[:, : size[0], : size[1]]


def _phase(phase: int, m: int, n: int, k: int, s: int, padding: Pair) -> tuple[int, Pair]:
    """The first of the taps that meet a pixel at outputs ``s · i + phase``, and the padding of x for i below m."""
    first = (padding[0] - phase) % s
    low = (padding[0] - phase - first) // s
    return first, (low, m - n - low + len(range(first, k, s)) - 1)
