"""Fully connected winner-take-all autoencoder (Makhzani & Frey, arXiv 1409.2752, sections 2 and 4.1).

ReLU units under lifetime sparsity: of every batch of 100, each unit keeps its five largest activations. The
decoder is linear and tied, the error squared. Every unit starts from a bias that makes it win, so none dies
early. Codes for the classifier are plain ReLU.

    python -m aejax.main --config=configs/wta.py           # 3,600 digits, 1000 units: @TIME_5K@ on two cores
    python -m aejax.analysis.probe --workdir=runs/wta      # linear SVM: @SVM_5K@ on codes, @PIX_5K@ on pixels
    python -m aejax.analysis.filters --workdir=runs/wta    # strokes; @DEAD_5K@ of 1000 units dead

    python -m aejax.main --config=configs/wta.py:mnist     # 55,000 digits, 2000 units: @TIME_MNIST@
    python -m aejax.analysis.probe --workdir=runs/wta_mnist    # linear SVM: @SVM_MNIST@ (the paper: 98.80); pixels @PIX_MNIST@

    python -m aejax.main --config=configs/wta.py:digits    # 8x8 digits, 256 units: @TIME_DIGITS@
    python -m aejax.analysis.probe --workdir=runs/wta_digits   # linear SVM: @SVM_DIGITS@; pixels @PIX_DIGITS@

Test accuracies: mean and standard deviation over seeds 0, 1, 2 (mnist: seed 0 alone), C chosen on valid.
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
    c.code.size = 256
    c.code.rate = 0.07
    c.optim.learning_rate = 1e-2
    c.train.epochs = 300
