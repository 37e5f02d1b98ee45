"""Gradients of a batch in parts, one after another, where the activations of all of it would not fit.

The loss of a batch is ``Σ_i weight_i loss_i / Σ_i weight_i``, so its gradient is the sum of those of its parts, each
times its share of the weights. That holds where the loss of an example does not depend on the company it is in: what
counts winners or statistics over the batch is refused. Noise is drawn anew for each part, from a key of its own.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from aejax import parts, penalties, schema
from aejax.errors import UserError


def check(config: Mapping) -> None:
    """Refuse parts of a batch where something is taken over the whole of it.

    Raises:
      UserError: naming what is, and the key.
    """
    count, batch = config["train"]["micro_batches"], config["train"]["batch_size"]
    if count == 1:
        return
    if batch % count:
        told = f"config.train.micro_batches={count} does not divide train.batch_size={batch}"
        raise UserError(f"{told}; accepted: what does")
    if found := _of_batch(config):
        raise UserError(f"config.train.micro_batches={count}: {found} is of the whole batch; accepted with it: 1")


def _of_batch(config: Mapping) -> str:
    """The first key whose value makes the loss of an example depend on the others of its batch; "" where none does."""
    for section in ("encoder", "decoder"):
        if schema.hidden(config, section) and config[section]["norm"] == "batch":
            return f"config.{section}.norm='batch'"
    if config["model"] != "autoencoder":
        return ""
    code, functions = schema.find_parts(config)["code"], parts.functions(penalties)
    if getattr(code, "of_batch", False):
        return f"config.code.name={config['code']['name']!r}"
    if "free_bits" in parts.parameters(code) and config["code"]["free_bits"]:
        return f"config.code.free_bits={config['code']['free_bits']}"
    for name in schema.penalties(config["loss"]):
        if {"weight", "z"} <= parts.parameters(functions[name]):
            return f"config.loss.{name}"
    return ""


def gradient(
    loss: Callable[..., tuple[jax.Array, tuple[Any, Any]]],
    params: Any,
    count: int,
    key: jax.Array,
    weight: jax.Array,
    *batch: Any,
) -> tuple[Any, Any, Any]:
    """The gradient of ``loss(params, key, weight, *batch) -> (its mean over the batch, (other means, the rest))``,
    those means, and the rest, which is the same for each part.

    Args:
      loss: its means are weighted by ``weight``.
      params: to differentiate by.
      count: how many parts; 1 is the plain gradient.
      key: of the noise.
      weight: [b]; one example of each part at least, the i-th of ``count``, counts.
      batch: arrays [b, …], or None.
    """
    grad = jax.grad(loss, has_aux=True)
    if count == 1:
        found, (means, rest) = grad(params, key, weight, *batch)
        return found, means, rest
    total, fill = jnp.sum(weight), -len(weight) % count

    def dealt(a: jax.Array) -> jax.Array:
        """[b, …] as [count, ⌈b / count⌉, …]: every device deals of its own rows."""
        a = jnp.pad(a, ((0, fill), *((0, 0),) * (a.ndim - 1)))
        return jnp.swapaxes(a.reshape(-1, count, *a.shape[1:]), 0, 1)

    def one(i: jax.Array, given: tuple) -> tuple[Any, Any]:
        found, (means, rest) = grad(params, jax.random.fold_in(key, i), *given)
        return jax.tree.map(lambda a: a * jnp.sum(given[0]) / total, (found, means)), rest

    def add(sums: Any, given: tuple) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, sums, one(*given)[0]), None

    every = jax.tree.map(dealt, (weight, *batch))
    sums, rest = one(jnp.int32(0), jax.tree.map(lambda a: a[0], every))
    following = (jnp.arange(1, count), jax.tree.map(lambda a: a[1:], every))
    return *jax.lax.scan(add, sums, following)[0], rest
