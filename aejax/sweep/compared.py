"""By which figure the members of a sweep can be compared: a key may change what a figure means, or what valid is."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aejax.errors import UserError

# Figures of metrics.jsonl of which less is better, by the kind of model; the first that can be is what members are
# compared by.
METRICS = {
    "autoencoder": ("loss", "reconstruction", "reconstruction_per_pixel"),
    "classifier": ("loss", "cross_entropy", "error"),
}
# metric -> keys and sections that change what it means, of an autoencoder
NOT_COMPARED = {
    "loss": ("loss", "code.name", "code.free_bits", "code.samples"),
    "reconstruction": ("loss.likelihood", "loss.std"),
    "reconstruction_per_pixel": ("loss.likelihood", "loss.std"),
}
# Keys of data by which valid has other examples; by which train alone has; and the whitenings that ask train.
VALID = ("data.name", "data.test", "data.valid", "data.split_seed", "data.folds", "data.fold")
TRAIN = ("data.labels", "data.labels_seed", "data.resample")
LEARNED = ("centred", "standard", "zca")


def below(key: str, names: Iterable[str]) -> bool:
    """Whether a dotted key is one of the names, or lies in a section that is."""
    return any(key == name or key.startswith(f"{name}.") for name in names)


def changing(metric: str, keys: Iterable[str], config: Mapping[str, Any]) -> list[str]:
    """Those of the keys that change what a figure means, or what it is measured on.

    Args:
      metric: name of a figure in metrics.jsonl.
      keys: dotted, whose values differ between the members.
      config: has the values of all others.
    """
    classifier = config["model"] == "classifier"
    meaning = () if classifier else NOT_COMPARED.get(metric, ())
    valid = VALID if classifier else ("data",)  # what an autoencoder is to give back is the input
    spared = () if config["data"]["whiten"] in LEARNED and not classifier else TRAIN
    return [key for key in keys if below(key, ("model", *meaning)) or below(key, valid) and key not in spared]


def metric(keys: Sequence[str], config: Mapping[str, Any]) -> str:
    """What members that differ in these keys are compared by, the less the better.

    Raises:
      UserError: there is nothing; the message names the keys.
    """
    tried = METRICS[config["model"]]
    for name in tried:
        if not changing(name, keys, config):
            return name
    reasons = dict.fromkeys(key for name in tried for key in changing(name, keys, config))
    told = ", ".join(f"config.sweep.{key}" for key in reasons)
    raise UserError(f"{told}: no figure on valid means the same for all members; accepted: --member, the number of one")
