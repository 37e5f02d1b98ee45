"""What is unsupervised training good for when labels are few? Frozen, fine-tuned and from scratch, at several numbers.

    python -m aejax.studies.pretraining --config=configs/deep.py [--labels=100,1000,10%,all] [--draws=10]

The config's autoencoder is trained on all of train without labels, once a seed. Then its encoder, with a dense head of
one output a class, learns from so many labelled examples in three ways: ``frozen``, the weights of ``--parts`` as they
are; ``fine_tuned``, learning on from there, the encoder at ``--encoder_rate`` times the head's rate; and ``scratch``,
the same net from its own initial weights. The labelled examples are drawn anew, as many of each class, ``--draws``
times for up to ``FEW`` labels, once a seed beyond; draw d goes with the d-th seed, in turn, in all three ways alike,
so that their differences are paired. Every classifier takes the same steps, and its last weights are tested: with few
labels there are none to spare for a choice of when to stop.

``--parts=encoder/convs_0,encoder/convs_1`` reuses the lower layers of a net alone; the layers above them start anew.
``--ways`` leaves some of the three out; classifiers learn at the config's rate, or at ``--learning_rate``.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from absl import flags as absl_flags
from ml_collections import FrozenConfigDict

from aejax import files, logs
from aejax import model as models
from aejax.classifier import FEATURES
from aejax.data import Dataset
from aejax.errors import UserError
from aejax.studies import command, measures
from aejax.studies.pretraining_report import draw, draw_curves, summarise, tabulate
from aejax.studies.runs import Planned, Study
from aejax.tables import mean_std
from configs.base import base

WAYS = ("scratch", "frozen", "fine_tuned")
FEW = 1000  # labels up to which draws vary enough for many to be worth their time
CURVE = 20  # evaluations of valid along a training


def ways(parts: Sequence[str], encoder_rate: float, source: str) -> dict[str, dict[str, Any]]:
    """Way -> the keys of the config that it sets, for weights of the run in ``source``."""
    start = {"start.workdir": source, "start.parts": tuple(parts)}
    layers = tuple(part for part in parts if part.split("/")[0] == "encoder")
    return {
        "scratch": {},
        "frozen": {**start, "optim.freeze": layers},
        "fine_tuned": {**start, "optim.encoder_rate": encoder_rate},
    }


def numbers_of_labels(given: Sequence[str], examples: int, classes: int) -> dict[str, int]:
    """``["100", "10%", "all"]`` as how many of so many training examples: the text -> the number, ascending.

    Raises:
      UserError: one of them is neither, is more than there are, less than one a class, or comes twice.
    """
    found = {}
    for text in given:
        share = text.removesuffix("%")
        try:
            count = examples if text == "all" else round(examples * float(share) / 100) if share != text else int(text)
        except (ValueError, OverflowError):
            count = 0
        if not classes <= count <= examples or count in found.values():
            raise UserError(
                f"--labels={','.join(given)}: {text!r} is not one of different numbers of labels; accepted: "
                f"{classes} to {examples}, a percentage such as 10%, or all"
            )
        found[text] = count
    return dict(sorted(found.items(), key=lambda item: item[1]))


def flattened(config: Mapping[str, Any], section: str) -> dict[str, Any]:
    """The keys of a config's section, dotted: ``{"encoder.widths": …}``."""
    return {f"{section}.{key}": value for key, value in config[section].items()}


def of_classifier(config: FrozenConfigDict, on: str) -> dict[str, Any]:
    """The keys that make a classifier of an autoencoder's config: what only the autoencoder reads is at its default,
    and its input is not corrupted (Vincent et al., JMLR 11, 2010, section 3.5)."""
    default, reset = base(), {}
    for section in ("loss", "greedy", "corruption"):
        reset |= flattened(default, section)
    return {**reset, "model": "classifier", "classifier.on": on, "checkpoint.best": False, "train.early_stopping": 0}


