"""What does each unit of the code change? One unit at a time moved over its range, decoded."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags as absl_flags
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aejax.analysis import command, figure, known_codes, selection, strips, views, words
from aejax.analysis.walk import dimensions
from aejax.errors import UserError

NOTHING = 1e-6  # of the largest change: a thousandth of it in grey levels
LIKE = 1000  # training examples whose range pictures are shown on
TEXTS = 5  # dimensions told in words


def choose(explicit: Sequence[str], rows: int, walk: dimensions.Walk, found: np.ndarray) -> np.ndarray:
    """The dimensions to draw, largest change first: those of the units that are named, else the first ``rows``.

    Raises:
      UserError: there is no such unit.
    """
    if not explicit:
        return selection.largest(found, rows)
    there = int(walk.units.max()) + 1
    if not all(text.strip().isdecimal() and int(text) < there for text in explicit):
        raise UserError(f"--dimensions={','.join(explicit)}: accepted are units from 0 to {there - 1}, by commas")
    named = np.flatnonzero(np.isin(walk.units, [int(text) for text in explicit]))
    return named[selection.largest(found[named], len(named))]


def draw(rows: Sequence[strips.Row], found: np.ndarray, title: str, columns: Sequence[str]) -> Figure:
    """The rows over the cumulative share of the change of all dimensions [m], largest first."""
    left, right, curve = 1.35, 0.55, 1.3 if len(found) > 1 else 0.0
    width, height = strips.sized(rows, left, right, highest=7.5)
    width = max(width, 4.6)
    picture = figure.new(width, height + curve + 0.5 + 0.17 * (1 + title.count("\n")))
    if curve:
        upper, lower = picture.subplots(2, 1, height_ratios=(height + 0.3, curve))
        draw_shares(lower, found)
    else:
        upper = picture.add_subplot()
    strips.draw(upper, rows, columns, width)
    figure.set_title(picture, title)
    return picture


def draw_shares(axes: Axes, found: np.ndarray) -> None:
    """The cumulative share of the changes [m], largest first, and where it passes 90 %."""
    share = 100 * np.cumsum(np.sort(found)[::-1]) / max(found.sum(), 1e-300)
    ranks = np.arange(1, len(found) + 1)
    axes.plot(ranks, share, color=figure.BLUE, linewidth=1.2, marker="." if len(found) <= 40 else None, markersize=4)
    axes.axhline(90, color=figure.GREY, linewidth=0.6, linestyle=":")
    if many := dimensions.carrying(found):
        axes.plot(many, share[many - 1], "o", color=figure.VERMILLION, markersize=4.5)
        text = f"90 % by {many:,} of {len(found):,}"
        axes.text(0.99, 0.08, text, ha="right", fontsize=7, transform=axes.transAxes)
    axes.set(ylim=(0, 104), xlim=(0.5 - 0.01 * len(found), len(found) * 1.01 + 0.5))
    figure.tidy(axes)
    axes.tick_params(labelsize=7)
    axes.locator_params(axis="x", integer=True)
    axes.set_xlabel("dimensions, largest change first", fontsize=7)
    axes.set_ylabel("% of the change", fontsize=7)


def summarise(numbers: dict, noun: str) -> list[str]:
    """What the numbers say, a sentence a line; ``noun`` is what an example is called."""
    count, idle, still = numbers["dimensions"], len(numbers["without_change"]), len(numbers["never_moving"])
    things = "dimensions" if numbers["maps"] else "units"
    lines = [f"Walks start from {numbers['base']}; each moves one of {count:,} {things} over its range on train."]
    if not numbers["total_change"] > 0:
        return [*lines, f"None of them changes the {noun}."]
    first, many = numbers["shown"][0], numbers["carrying_90_percent"]
    best = max(numbers["shown"], key=lambda row: row["change"]) if numbers["by_rule"] else first
    half = "concentrated in few" if many <= 0.25 * count else "spread over most" if many > 0.6 * count else "shared"
    lines.append(
        f"{many:,} of {count:,} carry 90 % of the squared change of the {noun}: it is {half}. {_capital(best['name'])}"
        f" {'carries most' if numbers['by_rule'] else 'carries'}, {best['percent']:.1f} %, "
        f"between {best['low']:.3g} and {best['high']:.3g}."
    )
    if idle == 1:
        lines.append(f"One changes nothing to speak of{', having one value in all of train' if still else ''}.")
    elif idle:
        why = f", {still:,} of them having one value in all of train" if still else ""
        lines.append(f"{idle:,} change nothing to speak of{why}.")
    else:
        lines.append("Every one changes something.")
    for row in numbers["shown"][:TEXTS] if numbers["told"] else ():
        lost = f"; takes away {words.told(row['words_down'])}" if row["words_down"] else ""
        lines.append(f"{_capital(row['name'])} adds {words.told(row['words_up'])}{lost}.")
    return lines


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def analyse(workdir: Path, flags) -> command.Findings:
    """The walk of the run in ``workdir``."""
    run = command.load_autoencoder(workdir, flags.best, "a walk")
    if run.config.code.name == "vector_quantised":
        raise command.DoesNotApply(
            "a walk moves one unit and leaves the others, and a code that is an entry of a codebook has no such unit; "
            "aejax.analysis.samples draws entries"
        )
    dataset = run.dataset()
    known_codes.tested(dataset, run.config.data.name)
    noun = command.noun(run, dataset)
    walk, image, told = dimensions.build(run, dataset, flags.image, noun)
    train = known_codes.comparable(run, dataset.train.images[:LIKE])
    total = float(train.sum(axis=(1, 2, 3)).mean())
    found = dimensions.changes(run, walk, int(np.prod(dataset.shape)), total)
    shown = choose(flags.dimensions, flags.rows, walk, found)
    codes = walk.codes(shown, flags.steps)
    outputs = known_codes.decoded(run, codes.reshape(-1, walk.base.size), total, "rows")
    outputs = outputs.reshape(len(shown), flags.steps, *dataset.shape)
    numbers = {
        **command.about(run),
        "base": told,
        "base_test_index": image,
        "maps": list(run.code_shape) if len(run.code_shape) == 3 else None,
        "range": "0 to 1" if run.config.code.name in known_codes.BITS else dimensions.RANGE,
        "dimensions": len(found),
        "total_change": found.sum(),
        "carrying_90_percent": dimensions.carrying(found),
        "without_change": np.flatnonzero(found <= NOTHING * found.max()),
        "never_moving": np.flatnonzero(walk.high <= walk.low),
        "by_rule": not flags.dimensions,
        "told": bool(run.words),
        "shown": [describe(walk, i, found, outputs[k], run.words) for k, i in enumerate(shown)],
        "change": found,
    }
    like = run.picture(train, like=dataset.train.images[:LIKE])
    rows = pictured(run, outputs, like, walk, shown, numbers["shown"])
    columns = ["low", *[""] * (flags.steps - 2), "high"]
    return command.Findings(
        draw(rows, found, _title(run, dataset, numbers), columns), numbers, summarise(numbers, noun)
    )


def describe(
    walk: dimensions.Walk, i: int, found: np.ndarray, path: np.ndarray, vocabulary: Sequence[str]
) -> dict[str, Any]:
    """The numbers of one dimension that is drawn; ``path`` [steps, h, w, c] is what it gives."""
    row = {
        "name": walk.names[i],
        "unit": walk.units[i],
        "place": walk.places[i],
        "low": walk.low[i],
        "high": walk.high[i],
        "base": walk.base[walk.places[i]],
        "change": found[i],
        "percent": 100 * found[i] / found.sum() if found.sum() > 0 else 0.0,
    }
    if vocabulary:
        grown = (path[-1] - path[0]).ravel()
        row |= {"words_up": words.largest(grown, vocabulary, 5), "words_down": words.largest(-grown, vocabulary, 5)}
    return row


def pictured(
    run: Any, outputs: np.ndarray, like: np.ndarray, walk: dimensions.Walk, shown: np.ndarray, numbers: Sequence[dict]
) -> list[strips.Row]:
    """The rows of the figure, of outputs [rows, steps, h, w, c]; framed is the step nearest to the base.

    Images are shown on the scale of pictures ``like`` [n, h, w, c], anything else a row on a scale of its own.
    """
    n, steps, *shape = outputs.shape
    examples = np.asarray(run.picture(outputs.reshape(-1, *shape))).reshape(n, steps, *shape)
    if shape[0] == 1:
        like = np.concatenate(list(examples.transpose(1, 0, 2, 3, 4)), axis=2)  # a row is on one scale
        like = like.repeat(steps, axis=0)
    pictures = views.viewable(examples.reshape(-1, *shape), like)
    pictures = pictures.reshape(n, steps, *pictures.shape[1:])
    rows = []
    for k, (i, about) in enumerate(zip(shown, numbers, strict=True)):
        values = np.linspace(walk.low[i], walk.high[i], steps)
        nearest = int(np.abs(values - about["base"]).argmin())
        left = f"{about['name']}: {about['low']:.2g} … {about['high']:.2g}".replace("-", "−")
        rows.append(strips.Row(pictures[k], left, f"{about['percent']:.1f} %", marked=nearest))
    return rows


def _title(run: Any, dataset: Any, numbers: dict) -> str:
    shown, count = len(numbers["shown"]), numbers["dimensions"]
    which = f"the {shown} of {count:,}" if shown < count else "all" if count > 1 else "the one"
    most = " that change most" if shown < count and numbers["by_rule"] else ""
    title = f"{command.heading(run)}: {which} {'dimensions' if numbers['maps'] else 'units'}{most}, each over its range"
    title += f"\nfrom {numbers['base']} (orange: nearest to it); right: % of the change"
    notes = "; ".join(filter(None, (known_codes.how_encoded(run.config), views.layout(dataset.shape))))
    return title + (f"\n{notes}" if notes else "")


def define(flags) -> None:
    """The flags of this command."""
    command.define_best(flags)
    absl_flags.DEFINE_integer("rows", 10, "How many units to draw.", lower_bound=1, flag_values=flags)
    absl_flags.DEFINE_list("dimensions", [], "These units, by number, in place of the first rows.", flag_values=flags)
    absl_flags.DEFINE_integer("steps", 11, "How many images a row.", lower_bound=2, flag_values=flags)
    image = (
        "Start from the code of this test image; -1: from the mean training code, or for codes with zeros, bits or "
        "maps from a test image with the median number of active units."
    )
    absl_flags.DEFINE_integer("image", -1, image, lower_bound=-1, flag_values=flags)


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m aejax.analysis.walk --workdir=DIR [--rows=N] [--dimensions=I,J,...] [--steps=N] [--image=I]``."""
    return command.execute("walk", analyse, argv, define)
