"""The lines of a sweep's metrics.jsonl as those of one run: means over the members, and their spread."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from aejax.sweep import outcomes
from aejax.sweep.outcomes import figures, finite

Lines = list[dict[str, Any]]


def over_members(rows: Iterable[Mapping[str, Any]]) -> tuple[Lines, Lines]:
    """(means, standard deviations) over the members with a finite figure: a line for each epoch and split.

    Of test each member has its last line alone, at the last of their epochs: earlier ones are no curve to choose by,
    and members may end at different epochs. A deviation, with n - 1, needs two members; a figure that fewer have is
    left out of those lines.

    Args:
      rows: the lines of metrics.jsonl, each with ``member``.
    """
    rows = list(rows)
    last = {row["member"]: row for row in rows if row["split"] == "test"}
    end = max((row["epoch"] for row in last.values()), default=0)
    rows = [row for row in rows if row["split"] != "test"] + [{**row, "epoch": end} for row in last.values()]
    groups: dict[tuple[float, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((float(row["epoch"]), row["split"]), []).append(row)
    means, deviations = [], []
    for (epoch, split), group in sorted(groups.items(), key=lambda item: item[0][0]):
        head = {"step": max(row.get("step", 0) for row in group), "epoch": epoch, "split": split}
        names = dict.fromkeys(name for row in group for name in figures(row))
        values = {name: [row[name] for row in group if finite(row.get(name))] for name in names}
        means.append(head | {name: float(np.mean(v)) for name, v in values.items() if v})
        deviations.append(head | {name: float(np.std(v, ddof=1)) for name, v in values.items() if len(v) > 1})
    return means, deviations


def of_sweep(workdir: Path, rows: Iterable[Mapping[str, Any]]) -> tuple[Lines, Lines, dict[str, int]]:
    """``over_members`` of all lines of a sweep, and how many ``members`` they are of, ``members_at_end`` of which have
    a line of the last epoch; those that ``diverged`` are left out unless all did."""
    lost = {m.number for m in outcomes.read(workdir).members if m.diverged}
    kept = [row for row in rows if row["member"] not in lost]
    kept, lost = (kept, lost) if kept else (list(rows), set())
    epochs: dict[int, float] = {}
    for row in kept:
        epochs[row["member"]] = max(epochs.get(row["member"], 0), row["epoch"])
    at_end = sum(epoch == max(epochs.values()) for epoch in epochs.values())
    return *over_members(kept), {"members": len(epochs), "members_at_end": at_end, "diverged": len(lost)}
