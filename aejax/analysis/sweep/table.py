"""The tables of a sweep: a row a setting to read, a row a member for other programs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from aejax.analysis.sweep.settings import Ranking, Setting
from aejax.sweep.outcomes import FINISHED, SPLITS, STATUSES, Outcomes, finite

MOST = 30  # rows that are printed
WORST = 10  # of them


def shown_value(value: Any) -> Any:
    """A key's value as a cell has it: numbers as they are, tuples and truth values as text."""
    return str(value) if isinstance(value, bool | tuple) else value


def _typed(key: str, values: Sequence[Any]) -> list[str]:
    """A key's values as they can be given again, to all their digits; numbers to the right."""
    names = [str(value) for value in values]
    width = max(map(len, [key, *names])) if all(map(finite, values)) else 0
    return [name.rjust(width) for name in names]


def member_rows(found: Outcomes) -> list[dict[str, Any]]:
    """A row a member: what sets it apart, how far it came, and its figures as the lines hold them, by split."""
    names = found.names()
    return [
        {
            "member": m.number,
            **{key: shown_value(value) for key, value in m.settings.items()},
            "status": m.status,
            "steps": m.steps,
            "best valid loss": m.best.get("loss"),
            "best valid step": m.best.get("step"),
            **{f"{split} {name}": m.final.get(split, {}).get(name)
               for split in SPLITS for name in names if _there(found, split, name)},
        }
        for m in found.members
    ]  # fmt: skip


def _there(found: Outcomes, split: str, name: str) -> bool:
    return any(name in member.final.get(split, {}) for member in found.members)


def setting_rows(
    found: Outcomes, settings: Sequence[Setting], ranking: Ranking, metric: str, splits: Sequence[str]
) -> tuple[list[dict[str, Any]], str]:
    """A row a setting, mean ± standard deviation over its seeds, and a line about those that are left out.

    Seeds alone are a row a member, and one of all.
    """
    rows = list(settings)
    if not found.keys:
        rows = [Setting(member.settings, [member]) for member in found.members]
    told = ""
    if len(rows) > MOST:
        rows, told = _cut(rows, ranking)
    best = ranking.order[0] if ranking.order and len(settings) > 1 else None
    columns = [_row(row, ranking, metric, splits, row is best) for row in rows]
    for key in rows[0].values:
        for column, name in zip(columns, _typed(key, [row.values[key] for row in rows]), strict=True):
            column[key] = name
    if not found.keys and len(found.members) > 1:
        columns.append({**_row(settings[0], ranking, metric, splits, False), "seed": " all"})
    return _without(columns, found), told


def _row(setting: Setting, ranking: Ranking, metric: str, splits: Sequence[str], best: bool) -> dict[str, Any]:
    row = {"best": "*" if best else "", **setting.values}
    row["seeds"] = len(setting.counted)
    if ranking.metric:
        row[f"valid {ranking.metric}, best"] = setting.best(ranking.metric)
    return row | {f"{split} {metric}": setting.mean(metric, split) for split in splits} | {"status": status(setting)}


def status(setting: Setting) -> str:
    """``finished``, or how many of its members are what: ``2 finished, 1 diverged``."""
    count = Counter(member.status for member in setting.members)
    if len(count) == 1:
        return setting.members[0].status
    return ", ".join(f"{count[name]} {name}" for name in STATUSES if count[name])


def _without(rows: Sequence[Mapping[str, Any]], found: Outcomes) -> list[dict[str, Any]]:
    """The rows without the columns that tell nothing."""
    dull = []
    if not any(row["best"] for row in rows):
        dull.append("best")
    if not found.keys or len(found.seeds) < 2:
        dull.append("seeds")
    if all(member.status == FINISHED for member in found.members):
        dull.append("status")
    return [{key: value for key, value in row.items() if key not in dull} for row in rows]


def _cut(rows: Sequence[Setting], ranking: Ranking) -> tuple[list[Setting], str]:
    """As many rows as are printed: the best and the worst, or the first where none are ranked."""
    left = f"the other {len(rows) - MOST:,} of {len(rows):,} are in sweep.csv"
    metric = ranking.metric
    if metric is None:
        return list(rows[:MOST]), f"Shown are the first {MOST}; {left}."
    order = sorted(rows, key=lambda row: row.best(metric).mean if row.best(metric) else float("inf"))
    told = f"Shown are the best {MOST - WORST} and the worst {WORST} by {metric} on valid; {left}."
    return [*order[: MOST - WORST], *order[-WORST:]], told
