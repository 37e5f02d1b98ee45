"""The figures that papers and courses print, and what aejax comes to in their settings.

    python -m aejax.studies.results [ROW ...] [--folder=DIR] [--minutes=N] [--publish=README.md]

Each row is a question with its lines in ``rows``: a command that trains, over the seeds that it names, and a
question asked of what it left behind. What is missing is trained, what was stopped goes on, and nothing is done twice.
The table has every row; of those that have not been trained, that they have not. It is written into the folder as
``results.md``, ``results.csv`` and ``results.json``, with a figure a row.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from aejax import files, tables
from aejax.analysis.figure import save
from aejax.errors import UserError
from aejax.studies import command
from aejax.studies.results import figures, table
from aejax.studies.results.definitions import FOLDER, Line, Row
from aejax.studies.results.laboratory import Laboratory, Missing, alone, left
from aejax.studies.results.rows import ROWS
from aejax.studies.runs import Stopped

CONFIGS = Path("configs")
JSON = "results.json"
NUMBERS = ".readme/results.json"  # beside a file that has the table, the numbers behind it


def train(rows: Sequence[Row], laboratory: Laboratory) -> Iterator[tuple[Line, str]]:
    """Train and ask what the rows are about, one after another.

    Yields:
      A line that there is no figure of, and why.

    Raises:
      Stopped: by a signal.
    """
    for row in rows:
        for line in row.lines:
            try:
                for experiment in line.experiments:
                    laboratory.train(experiment)
                laboratory.figures(line)
            except Missing as reason:
                print(f"{row.name}, {line.setting}: {reason}", file=sys.stderr, flush=True)
                yield line, str(reason)


def gather(rows: Sequence[Row], laboratory: Laboratory, missing: dict[Line, str]) -> list[dict[str, Any]]:
    """All rows as JSON, with the figures that there are."""
    return [
        {**table.head(row), "lines": [_entry(line, laboratory, missing.get(line, "")) for line in row.lines]}
        for row in rows
    ]


def _entry(line: Line, laboratory: Laboratory, reason: str) -> dict[str, Any]:
    found, reason = None, reason or line.experiment.reason
    if all(map(laboratory.finished, line.experiments)) and laboratory.answered(line):
        found, reason = laboratory.figures(line), ""
    more = {"reason": reason, "seconds": laboratory.seconds(line), "device": laboratory.device(line.experiment)}
    return table.entry(line, found, **more)


def write(folder: Path, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Write the table in all its forms, with a figure a row; its rows.

    Args:
      folder: of the results; what is known there of a line stays where the rows have no figure of it.
      rows: as ``gather`` gives them.
    """
    rows = table.kept(rows, left(folder / JSON, _rows) or [])
    for row in rows:
        picture = folder / f"results_{row['name']}.png"
        if drawn := figures.draw(row):
            save(drawn, picture)
        else:
            picture.unlink(missing_ok=True)
    tables.write_csv(folder / "results.csv", table.numbers(rows))
    files.write_text(folder / "results.md", table.markdown(rows) + "\n")
    files.write_json(folder / JSON, {"study": "results", "rows": rows})
    return rows


