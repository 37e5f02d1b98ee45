"""What the bench trains many models of: a config, and the values that its models have of some keys."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ml_collections import ConfigDict

from aejax.bench import nets

SIZES = "5,20,35,50,65,80,95"
SEEDS = 64


@dataclass(frozen=True)
class Experiment:
    """Many models of one config.

    Attributes:
      title: what the table calls it; no two have the same.
      config: the name, as ``nets.load`` takes it.
      sweep: dotted key -> its values, as ``config.sweep`` has them.
      against: the request for aejax's worker that training together is compared with: "in_turn", all of the models one
        after another, or "one", the first of them alone.
      peers: whether other frameworks train the models too.
      devices: where it is measured.
    """

    title: str
    config: str
    sweep: Mapping[str, str] = field(default_factory=dict)
    against: str = "in_turn"
    peers: bool = True
    devices: tuple[str, ...] = ("cpu", "gpu")


EXPERIMENTS = [
    Experiment("seven code sizes", "shallow:notebook", {"code.size": SIZES}),
    Experiment("five seeds", "shallow:notebook", {"seed": "0,1,2,3,4"}),
]
EXPERIMENTS += [
    Experiment(f"{SEEDS} seeds of {name}", name, {"seed": ",".join(map(str, range(SEEDS)))}, "one", False, ("gpu",))
    for name in ("shallow", "vae", "conv")
]


def load(config: str, data: str, sweep: Mapping[str, str]) -> ConfigDict:
    """The config of a sweep over those values, locked, as the bench trains it.

    Args:
      config: as ``nets.load`` takes it.
      data: the data set; "" for the config's own, or what stands in for it.
      sweep: dotted key -> its values.

    Raises:
      UserError: as ``nets.load``.
    """
    found = nets.load(config, data)
    with found.unlocked():
        found.update_from_flattened_dict({f"sweep.{key}": values for key, values in sweep.items()})
    return found.lock()
