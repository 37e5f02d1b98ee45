"""What excites each unit most, and does it stand for a class? Its top test images, and its selectivity.

A unit of maps is a map; its value for an image is the largest at any place of it, the first of several in reading
order, and what is shown is the patch that this place sees. Of codes that have two signs the largest values are meant.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags as absl_flags

from aejax.analysis import command, filters, selection, views, weights, words
from aejax.analysis.activations import fields, selectivity, sheet
from aejax.errors import UserError

CHOICES = {
    "even": "evenly spaced in order of how often they are excited",
    "selective": "of largest selectivity index",
    "firing": "excited most often",
}
MOST = 2**28  # values of all units for all images that are held; beyond, fewer images are taken
BLOCK = 2**25  # values of the codes that are held beside them
TOLD = 3  # units whose words are told
LEGEND = (
    "index: how selective the unit is for the class of largest mean activity, from 0 to 1; "
    "precision: the share of that class among the examples that excite the unit most"
)


def measure(observed: selectivity.Observed, labels: np.ndarray | None, names: Sequence[str]) -> dict[str, Any]:
    """The numbers of all units, from labels [n] (None: there are none) and the classes' names."""
    values = observed.values
    excited = 100 * (values > 0).mean(axis=0)
    live = excited > 0
    numbers = {
        "code_units": len(excited),
        "dead_units": np.flatnonzero(~live),
        "constant_units": np.flatnonzero(live & (np.ptp(values, axis=0) == 0)),
        "excited_percent": _spread(excited[live]),
        "signed": bool((values < 0).any()),
        "units": {"excited_percent": excited},
    }
    if labels is None:
        return {**numbers, "selectivity": None}
    found = selectivity.selectivity(observed.activity, labels)
    selective = selectivity.is_selective(found)
    share = 100 * selectivity.precision(values, labels, found.leading)
    numbers["units"] |= {
        "class": [None if k < 0 else names[k] for k in found.leading],
        "index": found.index,
        "selective": selective,
        "precision_percent": share,
    }
    present = [k for k in range(len(names)) if np.any(labels == k)]
    numbers["selectivity"] = {
        "selective_units": int(selective.sum()),
        "index": _spread(found.index[live]),
        "index_by_chance": _spread(found.by_chance[:, live].ravel()),
        "precision_percent": _spread(share[live]),
        "largest_class_percent": 100 * max(np.mean(labels == k) for k in present),
        "leading_by_class": {names[k]: int(np.sum(found.leading == k)) for k in present},
        "selective_by_class": {names[k]: int(np.sum(selective & (found.leading == k))) for k in present},
    }
    return numbers


def _spread(values: np.ndarray) -> dict:
    if not len(values):
        return dict.fromkeys(("min", "median", "max"))
    return {"min": values.min(), "median": np.median(values), "max": values.max()}


def choose(how: str, count: int, numbers: dict) -> np.ndarray:
    """The units to show, by a key of ``CHOICES``, from the numbers that ``measure`` gives: of those that differ from
    image to image, and where there are none of those that are not dead."""
    units = numbers["units"]
    excited = np.asarray(units["excited_percent"])
    varying = np.setdiff1d(np.flatnonzero(excited), numbers["constant_units"])
    live = varying if len(varying) else np.flatnonzero(excited)
    if how == "selective":  # those whose index is no more than what chance gives come last
        score = np.where(units["selective"], np.nan_to_num(units["index"]), np.nan_to_num(units["index"]) - 2)
        return live[selection.largest(score[live], count)]
    pick = selection.over_ranking if how == "even" else selection.largest
    return live[pick(excited[live], count)]


