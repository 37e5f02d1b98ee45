"""What the study of hash sources shows: its table, its figure, and its sentences."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from aejax.analysis import bands, figure
from aejax.tables import sure

COLOURS = (figure.VERMILLION, figure.BLUE, figure.SKY, figure.PURPLE, figure.GREEN, figure.ORANGE, figure.BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", ":", "-.")


def tabulate(numbers: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row a source; shares in percent where the column says so."""
    return [
        {
            "bits from": row["source"],
            "mAP": row["mean_average_precision"],
            "precision@10": row["precision_at_10"],
            "precision, radius 2": row["precision_within_radius_2"],
            "Gini purity of shared codes": row["purity"],
            "by chance": row["purity_by_chance"],
            "alone in their code, %": row["singletons_percent"],
            "dead bits": row["dead_bits"],
        }
        for row in numbers["rows"]
    ]


def draw(numbers: Mapping[str, Any], name: str) -> Figure:
    """Left, mean average precision; right, precision among the first k."""
    rows = numbers["rows"]
    f = figure.new(height=3.6)
    left, right = f.subplots(1, 2, width_ratios=(1, 1.25))
    places = np.arange(len(rows))[::-1]
    for place, row, colour in zip(places, rows, COLOURS, strict=False):
        value = row["mean_average_precision"]
        left.barh(place, value.mean, xerr=value.std, color=colour, height=0.65, error_kw={"linewidth": 1})
        left.text(value.mean + (value.std or 0), place, f" {value.mean:.3f}", va="center", fontsize=7.5)
    left.axvline(numbers["chance"], color=figure.GREY, linewidth=1, linestyle=":")
    left.text(numbers["chance"], places[0] + 0.5, "chance", fontsize=6.5, ha="center", va="bottom", color=figure.GREY)
    left.set_yticks(places, [row["source"] for row in rows], fontsize=7.5)
    left.set_xlim(0, 1.12 * max(row["mean_average_precision"].mean for row in rows))
    for number, row in enumerate(rows):
        style = (COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)], LINES[number % len(LINES)])
        bands.draw(right, row["k"], row["precision"], row["source"], *style)
    for line in right.lines:
        line.set_markevery(max(1, len(rows[0]["k"]) // 8))
    right.set_xscale("log")
    right.set_ylim(0, 1.35 * max(value.mean for row in rows for value in row["precision"]))
    right.legend(fontsize=6.5, frameon=False, ncols=2, loc="upper right")
    for axes, label in ((left, "mean average precision"), (right, "retrieved, k")):
        figure.tidy(axes)
        axes.set_xlabel(label, fontsize=8)
    left.grid(visible=False)
    right.set_ylabel("precision among the first k", fontsize=8)
    seeds = len(numbers["seeds"])
    over = f"mean ± standard deviation of {seeds} seeds, of LSH of its draws" if seeds > 1 else "one seed"
    title = f"{name}: whose {numbers['bits']} bits find the same class?\n"
    title += f"{numbers['queries']:,} test queries, {numbers['database']:,} training examples; {over}"
    figure.set_title(f, title)
    return f


def summarise(numbers: Mapping[str, Any]) -> list[str]:
    """What the numbers say, a sentence a line."""
    rows = sorted(numbers["rows"], key=lambda row: -row["mean_average_precision"].mean)
    own = next(row for row in rows if row["source"] == "autoencoder")
    ranked = ", ".join(f"{row['source']} {row['mean_average_precision']}" for row in rows)
    lines = [f"Mean average precision, chance {numbers['chance']:.3f}: {ranked}."]
    lines += [_against(own, row) for row in rows if row is not own]
    sets = f"Test examples that share their code with others: Gini purity {own['purity']} of the autoencoder's"
    lines.append(f"{sets} (chance {own['purity_by_chance'].mean:.3f}); {own['singletons_percent']} % are alone.")
    dead = [f"{row['source']} {row['dead_bits'].mean:.3g}" for row in rows if row["dead_bits"].mean > 0]
    return lines + ([f"Bits that never change, of {numbers['bits']}: {', '.join(dead)}."] if dead else [])


def _against(own: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """The autoencoder beside another source; a difference within 95 % of its noise is none."""
    a, b = own["mean_average_precision"], other["mean_average_precision"]
    errors = [0.0 if m.std is None else m.std / math.sqrt(m.count) for m in (a, b)]
    gap, error = a.mean - b.mean, math.hypot(*errors)
    few = min((m.count for m in (a, b) if m.std is not None), default=2)
    told = "as well as" if abs(gap) <= sure(few) * error else "better than" if gap > 0 else "worse than"
    known = f" ± {error:.3f}" if error else ""
    return f"The autoencoder's bits do {told} those of {other['source']}: {gap:+.3f}{known} mAP."
