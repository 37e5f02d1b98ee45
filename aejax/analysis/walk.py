"""What does each unit of the code change? One unit at a time moved over its range, decoded."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags as absl_flags
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aejax.analysis import command, figure, latents, progress, selection, strips, views, words
from aejax.errors import UserError

PERCENTILES = (1, 99)
RANGE = "1st to 99th percentile of the values on train that are not 0, and 0 where it is taken"
FEW = 64  # numbers of a code of maps up to which every one is a dimension of its own
DENSE = 0.1  # share of zeros in the training codes up to which their mean is like one of them
NOTHING = 1e-6  # of the largest change: a thousandth of it in grey levels
LIKE = 1000  # training examples whose range pictures are shown on
TEXTS = 5  # dimensions told in words


@dataclass(frozen=True)
class Walk:
    """Dimensions of a code, each moved from ``low`` to ``high`` while the others stay at ``base``.

    Attributes:
      base: [d], flat.
      places: [m] which number of the code each dimension is.
      units: [m] the unit that it belongs to.
      names: [m] what it is called.
      low, high: [m].
    """

    base: np.ndarray
    places: np.ndarray
    units: np.ndarray
    names: list[str]
    low: np.ndarray
    high: np.ndarray

    def codes(self, chosen: np.ndarray, steps: int) -> np.ndarray:
        """[len(chosen), steps, d] codes of some dimensions, evenly from low to high."""
        t = np.linspace(0, 1, steps)
        codes = np.tile(self.base.astype(np.float32), (len(chosen), steps, 1))
        values = self.low[chosen, None] * (1 - t) + self.high[chosen, None] * t
        codes[np.arange(len(chosen)), :, self.places[chosen]] = values
        return codes


def ranges(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The range of each unit over its training values [n, units]: [units] and [units].

    From the 1st to the 99th percentile of the values that are not 0, so that a unit
    which is hardly ever active is moved as far as it goes when it is; from or to 0 where
    that is beyond, if the unit is ever exactly 0. (0, 0) for one that always is.
    """
    low, high = np.zeros(values.shape[1]), np.zeros(values.shape[1])
    for unit, column in enumerate(values.T):
        active = column[column != 0]
        if len(active):
            low[unit], high[unit] = np.percentile(active, PERCENTILES)
        if len(active) < len(column):
            low[unit], high[unit] = min(low[unit], 0.0), max(high[unit], 0.0)
    return low, high


def change(path: np.ndarray) -> np.ndarray:
    """``(s − 1) Σ_i ‖x_{i+1} − x_i‖²`` along paths [n, s, ...]: [n]; of a straight, even one ``‖x_s − x_1‖²``."""
    path = path.reshape(*path.shape[:2], -1)
    return (path.shape[1] - 1) * np.square(np.diff(path, axis=1)).sum(axis=(1, 2), dtype=np.float64)


def carrying(changes: np.ndarray, share: float = 0.9) -> int:
    """How many of the largest changes [n] make up at least that share of their sum; 0 where there is none."""
    total = np.cumsum(np.sort(changes)[::-1])
    return int(np.argmax(total >= share * total[-1] * (1 - 1e-9))) + 1 if total[-1] > 0 else 0