def publish(into: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Put the table into a file and its numbers into ``.readme`` beside it, where those stay that the rows have not;
    and the figures of rows that the file shows from there, such as ``.readme/results_course.png``."""
    numbers = into.parent / NUMBERS
    rows = table.kept(rows, left(numbers, _rows) or [])
    told = _put(into, table.markdown(rows))
    for row in rows:
        picture = numbers.with_name(f"results_{row['name']}.png")
        if picture.name in told and (drawn := figures.draw(row)):
            save(drawn, picture)
    files.write_text(into, told)
    files.write_json(numbers, {"study": "results", "rows": rows})


def _put(into: Path, told: str) -> str:
    try:
        return table.put(into.read_text(encoding="utf-8"), told)
    except OSError as error:
        raise UserError(f"--publish={into}: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"--publish={into}: {error}") from None


def _rows(numbers: Any) -> list[dict[str, Any]]:
    return [{**row, "lines": [line | {"figures": line["figures"]} for line in row["lines"]]} for row in numbers["rows"]]


@contextmanager
def limited(minutes: float) -> Iterator[None]:
    """Within it the process is sent SIGTERM after so many minutes, which saves what trains; 0: never.

    Raises:
      UserError: there are not so many.
    """
    if not 0 <= 60 * minutes <= threading.TIMEOUT_MAX:
        raise UserError(f"--minutes={minutes:g}: accepted: 0 to {threading.TIMEOUT_MAX // 60:.0f}, 0 for no end")
    timer = threading.Timer(60 * minutes, os.kill, (os.getpid(), signal.SIGTERM))
    timer.daemon = True
    if minutes:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def asked(names: Sequence[str], rows: Sequence[Row]) -> list[Row]:
    """The rows of these names; all of them where there are none.

    Raises:
      UserError: there is no such row.
    """
    known = {row.name: row for row in rows}
    for name in names:
        if name not in known:
            raise UserError(f"no row {name!r}; accepted: {', '.join(known)}")
    return [known[name] for name in names] or list(rows)


def study(names: Sequence[str], flags: absl_flags.FlagValues, rows: Sequence[Row] = ROWS) -> int:
    """Train, ask, write, tell: the exit status, 0, 1 where a line asked for has no figure, or 128 + n."""
    wanted = asked(names, rows)
    folder, into = _places(flags)
    status, missing = 0, {}
    with alone(folder) if flags.train else nullcontext():
        laboratory = Laboratory(folder)
        if flags.train:
            try:
                with limited(flags.minutes):
                    for line, reason in train(wanted, laboratory):
                        missing[line] = reason
            except Stopped as stopped:
                status = stopped.status
                print("stopped; the same command goes on from there", file=sys.stderr)
        found = write(folder, gather(rows, laboratory, missing))
    written = [folder / "results.md", folder / JSON]
    if into:
        publish(into, found)
        written.append(into)
    told = [row for row in found if row["name"] in {one.name for one in wanted}]
    print("\n".join([table.text(told), "", *map(str, written)]), flush=True)
    return status or int(bool(missing))


def _places(flags: absl_flags.FlagValues) -> tuple[Path, Path | None]:
    """The folder of the results, and the file to publish in.

    Raises:
      UserError: one of them will not do, or the configs are not here.
    """
    if not CONFIGS.is_dir():
        raise UserError(f"no {CONFIGS}/ in {Path.cwd()}; accepted: to be called where the config files are")
    if not flags.folder:
        raise UserError("--folder= names no folder")
    if Path(flags.folder).exists() and not Path(flags.folder).is_dir():
        raise UserError(f"--folder={flags.folder} is not a folder; accepted: one, or what is not there yet")
    into = Path(flags.publish).resolve() if flags.publish else None
    if into:
        _put(into, "")
    return Path(flags.folder), into


def define(flags: absl_flags.FlagValues) -> None:
    """The flags."""
    absl_flags.DEFINE_string("folder", str(FOLDER), "Where the runs and the table lie.", flag_values=flags)
    minutes = "Stop after so many, with all saved: the same command goes on. 0: do not."
    absl_flags.DEFINE_float("minutes", 0.0, minutes, lower_bound=0.0, flag_values=flags)
    train = "Train and ask what is missing; --notrain writes the table of what is there."
    absl_flags.DEFINE_boolean("train", True, train, flag_values=flags)
    publish = "A file to put the table into, between its two marks; the numbers go into .readme beside it."
    absl_flags.DEFINE_string("publish", "", publish, flag_values=flags)
    absl_flags.DEFINE_boolean("help", False, "Show this help.", short_name="h", flag_values=flags)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status; see ``study``, and 2 after a user's mistake."""
    argv = list(sys.argv[1:] if argv is None else argv)

    def body() -> int:
        flags = absl_flags.FlagValues()
        define(flags)
        try:
            names = flags(["results", *argv])[1:]
        except absl_flags.IllegalFlagValueError as error:
            raise UserError(" ".join(str(error).split()).removeprefix("flag ")) from None
        except absl_flags.Error as error:
            accepted = ", ".join(f"--{flag}" for flag in flags if flag not in ("h", "help"))
            raise UserError(f"{' '.join(str(error).split())}; accepted: {accepted}") from None
        if flags.help:
            shown = "\n".join(f"  --{flag}: {flags[flag].help}" for flag in flags if flag not in ("h", "help"))
            print(f"{__doc__}\n{shown}\n\n" + "\n".join(f"  {row.name}: {row.title}" for row in ROWS))
            return 0
        return study(names, flags)

    return command.guarded("results", body)
