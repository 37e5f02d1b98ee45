"""Deep autoencoder, 784-128-32-128-784.

    python -m aejax.main --config=configs/deep.py                  # 3,600 digits, 30 epochs: 5 s on two cores
    python -m aejax.main --config=configs/deep.py:notebook         # a course's setting: Fashion-MNIST, 10 epochs
    python -m aejax.main --config=configs/deep.py:fashion_mnist    # as many epochs at a schedule of our own: 12 s
    python -m aejax.main --config=configs/deep.py:hinton           # 784-1000-500-250-30 on MNIST, logistic output units

Cross-entropy per pixel (``reconstruction_per_pixel`` in metrics.jsonl): .0969 on the test digits at seed 0. What the
other presets come to is in the rows ``course`` and ``deep`` of ``python -m aejax.studies.results``.

``:hinton`` needs what keeps it from overfitting: with ReLU units and no noise valid falls to 3.66 of squared error an
image after 60 of 100 epochs, while train goes on to 1.4, and rises from there. After 15 epochs at seed 0 valid was 3.82
with ReLU units, 3.64 with tanh and 3.34 with GELU; GELU units under a noise of 0.1 have 3.14 after 25, of 0.2 3.48.
"""

from configs.base import base, preset


def get_config(name: str | None = None):
    c = base()
    c.name = "deep"
    c.encoder.widths = (128,)
    c.decoder.widths = (128,)
    c.optim.learning_rate = 2e-3
    c.optim.schedule = "cosine"
    c.optim.warmup = 0.1  # without it, two to six of the 32 code units die in the first epoch
    c.optim.eps = 1e-7  # Keras's
    c.train.batch_size = 32
    c.train.epochs = 30
    presets = {"tiny": _tiny, "notebook": _notebook, "fashion_mnist": _fashion_mnist, "hinton": _hinton}
    return preset(c, name, presets)


def _tiny(c):
    c.data.name = "digits"
    c.encoder.widths = c.decoder.widths = (32,)
    c.code.size = 16
    c.train.epochs = 2


def _notebook(c):
    _fashion_mnist(c)
    c.data.valid = 0.0  # all 60,000 are trained on, and nothing is chosen
    c.optim.learning_rate = 1e-3
    c.optim.schedule = "constant"
    c.optim.warmup = 0.0


def _fashion_mnist(c):
    c.data.name = "fashion_mnist"
    c.data.valid = 1 / 60
    c.train.epochs = 10


def _hinton(c):
    c.data.name = "mnist"
    c.data.valid = 1 / 60
    c.encoder.widths = (1000, 500, 250)
    c.decoder.widths = (250, 500, 1000)
    c.encoder.activation = c.decoder.activation = "gelu"
    c.code.size = 30
    c.code.activation = "linear"
    c.corruption.name = "gaussian"
    c.corruption.std = 0.1
    c.loss.likelihood = "sigmoid_squared_error"
    c.optim.learning_rate = 1e-3
    c.train.batch_size = 100
    c.train.epochs = 60
