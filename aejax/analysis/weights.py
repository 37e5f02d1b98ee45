"""The way from parameters to weight images; the only place that knows how the nets name their layers."""

import re
from collections.abc import Mapping

import numpy as np

from aejax.errors import UserError

Shape = tuple[int, int, int]


def kernels(net: Mapping) -> list[np.ndarray]:
    """The kernels of a net's ``layers_0``, ``layers_1``, ..., in order; none where it has only biases (a tied decoder).

    Args:
      net: the parameters of an encoder or decoder, ``{"layers_0": {"kernel": [in, out], "bias": [out]}, ...}``.
    """
    numbered = {int(m[1]): net[name] for name in net if (m := re.fullmatch(r"layers_(\d+)", name))}
    return [np.asarray(numbered[i]["kernel"]) for i in sorted(numbered) if "kernel" in numbered[i]]


def is_tied(params: Mapping) -> bool:
    """Whether the decoder has no kernels of its own, but the encoder's, transposed."""
    return not kernels(params.get("decoder", {}))


def encoder_filters(params: Mapping, shape: Shape) -> np.ndarray:
    """[units, h, w, c]: what each unit of the encoder's first layer weighs the pixels of an image with.

    Raises:
      UserError: the first layer is not dense, or not finite.
    """
    first = kernels(params["encoder"])[:1]
    return _images(first[0].T if first else None, shape, "encoder's first")


def decoder_atoms(params: Mapping, shape: Shape) -> np.ndarray:
    """[units, h, w, c]: what each unit of the decoder's last hidden layer (or the code) adds to an image.

    Raises:
      UserError: the last layer is not dense, or not finite.
    """
    if is_tied(params):
        return encoder_filters(params, shape)
    return _images(kernels(params["decoder"])[-1], shape, "decoder's last")


def depth(params: Mapping) -> tuple[int, int]:
    """The numbers of layers of the encoder and the decoder."""
    encoder = len(kernels(params["encoder"]))
    return encoder, encoder if is_tied(params) else len(kernels(params["decoder"]))


def _images(rows: np.ndarray | None, shape: Shape, which: str) -> np.ndarray:
    if rows is None or rows.ndim != 2 or rows.shape[1] != np.prod(shape):
        found = "absent" if rows is None else f"of shape {list(rows.shape)}"
        raise UserError(f"weight images need a dense layer at the image {list(shape)}; the {which} layer is {found}")
    if not np.isfinite(rows).all():
        raise UserError(f"the weights of the {which} layer are not all finite: the training diverged")
    return rows.reshape(-1, *shape)
