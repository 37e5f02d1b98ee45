"""A worker that trains a described net with Keras on TensorFlow: ``python keras_fit.py [STEPS_PER_EXECUTION]``.

``fit`` on float32 arrays, as people use it. ``jit_compile`` is left at Keras's default, which it
resolves by itself; what it resolved to is told. Timed from the start of an epoch to its end, so the
set-up of each ``fit`` call is not held against it. (Not called keras.py: that would shadow Keras.)
"""

import os
import sys
import time

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import protocol
import tensorflow as tf
from keras import ops

ACTIVATIONS = {name: name for name in ("linear", "relu", "sigmoid", "tanh", "elu", "softplus", "silu")}
ACTIVATIONS |= {"gelu": lambda x: ops.gelu(x, approximate=True)}
INITS = {
    "glorot_uniform": lambda std, seed: keras.initializers.GlorotUniform(seed),
    "glorot_normal": lambda std, seed: keras.initializers.GlorotNormal(seed),
    "he_uniform": lambda std, seed: keras.initializers.HeUniform(seed),
    "he_normal": lambda std, seed: keras.initializers.HeNormal(seed),
    "lecun_uniform": lambda std, seed: keras.initializers.LecunUniform(seed),
    "lecun_normal": lambda std, seed: keras.initializers.LecunNormal(seed),
    "normal": lambda std, seed: keras.initializers.RandomNormal(stddev=std, seed=seed),
}


class Winners(keras.layers.Layer):
    """Lifetime sparsity: each unit's top activations over the batch, those above the (k+1)-th largest."""

    def __init__(self, keep, batch):
        super().__init__()
        self.k = min(keep + 1, batch)

    def call(self, z, training=False):
        if not training:
            return z
        border = ops.top_k(ops.transpose(ops.stop_gradient(z)), self.k)[0][:, -1]
        return ops.where(z > border, z, 0.0)


class Adjoint(keras.layers.Layer):
    """The transpose of a dense layer's kernel, with a bias of its own."""

    def __init__(self, dense, bias_init, activation):
        super().__init__()
        self.dense = dense
        self.bias = self.add_weight(shape=(dense.kernel.shape[0],), initializer=keras.initializers.Constant(bias_init))
        self.activation = keras.activations.get(activation)

    def call(self, x):
        return self.activation(ops.matmul(x, ops.transpose(self.dense.kernel)) + self.bias)


def build(net):
    """The described net, from images [b, pixels] to what its likelihood reads."""
    x = h = keras.Input((net["encoder"][0]["inputs"],))
    encoder = []
    for place, layer in enumerate(net["encoder"] + net["decoder"]):
        if place == len(net["encoder"]) and net["code"]["name"] == "lifetime":
            h = Winners(max(1, round(net["code"]["rate"] * net["batch"])), net["batch"])(h)
        activation = protocol.pick(ACTIVATIONS, "activation", layer["activation"])
        if "adjoint_of" in layer:
            h = Adjoint(encoder[layer["adjoint_of"]], layer["bias_init"], activation)(h)
            continue
        init = protocol.pick(INITS, "kernel_init", layer["kernel_init"])(layer["init_std"], net["seed"] + place)
        bias = keras.initializers.Constant(layer["bias_init"])
        dense = keras.layers.Dense(layer["outputs"], activation, kernel_initializer=init, bias_initializer=bias)
        h = dense(h)
        encoder.append(dense)
    return keras.Model(x, h)


def likelihood(net):
    """The loss of a batch, one number per example: summed over pixels, where Keras's own would be the mean."""
    pixels = float(net["encoder"][0]["inputs"])
    means = {
        "bernoulli": lambda x, output: keras.losses.binary_crossentropy(x, output, from_logits=True),
        "squared_error": keras.losses.mean_squared_error,
    }
    mean = protocol.pick(means, "likelihood", net["likelihood"])
    return lambda x, output: pixels * mean(x, output)


class Clock(keras.callbacks.Callback):
    """Seconds from the start of an epoch to its end."""

    def on_epoch_begin(self, epoch, logs=None):
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds = time.perf_counter() - self.began


class Training:
    """A net in training."""

    def __init__(self, steps_per_execution):
        self.steps_per_execution = steps_per_execution

    def prepare(self, net, images, threads):
        """Build, compile, and take the first step."""
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        keras.utils.set_random_seed(net["seed"])
        raw = np.load(images)
        self.x = raw.reshape(len(raw), -1).astype(np.float32)
        if raw.dtype == np.uint8:
            self.x /= 255
        self.batch, self.place, self.clock, adam = net["batch"], 0, Clock(), net["optim"]
        self.model = build(net)
        self.model.compile(
            keras.optimizers.Adam(adam["learning_rate"], adam["b1"], adam["b2"], epsilon=adam["eps"]),
            likelihood(net), steps_per_execution=self.steps_per_execution,
        )  # fmt: skip
        self.train(1)
        return {
            "versions": {"keras": keras.__version__, "tensorflow": tf.__version__},
            "how": f"fit on float32 arrays, jit_compile at its default ({self.model.jit_compile} here), "
            f"steps_per_execution {self.steps_per_execution}",
        }

    def train(self, steps):
        """Take steps, as epochs of ``fit`` over so many images: their seconds, the mean loss of the last epoch."""
        most = len(self.x) // self.batch
        seconds, loss = 0.0, 0.0
        while steps:
            count = min(steps, most)
            if self.place + count > most:
                self.place = 0
            rows = self.x[self.place * self.batch : (self.place + count) * self.batch]
            history = self.model.fit(rows, rows, batch_size=self.batch, epochs=1, verbose=0, callbacks=[self.clock])
            seconds, loss = seconds + self.clock.seconds, history.history["loss"][-1]
            self.place, steps = self.place + count, steps - count
        return {"seconds": seconds, "loss": float(loss)}


if __name__ == "__main__":
    training = Training(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    protocol.serve({"prepare": training.prepare, "train": training.train})
