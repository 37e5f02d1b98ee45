"""The compiled programs: a stretch of many training steps, and the evaluation of a split.

A stretch is one call for however many steps: their number is an argument, so one
compilation serves an epoch, the rest of one after a restart, and a second's worth.
On a CPU a call a step costs the shallow autoencoder a quarter of its speed.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from flax import struct
from jax.sharding import Mesh
from ml_collections import FrozenConfigDict

from aejax import compilation, devices, inputs, keys, micro_batches, optim
from aejax import model as models
from aejax.data.identity import identity
from aejax.data.order import batch_rows

Sums = dict[str, jax.Array]


class State(struct.PyTreeNode):
    """All that training carries: steps taken, parameters, the optimiser's state, and the parts' other collections
    (running statistics of normalisation, codebooks, how long units have been silent)."""

    step: jax.Array
    params: Any
    opt_state: Any
    collections: Any

    @property
    def variables(self) -> dict[str, Any]:
        """As the model's ``apply`` takes them."""
        return {"params": self.params, **self.collections}


def init_state(model: nn.Module, arguments: Mapping) -> State:
    """The state before the first step."""
    collections = models.init(model, arguments["seed"], arguments)
    params = collections.pop("params")
    return State(jnp.int32(0), params, optim.init(model.config.optim, arguments["optim"], params), collections)


def zero_sums(model: nn.Module) -> Sums:
    """Sums over no steps: of the loss and each term, of the steps, and -1 for no non-finite loss."""
    names = (*models.measured(model), "steps")
    return {**{name: np.float32(0) for name in names}, "first_non_finite": np.int32(-1)}


def train_step(
    model: nn.Module,
    total: int,
    state: State,
    raw: jax.Array,
    weight: jax.Array,
    arguments: Mapping,
    preprocessing: Mapping,
    labels: jax.Array | None = None,
) -> tuple[State, dict[str, jax.Array]]:
    """One step on raw images [b, h, w, c]: the next state, and the batch's mean of the loss, each term and figure.

    Args:
      total: the number of steps of the whole run, which the schedule is a share of.
      weight: [b], 1 for an example and 0 for padding.
      arguments: as ``model.arguments`` gives, perhaps traced.
      preprocessing: as ``transforms.fit`` gives.
      labels: [b], where the model reads them.
    """
    key = jax.random.fold_in(keys.root(arguments["seed"], "step"), state.step)
    x = inputs.model_input(model.config.data, preprocessing, raw, keys.named(key, "binarise"))
    config, numbers = model.config.optim, arguments["optim"]

    def loss(params, key, weight, x, labels, identity):
        variables = {"params": optim.frozen(config, params), **state.collections}
        given = {"weight": weight, "key": key, "progress": state.step / total, "labels": labels, "identity": identity}
        return models.objective(model, variables, x, arguments, **given)

    batch, count = (x, labels, identity(raw)), model.config.train.micro_batches
    gradient, means, collections = micro_batches.gradient(loss, state.params, count, key, weight, *batch)
    rate = optim.learning_rate(config, numbers, state.step, total)
    updates, opt_state = optim.optimiser(config, numbers, rate).update(gradient, state.opt_state, state.params)
    params = optax.apply_updates(state.params, optim.by_part(config, numbers, updates))
    return State(state.step + 1, params, opt_state, collections), means


def rows_of(examples: Any, rows: jax.Array) -> Any:
    """These rows [b] of (images, labels or None); they must be there."""
    return jax.tree.map(lambda a: a.at[rows].get(mode="promise_in_bounds"), examples)


def added(sums: Sums, step: jax.Array, terms: Mapping[str, jax.Array]) -> Sums:
    """The sums with those of one more step, and whether its loss was the first that is not finite."""
    bad = (sums["first_non_finite"] < 0) & ~jnp.isfinite(terms["loss"])
    found = jnp.where(bad, step, sums["first_non_finite"])
    return {**{k: sums[k] + value for k, value in {**terms, "steps": 1.0}.items()}, "first_non_finite": found}