def typical(codes: np.ndarray) -> int:
    """Of codes [n, d] the first whose number of units that are not 0 is the median (the lower of two)."""
    active = np.count_nonzero(codes, axis=1)
    return int(np.flatnonzero(active == np.sort(active)[(len(active) - 1) // 2])[0])


def dimensions(active: np.ndarray, shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """What is moved of a code: places in it, units and names, [m] each.

    Every number of a vector. Of maps (h, w, size), which unit j fills with h · w numbers,
    the one of largest magnitude in ``active`` [d], what the base's image is encoded to
    before any winner is taken; or where they are no more than ``FEW``, every one.
    """
    if len(shape) == 1:
        return np.arange(shape[0]), np.arange(shape[0]), [f"unit {i}" for i in range(shape[0])]
    h, w, size = shape
    if active.size <= FEW:
        places = np.arange(active.size)
    else:
        places = np.abs(active.reshape(h * w, size)).argmax(axis=0) * size + np.arange(size)
    units, where = places % size, places // size
    return places, units, [f"map {u} at {p // w},{p % w}" for u, p in zip(units, where, strict=True)]


def choose_base(run: Any, train: np.ndarray, test: Any, image: int, noun: str) -> tuple[np.ndarray, int | None, str]:
    """The code [d] that walks start from, the test image that has it or None, and both in words.

    ``image`` is its index; -1 for the mean of ``train`` [n, d] where that is like a code:
    a vector that is hardly ever exactly 0 and no bits. Other codes take the test image
    with the median number of active units.
    """
    dense = np.mean(train == 0) <= DENSE and len(run.code_shape) == 1 and run.config.code.name not in latents.BITS
    if image < 0 and dense:
        return train.mean(axis=0), None, "the mean training code"
    if not image < len(test.images):
        n = len(test.images)
        raise UserError(f"--image={image}: accepted are indices of the {n} test images, or -1 for a base by rule")
    codes = latents.known(run, test.images).reshape(len(test.images), -1)
    image = typical(codes) if image < 0 else image
    return codes[image], image, f"the code of test {noun} {image}"


def build(run: Any, dataset: Any, image: int, noun: str) -> tuple[Walk, int | None, str]:
    """The walk over all dimensions of the run's code, with the test image of its base or None, and it in words."""
    train = latents.flat_codes(run, dataset.train)
    base, index, told = choose_base(run, train, dataset.test, image, noun)
    active = base if index is None else np.asarray(run.encode(dataset.test.images[index : index + 1])).ravel()
    places, units, names = dimensions(active, run.code_shape)
    if run.config.code.name in latents.BITS:
        low, high = np.zeros(len(places)), np.ones(len(places))
    elif len(run.code_shape) == 1 or base.size <= FEW:
        low, high = ranges(train)
    else:
        low, high = (x[units] for x in ranges(train.reshape(-1, run.code_shape[-1])))
    return Walk(base, places, units, names, low, high), index, told


def changes(run: Any, walk: Walk, pixels: int, total: float) -> np.ndarray:
    """[m]: the ``change`` of every dimension over three steps, low, middle and high; in blocks to spare memory.

    Args:
      run: as ``aejax.load`` gives it.
      walk: the dimensions.
      pixels: values of an example.
      total: as ``latents.decoded`` takes it.
    """
    block = max(1, latents.BLOCK // (3 * max(walk.base.size, pixels)))
    found = np.zeros(len(walk.places))
    for start in progress.over(range(0, len(found), block), "units"):
        part = np.arange(start, min(start + block, len(found)))
        codes = walk.codes(part, 3)
        outputs = latents.decoded(run, codes.reshape(-1, walk.base.size), total)
        found[part] = change(outputs.reshape(len(part), 3, -1))
    return found


def choose(explicit: Sequence[str], rows: int, walk: Walk, found: np.ndarray) -> np.ndarray:
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
        draw_shares(lower, found, len(rows))
    else:
        upper = picture.add_subplot()
    strips.draw(upper, rows, columns, width)
    figure.set_title(picture, title)
    return picture


def draw_shares(axes: Axes, found: np.ndarray, shown: int) -> None:
    """The cumulative share of the changes [m], largest first, and where it passes 90 %."""
    share = 100 * np.cumsum(np.sort(found)[::-1]) / max(found.sum(), 1e-300)
    ranks = np.arange(1, len(found) + 1)
    axes.plot(ranks, share, color=figure.BLUE, linewidth=1.2, marker="." if len(found) <= 40 else None, markersize=4)
    axes.axhline(90, color=figure.GREY, linewidth=0.6, linestyle=":")
    if many := carrying(found):
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
    if idle:
        why = f", {still:,} of them because they have one value in all of train" if still else ""
        lines.append(f"{idle:,} {things} change nothing to speak of{why}.")
    else:
        lines.append("Every one changes something.")
    for row in numbers["shown"][:TEXTS] if numbers["told"] else ():
        lines.append(f"{_capital(row['name'])} adds {words.told(row['words_up'])};")
        lines.append(f"  and takes away {words.told(row['words_down'])}.")
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
    latents.tested(dataset, run.config.data.name)
    noun = command.noun(run, dataset)
    walk, image, told = build(run, dataset, flags.image, noun)
    train = latents.comparable(run, dataset.train.images[:LIKE])
    total = float(train.sum(axis=(1, 2, 3)).mean())
    found = changes(run, walk, int(np.prod(dataset.shape)), total)
    shown = choose(flags.dimensions, flags.rows, walk, found)
    codes = walk.codes(shown, flags.steps)
    outputs = latents.decoded(run, codes.reshape(-1, walk.base.size), total, "rows")
    outputs = outputs.reshape(len(shown), flags.steps, *dataset.shape)
    numbers = {
        **command.about(run),
        "base": told,
        "base_test_index": image,
        "maps": list(run.code_shape) if len(run.code_shape) == 3 else None,
        "range": "0 to 1" if run.config.code.name in latents.BITS else RANGE,
        "dimensions": len(found),
        "total_change": found.sum(),
        "carrying_90_percent": carrying(found),
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


def describe(walk: Walk, i: int, found: np.ndarray, path: np.ndarray, vocabulary: Sequence[str]) -> dict[str, Any]:
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
        row |= {"words_up": words.largest(grown, vocabulary), "words_down": words.largest(-grown, vocabulary)}
    return row


def pictured(
    run: Any, outputs: np.ndarray, like: np.ndarray, walk: Walk, shown: np.ndarray, numbers: Sequence[dict]
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
    notes = "; ".join(filter(None, (latents.how_encoded(run.config), views.layout(dataset.shape))))
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


if __name__ == "__main__":
    sys.exit(main())
