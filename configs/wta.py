"""Fully connected winner-take-all autoencoder (Makhzani & Frey, arXiv 1409.2752).

ReLU units under lifetime sparsity: of every batch of 100, each unit keeps its five largest activations. The
decoder is linear and tied, the error squared. Every unit starts from a bias that makes it win, so none dies
early. Evaluation encodes with plain ReLU, more units than training lets win: its loss is far above the training
loss at first and comes down as the units become selective. Codes for the classifier are these.

    python -m aejax.main --config=configs/wta.py             # 3,600 digits, 1000 units: 33 s on two cores
    python -m aejax.analysis.probe --workdir=runs/wta        # linear SVM: 97.2 ± 0.4 % on codes, 91.7 % on pixels
    python -m aejax.analysis.filters --workdir=runs/wta      # strokes and parts of digits; no dead unit

    python -m aejax.main --config=configs/wta.py:mnist       # 55,000 digits, 2000 units: 6 min
    python -m aejax.analysis.probe --workdir=runs/wta_mnist  # linear SVM: 98.74 ± 0.08 % (paper 98.80), pixels 91.77 %

    python -m aejax.main --config=configs/wta.py:digits      # 1,294 digits of 8x8, 512 units: 5 s
    python -m aejax.analysis.probe --workdir=runs/wta_digits # linear SVM: 98.9 ± 0.1 %, pixels 93.6 %

Test accuracies, C chosen on valid: mean and standard deviation over ``--config.seed`` 0, 1, 2, of 8x8 digits 0 to 4
(``python -m aejax.studies.results winner_take_all``). Of 256 and 512 units there, five folds of valid chose.
"""

from configs.base import base, preset


def get_config(name: str | None = None):
    c = base()
    c.name = "wta"
    c.encoder.kernel_init = "normal"
    c.encoder.bias_init = 1.0
    c.decoder.name = "tied"
    c.code.name = "lifetime"
    c.code.size = 1000
    c.code.rate = 0.05
    c.loss.likelihood = "squared_error"
    c.optim.learning_rate = 3e-3
    c.optim.schedule = "cosine"
    c.checkpoint.best = False  # valid is measured on plain codes, which is not what training lowers
    c.train.batch_size = 100
    c.train.epochs = 150
    return preset(c, name, {"tiny": _tiny, "mnist": _mnist, "digits": _digits})


def _tiny(c):
    c.data.name = "digits"
    c.encoder.bias_init = 0.1
    c.code.size = 32
    c.train.epochs = 2


def _mnist(c):
    c.data.name = "mnist"
    c.data.valid = 1 / 12
    c.code.size = 2000
    c.optim.learning_rate = 1e-3
    c.train.epochs = 50


def _digits(c):
    c.data.name = "digits"
    c.encoder.bias_init = 0.3
    c.code.size = 512
    c.code.rate = 0.07
    c.optim.learning_rate = 1e-2
    c.train.epochs = 300
