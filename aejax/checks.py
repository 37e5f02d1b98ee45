"""What a config may hold, checked before anything is loaded or compiled."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aejax import classifier, greedy, micro_batches, model, nets, optim, parts, penalties, schema
from aejax.data import Dataset
from aejax.errors import UserError

_share = (lambda v: 0 < v <= 1, "a share in (0, 1]")
_positive = (lambda v: v > 0, "more than 0")
_not_negative = (lambda v: v >= 0, "0 or more")
_decay = (lambda v: 0 <= v < 1, "a number in [0, 1)")
_pair = lambda v: len(v) == 2 and all(isinstance(n, int) and n > 0 for n in v)  # noqa: E731
_widths = (lambda v: all(isinstance(n, int) and n > 0 for n in v), "whole numbers above 0, such as (500, 250)")

PARTS = {"encoder", "code", "decoder", "likelihood"}

RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "seed": (lambda v: 0 <= v < 2**32, "a whole number in [0, 2^32)"),
    "data.size": _not_negative,
    "data.channels": (lambda v: v in (0, 1, 3), "0, 1 or 3"),
    "data.test": _decay,
    "data.valid": _decay,
    "data.split_seed": _not_negative,
    "data.labels": _not_negative,
    "data.labels_seed": _not_negative,
    "data.folds": (lambda v: v == 0 or v >= 2, "2 or more, or 0 for a single valid split"),
    "data.fold": _not_negative,
    "data.resample": _not_negative,
    "data.zca_epsilon": _positive,
    "data.host_bytes": _not_negative,
    "data.device_bytes": _not_negative,
    "encoder.widths": _widths,
    "encoder.init_std": _positive,
    "decoder.widths": _widths,
    "decoder.init_std": _positive,
    **{f"{s}.dropout": _decay for s in ("encoder", "decoder")},
    **{f"{s}.dense": _widths for s in ("encoder", "decoder")},
    **{f"{s}.factor": _positive for s in ("encoder", "decoder")},
    **{f"{s}.kernel": (_pair, "a height and a width, such as (3, 3)") for s in ("encoder", "decoder")},
    "encoder.map": (lambda v: not v or _pair(v), "() or a height and a width, such as (1, 2)"),
    "code.size": _positive,
    "code.rate": _share,
    "code.k": _positive,
    "code.k_start": _not_negative,
    "code.k_share": _share,
    "code.alpha": _positive,
    "code.dead_after": _positive,
    "code.threshold": _positive,
    "code.bandwidth": _positive,
    "code.std": _not_negative,
    "code.temperature": _positive,
    "code.samples": _positive,
    "code.free_bits": _not_negative,
    "code.entries": _positive,
    "code.decay": _decay,
    "code.restart": _decay,
    "corruption.std": _not_negative,
    "corruption.rate": (lambda v: 0 <= v <= 1, "a share in [0, 1]"),
    "corruption.emphasis": _not_negative,
    "corruption.rest": _not_negative,
    "loss.std": _positive,
    "loss.warmup": (lambda v: 0 <= v <= 1, "a share in [0, 1]"),
    "loss.sparsity": (lambda v: 0 < v < 1, "a share in (0, 1)"),
    "loss.probes": _positive,
    "loss.noise": _positive,
    "loss.aux_units": _positive,
    **{f"loss.{name}": _not_negative for name in ("kl", "commitment", *parts.functions(penalties))},
    "optim.learning_rate": _positive,
    "optim.b1": _decay,
    "optim.b2": _decay,
    "optim.eps": _positive,
    "optim.momentum": _decay,
    "optim.weight_decay": _not_negative,
    "optim.clip_norm": _not_negative,
    "optim.warmup": _decay,
    "optim.final": _not_negative,
    "optim.milestones": (lambda v: all(0 < m < 1 for m in v), "shares in (0, 1)"),
    "optim.factor": _positive,
    "optim.encoder_rate": _not_negative,
    "greedy.epochs": _not_negative,
    "start.parts": (lambda v: {p.split("/")[0] for p in v} <= PARTS, "encoder, code, decoder, likelihood, or below"),
    "train.batch_size": _positive,
    "train.micro_batches": _positive,
    "train.epochs": _not_negative,
    "train.steps_per_call": _not_negative,
    "train.early_stopping": _not_negative,
    "eval.epochs": _positive,
    "eval.batch_size": _positive,
    "log.figure_epochs": (lambda v: all(isinstance(n, int) and n >= 0 for n in v), "epochs, such as 0,1,10"),
    "log.figure_images": _positive,
    "checkpoint.seconds": _not_negative,
    "checkpoint.keep": _positive,
    "mesh.devices": _not_negative,
    "mesh.model": _positive,
}


# the values that a likelihood is for, where not all are
UNIT = dict.fromkeys(("bernoulli", "continuous_bernoulli", "sigmoid_squared_error"), (0, 1))
UNIT |= {"poisson": (0, math.inf), "multinomial": (0, math.inf)}


def check(config: Mapping) -> None:
    """Refuse values out of range, names that there are no parts of, and parts that do not go together.

    Raises:
      UserError: the first of them, naming the key and what is accepted.
    """
    for key, (accepts, accepted) in RANGES.items():
        value = config
        for name in key.split("."):
            value = value[name]
        if not accepts(value):  # written so that NaN is refused
            raise UserError(f"config.{key}={value!r} is out of range; accepted: {accepted}")
    for section in ("encoder", "decoder"):
        nets.activation(config[section]["activation"], f"{section}.activation")
        nets.kernel_init(config[section]["kernel_init"], 1.0, f"{section}.kernel_init")
        nets.norm(config[section]["norm"], f"{section}.norm")
    nets.activation(config["code"]["activation"], "code.activation")
    parts.find(optim.SCHEDULES, "optim.schedule", config["optim"]["schedule"])
    parts.find(optim.OPTIMISERS, "optim.name", config["optim"]["name"])
    parts.find(model.MODELS, "model", config["model"])
    nets.precision(config["precision"])
    parts.find(classifier.FEATURES, "classifier.on", config["classifier"]["on"])
    schema.find_transforms(config["data"])
    schema.keys_read(config)
    schema.check(config)
    greedy.check(config)
    micro_batches.check(config)
    if not config["train"]["epochs"] and not config["greedy"]["epochs"]:
        raise UserError("config.train.epochs=0 trains nothing; accepted: 1 or more, or with greedy.epochs 0 or more")
    size, k, shared = config["code"]["size"], config["code"]["k"], config["mesh"]["model"]
    if size % shared:
        raise UserError(f"config.mesh.model={shared} cannot share code.size={size} evenly; accepted: a divisor of it")
    if "code.k" in schema.keys_read(config) and k > size and config["encoder"]["name"] != "allconv":
        raise UserError(f"config.code.k={k} of code.size={size} units; accepted: 1 to {size}")
    low, high = config["corruption"]["low"], config["corruption"]["high"]
    if not low < high:
        raise UserError(f"config.corruption.low={low} is not below corruption.high={high}; accepted: a smaller one")


# section -> the key that decides which of its keys are read
CHOICES = {s: f"{s}.name" for s in ("encoder", "decoder", "code", "corruption", "optim")}
CHOICES |= {"loss": "loss.likelihood", "classifier": "model", "start": "start.workdir", "greedy": "greedy.epochs"}


def check_overrides(config: Mapping, keys: Iterable[str]) -> None:
    """Refuse keys set by hand that the chosen parts do not read, rather than ignore them.

    Raises:
      UserError: naming the key, and what the part reads.
    """
    for key in unread(config, keys):
        section, read = key.partition(".")[0], _read(config)
        here = sorted(k for k in read if k.startswith(f"{section}.") and k.partition(".")[2] in config[section])
        chosen = CHOICES[section] if here else "model"
        outer, _, inner = chosen.partition(".")
        value = config[outer][inner] if inner else config[outer]
        told = f"config.{key} is not read with config.{chosen}={value!r}"
        raise UserError(f"{told}; accepted: {', '.join(here) or f'leave config.{section} as it is'}")


def unread(config: Mapping, keys: Iterable[str]) -> list[str]:
    """Those of the keys that the chosen parts do not read."""
    read = _read(config)
    return [key for key in keys if key.partition(".")[0] in CHOICES and key not in read]


def _read(config: Mapping) -> set[str]:
    return schema.keys_read(config) | optim.keys_read(config)


def check_data(config: Mapping, dataset: Dataset) -> None:
    """Refuse a config that does not go with its data.

    Raises:
      UserError: naming the key and what is accepted.
    """
    n, batch = len(dataset.train), config["train"]["batch_size"]
    if batch > n:
        raise UserError(f"config.train.batch_size={batch} but train has {n} examples; accepted: 1 to {n}")
    if config["train"]["early_stopping"] and not len(dataset.valid):
        raise UserError("config.train.early_stopping needs a valid split; accepted: config.data.valid above 0")
    if config["model"] == "classifier" and not (dataset.train.labelled and dataset.classes):
        raise UserError(f"config.model='classifier': {dataset.name} has no labels; accepted: data with classes")
    _check_range(config, dataset)


def _check_range(config: Mapping, dataset: Dataset) -> None:
    """Refuse a likelihood or a binarisation of values that it is not for."""
    images, loss, values = dataset.train.images, config["loss"]["likelihood"], config["data"]
    whitened = values["whiten"] != "none"
    low, high = (0.0, 1.0) if images.dtype.kind != "f" else (float(images.min()), float(images.max()))
    found = f"data.whiten={values['whiten']!r} gives any" if whitened else f"not [{low:.4g}, {high:.4g}]"
    if values["binarise"] != "none" and (whitened or low < 0 or high > 1):
        raise UserError(f"config.data.binarise={values['binarise']!r} needs pixels in [0, 1], {found}; accepted: none")
    if whitened and config["corruption"]["name"] == "clipped_gaussian":
        raise UserError(
            f"config.corruption.name='clipped_gaussian' clips what data.whiten={values['whiten']!r} spreads over any "
            "value; accepted: gaussian, or data.whiten='none'"
        )
    least, most = UNIT.get(loss, (-math.inf, math.inf))
    if config["model"] == "autoencoder" and (low < least or high > most or whitened and least == 0):
        need = "pixels in [0, 1]" if most == 1 else "counts, 0 or more"
        raise UserError(
            f"config.loss.likelihood={loss!r} needs {need}, {found}; "
            "accepted here: squared_error, gaussian, learned_gaussian"
        )
