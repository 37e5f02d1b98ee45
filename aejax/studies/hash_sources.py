"""Whose bits find images of the same class: an autoencoder's, which saw no labels, or a convolutional classifier's?

    python -m aejax.studies.hash_sources --config=configs/hashing.py [--classifier=configs/conv.py] [--labels=100,all]

The config's autoencoder gives codes of ``code.size`` bits (semantic hashing). The classifier has the encoder, optimiser
and schedule of the config in ``--classifier``, a layer of as many sigmoid units below its output, and its codes are
those units rounded; it is trained with so many labels of train, each number of ``--labels`` once a seed. Beside them,
at as many bits, stand the hashes of ``aejax.analysis.hashing`` that are fitted on pixels: PCA-sign, ITQ and random
projections (LSH). All are scored alike: the database is all of train, the queries are of test.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from absl import flags as absl_flags

from aejax import main as training
from aejax.analysis import hashing, selection
from aejax.analysis.command import DoesNotApply, labels_of
from aejax.analysis.hashing import retrieval
from aejax.data import Dataset
from aejax.errors import UserError
from aejax.studies import command
from aejax.studies.hash_sources_report import draw, summarise, tabulate
from aejax.studies.pretraining import flattened, numbers_of_labels, of_classifier, schedule
from aejax.studies.runs import Planned, Study
from aejax.tables import mean_std

AUTOENCODER = "autoencoder"
SECTIONS = ("encoder", "optim", "corruption")  # of the classifier's config that it is made of
DEEP = 10  # precision@k of the table


def keys_of_classifier(study: Study) -> dict[str, Any]:
    """The keys that make the classifier of the study's config and of that in ``--classifier``.

    Raises:
      UserError: there is no such config.
    """
    try:
        config, _, _ = training.parse(["aejax", f"--config={study.flags.classifier}"])
    except UserError as error:
        raise UserError(str(error).replace("--config", "--classifier")) from None
    keys = of_classifier(study.config, "code") | {"code.name": "deterministic", "code.activation": "sigmoid"}
    for section in SECTIONS:
        keys |= flattened(config, section)
    return keys | {"train.batch_size": config.train.batch_size, "train.epochs": config.train.epochs}


def plan(study: Study, labels: Mapping[str, int], examples: int) -> dict[str, list[Planned]]:
    """Source -> its runs, one a seed: the autoencoder, and the classifier for each number of labels."""
    seeds, keys = study.seeds, keys_of_classifier(study)
    runs = {AUTOENCODER: [study.plan(f"autoencoder_seed{s}", f"autoencoder, seed {s}", {"seed": s}) for s in seeds]}
    for count in labels.values():
        steps = study.flags.steps
        scheduled = schedule(count, examples, keys["train.batch_size"], steps, keys["train.epochs"])
        source = f"classifier, {count:,} labels"
        runs[source] = [
            study.plan(
                f"classifier_labels{count}_seed{s}",
                f"{source}, seed {s}",
                {**keys, **scheduled, "seed": s, "data.labels_seed": s if count < examples else 0},
            )
            for s in seeds
        ]
    return runs


def scoring(study: Study, dataset: Dataset) -> Callable[..., dict[str, Any]]:
    """A function from (train bits, test bits) to the numbers of ``retrieval.score``, for labelled data.

    Raises:
      UserError: there are no labels, or no test split.
    """
    name = study.config.data.name
    if not len(dataset.test):
        raise UserError(f"config.data.name={name!r}: a test split is needed, for queries")
    try:
        labels = [labels_of(split, "retrieval", name) for split in (dataset.train, dataset.test)]
    except DoesNotApply as reason:
        raise UserError(f"config.data.name={name!r}: {reason}") from None
    asking = selection.by_class(labels[1], study.flags.queries or len(labels[1]))
    how = {
        "train_labels": labels[0],
        "test_labels": labels[1],
        "queries": asking,
        "balls": selection.by_class(labels[1], hashing.BALLS),
        "at": retrieval.depths(len(labels[0]), hashing.POINTS),
        "top": study.flags.top,
    }

    def score(train_bits: np.ndarray, test_bits: np.ndarray) -> dict[str, Any]:
        numbers, found = retrieval.score(train_bits, test_bits, **how)
        return {**numbers, "k": how["at"], "precision": found.precision.mean(axis=0)}

    return score


def of_pixels(run: Any, dataset: Dataset, bits: int, score: Callable) -> dict[str, dict]:
    """Hash -> the scores of each of its draws, fitted on the prepared pixels of train."""
    inputs = [np.asarray(run.prepare(s.images)).reshape(len(s), -1) for s in (dataset.train, dataset.test)]
    fitted = inputs[0][selection.evenly(len(inputs[0]), hashing.FIT)]
    return {
        name: [score(*(make(x) for x in inputs)) for make in (fit(fitted, bits) for fit in fits)]
        for name, fits in hashing.BASELINES.items()
    }


def gather(study: Study, planned: Mapping[str, Sequence[Planned]], dataset: Dataset, score: Callable) -> dict[str, Any]:
    """All numbers: a row a source, as ``tabulate``, ``draw`` and ``summarise`` read them."""
    bits = study.config.code.size
    asked = {"measure": "retrieval", "queries": study.flags.queries, "top": study.flags.top}

    def of_code(run: Any, _) -> dict[str, Any]:  # the run's own data may have lost what is not labelled
        return score(*hashing.bits_of_codes(run, dataset, "auto")[:2])

    found = {source: study.measure_all(runs, asked, of_code) for source, runs in planned.items()}
    first = planned[AUTOENCODER][0]
    pixels = study.measure(first, {**asked, "of": "pixels"}, lambda run, _: of_pixels(run, dataset, bits, score))
    return {
        "bits": bits,
        "seeds": study.seeds,
        "queries": min(study.flags.queries or len(dataset.test), len(dataset.test)),
        "database": len(dataset.train),
        "top": study.flags.top,
        "chance": float(np.mean(by_chance(study, dataset))),
        "rows": [row(source, every) for source, every in {**found, **pixels}.items()],
    }


def by_chance(study: Study, dataset: Dataset) -> np.ndarray:
    """Each query's average precision in a random order."""
    train, test = (np.asarray(split.labels) for split in (dataset.train, dataset.test))
    asking = selection.by_class(test, study.flags.queries or len(test))
    return retrieval.by_chance(train, test[asking], at=(1,), top=study.flags.top).average_precision


