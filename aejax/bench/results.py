"""What has been measured so far: ``bench.json`` of the workdir, written anew whenever something is done.

A bench that is stopped, however it is, goes on from it.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aejax import files
from aejax.bench.frameworks import OURS
from aejax.bench.sitting import Row, Sitting
from aejax.bench.timing import Timing
from aejax.errors import UserError

NAME = "bench.json"
BESIDE = ("bench.md", "bench.png", "operators.png")  # made from it


class Results:
    """Finished sittings and timings, on the machine and by the settings that they were taken with.

    Raises:
      UserError: the file in the workdir is of another machine, other settings or other code, or is none; or the
        workdir cannot be written, or has files of others under the names that the bench writes.
    """

    def __init__(self, workdir: Path, machine: Mapping[str, Any], settings: Mapping[str, Any]):
        self.path, self.machine, self.settings = workdir / NAME, dict(machine), dict(settings)
        self.nets: list[Sitting] = []
        self.operators: list[Timing] = []
        writing(workdir, lambda: workdir.mkdir(parents=True, exist_ok=True))
        if self.path.exists():
            self._read()
        elif there := [name for name in BESIDE if (workdir / name).exists()]:
            raise UserError(f"--workdir={workdir} has a {there[0]} and no {NAME}; accepted: another --workdir")

    def _read(self) -> None:
        try:
            written = json.loads(self.path.read_text(encoding="utf-8"))
            here = {"machine": written["machine"], "settings": written["settings"]}
            self.nets = [_made(Sitting, sitting) for sitting in written["nets"]]
            self.operators = [_made(Timing, timing) for timing in written["operators"]]
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

    def has_net(self, name: str, precision: str) -> bool:
        """Whether that net is measured already, by aejax at least."""
        known = [sitting for sitting in self.nets if (sitting.name, sitting.precision) == (name, precision)]
        return any(row.framework == OURS and not row.missing for sitting in known for row in sitting.rows)

    def add_net(self, sitting: Sitting) -> None:
        """Keep a sitting, on disk too, in place of one of the same net."""
        self.nets = [old for old in self.nets if (old.name, old.precision) != (sitting.name, sitting.precision)]
        self.nets.append(sitting)
        self._write()

    def add_operator(self, timing: Timing) -> None:
        """Keep a timing, on disk too, in place of one of the same operator."""
        self.operators = [old for old in self.operators if old.name != timing.name]
        self.operators.append(timing)
        self._write()

    def _write(self) -> None:
        nets, operators = ([dataclasses.asdict(one) for one in part] for part in (self.nets, self.operators))
        every = {"machine": self.machine, "settings": self.settings, "nets": nets, "operators": operators}
        writing(self.path, lambda: files.write_json(self.path, every))


def writing(path: Path, write) -> None:
    """Call ``write``.

    Raises:
      UserError: the path cannot be written.
    """
    try:
        write()
    except OSError as error:
        raise UserError(f"--workdir: {path} cannot be written: {error.strerror or error}") from None


def _made(cls: type, values: Mapping[str, Any]) -> Any:
    """A sitting or a timing of what ``dataclasses.asdict`` made of it."""
    return cls(**{**values, "rows": [Row(**row) for row in values["rows"]]})
