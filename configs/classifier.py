"""Classifier made of an encoder, with few labels: from scratch, or from an autoencoder's weights, frozen or fine-tuned.

    python -m aejax.main --config=configs/classifier.py
    python -m aejax.main --config=configs/deep.py && \
    python -m aejax.main --config=configs/classifier.py:fine_tuned && \
    python -m aejax.main --config=configs/classifier.py:frozen
"""

from configs.base import base, preset


def get_config(name: str | None = None):
    c = base()
    c.name = "classifier"
    c.model = "classifier"
    c.data.labels = 100
    c.encoder.widths = (128,)
    c.train.batch_size = 20
    c.train.epochs = 100
    c.checkpoint.best = False
    return preset(c, name, {"tiny": _tiny, "fine_tuned": _fine_tuned, "frozen": _frozen})


def _tiny(c):
    c.data.name = "digits"
    c.data.labels = 0
    c.encoder.widths = (32,)
    c.train.epochs = 2


def _fine_tuned(c):
    c.start.workdir = "runs/deep"
    c.start.parts = ("encoder",)
    c.optim.encoder_rate = 0.1


def _frozen(c):
    c.start.workdir = "runs/deep"
    c.start.parts = ("encoder",)
    c.optim.freeze = ("encoder",)
