"""k-sparse autoencoder (Makhzani & Frey, arXiv 1312.5663): of 1000 linear units, the 25 largest of each example stay.

python -m aejax.main --config=configs/ksparse.py
python -m aejax.main --config=configs/ksparse.py:mnist
"""

from configs.base import base, preset


def get_config(name: str | None = None):
    c = base()
    c.name = "ksparse"
    c.encoder.kernel_init = "normal"
    c.decoder.name = "tied"
    c.code.name = "k_sparse"
    c.code.size = 1000
    c.code.k = 25
    c.code.k_start = 100
    c.loss.likelihood = "squared_error"
    c.optim.schedule = "cosine"
    c.checkpoint.best = False
    c.train.batch_size = 100
    c.train.epochs = 100
    return preset(c, name, {"tiny": _tiny, "mnist": _mnist})


def _tiny(c):
    c.data.name = "digits"
    c.code.size = 32
    c.code.k = 5
    c.code.k_start = 10
    c.train.epochs = 2


def _mnist(c):
    c.data.name = "mnist"
    c.data.valid = 1 / 12
    c.train.epochs = 10
