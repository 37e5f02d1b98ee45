"""Which of these runs is better, and at what? Two or more workdirs side by side.

Reconstruction of the same test images, classes in code space, interpolation and samples, beside the
sizes of the nets; differences with their standard errors, paired over the same test images.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags as absl_flags
from tqdm import tqdm

from aejax import files
from aejax.analysis import command, figure, selection, tables
from aejax.analysis.compare import comparison, panels
from aejax.analysis.compare import contestants as measuring
from aejax.analysis.compare.contestants import MEASURES, Contestant
from aejax.errors import UserError
from aejax.sweep import members

WORKDIRS = ("workdirs", "DIR,DIR", "The work directories of two runs or more, by commas.")
WRITTEN = ("compare.png", "compare.md", "compare.csv", "compare.json")


def labels(workdirs: Sequence[Path]) -> list[str]:
    """What to call the runs: the last parts of their paths, as few as tell them apart, joined by ``/``.

    A sweep's member is ``SWEEP/0``, by the sweep's folder and its number.

    Raises:
      UserError: a folder is named twice.
    """
    parts = [_parts(path.resolve()) for path in workdirs]
    for count in range(1, max(map(len, parts)) + 1):
        names = ["/".join(p[-count:]) for p in parts]
        if len(set(names)) == len(names):
            return names
    raise UserError(f"--workdirs={','.join(map(str, workdirs))}: names one folder twice; accepted: different runs")


def _parts(path: Path) -> tuple[str, ...]:
    """The parts of a path; the last of a member's is the name of its sweep with its number."""
    whole = _whole(path)
    return path.parts if whole == path else (*whole.parent.parts, f"{whole.name}/{path.name}")


def _whole(path: Path) -> Path:
    """The workdir of the sweep that a run is a member of, or its own."""
    sweep = path.parent.parent
    return sweep if path.parent.name == members.FOLDER and members.is_sweep(sweep) else path


def folder(workdirs: Sequence[Path], out: str | None) -> Path:
    """Where the comparison goes: ``out``, or ``compare/A+B`` beside the first run, or beside the sweep it is of.

    Raises:
      UserError: another set of runs, or something else, has been written there.
    """
    beside = _whole(workdirs[0].resolve()).parent
    place = Path(out) if out else beside / "compare" / "+".join(labels(workdirs)).replace("/", "_")
    if len(place.name.encode()) > 255:
        raise UserError("--out=DIR is missing, and the names of the runs together are too long for a folder's")
    there = [name for name in WRITTEN if (place / name).exists()]
    if there:
        try:
            known = set(files.read_json(place / "compare.json")["workdirs"])
        except (OSError, ValueError, KeyError, TypeError):
            known = set()
        if known != {str(path.resolve()) for path in workdirs}:
            whose = (
                f"holds a comparison of {', '.join(sorted(known))}" if known else f"has a {there[0]} of another kind"
            )
            raise UserError(f"--out={place} {whose}; accepted: another --out, or the same runs")
    return place


def measured(workdirs: Sequence[Path], best: bool, images: int) -> tuple[list[Contestant], bool, np.ndarray]:
    """The runs with all that is told of them, whether their data are the same, and the test images to draw.

    Raises:
      UserError: a workdir holds no run, or their examples have different shapes.
    """
    runs = [measuring.load(label, path, best) for label, path in zip(labels(workdirs), workdirs, strict=True)]
    shapes = {run.label: "×".join(map(str, run.dataset.shape)) for run in runs}
    if len(set(shapes.values())) > 1:
        told = ", ".join(f"{label} has {shape}" for label, shape in shapes.items())
        raise UserError(
            f"--workdirs: the shapes of the examples differ ({told}); accepted: runs on examples of one shape"
        )
    first = runs[0].dataset
    same_data = all(measuring.same(first.test, run.dataset.test) for run in runs[1:])
    count = min(images or panels.columns(first.shape), *(len(run.dataset.test.images) for run in runs))
    done = []
    for run in tqdm(runs, unit="run", disable=None, leave=False):
        done.append(_complete(run, first.train if same_data else run.dataset.train, choose(run.dataset.test, count)))
    return done, same_data, choose(first.test, count)


def choose(test: Any, count: int) -> np.ndarray:
    """Which test images to draw: the first of each class, or evenly spaced ones."""
    if test.labels is None:
        return selection.evenly(len(test.images), count)
    return selection.by_class(np.asarray(test.labels), count)


def _complete(run: Contestant, reference: Any, shown: np.ndarray) -> Contestant:
    values, figures = measuring.measure(run, reference), measuring.describe(run)
    return dataclasses.replace(run, values=values, figures=figures, pictures=measuring.pictures(run, shown))


