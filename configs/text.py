"""Autoencoder for text: counts of the 2000 most frequent words of train, under a multinomial likelihood.

PATH is a folder of text files, a folder a class, or an archive of one. ``:poisson`` models each count by itself.

    python -m aejax.main --config=configs/text.py --config.data.name=text:PATH   # 50 epochs: 6 s on two cores
    python -m aejax.analysis.reconstructions --workdir=runs/text                  # words in and words out

On ten packages of Python's standard library as a folder of 475 texts, seed 0: 6183 nats a document on test.
"""

from configs.base import base, preset


def get_config(name: str | None = None):
    c = base()
    c.name = "text"
    c.data.name = "text:data/text"
    c.encoder.widths = (250,)
    c.decoder.widths = (250,)
    c.code.size = 32
    c.code.activation = "linear"
    c.loss.likelihood = "multinomial"
    c.train.batch_size = 32
    c.train.epochs = 50
    return preset(c, name, {"tiny": _tiny, "poisson": _poisson})


def _tiny(c):
    c.data.name = "digits"
    c.encoder.widths = c.decoder.widths = (32,)
    c.code.size = 8
    c.train.epochs = 2


def _poisson(c):
    c.loss.likelihood = "poisson"
