"""k-sparse autoencoder (Makhzani & Frey, arXiv 1312.5663): of 1000 linear units the 25 largest of an example stay.

k falls from 100 to 25 over the first half of training, so that few units die early.

    python -m aejax.main --config=configs/ksparse.py                # 3,600 digits, 100 epochs: 25 s on two cores
    python -m aejax.main --config=configs/ksparse.py:mnist          # 55,000 digits, 10 epochs: 40 s
    python -m aejax.analysis.probe --workdir=runs/ksparse_mnist     # linear SVM: 97.68 %, 91.76 % on pixels

Test accuracies at seed 0, C chosen on valid.
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
    c.data.valid = 1 / 60
    c.code.alpha = 3.0
    c.code.k_share = 0.3
    c.train.batch_size = 50
    c.train.epochs = 10
