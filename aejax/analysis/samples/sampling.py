"""Examples drawn from densities over codes, those that they are compared with, and what they score."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aejax.analysis import known_codes, nearest_images
from aejax.analysis.samples import densities, realism

SCORED = 1000  # examples of each kind that are compared


@dataclass(frozen=True)
class Sets:
    """Examples at the scale of the decoder's means, [n, h, w, c] each, that what is drawn is compared with.

    Attributes:
      test: real ones.
      tested: their reconstructions.
      train: as many training examples.
      trained: their reconstructions.
    """

    test: np.ndarray
    tested: np.ndarray
    train: np.ndarray
    trained: np.ndarray

    @classmethod
    def of(cls, run: Any, dataset: Any, total: float) -> "Sets":
        """``SCORED`` of a run's examples, or as many as there are; ``total`` as ``known_codes.decoded`` takes it."""
        mine = known_codes.subset(dataset.test, min(SCORED, len(dataset.train.images)))
        theirs = known_codes.subset(dataset.train, len(mine))
        found = []
        for raw in (dataset.test.images[mine], dataset.train.images[theirs]):
            codes = known_codes.known(run, raw, posterior=True)
            found += [known_codes.comparable(run, raw), known_codes.decoded(run, codes, total)]
        return cls(*found)

    def scores(self) -> dict[str, dict[str, float]]:
        """What real codes, and real examples, score: the best to hope for."""
        return {
            "images_against_test": realism.shares(self.test, self.train),
            "against_test": realism.shares(self.test, self.trained),
            "against_reconstructions": realism.shares(self.tested, self.trained),
        }


@dataclass(frozen=True)
class Drawn:
    """What was drawn from a density.

    Attributes:
      density: it.
      examples: [n, h, w, c] at the scale of the decoder's means.
      outside: percentage of the codes' values outside of their range.
      rows: [n] the nearest training examples.
      away: [n] the distances to them.
    """

    density: densities.Density
    examples: np.ndarray
    outside: float
    rows: np.ndarray
    away: np.ndarray


def draw_all(
    run: Any, train: Any, sets: Sets, found: Mapping[str, densities.Density], count: int, total: float, seed: int
) -> tuple[dict[str, Drawn], dict[str, np.ndarray], np.ndarray]:
    """``count`` examples from each of the densities found, how far from train those of ``sets`` of test are, and the
    training examples nearest to their reconstructions.

    Args:
      run: as ``aejax.load`` gives it.
      train: the train split.
      sets: of the run.
      found: densities by name.
      count: how many to draw of each.
      total: as ``known_codes.decoded`` takes it.
      seed: of what is drawn.
    """
    examples, outside = {}, {}
    for i, (name, density) in enumerate(found.items()):
        codes = density.draw(count, np.random.default_rng([seed, i]))
        codes, outside[name] = known_codes.clipped(codes, known_codes.bounds(run.config))
        examples[name] = known_codes.decoded(run, codes, total, name)
    queries = {"test": sets.test, "reconstructions": sets.tested, **examples}
    nearest = nearest_images.nearest_images(run, train.images, np.concatenate(list(queries.values())))
    ends = np.cumsum([len(x) for x in queries.values()])[:-1]
    rows, away = (dict(zip(queries, np.split(x, ends), strict=True)) for x in nearest)
    drawn = {name: Drawn(found[name], examples[name], outside[name], rows[name], away[name]) for name in found}
    return drawn, {name: away[name] for name in ("test", "reconstructions")}, rows["reconstructions"]


def score(drawn: Drawn, sets: Sets, references: Mapping, train: Any, names: Sequence[str], images: int) -> dict:
    """The numbers of what was drawn; ``names`` of the classes of train, and how many ``images`` are shown."""
    n = len(sets.test)
    fresh = {"test": sets.test, "reconstructions": sets.tested}
    numbers = {
        "title": drawn.density.title,
        **drawn.density.facts,
        "outside_percent": drawn.outside,
        **realism.compare(drawn.examples[:n], drawn.away[:n], fresh, references),
    }
    if train.labels is not None:
        tally, shift = realism.tallied(np.asarray(train.labels), drawn.rows, names)
        numbers |= {"nearest_classes_percent": tally, "class_shift_percent": shift}
    return {**numbers, "nearest_train_indices": drawn.rows[:images]}


def class_shift(train: Any, rows: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """What ``realism.tallied`` finds of the training examples ``rows`` nearest to reconstructions of test: the part of
    the decoder in what densities have."""
    if train.labels is None:
        return {}
    return {"class_shift_percent": realism.tallied(np.asarray(train.labels), rows, names)[1]}
