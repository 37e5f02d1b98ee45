"""Training what is missing, asking what is not known, and remembering both.

``state.json`` in the folder of the results has, for every experiment, its command, whether it is at its end and how
many seconds it has taken so far, however often it was stopped; and for every question asked of a run its figures. An
experiment or a question whose command, or whose config file, is another is another.
"""

import gc
import importlib
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from aejax import files
from aejax.bench import machine
from aejax.errors import UserError
from aejax.studies.results.definitions import Experiment, Line, checksum
from aejax.studies.runs import Stopped
from aejax.tables import Mean, mean_std

STATE = "state.json"
BEAT = 10.0  # seconds between two notes of how long an experiment has taken


class Missing(Exception):
    """There is no figure, for a reason told in one line."""


class Laboratory:
    """The folder of the results.

    Attributes:
      folder: where experiments have theirs.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._lock = threading.Lock()
        self._state: dict[str, Any] = {"experiments": {}, "answers": {}}
        if (folder / STATE).exists():
            try:
                self._state |= dict(files.read_json(folder / STATE))
            except (OSError, ValueError, TypeError) as error:
                raise UserError(f"{folder / STATE} cannot be read: {error}") from None

    # -- training

    def finished(self, experiment: Experiment) -> bool:
        """Whether this command has been trained here to its end."""
        known = self._known(experiment)
        return bool(known.get("finished")) and (self.folder / experiment.name).is_dir()

    def train(self, experiment: Experiment) -> None:
        """Train an experiment to its end, from where it stands.

        Raises:
          Missing: it cannot be trained here; its own line on standard error says why.
          Stopped: by a signal; what was trained is saved.
        """
        if self.finished(experiment):
            return
        if experiment.platform and experiment.platform != jax.default_backend():
            raise Missing(experiment.reason)
        print(f"{experiment.name}: {experiment.told(self.folder)}", flush=True)
        entry = {"command": self._key(experiment), "seconds": 0.0, "finished": False, "device": device()}
        entry |= self._known(experiment)
        self._state["experiments"][experiment.name] = entry
        with self._timed(entry):
            status = called(f"aejax.{experiment.module}", experiment.argv(self.folder))
        if status:
            raise Missing(f"failed with status {status}")
        entry["finished"] = True
        self._save()

    def seconds(self, experiment: Experiment) -> float:
        """How long its training took, its study's measuring included."""
        return float(self._known(experiment).get("seconds", 0.0))

    def device(self, experiment: Experiment) -> str:
        """What it was trained on."""
        return str(self._known(experiment).get("device", ""))

    # -- asking

    def figures(self, line: Line) -> dict[str, Mean]:
        """Name -> the figure of a line whose experiment is at its end: over its runs, or as its study has it.

        Raises:
          Missing: there is none.
          Stopped: by a signal.
        """
        experiment = line.experiment
        if not line.ask:
            return {name: _mean([found]) for name, found in self._of_study(experiment, line.at).items()}
        found = self._asked(line, experiment)
        if line.over is None:
            return {name: _mean([one[name] for one in found]) for name in line.at}
        others = self._asked(line, line.over)
        over = {name: _mean([one[name] for one in others]).mean for name in line.at}
        return {name: _mean([one[name] / over[name] for one in found]) for name in line.at}

    def _asked(self, line: Line, experiment: Experiment) -> list[dict[str, Any]]:
        """What each run of the experiment has at the places of the line."""
        runs = experiment.runs(self.folder, line.runs)
        if not self.finished(experiment) or not runs:
            raise Missing(f"{experiment.name} has no runs{f' {line.runs}' if line.runs else ''}")
        return [self._answer(line, experiment, run) for run in runs]

    def answered(self, line: Line) -> bool:
        """Whether every question of the line has been asked."""
        return all(set(line.at.values()) <= set(known.get("found", ())) for known in self._answers(line))

    def asking(self, line: Line) -> float:
        """The seconds that its questions took."""
        return sum(known.get("seconds", 0.0) for known in self._answers(line))

    def _answers(self, line: Line) -> list[dict[str, Any]]:
        """What is known of each run that it asks."""
        return [
            self._state["answers"].get(self._question(line, experiment, run), {})
            for experiment in (line.experiments if line.ask else ())
            for run in experiment.runs(self.folder, line.runs)
        ]

    def _of_study(self, experiment: Experiment, at: Mapping[str, str]) -> dict[str, Any]:
        path = self.folder / experiment.name / f"{experiment.module.rpartition('.')[2]}.json"
        try:
            numbers = files.read_json(path)
            return {name: find(numbers, where) for name, where in at.items()}
        except (OSError, ValueError, LookupError) as error:
            raise Missing(f"{path}: {error}") from None

    def _answer(self, line: Line, experiment: Experiment, run: Path) -> dict[str, Any]:
        """Name -> what one run has at each place of the line."""
        name, *flags = line.ask
        known = self._state["answers"].setdefault(self._question(line, experiment, run), {"seconds": 0.0, "found": {}})
        if not set(line.at.values()) <= set(known["found"]):
            with self._timed(known):
                status = called(f"aejax.analysis.{name}", [f"--workdir={run}", *flags])
            if status:
                raise Missing(f"aejax.analysis.{name} of {run} failed with status {status}")
            path = run / "analysis" / f"{name}.json"
            try:
                numbers = files.read_json(path)
                known["found"] |= files.rounded({where: find(numbers, where) for where in line.at.values()})
            except (OSError, ValueError, LookupError) as error:
                raise Missing(f"{path}: {error}") from None
            self._save()
        return {name: known["found"][where] for name, where in line.at.items()}

    # -- remembering

    def _key(self, experiment: Experiment) -> list[str]:
        return [experiment.module, *experiment.flags, checksum(experiment)]

    def _known(self, experiment: Experiment) -> dict[str, Any]:
        known = self._state["experiments"].get(experiment.name, {})
        return known if known.get("command") == self._key(experiment) else {}

    def _question(self, line: Line, experiment: Experiment, run: Path) -> str:
        return " ".join([str(run.relative_to(self.folder)), *self._key(experiment), "→", *line.ask])

    @contextmanager
    def _timed(self, entry: dict[str, Any]) -> Iterator[None]:
        """Within it the entry's seconds are counted on, and noted now and then: a kill loses the last few alone."""
        begun, before, done = time.monotonic(), entry["seconds"], threading.Event()

        def note() -> None:
            entry["seconds"] = before + time.monotonic() - begun
            self._save()

        def beat() -> None:
            while not done.wait(BEAT):
                note()

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            note()
            jax.clear_caches()  # programs of another net
            gc.collect()

    def _save(self) -> None:
        with self._lock:
            files.write_text(self.folder / STATE, json.dumps(self._state, indent=1, ensure_ascii=False) + "\n")


