"""How sparse is the code: which units fire, how often, how many at once, and what does each of them buy?

Of the test codes: a histogram of their values, zeros apart; how often each unit
fires; lifetime sparsity of each unit and population sparsity of each example, by
Hoyer and by Treves and Rolls; the number of active units (L0) against the squared
error; and the error of codes of which only the largest units are kept. Codes that
training masks or draws are looked at as training has them, too.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aejax.analysis import command, filters, selection, sparsity_truncation
from aejax.analysis.reconstructions import expected, squared_errors
from aejax.analysis.sparsity_measures import (
    ACTIVE_VARIANCE,
    Activity,
    Tally,
    histogram,
    rank_correlation,
    spread,
)
from aejax.analysis.sparsity_panels import Survey, against, described, draw, percent
from aejax.errors import UserError

# Codes that are not in encoding what the decoder sees in training, in words. Winners are those of a block of examples.
AS_TRAINED = {
    "batch_top_k": "masked as in training",
    "lifetime": "masked as in training",
    "spatial": "masked as in training",
    "straight_through": "drawn as bits",
}
ROWS = 1000  # examples to a block
BLOCK = 2**25  # values of the codes that are held at a time
MOST = 1000  # examples of the trade-off, whose codes are held together and decoded once for each of its points


def kinds(run: Any) -> dict[str, tuple[str, Callable]]:
    """The kinds of codes to look at: key -> words, and the function (raw images, number of the block) -> codes."""
    found = {"encoding": ("as encoded", lambda x, _: run.encode(x))}
    name = run.config.code.name
    if run.config.get("model") != "classifier" and name in AS_TRAINED:
        found["as_trained"] = (AS_TRAINED[name], lambda x, i: run.sample_codes(x, seed=i))
    return found


def survey(how: str, blocks: Callable[[], Iterator], errors: Callable | None, question: str) -> Survey:
    """The measures and errors of one kind of codes.

    Args:
      how: in words.
      blocks: gives the same blocks at every call: (which examples, codes [b, places, units]).
      errors: of flat codes [b, d] and which examples they are: [b]; None without a decoder.
      question: begins the error's line.

    Raises:
      UserError: a code or an error is not finite.
    """
    tally, found = Tally(), []
    for which, codes in blocks():
        tally.add(codes)
        if errors is not None:
            found.append(errors(codes.reshape(len(codes), -1), which))
    activity = tally.activity()
    found = np.concatenate(found) if found else None
    if not (np.isfinite([activity.low, activity.high]).all() and np.isfinite(0 if found is None else found).all()):
        raise UserError(f"{question}: the codes or their reconstructions are not all finite; the training diverged")
    counts, edges = histogram((codes for _, codes in blocks()), activity.low, activity.high)
    return Survey(how, activity, counts, edges, found)


def describe(s: Survey) -> dict[str, Any]:
    """The numbers of one kind of codes."""
    a = s.activity
    values = a.examples * a.places * a.units
    numbers = {
        "how": s.how,
        "test_examples": a.examples,
        "zeros_percent": 100 * a.zeros / values,
        "exact_zeros": not a.dense,
        "range": [a.low, a.high],
        "l0": spread(a.l0),
        "active_units": spread(a.active_units),
        "population": {"hoyer": spread(a.population_hoyer), "treves_rolls": spread(a.population_treves_rolls)},
        "lifetime": {"hoyer": spread(a.lifetime_hoyer), "treves_rolls": spread(a.lifetime_treves_rolls)},
        "firing_percent_sorted": 100 * np.sort(a.firing)[::-1],
        "firing_percent_of_places_sorted": 100 * np.sort(a.firing_places)[::-1] if a.places > 1 else None,
        "variance_sorted": np.sort(a.variance)[::-1],
        "histogram": {"edges": s.edges, "counts": s.counts},
    }
    if s.errors is not None:
        numbers["squared_error"] = spread(s.errors)
        numbers["rank_correlation_of_error"] = {
            "l0": rank_correlation(a.l0.astype(float), s.errors),
            "population_hoyer": rank_correlation(a.population_hoyer, s.errors),
        }
    if s.kept is not None:
        numbers["tradeoff"] = {"kept": s.kept, "squared_error": s.kept_errors, "squared_error_of_none": s.none_kept}
    return numbers


def units(activity: Activity, firing_train: np.ndarray, variational: bool) -> dict[str, Any]:
    """Which units of the codes as encoded never fire and which always do, on train and on test: indices."""
    numbers = {
        "dead_on_train": np.flatnonzero(firing_train == 0),
        "dead_on_test": np.flatnonzero(activity.firing == 0),
        "always_on_train": np.flatnonzero(firing_train == 1),
        "always_on_test": np.flatnonzero(activity.firing == 1),
        "constant_on_test": np.flatnonzero(activity.variance <= 1e-12 * max(activity.variance.max(), 1e-300)),
    }
    if variational:
        numbers["active_by_variance_of_means"] = np.flatnonzero(activity.variance > ACTIVE_VARIANCE)
    return numbers


def summarise(numbers: Mapping[str, Any], surveys: Mapping[str, Survey], noun: str) -> list[str]:
    """What the numbers say, a sentence a line; ``noun`` is what an example is called."""
    lines = []
    if numbers["classifier"]:
        lines.append("The codes of a classifier are the features that its head reads.")
    for key, s in surveys.items():
        lines += _of_codes(numbers[key], s, noun)
        if key == "encoding":
            lines += _of_units(numbers, s.activity, noun)
        lines += _of_errors(numbers[key], s, noun)
    if numbers.get("no_tradeoff"):
        lines.append(f"No error with the largest units alone: {numbers['no_tradeoff']}.")
    return lines


def _of_codes(numbers: Mapping, s: Survey, noun: str) -> list[str]:
    a, how = s.activity, s.how.capitalize()
    if a.dense:
        what = f"all of its {a.units:,} {'maps are on everywhere' if a.places > 1 else 'units are on'}"
        first = f"{how}, the code has no exact zeros: {what} for every test {noun}."
    else:
        what = f"values of {a.places:,} places × {a.units:,} maps" if a.places > 1 else f"{a.units:,} units"
        first = f"{how}, {percent(numbers['zeros_percent'])} of the code is 0 over {a.examples:,} test {noun}s: "
        first += f"of {what} {described(numbers['l0'])} are active at once (mean, 10 to 90 %)."
    measures = [(numbers[kind][name]["mean"], kind) for name in ("hoyer", "treves_rolls") for kind in KINDS]
    told = ["unknown" if not np.isfinite(value) else f"{value:.2f}" for value, _ in measures]
    second = f"  Sparsity of {KINDS['population']} {noun} {told[0]} by Hoyer and {told[2]} by Treves–Rolls, "
    second += f"of {KINDS['lifetime']} over its lifetime {told[1]} and {told[3]} (0: all alike, 1: one alone)."
    return [first, second]


KINDS = {"population": "the mean", "lifetime": "the mean unit"}


def _of_units(numbers: Mapping, a: Activity, noun: str) -> list[str]:
    found = numbers["units"]
    if "active_by_variance_of_means" in found:
        active = len(found["active_by_variance_of_means"])
        return [f"  {active} of {a.units:,} units are active: their means vary by more than {ACTIVE_VARIANCE}."]
    constant = len(found["constant_on_test"])
    if a.dense:
        return [f"  {constant} of {a.units:,} units never vary."] if constant else []
    train, test = set(map(int, found["dead_on_train"])), set(map(int, found["dead_on_test"]))
    on = len(set(map(int, found["always_on_train"])) & set(map(int, found["always_on_test"])))
    line = f"  Of {a.units:,} {'maps' if a.places > 1 else 'units'} {len(train)} never fire on train"
    line += f", {len(test)} on test ({len(train & test)} on both); {on} always fire on both."
    return [line]


def _of_errors(numbers: Mapping, s: Survey, noun: str) -> list[str]:
    if s.errors is None:
        return []
    name, x = against(s)
    rho, n = rank_correlation(x, s.errors), len(x)
    lines = []
    if np.isfinite(rho):
        noise = 2 / np.sqrt(max(n - 1, 1))
        how = "no relation beyond noise" if abs(rho) < noise else "larger" if rho > 0 else "smaller"
        how = how if abs(rho) < noise else f"{how} errors where that is higher"
        lines.append(f"  Error against {name}: {how} (rank correlation {rho:+.2f}).")
    if s.kept is not None:
        lines.append(_of_tradeoff(s.kept, s.kept_errors, s.none_kept))
    return lines


def _of_tradeoff(kept: np.ndarray, errors: np.ndarray, none: float) -> str:
    least, few = int(errors.argmin()), sparsity_truncation.enough(kept, errors)
    line = f"  With the largest value of each code alone the squared error is {errors[0]:.3g}, with all {errors[-1]:.3g} "
    line += f"(with none {none:.3g}); "
    best = "that" if errors[-1] <= 1.01 * errors[least] else f"the best, {errors[least]:.3g} with {kept[least]:,}"
    return line + f"{few:,} {'is' if few == 1 else 'are'} enough to come within 10 % of {best}."


def analyse(workdir: Path, flags) -> command.Findings:
    """The sparsity of the run in ``workdir``."""
    run = command.load(workdir, flags.best)
    dataset, classifier = run.dataset(), run.config.get("model") == "classifier"
    n, noun = len(dataset.test.images), command.noun(run, dataset)
    if not n:
        raise UserError(f"sparsity: the test split of {run.config.data.name} is empty; it needs a test {noun}")
    # In random order: of a block of one class, other units would win than of a batch of training.
    order = np.random.default_rng(0).permutation(n)
    images = dataset.test.images[order]
    size = int(np.prod(run.code_shape))
    rows = max(1, min(ROWS, BLOCK // size))
    errors = None if classifier else _decoding(run, images)
    surveys = {}
    for key, (how, codes) in kinds(run).items():
        surveys[key] = survey(how, _blocks(codes, images, rows), errors, "sparsity")
    numbers: dict[str, Any] = {**command.about(run), "classifier": classifier}
    if not classifier:
        chosen = _chosen(dataset.test, max(1, min(MOST, BLOCK // size)))
        code, low = run.config.code.name, surveys["encoding"].activity.low
        numbers["no_tradeoff"] = sparsity_truncation.unsuitable(code, low)
        if numbers["no_tradeoff"] is None:
            numbers["tradeoff_examples"] = len(chosen)
            surveys = {k: with_tradeoff(run, s, kinds(run)[k][1], dataset.test.images[chosen])
                       for k, s in surveys.items()}  # fmt: skip
    firing = filters.firing_share(run.encode, dataset.train.images, rows)
    variational = run.config.code.name in command.VARIATIONAL and not classifier
    activity = surveys["encoding"].activity
    numbers |= {
        "train_examples": len(dataset.train.images),
        "places": activity.places,
        "code_units": activity.units,
        "block_of_examples": rows,
        "units": units(activity, firing, variational),
        "firing_percent_on_train_sorted": 100 * np.sort(firing)[::-1],
        **{key: describe(s) for key, s in surveys.items()},
    }
    title = f"{command.heading(run)}: sparsity of the codes of {n:,} test {noun}s\n{_described(activity, run)}"
    picture = draw(list(surveys.values()), firing, noun, title, variational)
    return command.Findings(picture, numbers, summarise(numbers, surveys, noun))


def _described(activity: Activity, run: Any) -> str:
    size = f"{activity.units:,} units"
    if activity.places > 1:
        size = f"{activity.units:,} maps of {'×'.join(map(str, run.code_shape[:-1]))}"
    return f"code {run.config.code.name}, {size}" + ("; no exact zeros" if activity.dense else "")


def with_tradeoff(run: Any, s: Survey, codes: Callable, images: np.ndarray) -> Survey:
    """The survey with the trade-off of the codes of these raw images [n, h, w, c]."""
    flat = np.asarray(codes(images, 0)).reshape(len(images), -1)
    kept = sparsity_truncation.counts(int(np.count_nonzero(flat, axis=1).max()))
    curve = sparsity_truncation.tradeoff(flat, _decoding(run, images), np.array([0, *kept]))
    return Survey(s.how, s.activity, s.counts, s.edges, s.errors, kept, curve[1:], float(curve[0]))


def _decoding(run: Any, images: np.ndarray) -> Callable[[np.ndarray, slice], np.ndarray]:
    """The squared errors [b] that flat codes [b, d] of a slice of the raw images are decoded with."""
    likelihood = run.config.get("loss", {}).get("likelihood")

    def errors(codes: np.ndarray, which: slice) -> np.ndarray:
        inputs = np.asarray(run.prepare(images[which]))
        return squared_errors(inputs, expected(np.asarray(run.decode(codes)), inputs, likelihood))

    return errors


def _blocks(codes: Callable, images: np.ndarray, rows: int) -> Callable[[], Iterator]:
    def blocks():
        for i, start in enumerate(range(0, len(images), rows)):
            which = slice(start, min(start + rows, len(images)))
            z = np.asarray(codes(images[which], i))
            yield which, z.reshape(len(z), -1, z.shape[-1])

    return blocks


def _chosen(split: Any, count: int) -> np.ndarray:
    """Examples of a split, as many of each class as can be, or evenly spaced without labels."""
    if split.labels is None:
        return selection.evenly(len(split.images), count)
    return selection.by_class(np.asarray(split.labels), count)


def define(flags) -> None:
    """The flags of this command."""
    command.define_best(flags)


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m aejax.analysis.sparsity --workdir=DIR [--best]``."""
    return command.execute("sparsity", analyse, argv, define)


if __name__ == "__main__":
    sys.exit(main())
