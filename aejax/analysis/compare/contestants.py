"""What a comparison of runs measures of each of them, by the same rule on the same examples."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np

from aejax import files, logs
from aejax.analysis import command, features, reconstructions, selection
from aejax.analysis.compare import scores
from aejax.analysis.known_codes import subset
from aejax.errors import UserError

TEST = 10_000  # test examples that are measured
REFERENCE = 20_000  # training codes among which the nearest is looked for
SILHOUETTE = 2_000  # test codes: every one is measured against every other
PAIRS, STEPS = 200, 10  # interpolations, and the steps of each
BLOCK = 1000  # examples that are decoded at a time


@dataclass(frozen=True)
class Measure:
    """Something at which one run is better than another.

    Attributes:
      title: of its row.
      what: is better, in a sentence.
      over: what its values, one each, are of.
      higher: whether more is better.
      ranks: whether the best of it is told.
    """

    title: str
    what: str
    over: str
    higher: bool
    ranks: bool = True


MEASURES = {
    "squared_error": Measure("squared error an example", "reconstruction", "test examples", False),
    "nearest_neighbour": Measure("1-NN accuracy of codes, %", "1-NN accuracy", "test examples", True),
    "silhouette": Measure("silhouette of codes", "the silhouette", "test codes", True),
    "unevenness": Measure("interpolation: longest over mean step", "evenness", "pairs of test images", False, False),
}


@dataclass(frozen=True)
class Contestant:
    """One of the runs that are compared, and its data.

    Attributes:
      label: what it is called; its workdir's name, or more of the path where that is not enough.
      workdir: where it lies.
      run: as ``aejax.load`` gives it.
      dataset: that it was trained on.
      values: key of ``MEASURES`` -> a value each; without those that have no answer.
      figures: what else there is to tell.
      pictures: what is drawn, see ``pictures``.
    """

    label: str
    workdir: Path
    run: Any
    dataset: Any
    values: dict[str, np.ndarray] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    pictures: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def decodes(self) -> bool:
        """Whether it has a decoder."""
        return self.run.config.get("model") != "classifier"

    @property
    def gaussian(self) -> bool:
        """Whether its codes are Gaussians, to which a prior belongs."""
        return self.decodes and self.run.config.code.name in command.VARIATIONAL


def load(label: str, workdir: Path, best: bool) -> Contestant:
    """The run in a workdir, and its data.

    Raises:
      UserError: there is none, or its test split is empty.
    """
    if not workdir.is_dir():
        raise UserError(f"--workdirs: {workdir}: no such folder; give the work directories of runs")
    run = command.load(workdir, best)
    dataset = run.dataset()
    if not len(dataset.test.images):
        raise UserError(
            f"--workdirs: {workdir}: the test split of {run.config.data.name} is empty; a test split is needed"
        )
    return Contestant(label, workdir, run, dataset)


def same(a: Any, b: Any) -> bool:
    """Whether two splits hold the same examples with the same labels, in the same order."""
    if (a.images.shape, a.images.dtype) != (b.images.shape, b.images.dtype):
        return False
    if zlib.crc32(np.ascontiguousarray(a.images)) != zlib.crc32(np.ascontiguousarray(b.images)):
        return False
    return np.array_equal(a.labels, b.labels) if a.labels is not None and b.labels is not None else a.labels is b.labels


def scaled(images: np.ndarray) -> np.ndarray:
    """Raw images as float32: integers in [0, 1], floats as they are; the scale of ``Run.picture``, whatever the run."""
    return images.astype(np.float32) / (255 if np.issubdtype(images.dtype, np.integer) else 1)


def rebuilt(run: Any, images: np.ndarray) -> np.ndarray:
    """Raw images [n, h, w, c] -> their reconstructions at the scale of ``scaled``."""
    inputs = np.asarray(run.prepare(images))
    likelihood = run.config.get("loss", {}).get("likelihood")
    outputs = reconstructions.expected(np.asarray(run.reconstruct(images)), inputs, likelihood)
    return np.asarray(run.picture(outputs, like=images))


def in_blocks(function: Callable, rows: np.ndarray) -> np.ndarray:
    """The function over at most ``BLOCK`` rows at a time."""
    return np.concatenate([function(rows[i : i + BLOCK]) for i in range(0, len(rows), BLOCK)])


def measure(one: Contestant, reference: Any) -> dict[str, np.ndarray]:
    """The values of a run by key of ``MEASURES``, without those that have no answer.

    Args:
      one: the run.
      reference: the training examples, with labels, among which the nearest is looked for.

    Raises:
      UserError: its outputs or codes are not finite.
    """
    run, test, values = one.run, one.dataset.test, {}
    chosen = subset(test, TEST)
    images, pool = test.images[chosen], features.pooling(run.code_shape)
    codes = features.codes(run, images, pool)
    if not np.isfinite(codes.sum(dtype=np.float64)):
        raise UserError(f"--workdirs: {one.workdir}: the codes are not all finite; its training diverged")
    labels = None if test.labels is None else np.asarray(test.labels)[chosen]
    if one.decodes:
        values["squared_error"] = squared_errors(run, images)
        if not np.isfinite(values["squared_error"]).all():
            raise UserError(f"--workdirs: {one.workdir}: the outputs are not all finite; its training diverged")
    if labels is not None and reference.labels is not None and len(np.unique(labels)) > 1:
        at = subset(reference, REFERENCE)
        near = features.codes(run, reference.images[at], pool), np.asarray(reference.labels)[at]
        values["nearest_neighbour"] = 100.0 * scores.nearest_right(*near, codes, labels)
        few = np.sort(selection.by_class(labels, SILHOUETTE))
        values["silhouette"] = scores.silhouettes(codes[few], labels[few])
    if one.decodes:
        values["unevenness"] = interpolations(run, images)
    return values


def squared_errors(run: Any, images: np.ndarray) -> np.ndarray:
    """[n]: ``Σ_p (x_p - x̂_p)²`` of raw images at the scale of ``scaled``, in blocks."""
    return in_blocks(lambda x: reconstructions.squared_errors(scaled(x), rebuilt(run, x)), images)


def interpolations(run: Any, images: np.ndarray, seed: int = 0) -> np.ndarray:
    """[pairs]: ``scores.unevenness`` of the decoded lines between the codes of pairs of images, the same for every run
    that is given the same images; none for a single image."""
    order = np.random.default_rng(seed).permutation(len(images))[: 2 * PAIRS]
    half = len(order) // 2
    if not half:
        return np.zeros(0)
    codes = np.asarray(run.encode(images[order[: 2 * half]]))
    lines = scores.paths(codes[:half], codes[half:], STEPS)
    per = max(1, BLOCK // (STEPS + 1))

    def uneven(part):
        decoded = np.asarray(run.decode(part.reshape(-1, *codes.shape[1:])))
        return scores.unevenness(decoded.reshape(*part.shape[:2], -1)).round(4)  # less is rounding of float32

    return np.concatenate([uneven(lines[i : i + per]) for i in range(0, half, per)])


def describe(one: Contestant) -> dict[str, Any]:
    """What is told of a run beside its measures: its code, size, steps and the test losses that training wrote.

    The losses are None where the weights are of another step than the line of test.
    """
    run, config, images = one.run, one.run.config, one.dataset.test.images[subset(one.dataset.test, TEST)]
    active, firing = scores.units(run.encode, images, one.gaussian)
    rows = [
        row
        for row in files.read_lines(one.workdir / logs.METRICS)
        if row.get("split") == "test" and row.get("step") == run.step
    ]
    tested: Mapping[str, Any] = rows[-1] if rows else {}
    return {
        **command.about(run),
        "workdir": str(one.workdir.resolve()),
        "data": config.data.name,
        "code": config.code.name,
        "code_shape": tuple(run.code_shape),
        "code_size": int(np.prod(run.code_shape)),
        "parameters": int(sum(np.size(leaf) for leaf in jax.tree.leaves(run.variables["params"]))),
        "active_units": active,
        "units_not_zero": firing,
        "test_loss": tested.get("loss"),
        "test_reconstruction": tested.get("reconstruction"),
        "samples_from": sampled_from(one),
    }


def sampled_from(one: Contestant) -> str | None:
    """Where new codes are drawn; None without a decoder."""
    return None if not one.decodes else "prior" if one.gaussian else "Gaussian fitted to training codes"


def sample(one: Contestant, count: int, seed: int = 0) -> np.ndarray:
    """[count, h, w, c]: decoded new codes, from the prior N(0, I) or from a Gaussian fitted to training codes."""
    run = one.run
    if one.gaussian:
        codes = np.random.default_rng(seed).standard_normal((count, *run.code_shape)).astype(np.float32)
    else:
        known = np.asarray(run.encode(one.dataset.train.images[subset(one.dataset.train, SILHOUETTE)]))
        codes = scores.gaussian_samples(known.reshape(len(known), -1), count, seed).reshape(count, *known.shape[1:])
    return decoded(one, codes)


def decoded(one: Contestant, codes: np.ndarray) -> np.ndarray:
    """Codes that belong to no example -> images [n, h, w, c] at the scale of ``scaled``; a multinomial's for as many
    draws as a test example has on average."""
    outputs = np.asarray(one.run.decode(codes))
    if one.run.config.get("loss", {}).get("likelihood") == "multinomial":
        images = one.dataset.test.images[:BLOCK]
        outputs = outputs * np.asarray(one.run.prepare(images)).sum() / len(images)
    return np.asarray(one.run.picture(outputs))


def pictures(one: Contestant, shown: Sequence[int]) -> dict[str, np.ndarray]:
    """What is drawn of a run: ``inputs``, the test images ``shown``; and with a decoder ``outputs``, what it makes of
    them, ``samples``, and ``path``, the way from the first of them to the last; all [n, h, w, c]."""
    run, images = one.run, one.dataset.test.images[shown]
    drawn = {"inputs": scaled(images)}
    if one.decodes:
        ends = np.asarray(run.encode(images[[0, -1]]))
        line = scores.paths(ends[:1], ends[1:], max(len(shown) - 1, 1))[0]
        drawn["outputs"] = rebuilt(run, images)
        drawn["samples"] = sample(one, len(shown))
        drawn["path"] = decoded(one, line)
    return drawn
