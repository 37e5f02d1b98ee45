"""How large should the code be? Train and test error against its size, and bias and variance behind them, measured.

    python -m aejax.studies.capacity --config=configs/shallow.py [--sizes=5,20,35,50,65,80,95] [--resamples=5]

Each size is trained with every seed on all of train; from these come the curves of the reconstruction term. It is
trained again on ``resamples`` bootstrap samples of train, each with a seed of its own; from these come bias² and
variance of the reconstructions of test images (``aejax.studies.variance``), and from the former what the seed alone
does. The principal components of train, as many as the code has numbers, are the reference.
"""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags as absl_flags

import aejax
from aejax import checkpoint
from aejax.analysis import selection
from aejax.errors import UserError
from aejax.studies import command, measures
from aejax.studies.capacity_report import draw, summarise, tabulate
from aejax.studies.runs import Planned, Study, remembered, whole_numbers
from aejax.studies.variance import decompose
from aejax.tables import mean_std

VALUES = 10_000_000  # pixels of test, all images together, that bias and variance are measured on

# code -> why its size is not what it can hold
SIZELESS = {"vector_quantised": "what it can hold is set by code.entries and by the size of its maps"}


def check(study: Study, sizes: Sequence[int], resamples: int) -> None:
    """Refuse what the study has no meaning for.

    Raises:
      UserError: naming the key or flag.
    """
    config = study.config
    if config.model == "classifier":
        raise UserError("config.model='classifier' reconstructs nothing; accepted: model='autoencoder'")
    if config.code.name in SIZELESS:
        raise UserError(
            f"config.code.name={config.code.name!r} has no capacity to vary by code.size: "
            f"{SIZELESS[config.code.name]}; accepted: another code"
        )
    if config.data.resample:
        raise UserError(f"config.data.resample={config.data.resample} is set by the study; accepted: 0")
    if resamples < 0 or resamples == 1:
        raise UserError(f"--resamples={resamples}: models a variance is taken over; accepted: 0 for none, or 2 or more")
    if len(sizes) < 2:
        raise UserError(f"--sizes={sizes[0]}: a curve takes two sizes or more; accepted: such as 5,20,35")


def plan(study: Study, sizes: Sequence[int], resamples: int) -> dict[int, tuple[list[Planned], list[Planned]]]:
    """Size -> its runs on all of train, one a seed, and on bootstrap samples."""

    def one(size: int, by: str, number: int, changes: dict[str, int]) -> Planned:
        told = f"code.size {size}, {by} {number}"
        return study.plan(f"size{size}_{by}{number}", told, {"code.size": size, "seed": number, **changes})

    return {
        size: (
            [one(size, "seed", seed, {}) for seed in study.seeds],
            [one(size, "resample", m, {"data.resample": m}) for m in range(1, resamples + 1)],
        )
        for size in sizes
    }


def errors(run: Any, dataset: Any) -> dict[str, Any]:
    """Split -> the means over it; and how many numbers a code has."""
    return {"code_numbers": int(np.prod(run.code_shape)), **measures.figures(run, dataset)}


def shown(dataset: Any) -> np.ndarray:
    """The indices of the test images that bias and variance are measured on: all, or an even part of each class."""
    test = dataset.test
    limit = max(1, VALUES // int(np.prod(dataset.shape)))
    if len(test) <= limit:
        return np.arange(len(test))
    return selection.evenly(len(test), limit) if test.labels is None else selection.by_class(test.labels, limit)


def decomposed(study: Study, runs: Sequence[Planned], x: np.ndarray, images: np.ndarray) -> dict[str, Any] | None:
    """Bias² and variance over the runs, which stay in the study's folder; None of fewer than two.

    Args:
      study: the study.
      runs: of one size.
      x: the pictures [n, h, w, c] to come near.
      images: raw, the same [n, h, w, c].
    """
    if len(runs) < 2:
        return None
    steps = {run.name: checkpoint.of(run.workdir).steps()[-1] for run in runs}

    def compute():
        return decompose(x, (measures.pictures(aejax.load(run.workdir), images)[1] for run in runs)).means()

    return remembered(study.folder / "variance.json", {"runs": steps, "images": len(images)}, compute)


def gather(study: Study, planned: dict[int, tuple[list[Planned], list[Planned]]]) -> dict[str, Any]:
    """All numbers: a row a size, as ``tabulate``, ``draw`` and ``summarise`` read them."""
    first = next(iter(planned.values()))[0][0]
    run = aejax.load(first.workdir)
    dataset = study.dataset(run.config.data)
    chosen = shown(dataset)
    images = dataset.test.images[chosen]
    x = measures.pictures(run, images)[0]
    rows = []
    for size, (seeds, resampled) in planned.items():
        found = study.measure_all(seeds, {"measure": "errors"}, errors)
        by_split = {split: [one[split] for one in found] for split in measures.SPLITS if split in found[0]}
        rows.append({
            "size": size,
            "code_numbers": found[0]["code_numbers"],
            "reconstruction_per_pixel": {
                split: mean_std(one["reconstruction_per_pixel"] for one in every) for split, every in by_split.items()
            },
            "squared_error": {
                split: mean_std(one["squared_error"] for one in every) for split, every in by_split.items()
            },
            "by_resampling": decomposed(study, resampled, x, images),
            "by_seed": decomposed(study, seeds, x, images),
        })  # fmt: skip
    asked = {"measure": "principal components", "sizes": [row["code_numbers"] for row in rows]}
    pca = study.measure(first, asked, lambda run, data: measures.principal_components(run, data, asked["sizes"]))
    for row in rows:
        at = str(row["code_numbers"])
        row["principal_components"] = {split: values[at] for split, values in pca.items() if at in values} or None
    return {
        "likelihood": study.config.loss.likelihood,
        "seeds": study.seeds,
        "test_images": len(dataset.test),
        "test_images_of_bias_and_variance": len(images),
        "pixels": int(np.prod(dataset.shape)),
        "rows": rows,
    }


def study(study: Study) -> command.Findings:
    """Train, measure, tell."""
    sizes = sorted(whole_numbers("sizes", study.flags.sizes, least=1))
    check(study, sizes, study.flags.resamples)
    planned = plan(study, sizes, study.flags.resamples)
    if not len(study.dataset(study.config.data).test):
        raise UserError("config.data.test=0 leaves nothing to measure on; accepted: a share above 0")
    study.train([run for part in (0, 1) for both in planned.values() for run in both[part]])
    numbers = gather(study, planned)
    return command.Findings(draw(numbers, study.config.name), numbers, tabulate(numbers), summarise(numbers))


def define(flags: absl_flags.FlagValues) -> None:
    """The flags beside those of every study."""
    sizes = ["5", "20", "35", "50", "65", "80", "95"]
    absl_flags.DEFINE_list("sizes", sizes, "Values of code.size.", flag_values=flags)
    about = "Bootstrap samples of train that each size is trained on for bias and variance; 0: none."
    absl_flags.DEFINE_integer("resamples", 5, about, flag_values=flags)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status; see ``command.execute``."""
    return command.execute("capacity", study, argv, define)


if __name__ == "__main__":
    sys.exit(main())
