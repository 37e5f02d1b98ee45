"""Members trained together: where each is placed, in how many rounds, and what is there already."""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import FrozenConfigDict

from aejax import checkpoint, checks, devices, feed, workdirs
from aejax import model as models
from aejax.checkpoint import Checkpoints
from aejax.data import Dataset
from aejax.errors import UserError
from aejax.host import Signals
from aejax.sweep import memory, side_by_side, width
from aejax.sweep.lockstep import train_stack
from aejax.sweep.members import DIVERGED, Member
from aejax.sweep.metrics import Merged
from aejax.sweep.progress import Together
from aejax.sweep.side_by_side import Datasets, Room
from aejax.sweep.stack import Stack
from aejax.trainer import Trainer

STACKS = "stacks"
DATASETS = 4  # kept in memory
ALIKE = {"resample": 0, "labels_seed": 0}  # keys of the data that change neither how many there are nor their kind
PLACEMENTS = ("side_by_side", "stacked")


def diverged(workdir: Path) -> bool:
    """Whether a member's loss was not finite."""
    return (workdir / DIVERGED).exists()


def finished(member: Member) -> bool:
    """Whether a member's config has been trained in its folder to its end."""
    if not (member.workdir / workdirs.CONFIG).exists():
        return False
    if workdirs.differences(workdirs.read_config(member.workdir), workdirs.plain(member.config), workdirs.FREE):
        return False  # training will say what differs
    try:
        saved = checkpoint.of(member.workdir)
        return bool(saved.read(saved.steps()[-1], {}).meta["finished"])
    except Exception:  # none, or one that cannot be read: training will see to it
        return False


def train(
    members: Sequence[Member],
    folder: Path,
    placement: str = "",
    at_once: int = 0,
    begin: Callable[[], None] | None = None,
    merged: Merged | None = None,
    load: Callable[[Any], Dataset] | None = None,
    noun: str = "members",
) -> int:
    """Train the members that are not at their end, together: 0, or 128 + n where signal n stopped them.

    A member whose loss is not finite stops, and ``diverged.txt`` in its folder says so; the others go on.

    Args:
      members: each with a folder of its own.
      folder: where checkpoints of several members lie.
      placement: one of ``PLACEMENTS``; "" for what the platform runs fastest.
      at_once: how many train at a time; 0 for as many as there are cores, or as memory has room for.
      begin: called once the first member's config is found to go with its data.
      merged: takes the lines of all.
      load: loads data; ``data.load`` unless given.
      noun: what they are called.

    Raises:
      UserError: a mistake in a member's config, the data or a folder.
    """
    check(members, placement, at_once)
    waiting = [m for m in members if not diverged(m.workdir) and not finished(m)]
    if not waiting:
        return 0
    datasets = load or Datasets(DATASETS)
    examples = _checked(waiting, datasets)
    dataset = datasets(waiting[0].config.data)
    mesh = devices.mesh(waiting[0].config.mesh.devices)
    if begin:
        begin()
    stacks, alone = _placed(waiting, members, placement or _fastest(dataset, waiting[0]), folder, at_once, datasets)
    progress = Together(*_examples(waiting, examples), noun=noun)
    if merged is not None and any(checkpoint.of(m.workdir).steps() for m in members):
        progress.say(f"{folder}: going on; {len(members) - len(waiting)} of {len(members)} {noun} are at their end")
    try:
        with Signals() as signals:
            room = Room(_threads(alone, at_once, dataset), progress, signals, datasets, merged)
            for number, lanes in enumerate(stacks):
                where = folder / STACKS / lanes[0].workdir.name
                stack = Stack(lanes, datasets(lanes[0].config.data), mesh, where)
                if len(stacks) > 1:
                    told = noun if len(lanes) > 1 else noun.removesuffix("s")
                    progress.say(f"program {number + 1} of {len(stacks)}: {len(lanes)} {told}")
                if status := train_stack(stack, room):
                    return status
                del stack
            return side_by_side.train_all(_longest_first(alone), room)
    finally:
        progress.close()


def check(members: Sequence[Member], placement: str, at_once: int) -> None:
    """Refuse a placement or number that there is not, and members that would need several devices, or processes, each.

    Raises:
      UserError: naming the key or the flag.
    """
    if placement not in ("", *PLACEMENTS):
        raise UserError(f"config.sweep.placement={placement!r}: accepted: {', '.join(PLACEMENTS)}, '' for the faster")
    if at_once < 0:
        raise UserError(f"config.sweep.at_once={at_once}: accepted: 0 or more")
    shared = max((member.config.mesh.model for member in members), default=1)
    if shared > 1:
        raise UserError(f"config.mesh.model={shared}: each member of a sweep is on one device, whole; accepted: 1")
    if jax.process_count() > 1:
        raise UserError(
            f"--processes={jax.process_count()}: the members of a sweep train on the devices of one process; accepted: "
            "one process, or a run of its own for each member"
        )


