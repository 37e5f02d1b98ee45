"""Operators in JAX as a training runs them: many times within one compiled loop.

Each is a ``step(carry, given, tiny) -> carry``. So that the compiler can neither drop an output nor take the work out
of the loop, every output is added, times a number that it does not know to be tiny, to what the next round reads.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from aejax import codes, conv, model, optim
from aejax.codes.largest import keep_largest
from aejax.conv.geometry import first, last
from aejax.data.order import batch_rows
from configs.base import base

TINY = 1e-30  # so small that no sum changes by it


class Program(NamedTuple):
    """One round of an operator, what it starts from, and what it reads and does not change."""

    step: Callable[[Any, Any, jax.Array], Any]
    carry: Any
    given: Any = ()


class Repeated:
    """An operator compiled."""

    def __init__(self, operator: Mapping[str, Any]):
        program = OPERATORS[operator["op"]](operator)
        self.carry, self._given = program.carry, program.given
        self._run = looped(program.step)

    def __call__(self, count: int) -> float:
        """The seconds that so many rounds take."""
        began = time.perf_counter()
        self.carry = self._run(self.carry, self._given, np.float32(TINY), np.int32(count))
        jax.block_until_ready(self.carry)
        return time.perf_counter() - began


def looped(step: Callable) -> Callable:
    """The compiled ``run(carry, given, tiny, count)``; it takes the carry over."""

    def run(carry, given, tiny, count):
        return lax.fori_loop(0, count, lambda _, c: step(c, given, tiny), carry)

    return jax.jit(run, donate_argnums=0)


def differentiated(f: Callable, *inputs: jax.Array) -> Program:
    """``f`` forward, and backward to all of its inputs from a gradient of its output, which is random."""
    cotangent = _normal(len(inputs), jax.eval_shape(f, *inputs).shape)

    def step(carry, given, tiny):
        inputs, cotangent = carry
        output, pull = jax.vjp(f, *inputs)
        return jax.tree.map(lambda a, new: a + tiny * new, carry, (pull(cotangent), output))

    return Program(step, (inputs, cotangent))


def _normal(place: int, shape: tuple[int, ...]) -> jax.Array:
    return jax.random.normal(jax.random.key(place), shape)


def _of_maps(f: Callable, operator: Mapping, channels: str, *rest: jax.Array) -> Program:
    """``f(maps, *rest)`` of maps that lie as they do between the layers of a net (see ``aejax.conv.products``)."""
    x = _normal(0, (operator["batch"], *operator["size"], operator[channels]))
    if jax.default_backend() != "cpu":
        return differentiated(f, x, *rest)
    return differentiated(lambda x, *rest: last(f(first(x), *rest)), last(x), *rest)


def _convolution(f: Callable) -> Callable[[Mapping], Program]:
    def make(operator):
        kernel = _normal(1, (*operator["kernel"], operator["inputs"], operator["outputs"]))
        return _of_maps(lambda x, k: f(x, k, tuple(operator["strides"])), operator, "inputs", kernel)

    return make


def _resampling(f: Callable, key: str) -> Callable[[Mapping], Program]:
    return lambda operator: _of_maps(lambda x: f(x, tuple(operator[key])), operator, "channels")


def _dense(operator: Mapping) -> Program:
    batch, inputs, outputs = (operator[key] for key in ("batch", "inputs", "outputs"))
    return differentiated(jnp.matmul, _normal(0, (batch, inputs)), _normal(1, (inputs, outputs)))


def _adam(operator: Mapping) -> Program:
    """One update as the training step makes it; the gradient is at hand, and moved by one parameter."""
    config = base()
    numbers = model.arguments(config)["optim"]
    params = _normal(0, (operator["parameters"],))

    def step(carry, gradient, tiny):
        params, state = carry
        adam = optim.optimiser(config.optim, numbers, numbers["learning_rate"])
        updates, state = adam.update(gradient + tiny * params[:1], state, params)
        return optax.apply_updates(params, updates), state

    return Program(step, (params, optim.init(config.optim, numbers, params)), _normal(1, params.shape))


def _forward(f: Callable, z: jax.Array) -> Program:
    """``f`` of an array, to one of its shape; forward alone."""
    return Program(lambda z, given, tiny: z + tiny * f(z), z)


def _units(operator: Mapping) -> jax.Array:
    return _normal(0, (operator["batch"], operator["units"]))


def _winners(operator: Mapping) -> Program:
    weight = jnp.ones(operator["batch"])
    won = lambda z: codes.winners(z, operator["rate"], weight)  # noqa: E731
    return _forward(lambda z: jnp.where(won(z), z, 0.0), jax.nn.relu(_units(operator)))


def _top_k(operator: Mapping) -> Program:
    return _forward(lambda h: keep_largest(h, operator["k"]), _units(operator))


def _gather(operator: Mapping) -> Program:
    n, batch = operator["images"], operator["batch"]
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.integers(0, 256, (n, operator["pixels"]), np.uint8))
    order = jnp.asarray(rng.permutation(n).astype(np.int32))

    def step(carry, given, tiny):
        (i, x), (images, order) = carry, given
        rows = images.at[batch_rows(order, i, batch)].get(mode="promise_in_bounds")
        return (i + 1) % (n // batch), rows.astype(jnp.float32) / 255 + tiny * x

    return Program(step, (jnp.int32(0), jnp.zeros((batch, operator["pixels"]))), (images, order))


OPERATORS: dict[str, Callable[[Mapping], Program]] = {
    "conv": _convolution(conv.convolve),
    "conv_transpose": _convolution(conv.convolve_transposed),
    "dense": _dense,
    "max_pool": _resampling(conv.max_pool, "window"),
    "average_pool": _resampling(conv.average_pool, "window"),
    "nearest": _resampling(conv.nearest, "to"),
    "bilinear": _resampling(conv.bilinear, "to"),
    "adam": _adam,
    "winners": _winners,
    "top_k": _top_k,
    "gather": _gather,
}
