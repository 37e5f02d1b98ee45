"""What an analysis leaves in ``<workdir>/analysis``: writing it whole, and reading it back."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from aejax import files
from aejax.analysis.figure import save
from aejax.errors import UserError

FOLDER = "analysis"


@dataclass(frozen=True)
class Findings:
    """What an analysis found: the picture, the numbers behind it, and what they say, a sentence a line.

    Attributes:
      figure: written as ``<name>.png``.
      numbers: written as ``<name>.json``.
      summary: printed.
      more: further pictures by suffix, written as ``<name>_<suffix>.png``.
    """

    figure: Figure
    numbers: Mapping[str, Any]
    summary: Sequence[str]
    more: Mapping[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What came of asking a run one question: what lies on disk, or why there is no answer.

    Attributes:
      numbers: the JSON file; None where the question does not apply.
      pictures: the PNG files, the main one first.
      summary: what the numbers say, a sentence a line.
      flags: those that the command was given beside the workdir, such as ``--units=25``.
      reason: why the question does not apply to the run; "" where it does.
    """

    numbers: Path | None = None
    pictures: Sequence[Path] = ()
    summary: Sequence[str] = ()
    flags: Sequence[str] = ()
    reason: str = ""


def write(workdir: Path, name: str, findings: Findings, flags: Sequence[str], about: Mapping[str, Any]) -> Outcome:
    """Write the pictures, then the numbers, so that numbers on disk tell of pictures that are there.

    Beside the findings' own numbers the JSON file has ``about``, and under ``output`` the flags, the names of the
    pictures and the summary, which make of the files an ``Outcome`` again.

    Raises:
      UserError: they cannot be written.
    """
    folder = workdir / FOLDER
    named = {name: findings.figure, **{f"{name}_{suffix}": more for suffix, more in findings.more.items()}}
    pictures = [folder / f"{stem}.png" for stem in named]
    output = {"flags": list(flags), "pictures": [path.name for path in pictures], "summary": list(findings.summary)}
    numbers = {"analysis": name, **about, **findings.numbers, "output": output}
    try:
        for path, drawn in zip(pictures, named.values(), strict=True):
            save(drawn, path)
        files.write_json(folder / f"{name}.json", numbers)
    except OSError as error:
        raise UserError(f"--workdir={workdir}: cannot write {folder}: {error.strerror or error}") from error
    return Outcome(folder / f"{name}.json", pictures, findings.summary, flags)


def read(workdir: Path, name: str) -> tuple[Outcome, dict[str, Any]] | None:
    """The outcome that lies on disk and its numbers; None where there is none, or not all of it."""
    path = workdir / FOLDER / f"{name}.json"
    try:
        numbers = files.read_json(path)
        output = numbers["output"]
        pictures = [path.with_name(picture) for picture in output["pictures"]]
        found = Outcome(path, pictures, output["summary"], output["flags"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (found, numbers) if all(picture.is_file() for picture in pictures) else None


def checksum(variables: Any) -> str:
    """The CRC-32 of all arrays of a tree, in its order: the same for the same weights, whatever they are called."""
    crc = 0
    for leaf in jax.tree.leaves(variables):
        crc = zlib.crc32(np.ascontiguousarray(leaf), crc)
    return f"{crc:08x}"
