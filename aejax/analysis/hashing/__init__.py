"""How good are the codes as hashes: are the bits used, and does a search by Hamming distance find the same class?

The codes become bits by a threshold fitted on train: ½ for codes that are bits or
lie in [0, 1], 0 (on where the unit fires) for those with exact zeros, otherwise
each unit's median. The database is train, the queries are of test. Beside them,
at as many bits and fitted on train alone: signs of principal components of the
prepared inputs (PCA-sign), ITQ, and random projections (LSH).
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags as absl_flags

from aejax.analysis import command, features, progress, selection, views
from aejax.analysis.hashing import hashes, retrieval
from aejax.analysis.hashing.bits import entropy, hamming, packed
from aejax.analysis.hashing.figures import draw, draw_queries
from aejax.analysis.hashing.retrieval import Retrieval
from aejax.analysis.hashing.summary import RULES, summarise
from aejax.errors import UserError

FIT = 10_000  # examples of train, evenly spaced, that thresholds and hashes are fitted on
BALLS = 10_000  # examples of test whose Hamming balls are looked at
DRAWS = 5  # of the random projections
ROWS = 5_000  # examples that are hashed at a time
POINTS = 40  # of the curves of precision
SHEET = (10, 10)  # queries drawn, and what each retrieves
CODE = "code"
BASELINES = {
    "PCA-sign": (hashes.pca_sign,),
    "ITQ": (hashes.itq,),
    "LSH": tuple(lambda x, bits, seed=seed: hashes.lsh(x, bits, seed) for seed in range(DRAWS)),
}


def hashed(rows: np.ndarray, read: Callable[[np.ndarray], np.ndarray], make: Callable) -> np.ndarray:
    """The bits [n, b] that ``make`` makes of what is read of rows [n, ...]; in blocks, to spare memory."""
    return np.concatenate([make(read(rows[i : i + ROWS])) for i in range(0, len(rows), ROWS)])


def bits_of_codes(run: Any, dataset: Any, rule: str) -> tuple[np.ndarray, np.ndarray, dict]:
    """The codes of train and test as bits [n, b], [m, b], and how they were made.

    Raises:
      UserError: a code is not finite.
    """
    pool, train = features.pooling(run.code_shape), dataset.train.images
    z = features.codes(run, train[selection.evenly(len(train), FIT)], pool)
    if not np.isfinite(z.sum(dtype=np.float64)):
        raise UserError("hashing: the codes are not all finite; it needs a run whose training did not diverge")
    chosen = hashes.fitting_rule(z) if rule == "auto" else rule
    make = hashes.THRESHOLDS[chosen](z)
    how = {
        "rule": chosen,
        "asked_for": rule,
        "fitted_on": len(z),
        "already_bits": bool(np.isin(z, (0, 1)).all()),
        "mean_bit_entropy_at_median": float(entropy(hashes.median(z)(z).mean(axis=0)).mean()),
    }
    if pool:
        how["pooled"] = {"maps": run.code_shape, "window": pool, "how": "max"}
    test_bits = hashed(dataset.test.images, lambda x: features.codes(run, x, pool), make)
    if len(z) == len(train):
        return make(z), test_bits, how
    return hashed(train, lambda x: features.codes(run, x, pool), make), test_bits, how


def labels_of(dataset: Any, source: str) -> tuple[list[np.ndarray | None], str]:
    """The labels of train and test, and ""; or None of both, and why in a line."""
    try:
        return [command.labels_of(s, "purity or retrieval", source) for s in (dataset.train, dataset.test)], ""
    except command.DoesNotApply as reason:
        return [None, None], str(reason)


def mean_of_draws(numbers: Sequence[Mapping]) -> dict:
    """Each number's mean over the draws in which it is defined; arrays, which are of single bits, from the first."""

    def mean(first, *others):
        if np.ndim(first) or all(v == first for v in others):
            return first
        there = [v for v in (first, *others) if np.isfinite(v)]
        return float(np.mean(there)) if there else float("nan")

    if len(numbers) == 1:
        return dict(numbers[0])
    several = {"draws": len(numbers)}
    if "retrieval" in numbers[0]:
        std = np.std([n["retrieval"]["mean_average_precision"] for n in numbers], ddof=1)
        several["mean_average_precision_std_over_draws"] = float(std)
    return {**jax.tree.map(mean, *numbers), **several}


