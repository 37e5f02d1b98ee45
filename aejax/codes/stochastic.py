"""Codes of noisy units: binary ones with a gradient, and real ones with Gaussian noise.

The loss of a stochastic autoencoder is an expectation over its noise, so these
codes draw wherever a key is given, in training and in evaluation alike. Encoding
(``key=None``) draws nothing and gives the units' means. All of them give their
means as the extra ``mean``.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from aejax import keys, nets
from aejax.codes.coded import Coded
from aejax.errors import UserError


def noise(sampler: Callable, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """``sampler(key, shape)`` of jax.random, drawn apart for each example: an array of ``shape`` [b, ...]."""
    return jax.vmap(lambda k: sampler(k, shape[1:]))(keys.per_example(key, shape[0]))


def straight_through(value: jax.Array, slope: jax.Array) -> jax.Array:
    """``value``, to the last bit, with the derivative of ``slope``; the shapes are equal."""
    return jax.lax.stop_gradient(value) + (slope - jax.lax.stop_gradient(slope))


class StraightThrough(nn.Module):
    """Bernoulli units, ``z_j ~ Bern(p_j)`` with ``p = sigmoid(h)``; the gradient goes straight through the draw.

    ``∂z/∂h := p(1 − p)``: the draw counts as the identity on its probability, so the
    gradient is biased except where the loss is linear in z (Bengio et al., "Estimating
    or Propagating Gradients Through Stochastic Neurons", arXiv 1308.3432, the
    straight-through estimator in its variant with the sigmoid's derivative).

    Training and evaluation read bits in {0, 1}; encoding gives the means p.
    """

    size: int
    separable = True  # units do not depend on each other, nor on how many there are

    @property
    def features(self) -> int:
        return self.size

    def __call__(self, h: jax.Array, *, train: bool, weight: jax.Array, key: jax.Array | None) -> Coded:
        p = jax.nn.sigmoid(h)
        if key is None:
            return Coded(p, extras={"mean": p})
        bits = noise(jax.random.uniform, key, h.shape) < p
        return Coded(straight_through(bits.astype(h.dtype), p), extras={"mean": p})


class GumbelSigmoid(nn.Module):
    """Relaxed Bernoulli units: ``z = sigmoid((h + l) / temperature)``, ``l ~ Logistic(0, 1)``.

    The binary case of the concrete distribution (Maddison et al., arXiv 1611.00712;
    Jang et al., "Categorical Reparameterization with Gumbel-Softmax",
    arXiv 1611.01144): z is above ½ with probability ``sigmoid(h)`` at every
    temperature, and z is a bit in the limit of temperature 0. Low temperatures
    sharpen the units and make the gradient noisier.

    Evaluation reads that limit, the bits which the relaxed units stand for, so the
    gap between the training and the valid loss is also that of the relaxation.
    Encoding gives the bits' means, ``sigmoid(h)``.

    Args of the call:
      temperature: above 0.
    """

    size: int
    separable = True  # units do not depend on each other, nor on how many there are

    @property
    def features(self) -> int:
        return self.size

    def __call__(
        self, h: jax.Array, *, train: bool, weight: jax.Array, key: jax.Array | None, temperature: jax.Array
    ) -> Coded:
        p = jax.nn.sigmoid(h)
        if key is None:
            return Coded(p, extras={"mean": p})
        noisy = h + noise(jax.random.logistic, key, h.shape)
        z = jax.nn.sigmoid(noisy / temperature) if train else (noisy > 0).astype(h.dtype)
        return Coded(z, extras={"mean": p})


class GaussianNoise(nn.Module):
    """``z = act(h) + std · n``, ``n ~ N(0, I)``, with the given ``std``; encoding gives ``act(h)``.

    With an unbounded activation an encoder can drown the noise by growing; a bounded
    one, or a penalty on the code, is what makes the noise cost something.
    """

    size: int
    activation: str = "relu"
    separable = True  # units do not depend on each other, nor on how many there are

    @property
    def features(self) -> int:
        return self.size

    def __call__(self, h: jax.Array, *, train: bool, weight: jax.Array, key: jax.Array | None, std: jax.Array) -> Coded:
        mean = nets.activation(self.activation, "code.activation")(h)
        z = mean if key is None else mean + std * noise(jax.random.normal, key, h.shape)
        return Coded(z, extras={"mean": mean})


class LearnedNoise(nn.Module):
    """``z_j = act(h_j) + exp(log_std_j) · n_j``, ``n ~ N(0, I)``: one learned standard deviation a unit.

    The parameter ``log_std`` [size] starts from ``log std``. Nothing but the loss
    holds it up: the reconstruction alone drives the noise of every unit that it needs
    towards 0. The figure ``noise_std`` [b] is the mean standard deviation of the units.

    Raises:
      UserError: ``std`` is not above 0.
    """

    size: int
    activation: str = "relu"
    std: float = 0.3

    @property
    def features(self) -> int:
        return self.size

    @nn.compact
    def __call__(self, h: jax.Array, *, train: bool, weight: jax.Array, key: jax.Array | None) -> Coded:
        if not self.std > 0:
            raise UserError(f"config.code.std={self.std} is where code.name='learned_noise' starts; accepted: above 0")
        start = nn.initializers.constant(math.log(self.std))
        std = jnp.exp(self.param("log_std", start, (self.size,)))
        mean = nets.activation(self.activation, "code.activation")(h)
        figures = {"noise_std": jnp.full(h.shape[0], jnp.mean(std))}
        if key is None:
            return Coded(mean, extras={"mean": mean}, figures=figures)
        z = mean + jnp.broadcast_to(std, h.shape) * noise(jax.random.normal, key, h.shape)
        return Coded(z, extras={"mean": mean}, figures=figures)
