"""Which examples make which batch, as a pure function of (seed, epoch, step).

There is no iterator to save: to resume is to know the step. A train split that
fits on the device is read through ``epoch_order`` and ``batch_rows``; a larger
one comes from the host in ``blocks`` that give bit for bit the same batches.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np

from aejax import keys


def epoch_order(seed: jax.Array | int, epoch: jax.Array | int, n: int) -> jax.Array:
    """The order in which an epoch visits train: a permutation [n] int32.

    Examples are sorted by 32 random bits each, under the key fold_in(root(seed, "order"), epoch).
    One stable sort: half the time of ``jax.random.permutation``, the same result on every platform, and a tie
    (one pair in 2^32) merely keeps the source's order. Seed and epoch may be traced; n is static.
    """
    key = jax.random.fold_in(keys.root(seed, "order"), epoch)
    return jnp.argsort(jax.random.bits(key, (n,)), stable=True).astype(jnp.int32)


def batch_rows(order: jax.Array, step_in_epoch: jax.Array | int, batch_size: int) -> jax.Array:
    """The rows of train in one batch: [batch_size] int32.

    A step may be traced and must be below len(order) // batch_size: what does not fill a batch waits for
    another epoch. (Beyond that, dynamic_slice would clamp and repeat rows.)
    """
    return jax.lax.dynamic_slice_in_dim(order, step_in_epoch * batch_size, batch_size)


def blocks(
    images: np.ndarray, order: np.ndarray, batch_size: int, first_step: int, steps_per_block: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Reads an epoch's batches from the host, a block of steps at a time.

    While the device works on a block, a background thread gathers the next one. In block (first, rows), the
    batch of step s is rows[(s - first) * batch_size:][:batch_size]: the program that reads the resident split
    through ``epoch_order`` reads a block through the identity order and step s - first.

    Args:
      images: [n, h, w, c], on the host; may be a memory map.
      order: [n] integers, the epoch's order.
      batch_size: examples a step.
      first_step: step in the epoch to begin at.
      steps_per_block: steps in a block.

    Yields:
      (first step of the block, [steps_per_block * batch_size, h, w, c]): always that shape, the last block
      filled up with zeros. Two blocks exist at a time. What fails in the thread is raised here, and closing
      the generator ends the thread.
    """
    order = np.asarray(order)
    if order.size and not 0 <= order.min() <= order.max() < len(images):
        raise IndexError(f"order has rows outside the {len(images)} images")
    steps = len(order) // batch_size
    starts = range(first_step, steps, steps_per_block)

    def gather(start: int) -> np.ndarray:
        rows = order[start * batch_size : min(start + steps_per_block, steps) * batch_size]
        # A fresh array each time: the device may still be reading, or even share, the one before.
        block = np.empty((steps_per_block * batch_size, *images.shape[1:]), images.dtype)
        np.take(images, rows, axis=0, out=block[: len(rows)], mode="clip")  # mode "raise" would gather twice
        block[len(rows) :] = 0
        return block

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="blocks") as thread:
        coming = thread.submit(gather, starts[0]) if starts else None
        for start in starts:
            block = coming.result()
            if start + steps_per_block < steps:
                coming = thread.submit(gather, start + steps_per_block)
            yield start, block
            del block  # or this frame would hold it while the one after next is gathered
