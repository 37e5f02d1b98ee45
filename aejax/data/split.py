"""Cuts the splits that a source lacks.

The rule, the same on every machine and in every version of NumPy:

1. Test comes first: a share ``data.test`` of each class of train, where the source has no test split; then
   valid, a share ``data.valid`` of each class of what is left of train. Without labels all is one class.
2. From n examples, round(share · n) are cut (a half rounds up), and at least one unless the share is 0. Each
   class gives the whole part of its share; what is still missing comes one each from the classes with the
   largest fractional part, the lower label first where they are equal.
3. Which of a class: those with the smallest 64-bit draws, in order, from PCG64 seeded with
   ``[data.split_seed, crc32(the split's name), label]``. So a larger share contains every smaller one.
4. Both sides keep the source's order.
"""

import math
import zlib
from fractions import Fraction

import numpy as np
from ml_collections import ConfigDict

from aejax.data.dataset import Dataset, Source, Split
from aejax.errors import UserError


def check(data: ConfigDict) -> None:
    """Refuses shares outside [0, 1) and a negative seed.

    Raises:
      UserError: names the key.
    """
    for key in ("test", "valid"):
        if not 0 <= data[key] < 1:
            raise UserError(f"data.{key}={data[key]}: a share of each class, at least 0 and below 1")
    if data.split_seed < 0:
        raise UserError(f"data.split_seed={data.split_seed}: a whole number, at least 0")


def complete(name: str, source: Source, *, test: float, valid: float, seed: int) -> Dataset:
    """The source with the splits that it lacks cut from its train split.

    Raises:
      UserError: nothing is left to train on.
    """
    parts = dict(source.parts)
    train = parts.pop("train")
    for part, share in (("test", test), ("valid", valid)):
        if part not in parts:
            parts[part], train = cut(train, share, seed, part)
    if not len(train):
        n = len(source.parts["train"])
        raise UserError(
            f"data.test={test} and data.valid={valid} leave none of the {n} training examples of {name} to train on; "
            "lower a share (0 cuts nothing) or give more data"
        )
    return Dataset(name, train, parts["valid"], parts["test"], source.classes)


def cut(train: Split, share: float, seed: int, part: str) -> tuple[Split, Split]:
    """(the part cut off, what is left of train), both in the source's order."""
    labels = np.zeros(len(train), np.int32) if train.labels is None else train.labels
    mask = chosen(labels, share, seed, part)
    if not mask.any():  # no copy of train for nothing
        return _rows(train, slice(0, 0)), train
    return _rows(train, mask), _rows(train, ~mask)


def chosen(labels: np.ndarray, share: float, seed: int, part: str) -> np.ndarray:
    """Which examples the rule above cuts off: [n] int labels -> [n] bool."""
    mask = np.zeros(len(labels), bool)
    classes, counts = np.unique(labels, return_counts=True)
    for label, number in zip(classes.tolist(), quotas(counts.tolist(), share), strict=True):
        if number:
            rows = np.flatnonzero(labels == label)
            # Of NumPy's random streams only the bit generators' are promised to stay, so no Generator here.
            bits = np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(part.encode()), label]))
            mask[rows[np.argsort(bits.random_raw(len(rows)), kind="stable")[:number]]] = True
    return mask


def quotas(counts: list[int], share: float) -> list[int]:
    """How many examples each class gives, by largest remainder."""
    exact = [Fraction(str(share)) * count for count in counts]  # the decimal that the user wrote: .29 · 100 is 29
    number = [math.floor(quota) for quota in exact]
    total = math.floor(sum(exact) + Fraction(1, 2))
    missing = max(total, 1 if share else 0) - sum(number)
    by_remainder = sorted(range(len(exact)), key=lambda i: (number[i] - exact[i], i))
    for i in by_remainder[:missing]:
        number[i] += 1
    return number


def _rows(split: Split, rows) -> Split:
    return Split(split.images[rows], None if split.labels is None else split.labels[rows])
