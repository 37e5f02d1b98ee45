"""k-sparse autoencoder (Makhzani & Frey, arXiv 1312.5663): of 1000 linear units the 25 largest of an example stay.

k falls from 100 to 25 over the first half of training, so that few units die early (``:mnist``: three tenths).

    python -m aejax.main --config=configs/ksparse.py                # 3,600 digits, 100 epochs: 25 s on two cores
    python -m aejax.main --config=configs/ksparse.py:mnist --config.sweep.seed=0,1,2   # 59,000 digits, 10 epochs: 2 min
    python -m aejax.studies.results k_sparse                        # linear SVM: 98.2 ± 0.1 %, 91.68 % on pixels

Test accuracies over seeds 0, 1 and 2, C chosen on valid; 98.4 % was aimed at, and the paper has 98.65 %. Tried, and
compared on valid: batches of 25 to 1000, rates from 3e-4 to 3e-3, 4 to 40 epochs, k falling over a tenth to nine tenths
of training; as features the 25, 50, 75, 125 and 200 largest, the last three alike; k of 40 and 60; a tenth to three
tenths of the input masked; pixels centred, contrast-normalised, whitened (ZCA). None was better. Not tried: the paper's
plain gradient descent over thousands of epochs.
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
