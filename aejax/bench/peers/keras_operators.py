"""Single operators as Keras on TensorFlow computes them, forward and, where there are gradients, backward.

They run in a ``tf.function``'s loop, so that no time goes into Python between them. Of each as TensorFlow has it and
compiled by XLA (``jit_compile``) the one that is faster on the machine at hand is taken.
"""

import time

import keras
import protocol
import tensorflow as tf
from keras import ops
from keras_codes import largest, winners
from keras_device import VERSIONS, memory, settle
from keras_nets import upsampling

TRIES = 5  # calls by which the two are compared


def differentiated(function, *shapes):
    """A call without arguments: the function of arrays of these shapes, and the gradients of all of them."""
    inputs = [tf.Variable(tf.random.normal(shape)) for shape in shapes]
    slope = tf.random.normal(function(*inputs).shape)

    def call():
        with tf.GradientTape() as tape:
            output = function(*inputs)
        return output, tape.gradient(output, inputs, output_gradients=slope)

    return call


def conv(op):
    """A convolution to ⌈size / strides⌉."""
    kernel = (*op["kernel"], op["inputs"], op["outputs"])
    return differentiated(lambda x, k: ops.conv(x, k, tuple(op["strides"]), "same"), _maps(op, "inputs"), kernel)


def conv_transpose(op):
    """A transposed convolution to size · strides."""
    kernel = (*op["kernel"], op["outputs"], op["inputs"])
    strides = tuple(op["strides"])
    return differentiated(lambda x, k: ops.conv_transpose(x, k, strides, "same"), _maps(op, "inputs"), kernel)


def dense(op):
    """A product with a kernel."""
    return differentiated(ops.matmul, (op["batch"], op["inputs"]), (op["inputs"], op["outputs"]))


def pool(function):
    """The builder of a pooling."""
    return lambda op: differentiated(lambda x: function(x, op["window"], padding="same"), _maps(op, "channels"))


def resize(op):
    """An up-sampling."""
    layer = upsampling(op["op"], op["size"], op["to"])
    return differentiated(layer, _maps(op, "channels"))


def _maps(op, channels):
    return op["batch"], *op["size"], op[channels]


def adam(op):
    """One update of an array from a gradient at hand."""
    array, gradient = keras.Variable(tf.random.normal((op["parameters"],))), tf.random.normal((op["parameters"],))
    optimiser = keras.optimizers.Adam()
    optimiser.build([array])

    def call():
        optimiser.apply([gradient])
        return optimiser.iterations.value

    return call


def lifetime(op):
    """The winners of each unit over the batch, and zeros."""
    z = ops.relu(tf.random.normal((op["batch"], op["units"])))
    return lambda: ops.where(winners(z, op["rate"], op["batch"]), z, 0.0)


def top_k(op):
    """The k largest of each example, and zeros."""
    h = tf.random.normal((op["batch"], op["units"]))
    return lambda: largest(h, op["k"])


def gather(op):
    """A batch of rows of uint8, in a random order, as float32 in [0, 1]."""
    images = tf.cast(tf.random.uniform((op["images"], op["pixels"]), maxval=256, dtype=tf.int32), tf.uint8)
    batches = op["images"] // op["batch"]
    order = tf.reshape(tf.random.shuffle(tf.range(op["images"]))[: batches * op["batch"]], (batches, op["batch"]))
    place = tf.Variable(0)

    def call():
        rows = order[place.assign_add(1) % batches]
        return tf.cast(tf.gather(images, rows), tf.float32) / 255

    return call


OPERATORS = {
    "conv": conv,
    "conv_transpose": conv_transpose,
    "dense": dense,
    "max_pool": pool(ops.max_pool),
    "average_pool": pool(ops.average_pool),
    "nearest": resize,
    "bilinear": resize,
    "adam": adam,
    "winners": lifetime,
    "top_k": top_k,
    "gather": gather,
}


def looped(call, compiled):
    """The function ``run(count)`` that makes so many calls, one after another."""
    step = tf.function(call, jit_compile=compiled, autograph=False)
    results = [tf.Variable(tf.zeros_like(result)) for result in tf.nest.flatten(step())]

    def body(i):
        # Kept, so that nothing is left out as unused; a variable takes a result over, without a copy.
        kept = [variable.assign(result) for variable, result in zip(results, tf.nest.flatten(step()), strict=True)]
        with tf.control_dependencies(kept):
            return i + 1

    @tf.function(autograph=False)
    def run(count):
        return tf.while_loop(lambda i: i < count, body, [tf.constant(0)], parallel_iterations=1)[0]

    return run


class Operators:
    """An operator, again and again."""

    def operator(self, operator, threads, device):
        """Build and warm it."""
        settle(threads, device)
        call = protocol.pick(OPERATORS, "operator", operator["op"])(operator)
        ways = {"TensorFlow's own kernels": looped(call, False), "compiled by XLA": looped(call, True)}
        took = {}
        for name, self.run in ways.items():
            self.repeat(1)
            took[name] = self.repeat(TRIES)["seconds"]
        quickest = min(took, key=took.get)
        self.run = ways[quickest]
        return {"versions": VERSIONS, "how": f"in a tf.function's loop, {quickest}", **memory()}

    def repeat(self, count):
        """Run it so many times."""
        began = time.perf_counter()
        self.run(tf.constant(count)).numpy()
        return {"seconds": time.perf_counter() - began, **memory()}
