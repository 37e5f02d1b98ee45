"""Cuts the splits that a source lacks, cuts train down to so many labelled examples, and draws it anew.

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
rule 3, under the name ``labels`` (``labels 7`` where ``data.labels_seed`` is 7): so a larger number contains every
smaller one.

With ``data.folds`` there is cross-validation in place of rule 1's valid: train and valid, the source's own or all that
test leaves, are one, in that order. Each class is put into the order of its draws (rule 3, under the name ``folds``)
and dealt out to the parts in turn, each class going on where the one before it ended; so the parts differ by one
example at most, in all and in each class. Part ``data.fold`` is valid, the others are train.

With ``data.resample`` train, as all of this left it, is then drawn from itself with replacement, as many examples as it
has: a bootstrap sample. Draw i, of PCG64 seeded with ``[data.resample, crc32("resample")]``, modulo n is a row.

A source that does not fit in memory (see ``records``) is cut by the same rule where its labels do, as those of an image
folder. Where its examples have none, or have them in their records alone, classes play no part: the examples are put
into an order that is drawn by ``data.split_seed`` and the split's name, without an index (see ``shuffle``), and the
first of them are cut off. ``data.labels``, ``data.folds`` and ``data.resample`` are then refused.
"""

import dataclasses
import math
import zlib
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from ml_collections import ConfigDict

from aejax.data.dataset import Dataset, Source, Split
from aejax.data.records import Records
from aejax.errors import UserError


def check(data: ConfigDict) -> None:
    """Refuses shares outside [0, 1), negative seeds and numbers, and a fold that there is not.

    Raises:
      UserError: names the key.
    """
    for key in ("test", "valid"):
        if not 0 <= data[key] < 1:
            raise UserError(f"data.{key}={data[key]}: a share of each class, at least 0 and below 1")
    for key in ("split_seed", "labels_seed", "resample"):
        if data[key] < 0:
            raise UserError(f"data.{key}={data[key]}: a whole number, at least 0")
    if data.labels < 0:
        raise UserError(f"data.labels={data.labels}: how many labelled training examples to keep; 0 keeps all")
    if data.labels_seed and not data.labels:
        raise UserError(f"data.labels_seed={data.labels_seed}: read with data.labels above 0 alone; leave it at 0")
    if data.folds < 0 or data.folds == 1:
        raise UserError(f"data.folds={data.folds}: parts of cross-validation, at least 2; 0 for a single valid split")
    if not 0 <= data.fold < max(data.folds, 1):
        accepted = f"0 to {data.folds - 1}" if data.folds else "0 without data.folds"
        raise UserError(f"data.fold={data.fold}: the part that is valid; accepted: {accepted}")


def complete(
    name: str,
    source: Source,
    *,
    test: float,
    valid: float,
    seed: int,
    labels: int = 0,
    labels_seed: int = 0,
    folds: int = 0,
    fold: int = 0,
    resample: int = 0,
) -> Dataset:
    """The source with the splits that it lacks cut from its train split, of which ``labels`` examples stay (0: all).

    What a source learns from train (``Source.finish``) it learns before ``labels`` and ``resample``: from the examples
    that are left out too, as a run without them does.

    Raises:
      UserError: nothing is left to train on, or there are not so many (labelled) examples.
    """
    parts = dict(source.parts)
    train = parts.pop("train")
    _check_streamed(name, train, labels=labels, folds=folds, resample=resample)
    if "test" not in parts:
        parts["test"], train = cut(train, test, seed, "test")
    if folds:
        both = joined(train, parts["valid"]) if "valid" in parts else train
        parts["valid"], train = divided(name, both, folds, fold, seed)
    elif "valid" not in parts:
        parts["valid"], train = cut(train, valid, seed, "valid")
    if not len(train):
        n = len(source.parts["train"])
        raise UserError(
            f"data.test={test} and data.valid={valid} leave none of the {n} training examples of {name} to train on; "
            "lower a share (0 cuts nothing) or give more data"
        )
    dataset = Dataset(name, train, parts["valid"], parts["test"], source.classes)
    if source.finish:
        dataset = source.finish(dataset)
    train = keep(name, dataset.train, labels, seed, labels_seed) if labels else dataset.train
    train = train.rows(drawn_anew(len(train), resample)) if resample else train
    return dataclasses.replace(dataset, train=train)


