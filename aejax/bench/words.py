"""What all of the bench's reports are made of: tables, numbers and what they were taken on."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aejax.bench import figures

NONE = "—"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], words: int) -> str:
    """Markdown, the first so many columns words and the others numbers."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * words + " ---: |" * (len(head) - words)]
    return "\n".join([*lines, *("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows)])


def times(spread: figures.Spread | None, brackets: bool = True) -> str:
    """``2.31× (2.20..2.40)``."""
    if spread is None:
        return NONE
    return f"{spread.median:.2f}×" + (f" ({spread.least:.2f}..{spread.most:.2f})" if brackets else "")


def count(number: int, noun: str) -> str:
    """``1 core``, ``2 cores``."""
    return f"{number} {noun}" + ("s" if number != 1 else "")


def about(machine: Mapping[str, Any], rows: Iterable[Any]) -> str:
    """The machine, and the versions of all rows."""
    versions: dict[str, dict[str, None]] = {}
    for row in rows:
        for name, version in row.versions.items():
            versions.setdefault(name, {})[version] = None
    told = [f"{name} {' and '.join(found)}" for name, found in {"python": [machine["python"]], **versions}.items()]
    device = f"{machine['accelerator']}, " if machine["accelerator"] else ""
    cores = count(machine["cores"], "core")
    on = f"{device}{machine['processor']}, {cores}, {machine['memory_gib']} GiB, {machine['system']}"
    return f"{on}; {', '.join(told)}"


def device(machine: Mapping[str, Any]) -> str:
    """Where all of it computes."""
    return "the GPU" if machine["device"] == "gpu" else f"the CPU, {count(machine['cores'], 'thread')} each"


def memory(rows: Sequence[Any]) -> str:
    """What the peaks of memory are of."""
    of = {"process": "the process's peak", "device": "the peak on the device, as the framework counts it"}
    return "; ".join(of[kind] for kind in of if any(row.memory_of == kind for row in rows))


def how(worked: Iterable[tuple[str, str, str]]) -> str:
    """How each framework worked, a line each; where that is not the same for all, on which.

    Args:
      worked: framework, way, and what it was at work on.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for framework, way, label in worked:
        if way:
            found.setdefault(framework, {}).setdefault(way, []).append(label)

    def told(ways: dict[str, list[str]]) -> str:
        usual = max(ways, key=lambda way: len(ways[way]))
        others = [f"{way} ({', '.join(ways[way])})" for way in ways if way != usual]
        return "; ".join([usual, *others])

    return "\n".join(f"{name}: {told(ways)}." for name, ways in found.items())
