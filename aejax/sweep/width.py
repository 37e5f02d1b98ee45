"""Codes of different sizes in one program: each member's as wide as the widest, with units beyond its own masked.

Such a unit's features and value are 0, so that neither the decoder nor a penalty sees it and no gradient reaches its
weights, which start as zeros and stay so. A member's own weights start as those of the run alone, whose shapes they
have; its noise is the run's too, for a unit's draw does not depend on how many units come after it.
"""

from collections.abc import Mapping

from aejax import schema

NETS = {"encoder": ("mlp", "conv"), "decoder": ("mlp", "conv", "tied")}  # whose code is a vector
PENALTIES = {"l1", "l2", "weight_decay", "decoder_weight_decay"}  # that units and kernels of 0 add nothing to
OPTIMISERS = ("adafactor",)  # that look at a kernel's shape


def maskable(config: Mapping) -> bool:
    """Whether members of this config may have codes of different sizes in one program and be the runs alone."""
    if config["model"] != "autoencoder" or config["optim"]["name"] in OPTIMISERS:
        return False
    nets = all(config[section]["name"] in names for section, names in NETS.items())
    plain = set(schema.penalties(config["loss"])) <= PENALTIES and not config["code"]["free_bits"]
    return nets and plain and getattr(schema.find_parts(config)["code"], "separable", False)
