"""Convolutional autoencoder for sound: one-dimensional filters over log-mel frames.

python -m aejax.main --config=configs/audio.py --config.data.name=audio:PATH
"""

from configs.base import base, preset


def get_config(name: str | None = None):
    c = base()
    c.name = "audio"
    c.data.name = "audio:data/audio"
    c.encoder.name = "conv"
    c.encoder.widths = (64, 64)
    c.encoder.kernel = (1, 5)
    c.decoder.name = "conv"
    c.decoder.widths = (64, 64)
    c.decoder.kernel = (1, 5)
    c.code.size = 32
    c.code.activation = "linear"
    c.loss.likelihood = "squared_error"
    c.train.batch_size = 32
    c.train.epochs = 100
    return preset(c, name, {"tiny": _tiny, "frames": _frames})


def _tiny(c):
    c.data.name = "digits"
    c.encoder.widths = c.decoder.widths = (4, 8)
    c.encoder.kernel = c.decoder.kernel = (1, 3)
    c.train.epochs = 2


def _frames(c):
    c.data.features = "frames"
    c.encoder.factor = c.decoder.factor = 4
    c.encoder.kernel = c.decoder.kernel = (1, 9)
    c.encoder.widths = c.decoder.widths = (16, 32, 32)