def summarise(numbers: dict, noun: str) -> list[str]:
    """What the numbers say, a sentence a line; ``noun`` is what an example is called."""
    units, dead, excited = numbers["code_units"], len(numbers["dead_units"]), numbers["excited_percent"]
    lines = [
        f"{dead} of {units} code units ({100 * dead / units:.1f} %) are excited by none of "
        f"{numbers['test_examples']:,} test {noun}s; the median of the others by {excited['median']:.1f} % "
        f"({excited['min']:.1f} to {excited['max']:.1f} %)."
    ]
    if numbers["signed"]:
        lines[0] += " (This code has two signs; a unit's activity is its positive part.)"
    if constant := len(numbers["constant_units"]):
        lines.append(f"{constant} {'has' if constant == 1 else 'have'} the same value for every {noun}.")
    if found := numbers["selectivity"]:
        lines += _of_classes(found, units - dead, noun)
    for row in [row for row in numbers["shown"] if "words" in row][:TOLD]:
        lines.append(f"In the texts that excite unit {row['unit']} most: {words.told(row['words'])}.")
    return lines


def _of_classes(found: dict, live: int, noun: str) -> list[str]:
    index, chance, share = (found[name]["median"] for name in ("index", "index_by_chance", "precision_percent"))
    count, by_class = found["selective_units"], found["selective_by_class"]
    lines = [
        f"Selective for a class (index 0.5 or more, and more than {selectivity.SHUFFLES} shuffles of the labels give): "
        f"{count} of {live} units ({100 * count / live:.1f} %); median index {index:.2f}, by chance {chance:.2f}.",
        f"Among the {noun}s that excite a unit most, {selectivity.TOP} or fewer, {share:.0f} % are of its leading "
        f"class in the median (of all {noun}s, {found['largest_class_percent']:.0f} % are of the most frequent class).",
    ]
    if count:
        order = sorted(by_class, key=by_class.get, reverse=True)
        told = ", ".join(f"{name} ({by_class[name]})" for name in order[:10] if by_class[name])
        none = sum(not n for n in by_class.values())
        few = f"; none for {none} of {len(by_class)} classes" if none else ""
        lines.append(f"The selective units by class{', most first' if len(order) > 1 else ''}: {told}{few}.")
    return lines


