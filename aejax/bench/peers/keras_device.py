"""Threads and device of a worker's process, and what it counts of the device's memory."""

import keras
import protocol
import tensorflow as tf

VERSIONS = {"keras": keras.__version__, "tensorflow": tf.__version__}


def settle(threads, device):
    """Once, before anything is computed: so many threads, and "cpu" or "gpu".

    On a GPU memory is taken as it is needed, and float32 is float32, as in aejax.

    Raises:
      Refused: TensorFlow sees no such device.
    """
    tf.config.experimental.enable_tensor_float_32_execution(False)
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    gpus = tf.config.list_physical_devices("GPU") if device == "gpu" else []
    if device == "gpu" and not gpus:
        raise protocol.Refused("TensorFlow sees no GPU")
    tf.config.set_visible_devices(gpus[:1], "GPU")
    for gpu in gpus[:1]:
        tf.config.experimental.set_memory_growth(gpu, True)


def memory():
    """The peak of the GPU's memory, bytes, where that is the device; elsewhere the process's is told."""
    if not tf.config.get_visible_devices("GPU"):
        return {}
    return {"memory": tf.config.experimental.get_memory_info("GPU:0")["peak"]}
