"""What has been measured so far: ``bench.json``, ``sweeps.json`` and ``scaling.json`` of the workdir, written anew
whenever something is done.

A bench that is stopped, however it is, goes on from it.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aejax import files
from aejax.bench import scaling, sitting, sweeps
from aejax.bench.frameworks import OURS
from aejax.bench.scaling import Scaling
from aejax.bench.sitting import Sitting
from aejax.bench.sweeps import Sweep
from aejax.bench.timing import Timing
from aejax.errors import UserError


class Kept:
    """Finished measurements in a file of the workdir, on the machine and by the settings that they were taken with.

    Attributes:
      NAME: of the file.
      BESIDE: what is made from it, in the same folder.
      PARTS: each list of measurements by its name in the file: what it is of, and of what its rows are.

    Raises:
      UserError: the file in the workdir is of another machine, other settings or other code, or is none; or the
        workdir cannot be written, or has files of others under the names that the bench writes.
    """

    NAME: str
    BESIDE: tuple[str, ...]
    PARTS: Mapping[str, tuple[type, type]]

    def __init__(self, workdir: Path, machine: Mapping[str, Any], settings: Mapping[str, Any]):
        self.path, self.machine, self.settings = workdir / self.NAME, dict(machine), dict(settings)
        for part in self.PARTS:
            setattr(self, part, [])
        writing(workdir, lambda: workdir.mkdir(parents=True, exist_ok=True))
        if self.path.exists():
            self._read()
        elif there := [name for name in self.BESIDE if (workdir / name).exists()]:
            raise UserError(f"--workdir={workdir} has a {there[0]} and no {self.NAME}; accepted: another --workdir")

    def _read(self) -> None:
        try:
            written = json.loads(self.path.read_text(encoding="utf-8"))
            here = {"machine": written["machine"], "settings": written["settings"]}
            for part, types in self.PARTS.items():
                setattr(self, part, [_made(*types, one) for one in written[part]])
            keys = {part: sorted({*here[part]} | {*getattr(self, part)}) for part in here}
            was = {(part, key): here[part].get(key) for part in here for key in keys[part]}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{self.path} is no result of this bench ({type(error).__name__}: {error}); accepted: another --workdir"
            ) from None
        for (part, key), value in was.items():
            now = files.rounded(getattr(self, part).get(key))
            if value != now:
                raise UserError(
                    f"{self.path} was measured with {key} {value!r}, and this is {now!r}; "
                    "accepted: the same, or another --workdir"
                )

    def keep(self, part: str, one: Any, *names: str) -> None:
        """Add to a part, on disk too, in place of one with the same values of the fields so named."""

        def key(each: Any) -> list[Any]:
            return [getattr(each, name) for name in names]

        setattr(self, part, [old for old in getattr(self, part) if key(old) != key(one)] + [one])
        every = {name: [dataclasses.asdict(each) for each in getattr(self, name)] for name in self.PARTS}
        every = {"machine": self.machine, "settings": self.settings, **every}
        writing(self.path, lambda: files.write_json(self.path, every))


class Results(Kept):
    """Sittings and timings."""

    NAME = "bench.json"
    BESIDE = ("bench.md", "bench.png", "operators.png")
    PARTS = {"nets": (Sitting, sitting.Row), "operators": (Timing, sitting.Row)}
    nets: list[Sitting]
    operators: list[Timing]

    def has_net(self, name: str, precision: str) -> bool:
        """Whether that net is measured already, by aejax at least."""
        known = [found for found in self.nets if (found.name, found.precision) == (name, precision)]
        return any(row.framework == OURS and not row.missing for found in known for row in found.rows)

    def add_net(self, found: Sitting) -> None:
        """Keep a sitting, on disk too, in place of one of the same net."""
        self.keep("nets", found, "name", "precision")

    def add_operator(self, timing: Timing) -> None:
        """Keep a timing, on disk too, in place of one of the same operator."""
        self.keep("operators", timing, "name")


class Scalings(Kept):
    """Step times against numbers of devices."""

    NAME = "scaling.json"
    BESIDE = ("scaling.md", "scaling.png")
    PARTS = {"nets": (Scaling, scaling.Row)}
    nets: list[Scaling]

    def has(self, name: str) -> bool:
        """Whether that net is measured already, on every number of devices."""
        return any(found.name == name and not any(row.missing for row in found.rows) for found in self.nets)

    def add(self, found: Scaling) -> None:
        """Keep a net's, on disk too, in place of what there was of it."""
        self.keep("nets", found, "name")


class Sweeps(Kept):
    """Experiments of many models."""

    NAME = "sweeps.json"
    BESIDE = ("sweeps.md",)
    PARTS = {"sweeps": (Sweep, sweeps.Row)}
    sweeps: list[Sweep]

    def has(self, title: str) -> bool:
        """Whether that experiment is measured already, by aejax at least."""
        known = [row for sweep in self.sweeps if sweep.title == title for row in sweep.rows]
        ours = [row for row in known if row.name in (sweeps.TOGETHER, *sweeps.AGAINST.values())]
        return bool(ours) and not any(row.missing for row in ours)

    def add(self, found: Sweep) -> None:
        """Keep an experiment, on disk too, in place of one of the same title."""
        self.keep("sweeps", found, "title")


def writing(path: Path, write) -> None:
    """Call ``write``.

    Raises:
      UserError: the path cannot be written.
    """
    try:
        write()
    except OSError as error:
        raise UserError(f"--workdir: {path} cannot be written: {error.strerror or error}") from None


def _made(cls: type, row: type, values: Mapping[str, Any]) -> Any:
    """A measurement of what ``dataclasses.asdict`` made of it."""
    return cls(**{**values, "rows": [row(**each) for each in values["rows"]]})
