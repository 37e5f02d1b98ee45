"""What a table of results is made of: experiments that a command trains, and lines that each ask one figure of them."""

import functools
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aejax import main, workdirs
from configs.base import base

FOLDER = Path("runs") / "studies" / "results"
THREE, FIVE = "0,1,2", "0,1,2,3,4"  # seeds
FOLDERS = {"main": "workdir"}  # the flag that says where a command of aejax writes; of a study it is "folder"


@dataclass(frozen=True)
class Experiment:
    """What one command trains.

    Attributes:
      name: its folder, below that of the results.
      module: of aejax: ``main``, or ``studies.<name>``.
      flags: all but the folder.
      platform: the one that has the time for it (``gpu``); "": any.
    """

    name: str
    module: str
    flags: tuple[str, ...]
    platform: str = ""

    @property
    def reason(self) -> str:
        """Why there is no figure where nothing has gone wrong."""
        return f"not run: for a {self.platform.upper()}" if self.platform else "not run"

    @property
    def command(self) -> list[str]:
        """The module and its flags."""
        return [self.module, *self.flags]

    def argv(self, folder: Path) -> list[str]:
        """The arguments after the module's name."""
        return [*self.flags, f"--{FOLDERS.get(self.module, 'folder')}={folder / self.name}"]

    def told(self, folder: Path) -> str:
        """The command as it is typed."""
        return " ".join(["python -m", f"aejax.{self.module}", *map(quoted, self.argv(folder))])

    @property
    def swept(self) -> bool:
        """Whether it trains the members of a sweep."""
        return any(flag.startswith("--config.sweep.") for flag in self.flags)

    def runs(self, folder: Path, pattern: str = "") -> list[Path]:
        """The workdirs of its runs: a sweep's members, those that match the pattern, or the one that it is."""
        if pattern:
            return sorted((folder / self.name).glob(pattern))
        members = sorted((folder / self.name / "members").glob("[0-9]*"), key=lambda path: int(path.name))
        return members or [folder / self.name]

    def left(self, folder: Path) -> list[str]:
        """The folders of all runs that it has left, below its own."""
        place = folder / self.name
        return sorted(config.parent.relative_to(place).as_posix() for config in place.rglob(workdirs.CONFIG))


@dataclass(frozen=True, eq=False)
class Line:
    """One line of the table: a figure of an experiment, or a few that belong together.

    Attributes:
      setting: what was trained, in words.
      measure: what is measured, with its unit.
      experiment: what is asked.
      at: name -> where its figure stands in the JSON that is left behind: keys apart by slashes, the number of a list's
        entry, or ``key=value``, which holds for one of them. A single figure has the name "".
      ask: name of an analysis, then its flags, for each of the runs; (): the experiment is a study, whose JSON is read.
      runs: of a study, the pattern of the runs that are asked.
      published: name -> the figure in the literature, where there is one.
      source: of that.
      over: each run's figures are divided by the mean over the runs of this experiment, asked alike; None: by nothing.
    """

    setting: str
    measure: str
    experiment: Experiment
    at: Mapping[str, str]
    ask: tuple[str, ...] = ()
    runs: str = ""
    published: Mapping[str, float] = field(default_factory=dict)
    source: str = ""
    over: Experiment | None = None

    @property
    def experiments(self) -> tuple[Experiment, ...]:
        """All that its figures are of."""
        return tuple(dict.fromkeys((self.experiment, self.over or self.experiment)))

    def asks(self, folder: Path) -> list[str]:
        """The commands that ask, as they are typed in a shell; none of a study, which has told already."""
        return [self._asks(folder / experiment.name, experiment.swept) for experiment in self.experiments if self.ask]

    def _asks(self, where: Path, swept: bool) -> str:
        name, *flags = self.ask
        every = self.runs or "members/*" * swept
        run = "$run" if every else str(where)
        told = " ".join(["python -m", f"aejax.analysis.{name}", f"--workdir={run}", *map(quoted, flags)])
        return f"for run in {where}/{every}; do {told}; done" if every else told


@dataclass(frozen=True)
class Row:
    """Lines about one question.

    Attributes:
      name: what the command line calls it.
      title: what it is about.
      lines: in order.
    """

    name: str
    title: str
    lines: Sequence[Line]


@functools.cache
def config_of(experiment: Experiment) -> dict[str, Any]:
    """All keys of its config as JSON has them."""
    config, _, _ = main.parse(["aejax", *(flag for flag in experiment.flags if flag.startswith("--config"))])
    return workdirs.plain(config)


@functools.cache
def checksum(experiment: Experiment) -> str:
    """Of the keys in which an experiment's config differs from ``configs/base.py``: another where a preset of the same
    name has become another, the same where there are more keys than there were."""
    differ = workdirs.differences(workdirs.plain(base()), config_of(experiment))
    return f"{zlib.crc32(json.dumps(differ).encode()):08x}"


def trained(name: str, config: str, seeds: str, *keys: str, platform: str = "") -> Experiment:
    """A config over seeds such as ``0,1,2``; the keys are set as ``code.size=16``."""
    given = (f"--config=configs/{config}", f"--config.sweep.seed={seeds}", *(f"--config.{key}" for key in keys))
    return Experiment(name, "main", given, platform)


def studied(name: str, study: str, config: str, *flags: str, platform: str = "") -> Experiment:
    """A study of a config."""
    return Experiment(name, f"studies.{study}", (f"--config=configs/{config}", *flags), platform)


def quoted(flag: str) -> str:
    """A flag as a shell needs it."""
    return f"'{flag}'" if set(flag) & set("(){}*?&;<>| ") else flag
