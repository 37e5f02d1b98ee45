"""Variational autoencoder (Kingma & Welling, arXiv 1312.6114), on binarised images.

The encoder gives a mean and a log standard deviation for each of 20 code units; the code is drawn from that Gaussian,
``z = mean + n exp(log_std)``, so that gradients reach both. The loss, the negative evidence lower bound, has two
terms in nats an image: ``reconstruction``, how badly the drawn code explains the image, and ``kl``, how far the
Gaussian lies from the prior N(0, I), from which new codes can be drawn once both are close.

    python -m aejax.main --config=configs/vae.py          # 3,600 digits, 100 epochs: 26 s on two cores
    python -m aejax.main --config=configs/vae.py:mnist    # 55,000 digits, 10 epochs, as Flax's example: 26 s

``:fixed`` is pythae's check on one binarisation of MNIST, ``:fashion_mnist`` has two layers of 300 and 40 latents: the
row ``likelihood_other`` of ``python -m aejax.studies.results``, at seed 0. Neither reaches what is published. Fixed:
log p(x) is -92.67 nats by 200 samples on all of test, where pythae prints -89.78 in the same setting, of which it keeps
the weights that are best on valid, and on Salakhutdinov's draw of the pixels where we have our own. The bound on valid
falls by .12 in the last 100 of 500 epochs, so that more would not do; 34 of 40 latents are active. Fashion: -233.1
nats, aimed at -230, published -228.7. Without a warm-up 7 of 40 latents are active and it is -235.1 ± 1.7 (standard
error over 2000 images; bound on valid 231.4, with it 230.7): a warm-up over three tenths of the 100 epochs keeps 35.
Not tried: more epochs, wider layers, another rate.

Negative bound on test at seed 0: 108.3 nats, and 102.4 ± .4 over three seeds on the whole of MNIST (Flax's example:
about 104).

``:plane`` has a code of two, ``:beta`` weighs the divergence 4, after a warm-up, ``:free_bits`` spares half a nat a
unit, ``:tcvae`` weighs the total correlation among units 6. ``:pythae`` is the net that pythae's VAE has by default,
784-512-16-512-784, on grey pixels at batch 100: for comparing speed (``python -m aejax.bench vae:pythae``).
"""

from configs.base import base, preset


def get_config(name: str | None = None):
    c = base()
    c.name = "vae"
    c.data.binarise = "dynamic"
    c.encoder.widths = (500,)
    c.decoder.widths = (500,)
    c.code.name = "variational"
    c.code.size = 20
    c.train.batch_size = 128
    c.train.epochs = 100
    return preset(
        c,
        name,
        {
            "tiny": _tiny,
            "mnist": _mnist,
            "fixed": _fixed,
            "fashion_mnist": _fashion_mnist,
            "plane": _plane,
            "beta": _beta,
            "free_bits": _free_bits,
            "tcvae": _tcvae,
            "pythae": _pythae,
        },
    )


def _tiny(c):
    c.data.name = "digits"
    c.encoder.widths = c.decoder.widths = (32,)
    c.code.size = 4
    c.train.epochs = 2


def _mnist(c):
    c.data.name = "mnist"
    c.data.valid = 1 / 12
    c.train.epochs = 10


def _fixed(c):
    c.data.name = "mnist"
    c.data.valid = 1 / 6
    c.data.binarise = "fixed"
    c.encoder.widths = c.decoder.widths = (400,)
    c.code.size = 40
    c.optim.learning_rate = 1e-4
    c.optim.schedule = "step"
    c.optim.milestones = (200 / 500, 350 / 500)
    c.optim.factor = 10 ** (-1 / 5)
    c.train.batch_size = 100
    c.train.epochs = 500


def _fashion_mnist(c):
    c.data.name = "fashion_mnist"
    c.data.valid = 1 / 60
    c.encoder.widths = c.decoder.widths = (300, 300)
    c.code.size = 40
    c.loss.warmup = 0.3
    c.optim.schedule = "cosine"
    c.train.epochs = 100


def _plane(c):
    c.code.size = 2


def _beta(c):
    c.loss.kl = 4.0
    c.loss.warmup = 0.1


def _free_bits(c):
    c.code.free_bits = 0.5


def _tcvae(c):
    c.code.size = 10
    c.loss.total_correlation = 5.0


def _pythae(c):
    c.data.name = "mnist"
    c.data.valid = 1 / 12
    c.data.binarise = "none"
    c.encoder.widths = c.decoder.widths = (512,)
    c.code.size = 16
    c.train.batch_size = 100
    c.train.epochs = 10
