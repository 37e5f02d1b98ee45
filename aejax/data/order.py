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


def batches(order: np.ndarray, batch_size: int, places: slice) -> np.ndarray:
    """The rows of train at some places of each batch of an epoch: [steps, places] integers.

    Places beyond the batch, which fill it up to a number that devices can share, have the row of its first example:
    they weigh nothing.
    """
    steps = len(order) // batch_size
    rows = order[: steps * batch_size].reshape(steps, batch_size)
    wanted = np.arange(places.start, places.stop)
    return rows[:, np.where(wanted < batch_size, wanted, 0)]


def blocks(
    images: np.ndarray, rows: np.ndarray, first_step: int, steps_per_block: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Reads an epoch's batches from the host, a block of steps at a time.

    While the device works on a block, a background thread gathers the next one.

    Args:
      images: [n, h, w, c], on the host; may be a memory map.
      rows: [steps, b] integers, as ``batches`` gives.
      first_step: step in the epoch to begin at.
      steps_per_block: steps in a block.

    Yields:
      (first step of the block, [steps_per_block, b, h, w, c]): always that shape, the last block
      filled up with zeros. Two blocks exist at a time. What fails in the thread is raised here, and closing
      the generator ends the thread.
    """
    if rows.size and not 0 <= rows.min() <= rows.max() < len(images):
        raise IndexError(f"order has rows outside the {len(images)} images")
    steps = len(rows)
    starts = range(first_step, steps, steps_per_block)

    def gather(start: int) -> np.ndarray:
        wanted = rows[start : start + steps_per_block]
        # A fresh array each time: the device may still be reading, or even share, the one before.
        block = np.empty((steps_per_block, *rows.shape[1:], *images.shape[1:]), images.dtype)
        np.take(images, wanted, axis=0, out=block[: len(wanted)], mode="clip")  # mode "raise" would gather twice
        block[len(wanted) :] = 0
        return block

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="blocks") as thread:
        coming = thread.submit(gather, starts[0]) if starts else None
        for start in starts:
            block = coming.result()
            if start + steps_per_block < steps:
                coming = thread.submit(gather, start + steps_per_block)
            yield start, block
            del block  # or this frame would hold it while the one after next is gathered
