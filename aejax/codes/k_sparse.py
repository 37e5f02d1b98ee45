"""k-sparse codes (Makhzani & Frey, "k-Sparse Autoencoders", arXiv 1312.5663)."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from aejax.codes.coded import Coded
from aejax.codes.largest import keep_largest, whole


class KSparse(nn.Module):
    """Linear units, of which each example keeps the k largest.

    ``z_j = h_j`` for j in supp_k(h) and 0 elsewhere, where supp_k(h) are the k largest
    by signed value: no nonlinearity but the selection, so that with few units positive
    some of the k are negative (Makhzani & Frey, "k-Sparse Autoencoders", arXiv
    1312.5663, section 2.2). The support is a constant to differentiation: the error
    goes back through the k units alone. Exactly k survive, of equal ones the first.

    Where ``k_start`` > 0, k falls linearly from it over the first ``k_share`` of
    training, ``k(t) = k_start + (k − k_start) · min(1, t / k_share)``, so that units that
    would never be chosen from the start are trained too. Encoding and evaluation keep
    ``alpha · k``: more than k suits a classifier better. All are rounded, and at least 1.

    On maps [b, h, w, size] the k are the largest over all places and maps of the
    example together.
    """

    size: int

    @property
    def features(self) -> int:
        return self.size

    def __call__(
        self,
        h: jax.Array,
        *,
        train: bool,
        weight: jax.Array,
        key: jax.Array,
        k: jax.Array,
        k_start: jax.Array,
        k_share: jax.Array,
        alpha: jax.Array,
        progress: jax.Array,
    ) -> Coded:
        kept = annealed(k, k_start, k_share, progress) if train else alpha * k
        return Coded(keep_largest(h, whole(kept)))


def annealed(k: jax.Array, k_start: jax.Array, k_share: jax.Array, progress: jax.Array) -> jax.Array:
    """``k_start`` falling linearly to ``k`` over the first ``k_share`` of training; ``k`` throughout if it is 0."""
    done = jnp.where(progress < k_share, progress / jnp.maximum(k_share, 1e-9), 1.0)
    return jnp.where(k_start > 0, k_start + (k - k_start) * done, k)
