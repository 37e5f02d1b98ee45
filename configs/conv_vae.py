"""Variational autoencoder with a convolutional encoder and decoder.

``:maps`` has maps as its code, of four channels, and no dense layer.

    python -m aejax.main --config=configs/conv_vae.py                 # 3,600 digits, 50 epochs: 39 s on two cores
    python -m aejax.main --config=configs/conv_vae.py:fashion_mnist   # 59,000 images, 10 epochs

Negative bound on the test digits at seed 0: 105.1 nats.
"""

from configs.base import base, preset


def get_config(name: str | None = None):
    c = base()
    c.name = "conv_vae"
    c.data.binarise = "dynamic"
    c.encoder.name = "conv"
    c.encoder.widths = (16, 32)
    c.decoder.name = "conv"
    c.decoder.widths = (32, 16)
    c.code.name = "variational"
    c.code.size = 20
    c.train.batch_size = 64
    c.train.epochs = 50
    return preset(c, name, {"tiny": _tiny, "fashion_mnist": _fashion_mnist, "maps": _maps})


def _tiny(c):
    c.data.name = "digits"
    c.encoder.widths = (4, 8)
    c.decoder.widths = (8, 4)
    c.code.size = 4
    c.train.epochs = 2


def _fashion_mnist(c):
    c.data.name = "fashion_mnist"
    c.data.valid = 1 / 60
    c.train.epochs = 10


def _maps(c):
    c.encoder.name = "allconv"
    c.decoder.name = "allconv"
    c.code.size = 4
