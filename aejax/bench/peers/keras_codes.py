"""What stands around the nets in Keras: corruptions, codes and likelihoods, as layers of float32 whatever the nets are.

A code's call gives a dictionary: ``z``, for a code of several samples one after another [samples · b, size], and what
penalties take by name. They are as in training, in which alone they are called; what they move there is in weights
that no gradient reaches.
"""

import math

import keras
import protocol
from keras import ops
from keras_nets import ACTIVATIONS


class Float32(keras.layers.Layer):
    """A layer of float32, with random numbers of its own."""

    def __init__(self, **numbers):
        super().__init__(dtype="float32")
        self.numbers = numbers
        self.seed = keras.random.SeedGenerator()

    def uniform(self, like):
        return keras.random.uniform(ops.shape(like), seed=self.seed)

    def normal(self, like, samples=()):
        return keras.random.normal((*samples, *ops.shape(like)), seed=self.seed)


# -- before the net


class Binarise(Float32):
    """A fresh draw from Bernoulli(x)."""

    def call(self, x):
        return ops.cast(self.uniform(x) < x, "float32")


class Noise(Float32):
    """x + std · n, clipped to [low, high] where those are given."""

    def call(self, x):
        noisy = x + self.numbers["std"] * self.normal(x)
        return ops.clip(noisy, self.numbers["low"], self.numbers["high"]) if "low" in self.numbers else noisy


class Masking(Float32):
    """A share ``rate`` of the components at 0."""

    def call(self, x):
        return ops.where(self.uniform(x) < self.numbers["rate"], 0.0, x)


class SaltAndPepper(Float32):
    """A share ``rate`` of the components at ``low`` or ``high``."""

    def call(self, x):
        u, rate = self.uniform(x), self.numbers["rate"]
        return ops.where(u < rate, ops.where(u < rate / 2, self.numbers["low"], self.numbers["high"]), x)


CORRUPTIONS = {
    "none": lambda: lambda x: x,
    "gaussian": Noise,
    "clipped_gaussian": Noise,
    "masking": Masking,
    "salt_and_pepper": SaltAndPepper,
}
BINARISATIONS = {"none": lambda: lambda x: x, "dynamic": Binarise}


# -- codes


def largest(h, k):
    """``h`` [b, n] with all but the k largest of each row 0; the border is a constant to differentiation.

    (The least of the k and not the last of them: XLA's top_k is twenty times slower with only that one asked for.)
    """
    border = ops.min(ops.top_k(ops.stop_gradient(h), k, sorted=False)[0], axis=1, keepdims=True)
    return ops.where(h >= border, h, 0.0)


def winners(z, rate, batch):
    """Which of the activations [b, d] are above the (k+1)-th largest of their unit, k a share of the batch."""
    k = max(1, round(rate * batch))
    highest = ops.top_k(ops.transpose(ops.stop_gradient(z)), min(k + 1, batch), sorted=False)[0]
    return z > ops.min(highest, axis=1)


class Activated(Float32):
    """What the codes with an activation have in common."""

    def __init__(self, activation, **numbers):
        super().__init__(**numbers)
        self.act = keras.activations.get(protocol.pick(ACTIVATIONS, "activation", activation))


class Deterministic(Activated):
    """``act(h)``."""

    def call(self, h):
        return {"z": self.act(h)}


class GaussianNoise(Activated):
    """``act(h)`` and noise of a given standard deviation."""

    def call(self, h):
        return {"z": self.act(h) + self.numbers["std"] * self.normal(h)}


class LearnedNoise(Activated):
    """``act(h)`` and noise of a standard deviation that each unit learns."""

    def build(self, shape):
        start = keras.initializers.Constant(math.log(self.numbers["std"]))
        self.log_std = self.add_weight(shape[-1:], start)

    def call(self, h):
        return {"z": self.act(h) + ops.exp(self.log_std) * self.normal(h)}


class Lifetime(Float32):
    """The winners of relu(h) over the batch, unit by unit."""

    def call(self, h):
        z = ops.relu(h)
        return {"z": ops.where(winners(z, self.numbers["rate"], self.numbers["batch"]), z, 0.0)}


class Spatial(Float32):
    """The largest of each map, where it is a winner over the batch too."""

    def call(self, h):
        z = ops.relu(h)
        highest = ops.stop_gradient(ops.max(z, axis=(1, 2)))
        won = winners(highest, self.numbers["rate"], self.numbers["batch"])
        best = ops.where(won, highest, math.inf)[:, None, None]
        return {"z": ops.where(z >= best, z, 0.0)}


class KSparse(Float32):
    """The k largest, a constant k."""

    def call(self, h):
        return {"z": largest(h, self.numbers["k"])}


class TopK(Float32):
    """The k largest of relu(h), and which units no example has had among them for ``dead_after`` examples."""

    def build(self, shape):
        self.silent = self.add_weight(shape[-1:], "zeros", dtype="float32", trainable=False)

    def call(self, h):
        z = largest(ops.relu(h), self.numbers["k"])
        self.silent.assign(ops.where(ops.any(z > 0, axis=0), 0.0, self.silent + self.numbers["batch"]))
        return {"z": z, "dead": self.silent >= self.numbers["dead_after"]}


