"""Likelihoods and penalties: one number per example, summed over pixels or units, never averaged over them.

The pure functions are the mathematics; the small modules beside them say how a
decoder's output is read under each likelihood: ``likelihood(output, x)`` is the
reconstruction term [b], ``likelihood.mean(output)`` the picture.
"""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn


def _rows(values: jax.Array) -> jax.Array:
    """[b, ...] as [b, d]: on a CPU, an innermost axis of one channel would make the logarithms scalar, four times
    the time of a whole step of the shallow autoencoder."""
    return values.reshape(values.shape[0], -1)


def _pair(output: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    if output.shape != x.shape:
        raise ValueError(f"a likelihood compares equal shapes, not {output.shape} with {x.shape}")
    return _rows(output), _rows(x)


def bernoulli(logits: jax.Array, x: jax.Array) -> jax.Array:
    """``−log p(x | logits) = Σ_i softplus(l_i) − l_i x_i``: nats per example [b].

    For x in {0, 1} the negative log-likelihood of independent Bernoulli pixels;
    for x in [0, 1] the cross-entropy that binary_crossentropy means elsewhere,
    there averaged over the pixels. From logits, so that it is finite for all of them.

    Raises:
      ValueError: the shapes differ.
    """
    logits, x = _pair(logits, x)
    return jnp.sum(jnp.maximum(logits, 0) - logits * x + jnp.log1p(jnp.exp(-jnp.abs(logits))), axis=1)


def squared_error(output: jax.Array, x: jax.Array) -> jax.Array:
    """``Σ_i (x_i − x̂_i)²``: squared error per example [b].

    Raises:
      ValueError: the shapes differ.
    """
    output, x = _pair(output, x)
    return jnp.sum(jnp.square(x - output), axis=1)


def gaussian(output: jax.Array, x: jax.Array, log_std: jax.Array | float) -> jax.Array:
    """``−log N(x; x̂, σ²I) = Σ_i ½((x_i − x̂_i)/σ)² + log σ + ½ log 2π``: nats per example [b].

    Raises:
      ValueError: the shapes differ.
    """
    output, x = _pair(output, x)
    constant = log_std + 0.5 * math.log(2 * math.pi)
    return jnp.sum(0.5 * jnp.square((x - output) * jnp.exp(-log_std)) + constant, axis=1)


def l1(z: jax.Array) -> jax.Array:
    """``Σ_j |z_j|`` of each code [b, d]: [b]."""
    return jnp.sum(jnp.abs(_rows(z)), axis=1)


class Bernoulli(nn.Module):
    """The decoder's output is logits; the picture is their sigmoid. Pixels in [0, 1]."""

    def __call__(self, output: jax.Array, x: jax.Array) -> jax.Array:
        return bernoulli(output, x)

    def mean(self, output: jax.Array) -> jax.Array:
        return jax.nn.sigmoid(output)


class SquaredError(nn.Module):
    """The decoder's output is the picture; the Gaussian of unit variance, doubled and without its constant."""

    def __call__(self, output: jax.Array, x: jax.Array) -> jax.Array:
        return squared_error(output, x)

    def mean(self, output: jax.Array) -> jax.Array:
        return output


class Gaussian(SquaredError):
    """The decoder's output is the mean of a Gaussian whose standard deviation is given, ``loss.std``."""

    def __call__(self, output: jax.Array, x: jax.Array, *, std: jax.Array) -> jax.Array:
        return gaussian(output, x, jnp.log(std))


class LearnedGaussian(SquaredError):
    """The decoder's output is the mean of a Gaussian with one learned log standard deviation for all pixels."""

    @nn.compact
    def __call__(self, output: jax.Array, x: jax.Array) -> jax.Array:
        return gaussian(output, x, self.param("log_std", nn.initializers.zeros, ()))
