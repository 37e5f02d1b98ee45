"""Convolutional denoising autoencoder for colour images.

Gaussian noise of standard deviation 0.1, clipped. ``:zca`` trains on images whose contrast is normalised and whose
pixels are whitened; both are undone for pictures.

    python -m aejax.main --config=configs/cifar_denoising.py       # 45,000 images, 20 epochs
    python -m aejax.main --config=configs/cifar_denoising.py:zca
    python -m aejax.main --config=configs/cifar_denoising.py --config.data.name=folder:PATH   # your own, of one size

Needs the archive of CIFAR-10 (fetched on first use), or your own images.
"""

from configs.base import base, preset


def get_config(name: str | None = None):
    c = base()
    c.name = "cifar_denoising"
    c.data.name = "cifar10"
    c.encoder.name = "conv"
    c.encoder.widths = (32, 64)
    c.decoder.name = "conv"
    c.decoder.widths = (64, 32)
    c.code.size = 256
    c.code.activation = "linear"
    c.corruption.name = "clipped_gaussian"
    c.corruption.std = 0.1
    c.loss.likelihood = "squared_error"
    c.optim.schedule = "cosine"
    c.train.batch_size = 64
    c.train.epochs = 20
    return preset(c, name, {"tiny": _tiny, "zca": _zca})


def _tiny(c):
    c.data.name = "digits"
    c.encoder.widths = (4, 8)
    c.decoder.widths = (8, 4)
    c.code.size = 16
    c.train.epochs = 2


def _zca(c):
    c.data.whiten = "zca"
    c.corruption.name = "gaussian"
    c.corruption.std = 0.3
