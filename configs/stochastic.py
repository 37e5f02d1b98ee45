"""Stochastic autoencoder: binary code units that are drawn, and a decoder to draw from.

python -m aejax.main --config=configs/stochastic.py
"""

from configs.base import base, preset


def get_config(name: str | None = None):
    c = base()
    c.name = "stochastic"
    c.encoder.widths = (200,)
    c.decoder.widths = (200,)
    c.code.name = "straight_through"
    c.code.size = 50
    c.optim.schedule = "cosine"
    c.train.batch_size = 100
    c.train.epochs = 50
    return preset(c, name, {"tiny": _tiny, "gumbel": _gumbel, "gaussian": _gaussian, "learned": _learned})


def _tiny(c):
    c.data.name = "digits"
    c.encoder.widths = c.decoder.widths = (32,)
    c.code.size = 16
    c.train.epochs = 2


def _gumbel(c):
    c.code.name = "gumbel_sigmoid"


def _gaussian(c):
    c.code.name = "gaussian_noise"
    c.code.activation = "sigmoid"


def _learned(c):
    c.code.name = "learned_noise"
    c.code.activation = "sigmoid"
