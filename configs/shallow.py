"""Shallow autoencoder, 784-32-784: one ReLU layer into the code, one sigmoid layer out of it.

    python -m aejax.main --config=configs/shallow.py                  # 3,600 digits, 20 epochs: 3 s on two cores
    python -m aejax.main --config=configs/shallow.py:notebook         # a course's: Fashion-MNIST, 5 epochs
    python -m aejax.main --config=configs/shallow.py:fashion_mnist    # as many epochs at a schedule of our own: 5 s
    python -m aejax.main --config=configs/shallow.py:keras_blog       # MNIST, batch 256, 50 epochs

Cross-entropy per pixel (``reconstruction_per_pixel`` in metrics.jsonl): .1116 on the test digits at seed 0. What the
other presets come to over five seeds, beside Keras's own figures, is the row ``course`` of
``python -m aejax.studies.results``. On train that is, as Keras prints it, the mean over the epoch while the weights
move. Kernels and optimiser start as Keras's do. The rate of ``:fashion_mnist`` was chosen on valid among 1e-3, 2e-3,
3e-3, 5e-3 and 8e-3 at seed 0.
"""

from configs.base import base, preset


def get_config(name: str | None = None):
    c = base()
    c.name = "shallow"
    c.optim.eps = 1e-7  # Keras's
    c.train.batch_size = 32
    c.train.epochs = 20
    presets = {"tiny": _tiny, "notebook": _notebook, "fashion_mnist": _fashion_mnist, "keras_blog": _keras_blog}
    return preset(c, name, presets)


def _tiny(c):
    c.data.name = "digits"
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
    c.train.epochs = 5
    c.optim.learning_rate = 5e-3
    c.optim.schedule = "cosine"
    c.optim.warmup = 0.05


def _keras_blog(c):
    c.data.name = "mnist"
    c.data.valid = 1 / 60
    c.train.batch_size = 256
    c.train.epochs = 50
