"""What a decoder draws in the cells of a plane, how near training examples that is, and which cells codes fill."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import norm, spearmanr

from aejax.analysis import latent_plane, nearest, selection, views
from aejax.analysis.grid import occupancy
from aejax.analysis.latent_plane import Plane
from aejax.errors import UserError

SAMPLED = 1000  # test examples whose reconstructions are compared with the cells


def quantiles(side: int) -> tuple[np.ndarray, np.ndarray]:
    """``Φ⁻¹((i + ½) / side)``: the middles of ``side`` steps of equal probability under N(0, 1), as ``Plane.centres``:
    x [side] rightwards, y [side] downwards."""
    steps = norm.ppf((np.arange(side) + 0.5) / side)
    return steps, steps[::-1]


def mean_distances(square: np.ndarray, groups: Mapping[str, np.ndarray]) -> dict[str, float | None]:
    """The mean of squared distances [...] over each group of cells [...]; None over none."""
    return {name: float(square[where].mean()) if where.any() else None for name, where in groups.items()}


def measure(
    plane: Plane,
    codes: np.ndarray,
    side: int,
    square: np.ndarray,
    labels: np.ndarray | None = None,
    names: Sequence[str] = (),
) -> dict[str, Any]:
    """The numbers of the cells of a plane.

    Args:
      plane: whose cells they are.
      codes: [n, 2] of train.
      side: cells in a row.
      square: [side, side] squared distance, summed over values, of each decoded cell to the nearest training example.
      labels: [n] of the codes.
      names: of the classes.
    """
    cells = plane.cell_of(codes, side)
    count = occupancy.counts(cells, side)
    occupied, holes = count > 0, occupancy.enclosed(count > 0)
    groups = {"with_codes": occupied, "without_codes": ~occupied}
    numbers: dict[str, Any] = {
        "side": side,
        "training_codes": len(codes),
        "counts": count,
        "empty_cells": int(np.sum(~occupied)),
        "empty_cells_percent": 100 * np.mean(~occupied),
        "empty_cells_between_codes": int(holes.sum()),
    }
    if labels is not None:
        members = occupancy.by_class(cells, labels, len(names), side)
        first, share = occupancy.most_frequent(members)
        numbers["most_frequent_class"] = [[names[k] if k >= 0 else None for k in row] for row in first]
        numbers["classes"] = occupancy.described_by_class(members, names)
        groups["of_one_class"] = occupied & (share >= occupancy.PURE)
        groups["of_several_classes"] = occupied & (share < occupancy.PURE)
        numbers["cells_of_several_classes"] = int(groups["of_several_classes"].sum())
    farthest = selection.largest(square.ravel(), max(1, side * side // 10))
    held = {name: int(where.ravel()[farthest].sum()) for name, where in groups.items()}
    numbers["tenth_least_like_training"] = {"cells": len(farthest), **held}
    to_codes = _cells_away(plane, codes, side)
    varied = np.ptp(to_codes) > 0 and np.ptp(square) > 0
    numbers["squared_distance_to_nearest_training_example"] = {**mean_distances(square, groups), "by_cell": square}
    numbers["rank_correlation_with_distance_to_codes"] = spearmanr(to_codes, square.ravel())[0] if varied else None
    return numbers


def _cells_away(plane: Plane, codes: np.ndarray, side: int) -> np.ndarray:
    """[side²]: how many cells the middle of each is from the nearest code."""
    size = (np.array(plane.high) - np.array(plane.low)) / side
    _, square = nearest.nearest(codes / size, latent_plane.grid_of(*plane.centres(side)) / size, 1)
    return np.sqrt(square[:, 0])


def measure_prior(
    means: np.ndarray, samples: np.ndarray, plane: Plane, side: int, square: np.ndarray
) -> dict[str, Any]:
    """How a code that is a Gaussian for each example fills the plane.

    Args:
      means, samples: [n, 2] of train: of each Gaussian its mean, and a draw from it.
      plane: the range of the means.
      side: cells in a row.
      square: [side, side] squared distance of each cell of the prior's quantiles to the nearest training example.
    """
    counts = {
        name: occupancy.counts(latent_plane.cells_of_shares(norm.cdf(z), side), side)
        for name, z in {"means": means, "samples": samples}.items()
    }
    sampled = occupancy.counts(plane.cell_of(samples, side), side)
    size = (np.array(plane.high) - np.array(plane.low)) / side
    deviation = np.sqrt(np.square(samples.astype(np.float64) - means).mean(axis=0))
    return {
        "quantiles": quantiles(side)[0],
        "counts_of_means": counts["means"],
        "counts_of_samples": counts["samples"],
        "cells_without_means_percent": 100 * np.mean(counts["means"] == 0),
        "cells_without_samples_percent": 100 * np.mean(counts["samples"] == 0),
        "evenness_of_samples_percent": occupancy.evenness(counts["samples"]),
        "range_cells_without_samples_percent": 100 * np.mean(sampled == 0),
        "standard_deviation": deviation,
        "standard_deviation_in_cells": deviation / size,
        "squared_distance_to_nearest_training_example": {"mean": square.mean(), "by_cell": square},
    }


class Decoded:
    """Codes decoded by a run, as pictures, and how far they are from its training examples."""

    def __init__(self, run: Any, dataset: Any):
        self.run, self.dataset = run, dataset
        self.train = run.prepare(dataset.train.images).reshape(len(dataset.train.images), -1)
        # A multinomial's mean is that of one draw: as many are made of it as an example has on average.
        multinomial = run.config.get("loss", {}).get("likelihood") == "multinomial"
        self.scale = float(self.train.sum(axis=1).mean()) if multinomial else 1.0

    def cells(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """At the codes (x_j, y_i): pictures [n, h, w, 3], row after row; squared distances to the nearest training
        example [rows, columns], summed over its values."""
        decoded = self.run.decode(latent_plane.grid_of(x, y).astype(np.float32))
        images = self.dataset.train.images
        some = images[: min(len(images), 100)]
        # Vectors and sounds have no common scale: each is stretched to its own.
        like = self.run.picture(self.run.prepare(some), like=some) if self.dataset.shape[0] > 1 else None
        pictures = views.viewable(np.asarray(self.run.picture(decoded)), like)
        return pictures, self._distances(decoded).reshape(len(y), len(x))

    def reconstructions(self) -> float | None:
        """The mean squared distance to the nearest training example of at most ``SAMPLED`` reconstructed test ones."""
        test = self.dataset.test.images[:SAMPLED]
        return float(self._distances(self.run.reconstruct(test)).mean()) if len(test) else None

    def _distances(self, outputs: np.ndarray) -> np.ndarray:
        flat = self.scale * np.asarray(outputs).reshape(len(outputs), -1)
        if not np.isfinite(flat).all():
            raise UserError("grid: the outputs are not all finite; the training diverged")
        return nearest.nearest(self.train, flat, 1, what="nearest training examples")[1][:, 0]
