"""How close do the test images come back, and which do not?"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags as absl_flags

from aejax.analysis import command, selection, views, words
from aejax.analysis.figure import draw_reconstructions
from aejax.errors import UserError

TEXTS = 5  # told in words
PIXEL = {"image": "pixel", "sound": "value", "text": "word", "vector": "value"}  # what an error is divided by


def squared_errors(inputs: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """[n]: ``Σ_p (x_p - x̂_p)²`` over the values of each example, for two [n, h, w, c] at one scale."""
    return np.square(inputs.astype(np.float64) - outputs).sum(axis=(1, 2, 3))


def class_means(values: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """The mean of ``values`` [n] over the examples of each class that ``labels`` [n] holds, by name."""
    return {name: float(values[labels == i].mean()) for i, name in enumerate(names) if np.any(labels == i)}


def explained(errors: np.ndarray, inputs: np.ndarray, mean: np.ndarray) -> float:
    """``1 - Σ errors / Σ ‖x - mean‖²``: 1 for a perfect copy, 0 for the mean training image, below 0 for worse.

    Args:
      errors: [n] squared errors.
      inputs: [n, h, w, c].
      mean: [h, w, c], the mean of train.
    """
    baseline = np.square(inputs.astype(np.float64) - mean).sum()
    return float(1 - errors.sum() / baseline) if baseline > 0 else float("nan")


def best_scale(inputs: np.ndarray, outputs: np.ndarray) -> tuple[float, np.ndarray]:
    """The one factor a that minimises ``Σ_i ‖x_i - a x̂_i‖²``, and the squared errors [n] with it.

    Far from 1 for a code that is sparser in training than in encoding: right strokes, wrong strength.
    """
    x, y = inputs.astype(np.float64), outputs.astype(np.float64)
    a = float((x * y).sum() / max((y * y).sum(), 1e-300))
    return a, squared_errors(x, a * y)


def expected(outputs: np.ndarray, inputs: np.ndarray, likelihood: str) -> np.ndarray:
    """The outputs [n, h, w, c] on the scale of the inputs.

    A multinomial's mean is that of one draw, so it is multiplied with the number of draws,
    ``Σ_p x_p``; the means of other likelihoods are on that scale.
    """
    return outputs * inputs.sum(axis=(1, 2, 3), keepdims=True) if likelihood == "multinomial" else outputs


def mean_input(run: Any, images: np.ndarray, block: int = 5000) -> np.ndarray:
    """[h, w, c]: the mean of the raw images as the model reads them, in blocks to spare memory."""
    starts = range(0, len(images), block)
    return sum(run.prepare(images[i : i + block]).sum(axis=0, dtype=np.float64) for i in starts) / len(images)


def measure(inputs: np.ndarray, outputs: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """The squared errors [n] of outputs for inputs [n, h, w, c], and the numbers of the whole split.

    Raises:
      UserError: an output is not finite.
    """
    errors = squared_errors(inputs, outputs)
    if not np.isfinite(errors).all():
        raise UserError("reconstructions: the outputs are not all finite; the training diverged")
    factor, rescaled = best_scale(inputs, outputs)
    return errors, {
        "examples": len(inputs),
        "squared_error": {
            "mean": errors.mean(),
            "std": errors.std(),
            "median": np.median(errors),
            "min": errors.min(),
            "max": errors.max(),
            "per_pixel": errors.mean() / inputs[0].size,
        },
        "explained": explained(errors, inputs, mean),
        "best_scale": factor,
        "explained_at_best_scale": explained(rescaled, inputs, mean),
    }


def summarise(numbers: dict, only: Sequence[str], noun: str) -> list[str]:
    """What the numbers say, a sentence a line.

    Args:
      numbers: as ``analyse`` writes them.
      only: names of the parts that act in training only.
      noun: what an example is called.
    """
    error = numbers["squared_error"]
    lines = [
        f"Squared error on {numbers['examples']:,} test {noun}s: {error['mean']:.3g} {_a(noun)} "
        f"(from {error['min']:.3g} to {error['max']:.3g}), {error['per_pixel']:.3g} a {PIXEL[noun]}."
    ]
    if np.isfinite(share := numbers["explained"]):
        than = "is worse than always answering" if share < 0 else f"removes {100 * share:.1f} % of the error of"
        lines.append(f"The reconstruction {than} the mean training {noun}.")
    factor, then = numbers["best_scale"], numbers["explained_at_best_scale"]
    off = f"encoding leaves off the masks and noise of {' and '.join(only)}" if only else ""
    if abs(factor - 1) > 0.1 and then > 0:
        why = f" ({off})" if off else ""
        lines.append(f"Scaled by one factor, {factor:.2f}, the outputs would remove {100 * then:.1f} %{why}.")
    elif abs(factor - 1) > 0.1 and off:
        lines.append(f"Mind that {off}; with --as_trained the code has them.")
    if len(by_class := numbers["squared_error_by_class"] or {}) > 1:
        best, worst = min(by_class, key=by_class.get), max(by_class, key=by_class.get)
        lines.append(
            f"Closest by class: {best} ({by_class[best]:.3g}); farthest: {worst} ({by_class[worst]:.3g}, "
            f"{by_class[worst] / max(by_class[best], 1e-12):.1f} times as much)."
        )
    texts = numbers.get("texts", ())
    for text in (texts[i] for i in selection.evenly(len(texts), TEXTS)):
        lines.append(f"Test text {text['test_index']}: {words.told(text['input'])}.")
        lines.append(f"  Its reconstruction: {words.told(text['output'])}.")
    return lines


def analyse(workdir: Path, flags) -> command.Findings:
    """The reconstructions of the run in ``workdir``."""
    run = command.load_autoencoder(workdir, flags.best, "a reconstruction")
    dataset = run.dataset()
    test, n, noun = dataset.test, len(dataset.test.images), command.noun(run, dataset)
    if not n:
        raise UserError(f"reconstructions: the test split of {run.config.data.name} is empty; it needs a test {noun}")
    labels = None if test.labels is None else np.asarray(test.labels)
    names = [] if labels is None else command.class_names(dataset, labels)
    inputs = np.asarray(run.prepare(test.images))
    again = (lambda x: run.decode(run.sample_codes(x))) if flags.as_trained else run.reconstruct
    outputs = np.asarray(again(test.images))
    outputs = expected(outputs, inputs, run.config.get("loss", {}).get("likelihood"))
    errors, numbers = measure(inputs, outputs, mean_input(run, dataset.train.images))
    shown = selection.evenly(n, flags.images) if labels is None else selection.by_class(labels, flags.images)
    numbers = {
        **command.about(run),
        **numbers,
        "squared_error_by_class": None if labels is None else class_means(errors, labels, names),
        "shown": [
            {"test_index": i, "class": names[labels[i]] if names else None, "squared_error": errors[i]} for i in shown
        ],
        "worst_test_indices": selection.largest(errors, 10),
        "as_trained": flags.as_trained,
    }
    raw = test.images[shown]
    left, right = (run.picture(x[shown], like=raw) for x in (inputs, outputs))
    if run.words:
        numbers["texts"] = words.texts(shown, left, right, run.words)
    title = f"{command.heading(run)}: {_title(run, dataset, errors, shown, left)}"
    title += "; codes with the masks and noise of training" if flags.as_trained else ""
    between = ": " if max(map(len, names), default=0) <= 3 else "\n"
    captions = [("" if labels is None else names[labels[i]][:12] + between) + f"{errors[i]:.3g}" for i in shown]
    told = summarise(numbers, [] if flags.as_trained else command.training_only(run.config), noun)
    return command.Findings(draw_reconstructions(left, right, title, captions), numbers, told)


def _title(run: Any, dataset: Any, errors: np.ndarray, shown: np.ndarray, pictures: np.ndarray) -> str:
    noun = command.noun(run, dataset)
    which = "evenly spaced" if dataset.test.labels is None else "the first of each class"
    title = f"{len(shown)} test {noun}s, {which}, over their reconstructions\n"
    title += f"beneath: squared error {_a(noun)}; mean over all {len(errors):,}: {errors.mean():.3g}"
    whitened = run.config.data.get("whiten", "none") != "none"
    notes = ["errors at the whitened scale, pictures unwhitened"] if whitened else []
    notes = "; ".join([*notes, *filter(None, (views.layout(pictures.shape[1:]), views.scale(pictures)))])
    return title + (f"\n{notes}" if notes else "")


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def define(flags) -> None:
    """The flags of this command."""
    command.define_best(flags)
    trained = "Decode codes that have the masks and noise of training, over batches of 1,000; not those of encoding."
    absl_flags.DEFINE_boolean("as_trained", False, trained, flag_values=flags)
    absl_flags.DEFINE_integer("images", 40, "How many test images to draw.", lower_bound=1, flag_values=flags)


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m aejax.analysis.reconstructions --workdir=DIR [--images=N] [--best] [--as_trained]``."""
    return command.execute("reconstructions", analyse, argv, define)


if __name__ == "__main__":
    sys.exit(main())
