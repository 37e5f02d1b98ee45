"""What a run costs, told without training: its arrays and where they lie, arithmetic, bytes moved, memory.

Nothing here computes: arrays are shapes, and the training step is traced and compiled, never called.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend import core
from jax.sharding import NamedSharding

from aejax import devices, feed, optim
from aejax.data import Split, transforms
from aejax.sweep.memory import inner
from aejax.trainer import Trainer

CONVOLUTIONS = {"convolve": "invars", "spread": "invars", "correlate": "outvars"}  # aejax.conv's, where the kernel is


class Array(NamedTuple):
    """An array of a run: its path in the tree, shape, type, and how it lies on the devices."""

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype
    sharding: NamedSharding

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Of the whole."""
        return self.size * self.dtype.itemsize

    @property
    def bytes_a_device(self) -> int:
        """Of the part that one device holds."""
        return math.prod(self.sharding.shard_shape(self.shape)) * self.dtype.itemsize


def arrays(tree: Any) -> list[Array]:
    """The arrays of a tree, or of one of shapes that have a sharding, in its order."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    name = lambda path: jax.tree_util.keystr(path, simple=True, separator="/")  # noqa: E731
    return [Array(name(path), tuple(a.shape), np.dtype(a.dtype), a.sharding) for path, a in leaves]


def in_words(sharding: NamedSharding, shape: tuple[int, ...]) -> str:
    """``replicated``, ``axis 1 over 4 (model)``; ``one device`` where there is but one."""
    if len(sharding.device_set) == 1:
        return "one device"
    if sharding.is_fully_replicated:
        return "replicated"
    told = []
    for axis, names in enumerate(sharding.spec):
        names = names if isinstance(names, tuple) else (names,) if names else ()
        told.append((axis, math.prod(sharding.mesh.shape[name] for name in names), ", ".join(names)))
    return ", ".join(f"axis {axis} over {count} ({names})" for axis, count, names in told if count > 1)


def state(trainer: Trainer) -> Any:
    """The state of a run, as shapes with the sharding that its program gives them."""
    return jax.eval_shape(trainer.programs.init, trainer.arguments)


def parameters(config: Mapping, params: Any) -> tuple[int, int]:
    """How many numbers of these parameters learn, and how many are frozen.

    Args:
      config: the section ``optim``.
      params: arrays or shapes.
    """
    leaves = jax.tree_util.tree_leaves_with_path(params)
    still = sum(math.prod(a.shape) for path, a in leaves if optim.under(path, config["freeze"]))
    return sum(math.prod(a.shape) for _, a in leaves) - still, still


# -- arithmetic


def products(jaxpr: core.Jaxpr) -> int:
    """Floating-point operations of the products of matrices and the convolutions in a program, 2 a multiplication.

    As they are written, whatever a platform makes of them: a convolution of a kernel [kh, kw, c, o] to small maps
    [b, m, n, o] has ``2 b m n kh kw c o``, and so have its adjoints. A loop counts as often as it turns where that is
    known, else once; of the branches of a condition the costliest counts.
    """
    total = 0
    for equation in jaxpr.eqns:
        kind, given = equation.primitive.name, equation.params
        within = [products(one) for one in inner(given)]
        if kind == "dot_general":
            (summed, _), _ = given["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            total += 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(shape[axis] for axis in summed)
        elif kind == "conv_general_dilated":
            kernel, features = equation.invars[1].aval.shape, given["dimension_numbers"].rhs_spec[0]
            total += 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(kernel) // kernel[features]
        elif kind in CONVOLUTIONS:
            kernel = getattr(equation, CONVOLUTIONS[kind])[-1].aval.shape
            total += 2 * equation.invars[0].aval.shape[0] * math.prod(given["geometry"].small) * math.prod(kernel)
        elif kind == "cond":
            total += max(within)
        else:
            total += given.get("length", 1) * sum(within) if kind == "scan" else sum(within)
    return total


class Program(NamedTuple):
    """What the compiler says of a compiled program, on one device.

    Attributes:
      flops: all floating-point operations, products among them; the body of a loop once.
      bytes: that its operations read and write, those of one fused operation once.
      arguments: bytes of what goes in,
      results: and of what comes out,
      donated: of which so many lie where arguments did.
      temporaries: bytes beside them.
    """

    flops: float
    bytes: float
    arguments: int
    results: int
    donated: int
    temporaries: int

    @property
    def memory(self) -> int:
        """The bytes that it takes while it runs."""
        return self.arguments + self.results - self.donated + self.temporaries


def program(compiled: jax.stages.Compiled) -> Program:
    """Of a compiled program."""
    counted, memory = compiled.cost_analysis() or {}, compiled.memory_analysis()
    return Program(
        counted.get("flops", 0.0), counted.get("bytes accessed", 0.0), memory.argument_size_in_bytes,
        memory.output_size_in_bytes, memory.alias_size_in_bytes, memory.temp_size_in_bytes,
    )  # fmt: skip


class Step(NamedTuple):
    """What a training step costs.

    Attributes:
      products: floating-point operations of its products, over all devices.
      flops: all of its floating-point operations before anything is split over devices or fused, as the compiler
        counts them.
      program: what one device does, with what few examples it was compiled for.
      few: those examples, and the order in which they are taken.
      examples: as many of the same as lie on the devices while a run trains.
      batch: how the images of a batch lie there.
    """

    products: int
    flops: float
    program: Program
    few: list[Array]
    examples: list[Array]
    batch: Array

    @property
    def memory(self) -> int:
        """The bytes that it takes on each device while a run trains."""
        rest = sum(a.bytes_a_device for a in self.examples) - sum(a.bytes_a_device for a in self.few)
        return self.program.memory + rest


def step(trainer: Trainer) -> Step:
    """Of one step of the program that trains a run, which is compiled for that.

    The program is the stretch of ``aejax.step``, a loop whose number of turns is an argument: a turn is a step, and
    both counts have it once. It is compiled for as few examples as there can be, since the compiler counts a batch's
    gathering as if it read all of them.
    """
    config, train, mesh = trainer.config, trainer.dataset.train, trainer.mesh
    batch = config.train.batch_size
    few = Split(*train.read(np.arange(min(batch + 1, len(train)))))  # with just a batch there would be no gathering
    source = feed.feed(few, config.seed, batch, mesh, {"device_bytes": few.nbytes}, 1, trainer.labelled)
    try:
        there = source.at(0)
        statistics = jax.device_put(transforms.fit(train, config.data), devices.replicated(mesh))
        sums = jax.device_put(trainer.zero_sums, devices.replicated(mesh))
        traced = trainer.programs.stretch.trace(
            state(trainer), sums, there.examples, there.order, np.int32(0), np.int32(1), statistics, trainer.arguments
        )
        small = arrays({"images": there.examples[0], "labels": there.examples[1], "order": there.order})
    finally:
        source.close()
    lowered = traced.lower()
    images = Array("batch", (devices.padded(batch, mesh), *trainer.dataset.shape), train.images.dtype,
                   devices.batched(mesh))  # fmt: skip
    counted = (lowered.cost_analysis() or {}).get("flops", 0.0)
    large = [a._replace(shape=(resident(trainer), *a.shape[1:])) for a in small]
    return Step(products(traced.jaxpr.jaxpr), counted, program(lowered.compile()), small, large, images)


def resident(trainer: Trainer) -> int:
    """How many examples of train lie on each device at a time: all, or its part of a block (``aejax.feed``)."""
    train, batch, mesh = trainer.dataset.train, trainer.config.train.batch_size, trainer.mesh
    room = trainer.config.data.device_bytes
    if feed.resident(train, room):
        return len(train)
    return feed.steps_a_block(train, batch, mesh, room) * devices.padded(batch, mesh) // mesh.devices.shape[0]


def memory_beside(trainer: Trainer) -> dict[str, int]:
    """Bytes that lie on each device beside what a training step has, by what they are: from shapes alone."""
    config, dataset = trainer.config, trainer.dataset
    of_one = math.prod(dataset.shape) * dataset.train.dtype.itemsize
    found = {}
    if config.checkpoint.best and len(dataset.valid):
        found["weights with the best valid loss"] = sum(a.bytes_a_device for a in arrays(state(trainer).variables))
    if not feed.resident(dataset.train, config.data.device_bytes):
        found["the next block of train"] = resident(trainer) * of_one
    examples = math.prod(trainer.part(dataset.test)) // trainer.mesh.devices.shape[0]
    found["valid or test, evaluated"] = examples * of_one
    return found
