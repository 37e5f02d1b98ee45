"""Sparse autoencoder by Kullback-Leibler divergence (Ng, CS294A lecture notes): units active a tenth of the time.

python -m aejax.main --config=configs/kl_sparse.py
"""

from configs.base import base, preset


def get_config(name: str | None = None):
    c = base()
    c.name = "kl_sparse"
    c.encoder.activation = "sigmoid"
    c.code.size = 200
    c.code.activation = "sigmoid"
    c.loss.likelihood = "squared_error"
    c.loss.kl_sparsity = 3.0
    c.loss.sparsity = 0.1
    c.loss.weight_decay = 3e-3
    c.train.batch_size = 100
    c.train.epochs = 50
    return preset(c, name, {"tiny": _tiny})


def _tiny(c):
    c.data.name = "digits"
    c.code.size = 32
    c.train.epochs = 2
