"""How did training go? The curves of metrics.jsonl: the loss, what it is made of, and how far train and valid part.

Of a sweep's workdir they are means over its members, those that diverged aside, with a band of one standard deviation.
"""

import math
import sys
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from aejax import workdirs
from aejax.analysis import averaged, command, curves, figure
from aejax.analysis.curves import Curve
from aejax.errors import UserError
from aejax.logs import read_metrics
from aejax.tables import Mean

# What a line holds beside penalties and figures.
TERMS = ("reconstruction", "cross_entropy")
OTHER = {"step", "epoch", "split", "loss", *TERMS, "reconstruction_per_pixel", "active_units", "dead_units"}
# Figures whose numbers need a word more.
UNITS = {
    "error": "share of the examples",
    "dead_share": "share of the units",
    "saturated": "share of the units",
    "perplexity": "entries in use",
    "active_latents": "latent units",
}


def penalties_and_figures(rows: Sequence[dict[str, Any]], weights: Container[str]) -> tuple[list[str], list[str]]:
    """The names of the penalties, and those of figures that are no terms of the loss, in order of appearance.

    Args:
      rows: the lines of metrics.jsonl.
      weights: has the name of every penalty, as the config's section ``loss`` does; what else a line holds is a figure.
    """
    names = dict.fromkeys(k for row in rows for k, v in row.items() if isinstance(v, int | float) and k not in OTHER)
    return [name for name in names if name in weights], [name for name in names if name not in weights]


def lowest(curve: Curve) -> tuple[float, float]:
    """The epoch and value of a curve's minimum, the first of equals; NaN where nothing is finite."""
    epochs, values = curve
    if not np.isfinite(values).any():
        return math.nan, math.nan
    best = int(np.nanargmin(np.where(np.isfinite(values), values, np.nan)))
    return float(epochs[best]), float(values[best])


