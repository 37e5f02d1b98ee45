"""Means over seeds, and tables of them: aligned text for the terminal, CSV for other programs."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.stats

from aejax import files

NONE = "–"  # a cell of text without a value


class Mean(NamedTuple):
    """A mean, the standard deviation of the values around it (None of fewer than two), and how many there were."""

    mean: float
    std: float | None
    count: int

    def __str__(self) -> str:
        """``0.1116 ± 0.0003``: the deviation to two digits, the mean to the same place."""
        if self.mean is None or not math.isfinite(self.mean):  # JSON has null for what is not finite
            return NONE
        if not self.std or not math.isfinite(self.std):
            return number(self.mean) + (" ± 0" if self.std == 0 else "")
        places = max(0, 1 - math.floor(math.log10(float(f"{self.std:.1e}"))))
        plain = places < 8 and max(abs(self.mean), self.std) < 1e7
        return f"{self.mean:.{places}f} ± {self.std:.{places}f}" if plain else f"{self.mean:.3e} ± {self.std:.1e}"


def mean_std(values: Iterable[float | None]) -> Mean:
    """``mean = Σ v / n`` and ``std = sqrt(Σ (v − mean)² / (n − 1))``; None among the values is NaN, and NaN stays.

    Raises:
      ValueError: there are no values.
    """
    found = np.array([math.nan if value is None else value for value in values], np.float64)
    if not len(found):
        raise ValueError("a mean of no values")
    if (found == found[0]).all():  # whose mean may be off by a rounding
        return Mean(float(found[0]), 0.0 if len(found) > 1 else None, len(found))
    return Mean(float(found.mean()), float(found.std(ddof=1)) if len(found) > 1 else None, len(found))


def standard_error(mean: Mean) -> float:
    """``std / √n``, NaN of one value."""
    return math.nan if mean.std is None else mean.std / math.sqrt(mean.count)


def sure(count: int) -> float:
    """How many standard errors of a mean of ``count`` values are 95 %: Student's t, 12.7 for two, 2.3 for ten."""
    return float(scipy.stats.t.ppf(0.975, count - 1))


def plain(numbers: Any) -> Any:
    """The same with every ``Mean`` as {"mean", "std", "count"}, for JSON."""
    if isinstance(numbers, Mean):
        return numbers._asdict()
    if isinstance(numbers, Mapping):
        return {key: plain(value) for key, value in numbers.items()}
    return [plain(value) for value in numbers] if isinstance(numbers, list) else numbers


def number(value: Any) -> str:
    """Four significant digits of a float, thousands set apart in whole numbers, text as it is."""
    if value is None or isinstance(value, float) and not math.isfinite(value):
        return NONE
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows (column -> value) as aligned text: words to the left, numbers to the right."""
    head = list(dict.fromkeys(column for row in rows for column in row))
    cells = [[_shown(row.get(column)) for column in head] for row in rows]
    words = [any(isinstance(row.get(c), str) for row in rows) for c in head]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]

    def line(values: Sequence[str]) -> str:
        aligned = (v.ljust(w) if left else v.rjust(w) for v, w, left in zip(values, widths, words, strict=True))
        return "  ".join(aligned).rstrip()

    return "\n".join([line(head), line(["-" * width for width in widths]), *map(line, cells)])


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, Mean) else number(value)


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """The rows as CSV, whole or not at all: a ``Mean`` fills the columns ``x``, ``x std`` and ``x n``."""
    flat = [{column: cell for key in row for column, cell in _columns(key, row[key])} for row in rows]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(dict.fromkeys(c for row in flat for c in row)), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    files.write_text(path, out.getvalue())


def _columns(key: str, value: Any) -> list[tuple[str, Any]]:
    pairs = [(key, value)]
    if isinstance(value, Mean):
        pairs = [(key, value.mean), (f"{key} std", value.std), (f"{key} n", value.count)]
    return [(name, "" if cell is None else files.rounded(cell)) for name, cell in pairs]
