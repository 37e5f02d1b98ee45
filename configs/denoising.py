"""Denoising autoencoder (Vincent et al., JMLR 11, 2010): the clean image back from one with noise.

The deep net; Gaussian noise of standard deviation 0.2, fresh at every step, clipped to [0, 1]. Evaluation corrupts
nothing. ``:masking`` sets half the pixels to 0 and weighs those three times the others, ``:salt_and_pepper`` sets a
quarter to 0 or 1.

    python -m aejax.main --config=configs/denoising.py                 # 3,600 digits, 30 epochs: 8 s on two cores
    python -m aejax.main --config=configs/denoising.py:notebook        # a course's setting: Fashion-MNIST, 10 epochs
    python -m aejax.main --config=configs/denoising.py:fashion_mnist   # as many epochs at a schedule of our own: 15 s

Cross-entropy per pixel on train in the last epoch, under noise: the row ``course`` of
``python -m aejax.studies.results``. The notebook's noise is drawn once, ours anew at every step.
"""

from configs.base import base, preset


def get_config(name: str | None = None):
    c = base()
    c.name = "denoising"
    c.encoder.widths = (128,)
    c.decoder.widths = (128,)
    c.corruption.name = "clipped_gaussian"
    c.corruption.std = 0.2
    c.optim.learning_rate = 2e-3
    c.optim.schedule = "cosine"
    c.optim.warmup = 0.1
    c.train.batch_size = 32
    c.train.epochs = 30
    return preset(
        c,
        name,
        {
            "tiny": _tiny,
            "notebook": _notebook,
            "fashion_mnist": _fashion_mnist,
            "masking": _masking,
            "salt_and_pepper": _salt_and_pepper,
        },
    )


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
    c.optim.eps = 1e-7  # Keras's


def _fashion_mnist(c):
    c.data.name = "fashion_mnist"
    c.data.valid = 1 / 60
    c.train.epochs = 10


def _masking(c):
    c.corruption.name = "masking"
    c.corruption.rate = 0.5
    c.corruption.emphasis = 1.5
    c.corruption.rest = 0.5


def _salt_and_pepper(c):
    c.corruption.name = "salt_and_pepper"
    c.corruption.rate = 0.25
