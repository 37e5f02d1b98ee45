"""What did the members of a sweep come to? A table of the settings, a figure, and which is the best by valid.

    python -m aejax.analysis.sweep --workdir=runs/shallow_over_code.size+seed

writes ``sweep.csv`` (a row a member), ``sweep.png`` and ``sweep.json`` into the workdir and prints a row a setting. It
may be called while the sweep trains. Figures are those after the last epoch; ``best`` are those on valid where a
member's own valid loss was lowest. No choice is made by test.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from aejax import files, tables
from aejax.analysis import command
from aejax.analysis.figure import save
from aejax.analysis.sweep import sentences, settings, table
from aejax.errors import UserError
from aejax.sweep import outcomes
from aejax.sweep.outcomes import Outcomes

SPLITS = ("valid", "test")


def write(workdir: Path, metric: str = "", split: str = "") -> list[str]:
    """Write what came of the sweep in a workdir, and give the lines that tell it.

    Args:
      workdir: of the sweep.
      metric: name of a figure in metrics.jsonl; "": what the members are compared by.
      split: ``valid`` or ``test`` alone; "" for both.

    Raises:
      UserError: there is no sweep, nothing has been evaluated yet, or there is no such figure; it cannot be written.
    """
    found = outcomes.read(workdir)
    groups = settings.of(found)
    ranking = settings.ranked(found, groups, metric)
    metric, splits = _asked(found, metric, split)
    rows, left_out = table.setting_rows(found, groups, ranking, metric, splits)
    summary = sentences.summarise(found, groups, ranking, metric)
    paths = [workdir / f"sweep.{suffix}" for suffix in ("csv", "png", "json")]
    try:
        tables.write_csv(paths[0], table.member_rows(found))
        save(_draw(found, groups, metric, splits), paths[1])
        files.write_json(paths[2], _numbers(found, groups, ranking, metric, summary))
    except OSError as error:
        raise UserError(f"--workdir={workdir} cannot be written: {error.strerror or error}") from error
    return [tables.text(rows), *filter(None, [left_out]), "", *summary, *map(str, paths)]


def _asked(found: Outcomes, metric: str, split: str) -> tuple[str, list[str]]:
    """The figure and the splits to show: valid and test, train where there is neither."""
    if not any(member.lines or member.diverged for member in found.members):
        raise UserError(f"--workdir={found.workdir}: no member has been evaluated yet")
    names = found.names()
    if metric and metric not in names:
        raise UserError(f"--metric={metric}: no line of metrics.jsonl has it; accepted: {', '.join(names)}")
    metric = metric or settings.default_metric(found)
    if split and split not in SPLITS:
        raise UserError(f"--split={split}: accepted: {', '.join(SPLITS)}, or none for both")
    there = found.splits(metric)
    if split and there and split not in there:
        raise UserError(f"--split={split}: no member has a {metric} on {split}; accepted: {', '.join(there)}")
    return metric, [split] if split else there


def _draw(found: Outcomes, groups: Sequence[settings.Setting], metric: str, splits: Sequence[str]) -> Any:
    from aejax.analysis.sweep import keys_figure, seeds_figure

    if found.varying:
        return keys_figure.draw(found, groups, metric, [s for s in splits if s in SPLITS] or splits)
    return seeds_figure.draw(found, metric)


def _numbers(found: Outcomes, groups, ranking: settings.Ranking, metric: str, summary: Sequence[str]) -> dict[str, Any]:
    by = ranking.metric
    return tables.plain({
        "config": found.config.name,
        "metric": metric,
        "compared_by": by,
        "settings": [
            {
                "setting": dict(group.values),
                "members": [m.number for m in group.members],
                "status": [m.status for m in group.members],
                "best_valid": group.best(by) if by else None,
                "final": {split: group.mean(metric, split) for split in found.splits(metric)},
            }
            for group in groups
        ],
        "best_setting": groups.index(ranking.order[0]) if ranking.order else None,
        "members": [
            {"member": m.number, "settings": dict(m.settings), "status": m.status, "steps": m.steps,
             "best": {key: m.best[key] for key in ("step", "epoch", "loss") if key in m.best}, "final": m.final}
            for m in found.members
        ],
        "summary": list(summary),
    })  # fmt: skip


def define(flags: absl_flags.FlagValues) -> None:
    """The flags beside the workdir."""
    about = "The figure of metrics.jsonl to show; what the members are compared by unless named."
    absl_flags.DEFINE_string("metric", "", about, flag_values=flags)
    absl_flags.DEFINE_string("split", "", "Show it on valid or test alone.", flag_values=flags)


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m aejax.analysis.sweep --workdir=DIR [--metric=NAME] [--split=valid|test]``."""

    def body(flags: absl_flags.FlagValues) -> int:
        command.tell(write(Path(flags.workdir), flags.metric, flags.split))
        return 0

    return command.begin("sweep", body, argv, define, __doc__, ("workdir", "DIR", "The work directory of a sweep."))
