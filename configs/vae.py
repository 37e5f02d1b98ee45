"""Variational autoencoder (Kingma & Welling, arXiv 1312.6114), on binarised images.

python -m aejax.main --config=configs/vae.py
python -m aejax.main --config=configs/vae.py:mnist
"""

from configs.base import base, preset


def get_config(name: str | None = None):
    c = base()
    c.name = "vae"
    c.data.binarise = "dynamic"
    c.encoder.widths = (500,)
    c.decoder.widths = (500,)
    c.code.name = "variational"
    c.code.size = 20
    c.train.batch_size = 128
    c.train.epochs = 100
    return preset(
        c,
        name,
        {"tiny": _tiny, "mnist": _mnist, "plane": _plane, "beta": _beta, "free_bits": _free_bits, "tcvae": _tcvae},
    )


def _tiny(c):
    c.data.name = "digits"
    c.encoder.widths = c.decoder.widths = (32,)
    c.code.size = 4
    c.train.epochs = 2


def _mnist(c):
    c.data.name = "mnist"
    c.data.valid = 1 / 12
    c.train.epochs = 10


def _plane(c):
    c.code.size = 2


def _beta(c):
    c.loss.kl = 4.0
    c.loss.warmup = 0.1


def _free_bits(c):
    c.code.free_bits = 0.5


def _tcvae(c):
    c.code.size = 10
    c.loss.total_correlation = 5.0
