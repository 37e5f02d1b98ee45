"""Log-likelihoods of variational and importance weighted autoencoders."""

from aejax.studies.results.definitions import Line, Row, trained

BURDA = "Burda et al. 2015, 3280 epochs"
NATS = "log p(x), test, nats"
LOG_P = {"": "log_likelihood/nats"}
BY = "by 5000 samples on 2000 images"
ASK = ("likelihood", "--samples=5000", "--images=2000")


def bound(name: str, samples: int, published: float, epochs: int, preset: str = "mnist", platform: str = "") -> Line:
    """The net of one stochastic layer, trained on the bound of so many samples."""
    keys = (f"code.samples={samples}", f"train.epochs={epochs}")
    experiment = trained(name, f"iwae.py:{preset}", "0", *keys, platform=platform)
    setting = f"{'VAE' if samples == 1 else f'IWAE, {samples} samples'}, {epochs} epochs"
    return Line(setting, NATS, experiment, LOG_P, ASK, published={"": published}, source=BURDA)


LIKELIHOOD = Row(
    "likelihood",
    "Log-likelihood of MNIST, dynamically binarised, 784-200-200-50, by 5000 samples on 2000 test images",
    (
        bound("vae_1", 1, -86.76, 150),
        bound("iwae_5", 5, -85.54, 80),
        bound("iwae_50", 50, -84.78, 25),
        bound("vae_1_paper", 1, -86.76, 3280, "paper", platform="gpu"),
        bound("iwae_5_paper", 5, -85.54, 3280, "paper", platform="gpu"),
        bound("iwae_50_paper", 50, -84.78, 3280, "paper", platform="gpu"),
    ),
)

OTHER = Row(
    "likelihood_other",
    "Log-likelihood in other settings",
    (
        Line(
            "MNIST, one fixed binarisation, 784-400-40, 500 epochs, by 200 samples on all of test",
            NATS,
            trained("vae_fixed", "vae.py:fixed", "0"),
            LOG_P,
            ("likelihood", "--samples=200", "--images=0"),
            published={"": -89.78},
            source="pythae's check",
        ),
        Line(
            "MNIST, 784-500-20, 10 epochs",
            "bound on −log p(x), test, nats",
            trained("vae_flax", "vae.py:mnist", "0,1,2"),
            {"": "final/test/loss"},
            ("losses",),
            published={"": 104.0},
            source="Flax's example, about",
        ),
        Line(
            f"784-300-300-40, 100 epochs, {BY}",
            "log p(x) of Fashion-MNIST, dynamically binarised, test, nats",
            trained("vae_fashion", "vae.py:fashion_mnist", "0"),
            LOG_P,
            ASK,
            published={"": -228.7},
            source="a secondary text",
        ),
    ),
)
