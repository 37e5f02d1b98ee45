"""How likely does the model find the test images, and what do its codes cost and buy?

For codes that are a Gaussian for each example. log p(x) is estimated by importance
sampling (Burda et al., arXiv 1509.00519, equation 8) and set beside the evidence
lower bound, whose two terms are the rate, ``KL(q(z|x) ‖ p(z))``, the nats that the
code carries about an image, and the distortion, ``−E log p(x|z)``, the nats that it
leaves out. Images are prepared as the run does it; where it binarises dynamically
each image has one sample, always the same, so that a figure can be had again.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags as absl_flags

from aejax import log_likelihood
from aejax.analysis import command, reconstructions, selection
from aejax.analysis.likelihood.bounds import Estimates, estimate
from aejax.analysis.likelihood.panels import draw
from aejax.codes.variational import ACTIVE
from aejax.errors import UserError

FEW = 10  # effective samples below which an estimate is hardly one

# What the values must be for a likelihood to be a probability of them; those of other likelihoods have a density.
DISCRETE = {
    "bernoulli": ("0 or 1", lambda x: (x == 0) | (x == 1)),
    "poisson": ("counts", lambda x: (x >= 0) & (x == np.round(x))),
    "multinomial": ("counts", lambda x: (x >= 0) & (x == np.round(x))),
}


def subset(labels: np.ndarray | None, total: int, count: int) -> np.ndarray:
    """Indices, ascending, of ``count`` of so many images, evenly spaced in order of class: each class with its share,
    so that a mean over them estimates that of all. All of them where ``count`` is 0."""
    order = np.arange(total) if labels is None else np.argsort(labels, kind="stable")
    return np.sort(order[selection.evenly(total, count or total)])


def meaning(likelihood: str, inputs: np.ndarray) -> tuple[str, str]:
    """What log p is of these inputs: ``probability``, ``density`` or ``score``, and that in a sentence."""
    if likelihood not in DISCRETE:
        taken = ", taken as a Gaussian of variance ½ with its constant" if likelihood in log_likelihood.CONSTANT else ""
        return "density", (
            f"p(x) is a density at the scale of the model's input ({likelihood}{taken}): it changes with that scale, "
            "may exceed 1, and compares with no probability."
        )
    needs, holds = DISCRETE[likelihood]
    if holds(inputs).all():
        order = ", of the draws in a given order" if likelihood == "multinomial" else ""
        return "probability", f"The inputs are {needs}, so p(x) is a probability ({likelihood}{order})."
    return "score", (
        f"The inputs are not {needs}, of which alone {likelihood} is a distribution: what is called log p(x) here is "
        "minus a loss, no log-likelihood of the data, and compares with none."
    )


def measure(e: Estimates, dimensions: int) -> dict[str, Any]:
    """The numbers of estimates of images with so many values each: means over the images, in nats unless named."""
    samples, rate = max(e.bounds), e.kl.sum(axis=1)
    elbo = -e.distortion - rate

    def mean(values: np.ndarray, sign: int = 1) -> dict[str, float]:
        error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
        bits = sign * values.mean() / (np.log(2) * dimensions)
        return {"nats": values.mean(), "standard_error": error, "bits_per_dimension": bits}

    noise = {"monte_carlo_error": np.sqrt(e.variance.sum()) / len(e.variance)}
    return {
        "samples": samples,
        "dimensions": dimensions,
        "log_likelihood": {**mean(e.log_p, -1), **noise},
        "elbo": mean(elbo, -1),
        "rate": mean(rate),
        "distortion": mean(e.distortion),
        "gap": mean(e.log_p - elbo),
        "bound_by_samples": [{"samples": k, **mean(b, -1)} for k, b in e.bounds.items()],
        "effective_samples": {
            "median": np.median(e.effective),
            "min": e.effective.min(),
            "max": e.effective.max(),
            f"images_below_{FEW}": int(np.sum(e.effective < FEW)),
        },
        "units": len(e.spread),
        "active_units": np.flatnonzero(e.spread > ACTIVE),
        "kl_by_unit": e.kl.mean(axis=0),
        "variance_of_mean_by_unit": e.spread,
    }


def summarise(numbers: dict, noun: str) -> list[str]:
    """What the numbers say, a sentence a line; ``noun`` is what an example is called."""
    found, elbo, gap = numbers["log_likelihood"], numbers["elbo"], numbers["gap"]
    rate, distortion, samples = numbers["rate"], numbers["distortion"], numbers["samples"]
    n, total = numbers["examples"], numbers["test_examples"]
    of = f"{n:,} of {total:,}" if n < total else f"all {n:,}"
    a = reconstructions.PIXEL[noun]
    lines = [
        f"log p(x) is at least {_told(found)} nats, in expectation ({found['bits_per_dimension']:.4f} bits "
        f"a {a}) on {of} test {noun}s, by {samples:,} importance sample{'s' * (samples > 1)} of each.",
        f"The lower bound (ELBO) is {elbo['nats']:.2f} nats, {_told(gap)} below: "
        f"distortion {distortion['nats']:.2f}, rate {rate['nats']:.2f} nats ({rate['nats'] / np.log(2):.1f} bits).",
    ]
    curve = {p["samples"]: p["nats"] for p in numbers["bound_by_samples"]}
    if samples > 1:
        rise = ", ".join(f"{value:.2f} by {k:,}" for k, value in curve.items())
        lines += [f"The bound by the number of samples: {rise}.", _trust(numbers)]
    lines.append(_units(numbers))
    if by_class := numbers["log_likelihood_by_class"]:
        best, worst = max(by_class, key=by_class.get), min(by_class, key=by_class.get)
        lines.append(f"Most likely by class: {best} ({by_class[best]:.1f}); least: {worst} ({by_class[worst]:.1f}).")
    lines.append(numbers["meaning"]["says"])
    if (beta := numbers["trained_with"]["kl"]) != 1:
        lines.append(f"Trained with the divergence weighed {beta:g}; the bound here weighs it 1, as log p(x) asks.")
    return lines


def _told(value: dict) -> str:
    """A mean, with its standard error where there are examples enough for one."""
    return f"{value['nats']:.2f}" + (f" ± {value['standard_error']:.2f}" if value["standard_error"] >= 0 else "")


def _trust(numbers: dict) -> str:
    """How far the estimate of log p(x) can be believed."""
    effective, curve = numbers["effective_samples"], numbers["bound_by_samples"]
    few, rise = effective[f"images_below_{FEW}"], curve[-1]["nats"] - curve[-2]["nats"]
    line = (
        f"From {curve[-2]['samples']:,} to {curve[-1]['samples']:,} samples it rose by {rise:.2f} nats (spread "
        f"between draws: {numbers['log_likelihood']['monte_carlo_error']:.3f}, which knows nothing of codes that the "
        f"encoder's Gaussians never reach); they are worth {effective['median']:.3g} of equal weight for the median "
        "example"
    )
    if not few:
        return f"{line}, {effective['min']:.3g} for the worst."
    return f"{line}, fewer than {FEW} for {few} of {numbers['examples']}, whose log p(x) is likely higher."


def _units(numbers: dict) -> str:
    active, kl = numbers["active_units"], np.asarray(numbers["kl_by_unit"])
    rest = np.delete(kl, active).sum()
    line = f"{len(active)} of {numbers['units']} units are active (variance of the mean above {ACTIVE})"
    if len(active):
        line += f", with {kl[active].min():.2f} to {kl[active].max():.2f} nats each"
    return line + (f"; the others have {rest:.3f} nats together." if len(active) < len(kl) else ".")


def analyse(workdir: Path, flags) -> command.Findings:
    """The likelihood of the run in ``workdir``."""
    run = command.load_autoencoder(workdir, flags.best, "a likelihood of the data")
    config, dataset = run.config, run.dataset()
    if config.code.name not in log_likelihood.CODES:
        raise command.DoesNotApply(
            f"log p(x) needs a code with a prior and a Gaussian for each example ({', '.join(log_likelihood.CODES)}), "
            f"and this run's is {config.code.name}"
        )
    test, noun = dataset.test, command.noun(run, dataset)
    total = len(test.images)
    if not total:
        raise UserError(f"likelihood: the test split of {config.data.name} is empty; it needs a test {noun}")
    labels = None if test.labels is None else np.asarray(test.labels)
    rows = subset(labels, total, flags.images)
    images = test.images[rows]
    estimates = estimate(run, images, flags.samples, flags.seed)
    kind, says = meaning(config.loss.likelihood, np.asarray(run.prepare(images)))
    names = [] if labels is None else command.class_names(dataset, labels)
    by_class = reconstructions.class_means(estimates.log_p, labels[rows], names) if names else {}
    numbers = {
        **command.about(run),
        "examples": len(rows),
        "test_examples": total,
        "seed": flags.seed,
        "trained_with": {name: config.loss.get(name, 1.0) for name in ("kl", "likelihood")},
        "meaning": {"kind": kind, "says": says},
        **measure(estimates, int(np.prod(dataset.shape))),
        "log_likelihood_by_class": by_class if len(by_class) > 1 else None,
        "test_indices": rows,
        "log_likelihood_by_example": estimates.log_p,
        "effective_samples_by_example": estimates.effective,
    }
    found = numbers["log_likelihood"]
    of = f"{len(rows):,} of {total:,}" if len(rows) < total else f"all {total:,}"
    title = f"{command.heading(run)}: {'log p(x)' if kind != 'score' else 'minus the loss in place of log p(x)'} "
    title += f"{'≥' if kind != 'score' else ''} {_told(found).replace('-', '−')} nats on {of} test {noun}s"
    rate = estimates.kl.sum(axis=1)
    picture = draw(numbers, estimates.log_p, rate, estimates.distortion, title, noun)
    return command.Findings(picture, numbers, summarise(numbers, noun))


def define(flags) -> None:
    """The flags of this command."""
    command.define_best(flags)
    samples = "Importance samples of each image; the more, the closer to log p(x)."
    absl_flags.DEFINE_integer("samples", 5000, samples, lower_bound=1, flag_values=flags)
    images = "How many test images, each class with its share (500 with 5,000 samples of a dense net: half a minute on "
    images += "two cores); 0 takes all."
    absl_flags.DEFINE_integer("images", 500, images, lower_bound=0, flag_values=flags)
    absl_flags.DEFINE_integer("seed", 0, "Of the samples.", lower_bound=0, upper_bound=2**32 - 1, flag_values=flags)


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m aejax.analysis.likelihood --workdir=DIR [--samples=K] [--images=N] [--seed=N] [--best]``."""
    return command.execute("likelihood", analyse, argv, define)