def compare(
    code: tuple[np.ndarray, np.ndarray], inputs: Sequence[np.ndarray], **how
) -> tuple[dict[str, dict], dict[str, Retrieval | None]]:
    """The scores of the code's bits and of each of the ``BASELINES`` on the inputs, by name.

    Args:
      code: bits of train [n, b] and of test [m, b].
      inputs: of train [n, d] and of test [m, d], prepared.
      how: as ``retrieval.score`` takes it.
    """
    fitted = inputs[0][selection.evenly(len(inputs[0]), FIT)]
    found: dict[str, list] = {}
    fits = [(CODE, None), *((name, fit) for name, several in BASELINES.items() for fit in several)]
    for name, fit in progress.over(fits, "hashing"):
        make = fit and fit(fitted, code[0].shape[1])
        bits = [hashed(x, lambda rows: rows, make) for x in inputs] if make else code
        found.setdefault(name, []).append(retrieval.score(*bits, **how))
    numbers = {name: mean_of_draws([n for n, _ in draws]) for name, draws in found.items()}
    return numbers, {name: Retrieval.mean([r for _, r in draws if r]) for name, draws in found.items() if draws[0][1]}


def differences(numbers: Mapping[str, dict], scores: Mapping[str, Retrieval]) -> dict[str, dict]:
    """The code minus each baseline, paired by query: mAP and precision within radius 2, with standard errors.

    The error over queries and that of the mean over random draws, std / √draws, are added in squares.
    """
    result = {}
    for name in (name for name in scores if name != CODE):
        points, error = retrieval.paired_difference(scores[CODE].average_precision, scores[name].average_precision)
        near, near_error = retrieval.paired_difference(scores[CODE].within, scores[name].within)
        draws = numbers[name].get("mean_average_precision_std_over_draws", 0) / numbers[name].get("draws", 1) ** 0.5
        result[name] = {
            "mean_average_precision": points,
            "standard_error": float(np.hypot(error, draws)),
            "precision_within_radius_2": near,
            "precision_within_radius_2_standard_error": near_error,
        }
    return result


