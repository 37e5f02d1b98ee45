"""Receptive fields: which pixels a place of a code's maps sees, and the patches of images that lie there."""

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jax import lax

from aejax.nets import AllconvEncoder, maps


class Axis(NamedTuple):
    """What places of a map see along one axis: place m the pixels ``m · stride − low`` to
    ``m · stride − low + extent − 1``, of which those beyond the image are padding."""

    extent: int
    stride: int
    low: int


Field = tuple[Axis, Axis]  # of height and of width


def joined(steps: Iterable[Axis]) -> Axis:
    """What is seen through several layers, the one at the image first.

    From K, S, L so far and a further k, s, l: ``K + (k − 1) S``, ``S s``, ``L + l S``.
    """
    extent, stride, low = 1, 1, 0
    for step in steps:
        extent, stride, low = extent + (step.extent - 1) * stride, stride * step.stride, low + step.low * stride
    return Axis(extent, stride, low)


def convolution(size: int, kernel: int, stride: int) -> Axis:
    """A "SAME" convolution along an axis of ``size`` pixels."""
    ((low, _),) = lax.padtype_to_pads((size,), (kernel,), (stride,), "SAME")
    return Axis(kernel, stride, int(low))


def pooling(size: int, window: int) -> Axis:
    """Windows side by side, and over the edges by as much on either side, along an axis of ``size`` pixels."""
    return Axis(window, window, (-(-size // window) * window - size) // 2)


def field(encoder: AllconvEncoder) -> Field:
    """What a place of the maps that an encoder, bound to its variables, gives sees of the image."""
    steps: tuple[list[Axis], list[Axis]] = ([], [])
    for layer, (larger, smaller) in zip(encoder.convs, pairwise(encoder.sizes), strict=True):
        by = maps.strides(larger, smaller, encoder.factor)
        for axis, (size, kernel, stride) in enumerate(zip(larger, layer.kernel_size, by, strict=True)):
            steps[axis].extend(LAYERS[type(layer)](size, kernel, stride))
    return joined(steps[0]), joined(steps[1])


def _pooled(size: int, kernel: int, stride: int) -> list[Axis]:
    return [convolution(size, kernel, 1), pooling(size, stride)]


LAYERS = {
    maps.SHRINKS["stride"]: lambda size, kernel, stride: [convolution(size, kernel, stride)],
    maps.MaxPooled: _pooled,
    maps.AveragePooled: _pooled,
}


def patches(images: np.ndarray, places: np.ndarray, seen: Field) -> np.ndarray:
    """The patch [n, kh, kw, c] of each image [n, h, w, c] that is seen from a place [n, 2] (row, column) of the maps.

    NaN beyond the border. Along an axis that is no longer than the field: the whole image and no border.
    """
    rows, columns = (_pixels(axis, places[:, i], images.shape[1 + i]) for i, axis in enumerate(seen))
    rows, columns = rows[:, :, None], columns[:, None, :]
    h, w = images.shape[1:3]
    cut = images[np.arange(len(images))[:, None, None], np.clip(rows, 0, h - 1), np.clip(columns, 0, w - 1)]
    inside = (rows >= 0) & (rows < h) & (columns >= 0) & (columns < w)
    return np.where(inside[..., None], cut, np.float32(np.nan))


def _pixels(axis: Axis, places: np.ndarray, size: int) -> np.ndarray:
    """The pixels [n, k] along an axis of an image that places [n] see; some may lie beyond it."""
    if axis.extent >= size:
        return np.broadcast_to(np.arange(size), (len(places), size))
    return places[:, None] * axis.stride - axis.low + np.arange(axis.extent)