def make_stretch(model: nn.Module, total: int, mesh: Mesh, places: Any = None) -> Callable:
    """The compiled ``stretch(state, sums, examples, order, first, count, preprocessing, arguments)``.

    It takes ``count`` steps from ``state`` and adds to ``sums``. Step s trains on the raw ``examples`` at rows
    ``order[(s − first) · b : (s − first + 1) · b]`` of a whole split; or, where ``order`` is None, on batch
    ``s − first`` of a block [steps, b, …] whose batches are split over the devices already, padded.
    Examples are images and, for a model that reads them, labels: (images, labels or None).
    The state is donated.

    Args:
      model: of a config.
      total: the number of steps of the whole run.
      mesh: of the devices.
      places: of the state, as ``devices.places`` gives; on every device unless given.
    """
    batch = model.config.train.batch_size
    room = devices.padded(batch, mesh)
    weight = (np.arange(room) < batch).astype(np.float32)
    spread = functools.partial(jax.lax.with_sharding_constraint, shardings=devices.batched(mesh))

    def taken(examples, order, step):
        if order is None:
            return rows_of(examples, step)
        return rows_of(examples, spread(jnp.pad(batch_rows(order, step, batch), (0, room - batch))))

    def one(state, sums, examples, order, first, preprocessing, arguments):
        raw, labels = taken(examples, order, state.step - first)
        following, terms = train_step(model, total, state, raw, jnp.asarray(weight), arguments, preprocessing, labels)
        return following, added(sums, state.step, terms)

    def stretch(state, sums, examples, order, first, count, preprocessing, arguments):
        def body(_, carry):
            return one(*carry, examples, order, first, preprocessing, arguments)

        return jax.lax.fori_loop(0, count, body, (state, sums))

    everywhere = devices.replicated(mesh)
    return jax.jit(stretch, donate_argnums=0, out_shardings=(places or everywhere, everywhere))


class Programs(NamedTuple):
    """What a run calls: ``init(arguments) -> State``, ``stretch`` and ``evaluate``, each compiled when first called;
    the ``zero_sums`` that a stretch begins from; and the ``places`` of the state's arrays, a tree or one for all."""

    init: Callable
    stretch: Callable
    evaluate: Callable
    zero_sums: Sums
    places: Any


@functools.lru_cache(maxsize=16)
def programs(config: FrozenConfigDict, shape: tuple[int, int, int], classes: int, total: int, mesh: Mesh) -> Programs:
    """The programs of all runs whose ``model.program`` is this config: made once, so compiled once."""
    model = models.build(config, shape, classes)

    def start(arguments):
        return init_state(model, arguments)

    places = devices.places(mesh, config.code.size, lambda: jax.eval_shape(start, models.arguments(config)))
    init = jax.jit(start, out_shardings=places, compiler_options=compilation.seldom())
    stretch = make_stretch(model, total, mesh, places)
    return Programs(init, stretch, make_evaluate(model, mesh), zero_sums(model), places)


def make_evaluate(model: nn.Module, mesh: Mesh) -> Callable:
    """The compiled ``evaluate(variables, batches, preprocessing, arguments, n) -> sums over the first n examples``.

    Of the loss, each term and figure, and where the model has a code, of the number of
    ``active_units`` of the code an example, and ``alive`` [size]: whether any image activates
    the unit. Batches are [m, b, …], split over the devices along b; every example counts once: what fills the last
    batch, and batches beyond the n-th example, weigh 0.
    """
    spread = functools.partial(jax.lax.with_sharding_constraint, shardings=devices.batched(mesh))
    return jax.jit(evaluation(model, spread), out_shardings=devices.replicated(mesh))


def evaluation(model: nn.Module, spread: Callable[[jax.Array], jax.Array] = lambda rows: rows) -> Callable:
    """``make_evaluate``'s function, not compiled: ``spread`` says where a batch's rows lie."""

    def evaluate(variables, batches, preprocessing, arguments, n):
        many, room = batches[0].shape[:2]

        def batch(i):
            raw, labels = rows_of(batches, i)
            weight = (spread(i * room + jnp.arange(room)) < n).astype(jnp.float32)
            key = jax.random.fold_in(keys.root(arguments["seed"], "evaluate"), i)
            x = inputs.model_input(model.config.data, preprocessing, raw, keys.named(key, "binarise"))
            given = {"weight": weight, "key": key, "labels": labels, "identity": identity(raw)}
            out = model.apply(variables, x, arguments, train=False, **given)
            values, alive = {"loss": out.loss, **out.terms, **out.figures}, {}
            if out.z is not None:
                active = (out.z != 0).reshape(room, -1, out.z.shape[-1]) & (weight[:, None, None] > 0)
                values["active_units"] = jnp.sum(active, axis=(1, 2))
                alive = {"alive": jnp.any(active, axis=(0, 1))}
            return {**{name: jnp.sum(weight * value) for name, value in values.items()}, **alive}

        def add(i, sums):
            new = batch(i)
            return {k: sums[k] | new[k] if k == "alive" else sums[k] + new[k] for k in sums}

        sums = batch(0)
        return jax.lax.fori_loop(1, -(-n // room), add, sums) if many > 1 else sums  # an idle loop is compiled too

    return evaluate
