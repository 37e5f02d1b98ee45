"""Numbers and tables as people read them: plain text, Markdown, CSV."""

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

Rows = Sequence[Sequence[Any]]


def told(value: Any) -> str:
    """A value in a table: four significant digits, thousands apart, powers of ten written out; a dash for nothing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float) and math.isfinite(value):
        return _number(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(told, value)) or "none"
    return str(value).replace("inf", "∞") if isinstance(value, float) else str(value)


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 1e15 or abs(value) < 1e-4:
        mantissa, exponent = f"{value:.3e}".split("e")
        return f"{float(mantissa):g}×10{str(int(exponent)).translate(SUPERSCRIPTS)}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def duration(seconds: float) -> str:
    """A length of time in its two largest units: ``9 s``, ``1 min 38 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.2g} s" if 0 < seconds < 1 else f"{whole} s"
    minutes = round(seconds / 60)
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{minutes // 60:,} h {minutes % 60} min"


def aligned(rows: Rows) -> list[str]:
    """Rows of texts as lines, the first column flush left, the others flush right, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            f"{cell:{'<' if i == 0 else '>'}{width}}" for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def markdown(rows: Rows) -> str:
    """Rows of texts, the first the headings, as a table of GitHub's Markdown."""
    head, *body = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    rule = "| --- |" + " ---: |" * (len(rows[0]) - 1)
    return "\n".join([head, rule, *body]) + "\n"


def comma_separated(rows: Rows) -> str:
    """Rows of values as CSV (RFC 4180, but for line ends of ``\\n``); None is an empty field."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
