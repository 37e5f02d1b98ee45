"""What came of a sweep, in sentences."""

import math
from collections import Counter
from collections.abc import Sequence

from aejax.analysis.sweep.settings import Ranking, Setting
from aejax.sweep.members import FOLDER
from aejax.sweep.outcomes import STATUSES, STOPPED, UNFINISHED, Outcomes
from aejax.tables import Mean, mean_std, number, standard_error, sure

MOST = 6  # settings that one sentence names


def summarise(found: Outcomes, settings: Sequence[Setting], ranking: Ranking, metric: str) -> list[str]:
    """What the numbers say, a sentence a line."""
    lines = [_counted(found, settings)]
    if ranking.reason:
        lines.append(ranking.reason)
    if ranking.metric and len(settings) > 1:
        lines += [*_best(ranking), *_second(ranking)]
    if len(settings) == 1 and len(found.members) > 1:
        lines += _over_seeds(found, settings[0], metric)
    if ranking.metric and len(found.members) > 1:
        lines.append(_member(found, ranking.metric))
    return [*lines, *_diverged(found, settings), *_unfinished(found), *_stopped(found)]


def _counted(found: Outcomes, settings: Sequence[Setting]) -> str:
    seeds, total = len(found.seeds), len(found.members)
    kinds = f": {len(settings)} settings with {seeds} seeds each" if seeds > 1 and len(settings) > 1 else ""
    count = Counter(member.status for member in found.members)
    told = ", ".join(f"{count[name]} {name}" for name in STATUSES if count[name])
    return f"{total} member{'s' * (total > 1)}{kinds}; {told}."


def _best(ranking: Ranking) -> list[str]:
    first, metric = ranking.order[0], ranking.metric
    mean = first.best(metric)
    over = f", mean ± standard deviation over {mean.count} seeds" if mean.count > 1 else ""
    line = f"Best by valid: {first}, with {metric} {mean} at the best epoch{over}"
    final = [f"{value} on {split}" for split in ("valid", "test") if (value := first.mean(metric, split))]
    return [f"{line}; after the last epoch {' and '.join(final)}." if final else f"{line}."]


def _second(ranking: Ranking) -> list[str]:
    """How far the second is, and whether that is within the spread of the seeds."""
    if len(ranking.order) < 2:
        return []
    first, second = ranking.order[:2]
    metric = ranking.metric
    gap = second.best(metric).mean - first.best(metric).mean
    percent = 100 * gap / abs(base) if (base := first.best(metric).mean) else math.nan
    share = f" ({percent:.0f} %)" if percent >= 10 else f" ({percent:.2g} %)" if base else ""
    return [f"The second, {second}, is {number(gap)}{share} above it: {_chance(paired(first, second, metric))}."]


def paired(first: Setting, second: Setting, metric: str) -> Mean | None:
    """The mean difference on valid, second less first, over the seeds that both have; None where they share none."""
    a, b = ({m.settings.get("seed"): m.best_value(metric) for m in s.counted} for s in (first, second))
    gaps = [b[seed] - a[seed] for seed in a if a[seed] is not None and b.get(seed) is not None]
    return mean_std(gaps) if gaps else None


def _chance(gap: Mean | None) -> str:
    """What Student's t says of a difference of pairs."""
    error = math.nan if gap is None else standard_error(gap)
    if not math.isfinite(error):
        return "with fewer than two seeds of both nothing says whether by chance"
    within = abs(gap.mean) <= sure(gap.count) * error
    how = "within the spread of the seeds" if within else "more than the spread of the seeds explains"
    bound = f"{number(gap.mean)} ± {number(sure(gap.count) * error)}"
    return f"{how} (Student's t, 95 %: {bound} over {gap.count} seeds, paired)"


def _over_seeds(found: Outcomes, setting: Setting, metric: str) -> list[str]:
    lines = []
    for split in found.splits(metric):
        values = {m.number: value for m in setting.counted if (value := m.value(metric, split)) is not None}
        if values:
            low, high = (choose(values, key=values.get) for choose in (min, max))
            seed = lambda i: found.members[i].settings.get("seed", i)  # noqa: E731
            lines.append(
                f"{metric} on {split} after the last epoch: {mean_std(values.values())} over {len(values)} seeds, from "
                f"{number(values[low])} (seed {seed(low)}) to {number(values[high])} (seed {seed(high)})."
            )
    return lines


def _member(found: Outcomes, metric: str) -> str:
    values = {m.number: value for m in found.members if (value := m.best_value(metric)) is not None}
    best = found.members[min(values, key=values.get)]
    settings = ", ".join(f"{key} {value}" for key, value in best.settings.items())
    folder = found.workdir / FOLDER / str(best.number)
    return f"The best member by valid is {best.number} ({settings}), {metric} {number(values[best.number])}: {folder}"


def _diverged(found: Outcomes, settings: Sequence[Setting]) -> list[str]:
    lost = [member for member in found.members if member.diverged]
    if not lost:
        return []
    named = []
    for setting in settings:
        broken = [member for member in setting.members if member.diverged]
        seeds = ", ".join(str(m.settings["seed"]) for m in broken if "seed" in m.settings)
        if broken and not setting.values:
            named += [f"seed {m.settings['seed']}" if "seed" in m.settings else "the one" for m in broken]
        elif broken and len(setting.members) > 1:
            every = "all seeds" if len(broken) == len(setting.members) else f"seed {seeds}"
            named.append(f"{setting} ({every})")
        elif broken:
            named.append(str(setting))
    more = f"; and {len(named) - MOST} more" if len(named) > MOST else ""
    return [f"{len(lost)} of {len(found.members)} diverged: {'; '.join(named[:MOST])}{more}."]


def _unfinished(found: Outcomes) -> list[str]:
    count = sum(member.status == UNFINISHED for member in found.members)
    if not count:
        return []
    return [f"{count} of {len(found.members)} are not at their end: their figures are those of their last evaluation."]


def _stopped(found: Outcomes) -> list[str]:
    steps = [member.steps for member in found.members if member.status == STOPPED]
    if not steps:
        return []
    span = f"step {steps[0]:,}" if len(set(steps)) == 1 else f"steps {min(steps):,} to {max(steps):,}"
    return [f"{len(steps)} of {len(found.members)} stopped early, at {span}."]
