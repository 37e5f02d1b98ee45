"""Codes in the plane and codes as hashes: do neighbours have the same class?"""

from aejax.studies.results.definitions import FIVE, THREE, Experiment, Line, Row, studied, trained

NEAREST = "1-NN in two dimensions, test accuracy, %"
BY_CLASS = "1-NN in two dimensions, test accuracy of each digit, %"
MNIST = ("data.name=mnist", "data.valid=0.0833")


def plane(experiment: Experiment, setting: str, kind: str = "codes") -> tuple[Line, Line]:
    """The accuracy of all digits, and of each."""
    each = {str(digit): f"kinds/{kind}/1-NN/accuracy_by_class/{digit}" for digit in range(10)}
    ask = ("neighbours", "--k=1")
    return (
        Line(setting, NEAREST, experiment, {"": f"kinds/{kind}/1-NN/test_accuracy"}, ask),
        Line(setting, BY_CLASS, experiment, each, ask),
    )


LINEAR = "code.activation=linear"  # of two rectified units one is soon silent for good
ALLCONV = trained("plane_allconv", "allconv.py", FIVE, *MNIST, LINEAR, "optim.warmup=0.1", "train.epochs=10")
CONV = trained("plane_conv", "conv.py", FIVE, *MNIST, "code.size=2", "train.epochs=5")
VARIATIONAL = trained("plane_variational", "vae.py:plane", FIVE, *MNIST, "train.epochs=20")
DEEP = trained("plane_deep", "deep.py", FIVE, *MNIST, "code.size=2", LINEAR, "train.epochs=20")
LINES = (
    plane(ALLCONV, "all-convolutional, [1, 2, 1], 10 epochs"),
    plane(CONV, "convolutional, 5 epochs"),
    plane(DEEP, "dense, 784-128-2, 20 epochs"),
    plane(VARIATIONAL, "variational, means, 20 epochs"),
    plane(VARIATIONAL, "principal components", "PCA"),
)
PLANE = Row("plane", "Codes of two numbers on MNIST", tuple(line for both in zip(*LINES, strict=True) for line in both))

SOURCES = {
    "autoencoder": "autoencoder",
    "ITQ": "ITQ",
    "PCA-sign": "PCA-sign",
    "convolutional classifier, 1000 labels": "classifier, 1,000 labels",
}
MEASURES = {
    "mAP, 1000 test queries to all of train": "mean_average_precision",
    "Gini purity of codes that are shared": "purity",
    "test images alone with their code, %": "singletons_percent",
}
FLAGS = ("--labels=1000", f"--seeds={THREE}")
HASHED = {
    "MNIST": studied("hashing_mnist", "hash_sources", "hashing.py:mnist", *FLAGS),
    "Fashion-MNIST": studied("hashing_fashion", "hash_sources", "hashing.py:fashion_mnist", *FLAGS),
}
HASHING = Row(
    "hashing",
    "Semantic hashing, 30 bits, beside hashes of pixels",
    tuple(
        Line(data, measure, experiment, {told: f"rows/source={source}/{where}" for told, source in SOURCES.items()})
        for measure, where in MEASURES.items()
        for data, experiment in HASHED.items()
    ),
)
