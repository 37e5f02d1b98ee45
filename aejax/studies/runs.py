"""The runs of a study: planned, trained together in this process, measured from their checkpoints, and not twice.

A study's folder holds ``study.json`` with its settings, a workdir a run, and in each of those another ``study.json``
with what was measured of it. Started again it trains what is not finished, a half-done run from its checkpoint, and
computes no measurement anew.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from absl import flags as absl_flags
from ml_collections import ConfigDict, FrozenConfigDict
from tqdm import tqdm

import aejax
from aejax import checkpoint, checks, files, workdirs
from aejax.data import Dataset
from aejax.errors import Diverged, UserError
from aejax.sweep import together
from aejax.sweep.members import DIVERGED, Member
from aejax.sweep.side_by_side import Datasets

SETTINGS = "study.json"  # of the study, in its folder
MEASURED = "study.json"  # of a run, in its workdir
DATASETS = 4  # kept in memory

# A study draws its own figure: its runs draw none and write no event files, unless their keys are set by hand.
QUIET = {"log.tensorboard": False, "log.figure_epochs": (), "checkpoint.keep": 1}

Measure = Callable[[Any, Dataset], Mapping[str, Any]]


class Stopped(Exception):
    """A signal stopped the study; what was trained and measured is saved.

    Attributes:
      status: the exit status, 128 + the signal's number.
    """

    def __init__(self, status: int):
        super().__init__(f"stopped with status {status}")
        self.status = status


@dataclass(frozen=True)
class Planned:
    """One run of a study.

    Attributes:
      workdir: its folder, below the study's.
      config: all of its keys.
      told: what sets it apart, for the progress line: "code.size 20, seed 1".
    """

    workdir: Path
    config: FrozenConfigDict
    told: str

    @property
    def name(self) -> str:
        """The last part of the workdir."""
        return self.workdir.name

    @property
    def diverged(self) -> bool:
        """Whether its loss was not finite, in a study that goes on all the same."""
        return together.diverged(self.workdir)

    def member(self, number: int) -> Member:
        """The run as one of several that are trained together."""
        return Member(number, {"run": self.told}, self.config, self.workdir)

    def finished(self) -> bool:
        """Whether this config has been trained here to its end."""
        return together.finished(self.member(0))


class Study:
    """A study's folder, and the runs that are planned, trained and measured in it.

    Attributes:
      name: of its module.
      config: what the command line gave: every run's config begins as this one.
      flags: the study's own flags.
      folder: where all of it lies.
      seeds: those of the flag ``seeds``.
      dataset: ``config.data`` -> what it names, the last few kept in memory.

    Raises:
      UserError: the folder holds a study with other settings.
    """

    def __init__(self, name: str, config: ConfigDict, flags: absl_flags.FlagValues, settings: Mapping[str, Any]):
        self.name, self.config, self.flags = name, FrozenConfigDict(config), flags
        self.folder, self.seeds = Path(flags.folder), whole_numbers("seeds", flags.seeds)
        self._settings = json.loads(json.dumps({"study": name, **settings, "config": workdirs.written(self.config)}))
        self.dataset = Datasets(DATASETS)
        self._compare()

    def plan(self, name: str, told: str, changes: Mapping[str, Any]) -> Planned:
        """A run in ``<folder>/<name>``: the study's config with dotted keys changed, its figures and events left out.

        Raises:
          UserError: the changed config is refused; the message names the key.
        """
        config = ConfigDict(self.config.to_dict()).lock()
        config.update_from_flattened_dict(dict(changes))
        config.name = f"{self.config.name}_{name}"
        checks.check(config)
        return Planned(self.folder / name, FrozenConfigDict(config), told)

    def train(self, planned: Sequence[Planned], diverging: bool = False) -> None:
        """Train those that are not finished, together, each to its end.

        Args:
          planned: the runs; none starts from another of them.
          diverging: go on after a run whose loss is not finite, which is then ``diverged``.

        Raises:
          Stopped: by a signal; the runs that were under way have been saved.
          UserError: a mistake in a run's config, the data or the folder; a non-finite loss.
        """
        if planned:  # data that do not serve are told before there is a folder
            checks.check_data(planned[0].config, self.dataset(planned[0].config.data))
        self._write_settings()
        there = sum(run.diverged or run.finished() for run in planned)
        if there:
            print(f"{there} of {len(planned)} runs in {self.folder} are finished already", flush=True)
        members = [run.member(number) for number, run in enumerate(planned)]
        sweep = self.config.sweep
        given = {"placement": sweep.placement, "at_once": sweep.at_once, "load": self.dataset, "noun": "runs"}
        if status := together.train(members, self.folder, **given):
            raise Stopped(status)
        bad = [run for run in planned if run.diverged]
        if bad and not diverging:
            why = (bad[0].workdir / DIVERGED).read_text(encoding="utf-8").strip()
            raise Diverged(f"{bad[0].workdir} ({bad[0].told}): {why}")

    def measure(self, run: Planned, asked: Mapping[str, Any], function: Measure) -> dict[str, Any]:
        """``function(aejax.load(workdir), its dataset)`` as plain JSON of six digits, or what it gave before.

        Args:
          run: a run that is finished.
          asked: plain JSON that names the measurement and all that it depends on beside the run.
          function: measures.
        """
        asked = {**asked, "step": checkpoint.of(run.workdir).steps()[-1]}

        def compute():
            loaded = aejax.load(run.workdir)
            return function(loaded, self.dataset(loaded.config.data))

        return remembered(run.workdir / MEASURED, asked, compute)

    def measure_all(self, runs: Sequence[Planned], asked: Mapping[str, Any], function: Measure) -> list[dict[str, Any]]:
        """``measure`` of each, with a bar on a terminal."""
        return [self.measure(run, asked, function) for run in tqdm(runs, "measuring", unit="run", disable=None)]

    def _compare(self) -> None:
        path = self.folder / SETTINGS
        if not path.exists():
            return
        try:
            there = dict(files.read_json(path))
            config = workdirs.completed(there.get("config", {}))
        except (OSError, ValueError, AttributeError) as error:
            raise UserError(f"{path} cannot be read: {error}") from None
        free = [f"config.{key}" for key in workdirs.FREE]
        asked = {**self._settings, "config": workdirs.completed(self._settings["config"])}
        if differ := workdirs.differences({**there, "config": config}, asked, free):
            raise UserError(
                f"--folder={self.folder} holds a study with other settings ({'; '.join(differ)}); "
                "accepted: those settings, or another --folder"
            )

    def _write_settings(self) -> None:
        if not (self.folder / SETTINGS).exists():  # not before a plan is made: one that is refused leaves no folder
            files.write_text(self.folder / SETTINGS, json.dumps(self._settings, indent=1) + "\n")


def remembered(path: Path, asked: Mapping[str, Any], compute: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """What ``compute`` gives, as plain JSON of six digits; where ``path`` has it from another time, that.

    Args:
      path: a JSON file, a list of ``{"asked", "numbers"}``.
      asked: plain JSON that tells one measurement from another.
      compute: called where the file has no such one, which is then added to it.
    """
    asked = json.loads(json.dumps(asked))
    try:
        known = [dict(entry) for entry in files.read_json(path)["measured"]]
    except (OSError, ValueError, KeyError, TypeError):  # none yet, or not whole
        known = []
    for entry in known:
        if entry.get("asked") == asked:
            return entry["numbers"]
    numbers = files.rounded(dict(compute()))
    files.write_text(path, json.dumps({"measured": [*known, {"asked": asked, "numbers": numbers}]}, indent=1) + "\n")
    return numbers


def whole_numbers(flag: str, given: Sequence[str], least: int = 0) -> list[int]:
    """``["0", "1"]`` of ``--seeds=0,1`` as numbers.

    Raises:
      UserError: one is no whole number, is below ``least`` or comes twice; or there is none.
    """
    accepted = f"accepted: different whole numbers, at least {least}, such as 5,20"
    try:
        numbers = [int(text) for text in given]
    except ValueError:
        raise UserError(f"--{flag}={','.join(given)}: {accepted}") from None
    if not numbers or min(numbers) < least or len(set(numbers)) < len(numbers):
        raise UserError(f"--{flag}={','.join(given)}: {accepted}")
    return numbers
