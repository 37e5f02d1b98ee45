"""How sparse responses are, in numbers, and the tally of a code's activations that they are computed from.

Responses are counted by magnitude, so that a code may be signed. Both measures are 0
where all responses are equally strong and 1 where there is but one.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import stats

UNVARYING = 1e-3  # of the largest variance of a unit, below which a unit hardly varies
QUANTILES = (0, 10, 25, 50, 75, 90, 100)  # percent


def hoyer(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """``(√n − Σ|r| / √(Σ r²)) / (√n − 1)`` along an axis of n responses (Hoyer, JMLR 5, 2004, section 3.1).

    NaN where all are 0, or n is 1.
    """
    return _hoyer(*_sums(values, axis))


def treves_rolls(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """``(1 − (Σ|r| / n)² / (Σ r² / n)) / (1 − 1/n)`` along an axis of n responses (Vinje & Gallant, Science 287, 2000).

    One minus Treves and Rolls' activity ratio (Network 2, 1991), over its largest value. NaN where all are 0, or n is
    1.
    """
    return _treves_rolls(*_sums(values, axis))


def _sums(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray, int]:
    magnitudes = np.abs(np.asarray(values, np.float64))
    return magnitudes.sum(axis=axis), np.square(magnitudes).sum(axis=axis), magnitudes.shape[axis]


def _hoyer(total: np.ndarray, squares: np.ndarray, n: int) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return (np.sqrt(n) - total / np.sqrt(squares)) / (np.sqrt(n) - 1)


def _treves_rolls(total: np.ndarray, squares: np.ndarray, n: int) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return (1 - np.square(total) / (n * squares)) / (1 - 1 / np.float64(n))


@dataclass(frozen=True)
class Activity:
    """What the codes [n, places, units] of n examples are like; a place alone where codes are no maps.

    Lifetime measures of a unit are over the n examples (of a map: over their places too, where the same filter
    responds to another piece of input); population measures of an example are over all places and units.

    Attributes:
      examples, places, units: how many of each.
      zeros: how many of the n · places · units values are exactly 0.
      low, high: the smallest and the largest value.
      firing: [units] share of the examples for which the unit is not 0 (of a map: anywhere).
      firing_places: [units] share of the examples' places at which it is not 0.
      variance: [units] of its values.
      lifetime_hoyer, lifetime_treves_rolls: [units].
      population_hoyer, population_treves_rolls: [n].
      l0: [n] how many values are not 0.
      active_units: [n] how many units are not 0 (of maps: anywhere).
    """

    examples: int
    places: int
    units: int
    zeros: int
    low: float
    high: float
    firing: np.ndarray
    firing_places: np.ndarray
    variance: np.ndarray
    lifetime_hoyer: np.ndarray
    lifetime_treves_rolls: np.ndarray
    population_hoyer: np.ndarray
    population_treves_rolls: np.ndarray
    l0: np.ndarray
    active_units: np.ndarray

    @property
    def dense(self) -> bool:
        """Whether no value is exactly 0."""
        return self.zeros == 0


class Tally:
    """Sums over blocks of codes [b, places, units], from which ``activity`` makes the measures of all of them."""

    def __init__(self):
        self._units: dict[str, np.ndarray] = {}  # [units], summed
        self._examples: dict[str, list[np.ndarray]] = {}  # [b] a block
        self._low, self._high, self._places = np.inf, -np.inf, 1

    def add(self, codes: np.ndarray) -> None:
        """Count a block [b, places, units] of at least one example."""
        codes = np.asarray(codes, np.float64)
        fires, magnitudes, flat = codes != 0, np.abs(codes), codes.reshape(len(codes), -1)
        anywhere = fires.any(axis=1)
        of_units = {
            "fired": anywhere.sum(axis=0),
            "fired_places": fires.sum(axis=(0, 1)),
            "values": codes.sum(axis=(0, 1)),
            "magnitudes": magnitudes.sum(axis=(0, 1)),
            "squares": np.square(codes).sum(axis=(0, 1)),
        }
        of_examples = {
            "population_hoyer": hoyer(flat),
            "population_treves_rolls": treves_rolls(flat),
            "l0": fires.sum(axis=(1, 2)),
            "active_units": anywhere.sum(axis=1),
        }
        for name, value in of_units.items():
            self._units[name] = self._units.get(name, 0) + value
        for name, value in of_examples.items():
            self._examples.setdefault(name, []).append(value)
        self._low, self._high = min(self._low, codes.min()), max(self._high, codes.max())
        self._places = codes.shape[1]

    def activity(self) -> Activity:
        """The measures of all that was added."""
        sums, by_example = self._units, {name: np.concatenate(parts) for name, parts in self._examples.items()}
        examples, units = len(by_example["l0"]), len(sums["fired"])
        n = examples * self._places
        return Activity(
            examples=examples,
            places=self._places,
            units=units,
            zeros=int(n * units - sums["fired_places"].sum()),
            low=float(self._low),
            high=float(self._high),
            firing=sums["fired"] / examples,
            firing_places=sums["fired_places"] / n,
            variance=np.maximum(sums["squares"] / n - np.square(sums["values"] / n), 0),
            lifetime_hoyer=_hoyer(sums["magnitudes"], sums["squares"], n),
            lifetime_treves_rolls=_treves_rolls(sums["magnitudes"], sums["squares"], n),
            **by_example,
        )


def histogram(blocks: Iterable[np.ndarray], low: float, high: float, bins: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Counts [bins] of the values of all blocks that are not exactly 0, and the edges [bins + 1] from low to high."""
    edges = np.linspace(low, high, bins + 1) if high > low else np.linspace(low - 0.5, low + 0.5, bins + 1)
    return sum(np.histogram(block[block != 0], edges)[0] for block in blocks), edges


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation of a and b [n] where both are finite; NaN where either is constant."""
    finite = np.isfinite(a) & np.isfinite(b)
    a, b = a[finite], b[finite]
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(stats.spearmanr(a, b).statistic)


def spread(values: np.ndarray) -> dict[str, float]:
    """Mean, standard deviation and quantiles of the finite among the values [n]; NaN of none."""
    finite = np.asarray(values, np.float64)[np.isfinite(values)]
    if not len(finite):
        finite = np.array([np.nan])
    levels = {f"{q} %": np.percentile(finite, q) for q in QUANTILES}
    return {"mean": finite.mean(), "std": finite.std(), "quantiles": levels}
