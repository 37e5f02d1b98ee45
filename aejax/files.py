"""Files: written whole or not at all, and JSON lines read up to where a kill cut them."""

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
    """Write the numbers as ``json_text`` has them."""
    write_text(path, json_text(numbers))


def json_text(numbers: dict[str, Any]) -> str:
    """The numbers, rounded, as strict JSON (a value that is not finite becomes null)."""
    text = json.dumps(rounded(numbers), indent=1, allow_nan=False)
    return re.sub(r"\[[^\[\]{}]*\]", lambda row: re.sub(r"\n\s*", " ", row[0]), text) + "\n"  # rows on one line


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
      OSError, ValueError: it cannot be read, or is no JSON.
    """
    return json.loads(path.read_text(encoding="utf-8"))


def write_text(path: Path, text: str) -> None:
    """Write the text; the file has its old content or the new, never a part."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file, none where there is no file; a last line cut short by a kill is left out.

    Raises:
      UserError: a whole line of it is no JSON object.
    """
    if not path.exists():
        return []
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n")[:-1], start=1):
        try:
            rows.append(dict(json.loads(line)))
        except (ValueError, TypeError):
            raise UserError(f"{path}, line {number}: not a JSON object") from None
    return rows
