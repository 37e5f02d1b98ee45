"""Reconstruction: a course's notebook, deep nets beside principal components, error against the size of the code."""

from aejax.studies.results.definitions import FIVE, Line, Row, studied, trained

NOTEBOOK = "the course's notebook, Keras"
HINTON = "Hinton & Salakhutdinov 2006"

LAST_EPOCH = {"": "final/train/reconstruction_per_pixel"}
PIXEL = "cross-entropy a pixel, train, last epoch"


def of_notebook(net: str, published: float, setting: str) -> tuple[Line, Line]:
    """The notebook's net at the notebook's schedule, and at our own."""
    source = {"published": {"": published}, "source": NOTEBOOK}
    given = trained(f"{net}_notebook", f"{net}.py:notebook", FIVE)
    own = trained(f"{net}_own_schedule", f"{net}.py:fashion_mnist", FIVE)
    return (
        Line(f"{setting}, its schedule", PIXEL, given, LAST_EPOCH, ("losses",), **source),
        Line(f"{setting}, our schedule", PIXEL, own, LAST_EPOCH, ("losses",), **source),
    )


COURSE = Row(
    "course",
    "Reconstruction, as a course's notebook and Keras's blog have it",
    (
        *of_notebook("shallow", 0.2835, "Fashion-MNIST, 784-32-784, 5 epochs"),
        *of_notebook("deep", 0.2729, "Fashion-MNIST, 784-128-32-128-784, 10 epochs"),
        *of_notebook("denoising", 0.2791, "the same under noise of .2, 10 epochs"),
        Line(
            "MNIST, 784-32-784, batch 256, 50 epochs",
            "cross-entropy a pixel, test",
            trained("keras_blog", "shallow.py:keras_blog", FIVE),
            {"": "final/test/reconstruction_per_pixel"},
            ("losses",),
            published={"": 0.0918},
            source="Keras's blog",
        ),
    ),
)

ERROR = "squared error an image, test"
CURVES = studied("deep", "capacity", "deep.py:hinton", "--sizes=2,30", "--seeds=0", "--resamples=0")

DEEP = Row(
    "deep",
    "784-1000-500-250-code on MNIST, GELU units, without pretraining, beside principal components",
    (
        Line(
            "30 code units",
            ERROR,
            CURVES,
            {"": "rows/size=30/squared_error/test"},
            published={"": 3.0},
            source=HINTON,
        ),
        Line(
            "30 principal components",
            ERROR,
            CURVES,
            {"": "rows/size=30/principal_components/test"},
            published={"": 13.87},
            source=HINTON,
        ),
        Line("2 code units", ERROR, CURVES, {"": "rows/size=2/squared_error/test"}),
        Line("2 principal components", ERROR, CURVES, {"": "rows/size=2/principal_components/test"}),
    ),
)

SIZES = (5, 20, 35, 50, 65, 80, 95)
SHALLOW = studied("capacity", "capacity", "shallow.py:fashion_mnist", f"--seeds={FIVE}", "--resamples=5")


def by_size(name: str, where: str) -> Line:
    """A figure at every size of the code."""
    at = {f"n={size}": f"rows/size={size}/{where}" for size in SIZES}
    return Line(name, ERROR, SHALLOW, at)


CAPACITY = Row(
    "capacity",
    "Error against code size, Fashion-MNIST, 784-n-784, 5 epochs",
    (
        by_size("n units", "squared_error/test"),
        by_size("n principal components", "principal_components/test"),
        by_size("bias², five bootstrap samples", "by_resampling/bias_squared"),
        by_size("variance", "by_resampling/variance"),
    ),
)
