"""Convolutional nets with dense ends: from images [b, h, w, c] to features [b, d], and back.

Sound is images [b, 1, t, c] of height 1, which a kernel (1, k) runs along.
"""

import math
from itertools import pairwise

import jax
from flax import linen as nn

from aejax import conv, parts
from aejax.nets.dense import beneath, dense_stack, norm_stack, through, vectors
from aejax.nets.layers import Finish, activation
from aejax.nets.maps import GROWS, SHRINKS, Size, filters, shrinking, strides


class ConvEncoder(nn.Module):
    """Convolutions from [b, *shape] to smaller maps, then dense layers to [b, outputs].

    Layer i has ``widths[i]`` filters and shrinks height and width by ``factor``,
    rounding up, in the way that ``resample`` names: a convolution every so many
    pixels ("stride"), or one at every pixel and then the largest ("max_pool") or the
    mean ("average_pool") of every window. The last maps, flattened, go through dense
    layers of ``dense`` units, and a linear one ends it.
    """

    shape: tuple[int, int, int]
    outputs: int
    widths: tuple[int, ...] = ()
    kernel: Size = (3, 3)
    factor: int = 2
    resample: str = "stride"
    dense: tuple[int, ...] = ()
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
        channels = (self.shape[2], *self.widths)
        self.sizes = shrinking(self.shape[:2], self.factor, len(self.widths))
        self.convs = filters(self, shrink, channels, "encoder", hidden=len(self.widths))
        flat = math.prod(self.sizes[-1]) * channels[-1]
        self.layers = dense_stack(self, (flat, *self.dense, self.outputs), "encoder", hidden=len(self.dense))
        self.norms = norm_stack(self, len(self.widths) + len(self.dense), "encoder")

    def __call__(
        self, x: jax.Array, *, train: bool = False, weight: jax.Array | None = None, key: jax.Array | None = None
    ) -> jax.Array:
        return self.layers[-1](self.hidden(x, train=train, weight=weight, key=key))

    def hidden(
        self, x: jax.Array, *, train: bool = False, weight: jax.Array | None = None, key: jax.Array | None = None
    ) -> jax.Array:
        """What the last layer reads: the last dense hidden layer [b, d], or the last maps, flat."""
        finish, h = Finish(self, train, weight, key), x
        for layer, (larger, smaller) in zip(self.convs, pairwise(self.sizes), strict=True):
            h = finish(layer(h, strides(larger, smaller, self.factor)))
        return beneath(self.layers[:-1], finish, h.reshape(h.shape[0], -1))


class ConvDecoder(nn.Module):
    """Dense layers from [b, inputs] to small maps, then convolutions that grow them to [b, *shape].

    Dense layers of ``dense`` units and one to maps of ``widths[0]`` channels, of the
    size that shrinking ``shape`` by ``factor`` ``len(widths)`` times ends at. Then
    layer i has ``widths[i]`` filters and takes one step back, in the way that
    ``resample`` names: a transposed convolution ("transpose"), or up-sampling
    ("nearest", "bilinear") and a convolution. A last convolution has one filter for
    each channel of the images, and is linear.

    Raises:
      UserError: the code is maps.
    """

    shape: tuple[int, int, int]
    inputs: int
    widths: tuple[int, ...] = ()
    kernel: Size = (3, 3)
    factor: int = 2
    resample: str = "transpose"
    dense: tuple[int, ...] = ()
    activation: str = "relu"
    kernel_init: str = "glorot_uniform"
    init_std: float = 0.01
    bias_init: float = 0.0
    norm: str = "none"
    dropout: float = 0.0

    def setup(self):
        self.act = activation(self.activation, "decoder.activation")
        grow = parts.find(GROWS, "decoder.resample", self.resample)
        colours = self.shape[2]
        channels = ((*self.widths, colours)[0], *self.widths)
        self.sizes = shrinking(self.shape[:2], self.factor, len(self.widths))[::-1]
        self.maps = (*self.sizes[0], channels[0])
        sizes = (self.inputs, *self.dense, math.prod(self.maps))
        self.layers = dense_stack(self, sizes, "decoder", hidden=len(sizes) - 1)
        growing = filters(self, grow, channels, "decoder", hidden=len(self.widths))
        self.convs = [*growing, *filters(self, conv.Conv, (channels[-1], colours), "decoder", hidden=0)]
        self.norms = norm_stack(self, len(self.layers) + len(self.widths), "decoder")

    def __call__(
        self, z: jax.Array, *, train: bool = False, weight: jax.Array | None = None, key: jax.Array | None = None
    ) -> jax.Array:
        finish = Finish(self, train, weight, key)
        h = finish(through(self.layers, finish, vectors(z, "conv"))).reshape(z.shape[0], *self.maps)
        *growing, last = self.convs
        for layer, (smaller, larger) in zip(growing, pairwise(self.sizes), strict=True):
            h = finish(layer(h, strides(larger, smaller, self.factor), larger))
        return last(h)
