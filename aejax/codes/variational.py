"""The variational code (Kingma & Welling, "Auto-Encoding Variational Bayes", arXiv 1312.6114)."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from aejax.codes.coded import Coded
from aejax.codes.stochastic import noise, straight_through
from aejax.errors import UserError

LARGEST_LOG_STD = 10.0
ACTIVE = 0.01  # variance of a unit's mean over the data above which Burda et al. count it as used


class Variational(nn.Module):
    """A Gaussian over codes for each example, a sample of it for the decoder, and what the sample costs.

    The model behind it says how pictures come about: a code is drawn from the prior,
    ``p(z) = N(0, I)``, then a picture from the likelihood, ``p(x|z)``, that the decoder
    parameterises. The encoder answers the reverse question, which codes may have made
    this picture, with a Gaussian of its own for each example: it gives two numbers a
    unit, ``mean`` and ``log_std`` (the two halves of h's last axis), and

      ``q(z|x) = N(mean, diag(σ²))``, ``σ = exp(log_std)``.

    Sampling. ``z = mean + σ · n`` with ``n ~ N(0, I)``. All randomness is in n, so z is
    a differentiable function of mean and log_std and the gradient of the loss reaches
    the encoder through the sample (the reparameterisation of section 2.4). In
    evaluation z is drawn too, because the loss below is defined by it. Encoding
    (``key=None``) gives ``mean`` and draws nothing.

    The loss. The log-likelihood of a picture, ``log p(x) = log ∫ p(x|z) p(z) dz``, cannot
    be computed, but for any q it is at least (the evidence lower bound, equation 3)

      ``E_q[log p(x|z)] − KL(q(z|x) ‖ p(z))``,

    and minus this is what is minimised. First term: how well the code's samples give
    the picture back, the reconstruction, estimated from z; a likelihood in nats is
    needed for the sum to mean anything. Second term: how far q is from the prior, in
    nats the information about the picture that the code carries. It pulls every unit
    to N(0, 1), so a unit departs from it, with a mean that tells pictures apart and a
    small σ, only where the reconstruction gains more than that costs. In closed form
    (appendix B)

      ``penalties["kl"] = ½ Σ_j (mean_j² + σ_j² − 1 − 2 log σ_j)``: nats per example,

    over all places too where h are maps. Its weight ``loss.kl`` is the β of the
    beta-VAE; 1 is the bound.

    Free bits (Kingma et al., arXiv 1606.04934). Early in training the
    second term can shut all units before the decoder has learnt to use them. With
    ``free_bits = λ`` unit j (a whole map) costs ``max(λ, mean of KL_j over the batch)``:
    up to λ nats are free, and have no gradient. In training only; evaluation reports
    the KL itself, so that the bound stays one. 0 changes nothing.

    Numbers. σ is exp of something unbounded: ``log_std`` above 10 counts as 10 but keeps
    its gradient, so that z, the KL (about 2e8 nats a unit there) and its slope, which
    points back, are finite. However low, ``log_std`` does no harm.

    Gives z [samples, b, ...], penalties kl [samples, b], extras ``mean`` and ``log_std``
    [b, ...], and the figure ``active_latents`` [b]: how many units' means vary over the
    batch by more than 0.01 (Burda et al., arXiv 1509.00519); the others carry nothing.

    Raises:
      UserError: ``samples`` below 1.
    """

    size: int
    samples: int = 1
    separable = True  # units do not depend on each other, nor on how many there are

    @property
    def features(self) -> int:
        return 2 * self.size

    def __call__(
        self, h: jax.Array, *, train: bool, weight: jax.Array, key: jax.Array | None, free_bits: jax.Array
    ) -> Coded:
        mean, log_std = moments(h)
        extras = {"mean": mean, "log_std": log_std}
        if key is None:
            return Coded(mean, extras=extras)
        z = mean[None] + jnp.exp(log_std)[None] * draw(key, self.samples, mean.shape)
        units = gaussian_kl(mean, log_std)
        units = jnp.sum(units, axis=tuple(range(1, units.ndim - 1)))
        kl = jnp.sum(at_least(units, free_bits, weight) if train else units, axis=1)
        kl = jnp.broadcast_to(kl[None], (self.samples, *kl.shape))
        return Coded(z, {"kl": kl}, extras, {"active_latents": active_latents(mean, weight)})

    def bound(self, losses: jax.Array) -> jax.Array:
        """The losses of the samples [samples, b] as the example's: their mean [b], less noisy the more there are."""
        return jnp.mean(losses, axis=0)


def moments(h: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The halves ``mean`` and ``log_std`` of the last axis of h; log_std at most 10, with the gradient it had."""
    mean, log_std = jnp.split(h, 2, axis=-1)
    return mean, straight_through(jnp.minimum(log_std, LARGEST_LOG_STD), log_std)


def draw(key: jax.Array, samples: int, shape: tuple[int, ...]) -> jax.Array:
    """``n ~ N(0, I)`` of [samples, *shape]; a sample is the same however many there are.

    Raises:
      UserError: fewer than one.
    """
    if samples < 1:
        raise UserError(f"config.code.samples={samples} draws nothing; accepted: 1 or more")
    sample_keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(samples))
    return jax.vmap(lambda k: noise(jax.random.normal, k, shape))(sample_keys)


def gaussian_kl(mean: jax.Array, log_std: jax.Array) -> jax.Array:
    """``KL(N(mean, σ²) ‖ N(0, 1)) = ½(mean² + σ² − 1) − log σ`` of each unit: nats."""
    return 0.5 * (jnp.square(mean) + jnp.expm1(2 * log_std)) - log_std


def at_least(kl: jax.Array, free_bits: jax.Array | float, weight: jax.Array) -> jax.Array:
    """``kl`` [b, size], but ``free_bits`` for every example where a unit's mean over the batch is less.

    The mean over the batch is then ``max(free_bits, mean of kl)`` unit by unit. With
    ``free_bits`` 0 it is kl, exactly. Padding (``weight`` 0) does not count.
    """
    paid = (weighted_mean(kl, weight) > free_bits) | (free_bits <= 0)
    return jnp.where(paid[None], kl, free_bits)


def active_latents(mean: jax.Array, weight: jax.Array) -> jax.Array:
    """How many units' means [b, ..., size] have a variance above 0.01 over the batch (and places): [b], all equal."""
    places = mean.reshape(mean.shape[0], -1, mean.shape[-1])
    centre = jnp.mean(weighted_mean(places, weight), axis=0)
    variance = jnp.mean(weighted_mean(jnp.square(places - centre[None, None]), weight), axis=0)
    return jnp.full(mean.shape[0], jnp.sum(variance > ACTIVE), mean.dtype)


def weighted_mean(values: jax.Array, weight: jax.Array) -> jax.Array:
    """``Σ_i weight_i values_i / Σ_i weight_i`` over the batch, values [b, ...]: [...]; 0 for padding alone."""
    weight = weight.reshape(-1, *[1] * (values.ndim - 1))
    return jnp.sum(weight * values, axis=0) / jnp.maximum(jnp.sum(weight), 1.0)
