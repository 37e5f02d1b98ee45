"""The lines of a sweep's metrics.jsonl as those of one run: means over the members, and their spread."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aejax.sweep import outcomes
from aejax.sweep.outcomes import UNFINISHED, Outcome, figures, finite

Lines = list[dict[str, Any]]


def over_members(members: Sequence[Outcome]) -> tuple[Lines, Lines]:
    """(means, standard deviations) over the members with a finite figure: a line for each epoch and split.

    A member that ended before others keeps its last figures, so that curves do not jump where it leaves. Of test each
    has its last line alone, at the last epoch of all: earlier ones are no curve to choose by. A deviation, with n - 1,
    needs two members; a figure that fewer have is left out of those lines.
    """
    last = max((line["epoch"] for member in members for line in member.lines), default=0)
    means, deviations = [], []
    for split in outcomes.SPLITS:
        own = [{line["epoch"]: line for line in m.lines if line["split"] == split} for m in members]
        epochs = sorted({epoch for lines in own for epoch in lines})
        for epoch in [last] * bool(epochs) if split == "test" else epochs:
            found = [line for m, lines in zip(members, own, strict=True) if (line := _at(m, lines, epoch, split))]
            head = {"step": max(line["step"] for line in found), "epoch": float(epoch), "split": split}
            names = dict.fromkeys(name for line in found for name in figures(line))
            values = {name: [line[name] for line in found if finite(line.get(name))] for name in names}
            means.append(head | {name: float(np.mean(v)) for name, v in values.items() if v})
            deviations.append(head | {name: float(np.std(v, ddof=1)) for name, v in values.items() if len(v) > 1})
    return means, deviations


def _at(member: Outcome, lines: Mapping[float, Mapping], epoch: float, split: str) -> Mapping[str, Any] | None:
    """A member's line of an epoch, or where it had ended by then, its last."""
    ended = lines and (split == "test" or member.status != UNFINISHED and epoch > max(lines))
    return lines[max(lines)] if ended else lines.get(epoch)


def of_sweep(workdir: Path) -> tuple[Lines, Lines, dict[str, int]]:
    """``over_members`` of those of a sweep that have lines, and their numbers: ``members``; the ``settings`` that they
    have, the seed aside; ``unfinished`` and ``ended_before`` of them; and how many ``diverged``, which are left out
    unless all did.

    Raises:
      UserError: there is no sweep in the workdir.
    """
    every = outcomes.read(workdir).members
    begun = [member for member in every if member.lines]
    kept = [member for member in begun if not member.diverged] or begun
    ends = [max(line["epoch"] for line in member.lines) for member in kept]
    unfinished = [member.status == UNFINISHED for member in kept]
    return *over_members(kept), {
        "members": len(kept),
        "settings": len({repr(member.setting) for member in kept}),
        "unfinished": sum(unfinished),
        "ended_before": sum(end < max(ends) and not on for end, on in zip(ends, unfinished, strict=True)),
        "diverged": sum(member.diverged and member not in kept for member in every),
    }
