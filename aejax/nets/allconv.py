"""All-convolutional nets: from images [b, h, w, c] to maps [b, h', w', d] and back, without a dense layer.

Sound is images [b, 1, t, c] of height 1, which a kernel (1, k) runs along.
"""

from itertools import pairwise

import jax
from flax import linen as nn

from aejax import parts
from aejax.errors import UserError
from aejax.nets.dense import norm_stack
from aejax.nets.layers import Finish, activation
from aejax.nets.maps import GROWS, SHRINKS, Size, filters, needed, shrinking, strides


class AllconvEncoder(nn.Module):
    """Convolutions from [b, *shape] to maps [b, h', w', outputs].

    Layer i has ``widths[i]`` filters; a last one has ``outputs``, and is linear. Each
    shrinks height and width by ``factor``, rounding up, as ``resample`` names
    ("stride", "max_pool", "average_pool"), until they are those of ``map``, where
    there is one: 28x28 by 2 to a map (1, 2) in 14x14, 7x7, 4x4, 2x2, 1x2.

    Raises:
      UserError: ``map`` is not among the sizes that are gone through, or so many layers do not reach it.
    """

    shape: tuple[int, int, int]
    outputs: int
    widths: tuple[int, ...] = ()
    kernel: Size = (3, 3)
    factor: int = 2
    resample: str = "stride"
    map: tuple[int, ...] = ()
    activation: str = "relu"
    kernel_init: str = "glorot_uniform"
    init_std: float = 0.01
    bias_init: float = 0.0
    norm: str = "none"
    dropout: float = 0.0

    single = False

    def setup(self):
        self.act = activation(self.activation, "encoder.activation")
        shrink = parts.find(SHRINKS, "encoder.resample", self.resample)
        depth = len(self.widths) + 1
        if self.map:
            self._check_map(depth)
        self.sizes = shrinking(self.shape[:2], self.factor, depth, self.map or (1, 1))
        self.convs = filters(self, shrink, (self.shape[2], *self.widths, self.outputs), "encoder", len(self.widths))
        self.norms = norm_stack(self, len(self.widths), "encoder")

    def _check_map(self, depth: int) -> None:
        size, f = self.shape[:2], self.factor
        if len(self.map) != 2:
            raise UserError(f"config.encoder.map={self.map} is no size; accepted: (height, width), or () for any")
        layers = needed(size, f, self.map)
        if layers is None:
            heights, widths = (
                ", ".join(str(n) for n in dict.fromkeys(axis))
                for axis in zip(*shrinking(size, f, max(size).bit_length()), strict=True)
            )
            raise UserError(
                f"config.encoder.map={self.map} is not come by with config.encoder.factor={f}; "
                f"accepted: a height of {heights} and a width of {widths}"
            )
        if layers > depth:
            h, w = shrinking(size, f, depth, self.map)[-1]
            raise UserError(
                f"config.encoder.widths={self.widths} and the last layer shrink the maps to {h}x{w} and not to "
                f"config.encoder.map={self.map}; accepted: {layers - 1} widths or more"
            )

    def __call__(
        self, x: jax.Array, *, train: bool = False, weight: jax.Array | None = None, key: jax.Array | None = None
    ) -> jax.Array:
        finish, h = Finish(self, train, weight, key), x
        for layer, (larger, smaller) in zip(self.convs, pairwise(self.sizes), strict=True):
            h = layer(h, strides(larger, smaller, self.factor))
            h = h if layer is self.convs[-1] else finish(h)
        return h


class AllconvDecoder(nn.Module):
    """Convolutions from maps [b, h', w', inputs] to [b, *shape].

    Layer i has ``widths[i]`` filters; a last one has one for each channel of the
    images, and is linear. Together they go back through the sizes that shrinking
    ``shape`` by ``factor`` to h' and w' goes through, each as ``resample`` names:
    a transposed convolution ("transpose"), or up-sampling ("nearest", "bilinear")
    and a convolution. Layers beyond those that are needed come first, and keep the size.

    Raises:
      UserError: the code is no maps, or not of a size that is gone through, or so many layers do not lead from there.
    """

    shape: tuple[int, int, int]
    inputs: int
    widths: tuple[int, ...] = ()
    kernel: Size = (3, 3)
    factor: int = 2
    resample: str = "transpose"
    activation: str = "relu"
    kernel_init: str = "glorot_uniform"
    init_std: float = 0.01
    bias_init: float = 0.0
    norm: str = "none"
    dropout: float = 0.0

    def setup(self):
        self.act = activation(self.activation, "decoder.activation")
        grow = parts.find(GROWS, "decoder.resample", self.resample)
        self.convs = filters(self, grow, (self.inputs, *self.widths, self.shape[2]), "decoder", len(self.widths))
        self.norms = norm_stack(self, len(self.widths), "decoder")

    def _sizes(self, z: jax.Array) -> list[Size]:
        if z.ndim != 4:
            raise UserError(
                "config.decoder.name='allconv' reads a code of maps, not of units; "
                "accepted: config.encoder.name='allconv'"
            )
        size, start = self.shape[:2], z.shape[1:3]
        layers = needed(size, self.factor, start)
        (h, w), (m, n) = size, start
        if layers is None:
            raise UserError(
                f"config.decoder.factor={self.factor} leads from no maps of {m}x{n} to images of {h}x{w}; "
                "accepted: the factor of the encoder"
            )
        if layers > len(self.widths) + 1:
            raise UserError(
                f"config.decoder.widths={self.widths} and the last layer do not grow the code's maps of {m}x{n} to "
                f"{h}x{w}; accepted: {layers - 1} widths or more"
            )
        return shrinking(size, self.factor, len(self.widths) + 1, start)[::-1]

    def __call__(
        self, z: jax.Array, *, train: bool = False, weight: jax.Array | None = None, key: jax.Array | None = None
    ) -> jax.Array:
        finish, h = Finish(self, train, weight, key), z
        for layer, (smaller, larger) in zip(self.convs, pairwise(self._sizes(z)), strict=True):
            h = layer(h, strides(larger, smaller, self.factor), larger)
            h = h if layer is self.convs[-1] else finish(h)
        return h
