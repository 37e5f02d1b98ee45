"""The programs of members stacked along a first axis: each member's step is the run's own, mapped over them.

Arrays of the members are [m, ...] and split over the devices along m, what they share is on every device; no device
waits for another. A member that is at its end, or whose loss is not finite, stays as it is while the others go on.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from ml_collections import FrozenConfigDict

from aejax import model as models
from aejax import step as programs
from aejax.data.order import batch_rows, epoch_order

AXIS = "members"


def mesh(devices: Mesh) -> Mesh:
    """The same devices with the members' axis."""
    return Mesh(devices.devices.reshape(-1), (AXIS,))


def split(mesh: Mesh) -> NamedSharding:
    """Each device has its members."""
    return NamedSharding(mesh, P(AXIS))


class Stacked(NamedTuple):
    """What a stack of members calls, each compiled when first called.

    Attributes:
      init: arguments [m, ...] -> states.
      orders: (seeds [m], epoch, n) -> orders [m, n].
      stretch: (states, sums, examples, orders, first, until [m], count, preprocessing, arguments) -> states and sums
        after ``count`` steps of each member that has not taken ``until`` steps yet.
      evaluate: (variables, examples, preprocessing, arguments) -> sums [m, ...] over the examples.
      choose: (which [m], a, b) -> of each array the members of ``a`` where ``which``, else those of ``b``.
    """

    init: Callable
    orders: Callable
    stretch: Callable
    evaluate: Callable
    choose: Callable


@functools.lru_cache(maxsize=8)
def stacked(config: FrozenConfigDict, shape: tuple[int, int, int], classes: int, total: int, mesh: Mesh) -> Stacked:
    """The programs of all stacks whose members have this ``model.program``, on a mesh with the members' axis."""
    model = models.build(config, shape, classes)
    batch = model.config.train.batch_size
    weight = np.ones(batch, np.float32)

    def one(state, sums, until, order, arguments, examples, first, preprocessing):
        raw, labels = programs.rows_of(examples, batch_rows(order, state.step - first, batch))
        given = (state, raw, jnp.asarray(weight), arguments, preprocessing, labels)
        following, terms = programs.train_step(model, total, *given)
        goes = (state.step < until) & (sums["first_non_finite"] < 0)
        sums = _where(goes, programs.added(sums, state.step, terms), sums)
        return _where(goes & jnp.isfinite(terms["loss"]), following, state), sums

    steps = jax.vmap(one, in_axes=(0, 0, 0, 0, 0, None, None, None))

    def stretch(states, sums, examples, orders, first, until, count, preprocessing, arguments):
        def body(_, carry):
            return steps(*carry, until, orders, arguments, examples, first, preprocessing)

        return jax.lax.fori_loop(0, count, body, (states, sums))

    evaluate = programs.evaluation(model)
    over = functools.partial(_over, mesh)
    return Stacked(
        init=over(jax.vmap(lambda arguments: programs.init_state(model, arguments)), "m"),
        orders=_orders(mesh),
        stretch=over(stretch, "mm.m.m..m", donate=(0, 1)),
        evaluate=over(jax.vmap(evaluate, in_axes=(0, None, None, 0, None)), "m..m."),
        choose=over(jax.vmap(_where), "mmm"),
    )


def _over(mesh: Mesh, function: Callable, arguments: str, donate: tuple[int, ...] = ()) -> Callable:
    """The function, compiled, of members split over the mesh: arguments that are ``m`` have their axis, ``.`` not."""
    specs = tuple(P(AXIS) if kind == "m" else P() for kind in arguments)
    mapped = jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=P(AXIS), check_vma=False)
    return jax.jit(mapped, donate_argnums=donate)


def _orders(mesh: Mesh) -> Callable:
    @functools.partial(jax.jit, static_argnums=2)
    def orders(seeds, epoch, n):
        every = jax.vmap(lambda seed: epoch_order(seed, epoch, n))
        return jax.shard_map(every, mesh=mesh, in_specs=P(AXIS), out_specs=P(AXIS), check_vma=False)(seeds)

    return orders


def _where(which: jax.Array, a: Any, b: Any) -> Any:
    return jax.tree.map(lambda x, y: jnp.where(which, x, y), a, b)