def examples(test: Any, units: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Which of the test examples are looked at [n], and their labels [n]; None without labels of two classes.

    All, or where ``MOST`` values do not suffice for so many units as many as it does, by class.
    """
    labels = None if test.labels is None else np.asarray(test.labels).astype(np.int64)
    labels = None if labels is None or len(np.unique(labels)) < 2 else labels
    n, count = len(test.images), MOST // units
    if n <= count:
        return np.arange(n), labels
    chosen = selection.evenly(n, count) if labels is None else np.sort(selection.by_class(labels, count))
    return chosen, None if labels is None else labels[chosen]


def own_weights(run: Any, shape: tuple[int, int, int], units: int) -> dict[str, np.ndarray]:
    """The weight images that belong to the code's units one by one, by part; none where no one layer makes them."""
    try:
        images = filters.weight_images(run, shape)
    except weights.NoImages:
        return {}
    params, last = run.variables["params"], list(images)[-1]
    own = weights.of_code(params, len(images["encoder"]), len(images[last]), units)
    return {part: images[part] for part in (("encoder",) if weights.is_tied(params) else images) if part in own}


def head(units: dict, u: int, labelled: bool) -> str:
    """What is said above a unit's row."""
    told = f"unit {u}: excited by {units['excited_percent'][u]:.1f} %"
    if not labelled:
        return told
    share = units["precision_percent"][u]
    return f"{told}, index {units['index'][u]:.2f} for {units['class'][u][:12]}, precision {share:.0f} %"


def analyse(workdir: Path, flags) -> command.Findings:
    """The top images of the units of the run in ``workdir``."""
    if flags.choose not in CHOICES:
        raise UserError(f"--choose={flags.choose}: accepted are {', '.join(CHOICES)}")
    run = command.load(workdir, flags.best)
    dataset, source = run.dataset(), run.config.data.name
    test, noun = dataset.test, command.noun(run, dataset)
    if not len(test.images):
        raise UserError(f"activations: the test split of {source} is empty; it needs a test {noun}")
    chosen, labels = examples(test, run.code_shape[-1])
    if labels is None and flags.choose == "selective":
        raise UserError(f"--choose=selective needs labels of two classes, {source} has none; accepted: even, firing")
    images, names = test.images[chosen], [] if labels is None else command.class_names(dataset, labels)
    observed = selectivity.observe(run.encode, images, max(1, min(5000, BLOCK // int(np.prod(run.code_shape)))))
    numbers = measure(observed, labels, names)
    if len(numbers["dead_units"]) == numbers["code_units"]:
        raise command.DoesNotApply("no test example excites any unit of the code: all are dead")
    units = choose(flags.choose, flags.units, numbers)
    tops = [selectivity.top(observed.values[:, u], flags.images) for u in units]
    seen = None if observed.places is None else fields.field(run.model.bind(run.variables).encoder)
    numbers = {
        **command.about(run),
        "test_examples": len(images),
        "test_examples_in_all": len(test.images),
        "receptive_field": seen and [axis.extent for axis in seen],
        **numbers,
        "shown": [
            {"unit": u, "test_indices": chosen[top], "values": observed.values[top, u]}
            for u, top in zip(units, tops, strict=True)
        ],
    }
    parts = own_weights(run, dataset.shape, numbers["code_units"])
    rows = []
    for u, top, row in zip(units, tops, numbers["shown"], strict=True):
        raw = images[top]
        pictures = run.picture(run.prepare(raw), like=raw)
        if run.words:
            row["words"] = words.largest(pictures.reshape(len(top), -1).sum(axis=0), run.words)
        patches = pictures
        if seen:
            row["places"] = observed.places[top, u]
            patches = fields.patches(pictures, row["places"], seen)
        small = [sheet.coloured(part[u : u + 1])[0] for part in parts.values()]
        captions = [_short(value) for value in row["values"]]
        said = head(numbers["units"], u, labels is not None)
        rows.append(sheet.Row(said, small, sheet.pictures(patches, pictures), captions))
    title = f"{command.heading(run)}: {_title(numbers, flags, noun, list(parts), dataset.shape)}"
    told = summarise(numbers, noun)
    return command.Findings(sheet.draw(rows, title, flags.images, LEGEND if names else ""), numbers, told)


def _short(value: float) -> str:
    """About three digits, in no more than six characters; of whole numbers such as bits no more than they have."""
    if value == round(value) or abs(value) >= 100:
        return f"{value:.0f}" if abs(value) < 1e5 else f"{value:.0e}"
    return f"{value:#.3g}" if abs(value) >= 0.1 else f"{value:.3f}" if abs(value) >= 0.001 else f"{value:.0e}"


def _title(numbers: dict, flags, noun: str, parts: Sequence[str], shape: tuple[int, int, int]) -> str:
    shown, there, seen = len(numbers["shown"]), numbers["code_units"], numbers["receptive_field"]
    h, w = (min(pair) for pair in zip(seen or shape[:2], shape[:2], strict=True))
    patches = f"patches ({h}×{w}) of test {noun}s" if (h, w) != tuple(shape[:2]) else f"test {noun}s"
    still = len(numbers["dead_units"]) + len(numbers["constant_units"])
    which = f"{shown} of {there} units" if shown < there else f"all {there} units" if there > 1 else "the only unit"
    which += f", {CHOICES[flags.choose]}" if shown < there - still else ""
    which += f"; {still} that {'never change' if still > 1 else 'never changes'} left out" if still else ""
    left = {"encoder": "what it reads", "decoder": "what it writes"}
    notes = [f"left: {' and '.join(left[part] for part in parts)}"] if parts else []
    notes += ["beneath: the unit's value", *filter(None, [views.layout(shape)])]
    return f"the {patches} that excite a {'map' if seen else 'unit'} most\n{which}\n{'; '.join(notes)}"


def define(flags) -> None:
    """The flags of this command."""
    command.define_best(flags)
    absl_flags.DEFINE_integer("units", 20, "How many units to show.", lower_bound=1, flag_values=flags)
    absl_flags.DEFINE_integer("images", 9, "How many test images to show a unit.", lower_bound=1, flag_values=flags)
    choices = "; ".join(f"{name}: {meaning}" for name, meaning in CHOICES.items())
    absl_flags.DEFINE_string("choose", "even", f"Which units. {choices}.", flag_values=flags)


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m aejax.analysis.activations --workdir=DIR [--units=N] [--images=N]
    [--choose=even|selective|firing] [--best]``."""
    return command.execute("activations", analyse, argv, define)