def findings(
    runs: Sequence[Contestant], same_data: bool, best: bool
) -> tuple[dict[str, Any], list[list[str]], list[str]]:
    """The numbers of measured runs, the table that a reader sees, and what both say, a sentence a line."""
    found = comparison.differences(runs) if same_data else {}
    summary = comparison.summarise(runs, found) if same_data else []
    summary += [comparison.sizes(runs), *comparison.notes(runs, same_data)]
    rows = comparison.table(runs)
    names = [run.label for run in runs]
    numbers = {
        "analysis": "compare",
        **({"weights": "best"} if best else {}),
        "workdirs": [run.figures["workdir"] for run in runs],
        "same_data": same_data,
        "measured": {key: {run.label: len(run.values[key]) for run in runs if key in run.values} for key in MEASURES},
        "runs": {run.label: {**run.figures, **comparison.means(run)} for run in runs},
        "differences": found,
        "table": [["", *names], *([row.title, *row.values] for row in rows)],
        "summary": summary,
    }
    return numbers, [["", *names], *([row.title, *row.shown] for row in rows if row.shown)], summary


def answer(flags: absl_flags.FlagValues) -> int:
    """Measure, write and tell: the exit status."""
    workdirs = [members.folder(path, n, flags.best) for path, n in _named(flags.workdirs, flags.member)]
    if len(workdirs) < 2:
        raise UserError(f"--workdirs={flags.workdirs}: one run; accepted: two or more, by commas")
    place = folder(workdirs, flags.out)
    with command.shared_runs():
        runs, same_data, shown = measured(workdirs, flags.best, flags.images)
    numbers, seen, summary = findings(runs, same_data, flags.best)
    title = f"{', '.join(f'{run.label} (step {run.run.step:,})' for run in runs)}: {_about(runs, same_data)}"
    few = runs[: panels.MOST]
    title += f"; the first {len(few)} drawn" if len(few) < len(runs) else ""
    drawn = panels.draw(few, same_data, title, captions(runs[0], shown) if same_data else ())
    paths = [place / name for name in WRITTEN]
    try:
        figure.save(drawn, paths[0])
        files.write_text(paths[1], tables.markdown(seen))
        files.write_text(paths[2], tables.comma_separated(numbers["table"]))
        files.write_json(paths[3], numbers)
    except OSError as error:
        raise UserError(f"--out={place}: cannot write there: {error.strerror or error}") from error
    command.tell([*tables.aligned(seen), "", *summary, *map(str, paths)])
    return 0


def _named(workdirs: str, numbers: Sequence[str]) -> list[tuple[Path, int | None]]:
    """The workdirs, and of a sweep each member that ``--member`` names.

    Raises:
      UserError: a member is no number.
    """
    if not all(number.isdecimal() for number in numbers):
        raise UserError(f"--member={','.join(numbers)}: accepted: numbers of a sweep's members, such as 0,3")
    paths = [Path(name) for name in workdirs.split(",") if name]
    every = [int(number) for number in numbers] or [None]
    return [(path, n) for path in paths for n in (every if members.is_sweep(path) else [None])]


def _about(runs: Sequence[Contestant], same_data: bool) -> str:
    first = runs[0]
    noun = command.noun(first.run, first.dataset)
    n = min(len(first.dataset.test.images), measuring.TEST)
    return f"the same {n:,} test {noun}s" if same_data else f"each on its own test {noun}s"


def captions(run: Contestant, shown: np.ndarray) -> list[str]:
    """The class of each test image that is drawn, by name; none without labels."""
    labels = run.dataset.test.labels
    if labels is None:
        return []
    names = command.class_names(run.dataset, np.asarray(labels))
    return [names[labels[i]][:12] for i in shown]


def define(flags) -> None:
    """The flags of this command."""
    command.define_best(flags)
    which = "Of a sweep among the workdirs, these of its models."
    absl_flags.DEFINE_list("member", [], which, flag_values=flags)
    out = "Where to write; compare/A+B beside the first run unless named."
    absl_flags.DEFINE_string("out", None, out, flag_values=flags)
    images = "How many test images to draw; 0 for as many as fill a row."
    absl_flags.DEFINE_integer("images", 0, images, lower_bound=0, upper_bound=20, flag_values=flags)


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m aejax.analysis.compare --workdirs=DIR,DIR[,…] [--out=DIR] [--member=N,N] [--images=N] [--best]``."""
    return command.begin("compare", answer, argv, define, __doc__, WORKDIRS)
