"""What pretraining is worth to a classifier: with all labels, and with few."""

from aejax.studies.results.definitions import FIVE, THREE, Experiment, Line, Row, studied

RIFAI = "Rifai et al. 2011"
FINE_TUNED = {"": "rows/0/ways/fine_tuned/test_accuracy"}
CLASSIFIED = "fine-tuned with all labels, test accuracy, %"
NORM = "mean ‖J‖ at test images, over that of plain units"
JACOBIAN = ("jacobian", "--images=200")


def units(name: str, *keys: str) -> Experiment:
    """One way of pretraining 1000 tied sigmoid units, over seeds; then fine-tuned."""
    flags = (f"--seeds={FIVE}", "--labels=all", "--ways=fine_tuned", "--epochs=20")
    flags += ("--learning_rate=1e-2", "--encoder_rate=0.1", *(f"--config.{key}" for key in keys))
    return studied(name, "pretraining", "contractive.py:mnist", *flags)


NO_PENALTY = "loss.contractive=0.0"
PLAIN = units("plain", NO_PENALTY)


def contractive(
    setting: str, experiment: Experiment, error: float, norm: float, flat: float | None = None
) -> tuple[Line, ...]:
    """Accuracy, ‖J‖ over that of plain units, and how many units are flat; with Rifai's figures of all three."""
    runs, source = {"runs": "autoencoder_seed*"}, {"source": RIFAI}
    ratio = {"published": {"": round(norm / 17.5, 3)}, "over": PLAIN}
    saturated = {"published": {"": flat}, **source} if flat else {}
    at = {"": "saturation/mean_percent"}
    return (
        Line(setting, CLASSIFIED, experiment, FINE_TUNED, published={"": 100 - error}, **source),
        Line(setting, NORM, experiment, {"": "frobenius/mean"}, JACOBIAN, **runs, **source, **ratio),
        Line(setting, "units saturated, % of the cases, test", experiment, at, JACOBIAN, **runs, **saturated),
    )


GAUSSIAN = units("denoising_gaussian", NO_PENALTY, "corruption.name=gaussian")
MASKING = units("denoising_masking", NO_PENALTY, "corruption.name=masking")
KINDS = (
    contractive("contractive", units("contractive"), 1.14, 0.73, 86.0),
    contractive("denoising, Gaussian, .2", GAUSSIAN, 1.18, 0.86),
    contractive("denoising, masking, 25 %", MASKING, 1.57, 7.87),
    contractive("plain", PLAIN, 1.78, 17.5, 50.0),
)

CONTRACTIVE = Row(
    "contractive",
    "Contractive, denoising and plain, 1000 tied sigmoid units on MNIST",
    tuple(line for lines in zip(*KINDS, strict=True) for line in lines),
)


def stack(name: str, setting: str, error: float, *keys: str) -> Line:
    """A stack of three layers, trained one after another, then as a classifier."""
    flags = (f"--seeds={THREE}", "--labels=all", "--ways=fine_tuned", "--learning_rate=1e-3", "--epochs=20")
    keys = ("train.epochs=0", "optim.schedule=cosine", *keys)
    experiment = studied(name, "pretraining", "stacked.py:mnist", *flags, *(f"--config.{key}" for key in keys))
    published = {"published": {"": 100 - error}, "source": "Vincent et al. 2010"}
    return Line(setting, CLASSIFIED, experiment, FINE_TUNED, **published)


STACKED = Row(
    "stacked",
    "Stacked, three layers of 1000 sigmoid units on MNIST",
    (
        stack("stacked_denoising", "denoising, masking 25 %", 1.28),
        stack("stacked_plain", "without noise", 1.40, "corruption.name=none"),
    ),
)

WAYS = {"scratch": "scratch", "frozen": "frozen", "fine-tuned": "fine_tuned"}
DATA = {"MNIST": "mnist", "Fashion-MNIST": "fashion_mnist"}
WIDE = "code.size=1000"
VARIANTS = {
    "plain": ("shallow.py", WIDE, "optim.schedule=cosine"),
    "denoising": ("denoising.py:masking", WIDE, "encoder.widths=()", "decoder.widths=()"),
    "contractive": ("contractive.py:mnist", WIDE),
    "sparse": ("sparse.py", WIDE),
    "k-sparse": ("ksparse.py:mnist", WIDE),
    "winner-take-all": ("wta.py:mnist", WIDE),
    "variational, 500-20": ("vae.py:mnist",),
}
ALIKE = ("data.valid=0.0833", "train.batch_size=100", "train.epochs=10")
BOTH = ("--labels=100,1000", "--draws=10", "--seeds=0,1", "--steps=1000", "--learning_rate=1e-3", "--encoder_rate=0.1")


def few(variant: str, name: str) -> Experiment:
    """A variant pretrained on all of a data set, and classifiers of few of its labels."""
    config, *keys = VARIANTS[variant]
    folder = f"few_labels_{variant.partition(',')[0].replace('-', '_')}_{name}"
    given = (f"--config.{key}" for key in (f"data.name={name}", *ALIKE, *keys))
    return studied(folder, "pretraining", config, *BOTH, *given)


def few_labels() -> tuple[Line, ...]:
    """The lines: for each data set and number of labels, every variant."""
    return tuple(
        Line(
            variant,
            f"{data}, {labels} labels, test accuracy, %",
            few(variant, name),
            {told: f"rows/{number}/ways/{way}/test_accuracy" for told, way in WAYS.items()},
        )
        for data, name in DATA.items()
        for number, labels in enumerate((100, 1000))
        for variant in VARIANTS
    )


TITLE = "Few labels: pretrained without them, or from scratch; ten draws, two autoencoders"
FEW_LABELS = Row("few_labels", TITLE, few_labels())
