"""Classifier made of an encoder, where labels are few: from scratch, or from the weights of a winner-take-all.

    python -m aejax.main --config=configs/classifier.py                # 100 labels, from scratch: 4 s on two cores
    python -m aejax.main --config=configs/wta.py                       # 3,600 digits without labels, then
    python -m aejax.main --config=configs/classifier.py:frozen         # its code as it is, and a head
    python -m aejax.main --config=configs/classifier.py:fine_tuned     # the code learns on, at a tenth of the rate

Test error (``error`` in metrics.jsonl) at seed 0: 24.7 % from scratch, 18.3 % frozen, 19.5 % fine-tuned; the curve on
valid is drawn by ``python -m aejax.analysis.losses``. The head reads the code of 1000 units. With
``classifier.on=hidden`` it stands in place of the encoder's last layer instead, as in ``:hidden``; ``start.workdir``
names the run to start from.
"""

from configs.base import base, preset


def get_config(name: str | None = None):
    c = base()
    c.name = "classifier"
    c.model = "classifier"
    c.data.labels = 100
    c.code.size = 1000
    c.classifier.on = "code"
    c.eval.test = True
    c.checkpoint.best = False
    c.train.batch_size = 20
    c.train.epochs = 100
    return preset(c, name, {"tiny": _tiny, "fine_tuned": _fine_tuned, "frozen": _frozen, "hidden": _hidden})


def _tiny(c):
    c.data.name = "digits"
    c.data.labels = 0
    c.code.size = 32
    c.train.epochs = 2


def _fine_tuned(c):
    c.start.workdir = "runs/wta"
    c.start.parts = ("encoder", "code")
    c.optim.encoder_rate = 0.1


def _frozen(c):
    c.start.workdir = "runs/wta"
    c.start.parts = ("encoder", "code")
    c.optim.freeze = ("encoder",)


def _hidden(c):
    c.classifier.on = "hidden"
    c.encoder.widths = (128,)
    c.code.size = 32