def schedule(labels: int, examples: int, batch: int, steps: int, epochs: int) -> dict[str, int]:
    """Batch size and epochs for so many labels: at least so many steps, and so many passes over them.

    A batch holds no more than a fifth of the labels, or of 10 all.
    """
    size = max(1, min(batch, max(10, labels // 5), labels))
    passes = max(epochs, -(-steps // (labels // size)))
    return {
        "data.labels": labels if labels < examples else 0,
        "train.batch_size": size,
        "train.epochs": passes,
        "eval.epochs": max(1, passes // CURVE),
    }


def check(study: Study) -> None:
    """Refuse what the study has no meaning for.

    Raises:
      UserError: naming the key or flag.
    """
    config, flags = study.config, study.flags
    if config.model == "classifier":
        raise UserError("config.model='classifier' needs no pretraining here; accepted: model='autoencoder'")
    if config.data.labels:
        raise UserError(f"config.data.labels={config.data.labels} is set by the study; accepted: 0, and --labels")
    if not flags.ways or not set(flags.ways) <= set(WAYS):
        raise UserError(f"--ways={','.join(flags.ways)}: accepted are {', '.join(WAYS)}, or several by commas")
    if flags.on not in FEATURES:
        raise UserError(f"--on={flags.on}: accepted are {', '.join(FEATURES)}")
    if not any(part.split("/")[0] == "encoder" for part in flags.parts):
        raise UserError(f"--parts={','.join(flags.parts)}: accepted: encoder, or layers of it such as encoder/layers_0")
    if flags.encoder_rate != 1 and "encoder" not in flags.parts:
        raise UserError(
            f"--encoder_rate={flags.encoder_rate} would slow the layers that start anew too; accepted: 1, or "
            "--parts=encoder,code"
        )


def check_parts(study: Study, dataset: Dataset) -> None:
    """Refuse names in ``--parts`` that nothing of the encoder or code lies below.

    Raises:
      UserError: naming the layers that there are.
    """
    model = models.build(study.config, dataset.shape, len(dataset.classes))
    params = jax.eval_shape(lambda: models.init(model, 0))["params"]
    known = ["code", "encoder", *(f"encoder/{name}" for name in params["encoder"])]
    if unknown := [part for part in study.flags.parts if part not in known]:
        raise UserError(f"--parts={','.join(study.flags.parts)}: no {unknown[0]!r}; accepted: {', '.join(known)}")


def plan(study: Study, labels: Mapping[str, int], examples: int) -> tuple[list[Planned], dict[tuple, list[Planned]]]:
    """The autoencoders, one a seed; and for each (text of labels, way) the classifiers, one a draw."""
    flags, batch = study.flags, study.config.train.batch_size
    sources = [study.plan(f"autoencoder_seed{s}", f"autoencoder, seed {s}", {"seed": s}) for s in study.seeds]
    common, planned = of_classifier(study.config, flags.on), {}
    if flags.learning_rate:
        common["optim.learning_rate"] = flags.learning_rate
    for text, count in labels.items():
        draws = flags.draws if count <= FEW and count < examples else len(study.seeds)
        scheduled = schedule(count, examples, batch, flags.steps, flags.epochs)
        for number in range(draws):
            seed, source = (x[number % len(study.seeds)] for x in (study.seeds, sources))
            drawn = {"seed": seed + number // len(study.seeds), "data.labels_seed": number if count < examples else 0}
            for way, keys in ways(flags.parts, flags.encoder_rate, str(source.workdir.resolve())).items():
                if way not in flags.ways:
                    continue
                name = f"labels{count}_draw{number}_{way}"
                told = f"{count:,} labels, draw {number}, {way.replace('_', '-')}"
                run = study.plan(name, told, {**common, **scheduled, **drawn, **keys})
                planned.setdefault((text, way), []).append(run)
    return sources, planned


def errors(run: Any, dataset: Dataset) -> dict[str, Any]:
    """Test and valid error of the last weights, in percent, and the curve of valid: [step, error in percent]."""
    found = measures.figures(run, dataset, ("valid", "test"))
    rows = files.read_lines(run.workdir / logs.METRICS)
    curve = [[row["step"], 100 * row["error"]] for row in rows if row["split"] == "valid"]
    return {**{split: 100 * values["error"] for split, values in found.items()}, "curve": curve}


def gather(study: Study, labels: Mapping[str, int], planned: Mapping[tuple, Sequence[Planned]]) -> dict[str, Any]:
    """All numbers: a row for each number of labels, as ``tabulate``, ``draw`` and ``summarise`` read them."""
    rows = []
    for text, count in labels.items():
        found = {
            way: study.measure_all(runs, {"measure": "errors"}, errors)
            for (of, way), runs in planned.items()
            if of == text
        }
        scratch = [one["test"] for one in found.get("scratch", ())]
        draws = len(next(iter(found.values())))
        row: dict[str, Any] = {"labels": count, "asked": text, "draws": draws, "ways": {}}
        for way, every in found.items():
            over = (s - one["test"] for one, s in zip(every, scratch, strict=True)) if scratch else None
            row["ways"][way] = {
                "test_accuracy": mean_std(100 - one["test"] for one in every),
                "over_scratch": mean_std(over) if over else None,
                "each_test_accuracy": [100 - one["test"] for one in every],
                "steps": [step for step, _ in every[0]["curve"]],
                "curve": [
                    mean_std(values)
                    for values in zip(*([error for _, error in one["curve"]] for one in every), strict=True)
                ],
            }
        rows.append(row)
    return {
        "seeds": study.seeds,
        "classifier_on": study.flags.on,
        "parts": list(study.flags.parts),
        "encoder_rate": study.flags.encoder_rate,
        "rows": rows,
    }


def study(study: Study) -> command.Findings:
    """Train, measure, tell."""
    check(study)
    dataset = study.dataset(study.config.data)
    if dataset.train.labels is None or not len(dataset.test):
        raise UserError(f"config.data.name={study.config.data.name!r}: labels and a test split are needed")
    labels = numbers_of_labels(study.flags.labels, len(dataset.train), len(dataset.classes))
    check_parts(study, dataset)
    sources, planned = plan(study, labels, len(dataset.train))
    classifiers = [run for runs in by_draw(planned) for run in runs]
    study.train(sources)
    study.train(classifiers)
    numbers = {"test_examples": len(dataset.test), **gather(study, labels, planned)}
    name = study.config.name
    curves = {"curves": draw_curves(numbers, name)} if next(iter(numbers["rows"][0]["ways"].values()))["curve"] else {}
    return command.Findings(draw(numbers, name), numbers, tabulate(numbers), summarise(numbers), curves)


def by_draw(planned: Mapping[tuple, Sequence[Planned]]) -> list[list[Planned]]:
    """The runs draw by draw, so that a study that is stopped has compared what it has."""
    longest = max(map(len, planned.values()))
    return [[runs[d] for runs in planned.values() if d < len(runs)] for d in range(longest)]


def define(flags: absl_flags.FlagValues) -> None:
    """The flags beside those of every study."""
    labels = "How many labelled examples: numbers, shares of train such as 10%, or all."
    absl_flags.DEFINE_list("labels", ["100", "1000", "10%", "all"], labels, flag_values=flags)
    draws = f"How often up to {FEW} of them are drawn; more, once a seed."
    absl_flags.DEFINE_integer("draws", 10, draws, lower_bound=1, flag_values=flags)
    steps = "A classifier's training steps, at least."
    absl_flags.DEFINE_integer("steps", 5000, steps, lower_bound=1, flag_values=flags)
    epochs = "A classifier's passes over its labelled examples, at least."
    absl_flags.DEFINE_integer("epochs", 10, epochs, lower_bound=1, flag_values=flags)
    rate = "Fine-tuning: the encoder's learning rate over the head's."
    absl_flags.DEFINE_float("encoder_rate", 1.0, rate, lower_bound=0.0, flag_values=flags)
    on = "What the head reads: the code, or the encoder's last hidden layer (hidden)."
    absl_flags.DEFINE_string("on", "code", on, flag_values=flags)
    rate = "The classifiers' learning rate, in place of the config's."
    absl_flags.DEFINE_float("learning_rate", None, rate, lower_bound=0.0, flag_values=flags)
    absl_flags.DEFINE_list("ways", list(WAYS), "Which of the three.", flag_values=flags)
    parts = "Whose weights are reused: encoder and code, or layers such as encoder/convs_0."
    absl_flags.DEFINE_list("parts", ["encoder", "code"], parts, flag_values=flags)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status; see ``command.execute``."""
    return command.execute("pretraining", study, argv, define, seeds="0,1,2")


if __name__ == "__main__":
    sys.exit(main())
