"""What is trained: shipped configs as the bench trains them, by name."""

import importlib
import pkgutil

from ml_collections import ConfigDict

import configs
from aejax.bench.description import describe
from aejax.bench.layers import Inexpressible
from aejax.errors import UserError

__all__ = ["Inexpressible", "describe", "generated", "load", "names", "shipped"]

PRECISIONS = ("float32", "bfloat16")
PRESETS = {"wta": "mnist"}  # the preset that a name without one takes: the net of the paper, 2000 units
LEARNING_RATE = 1e-3  # at which the early losses of frameworks with other random numbers can be compared

# presets that are the bench's alone: the convolutional winner-take-all with as many maps as a CPU can still train
OWN_PRESETS = {"conv_wta:maps64": {"encoder.widths": (64, 64), "code.size": 64, "code.rate": 0.05}}
BEYOND = ("deep@256", "conv_wta:maps64", "vae:pythae")  # what is measured by default beside the shipped configs

# data that a config names -> of the same shape, and no download and no files of a user
STAND_INS = {name: "mnist5k" for name in ("mnist", "fashion_mnist", "kmnist")}
GENERATED = "generated:"  # stands before the names of sets that examples are generated for, in that shape and type

# what would set frameworks, or one step and the next, apart: rates that change, stages, and what ends a run
COMPARABLE = {
    "optim.schedule": "constant", "optim.warmup": 0.0, "optim.learning_rate": LEARNING_RATE, "loss.warmup": 0.0,
    "code.k_start": 0, "greedy.epochs": 0, "start.workdir": "", "train.early_stopping": 0, "mesh.devices": 1,
    "data.labels": 0,
}  # fmt: skip


def shipped() -> list[str]:
    """The names of the configs in ``configs/``."""
    return sorted(m.name for m in pkgutil.iter_modules(configs.__path__) if m.name != "base")


def names() -> list[str]:
    """What is measured where nothing is named: every shipped config, and a few beyond."""
    return [*shipped(), *BEYOND]


def load(name: str, data: str = "", precision: str = "float32") -> ConfigDict:
    """A config as the bench trains it, locked: at a constant learning rate, one device, in one stage, data at hand.

    Args:
      name: ``NAME[:PRESET][@BATCH]``, such as ``deep@256`` or ``wta:tiny``; without a batch the config's own.
      data: the data set; "" for the config's own, or what stands in for it: a set that needs no download and has the
        same shape, or, for sets of a user's files, generated examples of their shape and type.
      precision: "float32" or "bfloat16".

    Raises:
      UserError: there is no such config, preset or precision, or the batch is no number above 0.
    """
    plain, at, batch = name.partition("@")
    if at and not (batch.isdecimal() and int(batch) > 0):
        raise UserError(f"{name!r}: after @ comes a batch, a whole number above 0")
    config = _found(plain)
    if precision not in PRECISIONS:
        raise UserError(f"--precision={precision}; accepted: {', '.join(PRECISIONS)}")
    changes = {**OWN_PRESETS.get(plain, {}), **COMPARABLE, "data.name": data or _stand_in(config.data.name)}
    with config.unlocked():
        config.name = name.replace(":", "_").replace("@", "_")
        config.update_from_flattened_dict(changes)
        if batch:
            config.train.batch_size = int(batch)
        config.precision = precision
    return config.lock()


def _found(plain: str) -> ConfigDict:
    file, _, preset = plain.partition(":")
    if file not in shipped():
        raise UserError(
            f"{file!r} is not a shipped config; accepted: {', '.join(shipped())}, operators, sweeps, scaling"
        )
    make = importlib.import_module(f"configs.{file}").get_config
    try:
        return make(None if plain in OWN_PRESETS else preset or PRESETS.get(file))
    except ValueError as error:
        raise UserError(str(error)) from None


def _stand_in(name: str) -> str:
    kind = name.partition(":")[0]
    return f"{GENERATED}{kind}" if kind in ("audio", "text", "cifar10") else STAND_INS.get(name, name)


def generated(name: str) -> bool:
    """Whether the examples of a data set of that name are generated."""
    return name.startswith(GENERATED)
