"""The settings of a sweep, each with its seeds, and which of them is the best by valid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from aejax.errors import UserError
from aejax.sweep import compared
from aejax.sweep.members import shown
from aejax.sweep.outcomes import UNFINISHED, Outcome, Outcomes
from aejax.tables import Mean, mean_std


@dataclass(frozen=True)
class Setting:
    """Members that differ in their seed alone.

    Attributes:
      values: key -> value, without the seed.
      members: at least one, in order.
    """

    values: Mapping[str, Any]
    members: Sequence[Outcome]

    def __str__(self) -> str:
        return shown(self.values) or "all seeds"

    @cached_property
    def counted(self) -> list[Outcome]:
        """Those at their end, or where none is, those on their way: a mean is of one kind."""
        known = [member for member in self.members if member.lines and not member.diverged]
        return [member for member in known if member.status != UNFINISHED] or known

    def mean(self, metric: str, split: str) -> Mean | None:
        """A figure after the last epoch, over the seeds that have it."""
        return _mean(member.value(metric, split) for member in self.counted)

    def best(self, metric: str) -> Mean | None:
        """A figure on valid at each seed's lowest valid loss."""
        return _mean(member.best_value(metric) for member in self.counted)


def _mean(values) -> Mean | None:
    known = [value for value in values if value is not None]
    return mean_std(known) if known else None


def of(found: Outcomes) -> list[Setting]:
    """The settings in the order of their first members."""
    groups: dict[str, list[Outcome]] = {}
    for member in found.members:
        groups.setdefault(repr(member.setting), []).append(member)
    return [Setting(members[0].setting, members) for members in groups.values()]


@dataclass(frozen=True)
class Ranking:
    """How a sweep's settings compare on valid.

    Attributes:
      metric: the figure; None where none compares them.
      reason: why that and no other, a sentence; "" where it is the one asked for.
      order: the settings that have it, the lowest mean first, the first of equals.
    """

    metric: str | None
    reason: str
    order: Sequence[Setting]


def ranked(found: Outcomes, settings: Sequence[Setting], asked: str = "") -> Ranking:
    """Ranks by the figure that is asked for, or where there is none, or it compares nothing, by one that does."""
    tried = asked or compared.METRICS[found.config.model][0]
    metric, reason = tried, ""
    if tried not in compared.METRICS[found.config.model]:
        metric, reason = None, f"As {tried} has no better and worse"
    elif keys := compared.changing(tried, found.varying, found.config):
        metric, reason = None, f"As {' and '.join(keys)} change{'s' * (len(keys) == 1)} what {tried} means"
    if metric is None:
        try:
            metric = compared.metric(found.varying, found.config)
            reason = f"{reason}, the best is found by {metric}."
        except UserError:
            return Ranking(None, f"{reason}, and no other figure compares the members, none is marked as the best.", [])
    known = [setting for setting in settings if setting.best(metric)]
    if not known:
        return Ranking(None, f"No member has a {metric} on valid: none is marked as the best.", [])
    return Ranking(metric, reason, sorted(known, key=lambda setting: setting.best(metric).mean))


def default_metric(found: Outcomes) -> str:
    """What members are compared by, the loss where by nothing."""
    try:
        return compared.metric(found.varying, found.config)
    except UserError:
        return compared.METRICS[found.config.model][0]
