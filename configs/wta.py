"""Fully connected winner-take-all autoencoder (Makhzani & Frey, arXiv 1409.2752)."""

from configs.base import base, preset


def get_config(name: str | None = None):
    c = base()
    c.name = "wta"
    c.encoder.kernel_init = "normal"
    c.encoder.bias_init = 1.0  # every unit starts with winners, so none dies early
    c.decoder.name = "tied"
    c.code.name = "lifetime"
    c.code.size = 1000
    c.code.rate = 0.05
    c.loss.likelihood = "squared_error"
    c.optim.learning_rate = 3e-3
    c.optim.schedule = "cosine"
    c.train.batch_size = 100
    c.train.epochs = 150
    return preset(c, name, {"tiny": _tiny, "mnist": _mnist, "digits": _digits})


def _tiny(c):
    c.data.name = "digits"
    c.encoder.bias_init = 0.1
    c.code.size = 32
    c.train.epochs = 2


def _mnist(c):
    c.data.name = "mnist"
    c.data.valid = 1 / 12
    c.code.size = 2000
    c.optim.learning_rate = 1e-3
    c.train.epochs = 50


def _digits(c):
    c.data.name = "digits"
    c.encoder.bias_init = 0.3
    c.code.size = 256
    c.code.rate = 0.07
    c.optim.learning_rate = 1e-2
    c.train.epochs = 300
