"""Likelihoods: one number per example, summed over its components, never averaged over them.

The pure functions are the mathematics: ``−log p(x | output)`` in nats per example [b],
each component's term times its ``emphasis`` (of the shape of x; None is 1 everywhere).
All raise ValueError where shapes differ. The small modules beside them say how a
decoder's output is read: ``likelihood(output, x, emphasis)`` is the reconstruction
term [b], ``likelihood.mean(output)`` the picture, and ``likelihood.sample(output, key)``
a picture drawn from p(x | output), whose expectation is the mean, with a key of its own
for each example.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from aejax import keys


def _rows(values: jax.Array) -> jax.Array:
    """[b, ...] as [b, d]: on a CPU, an innermost axis of one channel would make the logarithms scalar, four times
    the time of a whole step of the shallow autoencoder."""
    return values.reshape(values.shape[0], -1)


def _pair(output: jax.Array, x: jax.Array, emphasis: jax.Array | None) -> tuple[jax.Array, jax.Array]:
    for other in (output, *(() if emphasis is None else (emphasis,))):
        if other.shape != x.shape:
            raise ValueError(f"a likelihood compares equal shapes, not {other.shape} with {x.shape}")
    return _rows(output), _rows(x)


def _sum(terms: jax.Array, emphasis: jax.Array | None) -> jax.Array:
    return jnp.sum(terms if emphasis is None else terms * _rows(emphasis), axis=1)


def _softplus(values: jax.Array) -> jax.Array:
    return jnp.maximum(values, 0) + jnp.log1p(jnp.exp(-jnp.abs(values)))


def _draw(sampler: Callable, key: jax.Array, *arrays: jax.Array) -> jax.Array:
    """``sampler(key, *arrays)`` example by example."""
    return jax.vmap(sampler)(keys.per_example(key, arrays[0].shape[0]), *arrays)


def bernoulli(logits: jax.Array, x: jax.Array, emphasis: jax.Array | None = None) -> jax.Array:
    """``Σ_i softplus(l_i) − l_i x_i``: nats per example [b].

    For x in {0, 1} the negative log-likelihood of independent Bernoulli pixels;
    for x in [0, 1] the cross-entropy that binary_crossentropy means elsewhere,
    there averaged over the pixels. From logits, so that it is finite for all of them.
    """
    logits, x = _pair(logits, x, emphasis)
    return _sum(_softplus(logits) - logits * x, emphasis)


def continuous_bernoulli(logits: jax.Array, x: jax.Array, emphasis: jax.Array | None = None) -> jax.Array:
    """``Σ_i log((exp(l_i) − 1) / l_i) − l_i x_i``: nats per example [b], of a density, so they may be negative.

    The density on [0, 1] in proportion to ``λ^x (1 − λ)^(1−x)``, λ = sigmoid(l): what
    ``bernoulli`` leaves out for grey pixels is its normaliser (Loaiza-Ganem & Cunningham,
    "The continuous Bernoulli", arXiv 1907.06845). Finite for all logits; near 0, where
    the quotient is 0/0, from its series.
    """
    logits, x = _pair(logits, x, emphasis)
    near, size = _parted(logits)
    square = jnp.square(near)
    series = near / 2 + square / 24 - jnp.square(square) / 2880
    far = jnp.maximum(logits, 0) + jnp.log(-jnp.expm1(-size) / size)
    return _sum(jnp.where(jnp.abs(logits) < 0.5, series, far) - logits * x, emphasis)


def _parted(logits: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The logits where they are near 0 and 0 elsewhere, and their size where they are not and 1 elsewhere."""
    near = jnp.abs(logits) < 0.5
    return jnp.where(near, logits, 0.0), jnp.where(near, 1.0, jnp.abs(logits))


def squared_error(output: jax.Array, x: jax.Array, emphasis: jax.Array | None = None) -> jax.Array:
    """``Σ_i (x_i − x̂_i)²``: squared error per example [b]."""
    output, x = _pair(output, x, emphasis)
    return _sum(jnp.square(x - output), emphasis)


