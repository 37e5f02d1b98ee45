"""How close do the test images come back, and which do not?"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import flags as absl_flags

from aejax.analysis import command, selection
from aejax.analysis.figure import draw_reconstructions
from aejax.errors import UserError


def squared_errors(inputs: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """[n]: ``Σ_p (x_p - x̂_p)²`` over the pixels and channels of each image, for two [n, h, w, c] at one scale."""
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


def displayable(inputs: np.ndarray, *others: np.ndarray) -> tuple[tuple[np.ndarray, ...], bool]:
    """The arrays on one scale where the inputs lie in [0, 1], and whether that took a change of scale."""
    low, high = float(inputs.min()), float(inputs.max())
    if low >= 0 and high <= 1:
        return (inputs, *others), False
    return tuple((x - low) / max(high - low, 1e-12) for x in (inputs, *others)), True


def summarise(numbers: dict, only: Sequence[str]) -> list[str]:
    """What the numbers say, a sentence a line; ``only`` names the parts that act in training only."""
    error = numbers["squared_error"]
    lines = [
        f"Squared error on {numbers['examples']:,} test images: {error['mean']:.3g} an image (from {error['min']:.3g} "
        f"to {error['max']:.3g}), {error['per_pixel']:.3g} a pixel."
    ]
    if np.isfinite(share := numbers["explained"]):
        than = "is worse than always answering" if share < 0 else f"removes {100 * share:.1f} % of the error of"
        lines.append(f"The reconstruction {than} the mean training image.")
    factor, then = numbers["best_scale"], numbers["explained_at_best_scale"]
    if abs(factor - 1) > 0.1 and then > 0:
        why = f" (encoding leaves off the masks and noise of {' and '.join(only)})" if only else ""
        lines.append(f"Scaled by one factor, {factor:.2f}, the outputs would remove {100 * then:.1f} %{why}.")
    if len(by_class := numbers["squared_error_by_class"] or {}) > 1:
        best, worst = min(by_class, key=by_class.get), max(by_class, key=by_class.get)
        lines.append(
            f"Closest by class: {best} ({by_class[best]:.3g}); farthest: {worst} ({by_class[worst]:.3g}, "
            f"{by_class[worst] / max(by_class[best], 1e-12):.1f} times as much)."
        )
    return lines


def analyse(workdir: Path, flags) -> command.Findings:
    """The reconstructions of the run in ``workdir``."""
    run = command.load(workdir)
    dataset = run.dataset()
    test = dataset.test
    n = len(test.images)
    if not n:
        raise UserError(f"reconstructions: the test split of {run.config.data.name} is empty; it needs a test image")
    labels = None if test.labels is None else np.asarray(test.labels)
    names = [] if labels is None else command.class_names(dataset, labels)
    inputs, outputs = np.asarray(run.prepare(test.images)), np.asarray(run.reconstruct(test.images))
    errors = squared_errors(inputs, outputs)
    if not np.isfinite(errors).all():
        raise UserError("reconstructions: the outputs are not all finite; the training diverged")
    factor, rescaled = best_scale(inputs, outputs)
    mean = np.asarray(run.prepare(dataset.train.images)).mean(axis=0)
    shown = selection.evenly(n, flags.images) if labels is None else selection.by_class(labels, flags.images)
    (left, right), scaled = displayable(inputs[shown], outputs[shown])
    between = ": " if max(map(len, names), default=0) <= 3 else "\n"
    captions = [("" if labels is None else names[labels[i]][:12] + between) + f"{errors[i]:.3g}" for i in shown]
    numbers = {
        **command.about(run),
        "examples": n,
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
        "squared_error_by_class": None if labels is None else class_means(errors, labels, names),
        "shown": [
            {"test_index": i, "class": names[labels[i]] if names else None, "squared_error": errors[i]} for i in shown
        ],
        "worst_test_indices": selection.largest(errors, 10),
    }
    only = command.training_only(run.config)
    which = "evenly spaced" if labels is None else "the first of each class"
    title = f"{command.heading(run)}: {len(shown)} test images, {which}, over their reconstructions\n"
    title += f"beneath: squared error an image; mean over all {n:,}: {errors.mean():.3g}"
    title += "; contrast stretched to the range of the inputs" if scaled else ""
    return command.Findings(draw_reconstructions(left, right, title, captions), numbers, summarise(numbers, only))


def define(flags) -> None:
    """The flags of this command."""
    absl_flags.DEFINE_integer("images", 40, "How many test images to draw.", lower_bound=1, flag_values=flags)


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m aejax.analysis.reconstructions --workdir=DIR [--images=N]``."""
    return command.execute("reconstructions", analyse, argv, define)


if __name__ == "__main__":
    sys.exit(main())
