"""The layers of a described net: what kinds there are, the lists that encoders and decoders come to, what is counted.

Every layer is a dict with ``kind``:

- ``dense``: ``inputs``, ``outputs``, and how it starts: ``kernel_init``, ``init_std``, ``bias_init``, ``biased``. With
  ``adjoint_of`` k the kernel is the transpose of the encoder's k-th dense layer (from 0), with a bias of its own.
- ``conv``, from maps of ``size_in`` to ``size_out = ⌈size_in / strides⌉``: ``inputs``, ``outputs`` (channels),
  ``kernel``, ``strides``, and how it starts. ``conv_transpose``: its adjoint, to a larger ``size_out``.
- ``max_pool``, ``average_pool``: ``window``. ``nearest``, ``bilinear``: ``size``.
- ``flatten``: maps of ``shape`` [h, w, c] to a vector, in that order. ``reshape``: a vector to maps of ``shape``.
- ``norm``: ``name`` ("batch", "layer"), ``features``. ``activation``: ``name``. ``dropout``: ``rate``.
- ``dictionary``: ``inputs``, ``outputs``, ``bias_init``: atoms of unit norm, which start as the transpose of the
  encoder's kernel (``aejax.nets.DictionaryDecoder``).
"""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from aejax import nets
from aejax.nets.maps import Size, shrinking, strides

Layer = dict[str, Any]


class Inexpressible(Exception):
    """A config that the description has no words for; the message names the key."""


def encoder(section: Mapping, shape: tuple[int, ...], features: int) -> tuple[list[Layer], tuple[int, ...]]:
    """The layers from images of ``shape`` to so many features, and the height and width of the maps that they end at,
    () where that is a vector."""
    return _find(ENCODERS, "encoder", section)(section, shape, features)


def decoder(section: Mapping, code: tuple[int, ...], shape: tuple[int, ...], encoder: list[Layer]) -> list[Layer]:
    """The layers from a code of that shape, [d] or [h, w, d], to images of ``shape``."""
    return _find(DECODERS, "decoder", section)(section, code, shape, encoder)


def _find(table: Mapping, key: str, section: Mapping) -> Any:
    if section["name"] not in table:
        raise Inexpressible(f"config.{key}.name={section['name']!r} has no counterpart in the bench's peers")
    return table[section["name"]]


# -- single layers


def dense(section: Mapping, inputs: int, outputs: int, hidden: bool = False) -> Layer:
    return {"kind": "dense", "inputs": inputs, "outputs": outputs, **_start(section, hidden)}


def _conv(kind: str, section: Mapping, channels: tuple[int, int], sizes: tuple[Size, Size], by: Size, hidden: bool):
    return {
        "kind": kind, "inputs": channels[0], "outputs": channels[1], "kernel": list(section["kernel"]),
        "strides": list(by), "size_in": list(sizes[0]), "size_out": list(sizes[1]), **_start(section, hidden),
    }  # fmt: skip


def _start(section: Mapping, hidden: bool) -> dict[str, Any]:
    """How kernel and bias start; a hidden layer has no bias where a norm after it centres."""
    start = {key: section[key] for key in ("kernel_init", "init_std", "bias_init")}
    return {**start, "biased": not (hidden and nets.norm(section["norm"], "norm").centres)}


def activation(name: str) -> list[Layer]:
    return [] if name == "linear" else [{"kind": "activation", "name": name}]


def _finish(section: Mapping, features: int) -> list[Layer]:
    """What stands after a hidden layer: norm, activation, dropout."""
    norm = [{"kind": "norm", "name": section["norm"], "features": features}] if section["norm"] != "none" else []
    dropout = [{"kind": "dropout", "rate": section["dropout"]}] if section["dropout"] else []
    return [*norm, *activation(section["activation"]), *dropout]