def _checked(members: Sequence[Member], datasets: Callable) -> list[int]:
    """How many training examples each member has, all of whose configs go with their data.

    Raises:
      UserError: one does not; the message names the member. Nothing has been trained or written yet.
    """
    known: dict[Any, int] = {}
    found = []
    for member in members:
        config = member.config
        alike = FrozenConfigDict({**config.data.to_dict(), **ALIKE})
        of = (alike, config.train, config.loss, config.corruption, config.model)
        if of not in known:
            try:
                dataset = datasets(alike)
                checks.check_data(config, dataset)
            except UserError as error:
                raise UserError(f"{member}: {error}" if len(members) > 1 else str(error)) from None
            known[of] = len(dataset.train)
        found.append(known[of])
    return found


def _fastest(dataset: Dataset, member: Member) -> str:
    """On a CPU a core each; elsewhere stacked, unless the data come from the host in blocks, to each in its order."""
    streamed = not feed.resident(dataset.train, member.config.data.device_bytes)
    return "side_by_side" if jax.default_backend() == "cpu" or streamed else "stacked"


def _placed(
    waiting: Sequence[Member], members: Sequence[Member], placement: str, folder: Path, at_once: int, datasets: Callable
) -> tuple[list[list[Member]], list[Member]]:
    """The stacks to train in turn, and those to train as ordinary runs; what was begun goes on as it began."""
    begun = _begun(folder, members)
    stacks = [stack for stack in begun if any(m in waiting for m in stack)]
    fresh = [m for m in waiting if not any(m in stack for stack in begun)]
    for member in fresh:
        (member.workdir / checkpoint.LANE).unlink(missing_ok=True)  # of a stack that cannot be read
    alone = [m for m in fresh if placement == "side_by_side" or checkpoint.of(m.workdir).steps()]
    groups: dict[str, list[Member]] = {}
    for member in fresh:
        if member not in alone:
            groups.setdefault(_kind(member), []).append(member)
    for group in groups.values():
        stacks += _rounds(group, datasets(group[0].config.data), at_once)
    return stacks, alone


def _rounds(group: Sequence[Member], dataset: Dataset, at_once: int) -> list[list[Member]]:
    """Members of one program, in as few stacks of about the same size as memory has room for."""
    config = group[0].config
    if not feed.resident(dataset.train, config.data.device_bytes):
        raise UserError(
            f"config.sweep.placement='stacked' needs train on the device: {dataset.train.images.nbytes:,} bytes are "
            f"more than config.data.device_bytes={config.data.device_bytes:,}; accepted: 'side_by_side', or more"
        )
    mesh = devices.mesh(config.mesh.devices)
    widest = max((member.config for member in group), key=lambda c: c.code.size)
    trainer = Trainer(widest, dataset, devices.mesh(1))
    most = at_once or mesh.size * memory.fits(trainer, mesh.devices.flat[0])
    return [list(part) for part in np.array_split(np.array(group, object), -(-len(group) // most))]


def _threads(members: Sequence[Member], at_once: int, dataset: Dataset) -> int:
    """How many ordinary runs to train at a time: one a core, as far as memory has room for the largest; one where there
    is an accelerator, which a program has to itself."""
    if at_once or not members:
        return min(at_once, len(members)) or 1
    if jax.default_backend() != "cpu":
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    trainer = Trainer(_longest_first(members)[0].config, dataset, devices.mesh(1))
    return min(cores, len(members), memory.fits(trainer, jax.devices()[0], sharing=False))


def _kind(member: Member) -> str:
    """What members of one stack have in common: all but numbers that reach the program as arguments."""
    config, program = member.config, models.program(member.config).to_dict()
    own = workdirs.plain(config)
    if width.maskable(config):
        program["code"]["size"] = 0
    plain = {**own, **program, "data": own["data"]}
    plain |= {"train": {**own["train"], "early_stopping": 0}, "eval": own["eval"], "start": own["start"]}
    plain |= {"greedy": own["greedy"], "checkpoint": own["checkpoint"], "log": {}, "name": "", "seed": 0, "sweep": {}}
    return json.dumps(plain, sort_keys=True)


def _begun(folder: Path, members: Sequence[Member]) -> list[list[Member]]:
    """The members of each stack that has been saved, in the order of its lanes."""
    known, found = {m.workdir.resolve(): m for m in members}, []
    for stack in sorted((folder / STACKS).glob("*")):
        saved = Checkpoints(stack).newest(lambda meta: {})
        lanes = [known.get((stack / path).resolve()) for path in saved.meta["members"]] if saved else [None]
        if None not in lanes:  # else of other members than these
            found.append(lanes)
    return found


def _examples(members: Sequence[Member], examples: Sequence[int]) -> tuple[dict[int, int], dict[int, int]]:
    """How many examples each member is to see in all, and has seen; of so many that train has."""
    batch = {m.number: m.config.train.batch_size for m in members}
    goal = {
        m.number: n // batch[m.number] * batch[m.number] * m.config.train.epochs
        for m, n in zip(members, examples, strict=True)
    }
    seen = {m.number: (checkpoint.of(m.workdir).steps() or [0])[-1] * batch[m.number] for m in members}
    return goal, seen


def _longest_first(members: Iterable[Member]) -> list[Member]:
    """Those that will take longest first, so that no core is left with one of them at the end."""

    def work(member: Member) -> float:
        c = member.config
        widths = (*c.encoder.widths, c.code.size, *c.decoder.widths)
        return c.train.epochs * float(sum(widths)) * max(1, c.code.samples)

    return sorted(members, key=work, reverse=True)
