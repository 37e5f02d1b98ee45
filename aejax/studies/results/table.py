"""The table: what the lines came to, as JSON, as aligned text and as Markdown."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aejax.studies.results.definitions import Line, Row, checksum
from aejax.tables import NONE, Mean, number, plain

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
HEAD = ("setting", "figure", "published", "here", "wall time", "device")


def entry(line: Line, folder: Path, figures: Mapping[str, Mean] | None, **more: Any) -> dict[str, Any]:
    """A line as JSON.

    Args:
      line: what was asked.
      folder: of the results.
      figures: what it came to, or None.
      more: ``reason`` that there is none, ``seconds``, ``device``.
    """
    return {
        "setting": line.setting,
        "measure": line.measure,
        "published": dict(line.published),
        "source": line.source,
        "figures": None if figures is None else {name: plain(mean) for name, mean in figures.items()},
        **more,
        "config": checksum(line.experiment),
        "commands": [told for told in (*(e.told(folder) for e in line.experiments), line.asked(folder)) if told],
    }


def kept(rows: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows; a line without figures is that of before where the same commands gave some, on another machine."""
    known = {_identity(row, line): line for row in before for line in row["lines"] if line["figures"]}
    return [
        {**row, "lines": [line if line["figures"] else known.get(_identity(row, line), line) for line in row["lines"]]}
        for row in rows
    ]


def _identity(row: Mapping[str, Any], line: Mapping[str, Any]) -> tuple:
    return row["name"], line["setting"], line["measure"], line["config"], *line["commands"]


def head(row: Row) -> dict[str, Any]:
    """A row as JSON, without its lines."""
    return {"name": row.name, "title": row.title}


def cells(line: Mapping[str, Any]) -> dict[str, str]:
    """A line of JSON as text, by column."""
    figures = {name: Mean(**found) for name, found in (line["figures"] or {}).items()}
    published = ", ".join(_named(name, number(value)) for name, value in line["published"].items())
    return {
        "setting": line["setting"],
        "figure": line["measure"],
        "published": f"{published} ({line['source']})" if published else NONE,
        "here": ", ".join(_named(name, str(mean)) for name, mean in figures.items()) or line["reason"],
        "wall time": duration(line["seconds"]) if figures else NONE,
        "device": line["device"].partition(",")[0] if figures else NONE,
    }


def _named(name: str, told: str) -> str:
    return f"{name} {told}" if name else told


def duration(seconds: float) -> str:
    """``33 s``, ``6 min``, ``1 h 10 min``."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table, and beneath it the commands of every line."""
    lines = [f"| {' | '.join(HEAD)} |", "| --- " * len(HEAD) + "|"]
    told = []
    for row in rows:
        lines.append(f"| **{row['title']}** (`{row['name']}`) |" + " |" * (len(HEAD) - 1))
        lines += [f"| {' | '.join(cells(line)[column] for column in HEAD)} |" for line in row["lines"]]
        commands = list(dict.fromkeys(command for line in row["lines"] for command in line["commands"]))
        told += [f"# {row['name']}", *commands]
    devices = sorted({line["device"] for row in rows for line in row["lines"] if line["figures"]})
    trained = f"Trained on {'; '.join(devices)}. " if devices else ""
    summary = f"{trained}Wall time is that of training, its runs together, and of asking."
    fold = "<details><summary>The commands that the table's rows stand for</summary>"
    return "\n".join([*lines, "", summary, "", fold, "", "```sh", *told, "```", "", "</details>"])


def put(text: str, table: str) -> str:
    """The text with the table between its two marks.

    Raises:
      ValueError: it does not have both.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"has no place for the table; accepted: a file with the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"
