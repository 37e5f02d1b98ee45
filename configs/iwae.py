"""Importance weighted autoencoder (Burda et al., arXiv 1509.00519): a tighter bound of K samples.

python -m aejax.main --config=configs/iwae.py
"""

from configs.base import base, preset


def get_config(name: str | None = None):
    c = base()
    c.name = "iwae"
    c.data.binarise = "dynamic"
    c.encoder.widths = (200, 200)
    c.encoder.activation = "tanh"
    c.decoder.widths = (200, 200)
    c.decoder.activation = "tanh"
    c.code.name = "importance_weighted"
    c.code.size = 50
    c.code.samples = 5
    c.train.batch_size = 20
    c.train.epochs = 50
    return preset(c, name, {"tiny": _tiny, "mnist": _mnist, "k50": _k50})


def _tiny(c):
    c.data.name = "digits"
    c.encoder.widths = c.decoder.widths = (32,)
    c.code.size = 4
    c.train.epochs = 2


def _mnist(c):
    c.data.name = "mnist"
    c.data.valid = 1 / 12
    c.train.epochs = 10


def _k50(c):
    c.code.samples = 50
