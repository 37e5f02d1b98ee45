"""What a config may hold, checked before anything is loaded or compiled."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aejax import autoencoder, nets, optim, parts
from aejax.data import Dataset
from aejax.errors import UserError

_share = (lambda v: 0 < v <= 1, "a share in (0, 1]")
_positive = (lambda v: v > 0, "more than 0")
_not_negative = (lambda v: v >= 0, "0 or more")
_decay = (lambda v: 0 <= v < 1, "a number in [0, 1)")
_widths = (lambda v: all(isinstance(n, int) and n > 0 for n in v), "whole numbers above 0, such as (500, 250)")

RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "seed": (lambda v: 0 <= v < 2**32, "a whole number in [0, 2^32)"),
    "data.size": _not_negative,
    "data.channels": (lambda v: v in (0, 1, 3), "0, 1 or 3"),
    "data.test": _decay,
    "data.valid": _decay,
    "data.split_seed": _not_negative,
    "data.device_bytes": _not_negative,
    "encoder.widths": _widths,
    "encoder.init_std": _positive,
    "decoder.widths": _widths,
    "decoder.init_std": _positive,
    "code.size": _positive,
    "code.rate": _share,
    "corruption.std": _not_negative,
    "loss.std": _positive,
    "loss.l1": _not_negative,
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
    "train.batch_size": _positive,
    "train.epochs": _positive,
    "train.steps_per_call": _not_negative,
    "train.early_stopping": _not_negative,
    "eval.epochs": _positive,
    "eval.batch_size": _positive,
    "log.figure_epochs": (lambda v: all(isinstance(n, int) and n >= 0 for n in v), "epochs, such as 0,1,10"),
    "log.figure_images": _positive,
    "checkpoint.seconds": _not_negative,
    "checkpoint.keep": _positive,
    "mesh.devices": _not_negative,
}


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
    nets.activation(config["code"]["activation"], "code.activation")
    parts.find(optim.SCHEDULES, "optim.schedule", config["optim"]["schedule"])
    parts.find(optim.OPTIMISERS, "optim.name", config["optim"]["name"])
    autoencoder.keys_read(config)
    autoencoder.check(config)


def check_overrides(config: Mapping, keys: Iterable[str]) -> None:
    """Refuse keys set by hand that the chosen parts do not read, rather than ignore them.

    Raises:
      UserError: naming the key, and what the part reads.
    """
    read = autoencoder.keys_read(config) | optim.keys_read(config)
    for key in keys:
        section, _, name = key.partition(".")
        if section in ("encoder", "decoder", "code", "corruption", "loss", "optim") and key not in read:
            here = sorted(k for k in read if k.startswith(f"{section}.") and k.partition(".")[2] in config[section])
            chosen = "loss.likelihood" if section == "loss" else f"{section}.name"
            value = config[section][chosen.partition(".")[2]]
            raise UserError(f"config.{key} is not read with config.{chosen}={value!r}; accepted: {', '.join(here)}")


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
    images = dataset.train.images
    if config["loss"]["likelihood"] == "bernoulli" and images.dtype.kind == "f":
        low, high = float(images.min()), float(images.max())
        if low < 0 or high > 1:
            raise UserError(
                f"config.loss.likelihood='bernoulli' needs pixels in [0, 1], not [{low:.4g}, {high:.4g}]; "
                "accepted here: squared_error, gaussian, learned_gaussian"
            )
