"""How likely a model with a Gaussian code finds its data: log p(x) by importance sampling.

The model is ``p(z) = N(0, I)``, ``p(x|z)`` the decoder's likelihood, and the encoder's Gaussian ``q(z|x)`` proposes
codes. With K of them, each of weight ``w_k = p(x|z_k) p(z_k) / q(z_k|x)``,

  ``L_K = log 1/K Σ_k w_k``

is on average at most log p(x), rises with K and tends to it (Burda et al., "Importance Weighted Autoencoders",
arXiv 1509.00519, equation 8 and theorem 1); ``E[L_1]`` is the evidence lower bound. ``importance_samples`` draws on the
device; the estimators beside it read its logarithms [K, b] in NumPy's float64.
"""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from scipy.special import logsumexp

from aejax import keys

CODES = ("importance_weighted", "variational")  # that are a Gaussian for each example
ROWS = 1000  # codes that are decoded at a time

# log p(x|z) beyond what a likelihood of aejax/losses.py gives: nats a component.
CONSTANT = dict.fromkeys(("squared_error", "sigmoid_squared_error"), -0.5 * math.log(math.pi))  # variance ½


class Samples(NamedTuple):
    """What K codes drawn from q(z|x) say of each of b images.

    Attributes:
      log_weight: [K, b], ``log p(x|z_k) + log p(z_k) − log q(z_k|x)``, nats.
      log_conditional: [K, b], ``log p(x|z_k)``, nats.
    """

    log_weight: Any
    log_conditional: Any


def importance_samples(
    model: nn.Module,
    variables: Mapping[str, Any],
    x: jax.Array,
    identity: jax.Array,
    *,
    samples: int,
    chunk: int = 0,
    seed: jax.Array | int = 0,
) -> Samples:
    """K codes for each image, weighed; memory does not grow with K but for what is returned.

    The noise of sample k of an image is a function of (seed, identity, k): neither the
    other images, nor K, nor the chunks play a part.

    Args:
      model: an ``Autoencoder`` with a Gaussian code.
      variables: of the model.
      x: prepared images [b, h, w, c].
      identity: [b] uint32, which image each is.
      samples: K.
      chunk: samples of every image to decode at a time; by ``ROWS`` where 0.
      seed: of the noise.
    """
    b, chunk = x.shape[0], chunk or max(1, min(samples, ROWS // x.shape[0]))
    mean, log_std = model.apply(variables, x, method="posterior")
    image_keys = jax.vmap(partial(jax.random.fold_in, keys.root(seed, "log_likelihood")))(identity)
    places = tuple(range(2, mean.ndim + 1))
    constant = CONSTANT.get(model.config.loss.likelihood, 0.0) * math.prod(x.shape[1:])

    def noise(k):
        return jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, k), mean.shape[1:]))(image_keys)

    def part(first):
        n = jax.vmap(noise)(first + jnp.arange(chunk))
        z = mean[None] + jnp.exp(log_std)[None] * n
        prior_over_posterior = jnp.sum(log_std[None] + 0.5 * (jnp.square(n) - jnp.square(z)), axis=places)
        tiled = jnp.broadcast_to(x[None], (chunk, *x.shape)).reshape(chunk * b, *x.shape[1:])
        z = z.reshape(chunk * b, *mean.shape[1:])
        conditional = model.apply(variables, tiled, z, method="log_likelihood").reshape(chunk, b) + constant
        return Samples(conditional + prior_over_posterior, conditional)

    found = jax.lax.map(part, chunk * jnp.arange(-(-samples // chunk)))
    return jax.tree.map(lambda a: a.reshape(-1, b)[:samples], found)


def bound(log_weight: np.ndarray, k: int) -> np.ndarray:
    """``L_k`` of each image [b] from log weights [K, b]: the mean over the ⌊K / k⌋ disjoint groups of k samples.

    Raises:
      ValueError: k is not among 1 … K.
    """
    samples, b = log_weight.shape
    if not 1 <= k <= samples:
        raise ValueError(f"groups of {k} of {samples} samples")
    groups = np.asarray(log_weight[: samples // k * k], np.float64).reshape(-1, k, b)
    return np.mean(logsumexp(groups, axis=1) - math.log(k), axis=0)


def effective_samples(log_weight: np.ndarray) -> np.ndarray:
    """``(Σ w)² / Σ w²`` of each image [b] from log weights [K, b]: K where all weigh the same, 1 where one has all."""
    w = np.asarray(log_weight, np.float64)
    return np.exp(2 * logsumexp(w, axis=0) - logsumexp(2 * w, axis=0))


def monte_carlo_variance(log_weight: np.ndarray) -> np.ndarray:
    """The variance of ``L_K`` over the draws of its samples, nats² of each image [b], by the delta method.

    ``Var(mean w) / (mean w)² = (K / ESS − 1) / (K − 1)``. Minus half of it is the bias of L_K to the same order
    (a Taylor series of the logarithm); both are too small where a few samples have all the weight.
    NaN for a single sample.
    """
    samples = len(log_weight)
    if samples < 2:
        return np.full(log_weight.shape[1], np.nan)
    return np.maximum(samples / effective_samples(log_weight) - 1, 0) / (samples - 1)