def gaussian(
    output: jax.Array, x: jax.Array, log_std: jax.Array | float, emphasis: jax.Array | None = None
) -> jax.Array:
    """``−log N(x; x̂, σ²I) = Σ_i ½((x_i − x̂_i)/σ)² + log σ + ½ log 2π``: nats per example [b]."""
    output, x = _pair(output, x, emphasis)
    constant = log_std + 0.5 * math.log(2 * math.pi)
    return _sum(0.5 * jnp.square((x - output) * jnp.exp(-log_std)) + constant, emphasis)


def laplace(
    output: jax.Array, x: jax.Array, log_std: jax.Array | float, emphasis: jax.Array | None = None
) -> jax.Array:
    """``Σ_i |x_i − x̂_i| / s + log 2s``, the Laplace density of scale ``s = σ/√2``: nats per example [b]."""
    output, x = _pair(output, x, emphasis)
    log_scale = log_std - 0.5 * math.log(2)
    return _sum(jnp.abs(x - output) * jnp.exp(-log_scale) + log_scale + math.log(2), emphasis)


def poisson(log_rates: jax.Array, x: jax.Array, emphasis: jax.Array | None = None) -> jax.Array:
    """``Σ_i exp(l_i) − l_i x_i + log x_i!``, counts x of given log rates: nats per example [b]; x ≥ 0."""
    log_rates, x = _pair(log_rates, x, emphasis)
    return _sum(jnp.exp(log_rates) - log_rates * x + jax.scipy.special.gammaln(x + 1), emphasis)


def multinomial(logits: jax.Array, x: jax.Array, emphasis: jax.Array | None = None) -> jax.Array:
    """``−Σ_i x_i log softmax(l)_i``, the softmax over all components of an example: nats per example [b]; x ≥ 0.

    Of counts x the negative log-likelihood of the draws in a given order: without the
    multinomial coefficient, which no parameter changes and which weights that are not
    counts (tf-idf) do not have. ``exp(loss / Σ x)`` is the perplexity of a draw.
    """
    logits, x = _pair(logits, x, emphasis)
    return _sum(-x * jax.nn.log_softmax(logits, axis=1), emphasis)


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """``−log softmax(l)_label`` of class logits [b, k] and labels [b] in {0 … k−1}: nats per example [b].

    Raises:
      ValueError: there is not one label for each row of logits.
    """
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(f"cross entropy needs logits [b, k] and labels [b], not {logits.shape} with {labels.shape}")
    chosen = jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    return jax.nn.logsumexp(logits, axis=1) - chosen


class Bernoulli(nn.Module):
    """The decoder's output is logits; the picture is their sigmoid. Pixels in [0, 1]."""

    def __call__(self, output: jax.Array, x: jax.Array, emphasis: jax.Array | None = None) -> jax.Array:
        return bernoulli(output, x, emphasis)

    def mean(self, output: jax.Array) -> jax.Array:
        return jax.nn.sigmoid(output)

    def sample(self, output: jax.Array, key: jax.Array) -> jax.Array:
        return _draw(jax.random.bernoulli, key, self.mean(output)).astype(output.dtype)


class ContinuousBernoulli(nn.Module):
    """The decoder's output is the logits l of a density on [0, 1]; the picture is its mean, 1/(1 − e^−l) − 1/l."""

    def __call__(self, output: jax.Array, x: jax.Array, emphasis: jax.Array | None = None) -> jax.Array:
        return continuous_bernoulli(output, x, emphasis)

    def mean(self, output: jax.Array) -> jax.Array:
        near, size = _parted(output)
        series = 0.5 + near / 12 - near**3 / 720
        far = -1 / jnp.expm1(-size) - 1 / size  # of the positive logit; that of the negative is 1 minus it
        return jnp.where(jnp.abs(output) < 0.5, series, jnp.where(output > 0, far, 1 - far))

    def sample(self, output: jax.Array, key: jax.Array) -> jax.Array:
        """By the inverse of the distribution function, that of −|l| mirrored where l is positive."""
        u = _draw(lambda k, logits: jax.random.uniform(k, logits.shape), key, output)
        size = jnp.maximum(jnp.abs(output), 1e-3)  # below, uniform to within a thousandth
        fall = jnp.log1p(u * jnp.expm1(-size)) / -size
        return jnp.where(output > 0, 1 - fall, fall)


