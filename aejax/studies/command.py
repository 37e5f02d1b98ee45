"""What the study commands share: flags, the study's folder, the results on disk, and errors in one line.

A study's module has ``main(argv=None) -> int``, which calls ``execute`` with a ``study(Study) -> Findings``.
"""

import contextlib
import inspect
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from absl import flags as absl_flags
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from aejax import checks, files, main, tables
from aejax.analysis.figure import save
from aejax.errors import UserError
from aejax.studies.runs import QUIET, Stopped, Study
from aejax.sweep import members


@dataclass(frozen=True)
class Findings:
    """What a study found.

    Attributes:
      figure: written as ``<name>.png``.
      numbers: written as ``<name>.json``.
      table: a row a setting, column -> text, number or ``tables.Mean``; printed, and written as ``<name>.csv``.
      summary: printed beneath, a sentence a line.
      more: further pictures by suffix, written as ``<name>_<suffix>.png``.
    """

    figure: Figure
    numbers: Mapping[str, Any]
    table: Sequence[Mapping[str, Any]]
    summary: Sequence[str]
    more: Mapping[str, Figure] = field(default_factory=dict)


def execute(
    name: str,
    study: Callable[[Study], Findings],
    argv: Sequence[str] | None = None,
    define: Callable[[absl_flags.FlagValues], None] | None = None,
    seeds: str = "0,1,2,3,4",
) -> int:
    """Run one study from the command line and write what it finds.

    Args:
      name: the module's name in this package.
      study: plans, trains and measures.
      argv: arguments after the program's name; those of the process where None.
      define: defines the study's own flags; all of them belong to its settings, which a folder holds one set of.
      seeds: the default of ``--seeds``.

    Returns:
      The exit status: 0; 2 after a user's mistake, told in one line on standard error; 128 + n where signal n stopped
      it, with all that was done saved.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    usage = f"python -m aejax.studies.{name} --config=FILE[:PRESET] [--config.KEY=VALUE ...] [--folder=DIR] [--FLAG=..]"

    def body() -> int:
        asked = _asked(name, argv, define, seeds, usage)
        return _written(asked, study(asked))

    if {"-h", "-help", "--help"} & set(argv):
        print(f"usage: {usage}\n\n{inspect.getmodule(study).__doc__}\n{_describe(define, seeds)}")
        return 0
    return guarded(name, body)


def guarded(name: str, body: Callable[[], int]) -> int:
    """The exit status of ``body``, or that of what ended it, told in one line on standard error; see ``execute``."""
    try:
        with _terminable():
            return body()
    except Stopped as stopped:
        print("stopped; the same command goes on from there", file=sys.stderr)
        return stopped.status
    except UserError as error:
        print(f"aejax.studies.{name}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return main.unread()
    except OSError as error:
        if error.filename is None:
            raise
        print(f"aejax.studies.{name}: {error.filename}: {error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # between two runs: a run saves and returns
        print("stopped; the same command goes on from there", file=sys.stderr)
        return 128 + signal.SIGINT


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Within it SIGTERM raises ``Stopped`` where no run is training, which would save first."""

    def stop(number, _frame):
        raise Stopped(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _asked(name: str, argv: list[str], define: Callable | None, seeds: str, usage: str) -> Study:
    """The study that the command line asks for; its folder is compared, and nothing written."""
    own: list[str] = []
    config, overrides, flags = main.parse_with([name, *argv], lambda values: _define(values, define, seeds, own), usage)
    checks.check_overrides(config, overrides)
    if swept := members.specified(config):
        raise UserError(f"config.sweep.{next(iter(swept))}: a study says what to vary; accepted: the study's flags")
    config = ConfigDict(config.to_dict())
    config.update_from_flattened_dict({key: value for key, value in QUIET.items() if key not in overrides})
    checks.check(config)
    flags.folder = flags.folder or str(Path("runs") / "studies" / f"{name}_{config.name}")
    return Study(name, config, flags, {flag: flags[flag].value for flag in own})


def _define(flags: absl_flags.FlagValues, define: Callable | None, seeds: str, own: list[str]) -> None:
    """Defines the flags, and puts the names of those that are settings of the study into ``own``."""
    absl_flags.DEFINE_string("folder", None, "runs/studies/NAME_<config name> unless named", flag_values=flags)
    before = set(flags)
    absl_flags.DEFINE_list("seeds", seeds.split(","), "Seeds of weights, batches and noise.", flag_values=flags)
    if define:
        define(flags)
    own[:] = [flag for flag in flags if flag not in before]


def _describe(define: Callable | None, seeds: str) -> str:
    flags = absl_flags.FlagValues()
    _define(flags, define, seeds, [])
    plain = lambda value: ",".join(value) if isinstance(value, list) else value  # noqa: E731
    default = lambda flag: f" (default: {plain(flag.value)})" if flag.value not in (None, "", []) else ""  # noqa: E731
    return "\n".join(f"  --{flag}: {flags[flag].help}{default(flags[flag])}" for flag in flags)


def _written(study: Study, findings: Findings) -> int:
    """Write and print what was found."""
    numbers = study.folder / f"{study.name}.json"
    figures = {study.name: findings.figure, **{f"{study.name}_{k}": more for k, more in findings.more.items()}}
    pictures = [numbers.with_name(f"{stem}.png") for stem in figures]
    for picture, drawn in zip(pictures, figures.values(), strict=True):
        save(drawn, picture)
    table = numbers.with_suffix(".csv")
    tables.write_csv(table, findings.table)
    files.write_json(numbers, {"study": study.name, "config": study.config.name, **tables.plain(findings.numbers)})
    lines = [tables.text(findings.table), "", *findings.summary, *map(str, (*pictures, table, numbers))]
    print("\n".join(lines), flush=True)
    return 0
