"""Optimisers of optax from a config: schedule, clipping, weight decay.

Every number is an argument of the compiled step: the transformation is made
inside it, from traced values, and only the shape of its state depends on the
config.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from aejax import parts
from aejax.errors import UserError

OPTIMISERS: dict[str, Callable] = {
    name: getattr(optax, name)
    for name in ("adabelief", "adadelta", "adafactor", "adagrad", "adam", "adamax", "adamaxw", "adamw", "adan")
    + ("amsgrad", "lamb", "lars", "lion", "nadam", "nadamw", "novograd", "radam", "rmsprop", "sgd", "sm3", "yogi")
}


def adam(
    learning_rate: jax.Array | float, b1: jax.Array | float, b2: jax.Array | float, eps: jax.Array | float
) -> optax.GradientTransformation:
    """``optax.adam`` with its bias corrections taken out of the pass over the parameters.

    ``θ ← θ − α √c₂ / c₁ · m / (√v + ε √c₂)``, ``c_i = 1 − b_i^t`` (Kingma & Ba, "Adam: A Method for Stochastic
    Optimization", arXiv 1412.6980, the end of section 2, with the ε of algorithm 1). A CPU spends most of an update
    on divisions and roots, and this has one of each for a parameter where the corrected moments have four in all.
    The state is laid out as optax's.
    """

    def update(gradient, state, params=None):
        del params
        m = optax.tree.update_moment(gradient, state.mu, b1, 1)
        v = optax.tree.update_moment(gradient, state.nu, b2, 2)
        count = optax.safe_increment(state.count)
        c1, c2 = 1 - b1**count, jnp.sqrt(1 - b2**count)
        rate, small = learning_rate * c2 / c1, eps * c2
        updates = jax.tree.map(lambda m, v: -rate * m / (jnp.sqrt(v) + small), m, v)
        return updates, optax.ScaleByAdamState(count, m, v)

    return optax.chain(optax.GradientTransformation(optax.scale_by_adam().init, update), optax.identity())


OPTIMISERS["adam"] = adam


def constant(progress: jax.Array) -> jax.Array:
    """``1``."""
    return jnp.ones_like(progress)


def linear(progress: jax.Array, *, final: jax.Array | float) -> jax.Array:
    """``1 + (final − 1) p``."""
    return 1 + (final - 1) * progress


def cosine(progress: jax.Array, *, final: jax.Array | float) -> jax.Array:
    """``final + (1 − final) (1 + cos π p) / 2`` (Loshchilov & Hutter, arXiv 1608.03983, without restarts)."""
    return final + (1 - final) * 0.5 * (1 + jnp.cos(jnp.pi * progress))


def step(progress: jax.Array, *, milestones: tuple[float, ...], factor: jax.Array | float) -> jax.Array:
    """``factor`` to the power of the number of milestones that p has reached."""
    return factor ** jnp.sum(progress >= jnp.asarray(milestones))


SCHEDULES: dict[str, Callable] = {f.__name__: f for f in (constant, cosine, linear, step)}


def learning_rate(config: Mapping, arguments: Mapping, step: jax.Array, total: int) -> jax.Array:
    """The rate at a step: a linear rise over the warm-up's share of ``total``, then the schedule over the rest.

    The schedules are functions of ``p``, the share of the steps after the warm-up
    that have been taken, in [0, 1).

    Args:
      config: the section ``optim``.
      arguments: its numbers, which may be traced.
      step: the number of steps taken so far.
      total: the number of steps of the whole run.
    """
    schedule = parts.find(SCHEDULES, "optim.schedule", config["schedule"])
    taken = step / total
    warmup = arguments["warmup"]
    rise = jnp.where(warmup > 0, (step + 1) / jnp.maximum(warmup * total, 1), 1.0)
    progress = jnp.clip((taken - warmup) / jnp.maximum(1 - warmup, 1e-6), 0.0, 1.0)
    known = {"milestones": tuple(config["milestones"]), **arguments}
    return arguments["learning_rate"] * jnp.minimum(rise, 1.0) * schedule(progress, **parts.matching(schedule, known))


def optimiser(config: Mapping, arguments: Mapping, rate: jax.Array | float) -> optax.GradientTransformation:
    """The config's optimiser at this learning rate.

    Weight decay is decoupled for the optimisers that have it (adamw and its kin),
    and ``weight_decay · θ`` added to the gradient for those that do not (then the
    L2 penalty ``½ weight_decay · ‖θ‖²``).
    """
    make = parts.find(OPTIMISERS, "optim.name", config["name"])
    known = dict(arguments, learning_rate=rate)
    if not config["momentum"] and parts.default(make, "momentum") is None:  # for these None is none, not 0
        del known["momentum"]
    first = []
    if config["clip_norm"]:
        first.append(optax.clip_by_global_norm(arguments["clip_norm"]))
    if config["weight_decay"] and "weight_decay" not in parts.parameters(make):
        first.append(optax.add_decayed_weights(arguments["weight_decay"]))
    return optax.chain(*first, make(**parts.matching(make, known)))


def keys_read(config: Mapping) -> set[str]:
    """The dotted keys of the section ``optim`` that this choice of optimiser and schedule reads."""
    make = parts.find(OPTIMISERS, "optim.name", config["optim"]["name"])
    schedule = parts.find(SCHEDULES, "optim.schedule", config["optim"]["schedule"])
    names = parts.parameters(make) | parts.parameters(schedule)
    always = {"name", "schedule", "learning_rate", "warmup", "clip_norm", "weight_decay", "freeze", "encoder_rate"}
    return {f"optim.{name}" for name in names | always}


def frozen(config: Mapping, params: Any) -> Any:
    """The parameters, those of the parts in ``optim.freeze`` as constants to differentiation."""
    if not config["freeze"]:
        return params
    stop = lambda path, p: jax.lax.stop_gradient(p) if under(path, config["freeze"]) else p  # noqa: E731
    return jax.tree_util.tree_map_with_path(stop, params)


def check_frozen(config: Mapping, params: Any) -> None:
    """Refuse names in ``optim.freeze`` that nothing lies below.

    Raises:
      UserError: naming the parts that there are.
    """
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    for part in config["freeze"]:
        if not any(under(path, (part,)) for path in paths):
            here = sorted({str(path[0].key) for path in paths})
            raise UserError(f"config.optim.freeze={part!r} is no part of the model; accepted: a tuple of {here}")


def by_part(config: Mapping, arguments: Mapping, updates: Any) -> Any:
    """The updates, none for the parts in ``optim.freeze`` and those of the encoder times ``optim.encoder_rate``."""
    if not config["freeze"] and config["encoder_rate"] == 1.0:
        return updates

    def scale(path, update):
        if under(path, config["freeze"]):
            return jnp.zeros_like(update)
        return update * arguments["encoder_rate"] if under(path, ("encoder",)) else update

    return jax.tree_util.tree_map_with_path(scale, updates)


def under(path: tuple, parts_named: tuple[str, ...]) -> bool:
    """Whether a parameter's path lies below one of ``encoder``, ``encoder/layers_0``, ..."""
    names = [str(entry.key) for entry in path]
    return any(names[: len(p)] == p for p in (part.split("/") for part in parts_named))


def init(config: Mapping, arguments: Mapping, params: Any) -> Any:
    """The optimiser's state at the start."""
    return optimiser(config, arguments, arguments["learning_rate"]).init(params)