class SquaredError(nn.Module):
    """The decoder's output is the picture. As nats, those of a Gaussian of variance ½ without its constant."""

    def __call__(self, output: jax.Array, x: jax.Array, emphasis: jax.Array | None = None) -> jax.Array:
        return squared_error(output, x, emphasis)

    def mean(self, output: jax.Array) -> jax.Array:
        return output

    def sample(self, output: jax.Array, key: jax.Array) -> jax.Array:
        return _gaussian_sample(output, key, math.sqrt(0.5))


class SigmoidSquaredError(SquaredError):
    """The decoder's output is logits, the picture their sigmoid, its error squared: Hinton & Salakhutdinov's logistic
    output units ("Reducing the Dimensionality of Data with Neural Networks", Science 313, 2006). Pixels in [0, 1]."""

    def __call__(self, output: jax.Array, x: jax.Array, emphasis: jax.Array | None = None) -> jax.Array:
        return squared_error(self.mean(output), x, emphasis)

    def mean(self, output: jax.Array) -> jax.Array:
        return jax.nn.sigmoid(output)

    def sample(self, output: jax.Array, key: jax.Array) -> jax.Array:
        return super().sample(self.mean(output), key)


def _gaussian_sample(output: jax.Array, key: jax.Array, std: jax.Array | float) -> jax.Array:
    return _draw(lambda k, mean: mean + std * jax.random.normal(k, mean.shape), key, output)


class Gaussian(SquaredError):
    """The decoder's output is the mean of a Gaussian whose standard deviation is given, ``loss.std``."""

    def __call__(
        self, output: jax.Array, x: jax.Array, emphasis: jax.Array | None = None, *, std: jax.Array
    ) -> jax.Array:
        return gaussian(output, x, jnp.log(std), emphasis)

    def sample(self, output: jax.Array, key: jax.Array, *, std: jax.Array) -> jax.Array:
        return _gaussian_sample(output, key, std)


class LearnedGaussian(SquaredError):
    """The decoder's output is the mean of a Gaussian with one learned log standard deviation for all pixels."""

    def setup(self):
        self.log_std = self.param("log_std", nn.initializers.zeros, ())

    def __call__(self, output: jax.Array, x: jax.Array, emphasis: jax.Array | None = None) -> jax.Array:
        return gaussian(output, x, self.log_std, emphasis)

    def sample(self, output: jax.Array, key: jax.Array) -> jax.Array:
        return _gaussian_sample(output, key, jnp.exp(self.log_std))


class Laplace(SquaredError):
    """The decoder's output is the mean of a Laplace density whose standard deviation is given, ``loss.std``."""

    def __call__(
        self, output: jax.Array, x: jax.Array, emphasis: jax.Array | None = None, *, std: jax.Array
    ) -> jax.Array:
        return laplace(output, x, jnp.log(std), emphasis)

    def sample(self, output: jax.Array, key: jax.Array, *, std: jax.Array) -> jax.Array:
        scale = std / math.sqrt(2)
        return _draw(lambda k, mean: mean + scale * jax.random.laplace(k, mean.shape), key, output)


class Poisson(nn.Module):
    """The decoder's output is log rates of counts; the picture is the rates. x ≥ 0."""

    def __call__(self, output: jax.Array, x: jax.Array, emphasis: jax.Array | None = None) -> jax.Array:
        return poisson(output, x, emphasis)

    def mean(self, output: jax.Array) -> jax.Array:
        return jnp.exp(output)

    def sample(self, output: jax.Array, key: jax.Array) -> jax.Array:
        return _draw(jax.random.poisson, key, self.mean(output)).astype(output.dtype)


class Multinomial(nn.Module):
    """The decoder's output is logits over all components of an example, such as the words of a document. x ≥ 0.

    The picture is their softmax, which sums to 1: times the length of a document it is
    the expected counts. A sample is one draw: 1 for the component drawn, 0 elsewhere.
    """

    def __call__(self, output: jax.Array, x: jax.Array, emphasis: jax.Array | None = None) -> jax.Array:
        return multinomial(output, x, emphasis)

    def mean(self, output: jax.Array) -> jax.Array:
        return jax.nn.softmax(_rows(output), axis=1).reshape(output.shape)

    def sample(self, output: jax.Array, key: jax.Array) -> jax.Array:
        rows = _rows(output)
        return jax.nn.one_hot(_draw(jax.random.categorical, key, rows), rows.shape[1]).reshape(output.shape)
