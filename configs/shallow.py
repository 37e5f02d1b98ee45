"""Shallow autoencoder, 784-32-784."""

from configs.base import base, preset


def get_config(name: str | None = None):
    c = base()
    c.name = "shallow"
    c.optim.eps = 1e-7  # Keras's
    c.train.batch_size = 32
    c.train.epochs = 20
    return preset(c, name, {"tiny": _tiny, "fashion_mnist": _fashion_mnist})


def _tiny(c):
    c.data.name = "digits"
    c.code.size = 16
    c.train.epochs = 2


def _fashion_mnist(c):
    c.data.name = "fashion_mnist"
    c.data.valid = 1 / 60
    c.train.epochs = 5