class Hashing(Float32):
    """Logistic units with noise on their inputs; where it is fixed it comes with the example."""

    def call(self, h, noise=None):
        noise = self.normal(h) if noise is None else noise
        return {"z": ops.sigmoid(h + self.numbers["std"] * noise)}


class GumbelSigmoid(Float32):
    """Relaxed Bernoulli units."""

    def call(self, h):
        u = keras.random.uniform(ops.shape(h), minval=1e-7, maxval=1 - 1e-7, seed=self.seed)
        return {"z": ops.sigmoid((h + ops.log(u) - ops.log1p(-u)) / self.numbers["temperature"])}


class StraightThrough(Float32):
    """Bernoulli units, whose draw has the derivative of its probability."""

    def call(self, h):
        p = ops.sigmoid(h)
        bits = ops.cast(self.uniform(p) < p, "float32")
        return {"z": p + ops.stop_gradient(bits - p)}


class Gaussian(Float32):
    """What the codes that draw from N(mean, exp(log_std)²) have in common; [samples, b, size] where each is drawn."""

    def moments(self, h):
        mean, log_std = ops.split(h, 2, axis=-1)
        return mean, log_std + ops.stop_gradient(ops.minimum(log_std, 10.0) - log_std)

    def draw(self, mean, log_std):
        n = self.normal(mean, (self.numbers["samples"],))
        return n, mean + ops.exp(log_std) * n

    def joined(self, z):
        return ops.reshape(z, (-1, *z.shape[2:]))


class Variational(Gaussian):
    """A sample, and the KL divergence [1, b] in closed form."""

    def call(self, h):
        mean, log_std = self.moments(h)
        units = 0.5 * (ops.square(mean) + ops.expm1(2 * log_std)) - log_std
        units = ops.sum(units, axis=tuple(range(1, len(h.shape) - 1)))
        if self.numbers["free_bits"]:
            paid = ops.mean(units, axis=0) > self.numbers["free_bits"]
            units = ops.where(paid, units, self.numbers["free_bits"])
        _, z = self.draw(mean, log_std)
        return {"z": self.joined(z), "kl": ops.sum(units, axis=1)[None]}


class ImportanceWeighted(Gaussian):
    """K samples, and of each log q(z|x) − log p(z) [K, b]."""

    def call(self, h):
        mean, log_std = self.moments(h)
        n, z = self.draw(mean, log_std)
        units = 0.5 * (ops.square(z) - ops.square(n)) - log_std
        return {"z": self.joined(z), "kl": ops.sum(units, axis=tuple(range(2, len(h.shape) + 1)))}


class VectorQuantised(Float32):
    """The nearest vector of a codebook, which moves to the mean of those that choose it; unused ones start again."""

    def build(self, shape):
        entries, size = self.numbers["entries"], self.numbers["size"]
        start = keras.initializers.RandomNormal(stddev=1.0)
        self.vectors = self.add_weight((entries, size), start, trainable=False)
        self.counts = self.add_weight((entries,), "zeros", trainable=False)
        self.sums = self.add_weight((entries, size), "zeros", trainable=False)

    def call(self, h):
        rows, vectors = ops.reshape(h, (-1, h.shape[-1])), ops.convert_to_tensor(self.vectors)
        distances = ops.sum(ops.square(vectors), axis=1) - 2 * ops.matmul(rows, ops.transpose(vectors))
        indices = ops.argmin(distances, axis=1)
        z = ops.reshape(ops.take(vectors, indices, axis=0), ops.shape(h))
        self.move(ops.stop_gradient(rows), indices)
        commitment = ops.sum(ops.square(h - z), axis=tuple(range(1, len(h.shape))))
        return {"z": h + ops.stop_gradient(z - h), "commitment": commitment[None]}

    def move(self, rows, indices):
        entries, decay = self.numbers["entries"], self.numbers["decay"]
        chosen = ops.one_hot(indices, entries)
        n = decay * self.counts + (1 - decay) * ops.sum(chosen, axis=0)
        m = decay * self.sums + (1 - decay) * ops.matmul(ops.transpose(chosen), rows)
        share = ops.mean(n)
        again = n < self.numbers["restart"] * share
        some = keras.random.randint((entries,), 0, ops.shape(rows)[0], seed=self.seed)
        fresh = ops.take(rows, some, axis=0)
        e = ops.where((n > 0)[:, None], m / ops.maximum(n, 1e-30)[:, None], self.vectors)
        self.vectors.assign(ops.where(again[:, None], fresh, e))
        self.sums.assign(ops.where(again[:, None], share * fresh, m))
        self.counts.assign(ops.where(again, share, n))


CODES = {
    "deterministic": Deterministic,
    "gaussian_noise": GaussianNoise,
    "learned_noise": LearnedNoise,
    "lifetime": Lifetime,
    "spatial": Spatial,
    "k_sparse": KSparse,
    "top_k": TopK,
    "hashing": Hashing,
    "straight_through": StraightThrough,
    "gumbel_sigmoid": GumbelSigmoid,
    "variational": Variational,
    "importance_weighted": ImportanceWeighted,
    "vector_quantised": VectorQuantised,
}


def code_of(net):
    """The code of a described net, as a layer."""
    code = {key: value for key, value in net["code"].items() if key != "name"}
    return protocol.pick(CODES, "code", net["code"]["name"])(batch=net["batch"], **code)
