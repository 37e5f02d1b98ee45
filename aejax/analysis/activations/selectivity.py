"""How much a unit prefers one class, and which examples excite it most: pure functions of activations.

A unit's activity is the positive part of its code, ``max(z, 0)``, which is the code itself for
every code that is never negative; of a linear or Gaussian code it is one of two sides. An
example excites a unit where that is above 0. A unit of maps is a map.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from aejax.analysis import selection
from aejax.errors import UserError

SHUFFLES = 20  # of the labels, to see what index chance gives
TOP = 100  # images whose class is asked for
BLOCK = 2000  # examples at a time
MOST = 2**24  # memberships of examples in classes at a time


class Observed(NamedTuple):
    """What units do on images.

    Attributes:
      values: [n, d] of each unit, of maps the largest at any place.
      activity: [n, d] the positive part of the values, of maps its mean over all places.
      places: [n, d, 2] row and column of the largest value; None without maps.
    """

    values: np.ndarray
    activity: np.ndarray
    places: np.ndarray | None


def observe(encode: Callable, images: np.ndarray, block: int) -> Observed:
    """What each unit does on raw images [n, h, w, c] encoded so many at a time.

    Raises:
      UserError: one is not finite.
    """
    seen = [_observed(np.asarray(encode(images[i : i + block]))) for i in range(0, len(images), block)]
    values, activity, places = (
        None if parts[0] is None else np.concatenate(parts) for parts in zip(*seen, strict=True)
    )
    if not np.isfinite(values).all():
        raise UserError("activations: the codes are not all finite; the training diverged")
    return Observed(values, activity, places)


def _observed(codes: np.ndarray) -> Observed:
    if codes.ndim == 2:
        return Observed(codes, np.maximum(codes, 0), None)
    n, _, w, d = codes.shape
    flat = codes.reshape(n, -1, d)
    at = flat.argmax(axis=1)
    return Observed(flat.max(axis=1), np.maximum(flat, 0).mean(axis=1), np.stack([at // w, at % w], axis=-1))


class Selectivity(NamedTuple):
    """Of each unit.

    Attributes:
      leading: [d] the class of largest mean activity, the lowest number of several; -1 where nothing excites the unit.
      index: [d], in [0, 1]; NaN where nothing excites the unit.
      by_chance: [shuffles, d], the same with the labels shuffled.
    """

    leading: np.ndarray
    index: np.ndarray
    by_chance: np.ndarray


def class_means(activity: np.ndarray, orders: np.ndarray, classes: int) -> np.ndarray:
    """[orders, classes, d]: the mean of activity [n, d] over the examples of each class, for several numberings of the
    examples by class, orders [orders, n] of 0 … classes - 1, each class in each of them."""
    total = np.zeros((len(orders) * classes, activity.shape[1]))
    count = np.zeros((len(total), 1))
    block = max(1, min(BLOCK, MOST // len(total)))
    for i in range(0, len(activity), block):
        members = orders[:, None, i : i + block] == np.arange(classes)[:, None]
        members = members.reshape(len(total), -1).astype(np.float64)
        total += members @ activity[i : i + block].astype(np.float64)
        count += members.sum(axis=1, keepdims=True)
    return (total / count).reshape(len(orders), classes, -1)


def indices(means: np.ndarray) -> np.ndarray:
    """``(μ_max − μ_rest) / (μ_max + μ_rest)`` for the means [..., classes, d] of activity by class: [..., d].

    μ_max is the largest, μ_rest the mean of the others: 1 for a unit that one class alone excites, 0 for one that all
    excite alike (Morcos et al., "On the importance of single directions for generalization", arXiv 1803.06959,
    equation 1). NaN where no class excites it.
    """
    largest = means.max(axis=-2)
    rest = (means.sum(axis=-2) - largest) / (means.shape[-2] - 1)
    with np.errstate(invalid="ignore"):
        return np.maximum(largest - rest, 0.0) / (largest + rest)


def selectivity(activity: np.ndarray, labels: np.ndarray, shuffles: int = SHUFFLES, seed: int = 0) -> Selectivity:
    """The class that each unit prefers, and how much.

    Args:
      activity: [n, d], none below 0.
      labels: [n] integers, of two classes or more.
      shuffles: of the labels, for what chance gives.
      seed: of the shuffles.
    """
    classes, numbered = np.unique(labels, return_inverse=True)
    rng = np.random.default_rng(seed)
    orders = np.stack([numbered, *(rng.permutation(numbered) for _ in range(shuffles))])
    means = class_means(activity, orders, len(classes))
    index = indices(means)
    leading = np.where(np.isnan(index[0]), -1, classes[means[0].argmax(axis=0)])
    return Selectivity(leading, index[0], index[1:])


def is_selective(found: Selectivity, threshold: float = 0.5) -> np.ndarray:
    """[d] bool: the index is at least ``threshold`` and above that of every shuffle. At 1/2 the leading class excites a
    unit three times as much as the others do; what a unit that hardly fires gets by chance is left out."""
    above = found.index > np.max(found.by_chance, axis=0, initial=-1.0)
    return above & (found.index >= threshold)


def precision(values: np.ndarray, labels: np.ndarray, leading: np.ndarray, top: int = TOP) -> np.ndarray:
    """[d]: the share of the leading class among the examples that excite a unit most.

    They are as many as there are of that class, as excite the unit, and as ``top``, whichever is
    least, so that 1 can be reached. Where several are equal at the last place, it is the
    mean over all ways to choose among them. NaN where nothing excites the unit.

    Args:
      values: [n, d].
      labels: [n].
      leading: [d] classes.
      top: the most examples.
    """
    shares = np.full(values.shape[1], np.nan)
    for j, (v, right) in enumerate((values[:, j], labels == leading[j]) for j in range(values.shape[1])):
        k = min(top, int(right.sum()), int((v > 0).sum()))
        if not k:
            continue
        last = np.partition(v, -k)[-k]
        above, equal = v > last, v == last
        shares[j] = (right[above].sum() + (k - above.sum()) * right[equal].mean()) / k
    return shares


def top(values: np.ndarray, count: int) -> np.ndarray:
    """The indices of the ``count`` largest of values [n], largest first; those not above 0 left out.

    Equal values stand in index order. Where they are more than there is room for, as of bits, those chosen are evenly
    spaced among them, for the first might all be of one class.
    """
    order = selection.largest(values, int((values > 0).sum()))
    if len(order) <= count:
        return order
    last = values[order[count - 1]]
    above, equal = order[values[order] > last], order[values[order] == last]
    return np.concatenate([above, equal[selection.evenly(len(equal), count - len(above))]])
