"""Where the values of a swept key lie on an axis: numbers evenly or by ratio, seeds and others side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from aejax.sweep.members import SECTION, specified
from aejax.sweep.outcomes import Outcomes, finite
from aejax.sweep.values import space

DECADE = 10.0  # values over more than this ratio are drawn by ratio
FEW = 7  # so many values have a tick each
MANY = 25  # so many names are written; of more every other, or fewer
SEEDS = ("data.split_seed", "data.labels_seed", "data.fold", "data.resample")  # numbers without more and less
EVERYTHING = {"data.labels": 0}  # key -> the number that stands for all there is


@dataclass(frozen=True)
class Scale:
    """The axis of one key.

    Attributes:
      key: dotted.
      values: the different ones, numbers in ascending order, others in that of the members; what stands for all last.
      ratio: whether the sweep says ``log:``.
    """

    key: str
    values: Sequence[Any]
    ratio: bool

    @property
    def numeric(self) -> bool:
        """Whether they are quantities, which have a place of their own."""
        named = self.key in SEEDS or EVERYTHING.get(self.key) in self.values
        return not named and all(map(finite, self.values))

    @cached_property
    def log(self) -> bool:
        """Whether equal ratios are drawn equally long, down to the lowest value above 0."""
        if not self.numeric or self.values[0] < 0:
            return False
        above = [value for value in self.values if value > 0]
        return len(above) > 1 and (self.ratio or above[-1] > DECADE * above[0])

    def place(self, value: Any) -> float:
        """Where a value lies."""
        return float(value) if self.numeric else float(list(map(repr, self.values)).index(repr(value)))

    def name(self, value: Any) -> str:
        """What a value is called: as it is given, or ``all``."""
        return "all" if value == EVERYTHING.get(self.key) else str(value)

    def apply(self, axes: Axes) -> None:
        """Give the axes its scale, ticks and name."""
        axes.set_xlabel(self.key, fontsize=8)
        if not self.numeric:
            every = -(-len(self.values) // MANY)
            names = [self.name(value) for value in self.values[::every]]
            slanted = len("".join(names)) > 28
            turn = {"rotation": 25, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
            axes.set_xticks(range(0, len(self.values), every), names, fontsize=7, **turn)
            axes.set_xlim(-0.5, len(self.values) - 0.5)
            return
        if self.log and self.values[0] == 0:
            axes.set_xscale("symlog", linthresh=self.values[1], linscale=0.5)
        elif self.log:
            axes.set_xscale("log")
        if len(self.values) <= FEW and self._apart(axes):
            axes.set_xticks(self.values, [f"{value:g}" for value in self.values], fontsize=7.5)
            axes.xaxis.set_minor_locator(NullLocator())
        elif self.log and self.values[0] > 0:
            span = self.values[-1] / self.values[0]
            subs = (1.0, 2.0, 5.0) if span < 50 else (1.0, 3.0) if span < 300 else (1.0,)
            axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=7))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())

    def _apart(self, axes: Axes) -> bool:
        """Whether a tick at every value leaves room for its number."""
        low, high = (axes.transData.transform((v, 1.0))[0] for v in (self.values[0], self.values[-1]))
        places = [axes.transData.transform((value, 1.0))[0] for value in self.values]
        gaps = [(b - a) / max(high - low, 1e-9) for a, b in zip(places, places[1:], strict=False)]
        longest = max(len(f"{value:g}") for value in self.values)
        return min(gaps, default=1.0) > 0.03 * longest


def scale(found: Outcomes, key: str) -> Scale:
    """The scale of a key that a sweep varies."""
    different = {repr(m.settings[key]): m.settings[key] for m in found.members}
    values = list(different.values())
    if all(map(finite, values)):
        values.sort(key=lambda value: (value == EVERYTHING.get(key), value))
    ratio = space(key, specified(found.config)[key], found.config, SECTION).log
    return Scale(key, values, ratio)
