"""What to show of many: rules that do not pick the good ones."""

import numpy as np


def evenly(total: int, count: int) -> np.ndarray:
    """[min(count, total)] indices, evenly spaced from 0 to total - 1, both ends among them (one alone: the first)."""
    return np.linspace(0, total - 1, min(count, total)).round().astype(int)


def by_class(labels: np.ndarray, count: int) -> np.ndarray:
    """Indices of the first examples of each class, as equal a number of each as can be, sorted by class.

    With fewer images than classes, evenly spaced classes get one each; a class that
    has too few examples leaves its places to the others, lowest class first.

    Args:
      labels: [n] integers.
      count: how many to choose; all n where n is smaller.
    """
    classes = np.unique(labels)
    if count < len(classes):
        classes = classes[evenly(len(classes), count)]
    # Rank every example within its class, then take the lowest ranks: one of each class, two of each, ...
    members = [np.flatnonzero(labels == c) for c in classes]
    index = np.concatenate(members)
    rank = np.concatenate([np.arange(len(m)) for m in members])
    chosen = index[np.argsort(rank, kind="stable")[:count]]
    return chosen[np.lexsort((chosen, labels[chosen]))]


def subset(labels: np.ndarray | None, total: int, most: int) -> np.ndarray:
    """Which of ``total`` examples to take where they are more than ``most``: as many of each class of the labels
    [total], or evenly spaced without; sorted."""
    if total <= most:
        return np.arange(total)
    return evenly(total, most) if labels is None else np.sort(by_class(np.asarray(labels), most))


def over_ranking(score: np.ndarray, count: int) -> np.ndarray:
    """``count`` indices evenly spaced over the ranking by ``score`` [n], highest first, both ends among them."""
    order = np.argsort(-score, kind="stable")
    return order[evenly(len(order), count)]


def largest(score: np.ndarray, count: int) -> np.ndarray:
    """The indices of the ``count`` largest of ``score`` [n], largest first; ties in index order."""
    return np.argsort(-score, kind="stable")[:count]
