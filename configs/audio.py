"""Convolutional autoencoder for sound: one-dimensional filters along the frames of a log-mel spectrogram.

PATH is a folder of WAV files, a folder a class, or an archive of one. ``:frames`` reads the raw samples instead.

    python -m aejax.main --config=configs/audio.py --config.data.name=audio:PATH          # 100 epochs: 24 s
    python -m aejax.main --config=configs/audio.py:frames --config.data.name=audio:PATH   # 30 epochs

On 1,000 spoken digits (of the Free Spoken Digit Dataset, 720 for training) at seed 0: squared error 5.0 a recording
on test, .0016 a value of [0, 1].
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
    c.train.epochs = 30
