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
import several
from keras_codes import BINARISATIONS, CORRUPTIONS, code_of
from keras_device import VERSIONS, memory, settle
from keras_losses import Loss, decay_of, penalties
from keras_nets import through
from keras_operators import Operators

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def autoencoder(net):
    """From images, and noise where it is fixed for an example, to the terms of the loss, which its layers add."""
    x = keras.Input(net["shape"], dtype="float32", name="images")
    fixed = net["code"].get("fixed")
    noise = {"noise": keras.Input((net["code"]["size"],), dtype="float32", name="noise")} if fixed else {}
    binarised = protocol.pick(BINARISATIONS, "binarise", net["prepare"]["binarise"])()(x)
    numbers = {key: value for key, value in net["corruption"].items() if key != "name"}
    noisy = protocol.pick(CORRUPTIONS, "corruption", net["corruption"]["name"])(**numbers)(binarised)
    h, encoder = through(noisy, net["encoder"], [], decay_of(net, "encoder"), net["seed"])
    coded = code_of(net)(h, **noise)
    dense = [layer for layer in encoder if isinstance(layer, keras.layers.Dense)]
    output, decoder = through(coded["z"], net["decoder"], dense, decay_of(net, "decoder"), net["seed"] + len(encoder))
    reported = {name: value for name, value in coded.items() if name in net["penalties"]}
    known = {"x": binarised, "h": h, "output": output, **coded}
    terms = [Loss(net)(binarised, output, reported)]
    terms += [penalty(known) for penalty in penalties(net, {"encoder": encoder, "decoder": decoder}, reported)]
    return keras.Model([x, *noise.values()], terms), None


def classifier(net):
    """From images to the logits of their classes."""
    x = keras.Input(net["shape"], dtype="float32", name="images")
    logits, _ = through(x, net["encoder"], [], 0.0, net["seed"])
    logits = keras.layers.Activation("linear", dtype="float32")(logits)
    return keras.Model(x, logits), keras.losses.SparseCategoricalCrossentropy(from_logits=True)


MODELS = {"autoencoder": autoencoder, "classifier": classifier}


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

    def prepare(self, net, images, labels, mean, threads, device):
        """Build, compile, and take the first step."""
        self.build(net, images, labels, mean, threads, device)
        self.train(1)
        return self.told()

    def build(self, net, images, labels, mean, threads, device):
        """The net, the data and the optimiser."""
        settle(threads, device)
        keras.utils.set_random_seed(net["seed"])
        self.policy = protocol.pick(POLICIES, "precision", net["precision"])
        keras.config.set_dtype_policy(self.policy)
        raw = np.load(images)
        self.x = [prepared(raw, mean)]
        if net["code"].get("fixed"):
            self.x.append(noise_of(raw, net["code"]["size"], net["seed"]))
        self.labels = np.load(labels) if labels else None
        self.batch, self.place, self.clock, adam = net["batch"], 0, Clock(), net["optim"]
        self.model, loss = protocol.pick(MODELS, "model", net["model"])(net)
        self.model.compile(
            keras.optimizers.Adam(adam["learning_rate"], adam["b1"], adam["b2"], epsilon=adam["eps"]),
            loss, steps_per_execution=self.steps_per_execution,
        )  # fmt: skip

    def told(self):
        """How it worked, and what it learned."""
        how = f"fit on float32 arrays, jit_compile at its default ({self.model.jit_compile} here), "
        how += f"steps_per_execution {self.steps_per_execution}"
        how += f", {self.policy}" if self.policy != "float32" else ""
        return {
            "versions": VERSIONS,
            "how": how,
            "parameters": sum(int(np.prod(weight.shape)) for weight in self.model.trainable_weights),
            **memory(),
        }

    def train(self, steps):
        """Take steps, as epochs of ``fit`` over so many images: their seconds, and the mean of their losses."""
        most = len(self.x[0]) // self.batch
        seconds, total, left = 0.0, 0.0, steps
        while left:
            count = min(left, most)
            if self.place + count > most:
                self.place = 0
            rows = slice(self.place * self.batch, (self.place + count) * self.batch)
            inputs, labels = [array[rows] for array in self.x], None if self.labels is None else self.labels[rows]
            history = self.model.fit(inputs, labels, self.batch, epochs=1, verbose=0, callbacks=[self.clock])
            seconds, total = seconds + self.clock.seconds, total + count * history.history["loss"][0]
            self.place, left = self.place + count, left - count
        return {"seconds": seconds, "loss": total / steps, **memory()}

    def epochs(self, count):
        """Train so many epochs, in one call of ``fit`` on whole batches: the mean loss of the last."""
        rows = len(self.x[0]) // self.batch * self.batch
        inputs, labels = [array[:rows] for array in self.x], None if self.labels is None else self.labels[:rows]
        history = self.model.fit(inputs, labels, self.batch, epochs=count, verbose=0)
        return history.history["loss"][-1]


def prepared(raw, mean):
    """Raw images as float32: bytes over 255, less the mean image where there is one."""
    x = raw.astype(np.float32)
    if raw.dtype == np.uint8:
        x /= 255
    return x - np.load(mean) if mean else x


def noise_of(raw, size, seed):
    """Normal noise [n, size], the same for the same image wherever it comes again."""
    known = {}
    which = [known.setdefault(image.tobytes(), len(known)) for image in raw]
    return np.random.default_rng(seed).standard_normal((len(known), size), np.float32)[which]


if __name__ == "__main__":
    training, operators = Training(int(sys.argv[1]) if len(sys.argv) > 1 else 1), Operators()
    protocol.serve(
        {
            "prepare": training.prepare,
            "train": training.train,
            "operator": operators.operator,
            "repeat": operators.repeat,
            **several.handlers(training),
        }
    )
