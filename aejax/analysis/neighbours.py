"""Do near codes have the same class? Nearest neighbours among training codes, against raw pixels and their PCA.

The class of a test code is that of its nearest training code, or the one that most of the k nearest have; k is chosen
on valid, from ``GRID``, and the test split is looked at once. Nothing is fitted, so what is found is in the distances.
Of equally near codes the first in an order of train that was shuffled once, always the same, comes first; of equally
many votes the class of the nearest wins.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags as absl_flags
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

from aejax.analysis import command, features, nearest, probe
from aejax.errors import UserError

GRID = (1, 3, 5, 9, 15, 25, 49)  # the values of k tried
RULES = ("1-NN", "k-NN")


def reduced(splits: Sequence[np.ndarray], dimensions: int) -> list[np.ndarray] | None:
    """Train, valid and test [n, d] on the first principal components of train; None where there are not so many."""
    if not dimensions < min(splits[0].shape):
        return None
    model = PCA(dimensions, random_state=0).fit(splits[0])
    return [model.transform(x) if len(x) else np.empty((0, dimensions), x.dtype) for x in splits]


def choose(neighbours: np.ndarray, labels: np.ndarray, grid: Sequence[int]) -> tuple[int, dict[int, float]]:
    """The k of the grid that is most often right on valid, the smallest of equals, and the accuracies, shares.

    Args:
      neighbours: [n, max(grid)] labels of the nearest training examples, nearest first.
      labels: [n] of valid, n > 0.
      grid: ascending.
    """
    accuracy = {k: float(np.mean(nearest.vote(neighbours[:, :k]) == labels)) for k in grid}
    return max(accuracy, key=accuracy.get), accuracy


def classify(
    splits: Sequence[np.ndarray], labels: Sequence[np.ndarray], k: int, metric: str, kind: str
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Classify test by train.

    Args:
      splits: train, valid and test [n, d] of one kind of feature; valid may be empty.
      labels: theirs [n].
      k: how many neighbours vote in ``k-NN``; 0 chooses on valid, or is 1 without.
      metric: a key of ``nearest.METRICS``.
      kind: the feature's name.

    Returns:
      The predictions [n] for test by rule, and the numbers that are not about their being right.

    Raises:
      UserError: a feature is not finite.
    """
    if not all(np.isfinite(x.sum(dtype=np.float64)) for x in splits):
        raise UserError(f"neighbours: the {kind} are not all finite; it needs a run whose training did not diverge")
    train, valid, test = splits
    order = nearest.shuffled(len(train))
    train, known = train[order], labels[0][order]
    numbers: dict[str, Any] = {"dimensions": train.shape[1], "k": k or 1}
    if not k and len(valid):
        grid = [n for n in GRID if n <= len(train)]
        found, _ = nearest.nearest(train, valid, grid[-1], metric, f"{kind}, valid")
        numbers["k"], accuracy = choose(known[found], labels[1], grid)
        numbers["valid_accuracy_by_k"] = {n: 100 * a for n, a in accuracy.items()}
    found, square = nearest.nearest(train, test, min(max(numbers["k"], 2), len(train)), metric, f"{kind}, test")
    tied = square[:, 1:2] == square[:, :1]
    numbers["nearest_tied_percent"] = 100 * float(tied.mean()) if tied.size else 0.0
    near = known[found]
    return {"1-NN": nearest.vote(near[:, :1]), "k-NN": nearest.vote(near[:, : numbers["k"]])}, numbers


