"""Vector quantisation (van den Oord et al., "Neural Discrete Representation Learning", arXiv 1711.00937)."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from aejax import keys
from aejax.codes.coded import Coded
from aejax.codes.stochastic import straight_through

HIGHEST = jax.lax.Precision.HIGHEST  # which entry is nearest must not depend on how a platform rounds products


class VectorQuantised(nn.Module):
    """Each vector of h becomes the nearest of the ``entries`` vectors of a codebook that training moves.

    A vector is the last axis of h, of ``size`` numbers: one an example for h [b, size], one
    a place for maps [b, h, w, size].

      ``z = e_k``, ``k = argmin_i ‖h − e_i‖²``, ``∂z/∂h := I``

    (equations 1 and 2; the gradient goes straight through the choice), in training,
    evaluation and encoding alike. So that the encoder stays near what it chose,

      ``penalties["commitment"] = Σ ‖h − e_k‖²``, e_k constant: squared error per example

    summed over its places, where the paper averages over them: with maps, the paper's
    weight is ``loss.commitment`` times the number of places.

    The codebook is no parameter. In training each entry is the moving average of the
    vectors that chose it (appendix A.1): with n_i their number in the global batch,

      ``N_i ← decay · N_i + (1 − decay) · n_i``,  ``m_i ← decay · m_i + (1 − decay) · Σ h``,  ``e_i = m_i / N_i``,

    kept in the collection ``codebook`` as ``counts`` [entries], ``sums`` and ``vectors``
    [entries, size]. An entry that nothing chooses stays where it is for ever, so one
    whose N_i is less than ``restart`` times the mean count starts again at a random
    vector of the batch, with the mean count. N starts at 0: at the first step that
    moves every entry not chosen into the data. ``restart`` 0 never does.

    Gives the extra ``indices`` ([b] or [b, h, w], which entry) and the figure
    ``perplexity`` [b]: exp of the entropy of the entries' use in the batch, from 1 (all
    choose the same) to ``entries``.

    Args of the call:
      decay: of the moving averages, in [0, 1).
      restart: share of the mean count below which an entry starts again.
    """

    size: int
    of_batch = True  # an example's code, or what is counted, depends on its batch
    entries: int = 256

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
        decay: jax.Array,
        restart: jax.Array,
    ) -> Coded:
        shape = (self.entries, self.size)
        vectors = self.variable("codebook", "vectors", lambda: jax.random.normal(self.make_rng("params"), shape))
        counts = self.variable("codebook", "counts", jnp.zeros, shape[:1])
        sums = self.variable("codebook", "sums", jnp.zeros, shape)

        rows = h.reshape(-1, self.size)
        indices = nearest(rows, vectors.value)
        z = jnp.take(vectors.value, indices, axis=0).reshape(h.shape)
        commitment = jnp.sum(jnp.square(h - jax.lax.stop_gradient(z)).reshape(h.shape[0], -1), axis=1)

        chosen = jax.nn.one_hot(indices, self.entries) * jnp.repeat(weight, rows.shape[0] // h.shape[0])[:, None]
        used = jnp.sum(chosen, axis=0)
        if train and key is not None and not self.is_initializing() and self.is_mutable_collection("codebook"):
            rows = jax.lax.stop_gradient(rows)
            n = decay * counts.value + (1 - decay) * used
            m = decay * sums.value + (1 - decay) * jnp.matmul(chosen.T, rows, precision=HIGHEST)
            e = jnp.where(n[:, None] > 0, m / jnp.where(n > 0, n, 1.0)[:, None], vectors.value)
            fresh = some_of(rows, weight, self.entries, keys.named(key, "restart"))
            counts.value, sums.value, vectors.value = restarted(n, m, e, fresh, restart)
        return Coded(
            straight_through(z, h),
            {"commitment": commitment},
            {"indices": indices.reshape(h.shape[:-1])},
            {"perplexity": jnp.full(h.shape[0], perplexity(used))},
        )


def nearest(rows: jax.Array, vectors: jax.Array) -> jax.Array:
    """For each of rows [n, size] which of vectors [entries, size] is nearest: [n]."""
    products = jnp.matmul(rows, vectors.T, precision=HIGHEST)
    return jnp.argmin(jnp.sum(jnp.square(vectors), axis=1)[None] - 2 * products, axis=1)


def restarted(
    counts: jax.Array, sums: jax.Array, vectors: jax.Array, fresh: jax.Array, restart: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The codebook with the entries used less than ``restart`` times the mean at ``fresh`` [entries, size]."""
    share = jnp.mean(counts)
    again = counts < restart * share
    return (
        jnp.where(again, share, counts),
        jnp.where(again[:, None], share * fresh, sums),
        jnp.where(again[:, None], fresh, vectors),
    )


def some_of(rows: jax.Array, weight: jax.Array, count: int, key: jax.Array) -> jax.Array:
    """``count`` random rows [count, size], of examples in proportion to ``weight`` [b]; rows [b · places, size].

    One from each of ``count`` equal stretches of the rows, in a turn that starts anywhere:
    hardly any row twice where there are enough, without sorting.
    """
    places = rows.shape[0] // weight.shape[0]
    ends = jnp.cumsum(weight)
    # a point of [0, Σ weight): kept clear of its end, where rounding would name the example after the last
    first = jax.random.randint(keys.named(key, "first"), (), 0, count)
    stretch = (first + jnp.arange(count)) % count
    point = (stretch + jax.random.uniform(key, (count,))) / count * ends[-1] * (1 - 1e-6)
    example = jnp.searchsorted(ends, point, side="right")
    within = (point - (ends - weight)[example]) / weight[example]
    place = jnp.clip((within * places).astype(jnp.int32), 0, places - 1)
    return rows[example * places + place]


def perplexity(used: jax.Array) -> jax.Array:
    """``exp(−Σ p_i log p_i)`` of the shares p of used [entries]: []."""
    p = used / jnp.maximum(jnp.sum(used), 1.0)
    return jnp.exp(jnp.sum(jax.scipy.special.entr(p)))
