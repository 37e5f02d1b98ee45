"""The way from parameters to weight images; the only place that knows how the nets name their layers."""

import re
from collections.abc import Mapping

import numpy as np

from aejax.errors import UserError

Shape = tuple[int, int, int]


class NoImages(UserError):
    """A layer is none whose weights are images."""


def kernels(net: Mapping, layers: str = "layers") -> list[np.ndarray]:
    """The kernels of a net's ``layers_0``, ``layers_1``, ..., in order; none where it has only biases (a tied decoder).

    Args:
      net: the parameters of an encoder or decoder, ``{"layers_0": {"kernel": [in, out], "bias": [out]}, ...}``.
      layers: ``layers``, the dense ones, or ``convs``, with kernels [kh, kw, in, out].
    """
    numbered = {int(m[1]): net[name] for name in net if (m := re.fullmatch(rf"{layers}_(\d+)", name))}
    return [np.asarray(numbered[i]["kernel"]) for i in sorted(numbered) if "kernel" in numbered[i]]


def is_tied(params: Mapping) -> bool:
    """Whether there is a decoder that has no kernels of its own, but the encoder's, transposed."""
    return "decoder" in params and not size(params["decoder"])


def size(net: Mapping) -> int:
    """How many layers with kernels a net has, dense ones, convolutions and a dictionary."""
    return len(kernels(net)) + len(kernels(net, "convs")) + ("kernel" in net)


def encoder_filters(params: Mapping, shape: Shape) -> np.ndarray:
    """What each unit of the encoder's first layer weighs the pixels with: of an image, [units, h, w, c], or where that
    layer is a convolution of a patch of it, [units, kh, kw, c].

    Raises:
      NoImages: the first layer is not dense or a convolution.
      UserError: it is not finite.
    """
    if convs := kernels(params["encoder"], "convs"):
        return _finite(np.moveaxis(convs[0], 3, 0), "encoder's first")
    first = kernels(params["encoder"])[:1]
    return _images(first[0].T if first else None, shape, "encoder's first")


def decoder_atoms(params: Mapping, shape: Shape) -> np.ndarray:
    """What each unit of the decoder's last hidden layer (or the code) adds to an image where it is 1.

    To the whole of it, [units, h, w, c], or where the last layer is a convolution or a transposed one to what is around
    the unit's place, [units, kh, kw, c]: its kernel turned by 180 degrees, for what a pixel reads to its lower right
    the unit there writes to its upper left. (Of maps that are up-sampled first, one pixel of those.)

    Raises:
      NoImages: the last layer is not dense or a convolution.
      UserError: it is not finite.
    """
    if is_tied(params):
        return encoder_filters(params, shape)
    decoder = params["decoder"]
    if convs := kernels(decoder, "convs"):
        return _finite(np.moveaxis(convs[-1][::-1, ::-1], 2, 0), "decoder's last")
    if "kernel" in decoder:  # a dictionary, whose atoms have norm 1
        rows = np.asarray(decoder["kernel"])
        return _images(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30), shape, "decoder's last")
    return _images(kernels(decoder)[-1], shape, "decoder's last")


def on_varying_pixels(images: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Weight images [n, h, w, c] of whole examples, 0 where no training image [m, h, w, c] differs from another.

    A weight on a pixel that never varies does nothing: it keeps its initial noise, which is
    not a filter. Images of another size than the examples', which are patches, stay as they are.
    """
    return images * (train != train[:1]).any(axis=0) if images.shape[1:] == train.shape[1:] else images


def depth(params: Mapping) -> tuple[int, int]:
    """The numbers of dense layers of the encoder and the decoder."""
    encoder = len(kernels(params["encoder"]))
    return encoder, encoder if is_tied(params) else len(kernels(params["decoder"]))


def of_code(params: Mapping, filters: int, atoms: int, units: int) -> set[str]:
    """Which of ``encoder`` and ``decoder`` have images that belong to the code's units one by one.

    Args:
      params: of the model.
      filters, atoms: how many images there are of each.
      units: of the code.
    """
    encoder = {"encoder"} if size(params["encoder"]) == 1 and filters == units else set()
    if is_tied(params):
        return encoder | ({"decoder"} if encoder else set())
    return encoder | ({"decoder"} if size(params.get("decoder", {})) == 1 and atoms == units else set())


def _images(rows: np.ndarray | None, shape: Shape, which: str) -> np.ndarray:
    if rows is None or rows.ndim != 2 or rows.shape[1] != np.prod(shape):
        found = "absent" if rows is None else f"of shape {list(rows.shape)}"
        raise NoImages(f"weight images need a dense layer at the image {list(shape)}; the {which} layer is {found}")
    return _finite(rows, which).reshape(-1, *shape)


def _finite(array: np.ndarray, which: str) -> np.ndarray:
    if not np.isfinite(array).all():
        raise UserError(f"the weights of the {which} layer are not all finite: the training diverged")
    return array
