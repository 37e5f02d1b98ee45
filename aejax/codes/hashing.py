"""Semantic hashing (Salakhutdinov & Hinton, "Semantic hashing", Int. J. Approximate Reasoning 50, 2009)."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from aejax import keys
from aejax.codes.coded import Coded
from aejax.codes.stochastic import noise


class Hashing(nn.Module):
    """Logistic units that noise on their inputs drives to be bits.

    In training ``z = sigmoid(h + std · n)``, ``n ~ N(0, I)``: only a unit whose input is far
    from 0, on either side, tells the decoder anything through the noise, so the units
    learn to be on or off (Salakhutdinov & Hinton 2009, with a variance of 16,
    ``std`` 4). In evaluation and in encoding there is no noise and z is rounded,
    ``z_j = 1`` where ``h_j > 0`` and else 0: the loss is that of the bits.

    With ``fixed`` an example's noise is the same at every step, as in the paper: drawn
    from the example's ``identity``, with a seed that the model keeps in the collection
    ``noise`` from its start. Otherwise it is drawn anew from the key.

    The figure ``saturated`` [b] is the share of units whose activation ``sigmoid(h)`` is
    below 0.1 or above 0.9: the closer to 1, the less rounding costs.

    Args of the call:
      std: standard deviation of the noise on the units' inputs.
      identity: [b] uint32, by which an example is known again; read in training with ``fixed``.

    Raises:
      ValueError: ``fixed`` in training without ``identity``.
    """

    size: int
    fixed: bool = True

    differentiable = False

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
        key: jax.Array | None,
        std: jax.Array,
        identity: jax.Array | None = None,
    ) -> Coded:
        if self.fixed:
            seed = self.variable("noise", "seed", lambda: jax.random.bits(self.make_rng("params"))).value
        p = jax.nn.sigmoid(h)
        outside = jnp.abs(p - 0.5) > 0.4
        figures = {"saturated": jnp.mean(outside.reshape(h.shape[0], -1), axis=1, dtype=h.dtype)}
        if not train or key is None:
            return Coded((h > 0).astype(h.dtype), figures=figures)
        n = self._fixed(seed, identity, h.shape) if self.fixed else noise(jax.random.normal, key, h.shape)
        return Coded(jax.nn.sigmoid(h + std * n), figures=figures)

    def _fixed(self, seed: jax.Array, identity: jax.Array | None, shape: tuple[int, ...]) -> jax.Array:
        """Standard normal noise of ``shape`` [b, ...] that seed and identity [b] determine."""
        if identity is None:
            raise ValueError("noise that is fixed for an example needs the example's identity")
        root = keys.root(seed, "hashing")
        return jax.vmap(lambda i: jax.random.normal(jax.random.fold_in(root, i), shape[1:]))(identity)
