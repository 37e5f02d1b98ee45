"""Stacked denoising autoencoder (Vincent et al., JMLR 11, 2010): tied sigmoid layers, trained one after another.

Each layer learns to undo the masking of a quarter of its own input, which are the clean codes of the layer below; the
stack then starts from their weights and learns as a whole. Layers are runs of their own in ``layer_1``, ``layer_2``, …
of the workdir.

    python -m aejax.main --config=configs/stacked.py         # 784-500-250-100, 3,600 digits: 19 s on two cores in all
    python -m aejax.main --config=configs/stacked.py:mnist   # 784-1000-1000-1000, 59,000 digits

``:mnist`` is what the row ``stacked`` of ``python -m aejax.studies.results`` fine-tunes: over seeds 0, 1 and 2 98.63 ±
.04 % of test is right, and 98.43 ± .04 % without noise (paper 98.72 and 98.60). The classifier's rate of 1e-3, its 20
epochs and the 15 of a layer are what the row has an hour for; none was compared with another.

Cross-entropy per pixel on the clean test digits at seed 0: .1086.
"""

from configs.base import base, preset


def get_config(name: str | None = None):
    c = base()
    c.name = "stacked"
    c.encoder.widths = (500, 250)
    c.encoder.activation = "sigmoid"
    c.decoder.name = "tied"
    c.decoder.activation = "sigmoid"
    c.code.size = 100
    c.code.activation = "sigmoid"
    c.corruption.name = "masking"
    c.corruption.rate = 0.25
    c.greedy.epochs = 20
    c.train.batch_size = 100
    c.train.epochs = 30
    return preset(c, name, {"tiny": _tiny, "mnist": _mnist})


def _tiny(c):
    c.data.name = "digits"
    c.encoder.widths = (32, 16)
    c.code.size = 8
    c.greedy.epochs = 2
    c.train.epochs = 2


def _mnist(c):
    c.data.name = "mnist"
    c.data.valid = 1 / 60
    c.encoder.widths = (1000, 1000)
    c.code.size = 1000
    c.greedy.epochs = 15
