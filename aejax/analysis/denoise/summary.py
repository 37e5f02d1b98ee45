"""What the figures of ``analysis.denoise`` say, in sentences."""

from collections.abc import Mapping, Sequence
from typing import Any

NAMES = {"psnr": "PSNR", "ssim": "SSIM", "snr": "signal-to-noise ratio"}


def summarise(numbers: Mapping[str, Any], noun: str, only: Sequence[str]) -> list[str]:
    """What the numbers say, a sentence a line.

    Args:
      numbers: as ``denoise.analyse`` writes them.
      noun: what an example is called.
      only: names of the parts that act in training only.
    """
    corruption, rows = numbers["corruption"], numbers["levels"]
    trained, parameter = corruption["trained"], corruption["level"]
    measures = list(numbers["measures"])
    row = _telling(rows, trained)
    when = "the trained" if row["level"] == trained else "a"
    lines = [
        f"{numbers['examples']['test']:,} test {noun}s under {corruption['name']}, which this run was "
        f"{'not ' if trained is None else ''}trained with{'' if trained is None else f' at {parameter} {trained:g}'}.",
        f"At {when} {parameter} of {row['level']:g}: {_change(row, measures)} "
        f"(gain {row['gain']['mean']:+.2f} ± {row['gain']['standard_error']:.2f} dB).",
    ]
    lines += [f"By {NAMES[m]} restoring helps {_where(numbers['helps'][m], rows, parameter)}." for m in measures]
    lines.append(_compared(rows, row, measures[0], numbers["beats_all"], parameter))
    if only:
        lines.append(f"Mind that encoding leaves off the masks and noise of {' and '.join(only)}.")
    return lines


def _telling(rows: Sequence[Mapping[str, Any]], trained: float | None) -> Mapping[str, Any]:
    """The trained level, or the nearest to it; without one, the middle."""
    if trained is None:
        return rows[len(rows) // 2]
    return min(rows, key=lambda row: abs(row["level"] - trained))


def _change(row: Mapping[str, Any], measures: Sequence[str]) -> str:
    """``PSNR from 14.9 to 20.1 dB, SSIM from 0.50 to 0.80``."""
    told = []
    for m in measures:
        before, after = (row[name][m]["mean"] for name in ("corrupted", "restored"))
        unit, digits = ("", 3) if m == "ssim" else (" dB", 2)
        told.append(f"{NAMES[m]} from {before:.{digits}f} to {after:.{digits}f}{unit}")
    return ", ".join(told)


def _where(found: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], parameter: str) -> str:
    """The levels of the stretches found, in words."""
    low, high = rows[0]["level"], rows[-1]["level"]
    tried = f"({low:g} to {high:g})" if low != high else f"({low:g})"
    if not found:
        return f"at no {parameter} tried {tried}"
    if found == [{"from": None, "to": None}]:
        return f"at every {parameter} tried {tried}"
    told = []
    for stretch in found:
        start = "from the least tried" if stretch["from"] is None else f"from about {stretch['from']:.2g}"
        told.append(start + (" on" if stretch["to"] is None else f" to about {stretch['to']:.2g}"))
    return f"{' and '.join(told)} ({parameter} {low:g} to {high:g} tried)"


def _compared(rows, row, measure: str, beats: Sequence[Mapping[str, Any]], parameter: str) -> str:
    """The autoencoder beside the affine map and the filters."""
    if not row["chosen"]:
        return "Nothing to compare with: too many values for an affine map, and no neighbours for a filter."
    best = max(row["chosen"], key=lambda name: row[name][measure]["mean"])
    difference = row["restored"][measure]["mean"] - row[best][measure]["mean"]
    return (
        f"Of what needs no net and is fitted at each level, the best there ({row['chosen'][best]}) has "
        f"{row[best][measure]['mean']:.2f} dB, {abs(difference):.2f} {'less' if difference > 0 else 'more'} than the "
        f"autoencoder. The autoencoder is ahead of both such and the noise left alone {_where(beats, rows, parameter)}."
    )
