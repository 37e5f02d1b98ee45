"""Shallow autoencoder, 784-32-784: one ReLU layer into the code, one sigmoid layer out of it.

    python -m aejax.main --config=configs/shallow.py                  # 3,600 digits, 20 epochs: 3 s on two cores
    python -m aejax.main --config=configs/shallow.py:fashion_mnist    # 59,000 images, 5 epochs: 5 s

Cross-entropy per pixel (``reconstruction_per_pixel`` in metrics.jsonl): .1116 on the test digits at seed 0; on
Fashion-MNIST .2836 ± .0002 on train in the fifth epoch, noise of the moving weights included, as Keras
prints it (seeds 0, 1, 2). Kernels and optimiser start as Keras's do.
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
