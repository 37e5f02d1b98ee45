"""The code of the importance weighted autoencoder (Burda et al., arXiv 1509.00519)."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from aejax.codes.coded import Coded
from aejax.codes.variational import active_latents, draw, moments


class ImportanceWeighted(nn.Module):
    """The Gaussian of ``Variational``, and a bound on log p(x) that tightens with the number of samples K.

    Of K samples ``z_k ~ q(z|x)`` each weighs ``w_k = p(x|z_k) p(z_k) / q(z_k|x)``. The mean
    of the weights is an unbiased estimate of p(x), so its logarithm is on average at
    most log p(x) (Burda et al., theorem 1): with K = 1 the evidence lower bound, and
    tighter for every K more. Minus that is the loss,

      ``bound(losses) = −log 1/K Σ_k exp(−losses_k)``, ``losses_k = −log w_k``
      ``= −log p(x|z_k) + penalties["kl"]_k``, ``penalties["kl"]_k = log q(z_k|x) − log p(z_k)``,

    nats per example. A sample's kl may be negative; its expectation is the KL divergence.
    The likelihood must be one in nats, and ``loss.kl`` 1, for this to be a bound.

    In evaluation z is drawn too; encoding (``key=None``) gives ``mean``. Numbers are
    kept finite as in ``Variational``.

    Gives z [K, b, ...], penalties kl [K, b], extras ``mean`` and ``log_std`` [b, ...], and
    the figure ``active_latents`` [b].

    Raises:
      UserError: ``samples`` below 1.
    """

    size: int
    samples: int = 1
    separable = True  # units do not depend on each other, nor on how many there are

    @property
    def features(self) -> int:
        return 2 * self.size

    def __call__(self, h: jax.Array, *, train: bool, weight: jax.Array, key: jax.Array | None) -> Coded:
        mean, log_std = moments(h)
        extras = {"mean": mean, "log_std": log_std}
        if key is None:
            return Coded(mean, extras=extras)
        n = draw(key, self.samples, mean.shape)
        z = mean[None] + jnp.exp(log_std)[None] * n
        # log q(z) = Σ −½n² − log σ − ½ log 2π and log p(z) = Σ −½z² − ½ log 2π
        units = 0.5 * (jnp.square(z) - jnp.square(n)) - log_std[None]
        kl = jnp.sum(units, axis=tuple(range(2, units.ndim)))
        return Coded(z, {"kl": kl}, extras, {"active_latents": active_latents(mean, weight)})

    def bound(self, losses: jax.Array) -> jax.Array:
        """``−log 1/K Σ_k exp(−losses_k)``, losses [K, b]: [b]."""
        return jnp.log(losses.shape[0]) - jax.nn.logsumexp(-losses, axis=0)
