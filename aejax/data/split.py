"""Cuts the splits that a source lacks, and cuts train down to so many labelled examples.

The rule, the same on every machine and in every version of NumPy:

1. Test comes first: a share ``data.test`` of each class of train, where the source has no test split; then
   valid, a share ``data.valid`` of each class of what is left of train. Without labels all is one class.
2. From n examples, round(share · n) are cut (a half rounds up), and at least one unless the share is 0. Each
   class gives the whole part of its share; what is still missing comes one each from the classes with the
   largest fractional part, the lower label first where they are equal.
3. Which of a class: those with the smallest 64-bit draws, in order, from PCG64 seeded with
   ``[data.split_seed, crc32(the split's name), label]``. So a larger share contains every smaller one.
4. Both sides keep the source's order.

``data.labels`` then keeps so many examples of train. Each class gives as many as every other; where they do not come
out even, the lower labels give one more, and where a class has too few, the others give more. Which of a class is
rule 3, under the name ``labels``: so a larger number contains every smaller one.
"""

import dataclasses
import math
import zlib
from fractions import Fraction

import numpy as np
from ml_collections import ConfigDict

from aejax.data.dataset import Dataset, Source, Split
from aejax.errors import UserError


def check(data: ConfigDict) -> None:
    """Refuses shares outside [0, 1), a negative seed and a negative number of labels.

    Raises:
      UserError: names the key.
    """
    for key in ("test", "valid"):
        if not 0 <= data[key] < 1:
            raise UserError(f"data.{key}={data[key]}: a share of each class, at least 0 and below 1")
    if data.split_seed < 0:
        raise UserError(f"data.split_seed={data.split_seed}: a whole number, at least 0")
    if data.labels < 0:
        raise UserError(f"data.labels={data.labels}: how many labelled training examples to keep; 0 keeps all")


def complete(name: str, source: Source, *, test: float, valid: float, seed: int, labels: int = 0) -> Dataset:
    """The source with the splits that it lacks cut from its train split, of which ``labels`` examples stay (0: all).

    What a source learns from train (``Source.finish``) it learns before ``labels``: from the examples that are left
    out too, as a run without labels does.

    Raises:
      UserError: nothing is left to train on, or there are not so many labelled examples.
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
    dataset = Dataset(name, train, parts["valid"], parts["test"], source.classes)
    if source.finish:
        dataset = source.finish(dataset)
    return dataclasses.replace(dataset, train=keep(name, dataset.train, labels, seed)) if labels else dataset


def cut(train: Split, share: float, seed: int, part: str) -> tuple[Split, Split]:
    """(the part cut off, what is left of train), both in the source's order."""
    labels = np.zeros(len(train), np.int32) if train.labels is None else train.labels
    mask = chosen(labels, share, seed, part)
    if not mask.any():  # no copy of train for nothing
        return train.rows(slice(0, 0)), train
    return train.rows(mask), train.rows(~mask)


def keep(name: str, train: Split, number: int, seed: int) -> Split:
    """So many labelled examples, as equal a number a class as can be.

    Raises:
      UserError: there are no labels, or not so many examples.
    """
    if train.labels is None:
        raise UserError(f"data.labels={number}: {name} has no labels; leave it at 0")
    if number > len(train):
        raise UserError(f"data.labels={number}: train has {len(train)} examples; accepted: 1 to that, or 0 for all")
    counts = np.unique(train.labels, return_counts=True)[1].tolist()
    return train.rows(_drawn(train.labels, even(counts, number), seed, "labels"))


def chosen(labels: np.ndarray, share: float, seed: int, part: str) -> np.ndarray:
    """Which examples the rule above cuts off: [n] int labels -> [n] bool."""
    counts = np.unique(labels, return_counts=True)[1].tolist()
    return _drawn(labels, quotas(counts, share), seed, part)


def _drawn(labels: np.ndarray, numbers: list[int], seed: int, part: str) -> np.ndarray:
    """Rule 3: so many of each class that occurs, in ascending order of the labels -> [n] bool."""
    mask = np.zeros(len(labels), bool)
    for label, number in zip(np.unique(labels).tolist(), numbers, strict=True):
        if number:
            rows = np.flatnonzero(labels == label)
            # Of NumPy's random streams only the bit generators' are promised to stay, so no Generator here.
            bits = np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(part.encode()), label]))
            mask[rows[np.argsort(bits.random_raw(len(rows)), kind="stable")[:number]]] = True
    return mask


def even(counts: list[int], total: int) -> list[int]:
    """``total`` examples over classes with so many each, as equal a number a class as can be."""
    level = next(n for n in range(max(counts) + 1) if sum(min(count, n) for count in counts) >= total)
    numbers = [min(count, max(level - 1, 0)) for count in counts]
    larger = [i for i, count in enumerate(counts) if count >= level]  # who can give one more than that
    for i in larger[: total - sum(numbers)]:
        numbers[i] += 1
    return numbers


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
