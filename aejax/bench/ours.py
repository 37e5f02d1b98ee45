"""aejax's worker: ``python -m aejax.bench.ours``. It trains with the program and the calls that ``aejax.train`` makes,
and repeats operators as they stand in that program; ``ours_sweeps`` trains many models.

Also, in processes apart, the machine's peak of matrix products, and which device there is.
"""

import time
from collections.abc import Mapping
from typing import Any

from aejax.bench import machine, ours_sweeps
from aejax.bench.peers import protocol

SIDES = {"cpu": 2048, "gpu": 8192}  # of the square matrices of a product: 17 GFLOP, 1.1 TFLOP


class Training:
    """A config in training."""

    def prepare(
        self,
        name: str,
        data: str,
        precision: str,
        images: str,
        labels: str | None,
        classes: list[str],
        devices: int = 1,
    ) -> dict[str, Any]:
        """Build, compile, and take the first step, on so many devices."""
        import jax

        from aejax import feed, train
        from aejax.bench import nets

        config = nets.load(name, data, precision)
        self.trainer = trainer(config, images, labels, classes, devices)
        self.trainer.init()
        t, split, batch = self.trainer, self.trainer.dataset.train, config.train.batch_size
        self.feed = feed.feed(split, config.seed, batch, t.mesh, config.data, t.total, t.labelled)
        self.pace = train.Pace(config.train.steps_per_call)
        self.train(1)
        return {
            **machine.peak_of_device(),
            "versions": {"jax": jax.__version__},
            "how": f"the compiled stretch of aejax.train, {split.images.dtype} on the device",
            "parameters": sum(leaf.size for leaf in jax.tree.leaves(self.trainer.state.params)),
        }

    def train(self, steps: int) -> dict[str, Any]:
        """Take steps, in calls as long as ``aejax.train`` makes them: their seconds, and the mean of their losses."""
        import numpy as np

        t = self.trainer
        t.reset_sums()
        began = time.perf_counter()
        while steps:
            now = time.perf_counter()
            source = self.feed.at(t.step)
            count = min(self.pace.steps(), source.stop - t.step)
            cut, count = count > steps, min(count, steps)
            t.state, t.sums = t.programs.stretch(
                t.state, t.sums, source.examples, source.order, np.int32(source.first), np.int32(count),
                t.preprocessing, t.arguments,
            )  # fmt: skip
            t.first_non_finite()
            t.step, steps = t.step + count, steps - count
            if not cut:  # the end of a repeat is none of training's, and should not slow the next one
                self.pace.took(count, time.perf_counter() - now)
        loss = t.train_figures()["loss"]
        return {"seconds": time.perf_counter() - began, "loss": loss, **machine.peak_of_device()}


def trainer(config, images: str, labels: str | None, classes: list[str], devices: int = 1):
    """A run of a config at its first step, on examples in files and so many devices."""
    import numpy as np

    from aejax import devices as places
    from aejax.data import Dataset, Split
    from aejax.trainer import Trainer

    split = Split(np.load(images), np.load(labels) if labels else None)
    none = Split(split.images[:0])
    return Trainer(config, Dataset(config.name, split, none, none, tuple(classes)), places.mesh(devices))


def costs(
    name: str, data: str, images: str, labels: str | None, classes: list[str], batches: list[int]
) -> dict[str, Any]:
    """What a step costs on one device at each batch, as the compiler counts it, and how much learns."""
    import jax

    from aejax import costs as counting
    from aejax.bench import nets

    found = {"products": [], "bytes": []}
    for batch in batches:
        one = trainer(nets.load(f"{name.partition('@')[0]}@{batch}", data), images, labels, classes)
        step = counting.step(one)
        found["products"].append(step.products)
        found["bytes"].append(step.program.bytes)
    state = counting.state(one)
    learns, _ = counting.parameters(one.config.optim, state.params)
    memory = sum(array.bytes for array in counting.arrays(state))
    return {**found, "parameters": learns, "state": memory, "versions": {"jax": jax.__version__}}


class Operator:
    """An operator, compiled."""

    def operator(self, operator: Mapping[str, Any], threads: int, device: str) -> dict[str, Any]:
        """Build it, and run it once."""
        import jax

        from aejax import compilation
        from aejax.bench.ours_operators import Repeated

        compilation.settle()
        self.repeated = Repeated(operator)
        self.repeated(1)
        how = "aejax's functions in one compiled loop, each round reading the one before"
        how += ", maps as they lie between layers" + ", examples last" * (jax.default_backend() == "cpu")
        return {"versions": {"jax": jax.__version__}, "how": how, **machine.peak_of_device()}

    def repeat(self, count: int) -> dict[str, Any]:
        """Run it so many times."""
        return {"seconds": self.repeated(count), **machine.peak_of_device()}


class Products:
    """Products of square matrices in JAX."""

    def multiply(self, count: int, precision: str) -> dict[str, Any]:
        """Operations per second of the quickest of so many products, of factors of that type."""
        import jax
        import jax.numpy as jnp

        from aejax import compilation

        compilation.settle()
        side = SIDES["cpu" if jax.default_backend() == "cpu" else "gpu"]
        if not hasattr(self, "product"):
            self.matrix = jax.random.normal(jax.random.key(0), (side, side), jnp.dtype(precision))
            self.product = jax.jit(jnp.matmul)
            self.product(self.matrix, self.matrix).block_until_ready()
        seconds = []
        for _ in range(count):
            began = time.perf_counter()
            self.product(self.matrix, self.matrix).block_until_ready()
            seconds.append(time.perf_counter() - began)
        return {"flops": 2 * side**3 / min(seconds)}


def device() -> dict[str, Any]:
    """The device that JAX computes on by default, where this process sees what the user's shell does."""
    import jax

    return {"platform": jax.default_backend(), "device": jax.devices()[0].device_kind}


def handlers() -> Mapping[str, Any]:
    """What the worker answers to."""
    training, operator, products = Training(), Operator(), Products()
    return {
        "prepare": training.prepare, "train": training.train, "operator": operator.operator,
        "repeat": operator.repeat, "multiply": products.multiply, "device": device, "costs": costs,
        "ready": ours_sweeps.ready, "together": ours_sweeps.together, "in_turn": ours_sweeps.in_turn,
        "one": ours_sweeps.one,
    }  # fmt: skip


if __name__ == "__main__":
    protocol.serve(handlers())
