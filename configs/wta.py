"""Fully connected winner-take-all autoencoder (Makhzani & Frey, arXiv 1409.2752)."""

from configs.base import base, preset


def get_config(name: str | None = None):
    c = base()
    c.name = "wta"
    c.code.name = "lifetime"
    c.code.size = 500
    c.code.rate = 0.05
    c.loss.likelihood = "squared_error"
    c.train.batch_size = 100
    c.train.epochs = 60
    return preset(c, name, {"tiny": _tiny, "mnist": _mnist, "digits": _digits})


def _tiny(c):
    c.data.name = "digits"
    c.code.size = 32
    c.train.epochs = 2


def _mnist(c):
    c.data.name = "mnist"
    c.data.valid = 1 / 12
    c.code.size = 2000
    c.train.epochs = 60


def _digits(c):
    c.data.name = "digits"
    c.code.size = 256
    c.code.rate = 0.07
