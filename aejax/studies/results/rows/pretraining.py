"""What pretraining is worth to a classifier: with all labels, and with few."""

from aejax.studies.results.definitions import Line, Row, studied

FIVE, THREE = "0,1,2,3,4", "0,1,2"
RIFAI = "Rifai et al. 2011"
FINE_TUNED = {"": "rows/0/ways/fine_tuned/test_accuracy"}
CLASSIFIED = "fine-tuned with all labels, test accuracy, %"
JACOBIAN = ("jacobian", "--images=200")


def contractive(name: str, setting: str, error: float, flat: float | None, *keys: str) -> tuple[Line, ...]:
    """One way of pretraining 1000 tied sigmoid units: accuracy, ‖J‖, and how many units are flat."""
    flags = (f"--seeds={FIVE}", "--labels=all", "--ways=fine_tuned", "--epochs=25")
    flags += ("--learning_rate=1e-2", "--encoder_rate=0.1")
    experiment = studied(name, "pretraining", "contractive.py:mnist", *flags, *(f"--config.{key}" for key in keys))
    runs = "autoencoder_seed*"
    saturated = {"published": {"": flat}, "source": RIFAI} if flat else {}
    at = {"": "saturation/mean_percent"}
    return (
        Line(setting, CLASSIFIED, experiment, FINE_TUNED, published={"": 100 - error}, source=RIFAI),
        Line(setting, "mean ‖J‖, test", experiment, {"": "frobenius/mean"}, JACOBIAN, runs),
        Line(setting, "units saturated, % of the cases, test", experiment, at, JACOBIAN, runs, **saturated),
    )


PLAIN = "loss.contractive=0.0"
KINDS = (
    contractive("contractive", "contractive", 1.14, 86.0),
    contractive("denoising_gaussian", "denoising, Gaussian", 1.18, None, PLAIN, "corruption.name=gaussian"),
    contractive("denoising_masking", "denoising, masking", 1.57, None, PLAIN, "corruption.name=masking"),
    contractive("plain", "plain", 1.78, 50.0, PLAIN),
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
DATA = {"MNIST": ("mnist", 1 / 12), "Fashion-MNIST": ("fashion_mnist", 1 / 12)}
VARIANTS = {
    "plain": ("shallow.py", "optim.schedule=cosine"),
    "denoising": ("denoising.py:masking", "encoder.widths=()", "decoder.widths=()"),
    "contractive": ("contractive.py:mnist",),
    "sparse": ("sparse.py",),
    "k-sparse": ("ksparse.py:mnist",),
    "winner-take-all": ("wta.py:mnist",),
    "variational": ("vae.py:mnist",),
}


RATES = ("--learning_rate=1e-3", "--encoder_rate=0.1")


def few_labels() -> tuple[Line, ...]:
    """The lines: for each data set and number of labels, every variant."""
    common, lines = ("code.size=1000", "train.batch_size=100", "train.epochs=10"), []
    for data, (name, valid) in DATA.items():
        for number, labels in enumerate(("100", "1000")):
            for variant, (config, *keys) in VARIANTS.items():
                sized = common[1:] if variant == "variational" else common
                given = (f"data.name={name}", f"data.valid={valid:.4f}", *sized, *keys)
                flags = ("--labels=100,1000", "--draws=10", "--seeds=0,1", "--steps=2000", *RATES)
                folder = f"few_labels_{variant.replace('-', '_')}_{name}"
                experiment = studied(folder, "pretraining", config, *flags, *(f"--config.{key}" for key in given))
                at = {told: f"rows/{number}/ways/{way}/test_accuracy" for told, way in WAYS.items()}
                lines.append(Line(variant, f"{data}, {labels} labels, test accuracy, %", experiment, at))
    return tuple(lines)


TITLE = "Few labels: pretrained without them, or from scratch; ten draws, two autoencoders"
FEW_LABELS = Row("few_labels", TITLE, few_labels())