def retrieved(train_bits: np.ndarray, query_bits: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first ``count`` of train for each query, [q, count], and their distances.

    Equals are in a random order, always the same and the same for all queries: that of the data often goes by class.
    """
    order = np.random.default_rng(0).permutation(len(train_bits))
    distances = hamming(packed(query_bits), packed(train_bits[order]))
    first = np.argsort(distances, axis=1, kind="stable")[:, :count]
    return order[first], np.take_along_axis(distances, first, axis=1)


def sheet(run: Any, dataset: Any, code: Sequence[np.ndarray], labels: Sequence, names: Sequence[str]):
    """The figure of queries and what they retrieve, and its numbers."""
    count, first = SHEET
    train, test = dataset.train, dataset.test
    asked = selection.evenly(len(test.images), count) if labels[1] is None else selection.by_class(labels[1], count)
    found, distances = retrieved(code[0], code[1][asked], first)
    raw = np.concatenate([test.images[asked][:, None], train.images[found]], axis=1)
    raw = raw.reshape(-1, *raw.shape[2:])
    pictures = run.picture(np.asarray(run.prepare(raw)), like=raw)
    classes = None
    if labels[1] is not None:
        classes = [[names[labels[1][i]], *(names[labels[0][j]] for j in f)] for i, f in zip(asked, found, strict=True)]
    title = f"{command.heading(run)}: queries of test and the first {found.shape[1]} of train by Hamming distance "
    title += f"over {code[0].shape[1]:,} bits\n"
    title += "the first of each class; " if classes else "evenly spaced queries; "
    title += "equal distances in a random order, the same for all\n"
    title += f"{arranged}; " if (arranged := views.layout(pictures.shape[1:])) else ""
    title += "beneath: distance in bits"
    shown = [
        {"test_index": i, "train_indices": f, "distances": d, "classes": classes and classes[n]}
        for n, (i, f, d) in enumerate(zip(asked, found, distances, strict=True))
    ]
    return draw_queries(pictures.reshape(len(asked), -1, *pictures.shape[1:]), distances, classes, title), shown


def analyse(workdir: Path, flags) -> command.Findings:
    """The codes of the run in ``workdir`` as hashes."""
    if flags.threshold not in ("auto", *hashes.THRESHOLDS):
        raise UserError(f"--threshold={flags.threshold}: accepted are auto, {', '.join(hashes.THRESHOLDS)}")
    run = command.load(workdir, flags.best)
    dataset = run.dataset()
    splits = dataset.train, dataset.test
    if not len(dataset.test.images):
        raise UserError(f"hashing: the test split of {run.config.data.name} is empty; it needs queries")
    labels, why = labels_of(dataset, run.config.data.name)
    *code, threshold = bits_of_codes(run, dataset, flags.threshold)
    inputs = [np.asarray(run.prepare(s.images)).reshape(len(s.images), -1) for s in splits]
    how: dict[str, Any] = {"train_labels": labels[0], "test_labels": labels[1]}
    names, asking = (), np.arange(0)
    if not why:
        names = command.class_names(dataset, np.concatenate(labels))
        asking = selection.by_class(labels[1], flags.queries or len(labels[1]))
        how |= {"queries": asking, "balls": selection.by_class(labels[1], BALLS)}
        how |= {"at": retrieval.depths(len(inputs[0]), POINTS), "top": flags.top}
    numbers, scores = compare(code, inputs, **how)
    numbers = {
        **command.about(run),
        "noun": command.noun(run, dataset),
        "threshold": threshold,
        "examples": {"train": len(inputs[0]), "test": len(inputs[1]), "queries": len(asking)},
        "top": flags.top,
        "unlabelled": why,
        "codes": numbers,
    }
    if not why:
        asked = inputs[0], labels[0], inputs[1][asking], labels[1][asking]
        numbers["code_minus"] = differences(numbers["codes"], scores)
        scores["inputs"] = retrieval.retrieve_nearest(*asked, how["at"], flags.top)
        scores["chance"] = retrieval.by_chance(labels[0], labels[1][asking], how["at"], flags.top)
        for name in ("inputs", "chance"):
            kept = ("mean_average_precision", "standard_error", "precision_at")
            numbers[name] = {key: scores[name].numbers()[key] for key in kept}
        numbers["curves"] = {"k": how["at"], **{name: r.precision.mean(axis=0) for name, r in scores.items()}}
    queries, numbers["shown"] = sheet(run, dataset, code, labels, names)
    title = f"{command.heading(run)}: the codes as hashes of {code[0].shape[1]:,} bits"
    title += f", {RULES[threshold['rule']]}"
    return command.Findings(draw(numbers, title), numbers, summarise(numbers), {"queries": queries})


def define(flags) -> None:
    """The flags of this command."""
    command.define_best(flags)
    rules = "bits are on above: half: 1/2; zero: 0; median: each unit's median on train; auto: what suits the codes"
    absl_flags.DEFINE_string("threshold", "auto", f"How codes become bits; {rules}.", flag_values=flags)
    queries = "How many test examples ask, as many of each class; 0: all."
    absl_flags.DEFINE_integer("queries", 1000, queries, lower_bound=0, flag_values=flags)
    top = "How deep average precision looks, such as 5000; 0: over the whole database."
    absl_flags.DEFINE_integer("top", 0, top, lower_bound=0, flag_values=flags)


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m aejax.analysis.hashing --workdir=DIR [--threshold=auto] [--queries=1000] [--top=0] [--best]``."""
    return command.execute("hashing", analyse, argv, define)
