"""Files of a work directory: written whole or not at all, and the metrics that training left."""

import contextlib
import json
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from aejax.errors import UserError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends well, and vanishes when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def rounded(value: Any, digits: int = 6) -> Any:
    """``value`` as plain JSON: arrays as lists, floats to ``digits`` significant ones, non-finite ones as None."""
    if isinstance(value, dict):
        return {str(k): rounded(v, digits) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return rounded(value.tolist(), digits)
    if isinstance(value, list | tuple):
        return [rounded(v, digits) for v in value]
    if isinstance(value, np.generic):
        return rounded(value.item(), digits)
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    return value


def write_json(path: Path, numbers: dict[str, Any]) -> None:
    """Write the numbers, rounded, as strict JSON (a value that is not finite becomes null)."""
    text = json.dumps(rounded(numbers), indent=1, allow_nan=False)
    text = re.sub(r"\[[^\[\]{}]*\]", lambda row: re.sub(r"\n\s*", " ", row[0]), text)  # a row of numbers on one line
    with replacing(path) as temporary:
        temporary.write_text(text + "\n")


def read_metrics(workdir: Path) -> list[dict[str, Any]]:
    """The lines of ``<workdir>/metrics.jsonl``, in order; a last line cut short (the run is going on) is left out.

    Raises:
      UserError: there is no such file, it is empty, or a line is no JSON object with ``epoch`` and ``split``.
    """
    path = Path(workdir) / "metrics.jsonl"
    try:
        lines = path.read_text().splitlines(keepends=True)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"--workdir={workdir}: no metrics.jsonl there; give the work directory of a run") from None
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            row["epoch"], row["split"]
        except (ValueError, TypeError, KeyError):
            if number == len(lines) and not line.endswith("\n"):
                break
            raise UserError(f"{path}, line {number}: not a JSON object with an epoch and a split") from None
        rows.append(row)
    if not rows:
        raise UserError(f"{path} is empty: nothing has been trained or evaluated yet")
    return rows
