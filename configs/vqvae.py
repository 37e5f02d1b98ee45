"""Vector-quantised autoencoder (van den Oord et al., arXiv 1711.00937): maps of entries of a learned codebook.

28-14-7 by strides; each of the 49 places holds one of 128 vectors of 16 numbers. The codebook is a moving average of
what is assigned to its entries, and entries that go out of use restart at codes of the batch.

    python -m aejax.main --config=configs/vqvae.py                 # 3,600 digits, 30 epochs: 15 s on two cores
    python -m aejax.main --config=configs/vqvae.py:fashion_mnist   # 59,000 images, 10 epochs

Cross-entropy per pixel on the test digits at seed 0: .0795, with a perplexity of 40 entries.
"""

from configs.base import base, preset


def get_config(name: str | None = None):
    c = base()
    c.name = "vqvae"
    c.encoder.name = "allconv"
    c.encoder.widths = (32,)
    c.decoder.name = "allconv"
    c.decoder.widths = (32,)
    c.code.name = "vector_quantised"
    c.code.size = 16
    c.code.entries = 128
    c.loss.commitment = 0.25
    c.train.batch_size = 100
    c.train.epochs = 30
    return preset(c, name, {"tiny": _tiny, "fashion_mnist": _fashion_mnist})


def _tiny(c):
    c.data.name = "digits"
    c.encoder.widths = c.decoder.widths = (8,)
    c.code.size = 4
    c.code.entries = 16
    c.train.epochs = 2


def _fashion_mnist(c):
    c.data.name = "fashion_mnist"
    c.data.valid = 1 / 60
    c.train.epochs = 10