def late_change(curve: Curve) -> float:
    """The change over the last quarter of a curve (at least 4 points), as a share of what it was before.

    That of the least-squares line through those points, for single epochs are noisy:
    below 0 while it falls. NaN for a curve of fewer than 4.
    """
    k = max(4, len(curve[0]) // 4)
    epochs, values = (x[-k:] for x in curve)
    if len(values) < 4 or not np.isfinite(values).all():
        return math.nan
    slope, offset = np.polyfit(epochs - epochs[-1], values, 1)
    change = slope * (epochs[-1] - epochs[0])
    return float(change / abs(offset - change)) if offset != change else math.nan


def measure(rows: Sequence[dict[str, Any]], weights: Container[str]) -> dict[str, Any]:
    """The numbers: final values of everything by split, the best valid epoch, the gap between train and valid.

    ``gap`` is valid minus train at the last epoch that both have, in the loss's own
    units, and ``gap_percent`` the same relative to train. For ``weights`` see ``penalties_and_figures``.
    """
    loss = curves.by_split(rows, "loss")
    finals: dict[str, dict[str, float]] = {}
    for row in rows:
        finals.setdefault(row["split"], {}).update({k: v for k, v in row.items() if k not in ("step", "split")})
    names, figures = penalties_and_figures(rows, weights)
    numbers = {"final": finals, "penalties": names, "figures": figures, "lines": len(rows)}
    for split in ("train", "valid"):
        if split in loss:
            epoch, value = lowest(loss[split])
            numbers[f"best_{split}"] = {"epoch": epoch, "loss": value}
            numbers[f"late_change_{split}_percent"] = 100 * late_change(loss[split])
    if {"train", "valid"} <= loss.keys() and len(common := np.intersect1d(loss["train"][0], loss["valid"][0])):
        train, valid = (np.interp(common[-1], *loss[split]) for split in ("train", "valid"))
        numbers |= {"gap_epoch": common[-1], "gap": valid - train, "gap_percent": 100 * (valid - train) / abs(train)}
    return numbers


def _panel(axes: Axes, found: dict[str, Curve], spread: dict[str, Curve], title: str) -> None:
    curves.draw(axes, found, spread)
    figure.tidy(axes)
    if curves.scale_y(axes, found):
        title += " (log)"
    axes.set_title(title, fontsize=9)
    axes.set_xlabel("epoch", fontsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.legend(fontsize=8, frameon=False)


def panels_of(rows: Sequence[dict[str, Any]], weights: Container[str]) -> list[tuple[str, str]]:
    """What to draw, key and title: the loss, its terms where it has several, and figures that are no terms of it."""
    names, figures = penalties_and_figures(rows, weights)
    terms = [term for term in TERMS if any(term in row for row in rows)]
    alone = "" if names or terms != ["cross_entropy"] else " = cross_entropy"
    panels = [("loss", f"loss{alone} per example")]
    if names:
        panels += [(term, f"{term} per example") for term in terms]
        panels += [(name, f"{name} penalty, unweighted") for name in names]
    named = {name: f"{name}, {UNITS[name]}" if name in UNITS else name for name in figures}
    return panels + [(name, f"{named[name]}\n(not in the loss)") for name in figures]


def draw(
    rows: Sequence[dict[str, Any]], title: str, weights: Container[str], spreads: Sequence[dict[str, Any]] = ()
) -> Figure:
    """The curves, a panel each: see ``panels_of``; with the deviations ``spreads`` of a sweep as bands."""
    panels = panels_of(rows, weights)
    columns = 1 if len(panels) == 1 else 2 if len(panels) in (2, 4) else 3
    lines = -(-len(panels) // columns)
    picture = figure.new(figure.PAGE if columns > 1 else 5.5, 0.5 + (3.2 if columns < 3 else 2.5) * lines)
    axes = picture.subplots(lines, columns, squeeze=False).ravel()
    for ax, (key, name) in zip(axes, panels, strict=False):
        _panel(ax, curves.by_split(rows, key), curves.by_split(spreads, key), name)
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    figure.set_title(picture, title)
    return picture


def percent(value: float) -> str:
    """A signed percentage to two digits, without an exponent."""
    return f"{value:+.0f} %" if abs(value) >= 10 else f"{value:+.2g} %"


def last_loss(numbers: dict[str, Any], split: str) -> str:
    """``32.6``, or of a sweep with the members' standard deviation, ``33 ± 11``: the mean to the same place."""
    value = numbers["final"][split].get("loss", math.nan)
    found = numbers.get("spread", {}).get(split, {}).get("loss")
    return f"{value:.5g}" if found is None else str(Mean(value, found, numbers["members"]))


def of_members(numbers: dict[str, Any]) -> str:
    """``6 members``, and where they differ in more than the seed, ``6 members of 3 settings``."""
    mixed = f" of {numbers['settings']} settings" if numbers["settings"] > 1 else ""
    return f"{numbers['members']} member{'s' * (numbers['members'] > 1)}{mixed}"


def _of_members(numbers: dict[str, Any]) -> list[str]:
    """Which of a sweep's members the means are of, where not of all alike."""
    lines = []
    if count := numbers.get("unfinished"):
        lines.append(f"{count} of the {numbers['members']} members {_are(count)} not at the end.")
    if count := numbers.get("ended_before"):
        lines.append(f"{count} of the {numbers['members']} ended before the last epoch, with figures kept since.")
    if count := numbers.get("diverged"):
        lines.append(f"{count} more diverged and {_are(count)} left out.")
    return lines


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def summarise(numbers: dict[str, Any], differs: Sequence[str]) -> list[str]:
    """What the numbers say, a sentence a line."""
    epoch = max(values["epoch"] for values in numbers["final"].values())
    told = ", ".join(f"{last_loss(numbers, split)} on {split}" for split in numbers["final"])
    of = f", mean of {of_members(numbers)}," if "members" in numbers else ""
    lines = [f"After {epoch:g} epochs the loss{of} is {told}.", *_of_members(numbers)]
    if "best_valid" in numbers:
        best, end = numbers["best_valid"], numbers["final"]["valid"]
        worse = 100 * (end["loss"] - best["loss"]) / abs(best["loss"]) if best["loss"] else 0.0
        after = "the last one" if best["epoch"] == end["epoch"] else f"{percent(worse)} since"
        lines.append(f"The best valid loss, {best['loss']:.5g}, was at epoch {best['epoch']:g}, {after}.")
    split = "valid" if "best_valid" in numbers else "train"
    change = numbers.get(f"late_change_{split}_percent", math.nan)
    if math.isfinite(change):
        how = "is still falling" if change < -1 else "is rising" if change > 1 else "has levelled off"
        lines.append(f"The {split} loss {how}: {percent(change)} over the last quarter of its points.")
    if math.isfinite(numbers.get("gap_percent", math.nan)):
        text = f"Valid minus train: {numbers['gap']:+.4g} ({percent(numbers['gap_percent'])} of train)"
        lines.append(
            f"{text}; only train has the masks and noise of {' and '.join(differs)}: no gap of generalisation alone."
            if differs
            else f"{text}; train is the mean over the epoch while the weights still moved."
        )
    for name in numbers.get("figures", ()):
        values = [f"{v[name]:.4g} on {s}" for s, v in numbers["final"].items() if name in v]
        lines.append(f"Not in the loss: {name} {', '.join(values)}.")
    broken = [s for s, values in numbers["final"].items() if not math.isfinite(values.get("loss", math.nan))]
    return lines + [f"The last {s} loss is not finite: the run diverged." for s in broken]


def analyse(workdir: Path, flags) -> command.Findings:
    """The curves of the run in ``workdir``, or of a sweep the means over its members; needs metrics and config, and no
    checkpoint."""
    config, rows, spreads, counted = workdirs.read_config(workdir), read_metrics(workdir), [], {}
    if any("member" in row for row in rows):
        rows, spreads, counted = averaged.of_sweep(workdir)
    if not curves.by_split(rows, "loss"):
        raise UserError(f"{workdir}/metrics.jsonl: no line has a loss; nothing has been trained or evaluated yet")
    step = max(row.get("step", 0) for row in rows)
    weights = config.get("loss", {})
    numbers = {"config": config["name"], "step": step, **measure(rows, weights), **counted}
    if spreads:
        last = {row["split"]: row for row in spreads}
        numbers["spread"] = {split: {k: v for k, v in row.items() if k not in ("step", "split")}
                             for split, row in last.items()}  # fmt: skip
    of = f"\nmean ± standard deviation of {of_members(counted)}" if counted else ""
    picture = draw(rows, f"{config['name']}, step {step:,}: loss over the epochs{of}", weights, spreads)
    differs = command.training_only(config, but=(*command.SAME, *command.DRAWN))
    return command.Findings(picture, numbers, summarise(numbers, differs))


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m aejax.analysis.losses --workdir=DIR [--member=N | --best]``."""
    return command.execute("losses", analyse, argv, sweeps=True)


if __name__ == "__main__":
    sys.exit(main())