def _dense_stack(section: Mapping, sizes: tuple[int, ...], hidden: int) -> list[Layer]:
    """Dense layers through ``sizes``, the first so many of them finished as hidden ones."""
    found = []
    for place, (inputs, outputs) in enumerate(pairwise(sizes)):
        found.append(dense(section, inputs, outputs, place < hidden))
        found += _finish(section, outputs) if place < hidden else []
    return found


# -- how maps shrink and grow: (section, (inputs, outputs), (size in, size out), by, hidden) -> layers


def _strided(section, channels, sizes, by, hidden) -> list[Layer]:
    return [_conv("conv", section, channels, sizes, by, hidden)]


def _pooled(kind: str):
    def layers(section, channels, sizes, by, hidden) -> list[Layer]:
        pool = [{"kind": kind, "window": list(by)}] if max(by) > 1 else []
        return [_conv("conv", section, channels, (sizes[0], sizes[0]), (1, 1), hidden), *pool]

    return layers


def _transposed(section, channels, sizes, by, hidden) -> list[Layer]:
    return [_conv("conv_transpose", section, channels, sizes, by, hidden)]


def _resized(kind: str):
    def layers(section, channels, sizes, by, hidden) -> list[Layer]:
        resize = [{"kind": kind, "size": list(sizes[1])}] if max(by) > 1 else []
        return [*resize, _conv("conv", section, channels, (sizes[1], sizes[1]), (1, 1), hidden)]

    return layers


SHRINKS = {"stride": _strided, "max_pool": _pooled("max_pool"), "average_pool": _pooled("average_pool")}
GROWS = {"transpose": _transposed, "nearest": _resized("nearest"), "bilinear": _resized("bilinear")}


def _through_maps(
    ways: Mapping, section: Mapping, channels: tuple[int, ...], sizes: list[Size], hidden: int
) -> list[Layer]:
    """Layers through these channels and sizes, the first so many of them finished as hidden ones."""
    found = []
    for place, (maps, (n, m)) in enumerate(zip(pairwise(channels), pairwise(sizes), strict=True)):
        by = strides(max(n, m), min(n, m), section["factor"])
        found += ways[section["resample"]](section, maps, (n, m), by, place < hidden)
        found += _finish(section, maps[1]) if place < hidden else []
    return found


# -- encoders and decoders


def _mlp_encoder(section: Mapping, shape: tuple[int, ...], features: int) -> tuple[list[Layer], tuple]:
    sizes = (math.prod(shape), *section["widths"], features)
    return [_flatten(shape), *_dense_stack(section, sizes, len(section["widths"]))], ()


def _conv_encoder(section: Mapping, shape: tuple[int, ...], features: int) -> tuple[list[Layer], tuple]:
    channels = (shape[2], *section["widths"])
    sizes = shrinking(shape[:2], section["factor"], len(section["widths"]))
    last = (*sizes[-1], channels[-1])
    stack = (math.prod(last), *section["dense"], features)
    maps = _through_maps(SHRINKS, section, channels, sizes, len(section["widths"]))
    return [*maps, _flatten(last), *_dense_stack(section, stack, len(section["dense"]))], ()


def _allconv_encoder(section: Mapping, shape: tuple[int, ...], features: int) -> tuple[list[Layer], tuple]:
    hidden = len(section["widths"])
    sizes = shrinking(shape[:2], section["factor"], hidden + 1, tuple(section["map"]) or (1, 1))
    return _through_maps(SHRINKS, section, (shape[2], *section["widths"], features), sizes, hidden), tuple(sizes[-1])


def _mlp_decoder(section, code, shape, encoder) -> list[Layer]:
    sizes = (math.prod(code), *section["widths"], math.prod(shape))
    return [*_dense_stack(section, sizes, len(section["widths"])), _reshape(shape)]


