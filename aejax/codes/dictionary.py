"""Codes of sparse dictionaries that keep the largest activations, and count which units never are among them.

Usually overcomplete, with one linear layer on either side and the squared error.
``penalties.aux_k`` brings units back that have fallen silent.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from aejax.codes.coded import Coded
from aejax.codes.largest import keep_largest, largest, whole

LONGEST = 2**30  # examples: a count of silence stops here, short of what an int32 holds


class Silence(nn.Module):
    """For each unit how many training examples have passed since it was last active.

    The count is the variable ``silent`` [size] of the collection ``silence``. It grows
    by the number of real examples of the global batch (padding is not counted), and
    falls to 0 where the unit is active in any of them.
    """

    size: int

    @nn.compact
    def __call__(self, z: jax.Array, weight: jax.Array, dead_after: jax.Array, train: bool) -> jax.Array:
        """Which units [size] are dead, silent for ``dead_after`` examples or more, once the codes z are counted."""
        silent = self.variable("silence", "silent", jnp.zeros, (self.size,), jnp.int32)
        if train and not self.is_initializing() and self.is_mutable_collection("silence"):
            real = weight > 0
            active = jnp.any((z != 0) & _beside(real, z), axis=tuple(range(z.ndim - 1)))
            silent.value = jnp.where(active, 0, jnp.minimum(silent.value, LONGEST) + jnp.sum(real))
        return silent.value >= dead_after


class TopK(nn.Module):
    """``z = TopK(relu(h))``: each example keeps its k largest activations, in training and encoding alike.

    With fewer than k positive activations all of them are kept. Losers get no gradient
    (Gao et al., "Scaling and evaluating sparse autoencoders", arXiv 2406.04093, section
    2.3; the bias that the paper takes off the input is part of the encoder's here).
    On maps [b, h, w, size] the k are the largest over all places and maps of the
    example together, and a unit is a map.

    Extras: ``dead`` [size], the units silent for ``dead_after`` training examples or
    more. Figures: ``dead_share`` of the units.
    """

    size: int
    of_batch = True  # an example's code, or what is counted, depends on its batch

    @property
    def features(self) -> int:
        return self.size

    @nn.compact
    def __call__(
        self, h: jax.Array, *, train: bool, weight: jax.Array, key: jax.Array, k: jax.Array, dead_after: jax.Array
    ) -> Coded:
        z = jax.nn.relu(keep_largest(h, whole(k)))
        dead = Silence(self.size, name="silence")(z, weight, dead_after, train)
        return Coded(z, extras={"dead": dead}, figures={"dead_share": _share(dead, h)})


class BatchTopK(nn.Module):
    """The ``k · b`` largest activations of the global batch of b examples are kept: k an example on average.

    In training ``z = relu(h)`` where it is among the largest ``k · Σ weight`` of all
    units of all examples, so that a hard example may have more than k. Encoding and
    evaluation must not depend on the company an example is in: there ``z = relu(h)``
    where it exceeds a threshold, the expectation over training batches of the smallest
    activation kept (Bussmann et al., "BatchTopK Sparse Autoencoders", arXiv
    2412.06410). Before any training the threshold is 0.

    The expectation is a running mean, ``total / mass`` of the variables in the
    collection ``threshold``: each batch multiplies both by ``decay`` and adds
    (1 − decay) of its smallest activation and of 1, so that the first batches count
    without a start from 0.

    Padding takes no place. Of equal activations at the border the first of the batch
    are kept. Extras: ``dead`` [size], as of ``TopK``. Figures: ``dead_share`` of the
    units; ``active`` units of the example.
    """

    size: int
    of_batch = True  # an example's code, or what is counted, depends on its batch

    @property
    def features(self) -> int:
        return self.size

    @nn.compact
    def __call__(
        self,
        h: jax.Array,
        *,
        train: bool,
        weight: jax.Array,
        key: jax.Array,
        k: jax.Array,
        dead_after: jax.Array,
        decay: jax.Array,
    ) -> Coded:
        total = self.variable("threshold", "total", jnp.zeros, ())
        mass = self.variable("threshold", "mass", jnp.zeros, ())
        z = jax.nn.relu(h)
        if train:
            kept = batch_largest(z, k, weight)
            if not self.is_initializing() and self.is_mutable_collection("threshold"):
                smallest = jnp.min(jnp.where(kept, jax.lax.stop_gradient(z), jnp.inf))
                rate = jnp.where(jnp.isfinite(smallest), 1 - decay, 0.0)  # a batch without an activation says nothing
                total.value += rate * (jnp.where(rate > 0, smallest, 0.0) - total.value)
                mass.value += rate * (1 - mass.value)
        else:
            kept = z > total.value / jnp.maximum(mass.value, 1e-9)
        z = jnp.where(kept, z, 0.0)
        dead = Silence(self.size, name="silence")(z, weight, dead_after, train)
        active = jnp.sum(z > 0, axis=tuple(range(1, z.ndim)), dtype=jnp.float32)
        return Coded(z, extras={"dead": dead}, figures={"dead_share": _share(dead, h), "active_units": active})


def batch_largest(z: jax.Array, k: jax.Array, weight: jax.Array) -> jax.Array:
    """Which of the non-negative z [b, ...] are positive and among the largest ``round(k · Σ weight)`` of all."""
    real = jnp.where(_beside(weight > 0, z), jax.lax.stop_gradient(z), 0.0)
    kept = largest(real.reshape(-1), whole(k * jnp.sum(weight)))
    return kept.reshape(z.shape) & (real != 0)


def _beside(per_example: jax.Array, z: jax.Array) -> jax.Array:
    """[b] as [b, 1, ...], to stand beside z [b, ...]."""
    return per_example.reshape(-1, *[1] * (z.ndim - 1))


def _share(dead: jax.Array, h: jax.Array) -> jax.Array:
    """The share of the units that is dead, for each example: [b]."""
    return jnp.full(h.shape[0], jnp.mean(dead, dtype=jnp.float32))
