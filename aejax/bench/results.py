"""What has been measured so far: ``bench.json`` of the workdir, written anew whenever something is done.

A bench that is stopped, however it is, goes on from it.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aejax import files
from aejax.bench.sitting import Row, Sitting
from aejax.bench.timing import Timing
from aejax.errors import UserError

NAME = "bench.json"


class Results:
    """Finished sittings and timings, on the machine and by the settings that they were taken with.

    Raises:
      UserError: the file in the workdir is of another machine or other settings, or is none.
    """

    def __init__(self, workdir: Path, machine: Mapping[str, Any], settings: Mapping[str, Any]):
        self.path, self.machine, self.settings = workdir / NAME, dict(machine), dict(settings)
        self.nets: list[Sitting] = []
        self.operators: list[Timing] = []
        if self.path.exists():
            self._read()

    def _read(self) -> None:
        try:
            written = json.loads(self.path.read_text(encoding="utf-8"))
            here = {"machine": written["machine"], "settings": written["settings"]}
            self.nets = [_made(Sitting, sitting) for sitting in written["nets"]]
            self.operators = [_made(Timing, timing) for timing in written["operators"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{self.path} is no result of this bench ({type(error).__name__}: {error}); accepted: another --workdir"
            ) from None
        for part, now in (("machine", self.machine), ("settings", self.settings)):
            for key in sorted(here[part].keys() | now.keys()):
                was, is_now = here[part].get(key), files.rounded(now.get(key))
                if was != is_now:
                    raise UserError(
                        f"{self.path} was measured with {key} {was!r}, and this is {is_now!r}; "
                        "accepted: the same, or another --workdir"
                    )

    def has_net(self, name: str, precision: str) -> bool:
        """Whether that net is measured already."""
        return any((sitting.name, sitting.precision) == (name, precision) for sitting in self.nets)

    def has_operator(self, name: str) -> bool:
        """Whether that operator is."""
        return any(timing.name == name for timing in self.operators)

    def forget(self, names: set[str]) -> None:
        """Leave out what was measured under these names; the file changes when the next is added."""
        self.nets = [sitting for sitting in self.nets if sitting.name not in names]
        self.operators = [timing for timing in self.operators if timing.name not in names]

    def add_net(self, sitting: Sitting) -> None:
        """Keep a sitting, on disk too."""
        self.nets.append(sitting)
        self._write()

    def add_operator(self, timing: Timing) -> None:
        """Keep a timing, on disk too."""
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
