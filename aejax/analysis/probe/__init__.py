"""How well can a linear classifier read the class from the codes, and from the raw pixels?

A linear SVM and logistic regression, each on the codes and on the prepared
pixels: scaled by a rule fitted on train; C chosen on valid; fitted anew on train
and valid at that C; the test split looked at once, by that last classifier.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags as absl_flags
from matplotlib.figure import Figure

from aejax.analysis import command, features, figure, selection
from aejax.analysis.probe.classifiers import FAMILIES, GRID, TITLES, Fit, Scaling, fit_all
from aejax.errors import UserError


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """[classes, classes] counts: row the true class, column the predicted one, for labels and predictions [n]."""
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def confused_pairs(counts: np.ndarray, most: int = 3) -> list[tuple[int, int, int]]:
    """The pairs of classes taken for one another most often, as (a, b, errors both ways), most first; none without."""
    both = np.triu(counts + counts.T, k=1)
    order = np.argsort(-both, axis=None, kind="stable")[:most]
    pairs = [(int(i), int(j), int(both[i, j])) for i, j in zip(*np.unravel_index(order, both.shape), strict=True)]
    return [pair for pair in pairs if pair[2] > 0]


def paired_difference(right_a: np.ndarray, right_b: np.ndarray) -> tuple[float, float]:
    """The difference of two accuracies on the same n examples, and its standard error, both in percentage points.

    With d_i = a_i - b_i in {-1, 0, 1}: mean(d) and sqrt((mean(d²) - mean(d)²) / n).
    """
    d = right_a.astype(float) - right_b.astype(float)
    return 100 * float(d.mean()), 100 * float(d.std() / np.sqrt(len(d)))


def probe(
    kinds: Mapping[str, Sequence[np.ndarray]], labels: Sequence[np.ndarray], families: Sequence[str]
) -> dict[tuple[str, str], tuple[Fit, np.ndarray]]:
    """Fit each family on each kind of feature by the protocol above.

    Args:
      kinds: kind -> ([n_train, d], [n_valid, d], [n_test, d]).
      labels: integers [n_train], [n_valid], [n_test].
      families: keys of ``FAMILIES``.

    Returns:
      (family, kind) -> the fit, and its predictions [n_test].

    Raises:
      UserError: a feature is not finite.
    """
    tasks, tests = {}, {}
    for kind, (train, valid, test) in kinds.items():
        if not all(np.isfinite(x.sum(dtype=np.float64)) for x in (train, valid, test)):
            raise UserError(f"probe: the {kind} are not all finite; it needs a run whose training did not diverge")
        scaling = Scaling.fit(train)
        train, valid, tests[kind] = (scaling(x) for x in (train, valid, test))
        for family in families:
            tasks[family, kind] = (family, train, labels[0], valid, labels[1])
    order = list(tasks)[::-1]  # the pixels, given last, take longest: first, so that the processes end together
    fits = dict(zip(order, fit_all([tasks[key] for key in order]), strict=True))
    return {key: (fits[key], fits[key].model.predict(tests[key[1]])) for key in tasks}


def score(fit: Fit, predicted: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> dict:
    """The numbers of one classifier on one kind of feature; accuracies in percent."""
    counts = confusion(labels, predicted, len(names))
    accuracy = float(np.mean(predicted == labels))
    return {
        "test_accuracy": 100 * accuracy,
        "standard_error": 100 * np.sqrt(accuracy * (1 - accuracy) / len(labels)),
        "test_errors": int(np.sum(predicted != labels)),
        "C": fit.c,
        "valid_accuracy_by_C": {f"{c:.3g}": 100 * a for c, a in fit.valid_accuracy.items()},
        "accuracy_by_class": dict(zip(names, 100 * counts.diagonal() / np.maximum(counts.sum(axis=1), 1), strict=True)),
        "most_confused": [{"classes": [names[a], names[b]], "errors": n} for a, b, n in confused_pairs(counts)],
        "confusion": counts,
    }


def compare(family: str, scores: Mapping[tuple[str, str], dict], differences: Mapping) -> dict:
    """The numbers of one family: each kind of feature, and codes minus pixels in points with its standard error."""
    points, error = differences[family]
    kinds = {kind: s for (name, kind), s in scores.items() if name == family}
    return {**kinds, "codes_minus_pixels": {"points": points, "standard_error": error}}


def draw(
    scores: Mapping[tuple[str, str], dict], names: Sequence[str], title: str, titles: Mapping[str, str] = TITLES
) -> Figure:
    """The confusion matrices, a row for each classifier, whose name ``titles`` has, and a column for each feature.

    Errors are coloured by their share of the true class, on one scale for all
    matrices; right answers are left grey, or nothing else could be seen beside them.
    """
    families, kinds = (list(dict.fromkeys(key[i] for key in scores)) for i in (0, 1))
    shares = {k: 100 * s["confusion"] / np.maximum(s["confusion"].sum(1, keepdims=True), 1) for k, s in scores.items()}
    errors = {k: np.where(np.eye(len(names), dtype=bool), np.nan, share) for k, share in shares.items()}
    top = max(max(np.nanmax(e, initial=0.0) for e in errors.values()), 1.0)
    picture = figure.new(figure.PAGE, 0.7 + 3.45 * len(families))
    axes = picture.subplots(len(families), len(kinds), squeeze=False)
    for (family, kind), share in shares.items():
        ax = axes[families.index(family), kinds.index(kind)]
        ax.set_facecolor("#E4E4E4")
        image = ax.imshow(errors[family, kind], cmap="Blues", vmin=0, vmax=top, interpolation="nearest")
        ax.set_title(f"{titles[family]} on {kind}: {scores[family, kind]['test_accuracy']:.2f} %", fontsize=9)
        ticks = np.arange(len(names)) if len(names) <= 20 else selection.evenly(len(names), 10)
        long = max(map(len, names)) > 3
        ax.set_xticks(ticks, [names[i] for i in ticks], fontsize=6.5, rotation=90 if long else 0)
        ax.set_yticks(ticks, [names[i] for i in ticks], fontsize=6.5)
        ax.set_xlabel("predicted", fontsize=8)
        ax.set_ylabel("true", fontsize=8)
        if len(names) <= 12:
            for (i, j), value in np.ndenumerate(share):
                if value > 0:
                    colour = "white" if i != j and value > 0.55 * top else "black"
                    text = f"{value:.1f}".removesuffix(".0")
                    ax.text(j, i, text, ha="center", va="center", fontsize=5.5, color=colour)
    bar = picture.colorbar(image, ax=axes, shrink=0.6, aspect=30, pad=0.01)
    bar.set_label("errors, % of the true class", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    figure.set_title(picture, title)
    return picture


def summarise(
    scores: Mapping[tuple[str, str], dict],
    differences: Mapping[str, tuple[float, float]],
    about: Mapping[str, Any],
    classifier: bool = False,
) -> list[str]:
    """What the numbers say, a sentence a line; ``about`` describes the codes."""
    lines = ["The codes of a classifier are the features that its head reads."] if classifier else []
    if "pooled" in about:
        shape, size = ("×".join(map(str, about["pooled"][key])) for key in ("maps", "window"))
        lines.append(f"The codes, {shape}, are max-pooled over {size} to {about['dimensions']:,} features.")
    for family, (points, error) in differences.items():
        codes, pixels = scores[family, "codes"], scores[family, "pixels"]
        verdict = "within noise of" if abs(points) <= 2 * error else "above" if points > 0 else "below"
        lines.append(
            f"{TITLES[family]}: {codes['test_accuracy']:.2f} % on the codes (C {codes['C']:.3g}), {points:+.2f} ± "
            f"{error:.2f} points, {verdict} the {pixels['test_accuracy']:.2f} % on raw pixels (C {pixels['C']:.3g})."
        )
        told = [f"{' and '.join(p['classes'])} ({p['errors']})" for p in codes["most_confused"]]
        lines.append(f"  Most confused from the codes: {', '.join(told) or 'none'}.")
        for kind, s in (("codes", codes), ("pixels", pixels)):
            if s["C"] in (GRID[0], GRID[-1]):
                lines.append(f"  C on the {kind} is at an end of its grid ({s['C']:.3g}): a better one may lie beyond.")
    return lines


def analyse(workdir: Path, flags) -> command.Findings:
    """The probe of the run in ``workdir``."""
    families = list(dict.fromkeys(flags.classifiers))
    if not families or not set(families) <= set(FAMILIES):
        raise UserError(f"--classifiers={','.join(families)}: accepted are {', '.join(FAMILIES)}, or several by commas")
    run = command.load(workdir, flags.best)
    dataset = run.dataset()
    images, labels = features.gather(dataset, run.config.data.name, flags.limit)
    pool = features.pooling(run.code_shape)
    kinds = {
        "codes": [features.codes(run, x, pool) for x in images],
        "pixels": [features.raw(x) for x in images],
    }
    names = command.class_names(dataset, np.concatenate(labels))
    results = probe(kinds, labels, families)
    scores = {key: score(*result, labels[2], names) for key, result in results.items()}
    right = {key: predicted == labels[2] for key, (_, predicted) in results.items()}
    differences = {f: paired_difference(right[f, "codes"], right[f, "pixels"]) for f in families}
    described = {kind: features.describe(train) for kind, (train, _, _) in kinds.items()}
    if pool:
        described["codes"]["pooled"] = {"maps": run.code_shape, "window": pool, "how": "max"}
    numbers = {
        **command.about(run),
        "examples": {name: len(y) for name, y in zip(features.SPLITS, labels, strict=True)},
        "features": described,
        "classes": names,
        "chance_percent": 100 * np.mean(labels[2] == np.bincount(labels[0]).argmax()),
        **{f: compare(f, scores, differences) for f in families},
    }
    tested = f"{len(labels[2]):,} test {command.noun(run, dataset)}s"
    title = f"{command.heading(run)}: linear classifiers on {tested}, C chosen on valid"
    told = summarise(scores, differences, described["codes"], run.config.get("model") == "classifier")
    return command.Findings(draw(scores, names, title), numbers, told)


def define(flags) -> None:
    """The flags of this command."""
    command.define_best(flags)
    absl_flags.DEFINE_list("classifiers", list(FAMILIES), "Which: svm, logistic, or both.", flag_values=flags)
    limit = "Use so many labels of train and valid together, as many of each class; 0 uses all."
    absl_flags.DEFINE_integer("limit", 0, limit, lower_bound=0, flag_values=flags)


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m aejax.analysis.probe --workdir=DIR [--classifiers=svm,logistic] [--limit=N] [--best]``."""
    return command.execute("probe", analyse, argv, define)
