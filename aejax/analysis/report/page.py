"""A page of HTML about a run, in one file: pictures embedded, style inline, no script, nothing from elsewhere."""

import base64
import shlex
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from aejax import files
from aejax.analysis import tables
from aejax.analysis.report.provenance import Difference
from aejax.analysis.report.style import STYLE
from aejax.analysis.results import Outcome

MOST = 200_000  # characters of an analysis' numbers that are shown


@dataclass(frozen=True)
class Section:
    """What one analysis gave.

    Attributes:
      name: of its module.
      question: that it answers.
      workdir: of the run that it was asked of.
      outcome: what came of it; None where it failed.
      failure: why it failed, in one line.
      reused: whether the outcome lay on disk already.
    """

    name: str
    question: str
    workdir: Path
    outcome: Outcome | None = None
    failure: str = ""
    reused: bool = False

    @property
    def command(self) -> str:
        """The command line that gives the same, quoted for a shell."""
        flags = self.outcome.flags if self.outcome else ()
        return shlex.join(["python", "-m", f"aejax.analysis.{self.name}", f"--workdir={self.workdir}", *flags])

    @property
    def applies(self) -> bool:
        """Whether there is something to show."""
        return self.outcome is not None and not self.outcome.reason


@dataclass(frozen=True)
class Report:
    """What the page tells.

    Attributes:
      title: which run and step.
      facts: label -> value, about the run.
      training: the command line that trains it.
      finals: split -> figure -> its last value.
      differences: keys of the config that are not at their defaults.
      config: the whole of it, nested.
      sections: one an analysis, in order.
      left_out: analyses that were not asked for.
    """

    title: str
    facts: Mapping[str, Any]
    training: str
    finals: Mapping[str, Mapping[str, Any]]
    differences: Sequence[Difference]
    config: Mapping[str, Any]
    sections: Sequence[Section]
    left_out: Sequence[str] = field(default_factory=tuple)


def page(report: Report) -> str:
    """The whole page."""
    shown = [section for section in report.sections if section.applies]
    rest = [section for section in report.sections if not section.applies]
    links = {"run": "The run", "config": "Config", **{s.name: _title(s.name) for s in shown}}
    links |= {"rest": "What is not shown"} if rest or report.left_out else {}
    contents = "\n".join(f'<li><a href="#{key}">{escape(name)}</a></li>' for key, name in links.items())
    parts = [
        f"<header><h1>{escape(report.title)}</h1></header>",
        f'<nav aria-label="Contents"><ul>\n{contents}\n</ul></nav>',
        "<main>",
        _run(report),
        _config(report),
        *(_analysis(section, report.title) for section in shown),
        _rest(rest, report.left_out) if "rest" in links else "",
        "</main>",
    ]
    return (
        HEAD.format(title=escape(report.title), style=STYLE) + "\n".join(filter(None, parts)) + "\n</body>\n</html>\n"
    )


HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
"""


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def command(line: str) -> str:
    """A command line, selected as a whole by a click; it wraps between words."""
    words = " ".join(f"<span>{escape(word)}</span>" for word in line.split(" "))
    return f'<pre class="command"><code>{words}</code></pre>'


def folded(label: str, text: str) -> str:
    """Preformatted text behind its label."""
    return f"<details><summary>{escape(label)}</summary>\n<pre>{escape(text)}</pre></details>"


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table whose first column names the rows; values as ``tables.told`` has them."""
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    lines = [
        f'<tr><th scope="row">{escape(str(name))}</th>'
        + "".join(f"<td>{escape(tables.told(value))}</td>" for value in values)
        + "</tr>"
        for name, *values in rows
    ]
    body = "\n".join(lines)
    return f'<div class="wide"><table>\n<thead><tr>{top}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>'


def picture(path: Path, alt: str) -> str:
    """A PNG file, embedded, with its size so that the page does not move as it opens."""
    data = path.read_bytes()
    width, height = struct.unpack(">II", data[16:24])
    source = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    return f'<figure><img src="{source}" alt="{escape(alt)}" width="{width}" height="{height}"></figure>'


def _run(report: Report) -> str:
    facts = "\n".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(tables.told(value))}</dd></div>"
        for name, value in report.facts.items()
    )
    parts = ['<section id="run"><h2>The run</h2>', f"<dl>\n{facts}\n</dl>", command(report.training)]
    if report.finals:
        names = dict.fromkeys(name for values in report.finals.values() for name in values)
        rows = [(name.replace("_", " "), *(v.get(name) for v in report.finals.values())) for name in names]
        parts.append(table(["last value", *report.finals], rows))
        note = "Losses, terms and penalties are means per example, penalties unweighted."
        note += " Those of train are over an epoch while the weights still moved, with what noise and masks there are."
        parts.append(f'<p class="note">{note}</p>' if "train" in report.finals else "")
    return "\n".join(filter(None, [*parts, "</section>"]))


def _config(report: Report) -> str:
    rows = [(key, _plain(value), _plain(default)) for key, value, default in report.differences]
    parts = ['<section id="config"><h2>Config</h2>']
    parts.append(table(["key", "this run", "default"], rows) if rows else "<p>Every key is at its default.</p>")
    parts.append(folded("All keys", files.json_text(dict(report.config))))
    return "\n".join([*parts, "</section>"])


def _plain(value: Any) -> Any:
    """A value of the config as it is written there: digits are not cut, lists stay apart from words."""
    return value if value is None else str(tuple(value) if isinstance(value, list) else value)


def _analysis(section: Section, title: str) -> str:
    outcome = section.outcome
    told = "\n".join(f"<li{_deeper(line)}>{escape(line.strip())}</li>" for line in outcome.summary)
    pictures = []
    for path in outcome.pictures:
        suffix = path.stem.removeprefix(section.name).strip("_").replace("_", " ")
        which = f"{section.name}{suffix and f', {suffix}'}"
        pictures.append(picture(path, f"Picture of {which}, of {title}: {section.question}"))
    parts = [
        f'<section id="{escape(section.name)}"><h2>{escape(_title(section.name))}</h2>',
        f'<p class="question">{escape(section.question)}</p>',
        *pictures,
        f'<ul class="told">\n{told}\n</ul>' if told else "",
        command(section.command),
        folded("Numbers", _numbers(outcome.numbers)),
        "</section>",
    ]
    return "\n".join(filter(None, parts))


def _deeper(line: str) -> str:
    """Lines that go on with the one above are indented."""
    return ' class="deeper"' if line.startswith(" ") else ""


def _numbers(path: Path) -> str:
    numbers = files.read_json(path)
    numbers.pop("output", None)
    text = files.json_text(numbers)
    return text if len(text) <= MOST else f"{text[:MOST]}\n… {len(text) - MOST:,} more characters in {path.name}"


def _rest(rest: Sequence[Section], left_out: Sequence[str]) -> str:
    parts = ['<section id="rest"><h2>What is not shown</h2>']
    failed = [(section.name, section.failure) for section in rest if section.failure]
    other = [(section.name, section.outcome.reason) for section in rest if not section.failure]
    for heading, lines in (("Does not apply to this run", other), ("Failed", failed)):
        if lines:
            items = "\n".join(f"<li><b>{escape(name)}</b>: {escape(why)}</li>" for name, why in lines)
            parts.append(f"<h3>{heading}</h3>\n<ul>\n{items}\n</ul>")
    if left_out:
        parts.append(f"<p>Not asked for: {escape(', '.join(left_out))}.</p>")
    return "\n".join([*parts, "</section>"])
