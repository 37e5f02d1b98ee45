"""The compiled programs: a stretch of many training steps, and the evaluation of a split.

A stretch is one call for however many steps: their number is an argument, so one
compilation serves an epoch, the rest of one after a restart, and a second's worth.
On a CPU a call a step costs the shallow autoencoder a quarter of its speed.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax.sharding import Mesh

from aejax import autoencoder, devices, keys, optim
from aejax.autoencoder import Autoencoder
from aejax.data import transforms
from aejax.data.order import batch_rows

Sums = dict[str, jax.Array]


class State(struct.PyTreeNode):
    """All that training carries: the number of steps taken, the parameters, the optimiser's state."""

    step: jax.Array
    params: Any
    opt_state: Any


def init_state(model: Autoencoder, arguments: Mapping) -> State:
    """The state before the first step."""
    params = autoencoder.init(model, arguments["seed"])
    return State(jnp.int32(0), params, optim.init(model.config.optim, arguments["optim"], params))


def zero_sums(model: Autoencoder) -> Sums:
    """Sums over no steps: of the loss and each term, of the steps, and -1 for no non-finite loss."""
    names = ("loss", "reconstruction", *autoencoder.penalties(model.config.loss), "steps")
    return {**{name: jnp.float32(0) for name in names}, "first_non_finite": jnp.int32(-1)}


def train_step(
    model: Autoencoder, total: int, state: State, x: jax.Array, weight: jax.Array, arguments: Mapping
) -> tuple[State, dict[str, jax.Array]]:
    """One step on prepared images x [b, h, w, c]: the next state, and the batch's mean of the loss and each term.

    Args:
      total: the number of steps of the whole run, which the schedule is a share of.
      weight: [b], 1 for an example and 0 for padding.
      arguments: as ``autoencoder.arguments`` gives, perhaps traced.
    """
    key = jax.random.fold_in(keys.root(arguments["seed"], "step"), state.step)

    def loss(params):
        return autoencoder.objective(model, params, x, arguments, weight=weight, key=key)

    (_, terms), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
    config, numbers = model.config.optim, arguments["optim"]
    rate = optim.learning_rate(config, numbers, state.step, total)
    updates, opt_state = optim.optimiser(config, numbers, rate).update(gradient, state.opt_state, state.params)
    return State(state.step + 1, optax.apply_updates(state.params, updates), opt_state), terms


def make_stretch(model: Autoencoder, total: int, mesh: Mesh) -> Callable:
    """The compiled ``stretch(state, sums, images, order, first, count, preprocessing, arguments)``.

    It takes ``count`` steps from ``state`` and adds to ``sums``. Step s trains on the
    raw ``images`` at rows ``order[(s − first) · b : (s − first + 1) · b]``, so that a
    whole split with an epoch's order and a block of it with the identity serve alike.
    The state is donated.
    """
    batch = model.config.train.batch_size
    room = devices.padded(batch, mesh)
    weight = (jnp.arange(room) < batch).astype(jnp.float32)

    def one(state, sums, images, order, first, preprocessing, arguments):
        rows = batch_rows(order, state.step - first, batch)
        rows = jax.lax.with_sharding_constraint(jnp.pad(rows, (0, room - batch)), devices.batched(mesh))
        x = transforms.prepare(preprocessing, images.at[rows].get(mode="promise_in_bounds"))
        following, terms = train_step(model, total, state, x, weight, arguments)
        bad = (sums["first_non_finite"] < 0) & ~jnp.isfinite(terms["loss"])
        found = jnp.where(bad, state.step, sums["first_non_finite"])
        added = {name: sums[name] + value for name, value in {**terms, "steps": 1.0}.items()}
        return following, {**added, "first_non_finite": found}

    def stretch(state, sums, images, order, first, count, preprocessing, arguments):
        def body(_, carry):
            return one(*carry, images, order, first, preprocessing, arguments)

        return jax.lax.fori_loop(0, count, body, (state, sums))

    return jax.jit(stretch, donate_argnums=0, out_shardings=devices.replicated(mesh))


def make_evaluate(model: Autoencoder, mesh: Mesh) -> Callable:
    """The compiled ``evaluate(params, images, preprocessing, arguments) -> sums over the images``.

    Of the loss and each term, of the number of ``active`` code units an example, and
    ``alive`` [d]: whether any image activates the unit. Every image counts once: the
    last part-batch is padded at weight 0.
    """

    def evaluate(params, images, preprocessing, arguments):
        n = images.shape[0]
        room = devices.padded(min(model.config.eval.batch_size, n), mesh)

        def batch(i):
            rows = jax.lax.with_sharding_constraint(i * room + jnp.arange(room), devices.batched(mesh))
            x = transforms.prepare(preprocessing, images.at[jnp.minimum(rows, n - 1)].get(mode="promise_in_bounds"))
            weight = (rows < n).astype(jnp.float32)
            key = jax.random.fold_in(keys.root(arguments["seed"], "evaluate"), i)
            out = model.apply({"params": params}, x, arguments, weight=weight, key=key, train=False)
            active = (out.z != 0).reshape(room, -1) & (weight[:, None] > 0)
            values = {"loss": out.loss, **out.terms, "active": jnp.sum(active, axis=1)}
            sums = {name: jnp.sum(weight * value) for name, value in values.items()}
            return {**sums, "alive": jnp.any(active, axis=0)}

        def add(i, sums):
            new = batch(i)
            return {k: sums[k] | new[k] if k == "alive" else sums[k] + new[k] for k in sums}

        return jax.lax.fori_loop(1, -(-n // room), add, batch(0))

    return jax.jit(evaluate, out_shardings=devices.replicated(mesh))
