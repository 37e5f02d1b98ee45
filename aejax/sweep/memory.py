"""How much memory a member takes and how much there is, told before anything is compiled."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from aejax import step as programs
from aejax.data import Dataset, transforms
from aejax.trainer import Trainer

SHARE = 0.8  # of what is free, that members may take together: the estimate knows nothing of how a compiler lays out
LOOPS = ("scan", "while")  # as JAX names them
CGROUP = Path("/sys/fs/cgroup")  # what a container may use


def of_member(trainer: Trainer) -> int:
    """Bytes that training one member takes: its state twice (a step makes the next), its best weights, and the most
    that a training step or an evaluation has at a time."""
    model, config = trainer.model, trainer.config
    state = jax.eval_shape(lambda a: programs.init_state(model, a), trainer.arguments)
    statistics = dict(transforms.fit(trainer.dataset.train, config.data))
    batch, rows = config.train.batch_size, min(config.eval.batch_size, len(trainer.dataset.train))
    raw, labels = _examples(trainer.dataset, batch)
    weight = jax.ShapeDtypeStruct((batch,), jnp.float32)
    step = jax.make_jaxpr(
        lambda s, x, y, w, a, p: programs.train_step(model, trainer.total, s, x, w, a, p, y)
    )(state, raw, labels, weight, trainer.arguments, statistics)  # fmt: skip
    batches = _examples(trainer.dataset, 1, rows)
    evaluation = jax.make_jaxpr(programs.evaluation(model))(
        state.variables, batches, statistics, trainer.arguments, np.int32(rows)
    )
    return 2 * size(state) + size(state.variables) + max(peak(step.jaxpr), peak(evaluation.jaxpr))


def _examples(dataset: Dataset, *rows: int) -> tuple[Any, Any]:
    like = lambda a: None if a is None else jax.ShapeDtypeStruct((*rows, *a.shape[1:]), a.dtype)  # noqa: E731
    return like(dataset.train.images), like(dataset.train.labels)


def size(tree: Any) -> int:
    """Bytes of a tree of arrays."""
    return sum(int(np.prod(a.shape)) * a.dtype.itemsize for a in jax.tree.leaves(tree))


def peak(jaxpr: core.Jaxpr) -> int:
    """The most bytes that what a program computes takes at a time, each value kept from its making to its last use.

    No operation is fused with another here, as a compiler would: it is more than will be needed, as a rule.
    What goes in is not counted.
    """
    last = {v: i for i, equation in enumerate(jaxpr.eqns) for v in equation.invars if isinstance(v, core.Var)}
    last |= {v: len(jaxpr.eqns) for v in jaxpr.outvars if isinstance(v, core.Var)}
    live: dict[Any, int] = {}
    most = 0
    for i, equation in enumerate(jaxpr.eqns):
        made = {v: _bytes(v.aval) for v in equation.outvars}
        below = max((peak(inner) for inner in inner(equation.params)), default=0)
        total, results = sum(live.values()), sum(made.values())
        beside = results if equation.primitive.name in LOOPS else 0  # what a loop gives is there from its first turn
        most = max(most, total + results, total + beside + below)
        live |= {v: n for v, n in made.items() if last.get(v, -1) > i}
        live = {v: n for v, n in live.items() if last[v] > i}
    return most


def _bytes(aval: Any) -> int:
    item = aval.dtype.itemsize if hasattr(aval.dtype, "itemsize") else 8  # a random key
    return int(np.prod(aval.shape)) * item if hasattr(aval, "shape") else 0


def inner(params: Mapping[str, Any]) -> list[core.Jaxpr]:
    """The programs within an operation: of a loop, a condition, a call."""
    found = []
    for value in params.values():
        for one in value if isinstance(value, tuple | list) else (value,):
            one = getattr(one, "jaxpr", one)
            found += [one] if isinstance(one, core.Jaxpr) else []
    return found


def free(device: jax.Device) -> int:
    """Bytes that a device has left; on a CPU those of the machine, or of the container if that has fewer."""
    known = device.memory_stats() if device.platform != "cpu" else None
    if known and "bytes_limit" in known:
        return known["bytes_limit"] - known.get("bytes_in_use", 0)
    found = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        limit = (CGROUP / "memory.max").read_text().strip()
        used = int((CGROUP / "memory.current").read_text())
        found = min(found, int(limit) - used) if limit != "max" else found
    except (OSError, ValueError):  # no such limit here
        pass
    return max(found, 0)


def fits(trainer: Trainer, device: jax.Device, sharing: bool = True) -> int:
    """How many members like this one a device has room for at a time; one at least.

    Args:
      trainer: of the member that takes most.
      device: where they train.
      sharing: the data are there once, and not for each.
    """
    train = trainer.dataset.train
    labels = train.labels.nbytes if train.labels is not None else 0
    images, order = train.images.nbytes + labels, 4 * len(train)
    shared, each = (images, order) if sharing else (0, images + order)
    return max(1, int((SHARE * free(device) - shared) // (of_member(trainer) + each)))
