"""How sparse is the code: which units fire, how often, how many at once, and what does each of them buy?

Of the test codes: a histogram of their values, zeros apart; how often each unit
fires; lifetime sparsity of each unit and population sparsity of each example, by
Hoyer and by Treves and Rolls; the number of active units (L0) against the squared
error; and the error of codes of which only the largest units are kept. Codes that
training masks or draws are looked at as training has them, too.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aejax.analysis import command, filters, selection
from aejax.analysis.reconstructions import expected, squared_errors
from aejax.analysis.sparsity import truncation
from aejax.analysis.sparsity.measures import UNVARYING, Activity
from aejax.analysis.sparsity.panels import draw
from aejax.analysis.sparsity.summary import summarise
from aejax.analysis.sparsity.survey import Survey, describe, survey
from aejax.codes.variational import ACTIVE
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


def units(activity: Activity, firing_train: np.ndarray, variational: bool) -> dict[str, Any]:
    """Which units of the codes as encoded never fire and which always do, on train and on test: indices."""
    numbers = {
        "dead_on_train": np.flatnonzero(firing_train == 0),
        "dead_on_test": np.flatnonzero(activity.firing == 0),
        "always_on_train": np.flatnonzero(firing_train == 1),
        "always_on_test": np.flatnonzero(activity.firing == 1),
        "hardly_varying_on_test": np.flatnonzero(activity.variance <= UNVARYING * activity.variance.max()),
    }
    if variational:
        numbers["active_by_variance_of_means"] = np.flatnonzero(activity.variance > ACTIVE)
    return numbers


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
        numbers["no_tradeoff"] = truncation.unsuitable(code, low)
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
        maps = "map" if activity.units == 1 else "maps"
        size = f"{activity.units:,} {maps} of {'×'.join(map(str, run.code_shape[:-1]))}"
    return f"code {run.config.code.name}, {size}" + ("; no exact zeros" if activity.dense else "")


def with_tradeoff(run: Any, s: Survey, codes: Callable, images: np.ndarray) -> Survey:
    """The survey with the trade-off of the codes of these raw images [n, h, w, c]."""
    flat = np.asarray(codes(images, 0)).reshape(len(images), -1)
    kept = truncation.counts(int(np.count_nonzero(flat, axis=1).max()))
    curve = truncation.tradeoff(flat, _decoding(run, images), np.array([0, *kept]))
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
