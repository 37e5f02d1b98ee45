"""Which hyperparameters serve best? Trials of any keys of a config, compared by cross-validation.

    python -m aejax.studies.tune --config=configs/denoising.py \\
        --search='corruption.std=0.1:0.5,code.size={16,32,64},optim.learning_rate=log:1e-4:1e-2'

Put quotes around ``--search``: a shell takes braces apart. What it may say of a key: ``aejax.sweep.values``.

A trial is one setting of the keys, trained once a fold, each with the next of ``--seeds``; its figure is the
mean of ``--metric`` over the parts that it was not trained on. ``--folds=0`` compares on the usual valid split, with
every seed. The trial with the lowest mean is trained anew as the config would be, once a seed; these alone are looked
at on test: the line of test that every run leaves in its metrics.jsonl is read of no other.
"""

import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags as absl_flags
from ml_collections import config_flags

from aejax import checks
from aejax.errors import UserError
from aejax.studies import command, measures, search
from aejax.studies.runs import Planned, Study
from aejax.studies.tune_report import draw, summarise, tabulate
from aejax.sweep import values
from aejax.sweep.compared import NOT_COMPARED, below
from aejax.tables import mean_std

METRICS = {
    "autoencoder": ("loss", "reconstruction", "reconstruction_per_pixel", "squared_error"),
    "classifier": ("loss", "cross_entropy", "error"),
}
# Keys that say what is compared with what, where and how: not what is learned.
NOT_SEARCHED = ("name", "model", "seed", "data", "eval", "log", "checkpoint", "mesh", "train.steps_per_call")


def check(study: Study, spaces: Sequence[values.Space]) -> None:
    """Refuse flags out of range, and keys that the metric cannot compare.

    Raises:
      UserError: naming the flag or key.
    """
    flags, config = study.flags, study.config
    metrics = METRICS[config.model]
    if flags.metric not in metrics:
        raise UserError(f"--metric={flags.metric} of a model {config.model!r}; accepted: {', '.join(metrics)}")
    if flags.folds < 0 or flags.folds == 1:
        raise UserError(f"--folds={flags.folds}: parts to train without in turn; accepted: 2 or more, or 0 for valid")
    if config.data.folds:
        raise UserError(f"config.data.folds={config.data.folds} is set by the study; accepted: 0, and --folds")
    if flags.trials < 1 or flags.draw < 0:
        raise UserError(f"--trials={flags.trials} --draw={flags.draw}: accepted: 1 or more trials, a draw of 0 or more")
    for key in (space.key for space in spaces):
        if below(key, NOT_SEARCHED):
            raise UserError(f"--search: {key} is not for learning better by; accepted: keys of the model and training")
        if config.model == "autoencoder" and below(key, NOT_COMPARED.get(flags.metric, ())):
            others = [name for name in metrics if not below(key, NOT_COMPARED.get(name, ()))]
            raise UserError(
                f"--search: {key} changes what --metric={flags.metric} means; accepted: --metric={' or '.join(others)}"
            )


def plan(study: Study, settings: Sequence[values.Setting]) -> list[list[Planned]]:
    """The runs of each trial: one a fold, or without folds one a seed.

    Raises:
      UserError: a setting is refused.
    """
    folds = study.flags.folds

    def one(number: int, setting: values.Setting, fold: int, seed: int) -> Planned:
        name, told = f"trial{number}", f"trial {number}, {shown(setting)}"
        changes = {**setting, "seed": seed}
        if folds:
            name, told, changes = f"{name}_fold{fold}", f"{told}, fold {fold}", {**changes, "data.folds": folds}
            changes["data.fold"] = fold
        if len(study.seeds) > 1:
            name, told = f"{name}_seed{seed}", f"{told}, seed {seed}"
        run = study.plan(name, told, changes)
        checks.check_overrides(run.config, setting)
        return run

    seeds = study.seeds
    pairs = [(fold, seeds[fold % len(seeds)]) for fold in range(folds)] or [(0, seed) for seed in seeds]
    planned = []
    for number, setting in enumerate(settings):
        try:
            runs = [one(number, setting, fold, seed) for fold, seed in pairs]
        except UserError as error:
            raise UserError(f"--search: with {shown(setting)}: {error}") from None
        planned.append(runs)
    return planned


def shown(setting: Mapping[str, Any]) -> str:
    """``code.size 32, corruption.std 0.2``."""
    return ", ".join(f"{key} {value}" for key, value in setting.items())


def on_valid(run: Any, dataset: Any) -> dict[str, Any]:
    """The means over valid."""
    return measures.figures(run, dataset, ["valid"])["valid"]


