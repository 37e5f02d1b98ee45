"""Penalties on the distribution that the codes of a whole batch have together.

Each is one number for the global batch, or a term for each example that depends on
all of them; examples of weight 0 take no part. Maps are flattened: every position of
every map is a unit.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from aejax import keys

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # widths of the kernels that are summed, over that of the prior


def mmd_rbf(z: jax.Array, weight: jax.Array, key: jax.Array) -> jax.Array:
    """The squared maximum mean discrepancy of the codes from N(0, I), with Gaussian kernels: [b], one value for all.

    As ``mmd_imq``, with ``k(x, y) = Σ_s exp(−‖x − y‖² / (s C))``. Its tails are thin: a code
    far from the prior hardly feels it, which is why ``mmd_imq`` is the one to start with.
    """
    return _mmd(z, weight, keys.named(key, "mmd_rbf"), lambda squared, c: jnp.exp(-squared / c))


def mmd_imq(z: jax.Array, weight: jax.Array, key: jax.Array) -> jax.Array:
    """The squared maximum mean discrepancy of the codes from N(0, I), inverse multiquadratics kernels: [b], one value.

    Two distributions Q and P are equal where all means under them are, and how far apart
    they are a kernel k measures in samples of both: like to like, less twice like to other,

        ``MMD² = E k(z, z') + E k(p, p') − 2 E k(z, p)``,    z, z' ~ Q and p, p' ~ P independent.

    Here z are the batch's n codes and p as many draws from N(0, I), and each mean
    runs over the pairs of different places, so that it is unbiased (and may fall below 0 near 0):

        ``1/(n(n−1)) Σ_{i≠j} [k(z_i, z_j) + k(p_i, p_j)]  −  2/n² Σ_{i,j} k(z_i, p_j)``

    with ``k(x, y) = Σ_s sC / (sC + ‖x − y‖²)``, ``C = 2d``: the mean squared distance of two
    draws from the prior in d dimensions; s from 0.1 to 10, so that some kernel fits whatever
    the scale of the codes (Tolstikhin et al., "Wasserstein Auto-Encoders", arXiv 1711.01558,
    algorithm 2, with the sum over scales of the authors' program).

    Args:
      z: codes [b, ...]; two or more of weight 1.
      weight: [b], 1 for an example and 0 for padding.
      key: for the draws from the prior, one for each place in the batch.

    Returns:
      [b], one value for all, of no unit: about 0 for samples of the prior, never over 14.
    """
    return _mmd(z, weight, keys.named(key, "mmd_imq"), lambda squared, c: c / (c + squared))


def total_correlation(
    z: jax.Array, mean: jax.Array, log_std: jax.Array, weight: jax.Array, examples: jax.Array | int
) -> jax.Array:
    """β-TCVAE's total correlation, by minibatch-weighted sampling: nats per example [b], to be averaged.

    Over the N training examples, the codes drawn from q(z|x_n) = N(mean_n, std_n²) follow
    the mixture ``q(z) = 1/N Σ_n q(z|x_n)``, and the mean KL divergence of q(z|x_n) from the prior is

        ``KL[q(z,n) ‖ q(z)p(n)] + KL[q(z) ‖ Π_j q(z_j)] + Σ_j KL[q(z_j) ‖ p(z_j)]``:

    what the code tells of the example; how far its units are from independent; how far
    each is from the prior (Chen et al., "Isolating Sources of Disentanglement in VAEs",
    arXiv 1802.04942, section 3). The middle one, the total correlation, is the mean of
    ``log q(z) − Σ_j log q(z_j)`` over codes z. The mixture is estimated from the batch's
    M examples (their section 3.1), with z_i drawn for example i:

        ``log q(z_i)  ≈ log 1/(NM) Σ_m Π_j q(z_ij|x_m)``    the joint density,
        ``log q(z_ij) ≈ log 1/(NM) Σ_m q(z_ij|x_m)``        of each unit alone.

    1/(NM) in place of 1/M is because x_i, the likeliest source of z_i, is in its own batch
    always and not with probability M/N. It bounds log q from below; with d units it leaves
    the difference too large, by about (d − 1) log N where their densities overlap. N is in
    no gradient: compare values only between runs of one N and d.

    Args:
      z: sampled codes [b, ...].
      mean, log_std: of the Gaussian that each was drawn from, of z's shape.
      weight: [b], 1 for an example and 0 for padding.
      examples: N.

    Returns:
      [b]; of padding, nothing that means anything.
    """
    columns = tuple(a.reshape(len(a), -1).T for a in (z, mean, log_std))  # [d, b] each
    log_weight = jnp.log(weight)[None]  # −inf where there is padding: a density of 0
    log_pairs = jnp.log(examples) + jnp.log(jnp.sum(weight))

    def unit(joint, column):
        z, mean, log_std = (a[:, None] for a in column)
        scaled = (z - mean.T) * jnp.exp(-log_std.T)
        density = -0.5 * jnp.square(scaled) - log_std.T - 0.5 * jnp.log(2 * jnp.pi)  # [b, b]: log q(z_ij|x_m)
        return joint + density, jax.nn.logsumexp(density + log_weight, axis=1) - log_pairs

    # A unit at a time, computed anew on the way back: [b, b, d] would not fit for wide codes.
    b = len(weight)
    joint, alone = jax.lax.scan(jax.checkpoint(unit), jnp.zeros((b, b)), columns)
    return jax.nn.logsumexp(joint + log_weight, axis=1) - log_pairs - jnp.sum(alone, axis=0)


def _mmd(z: jax.Array, weight: jax.Array, key: jax.Array, kernel: Callable) -> jax.Array:
    z = z.reshape(len(z), -1)
    d = z.shape[1]
    prior = jax.vmap(lambda k: jax.random.normal(k, (d,), z.dtype))(keys.per_example(key, len(z)))
    pairs = weight[:, None] * weight[None]
    different = pairs * (1 - jnp.eye(len(z), dtype=z.dtype))

    def mean(x, y, pairs):
        squared = _squared_distances(x, y)
        # One sum a scale, not an array of all kernels: a third of the time.
        total = sum(jnp.sum(pairs * kernel(squared, 2.0 * d * scale)) for scale in SCALES)
        return total / jnp.maximum(jnp.sum(pairs), 1)

    value = mean(z, z, different) + mean(prior, prior, different) - 2 * mean(z, prior, pairs)
    return jnp.broadcast_to(value, weight.shape)


def _squared_distances(x: jax.Array, y: jax.Array) -> jax.Array:
    """``‖x_i − y_j‖²`` of the rows of two arrays [b, d]: [b, b]."""
    # At full precision: accelerators round the factors of products to fewer digits than the difference has left.
    products = jnp.matmul(x, y.T, precision="highest")
    squared = jnp.sum(jnp.square(x), axis=1)[:, None] + jnp.sum(jnp.square(y), axis=1)[None] - 2 * products
    return jnp.maximum(squared, 0)
