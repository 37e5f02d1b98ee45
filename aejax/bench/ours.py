"""aejax's worker: ``python -m aejax.bench.ours``. It trains with the program and the calls that ``aejax.train`` makes.

Also, in a process apart, the measurement of the machine's matrix-product peak.
"""

import time
from collections.abc import Mapping
from typing import Any

from aejax.bench.peers import protocol

SIDE = 2048  # of the square matrices; 17 GFLOP a product


class Training:
    """A config in training."""

    def prepare(self, name: str, batch: int, data: str, images: str) -> dict[str, Any]:
        """Build, compile, and take the first step."""
        import jax
        import numpy as np

        from aejax import devices, feed, train
        from aejax.bench import nets
        from aejax.data import Dataset, Split

        config = nets.load(name, batch, data)
        split = Split(np.load(images))
        none = Split(split.images[:0])
        dataset = Dataset(name, split, none, none)
        self.trainer = train.Trainer(config, dataset, devices.mesh(config.mesh.devices))
        self.trainer.init()
        self.feed = feed.feed(
            split.images, config.seed, config.train.batch_size, self.trainer.mesh, config.data.device_bytes
        )
        self.pace = train.Pace(config.train.steps_per_call)
        self.train(1)
        return {"versions": {"jax": jax.__version__}, "how": "the compiled stretch of aejax.train, uint8 on the device"}

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
            t.state, t.sums = t.stretch(
                t.state, t.sums, source.examples, source.order, np.int32(source.first), np.int32(count),
                t.preprocessing, t.arguments,
            )  # fmt: skip
            t.first_non_finite()
            t.step, steps = t.step + count, steps - count
            if not cut:  # the end of a repeat is none of training's, and should not slow the next one
                self.pace.took(count, time.perf_counter() - now)
        loss = t.train_figures()["loss"]
        return {"seconds": time.perf_counter() - began, "loss": loss}


class Products:
    """float32 products of square matrices in JAX."""

    def multiply(self, count: int) -> dict[str, Any]:
        """Operations per second of the quickest of so many products."""
        import jax
        import jax.numpy as jnp

        if not hasattr(self, "product"):
            self.matrix = jax.random.normal(jax.random.key(0), (SIDE, SIDE), jnp.float32)
            self.product = jax.jit(lambda a: jnp.matmul(a, a, precision="highest"))
            self.product(self.matrix).block_until_ready()
        seconds = []
        for _ in range(count):
            began = time.perf_counter()
            self.product(self.matrix).block_until_ready()
            seconds.append(time.perf_counter() - began)
        return {"flops": 2 * SIDE**3 / min(seconds)}


def handlers() -> Mapping[str, Any]:
    """What the worker answers to."""
    training, products = Training(), Products()
    return {"prepare": training.prepare, "train": training.train, "multiply": products.multiply}


if __name__ == "__main__":
    protocol.serve(handlers())