def trials(study: Study, settings: Sequence[values.Setting], planned: Sequence[Sequence[Planned]]) -> list[dict]:
    """Each trial's setting, its values of the metric on what it was not trained on, and their mean and deviation."""
    found = []
    for number, (setting, runs) in enumerate(zip(settings, planned, strict=True)):
        metric: list[float | None] = []
        if not any(run.diverged for run in runs):
            measured = study.measure_all(runs, {"measure": "valid"}, on_valid)
            metric = [figures[study.flags.metric] for figures in measured]
        mean = mean_std(metric) if metric and None not in metric else None
        found.append({"trial": number, "setting": setting, "values": metric, "metric": mean})
    return found


def best_of(found: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The trial with the lowest mean, the first of equals.

    Raises:
      UserError: every one diverged.
    """
    known = [trial for trial in found if trial["metric"] is not None]
    if not known:
        raise UserError("--search: the loss of every trial ceased to be finite; accepted: tamer values")
    return min(known, key=lambda trial: trial["metric"].mean)


def command_line(study: Study, setting: Mapping[str, Any]) -> str:
    """What trains a setting: the command line of the study with the keys in place of the search."""
    given = study.flags["config"]
    own = {key: value for key, value in config_flags.get_override_values(given).items() if not key.startswith("sweep.")}
    keys = {**own, **setting}
    flags = [f"--config={given.config_filename}", *(f"--config.{key}={value}" for key, value in keys.items())]
    return shlex.join(["python", "-m", "aejax.main", *flags])


def study(study: Study) -> command.Findings:
    """Draw, train, compare; then look at the best on test."""
    flags = study.flags
    if len(flags.search) > 1:
        raise UserError(
            f"--search came {len(flags.search)} times; accepted: once, in quotes: a shell takes {{…}} apart"
        )
    spaces = search.parse("".join(flags.search), study.config)
    check(study, spaces)
    settings = values.grid(spaces, "--grid") if flags.grid else values.draws(spaces, flags.trials, flags.draw)
    planned = plan(study, settings)
    if not flags.folds and not len(study.dataset(study.config.data).valid):
        raise UserError("--folds=0 compares on valid, which is empty; accepted: config.data.valid above 0, or folds")
    study.train([run for runs in planned for run in runs], diverging=True)
    found = trials(study, settings, planned)
    best = best_of(found)
    finals = [study.plan(f"best_seed{seed}", f"the best, seed {seed}", {**best["setting"], "seed": seed})
              for seed in study.seeds]  # fmt: skip
    study.train(finals)
    figures = study.measure_all(finals, {"measure": "all splits"}, measures.figures)
    final = {
        split: mean_std(figure[split][flags.metric] for figure in figures)
        for split in measures.SPLITS
        if split in figures[0]
    }
    numbers = {
        "metric": flags.metric,
        "folds": flags.folds,
        "seeds": study.seeds,
        "possible_settings": values.count(spaces) if math.isfinite(values.count(spaces)) else None,
        "keys": {s.key: {"log": s.log, **({} if isinstance(s, values.Choices) else {"low": s.low, "high": s.high})}
                 for s in spaces},
        "trials": found,
        "best": best["trial"],
        "command": command_line(study, best["setting"]),
        "trained_as_usual": final,
    }  # fmt: skip
    return command.Findings(draw(numbers, study.config.name), numbers, tabulate(numbers), summarise(numbers))


def define(flags: absl_flags.FlagValues) -> None:
    """The flags beside those of every study."""
    about = "What to try of which keys, in quotes: 'code.size={16,32},optim.learning_rate=log:1e-4:1e-2'."
    absl_flags.DEFINE_multi_string("search", [], about, flag_values=flags)
    absl_flags.DEFINE_integer("trials", 20, "Settings drawn at random.", flag_values=flags)
    absl_flags.DEFINE_boolean("grid", False, "Every combination in place of random ones.", flag_values=flags)
    absl_flags.DEFINE_integer("folds", 5, "Parts of cross-validation; 0: the usual valid split.", flag_values=flags)
    about = f"What is to be low on what was not trained on: {', '.join(dict.fromkeys(sum(METRICS.values(), ())))}."
    absl_flags.DEFINE_string("metric", "loss", about, flag_values=flags)
    absl_flags.DEFINE_integer("draw", 0, "Seed of the random settings.", flag_values=flags)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status; see ``command.execute``."""
    return command.execute("tune", study, argv, define, seeds="0,1,2")


if __name__ == "__main__":
    sys.exit(main())