def score(predicted: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """The numbers of predictions [n] for labels [n]; accuracies in percent. A class without examples has none."""
    counts = probe.confusion(labels, predicted, len(names))
    accuracy, sizes = float(np.mean(predicted == labels)), counts.sum(axis=1)
    by_class = np.where(sizes > 0, 100 * counts.diagonal() / np.maximum(sizes, 1), np.nan)
    return {
        "test_accuracy": 100 * accuracy,
        "standard_error": 100 * np.sqrt(accuracy * (1 - accuracy) / len(labels)),
        "test_errors": int(np.sum(predicted != labels)),
        "accuracy_by_class": dict(zip(names, by_class, strict=True)),
        "most_confused": [{"classes": [names[a], names[b]], "errors": n} for a, b, n in probe.confused_pairs(counts)],
        "confusion": counts,
    }


def compare(
    kinds: Mapping[str, Sequence[np.ndarray]], labels: Sequence[np.ndarray], names: Sequence[str], k: int, metric: str
) -> dict[str, Any]:
    """The numbers of every kind of feature, and of codes minus each other kind, in points with its standard error.

    Args:
      kinds: kind -> train, valid and test [n, d]; one is ``codes``.
      labels: of the three.
      names: of the classes.
      k, metric: as ``classify``.
    """
    right, numbers = {}, {}
    for kind, splits in kinds.items():
        predicted, numbers[kind] = classify(splits, labels, k, metric, kind)
        right[kind] = {rule: guess == labels[2] for rule, guess in predicted.items()}
        numbers[kind] |= {rule: score(guess, labels[2], names) for rule, guess in predicted.items()}
    for kind in (kind for kind in kinds if kind != "codes"):
        differences = {rule: probe.paired_difference(right["codes"][rule], right[kind][rule]) for rule in RULES}
        numbers[kind]["codes_minus_these"] = {
            rule: {"points": points, "standard_error": error} for rule, (points, error) in differences.items()
        }
    return numbers


def summarise(numbers: Mapping[str, Any], noun: str, classifier: bool = False) -> list[str]:
    """What the numbers say, a sentence a line; ``noun`` is what an example is called."""
    lines = ["The codes of a classifier are the features that its head reads."] if classifier else []
    kinds, codes = numbers["kinds"], numbers["kinds"]["codes"]
    if "pooled" in numbers:
        shape, size = ("×".join(map(str, numbers["pooled"][key])) for key in ("maps", "window"))
        lines.append(f"The codes, {shape}, are max-pooled over {size} to {codes['dimensions']:,} features.")
    for rule in RULES if any(s["k"] > 1 for s in kinds.values()) else RULES[:1]:
        told = f", k = {codes['k']}" if rule == "k-NN" else ""
        lines.append(
            f"{rule}{told}: {codes[rule]['test_accuracy']:.2f} ± {codes[rule]['standard_error']:.2f} % on the codes; "
            f"chance is {numbers['chance_percent']:.1f} %."
        )
        lines += [_against(rule, kind, s) for kind, s in kinds.items() if kind != "codes"]
    pairs = [f"{' and '.join(p['classes'])} ({p['errors']})" for p in codes[RULES[-1]]["most_confused"]]
    lines.append(f"Most confused from the codes: {', '.join(pairs) or 'none'}.")
    worst = min(((a, name) for name, a in codes[RULES[-1]]["accuracy_by_class"].items() if np.isfinite(a)))
    lines.append(f"The class that is found least often is {worst[1]}: {worst[0]:.1f} % of its test {noun}s.")
    if (tied := codes["nearest_tied_percent"]) >= 1:
        lines.append(f"{tied:.1f} % of the test codes have several nearest ones equally near: one of them counts.")
    return lines + _of_k(numbers)


def _against(rule: str, kind: str, scores: Mapping[str, Any]) -> str:
    points, error = (scores["codes_minus_these"][rule][key] for key in ("points", "standard_error"))
    verdict = "within noise of" if abs(points) <= 2 * error else "above" if points > 0 else "below"
    k = f", k = {scores['k']}" if rule == "k-NN" else ""
    of = {"pixels": "pixels"}.get(kind, f"the first {scores['dimensions']:,} principal components of pixels")
    return f"  {points:+.2f} ± {error:.2f} points, {verdict} the {scores[rule]['test_accuracy']:.2f} % on {of}{k}."


def _of_k(numbers: Mapping[str, Any]) -> list[str]:
    if numbers["k"]:
        return []
    if not numbers["examples"]["valid"]:
        return ["k is 1: there is no valid split to choose it on (--k=N sets it)."]
    ends = " and ".join(kind for kind, s in numbers["kinds"].items() if s["k"] == GRID[-1])
    return [f"k is at the end of its grid ({GRID[-1]}) on the {ends}: a larger one may do better."] if ends else []


def gather(dataset: Any, source: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The raw images [n, h, w, c] and labels [n] of train, valid and test.

    Raises:
      UserError: train or test is empty; ``source`` names the data set.
      DoesNotApply: there are no labels, or all are the same.
    """
    splits = [getattr(dataset, name) for name in features.SPLITS]
    labels = [command.labels_of(splits[0], "a neighbour's class", source)]
    labels += [np.asarray(split.labels).astype(np.int64) for split in splits[1:]]
    for name, split in zip(features.SPLITS, splits, strict=True):
        if not len(split.images) and name != "valid":
            raise UserError(f"neighbours: the {name} split of {source} is empty; it needs train and test")
    return [split.images for split in splits], labels


def of_all(features_of: Callable, images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """``features_of`` [n, d] the images of each split, of which all but the first may be empty."""
    first = features_of(images[0])
    return [first, *(features_of(x) if len(x) else first[:0] for x in images[1:])]


def analyse(workdir: Path, flags) -> command.Findings:
    """The nearest neighbours of the run in ``workdir``."""
    if flags.metric not in nearest.METRICS:
        raise UserError(f"--metric={flags.metric}: accepted are {', '.join(nearest.METRICS)}")
    run = command.load(workdir, flags.best)
    dataset = run.dataset()
    images, labels = gather(dataset, run.config.data.name)
    if flags.k > len(labels[0]):
        raise UserError(f"--k={flags.k}: accepted is at most {len(labels[0])}, the number of training examples")
    pool = features.pooling(run.code_shape)
    kinds = {
        "codes": of_all(lambda x: features.codes(run, x, pool), images),
        "pixels": of_all(features.raw, images),
    }
    principal = reduced(kinds["pixels"], kinds["codes"][0].shape[1])
    kinds |= {"PCA": principal} if principal else {}
    names = command.class_names(dataset, np.concatenate(labels))
    scores = compare(kinds, labels, names, flags.k, flags.metric)
    numbers = {
        **command.about(run),
        "examples": {name: len(y) for name, y in zip(features.SPLITS, labels, strict=True)},
        "metric": flags.metric,
        "k": flags.k,
        "grid_of_k": GRID,
        "classes": names,
        "chance_percent": 100 * np.mean(labels[2] == np.bincount(labels[0]).argmax()),
        **({"pooled": {"maps": run.code_shape, "window": pool, "how": "max"}} if pool else {}),
        "kinds": scores,
    }
    noun = command.noun(run, dataset)
    told = summarise(numbers, noun, run.config.get("model") == "classifier")
    return command.Findings(_draw(run, numbers, noun), numbers, told)


def _draw(run: Any, numbers: Mapping[str, Any], noun: str) -> Figure:
    """The confusion matrices of the codes and of the pixels."""
    kinds = {kind: s for kind, s in numbers["kinds"].items() if kind != "PCA"}
    chosen = not numbers["k"] and numbers["examples"]["valid"]
    how = " and ".join(f"{s['k']} on {kind}" for kind, s in kinds.items()) + (", chosen on valid" if chosen else "")
    title = f"{command.heading(run)}: nearest neighbours of {numbers['examples']['test']:,} test {noun}s among "
    title += f"{numbers['examples']['train']:,} of train\n{numbers['metric']} distance; k = {how}"
    scores = {("k-NN", kind): s["k-NN"] for kind, s in kinds.items()}
    return probe.draw(scores, numbers["classes"], title, {"k-NN": "k-NN"})


def define(flags) -> None:
    """The flags of this command."""
    command.define_best(flags)
    k = f"How many neighbours vote; 0 chooses from {', '.join(map(str, GRID))} on valid."
    absl_flags.DEFINE_integer("k", 0, k, lower_bound=0, flag_values=flags)
    metric = f"The distance: {' or '.join(nearest.METRICS)}."
    absl_flags.DEFINE_string("metric", "euclidean", metric, flag_values=flags)


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m aejax.analysis.neighbours --workdir=DIR [--k=N] [--metric=euclidean|cosine] [--best]``."""
    return command.execute("neighbours", analyse, argv, define)


if __name__ == "__main__":
    sys.exit(main())
