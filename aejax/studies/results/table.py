"""The table: what the lines came to, as JSON, as text, as Markdown and as rows of numbers."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from aejax.studies.results.definitions import FOLDER, Line, Row, checksum
from aejax.tables import NONE, Mean, number, plain

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
WIDTH = 118  # of a terminal's lines
HEAD = ("setting", "figure", "published", "here", "wall time", "device")


def entry(line: Line, figures: Mapping[str, Mean] | None, **more: Any) -> dict[str, Any]:
    """A line as JSON.

    Args:
      line: what was asked.
      figures: what it came to, or None.
      more: ``reason`` that there is none, ``seconds``, ``device``.

    Returns:
      Its JSON; commands as they are in the default folder, whatever the folder was.
    """
    return {
        "setting": line.setting,
        "measure": line.measure,
        "published": dict(line.published),
        "source": line.source,
        "figures": None if figures is None else {name: plain(mean) for name, mean in figures.items()},
        **more,
        "config": checksum(line.experiment),
        "commands": [*(experiment.told(FOLDER) for experiment in line.experiments), *line.asks(FOLDER)],
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
        "wall time": duration(line["seconds"]) if figures and line["seconds"] is not None else NONE,
        "device": line["device"].partition(",")[0] if figures else NONE,
    }


def _named(name: str, told: str) -> str:
    return f"{name}: {told}" if name else told


def text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table for a terminal: a line of it in a line or more."""
    told = []
    for row in rows:
        told.append(f"{row['name']}: {row['title']}")
        for line in row["lines"]:
            cell = cells(line)
            more = [f"published {cell['published']}"] * (cell["published"] != NONE) + [cell["wall time"]]
            known = "; ".join(part for part in more if part != NONE)
            one = f"{cell['setting']}; {cell['figure']}: {cell['here']}" + f" ({known})" * bool(known)
            told += textwrap.wrap(one, WIDTH, initial_indent="  ", subsequent_indent="      ", break_long_words=False)
    return "\n".join(told)


def numbers(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each figure, and for each line that has none."""
    flat = []
    for row in rows:
        for line in row["lines"]:
            for name, found in (line["figures"] or {"": dict.fromkeys(Mean._fields)}).items():
                of = {"row": row["name"], "setting": line["setting"], "measure": line["measure"], "name": name, **found}
                of |= {"published": line["published"].get(name), "source": line["source"]}
                flat.append(of | {key: line[key] for key in ("seconds", "device", "reason")})
    return flat


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
    summary = (
        f"{trained}Wall time is that of training, all runs of a command together, and of asking: an upper bound, as a "
        "machine may have had other work beside it."
    )
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