def called(module: str, argv: Sequence[str]) -> int:
    """The exit status of a command of aejax, called in this process as its module would be.

    Raises:
      Stopped: a signal stopped it.
    """
    name = module.rpartition(".")[2]
    status = importlib.import_module(module).main([name, *argv] if module == "aejax.main" else list(argv))
    if status > 128:
        raise Stopped(status)
    return status


def find(numbers: Any, where: str) -> Any:
    """What stands at ``a/b/0/key=value/c`` in JSON.

    Raises:
      LookupError: nothing does; it names the part that is not there.
    """
    for part in where.split("/"):
        key, equals, value = part.partition("=")
        if isinstance(numbers, list):
            numbers = {str(i): entry for i, entry in enumerate(numbers) if not equals or str(entry.get(key)) == value}
            numbers = {part: next(iter(numbers.values()))} if equals and len(numbers) == 1 else numbers
        if not isinstance(numbers, Mapping) or part not in numbers:
            there = ", ".join(map(str, numbers)) if isinstance(numbers, Mapping) else "no entries"
            raise LookupError(f"no {part!r} at {where}; there: {there}")
        numbers = numbers[part]
    return numbers


def _mean(found: Sequence[Any]) -> Mean:
    """The mean of what runs have; or the one that a study has made already."""
    if len(found) == 1 and isinstance(found[0], Mapping):
        return Mean(*(found[0][key] for key in Mean._fields))
    return mean_std(found)


def device() -> str:
    """What JAX computes on here: ``2 cores, AMD EPYC 7B13``, or the accelerators' kind."""
    there = jax.devices()
    if there[0].platform != "cpu":
        return f"{len(there)} × {there[0].device_kind}" if len(there) > 1 else there[0].device_kind
    count = machine.cores()
    return f"{count} core{'s' * (count > 1)}, {machine.describe()['processor']}"