def _check_streamed(name: str, train: Split, **keys: int) -> None:
    """Refuses what takes the labels of all examples, or an index of them, where neither is in memory."""
    if not isinstance(train, Records) or train.labels is not None:
        return
    for key, value in keys.items():
        if value:
            raise UserError(
                f"data.{key}={value}: {name} does not fit in memory, and its labels are not known before it is read; "
                f"accepted: 0, or data.host_bytes={train.reader.nbytes} or more"
            )


def cut(train: Split, share: float, seed: int, part: str) -> tuple[Split, Split]:
    """(the part cut off, what is left of train), both in the source's order, but of records without labels."""
    if not share:  # no copy of train for nothing
        return train.rows(slice(0, 0)), train
    if isinstance(train, Records) and train.labels is None:
        number, drawn = quotas([len(train)], share)[0], train.drawn(seed, part)
        return drawn.rows(slice(0, number)), drawn.rows(slice(number, None))
    labels = np.zeros(len(train), np.int32) if train.labels is None else train.labels
    mask = chosen(labels, share, seed, part)
    return train.rows(mask), train.rows(~mask)


def joined(first: Split, second: Split) -> Split:
    """The examples of both, in that order."""
    if isinstance(first, Records):
        return first.joined(second)
    pairs = [(getattr(first, field.name), getattr(second, field.name)) for field in dataclasses.fields(first)]
    return type(first)(*(None if a is None or b is None else np.concatenate([a, b]) for a, b in pairs))


def divided(name: str, both: Split, folds: int, fold: int, seed: int) -> tuple[Split, Split]:
    """(part ``fold`` of ``folds``, all the others), both in the source's order.

    Raises:
      UserError: there are fewer examples than parts.
    """
    if len(both) < folds:
        raise UserError(f"data.folds={folds}: {name} has {len(both)} examples beside test; accepted: 2 to that, or 0")
    mask = parts_of(np.zeros(len(both), np.int32) if both.labels is None else both.labels, folds, seed) == fold
    return both.rows(mask), both.rows(~mask)


def parts_of(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Which of the parts each example is dealt to: [n] int labels -> [n] int in {0 … folds−1}."""
    parts = np.empty(len(labels), np.int64)
    parts[np.concatenate([*_ordered(labels, seed, "folds")])] = np.arange(len(labels)) % folds
    return parts


def drawn_anew(n: int, seed: int) -> np.ndarray:
    """A bootstrap sample of n examples: n rows in {0 … n−1} drawn with replacement, in ascending order."""
    bits = np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(b"resample")]))
    return np.sort((bits.random_raw(n) % np.uint64(n)).astype(np.int64))


def keep(name: str, train: Split, number: int, seed: int, labels_seed: int = 0) -> Split:
    """So many labelled examples, as equal a number a class as can be.

    Raises:
      UserError: there are no labels, or not so many examples.
    """
    if train.labels is None:
        raise UserError(f"data.labels={number}: {name} has no labels; leave it at 0")
    if number > len(train):
        raise UserError(f"data.labels={number}: train has {len(train)} examples; accepted: 1 to that, or 0 for all")
    counts = np.unique(train.labels, return_counts=True)[1].tolist()
    part = f"labels {labels_seed}" if labels_seed else "labels"
    return train.rows(_drawn(train.labels, even(counts, number), seed, part))


def chosen(labels: np.ndarray, share: float, seed: int, part: str) -> np.ndarray:
    """Which examples the rule above cuts off: [n] int labels -> [n] bool."""
    counts = np.unique(labels, return_counts=True)[1].tolist()
    return _drawn(labels, quotas(counts, share), seed, part)


def _drawn(labels: np.ndarray, numbers: list[int], seed: int, part: str) -> np.ndarray:
    """Rule 3: so many of each class that occurs, in ascending order of the labels -> [n] bool."""
    mask = np.zeros(len(labels), bool)
    for rows, number in zip(_ordered(labels, seed, part), numbers, strict=True):
        mask[rows[:number]] = True
    return mask


def _ordered(labels: np.ndarray, seed: int, part: str) -> Iterator[np.ndarray]:
    """Of each label that occurs, ascending, the rows in the order of their draws."""
    for label in np.unique(labels).tolist():
        rows = np.flatnonzero(labels == label)
        # Of NumPy's random streams only the bit generators' are promised to stay, so no Generator here.
        bits = np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(part.encode()), label]))
        yield rows[np.argsort(bits.random_raw(len(rows)), kind="stable")]


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
