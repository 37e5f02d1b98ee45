"""Training what is missing, asking what is not known, and remembering both.

``state.json`` in the folder of the results has, for every experiment, its command and config, whether it is at its end,
how many seconds it has taken so far, however often it was stopped, and what its runs have answered. An experiment whose
command or config is another is another.
"""

import gc
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import jax

from aejax import files, workdirs
from aejax.bench import machine
from aejax.errors import UserError
from aejax.studies.results.asking import called, find
from aejax.studies.results.definitions import Experiment, Line, config_of
from aejax.sweep.members import DIVERGED
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
        """What the folder remembers.

        Raises:
          UserError: its ``state.json`` cannot be read.
        """
        self.folder = folder
        self._lock = threading.Lock()
        self._experiments = left(folder / STATE, _experiments, "move it away, or another --folder") or {}
        self._failed: dict[Experiment, str] = {}

    # -- training

    def finished(self, experiment: Experiment) -> bool:
        """Whether this command has been trained here to its end, and each of its runs is still there."""
        known, place = self._known(experiment), self.folder / experiment.name
        return bool(known.get("finished")) and all((place / run).is_dir() for run in known.get("runs") or ["."])

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
        if experiment in self._failed:
            raise Missing(self._failed[experiment])
        entry = self._entry(experiment)
        entry["finished"] = False  # it may have been, before a run went missing
        print(f"{experiment.name}: {experiment.told(self.folder)}", flush=True)
        with self._timed(entry):
            status = called(f"aejax.{experiment.module}", experiment.argv(self.folder))
        if status:
            self._failed[experiment] = f"failed with status {status}"
            raise Missing(self._failed[experiment])
        entry |= {"finished": True, "runs": experiment.left(self.folder)}
        self._save()

    def _entry(self, experiment: Experiment) -> dict[str, Any]:
        """What is known of an experiment whose runs are in its folder, or the beginning of that."""
        known, place = self._known(experiment), self.folder / experiment.name
        if known and place.is_dir():
            return known
        if experiment.name in self._experiments and place.is_dir():
            raise Missing(f"{place} is of another command or config; accepted: move it away, or another --folder")
        self._experiments[experiment.name] = {
            "command": experiment.command,
            "config": config_of(experiment),
            "seconds": None if place.is_dir() else 0.0,  # nobody knows how long they trained that are there already
            "finished": False,
            "device": device(),
            "answers": {},
        }
        self._save()
        return self._experiments[experiment.name]

    def seconds(self, line: Line) -> float | None:
        """How long the training of a line's experiment took, its study's measuring included, and its questions, without
        those of what it is over; None where nobody knows."""
        trained, asked = self._known(line.experiment).get("seconds", 0.0), self._answers(line, line.experiment)
        return None if trained is None else trained + sum(known.get("seconds", 0.0) for known in asked)

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
        known = [known for experiment in line.experiments for known in self._answers(line, experiment)]
        return all(set(line.at.values()) <= set(answer.get("found", ())) for answer in known)

    def _answers(self, line: Line, experiment: Experiment) -> list[dict[str, Any]]:
        """What is known of each run of an experiment that it asks."""
        answers = self._known(experiment).get("answers", {})
        runs = experiment.runs(self.folder, line.runs) if line.ask else ()
        return [answers.get(self._question(line, experiment, run), {}) for run in runs]

    def _of_study(self, experiment: Experiment, at: Mapping[str, str]) -> dict[str, Any]:
        told = f"{experiment.name}/{experiment.module.rpartition('.')[2]}.json"
        try:
            numbers = files.read_json(self.folder / told)
            return {name: find(numbers, where) for name, where in at.items()}
        except (OSError, ValueError, LookupError) as error:
            raise Missing(f"{told}: {error}") from None

    def _answer(self, line: Line, experiment: Experiment, run: Path) -> dict[str, Any]:
        """Name -> what one run has at each place of the line."""
        name, *flags = line.ask
        told = run.relative_to(self.folder)
        if (run / DIVERGED).exists():
            raise Missing(f"{told} diverged")
        question = self._question(line, experiment, run)
        known = self._known(experiment)["answers"].setdefault(question, {"seconds": 0.0, "found": {}})
        if not set(line.at.values()) <= set(known["found"]):
            with self._timed(known):
                status = called(f"aejax.analysis.{name}", [f"--workdir={run}", *flags])
            if status:
                raise Missing(f"aejax.analysis.{name} of {told} failed with status {status}")
            path = run / "analysis" / f"{name}.json"
            try:
                numbers = files.read_json(path)
                known["found"] |= files.rounded({where: find(numbers, where) for where in line.at.values()})
            except (OSError, ValueError, LookupError) as error:
                raise Missing(f"{told}/analysis/{name}.json: {error}") from None
            self._save()
        return {name: known["found"][where] for name, where in line.at.items()}

    # -- remembering

    def _known(self, experiment: Experiment) -> dict[str, Any]:
        """What is remembered of an experiment of this name, command and config; keys that came later aside."""
        known = self._experiments.get(experiment.name, {})
        if known.get("command") != experiment.command:
            return {}
        there = workdirs.completed(known["config"])
        return {} if workdirs.differences(there, config_of(experiment), workdirs.FREE) else known

    def _question(self, line: Line, experiment: Experiment, run: Path) -> str:
        return " ".join([str(run.relative_to(self.folder / experiment.name)), *line.ask])

    @contextmanager
    def _timed(self, entry: dict[str, Any]) -> Iterator[None]:
        """Within it the entry's seconds are counted on, and noted now and then: a kill loses the last few alone."""
        begun, before, done = time.monotonic(), entry["seconds"], threading.Event()

        def note() -> None:
            if before is not None:
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
            state = {"experiments": self._experiments}
            files.write_text(self.folder / STATE, json.dumps(state, indent=1, ensure_ascii=False) + "\n")


def left(path: Path, take: Callable[[Any], Any], accepted: str = "move it away") -> Any:
    """What ``take`` takes from the JSON that this command left; nothing where there is none.

    Raises:
      UserError: it is not as the command leaves it.
    """
    try:
        return take(files.read_json(path)) if path.exists() else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        told = f"{path} is not as this command leaves it ({type(error).__name__}: {error})"
        raise UserError(f"{told}; accepted: {accepted}") from None


def _experiments(state: Any) -> dict[str, Any]:
    return {name: {**known, "answers": dict(known["answers"])} for name, known in state["experiments"].items()}


def alone(folder: Path) -> AbstractContextManager[Any]:
    """The folder made, and within it no other process's.

    Raises:
      UserError: it cannot be made, or another process trains there.
    """
    return workdirs.locked(folder, f"--folder={folder}", "another --folder, or --notrain")


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
