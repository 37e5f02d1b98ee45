"""Likelihoods and penalties in Keras, each a layer that adds its mean over the batch to the loss.

What they compute is one number per example, summed over pixels, or one for the whole batch. The decay of kernels is
Keras's own, ``kernel_regularizer`` (``keras_nets``).
"""

import math

import protocol
import tensorflow as tf
from keras import ops
from keras_codes import Float32, largest

DECAYS = {"weight_decay": ("encoder", "decoder"), "decoder_weight_decay": ("decoder",)}  # of which nets


def decay_of(net, part):
    """The weight in the loss of half the squared norm of the kernels of "encoder" or "decoder"."""
    return sum(net["penalties"][name]["weight"] for name in DECAYS if name in net["penalties"] and part in DECAYS[name])


def rows(values):
    """[b, ...] as [b, d]."""
    return ops.reshape(values, (-1, math.prod(values.shape[1:])))


# -- likelihoods: of x [b, d] and the decoder's output [samples, b, d]


def bernoulli(x, logits):
    """Pixels in [0, 1]."""
    return ops.sum(ops.softplus(logits) - logits * x, axis=-1)


def squared_error(x, output):
    """Of any numbers."""
    return ops.sum(ops.square(x - output), axis=-1)


def poisson(x, log_rates):
    """Counts."""
    return ops.sum(ops.exp(log_rates) - log_rates * x + tf.math.lgamma(x + 1), axis=-1)


def multinomial(x, logits):
    """Draws in a given order."""
    return -ops.sum(x * ops.log_softmax(logits, axis=-1), axis=-1)


LIKELIHOODS = {
    "bernoulli": bernoulli,
    "squared_error": squared_error,
    "poisson": poisson,
    "multinomial": multinomial,
}


def tightest(losses):
    """The importance-weighted bound: ``−log 1/K Σ_k exp(−losses_k)`` of losses [K, b]."""
    return math.log(losses.shape[0]) - ops.logsumexp(-losses, axis=0)


BOUNDS = {"importance_weighted": tightest}  # of the other codes the mean over samples


class Loss(Float32):
    """The reconstruction, and what the code reports with a weight of its own [samples, b], of all samples."""

    def __init__(self, net):
        super().__init__()
        self.likelihood = protocol.pick(LIKELIHOODS, "likelihood", net["likelihood"]["name"])
        self.bound = BOUNDS.get(net["code"]["name"], ops.mean)
        self.samples = net["code"].get("samples", 1)
        self.penalties = {name: found["weight"] for name, found in net["penalties"].items()}

    def call(self, x, output, reported):
        x, output = rows(x), rows(output)
        losses = self.likelihood(x, ops.reshape(output, (self.samples, -1, output.shape[1])))
        for name, value in reported.items():
            losses = losses + self.penalties[name] * value
        self.add_loss(ops.mean(self.bound(losses)))
        return losses


# -- penalties: layers called with what the autoencoder computes, of which each takes what it needs by name


class Penalty(Float32):
    """Adds ``weight`` times the mean of what ``of`` gives; made for the described net, its ``layers`` and code."""

    def __init__(self, net, layers, weight, **numbers):
        super().__init__(**numbers)
        self.layers, self.weight = layers, weight

    def call(self, known):
        value = ops.mean(self.of(**known))
        self.add_loss(self.weight * value)
        return value


class L1(Penalty):
    """Σ_j |z_j|."""

    def of(self, z, **_):
        return ops.sum(ops.abs(rows(z)), axis=1)


class L2(Penalty):
    """½ Σ_j z_j²."""

    def of(self, z, **_):
        return 0.5 * ops.sum(ops.square(rows(z)), axis=1)


class KlSparsity(Penalty):
    """How far the units' mean activities are from ``sparsity``."""

    def of(self, z, **_):
        mean, rho = ops.mean(ops.reshape(z, (-1, z.shape[-1])), axis=0), self.numbers["sparsity"]
        mean = ops.clip(mean, 1e-6, 1 - 1e-6)
        return ops.sum(rho * ops.log(rho / mean) + (1 - rho) * ops.log((1 - rho) / (1 - mean)))


class Contractive(Penalty):
    """``Σ_j s'(h_j)² Σ_i W_ij²``: exact for one dense layer and an activation with this slope as a function of z."""

    SLOPES = {"linear": ops.ones_like, "sigmoid": lambda z: z * (1 - z), "tanh": lambda z: 1 - ops.square(z)}

    def __init__(self, net, layers, weight):
        super().__init__(net, layers, weight)
        if [layer["kind"] for layer in net["encoder"]] != ["flatten", "dense"]:
            raise protocol.Refused("penalty='contractive' of more than one dense layer is not written for it")
        self.slope = protocol.pick(self.SLOPES, "activation", net["code"].get("activation"))

    def of(self, z, **_):
        kernel = self.layers["encoder"][-1].kernel
        return ops.sum(ops.square(self.slope(z)) * ops.sum(ops.square(kernel), axis=0), axis=1)


class AuxK(Penalty):
    """``‖e − ê‖²``: the error, a constant, less what each example's largest dead units make of it."""

    def of(self, x, h, output, dead, **_):
        asleep = largest(ops.where(dead, h, -math.inf), self.numbers["aux_units"])
        made = self.layers["decoder"][0].linear(ops.relu(asleep))
        residual = ops.stop_gradient(rows(x) - rows(output))
        return ops.where(ops.any(dead), ops.sum(ops.square(residual - made), axis=1), 0.0)


class Mmd(Penalty):
    """The squared maximum mean discrepancy from N(0, I), of kernels of the squared distance at seven scales."""

    SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

    def of(self, z, **_):
        z = rows(z)
        prior = self.normal(z)
        like = self.kernels(z, z, own=0.0) + self.kernels(prior, prior, own=0.0)
        n = ops.cast(ops.shape(z)[0], "float32")
        return like / (n * (n - 1)) - 2 * self.kernels(z, prior) / (n * n)

    def kernels(self, x, y, own=1.0):
        """The sum over all pairs, with those of an example and itself counted ``own`` times."""
        squared = ops.sum(ops.square(x), axis=1)[:, None] + ops.sum(ops.square(y), axis=1)
        squared = ops.maximum(squared - 2 * ops.matmul(x, ops.transpose(y)), 0.0)
        total = sum(self.kernel(squared, 2.0 * x.shape[1] * scale) for scale in self.SCALES)
        return ops.sum(total) - (1 - own) * ops.sum(ops.diagonal(total))


class MmdImq(Mmd):
    """With inverse multiquadratics kernels."""

    def kernel(self, squared, c):
        return c / (c + squared)


class MmdRbf(Mmd):
    """With Gaussian kernels."""

    def kernel(self, squared, c):
        return ops.exp(-squared / c)


PENALTIES = {
    "l1": L1,
    "l2": L2,
    "kl_sparsity": KlSparsity,
    "contractive": Contractive,
    "aux_k": AuxK,
    "mmd_imq": MmdImq,
    "mmd_rbf": MmdRbf,
}


def penalties(net, layers, reported):
    """The penalty layers of a described net: all but those that its code reports and those of kernels.

    Args:
      net: the description.
      layers: Keras's, {"encoder": [...], "decoder": [...]}.
      reported: the names that the code reports.
    """
    others = {name: found for name, found in net["penalties"].items() if name not in (*DECAYS, *reported)}
    return [protocol.pick(PENALTIES, "penalty", name)(net, layers, **found) for name, found in others.items()]
