"""Penalties on the activity of a code."""

import jax
import jax.numpy as jnp

CLOSEST = 1e-6  # how near to 0 or 1 a mean activity is taken to come, so that its divergence stays finite


def l1(z: jax.Array) -> jax.Array:
    """``Σ_j |z_j|`` of each code [b, ...]: [b]."""
    return jnp.sum(jnp.abs(z.reshape(z.shape[0], -1)), axis=1)


def l2(z: jax.Array) -> jax.Array:
    """``½ Σ_j z_j²`` of each code [b, ...]: [b].

    What keeps the codes of a regularised autoencoder from growing (Ghosh et al., "From Variational to
    Deterministic Autoencoders", arXiv 1903.12436, section 3): −log N(z; 0, I) without its constant.
    """
    return 0.5 * jnp.sum(jnp.square(z.reshape(z.shape[0], -1)), axis=1)


def kl_sparsity(z: jax.Array, weight: jax.Array, *, sparsity: jax.Array | float) -> jax.Array:
    """``Σ_j KL(ρ ‖ ρ̂_j)``: how far the mean activity ρ̂_j of each unit is from ρ, nats, the same for each example.

    A unit that is on a share ρ̂ of the time is a coin of that bias, and two coins are
    ``KL(ρ ‖ ρ̂) = ρ log(ρ/ρ̂) + (1−ρ) log((1−ρ)/(1−ρ̂))`` apart: 0 at ρ̂ = ρ, steep at 0 and 1
    (Ng, "Sparse autoencoder", CS294A lecture notes, 2011). For units in [0, 1],
    such as sigmoid ones.

    ρ̂_j is the mean over the examples of the global batch and, of maps, over positions.
    The divergence is infinite at ρ̂ = 0 and 1: nearer than 1e-6 it is taken there, with
    the slope that it has there, so that a unit that is always off is still pushed.

    Args:
      z: [b, d], or maps [b, h, w, d].
      weight: [b], 1 for an example and 0 for padding.
      sparsity: ρ, in (0, 1).

    Returns:
      [b], one value for all.
    """
    activity = jnp.mean(z.reshape(z.shape[0], -1, z.shape[-1]), axis=1)  # [b, d]
    mean = weight @ activity / jnp.sum(weight)
    mean = mean + jax.lax.stop_gradient(jnp.clip(mean, CLOSEST, 1 - CLOSEST) - mean)
    on = sparsity * jnp.log(sparsity / mean)
    off = (1 - sparsity) * jnp.log((1 - sparsity) / (1 - mean))
    return jnp.broadcast_to(jnp.sum(on + off), weight.shape)