def row(source: str, every: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The means of a source's scores, over its seeds or draws."""
    of = lambda get: mean_std(get(one) for one in every)  # noqa: E731
    return {
        "source": source,
        "mean_average_precision": of(lambda one: one["retrieval"]["mean_average_precision"]),
        "precision_at_10": of(lambda one: one["retrieval"]["precision_at"].get(str(DEEP))),
        "precision_within_radius_2": of(lambda one: one["retrieval"]["precision_within_radius_2"]),
        "purity": of(lambda one: one["sets"]["purity_without_singletons"]),
        "purity_by_chance": of(lambda one: one["sets"]["chance_without_singletons"]),
        "singletons_percent": of(lambda one: 100 * one["sets"]["singletons_share"]),
        "dead_bits": of(lambda one: one["train"]["dead_bits"]),
        "k": every[0]["k"],
        "precision": [mean_std(values) for values in zip(*(one["precision"] for one in every), strict=True)],
    }


def study(study: Study) -> command.Findings:
    """Train, measure, tell."""
    if study.config.model == "classifier":
        raise UserError("config.model='classifier': --config names the autoencoder; the classifier is --classifier")
    if study.config.data.labels:
        raise UserError(f"config.data.labels={study.config.data.labels} is set by the study; accepted: 0, and --labels")
    dataset = study.dataset(study.config.data)
    score = scoring(study, dataset)
    labels = numbers_of_labels(study.flags.labels, len(dataset.train), len(dataset.classes))
    planned = plan(study, labels, len(dataset.train))
    study.train([run for runs in planned.values() for run in runs])
    numbers = gather(study, planned, dataset, score)
    name = study.config.name
    return command.Findings(draw(numbers, name), numbers, tabulate(numbers), summarise(numbers))


def define(flags: absl_flags.FlagValues) -> None:
    """The flags beside those of every study."""
    classifier = "The config file, and a preset after a colon, whose encoder and optimiser the classifier has."
    absl_flags.DEFINE_string("classifier", "configs/conv.py", classifier, flag_values=flags)
    labels = "How many labels the classifier sees: numbers, shares of train such as 10%, or all."
    absl_flags.DEFINE_list("labels", ["100", "all"], labels, flag_values=flags)
    steps = "The classifier's training steps, at least."
    absl_flags.DEFINE_integer("steps", 2000, steps, lower_bound=1, flag_values=flags)
    queries = "How many test examples ask, as many of each class; 0: all."
    absl_flags.DEFINE_integer("queries", 1000, queries, lower_bound=0, flag_values=flags)
    top = "How deep average precision looks, such as 5000; 0: over the whole database."
    absl_flags.DEFINE_integer("top", 0, top, lower_bound=0, flag_values=flags)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status; see ``command.execute``."""
    return command.execute("hash_sources", study, argv, define, seeds="0,1,2")


if __name__ == "__main__":
    sys.exit(main())
