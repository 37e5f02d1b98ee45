"""What a run trains: the model of a config, its variables, its objective."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from ml_collections import FrozenConfigDict

from aejax import keys, parts, penalties, schema
from aejax.autoencoder import Arguments, Autoencoder
from aejax.classifier import Classifier
from configs.base import base

MODELS = {"autoencoder": Autoencoder, "classifier": Classifier}

Variables = Mapping[str, Any]


def build(config: FrozenConfigDict, shape: tuple[int, int, int], classes: int = 0) -> nn.Module:
    """The model that a config names, for images of this shape and, for a classifier, so many classes.

    Raises:
      UserError: there is none of that name.
    """
    given = {"config": config, "shape": tuple(shape), "classes": classes}
    cls = parts.find(MODELS, "model", config["model"])
    return cls(**{name: given[name] for name in parts.fields(cls)})


def arguments(config: Mapping, examples: int | None = None) -> dict[str, Any]:
    """What of a config enters the compiled step as arguments: the seed, every float of four sections,
    and the whole numbers of ``code`` (such as k).

    Changing one recompiles nothing, and a batch of them trains a batch of models.

    Args:
      config: the whole of it.
      examples: the number of training examples; that of a batch unless given.
    """
    sections = ("code", "corruption", "loss", "optim")
    numbers = {s: {k: np.float32(v) for k, v in config[s].items() if isinstance(v, float)} for s in sections}
    numbers["code"].update({k: np.int32(v) for k, v in config["code"].items() if type(v) is int})
    examples = config["train"]["batch_size"] if examples is None else examples
    found = {"seed": np.uint32(config["seed"]), "examples": np.float32(examples), **numbers}
    return jax.device_put(found)  # NumPy's numbers: those of Python would compile a conversion


# Sections and keys that make a compiled program what it is; and numbers among them whose being 0 does.
STRUCTURE = ("model", "precision", "encoder", "decoder", "code", "corruption", "loss", "optim", "classifier")
STRUCTURE += ("data.whiten", "data.binarise", "train.batch_size", "train.micro_batches", "train.remat")
STRUCTURE += ("eval.batch_size",)
ZERO_OR_NOT = ("optim.clip_norm", "optim.weight_decay", "optim.momentum")


def program(config: Mapping) -> FrozenConfigDict:
    """What of a config its compiled programs depend on: all that have the same of these can share them.

    The base config but for ``STRUCTURE``, and in that every number which reaches the step as an argument at one value.
    """
    flat = {key: value for name in STRUCTURE for key, value in _below(config, name)}
    found = schema.find_parts(config)
    fixed = {"code": parts.fields(found["code"]), "loss": parts.fields(found["loss"])}
    read = {"code": parts.parameters(found["code"]) if config["model"] == "autoencoder" else set()}
    weights = {f"loss.{name}" for name in parts.functions(penalties)}
    corruption, rate = config["corruption"], config["optim"]["encoder_rate"]
    emphasis = 1.0 if corruption["emphasis"] == corruption["rest"] == 1.0 else 0.5
    one_or_not = {"corruption.emphasis": emphasis, "corruption.rest": emphasis, "optim.encoder_rate": rate == 1.0}
    for section, numbers in arguments(config, 1).items():
        for key in numbers if isinstance(numbers, dict) else ():
            name = f"{section}.{key}"
            if key in fixed.get(section, ()) or key not in read.get(section, {key}):
                continue
            kept = flat[name] != 0 if name in weights or name in ZERO_OR_NOT else one_or_not.get(name, 1)
            flat[name] = type(flat[name])(kept)
    one = base()
    one.update_from_flattened_dict(flat)
    return FrozenConfigDict(one)


def _below(config: Mapping, name: str) -> list[tuple[str, Any]]:
    value = config
    for part in name.split("."):
        value = value[part]
    return [(f"{name}.{key}", value[key]) for key in value] if hasattr(value, "keys") else [(name, value)]


def init(model: nn.Module, seed: jax.Array | int, numbers: Arguments | None = None) -> dict[str, Any]:
    """The variables that a seed starts from: parameters, and whatever collections the parts keep beside them.

    Compile it: eager, it takes longer than compiling.

    Args:
      model: of a config.
      seed: may be traced.
      numbers: as ``arguments`` gives; those of the model's config unless given.
    """
    x = jnp.zeros((1, *model.shape))
    given = {"weight": jnp.ones(1), "key": jax.random.key(0), "train": False, "labels": jnp.zeros(1, jnp.int32)}
    return dict(model.init(keys.root(seed, "init"), x, numbers or arguments(model.config), **given))


def objective(
    model: nn.Module, variables: Variables, x: jax.Array, arguments: Arguments, *, weight: jax.Array, **given: Any
) -> tuple[jax.Array, tuple[dict[str, jax.Array], dict[str, Any]]]:
    """The training loss of a batch, ``Σ weight · loss / Σ weight``.

    Returns:
      The loss; and the same means of ``loss``, each term and figure, with the collections as this batch left them.
    """
    collections = [name for name in variables if name != "params"]
    out, changed = model.apply(variables, x, arguments, weight=weight, train=True, mutable=collections, **given)
    total = jnp.sum(weight)
    values = {"loss": out.loss, **out.terms, **out.figures}
    means = {name: jnp.sum(weight * value) / total for name, value in values.items()}
    return means["loss"], (means, dict(changed))


def measured(model: nn.Module) -> list[str]:
    """The names of what a pass measures: the loss, its terms, and figures."""

    def call():
        key = jax.random.key(0)  # within, so that nothing is computed
        x, weight = jnp.zeros((2, *model.shape)), jnp.ones(2)
        given = {"weight": weight, "key": key, "train": False, "labels": jnp.zeros(2, jnp.int32)}
        out, _ = model.init_with_output(key, x, arguments(model.config), **given)
        return {"loss": out.loss, **out.terms, **out.figures}

    return list(jax.eval_shape(call))
