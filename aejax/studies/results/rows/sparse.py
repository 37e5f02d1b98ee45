"""Sparse codes: what a linear classifier makes of them, and how many of their units die."""

from aejax.studies.results.definitions import FIVE, THREE, Experiment, Line, Row, trained

WTA = "Makhzani & Frey 2015"
SVM, PROBE = {"": "svm/codes/test_accuracy"}, ("probe", "--classifiers=svm")
MEASURE = "linear SVM on codes, test accuracy, %"



def classified(setting: str, experiment: Experiment, published: float | None = None, source: str = "") -> Line:
    """What a linear SVM makes of the codes, beside what is published."""
    known = {} if published is None else {"": published}
    return Line(setting, MEASURE, experiment, SVM, PROBE, published=known, source=source)


WINNER_TAKE_ALL = Row(
    "winner_take_all",
    "Winner-take-all, fully connected",
    (
        classified(
            "MNIST, 2000 units, lifetime sparsity 5 %", trained("wta_mnist", "wta.py:mnist", THREE), 98.8, WTA
        ),
        classified(
            "8×8 digits, 512 units, 7 %",
            trained("wta_digits", "wta.py:digits", FIVE),
            99.0,
            "a reimplementation, 256 units",
        ),
    ),
)

K_SPARSE = Row(
    "k_sparse",
    "k-sparse, and convolutional winner-take-all",
    (
        classified(
            "MNIST, k-sparse, 1000 units, k 25, the 75 largest as features",
            trained("ksparse_mnist", "ksparse.py:mnist", THREE),
            98.65,
            "Makhzani & Frey 2013",
        ),
        classified("MNIST, winner-take-all, 16 maps", trained("conv_wta_16", "conv_wta.py:mnist", "0")),
        classified(
            "MNIST, winner-take-all, 128 maps", trained("conv_wta_128", "conv_wta.py:maps128", "0", platform="gpu")
        ),
    ),
)

DICTIONARY = ("code.size=4096", "data.name=mnist5k")
DEAD = {"": "final/train/dead_share"}
SHARE = "share of the units silent for an epoch"

DEAD_UNITS = Row(
    "dead_units",
    "TopK, 4096 units, 32 active, 3,600 digits",
    (
        Line(
            "encoder starts as the dictionary's transpose, AuxK of weight 1/4 (the paper's 1/32)",
            SHARE,
            trained("topk_with", "topk.py", THREE, *DICTIONARY),
            DEAD,
            ("losses",),
            published={"": 0.07},
            source="Gao et al. 2024, language model",
        ),
        Line(
            "neither, and atoms of any norm",
            SHARE,
            trained("topk_without", "topk.py", THREE, *DICTIONARY, "loss.aux_k=0.0", "decoder.name=mlp"),
            DEAD,
            ("losses",),
            published={"": 0.9},
            source="Gao et al. 2024, at most",
        ),
    ),
)
