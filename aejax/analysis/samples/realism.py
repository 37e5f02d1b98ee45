"""How like the data is what was drawn, and is any of it new?"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aejax.analysis import nearest_images

COPY = 0.5  # of the distance of new examples, below which what is drawn are copies


def shares(real: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """``nearest_images.precision_and_recall`` of other [m, ...] for real [n, ...], and their harmonic mean: percent."""
    precision, recall = nearest_images.precision_and_recall(real, other)
    total = precision + recall
    f = 2 * precision * recall / total if total > 0 else 0.0
    return {"precision_percent": 100 * precision, "recall_percent": 100 * recall, "f_percent": 100 * f}


def tallied(labels: np.ndarray, rows: np.ndarray, names: Sequence[str]) -> tuple[dict[str, float], float]:
    """The percentage of each class among the training examples ``rows`` that are nearest to what was drawn, and how far
    that is from train's: ½ Σ |p − q| in percent, 0 for the same shares, 100 for none in common."""
    p, q = (100 * np.bincount(y, minlength=len(names)) / len(y) for y in (labels[rows], labels))
    return dict(zip(names, p, strict=True)), float(np.abs(p - q).sum() / 2)


def compare(drawn: np.ndarray, distances: np.ndarray, fresh: Mapping, references: Mapping) -> dict[str, Any]:
    """The scores of what was drawn [n, ...], against ``test`` examples and against their ``reconstructions``.

    Against the test examples all faults count; against their reconstructions, which have
    the decoder's, those of the density alone, as if its codes were real ones.

    Args:
      drawn: at the scale of the decoder's means.
      distances: [n] to the nearest training example.
      fresh: both kinds [n, ...] by name.
      references: the same of their distances [n] to the nearest training example.

    Returns:
      ``against_test`` and ``against_reconstructions`` (``shares``); ``to_train``, the mean distance to train, and that
      over the references', ``over_test`` and ``over_reconstructions``; ``closer_than_1_percent_of_test_percent``: how
      many are closer to train than the closest hundredth of the test examples; and whether they are ``copies``: less
      than ``COPY`` as far as the test examples. (Blur alone does not do it: of pure noise, the mean is 0.7 times as far
      from an example as another example.)
    """
    against = {f"against_{name}": shares(examples, drawn) for name, examples in fresh.items()}
    over = {f"over_{name}": distances.mean() / max(away.mean(), 1e-12) for name, away in references.items()}
    return {
        **against,
        "to_train": distances.mean(),
        **over,
        "closer_than_1_percent_of_test_percent": 100 * np.mean(distances < np.quantile(references["test"], 0.01)),
        "copies": bool(over["over_test"] < COPY),
    }