def _conv_decoder(section, code, shape, encoder) -> list[Layer]:
    widths = tuple(section["widths"])
    channels = ((*widths, shape[2])[0], *widths)
    sizes = shrinking(shape[:2], section["factor"], len(widths))[::-1]
    first = (*sizes[0], channels[0])
    stack = (math.prod(code), *section["dense"], math.prod(first))
    growing = _through_maps(GROWS, section, channels, sizes, len(widths))
    last = _conv("conv", section, (channels[-1], shape[2]), (sizes[-1], sizes[-1]), (1, 1), hidden=False)
    return [*_dense_stack(section, stack, len(stack) - 1), _reshape(first), *growing, last]


def _allconv_decoder(section, code, shape, encoder) -> list[Layer]:
    hidden = len(section["widths"])
    sizes = shrinking(shape[:2], section["factor"], hidden + 1, code[:2])[::-1]
    return _through_maps(GROWS, section, (code[2], *section["widths"], shape[2]), sizes, hidden)


def _tied_decoder(section, code, shape, encoder) -> list[Layer]:
    found, kernels = [], [layer for layer in encoder if layer["kind"] == "dense"]
    for k in reversed(range(len(kernels))):
        size = {"inputs": kernels[k]["outputs"], "outputs": kernels[k]["inputs"]}
        found.append({"kind": "dense", **size, "bias_init": section["bias_init"], "biased": True, "adjoint_of": k})
        found += activation(section["activation"]) if k else []
    return [*found, _reshape(shape)]


def _dictionary_decoder(section, code, shape, encoder) -> list[Layer]:
    size = {"inputs": code[0], "outputs": math.prod(shape)}
    return [{"kind": "dictionary", **size, "bias_init": section["bias_init"]}, _reshape(shape)]


def _flatten(shape: tuple[int, ...]) -> Layer:
    return {"kind": "flatten", "shape": list(shape)}


def _reshape(shape: tuple[int, ...]) -> Layer:
    return {"kind": "reshape", "shape": list(shape)}


ENCODERS = {"mlp": _mlp_encoder, "conv": _conv_encoder, "allconv": _allconv_encoder}
DECODERS = {
    "mlp": _mlp_decoder, "conv": _conv_decoder, "allconv": _allconv_decoder, "tied": _tied_decoder,
    "dictionary": _dictionary_decoder,
}  # fmt: skip


# -- what is counted

WEIGHING = ("dense", "conv", "conv_transpose", "dictionary")


def weighs(layer: Mapping) -> bool:
    """Whether it is a product with a kernel."""
    return layer["kind"] in WEIGHING


def parameters(layer: Mapping) -> int:
    """How many numbers it learns: kernel and bias, or scale and shift of a norm."""
    if layer["kind"] == "norm":
        return 2 * layer["features"]
    if not weighs(layer):
        return 0
    kernel = 0 if "adjoint_of" in layer else math.prod(layer.get("kernel", (1,))) * layer["inputs"] * layer["outputs"]
    return kernel + (layer["outputs"] if layer.get("biased", True) else 0)


def operations(layer: Mapping) -> int:
    """Floating-point operations of one product of it for one example: ``2 · places · taps · inputs · outputs``.

    A convolution has a product at each place of its smaller maps: for a transposed one those are its input, which
    leaves out the zeros between its pixels. Taps over the edge count, for frameworks multiply them.
    """
    if not weighs(layer):
        return 0
    places = {"conv": layer.get("size_out"), "conv_transpose": layer.get("size_in")}.get(layer["kind"], ())
    return 2 * math.prod(places) * math.prod(layer.get("kernel", ())) * layer["inputs"] * layer["outputs"]


def made(layer: Mapping) -> str:
    """What a layer makes, in a word: ``32``, or ``16@14x14``."""
    return _word(layer["outputs"], layer.get("size_out"))


def read(layer: Mapping) -> str:
    """What it reads."""
    return _word(layer["inputs"], layer.get("size_in"))


def _word(features: int, size: list[int] | None) -> str:
    return f"{features}@{size[0]}x{size[1]}" if size else str(features)
