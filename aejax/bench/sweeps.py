"""Many models together: every row trains all of them once a round, from nothing, in a fresh process."""

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from aejax import checks, data
from aejax.bench import description, examples, experiments, machine, nets
from aejax.bench.experiments import Experiment
from aejax.bench.frameworks import OURS, Framework
from aejax.bench.sitting import LIMIT
from aejax.bench.workers import Worker, WorkerFailed
from aejax.sweep import members

TOGETHER = f"{OURS}, together"
AGAINST = {"in_turn": f"{OURS}, one after another", "one": f"{OURS}, one of them"}
LONGEST = 3600.0  # seconds that a row may take for all of its models

Say = Callable[[str], None]


@dataclass
class Row:
    """What it took one way of training them.

    Attributes:
      name: of the way.
      missing: why there are no figures; "" where there are.
      versions: of its libraries.
      how: how its worker works.
      seconds: of each round, for all models.
      losses: per example, of each model the mean over its last epoch of training; None where that was not finite.
      memory: the peak of its memory, bytes,
      memory_of: of the "process", or of the "device" as the framework counts it.
    """

    name: str
    missing: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    how: str = ""
    seconds: list[float] = field(default_factory=list)
    losses: list[float | None] = field(default_factory=list)
    memory: int = 0
    memory_of: str = "process"


@dataclass
class Sweep:
    """What all rows showed on one experiment.

    Attributes:
      title: the experiment's.
      config: the name of the config.
      data: the name of the set.
      examples: of its train split.
      epochs: that each model is trained for.
      models: what sets each apart.
      rows: one a way of training them.
    """

    title: str
    config: str
    data: str
    examples: int
    epochs: int
    models: list[str]
    rows: list[Row] = field(default_factory=list)


@dataclass(frozen=True)
class Way:
    """A row to measure.

    Attributes:
      row: to be filled.
      framework: whose worker.
      request: what that is asked,
      job: with these arguments.
      models: how many it is to train.
      parameters: of each, for workers that tell theirs.
    """

    row: Row
    framework: Framework
    request: str
    job: Mapping[str, Any]
    models: int
    parameters: Sequence[int] = ()


def check(every: Sequence[Experiment], name: str) -> None:
    """Refuse what none of the workers could train.

    Args:
      every: the experiments.
      name: of the data set, or "".

    Raises:
      UserError: naming the key, or what is wrong with the data.
    """
    loaded: dict[Any, data.Dataset] = {}
    for experiment in every:
        config = experiments.load(experiment.config, name, experiment.sweep)
        first = members.members(config, Path())[0].config
        if first.data not in loaded:
            loaded = {first.data: data.load(first.data)}
        checks.check_data(first, loaded[first.data])


@dataclass(frozen=True)
class Workers:
    """Who trains.

    Attributes:
      ours: aejax's worker.
      peers: the others'.
      missing: why no peer can be measured; "" where they can.
      device: "cpu" or "gpu".
    """

    ours: Framework
    peers: Sequence[Framework]
    missing: str
    device: str


def measure(experiment: Experiment, name: str, workers: Workers, repeats: int, say: Say) -> Sweep:
    """Measure every row of an experiment, in turn, ``repeats`` times.

    Args:
      experiment: what is trained.
      name: of the data set; "" for the config's own, or its stand-in.
      workers: who trains. One that fails is noted in its row and stops none of the others.
      repeats: rounds.
      say: tells progress.
    """
    config = experiments.load(experiment.config, name, experiment.sweep)
    every = members.members(config, Path())
    with tempfile.TemporaryDirectory(prefix="aejax-bench-") as folder:
        saved = examples.save(config, Path(folder), repeated=False)
        found = Sweep(
            experiment.title, experiment.config, config.data.name, saved.count, config.train.epochs,
            [members.shown(member.settings) for member in every],
        )  # fmt: skip
        job = {"config": experiment.config, "data": name, "sweep": dict(experiment.sweep)}
        against = 1 if experiment.against == "one" else len(every)
        ways = [
            Way(Row(TOGETHER), workers.ours, "together", job, len(every)),
            Way(Row(AGAINST[experiment.against]), workers.ours, experiment.against, job, against),
        ]
        ways += _peers(config, every, saved, workers) if experiment.peers else []
        found.rows = [way.row for way in ways]
        for number in range(1, repeats + 1):
            say(f"round {number} of {repeats}, {len(every)} models")
            for way in ways:
                _take(way, say)
    return found


def _peers(config: ConfigDict, every: Sequence[members.Member], saved: examples.Saved, workers: Workers) -> list[Way]:
    """The other frameworks' rows, those that cannot be measured with the reason."""
    described, missing = [], workers.missing
    try:
        described = [nets.describe(member.config, saved.shape, len(saved.classes)) for member in every]
    except nets.Inexpressible as refusal:
        missing = missing or str(refusal)
    job = {"nets": described, "epochs": config.train.epochs, **saved.paths()}
    job |= {"threads": machine.cores(), "device": workers.device}
    parameters = [description.parameters(net) for net in described]
    return [Way(Row(peer.name, missing), peer, "several", job, len(every), parameters) for peer in workers.peers]


def _take(way: Way, say: Say) -> None:
    """A round of a row, in a process of its own with nothing compiled before; a failure is noted in it."""
    row = way.row
    if row.missing:
        return
    try:
        with tempfile.TemporaryDirectory(prefix="aejax-bench-") as folder:
            given = {"TMPDIR": folder}  # so that nothing stays behind of a worker that is killed
            given |= {"JAX_ENABLE_COMPILATION_CACHE": "true", "JAX_COMPILATION_CACHE_DIR": f"{folder}/compiled"}
            with Worker(way.framework.command, {**way.framework.environment, **given}) as worker:
                worker.ask("ready", LIMIT)
                reply = worker.ask(way.request, LONGEST, **way.job)
    except WorkerFailed as failure:
        row.missing = str(failure)
    else:
        row.missing = _amiss(reply, way)
    if row.missing:
        say(f"{row.name} is missing: {row.missing}")
        return
    row.versions, row.how = reply["versions"], reply["how"]
    row.memory, row.memory_of = reply["memory"], reply.get("memory_of", "process")
    row.losses = [loss if loss is not None and math.isfinite(loss) else None for loss in reply["losses"]]
    row.seconds.append(reply["seconds"])
    say(f"{row.name}, {reply['seconds']:.1f} s")


def _amiss(reply: Mapping[str, Any], way: Way) -> str:
    """What tells that it trained other nets than it should; "" where nothing does."""
    if len(reply["losses"]) != way.models:
        return f"it trained {len(reply['losses'])} models and not {way.models}"
    for number, (has, should) in enumerate(zip(reply.get("parameters", ()), way.parameters, strict=False)):
        if has != should:
            return f"its net {number} has {has:,} parameters and not {should:,}"
    return ""
