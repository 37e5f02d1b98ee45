"""Which member of a sweep is the best: by valid, never by test."""

from pathlib import Path

from aejax.errors import UserError
from aejax.sweep import compared, outcomes


def best(workdir: Path | str) -> int:
    """The number of the member with the lowest best valid loss, the first of equals; those that diverged aside.

    Where a swept key changes what the loss means, such as a weight of it, they are compared by ``reconstruction``, each
    where its own valid loss was lowest: at the weights that ``aejax.load(workdir, best=True)`` gives.

    Raises:
      UserError: there is no sweep, no valid split, or nothing that compares the members; all diverged.
    """
    found = outcomes.read(workdir)
    metric = compared.metric(found.varying, found.config)
    values = {m.number: value for m in found.members if (value := m.best_value(metric)) is not None}
    if not values:
        raise UserError(f"--workdir={workdir}: {_reason(found)}; accepted: --member, the number of one")
    return min(values, key=lambda number: values[number])


def _reason(found: outcomes.Outcomes) -> str:
    if all(member.diverged for member in found.members):
        return "every member diverged"
    if any(member.lines for member in found.members):
        return "no line of valid to choose the best member by"
    return "no member has been evaluated yet"
