"""What the units of a net's deeper layers read from an image and add to one, with all layers between taken linearly.

Without its activations a net is one affine function, and each unit has one weight image: through dense layers a column
of the product ``W_1 W_2 … W_k`` for what it reads, a row of ``D_j … D_L`` for what it adds. Where the net bends, this
is a reading aid and not what the unit does; of ReLUs it is what it would do if all below, or above, were active.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from ml_collections import FrozenConfigDict

from aejax.analysis import command

BLOCK = 128  # units whose images are computed at a time
LAYER = re.compile(r"(layers|convs)_\d+")


class Layer(NamedTuple):
    """A layer with weights.

    Attributes:
      part: ``encoder`` or ``decoder``.
      name: as the parameters call it, such as ``convs_1``.
      shape: of the units whose images it has: what it gives in an encoder, what it reads in a decoder; (d,) or
        (h, w, d), of which a unit is a map.
    """

    part: str
    name: str
    shape: tuple[int, ...]

    @property
    def units(self) -> int:
        return self.shape[-1]


def linearised(model: nn.Module) -> nn.Module:
    """The model with the identity for every hidden activation, in float32; it takes the same parameters.

    The mean of a window stands for its largest pixel, the running statistics of batch normalisation make it linear, and
    layer normalisation, which is not, is left out.
    """
    config = model.config.to_dict()
    for part in (config[name] for name in ("encoder", "decoder") if name in config):
        part["activation"] = "linear"
        part["norm"] = "none" if part.get("norm") == "layer" else part.get("norm", "none")
    if config["encoder"].get("resample") == "max_pool":
        config["encoder"]["resample"] = "average_pool"
    return model.clone(config=FrozenConfigDict({**config, "precision": "float32"}))


def found(model: nn.Module, variables: Mapping, code_shape: tuple[int, ...]) -> list[Layer]:
    """The layers of encoder and decoder, in order; of a tied decoder, whose weights are the encoder's, none."""
    given = jax.eval_shape(lambda v: _given(model, v, jnp.zeros((1, *model.shape))), variables)
    layers = [Layer("encoder", name, array.shape[1:]) for name, array in given.items()]
    if "decoder" not in variables["params"]:
        return layers
    read: dict[str, tuple[int, ...]] = {}

    def watch(call, args, kwargs, context):
        if _is_layer(context, "__call__"):
            read.setdefault(context.module.name, args[0].shape[1:])
        return call(*args, **kwargs)

    with nn.intercept_methods(watch):
        jax.eval_shape(lambda v: model.apply(v, jnp.zeros((1, *code_shape)), method="output"), variables)
    return layers + [Layer("decoder", name, shape) for name, shape in read.items()]


def impulses(shape: tuple[int, ...], units: jax.Array) -> jax.Array:
    """[n, *shape]: for each of units [n] a 1 at it, of maps at the place in their middle, and 0 everywhere else."""
    hot = jax.nn.one_hot(units, shape[-1])
    if len(shape) == 1:
        return hot
    h, w, _ = shape
    return jnp.zeros((len(units), *shape)).at[:, h // 2, w // 2].set(hot)


def filters(linear: nn.Module, variables: Mapping, layer: Layer) -> np.ndarray:
    """What each unit of an encoder's layer weighs the pixels with, [units, h, w, c]: ``∂h_u / ∂x`` of a linearised net.

    Of maps: for the place in the middle.
    """

    def pulled(v, units):
        x = jnp.zeros((len(units), *linear.shape))
        return jax.vjp(lambda x: _given(linear, v, x)[layer.name], x)[1](impulses(layer.shape, units))[0]

    return _by_block(pulled, variables, layer.units)


def atoms(linear: nn.Module, variables: Mapping, layer: Layer) -> np.ndarray:
    """What each unit that a decoder's layer reads adds to the image where it is 1, [units, h, w, c]: ``∂x̂ / ∂h_u`` of a
    linearised net.

    Of maps: where it is 1 at the place in the middle. With ``layer.name`` "" the units are those of the code.
    """

    def pushed(v, units):
        one = impulses(layer.shape, units)
        return jax.jvp(lambda h: _decoded(linear, v, layer, h), (jnp.zeros_like(one),), (one,))[1]

    return _by_block(pushed, variables, layer.units)


IMAGES = {"encoder": filters, "decoder": atoms}


def code_filters(linear: nn.Module, variables: Mapping, code_shape: tuple[int, ...]) -> np.ndarray | None:
    """What the encoder, linearised, reads for each unit of the code, [size, h, w, c].

    Of a Gaussian code it is what the mean reads. None where the units of the code are not the encoder's outputs.
    """
    last = [layer for layer in found(linear, variables, code_shape) if layer.part == "encoder"][-1]
    halves = 2 if linear.config.code.name in command.VARIATIONAL else 1  # the mean, and the logarithm of the std
    if last.shape != (*code_shape[:-1], halves * code_shape[-1]):
        return None
    return filters(linear, variables, last)[: code_shape[-1]]


def code_atoms(linear: nn.Module, variables: Mapping, code_shape: tuple[int, ...]) -> np.ndarray:
    """What each unit of the code adds to the image through the decoder, linearised: [size, h, w, c]."""
    return atoms(linear, variables, Layer("decoder", "", tuple(code_shape)))


def cropped(images: np.ndarray) -> np.ndarray:
    """The smallest window [n, h', w', c] of images [n, h, w, c] outside of which all are 0; one pixel where all are."""
    there = np.any(images != 0, axis=(0, 3))
    rows, columns = (np.flatnonzero(there.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return images[:, :1, :1]
    return images[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _given(model: nn.Module, variables: Mapping, x: jax.Array) -> dict[str, jax.Array]:
    """What each layer of the encoder gives for x [b, h, w, c], by name, in order."""
    given = {}

    def watch(call, args, kwargs, context):
        out = call(*args, **kwargs)
        if _is_layer(context, "__call__"):
            given[context.module.name] = out  # a layer that calls its parent's is seen twice, at last as a whole
        return out

    with nn.intercept_methods(watch):
        model.apply(variables, x, method="encode")
    return given


def _decoded(model: nn.Module, variables: Mapping, layer: Layer, h: jax.Array) -> jax.Array:
    """What the decoder gives where that layer reads h [b, *layer.shape] instead of what comes from below."""
    if not layer.name:
        return model.apply(variables, h, method="output")
    given = False

    def put(call, args, kwargs, context):
        nonlocal given
        if not given and _is_layer(context, "__call__") and context.module.name == layer.name:
            given, args = True, (h, *args[1:])
        return call(*args, **kwargs)

    x = jnp.zeros((len(h), *model.shape))
    shape = jax.eval_shape(lambda v: model.apply(v, x, method="encode"), variables).shape
    with nn.intercept_methods(put):
        return model.apply(variables, jnp.zeros(shape), method="output")


def _is_layer(context: Any, method: str) -> bool:
    return context.method_name == method and bool(LAYER.fullmatch(context.module.name or ""))


def _by_block(images: Callable, variables: Mapping, units: int) -> np.ndarray:
    """``images(variables, units)`` of all units, in blocks of one size, so that it compiles once."""
    images, size = jax.jit(images), min(units, BLOCK)
    starts = range(0, units, size)
    blocks = [np.asarray(images(variables, (i + np.arange(size)) % units)) for i in starts]
    return np.concatenate(blocks)[:units]
