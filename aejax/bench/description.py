"""A config's net in plain words and numbers, as the worker of every framework reads it: JSON, and nothing of aejax.

``encoder`` and ``decoder`` are lists of layers in the order in which they are gone through, each a dict with its
``kind`` (``layers.py`` has what goes with each); ``code``, ``corruption``, ``likelihood`` and ``penalties`` hold the
names of the parts and the numbers that they read, by their keys in ``configs/base.py``.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from aejax import parts, penalties, schema
from aejax.bench import layers
from aejax.bench.layers import Inexpressible, Layer

# values of keys that the description has words for; of other keys it either takes what they are, or nothing reads them
EXPRESSIBLE = {
    "data.whiten": ("none", "centred"), "data.binarise": ("none", "dynamic"), "corruption.emphasis": (1.0,),
    "corruption.rest": (1.0,), "loss.warmup": (0.0,), "code.k_start": (0,), "optim.name": ("adam",),
    "optim.schedule": ("constant",), "optim.warmup": (0.0,), "optim.freeze": ((),), "optim.encoder_rate": (1.0,),
    "optim.weight_decay": (0.0,), "optim.clip_norm": (0.0,),
}  # fmt: skip

# what codes and likelihoods learn beside the layers: so many numbers a unit, or in all
CODE_PARAMETERS = {"learned_noise": 1, "jump_relu": 1, "gated": 3}
LIKELIHOOD_PARAMETERS = {"learned_gaussian": 1}


def describe(config: Mapping, shape: tuple[int, ...], classes: int = 0) -> dict[str, Any]:
    """The net, its objective and its optimiser.

    Args:
      config: as ``nets.load`` gives it.
      shape: [h, w, c] of an image.
      classes: number of classes of the data; read by a classifier alone.

    Raises:
      Inexpressible: the config holds what there are no words for; the message names the key.
    """
    for key, values in EXPRESSIBLE.items():
        section, _, name = key.partition(".")
        if config[section][name] not in values:
            raise Inexpressible(f"config.{key}={config[section][name]!r} has no counterpart in the bench's peers")
    optimiser = {key: config["optim"][key] for key in ("name", "learning_rate", "b1", "b2", "eps")}
    return {
        "name": config["name"],
        "shape": list(shape),
        "batch": config["train"]["batch_size"],
        "seed": config["seed"],
        "precision": config["precision"],
        "model": config["model"],
        "prepare": {key: config["data"][key] for key in ("whiten", "binarise")},
        "corruption": _corruption(config),
        "optim": optimiser,
        **MODELS[config["model"]](config, tuple(shape), classes),
    }


def _corruption(config: Mapping) -> dict[str, Any]:
    section = config["corruption"]
    return {"name": section["name"], **parts.matching(schema.find_parts(config)["corruption"], section)}


def _autoencoder(config: Mapping, shape: tuple[int, ...], classes: int) -> dict[str, Any]:
    found = schema.find_parts(config)
    code = config["code"]
    features = parts.build(found["code"], code).features
    encoder, places = layers.encoder(config["encoder"], shape, features)
    loss = config["loss"]
    return {
        "classes": 0,
        "encoder": encoder,
        "decoder": layers.decoder(config["decoder"], (*places, code["size"]), shape, encoder),
        "code": {"name": code["name"], **_read(found["code"], code)},
        "likelihood": {"name": loss["likelihood"], **_read(found["loss"], loss)},
        "penalties": _penalties(config, found["code"]),
    }


def _classifier(config: Mapping, shape: tuple[int, ...], classes: int) -> dict[str, Any]:
    """The encoder up to what the head reads, and the head: a dense layer to the logits of the classes."""
    code, section = config["code"], config["encoder"]
    encoder, places = layers.encoder(section, shape, code["size"])
    if config["classifier"]["on"] == "hidden":
        encoder.pop()
        inputs = next(layer["outputs"] for layer in reversed(encoder) if layer["kind"] == "dense")
    elif code["name"] != "deterministic" or places:
        raise Inexpressible(f"config.code.name={code['name']!r} under a classifier has no counterpart in the peers")
    else:
        encoder += layers.activation(code["activation"])
        inputs = code["size"]
    encoder.append({**layers.dense(section, inputs, classes), "bias_init": 0.0})
    return {
        "classes": classes,
        "encoder": encoder,
        "decoder": [],
        "code": {"name": "deterministic", "size": classes, "activation": "linear"},
        "likelihood": {"name": "cross_entropy"},
        "penalties": {},
    }


MODELS = {"autoencoder": _autoencoder, "classifier": _classifier}


def _read(cls: type, section: Mapping) -> dict[str, Any]:
    """The keys of its section that a part has a field or a parameter for."""
    names = parts.fields(cls) | parts.parameters(cls)
    return {key: section[key] for key in section if key in names and key != "name"}


def _penalties(config: Mapping, code: type) -> dict[str, dict[str, Any]]:
    """Those that the code reports and those that the config gives a weight, with the numbers that they read."""
    loss, functions = config["loss"], parts.functions(penalties)
    found = {name: {"weight": loss[name]} for name in schema.reported(code)["penalties"]}
    for name in schema.penalties(loss):
        asked = inspect.signature(functions[name]).parameters.values()
        numbers = {p.name: loss[p.name] for p in asked if p.kind is p.KEYWORD_ONLY}
        found[name] = {"weight": loss[name], **numbers}
    return found


def parameters(description: Mapping) -> int:
    """How many numbers the described net learns."""
    every = [*description["encoder"], *description["decoder"]]
    code, likelihood = description["code"], description["likelihood"]
    of_code = CODE_PARAMETERS.get(code["name"], 0) * code["size"]
    return sum(map(layers.parameters, every)) + of_code + LIKELIHOOD_PARAMETERS.get(likelihood["name"], 0)


def title(description: Mapping) -> str:
    """``784-32-784, batch 32``; maps as ``16@14x14``."""
    every: list[Layer] = [*description["encoder"], *description["decoder"]]
    made = [layers.made(layer) for layer in every if layers.weighs(layer)]
    first = next(layer for layer in every if layers.weighs(layer))
    return f"{'-'.join([layers.read(first), *made])}, batch {description['batch']}"
