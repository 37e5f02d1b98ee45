"""Which pairs of examples to go between."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from aejax.analysis import selection
from aejax.errors import UserError


def of_classes(labels: np.ndarray, count: int) -> np.ndarray:
    """[count, 2] indices of pairs of different classes, evenly spaced over all pairs of classes in order.

    Every class's images are taken in order, each once as long as they last. The labels [n]
    are of two classes or more; where ``count`` is more than there are pairs of classes, it starts again.
    """
    members = {c: itertools.cycle(np.flatnonzero(labels == c)) for c in np.unique(labels)}
    kinds = list(itertools.combinations(members, 2))
    chosen = [kinds[i] for i in selection.evenly(len(kinds), count)]
    chosen = list(itertools.islice(itertools.cycle(chosen), count))
    return np.array([[next(members[a]), next(members[b])] for a, b in chosen])


def evenly(total: int, count: int) -> np.ndarray:
    """[min(count, ⌊total / 2⌋), 2] indices: an evenly spaced one with another half of them further on."""
    chosen = selection.evenly(total, 2 * min(count, total // 2))
    return chosen.reshape(2, -1).T


def parse(texts: Sequence[str], total: int) -> np.ndarray:
    """``["3:17", "5:9"]`` as [[3, 17], [5, 9]], indices below ``total``.

    Raises:
      UserError: a text is no pair of them.
    """
    pairs = []
    for text in texts:
        numbers = text.split(":")
        if len(numbers) != 2 or not all(n.strip().isdecimal() and int(n) < total for n in numbers):
            pairs = f"pairs of test indices from 0 to {total - 1}, such as 3:17,5:9"
            raise UserError(f"--images={','.join(texts)}: accepted are {pairs}")
        pairs.append([int(n) for n in numbers])
    return np.array(pairs)


def choose(images: Sequence[str], count: int, test: Any) -> tuple[np.ndarray, str]:
    """The pairs [n, 2] of a test split, those of ``--images``, else ``count`` by rule; and the rule in words."""
    if images:
        return parse(images, len(test.images)), "given"
    if test.labels is not None and len(np.unique(test.labels)) > 1:
        return of_classes(np.asarray(test.labels), count), "spread over the classes"
    return evenly(len(test.images), count), "evenly spaced"
