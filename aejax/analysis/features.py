"""What a linear probe reads: labelled examples of the three splits, and their codes as flat features."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from aejax.analysis import command, selection
from aejax.errors import UserError

SPLITS = ("train", "valid", "test")
MOST = 4096  # features of maps, beyond which they are pooled
BLOCK = 2**25  # values of the codes that are held at a time, beside the features


def limited(labels: Sequence[np.ndarray], limit: int) -> list[np.ndarray]:
    """Which examples of train and valid to use so that they are ``limit`` in all, by class; 0 uses every one.

    Both shrink in proportion, and each keeps at least one.
    """
    sizes = [len(y) for y in labels[:2]]
    if not 0 < limit < sum(sizes):
        return [np.arange(n) for n in sizes]
    valid = max(1, round(limit * sizes[1] / sum(sizes)))
    return [np.sort(selection.by_class(labels[0], limit - valid)), np.sort(selection.by_class(labels[1], valid))]


def gather(dataset: Any, source: str, limit: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The raw images [n, h, w, c] and labels [n] of train, valid and test, the first two ``limited``.

    Raises:
      UserError: a split is empty; ``source`` names the data set.
      DoesNotApply: there are no labels, or they are all the same.
    """
    splits = [getattr(dataset, name) for name in SPLITS]
    for name, split in zip(SPLITS, splits, strict=True):
        if split.labels is None:
            raise command.DoesNotApply(f"a probe needs labels, and {source} has none")
        if not len(split.images):
            raise UserError(f"probe: the {name} split of {source} is empty; all three are needed")
    chosen = [*limited([split.labels for split in splits], limit), np.arange(len(splits[2].images))]
    labels = [np.asarray(split.labels)[i].astype(np.int64) for split, i in zip(splits, chosen, strict=True)]
    if len(np.unique(labels[0])) < 2:
        raise command.DoesNotApply("a probe needs two classes or more, and the training images are all of one")
    return [split.images[i] for split, i in zip(splits, chosen, strict=True)], labels


def window(shape: Sequence[int], most: int = MOST) -> tuple[int, int]:
    """The smallest square windows, cut off at the maps' edge, that leave at most so many features of maps (h, w, size).

    (1, 1) where there are no more anyway; all of the maps where even one place has more.
    """
    h, w, size = shape
    for side in range(1, max(h, w) + 1):
        if -(-h // side) * -(-w // side) * size <= most:
            break
    return min(side, h), min(side, w)


def max_pooled(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The largest value of each window [n, ⌈h / size⌉, ⌈w / size⌉, c] of maps [n, h, w, c]; the last may be cut off."""
    n, h, w, c = maps.shape
    (i, j), (rows, columns) = size, (-(-h // size[0]), -(-w // size[1]))
    whole = np.pad(maps, ((0, 0), (0, rows * i - h), (0, columns * j - w), (0, 0)), constant_values=-np.inf)
    return whole.reshape(n, rows, i, columns, j, c).max(axis=(2, 4))


def codes(run: Any, images: np.ndarray, pool: tuple[int, int] | None) -> np.ndarray:
    """The codes of raw images as features [n, d], maps first pooled over ``pool``; in blocks to spare memory."""
    block = max(1, BLOCK // int(np.prod(run.code_shape)))
    features = []
    for first in range(0, len(images), block):
        z = np.asarray(run.encode(images[first : first + block]))
        features.append((z if pool is None else max_pooled(z, pool)).reshape(len(z), -1))
    return np.concatenate(features)


def raw(images: np.ndarray) -> np.ndarray:
    """Raw examples [n, h, w, c] as features [n, d] float32, bytes over 255: as they came, not binarised or whitened."""
    rows = images.reshape(len(images), -1)
    return rows.astype(np.float32) / 255 if rows.dtype == np.uint8 else rows.astype(np.float32)


def pooling(shape: Sequence[int]) -> tuple[int, int] | None:
    """The windows over which codes of this shape are pooled; None where they are few enough, or no maps."""
    size = window(shape) if len(shape) == 3 else (1, 1)
    return None if size == (1, 1) else size


def describe(x: np.ndarray) -> dict:
    """The number of features of x [n, d], and the share of its values that are zero."""
    return {"dimensions": x.shape[1], "zeros_percent": 100 * (1 - np.count_nonzero(x) / x.size)}
