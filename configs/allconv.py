"""All-convolutional autoencoder with a code of two numbers, [n, 1, 2, 1]: no dense layer anywhere.

16 filters of 3x3 a layer, ReLU after each, and a factor of 2: 28-14-7-4-2-(1, 2) by max-pooling, and back by transposed
convolutions.

    python -m aejax.main --config=configs/allconv.py                 # 3,600 digits, 30 epochs: 18 s on two cores
    python -m aejax.main --config=configs/allconv.py:fashion_mnist   # 59,000 images, 10 epochs

Cross-entropy per pixel on the test digits at seed 0: .2242; both numbers are above 0 for nearly every digit. A ReLU
code can start dead: then try another ``--config.seed``. A linear one is not, but layers behind it can be: on MNIST so
at seed 3 of five, which ``--config.optim.warmup=0.1`` keeps alive (``python -m aejax.studies.results plane`` has it).
"""

from configs.base import base, preset


def get_config(name: str | None = None):
    c = base()
    c.name = "allconv"
    c.encoder.name = "allconv"
    c.encoder.widths = (16, 16, 16, 16)
    c.encoder.resample = "max_pool"
    c.encoder.map = (1, 2)
    c.decoder.name = "allconv"
    c.decoder.widths = (16, 16, 16, 16)
    c.decoder.resample = "transpose"
    c.code.size = 1
    c.optim.learning_rate = 2e-3
    c.optim.schedule = "cosine"
    c.train.batch_size = 64
    c.train.epochs = 30
    return preset(c, name, {"tiny": _tiny, "fashion_mnist": _fashion_mnist})


def _tiny(c):
    c.data.name = "digits"
    c.encoder.widths = c.decoder.widths = (4, 4)
    c.train.epochs = 2


def _fashion_mnist(c):
    c.data.name = "fashion_mnist"
    c.data.valid = 1 / 60
    c.train.epochs = 10
