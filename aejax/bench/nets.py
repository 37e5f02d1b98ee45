"""What is trained: a shipped config on images at hand, and its description for frameworks that do not know aejax."""

import importlib
import math
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

import configs
from aejax import data
from aejax.errors import UserError
from configs.base import base

PRESETS = {"wta": "mnist"}  # the preset that a name without one takes: the net of the paper, 2000 units
STAND_INS = {name: "mnist5k" for name in ("mnist", "fashion_mnist", "kmnist")}  # of the same shape, and no download
LEARNING_RATE = 1e-3  # at which the early losses of frameworks with other random numbers can be compared
EXAMPLES = 60_000  # a smaller train split is repeated to about so many, so that an epoch is as long as MNIST's


class Inexpressible(Exception):
    """A config that the description has no words for; the message names the key."""


def shipped() -> list[str]:
    """The names of the configs in ``configs/``."""
    return sorted(m.name for m in pkgutil.iter_modules(configs.__path__) if m.name != "base")


def load(name: str, batch: int = 0, data_name: str = "") -> ConfigDict:
    """A shipped config as the bench trains it, locked: at a constant learning rate, one device, data at hand.

    Args:
      name: ``wta`` or, with a preset, ``wta:tiny``.
      batch: examples a step; 0 for the config's own.
      data_name: the data set; "" for the config's own, or one that needs no download and has the same shape.

    Raises:
      UserError: there is no such config or preset.
    """
    file, _, preset = name.partition(":")
    if file not in shipped():
        raise UserError(f"{file!r} is not a shipped config; accepted: {', '.join(shipped())}")
    try:
        config = importlib.import_module(f"configs.{file}").get_config(preset or PRESETS.get(file))
    except ValueError as error:
        raise UserError(str(error)) from None
    with config.unlocked():
        config.optim.schedule, config.optim.warmup, config.optim.learning_rate = "constant", 0.0, LEARNING_RATE
        config.mesh.devices = 1
        config.data.name = data_name or STAND_INS.get(config.data.name, config.data.name)
        config.train.batch_size = batch or config.train.batch_size
    return config.lock()


def images(config: ConfigDict) -> np.ndarray:
    """The train split's images [n, h, w, c], shuffled, repeated up to ``EXAMPLES`` where there are fewer.

    Raises:
      UserError: the data cannot be found or read.
    """
    train = data.load(config.data).train.images
    order = np.random.default_rng(0).permutation(len(train))
    return np.tile(train[order], (max(1, EXAMPLES // len(train)), 1, 1, 1))


def save_images(config: ConfigDict, folder: Path) -> tuple[Path, tuple[int, ...]]:
    """``images`` as a file in the folder, and the shape [h, w, c] of one of them."""
    array = images(config)
    path = folder / f"{config.name}.npy"
    np.save(path, array)
    return path, array.shape[1:]


def describe(config: Mapping, shape: tuple[int, ...]) -> dict[str, Any]:
    """The net, its objective and its optimiser in plain words and numbers, as every peer's worker reads them.

    ``encoder`` and ``decoder`` list dense layers: inputs, outputs, activation, kernel_init, init_std,
    bias_init; ``adjoint_of`` k in place of the initialiser means the transpose of the encoder's layer k.

    Raises:
      Inexpressible: the config holds something else; the message names the key.
    """
    _refuse_what_has_no_words(config)
    encoder, decoder, code = config["encoder"], config["decoder"], config["code"]
    pixels, size = math.prod(shape), code["size"]
    act = "relu" if code["name"] == "lifetime" else code["activation"]
    into = _dense((pixels, *encoder["widths"], size), encoder, act)
    if decoder["name"] == "tied":
        out = _adjoints(into, decoder)
    else:
        out = _dense((size, *decoder["widths"], pixels), decoder, "linear")
    rate = {"rate": code["rate"]} if code["name"] == "lifetime" else {}
    return {
        "encoder": into,
        "decoder": out,
        "code": {"name": code["name"], **rate},
        "likelihood": config["loss"]["likelihood"],
        "optim": {key: config["optim"][key] for key in ("name", "learning_rate", "b1", "b2", "eps")},
        "batch": config["train"]["batch_size"],
        "seed": config["seed"],
    }


def _refuse_what_has_no_words(config: Mapping) -> None:
    accepted = {
        "encoder.name": ("mlp",), "decoder.name": ("mlp", "tied"), "code.name": ("deterministic", "lifetime"),
        "corruption.name": ("none",), "loss.likelihood": ("bernoulli", "squared_error"), "optim.name": ("adam",),
        "encoder.norm": ("none",), "decoder.norm": ("none",), "encoder.dropout": (0.0,), "decoder.dropout": (0.0,),
        "data.whiten": ("none",), "data.binarise": ("none",), "loss.warmup": (0.0,), "optim.freeze": ((),),
        "optim.weight_decay": (0.0,), "optim.clip_norm": (0.0,),
    }  # fmt: skip
    if config["model"] != "autoencoder":
        raise Inexpressible(f"config.model={config['model']!r} has no counterpart in the bench's peers yet")
    for key, values in accepted.items():
        section, _, name = key.partition(".")
        if config[section][name] not in values:
            raise Inexpressible(f"config.{key}={config[section][name]!r} has no counterpart in the bench's peers yet")
    for name, weight in config["loss"].items():
        if weight and base().loss[name] == 0.0:  # a penalty, for the others are 0 unless given a weight
            raise Inexpressible(f"config.loss.{name}={weight!r} has no counterpart in the bench's peers yet")


def _dense(sizes: tuple[int, ...], section: Mapping, last: str) -> list[dict[str, Any]]:
    start = {key: section[key] for key in ("kernel_init", "init_std", "bias_init")}
    pairs = list(zip(sizes, sizes[1:], strict=False))
    acts = [section["activation"]] * (len(pairs) - 1) + [last]
    return [{"inputs": i, "outputs": o, "activation": a, **start} for (i, o), a in zip(pairs, acts, strict=True)]


def _adjoints(encoder: list[dict[str, Any]], section: Mapping) -> list[dict[str, Any]]:
    layers = []
    for k in reversed(range(len(encoder))):
        act = section["activation"] if k else "linear"
        size = {"inputs": encoder[k]["outputs"], "outputs": encoder[k]["inputs"]}
        layers.append({**size, "activation": act, "bias_init": section["bias_init"], "adjoint_of": k})
    return layers


def title(description: Mapping) -> str:
    """``784-32-784, batch 32``."""
    layers = description["encoder"] + description["decoder"]
    widths = [layers[0]["inputs"], *(layer["outputs"] for layer in layers)]
    return f"{'-'.join(map(str, widths))}, batch {description['batch']}"
