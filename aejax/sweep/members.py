"""The members of a sweep: what ``config.sweep`` says, as one config each."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict, FrozenConfigDict

from aejax import checks, parts, workdirs
from aejax.errors import UserError
from aejax.sweep import values
from configs.base import base

FOLDER = "members"
DIVERGED = "diverged.txt"  # in the folder of a member whose loss was not finite
OWN = ("combine", "draws", "draw", "placement", "at_once")  # keys of the section that are no values of other keys
MOST = 10_000
SECTION = "config.sweep"


@dataclass(frozen=True)
class Member:
    """One model of several that are trained together: a run like any other, in a folder of its own.

    Attributes:
      number: from 0.
      settings: what sets it apart: dotted key -> value.
      config: all of its keys, as the run alone has them.
      workdir: its folder.
    """

    number: int
    settings: Mapping[str, Any]
    config: FrozenConfigDict
    workdir: Path

    def __str__(self) -> str:
        return f"member {self.number} ({shown(self.settings)})"


def shown(settings: Mapping[str, Any]) -> str:
    """``code.size 32, seed 1``."""
    return ", ".join(f"{key} {value}" for key, value in settings.items())


def specified(config: Mapping) -> dict[str, str]:
    """The keys that a config sweeps, and what it says of each."""
    return dict(_leaves({key: value for key, value in config["sweep"].items() if key not in OWN}))


def _leaves(tree: Mapping, prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, Mapping | ConfigDict):
            yield from _leaves(value, f"{prefix}{key}.")
        elif value.strip():
            yield f"{prefix}{key}", value


def folder(workdir: Path, member: int | None = None, best: bool = False) -> Path:
    """The folder of the run that is meant: of a sweep's member, or the workdir itself where that is one run's.

    Args:
      workdir: of a run, or of a sweep.
      member: which of a sweep's.
      best: of a sweep without ``member``, the one with the best valid loss.

    Raises:
      UserError: a sweep, and neither is given; a member of what is no sweep, or of a number that it has none of.
    """
    workdir = Path(workdir)
    if member is not None and type(member) is not int:
        raise UserError(f"member={member!r}; accepted: a whole number")
    there = sorted(int(path.name) for path in (workdir / FOLDER).glob("[0-9]*")) if is_sweep(workdir) else []
    if not there:
        if member is not None:
            raise UserError(f"--member={member}: {workdir} is no sweep; accepted: its workdir alone")
        return workdir
    if member is None and best:
        from aejax.sweep.best import best as best_member  # here, since it reads what runs leave behind

        member = best_member(workdir)
    if member not in there:
        told = f"{workdir} is a sweep" if member is None else f"--member={member}: {workdir} has no such member"
        accepted = f"--member={there[0]} to {there[-1]}, --best, or a path such as {workdir / FOLDER / str(there[0])}"
        raise UserError(f"{told}; accepted: {accepted}")
    return workdir / FOLDER / str(member)


def is_sweep(workdir: Path) -> bool:
    """Whether a workdir's config has a sweep."""
    if not (workdir / workdirs.CONFIG).is_file():
        return False
    return bool(specified(workdirs.read_config(workdir)))


def settings(config: Mapping) -> list[dict[str, Any]]:
    """The settings of a config's sweep, in the order of its members: each of them with every seed in turn.

    Raises:
      UserError: a key's values are not understood, do not go together, or are too many.
    """
    section, specs = config["sweep"], specified(config)
    combine = parts.find(COMBINE, "sweep.combine", section["combine"])
    seeds = specs.pop("seed", None)
    spaces = [values.space(key, spec, config, SECTION, distinct=combine is not _zipped) for key, spec in specs.items()]
    if combine is _random and not spaces:
        raise UserError(f"{SECTION}.combine='random' draws nothing; accepted with it: values of a key beside seed")
    found = combine(spaces, section) if spaces else [{}]
    if seeds is not None:
        every = values.grid([values.space("seed", seeds, config, SECTION)], SECTION)
        _refuse_many(len(found) * len(every))
        found = [{**setting, **seed} for setting in found for seed in every]
    return found


def _refuse_many(number: int) -> None:
    if number > MOST:
        raise UserError(f"{SECTION} has {number:,} members; accepted: {MOST:,} at most")


def _grid(spaces: Sequence[values.Space], section: Mapping) -> list[values.Setting]:
    listed = [space for space in spaces if isinstance(space, values.Choices)]
    _refuse_many(math.prod(len(space.values) for space in listed))
    return values.grid(spaces, SECTION)


def _zipped(spaces: Sequence[values.Space], section: Mapping) -> list[values.Setting]:
    return values.zipped(spaces, SECTION)


def _random(spaces: Sequence[values.Space], section: Mapping) -> list[values.Setting]:
    if section["draws"] < 1 or section["draw"] < 0:
        told = f"config.sweep.draws={section['draws']}, config.sweep.draw={section['draw']}"
        raise UserError(f"{told}; accepted: 1 draw or more, and a seed of 0 or more")
    _refuse_many(section["draws"])
    return values.draws(spaces, section["draws"], section["draw"])


COMBINE = {"grid": _grid, "zipped": _zipped, "random": _random}


def members(config: Mapping, workdir: Path) -> list[Member]:
    """Every member of a config's sweep, checked as a run alone would be.

    Raises:
      UserError: the sweep is not understood, or the config of a member is refused.
    """
    found = []
    for number, setting in enumerate(settings(config)):
        one = alone(config, setting)
        one.name = f"{config['name']}_{number}"
        try:
            checks.check(one)
            checks.check_overrides(one, setting)
        except UserError as error:
            raise UserError(f"{SECTION}: with {shown(setting)}: {error}") from None
        found.append(Member(number, setting, FrozenConfigDict(one), workdir / FOLDER / str(number)))
    return found


def check_overrides(config: Mapping, keys: Mapping[str, Any]) -> None:
    """Refuse what is set by hand and has no use: no value, or how to sweep where nothing is swept, or not in that way.

    Raises:
      UserError: naming the key.
    """
    own = [key.removeprefix("sweep.") for key in keys if key.removeprefix("sweep.") in OWN]
    if own and not specified(config):
        raise UserError(f"{SECTION}.{own[0]} says how, and nothing what; accepted with it: {SECTION}.seed=0,1,2")
    if empty := [key for key in keys if key.startswith("sweep.") and keys[key] == ""]:
        raise UserError(f"config.{empty[0]}= names no value; {values.ACCEPTED}")
    drawn = [name for name in own if name in ("draws", "draw")]
    if drawn and config["sweep"]["combine"] != "random":
        raise UserError(f"{SECTION}.{drawn[0]} is read with {SECTION}.combine=random alone; accepted: that, or neither")


def read_by_none(config: Mapping, keys: Iterable[str]) -> list[str]:
    """Those of the keys that no member of the sweep reads: what one member has no use for, another may have."""
    left = checks.unread(config, keys)
    for setting in settings(config) if left and specified(config) else ():
        left = checks.unread(alone(config, setting), left)
    return left


def alone(config: Mapping, setting: Mapping[str, Any]) -> ConfigDict:
    """The config with dotted keys set and no sweep: that of the run alone."""
    one = ConfigDict({**config.to_dict(), "sweep": base().sweep.to_dict()})
    one.update_from_flattened_dict(dict(setting))
    return one
