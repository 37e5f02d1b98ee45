"""Checkpoints by orbax: saved whole or not at all, read on any device count and platform.

``<workdir>/checkpoints/<step>/`` holds one item a name, each a tree of arrays, and
``meta``, a JSON object. Nothing is pickled. Orbax is imported when something is saved or read: a first step
should not wait for it.
"""

import errno
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging

from aejax import distributed, files, padding

FOLDER = "checkpoints"
LANE = "lane.json"  # in the folder of a run that trained in a stack: where that is, and which of its members the run is
FILE = 4096  # bytes that a file takes beyond its content, about


class Checkpoint(NamedTuple):
    """What a step's checkpoint held: trees of arrays by name, and the JSON beside them."""

    step: int
    items: dict[str, Any]
    meta: dict[str, Any]


def templates(tree: Any, sharding: Any) -> Any:
    """What ``read`` takes: the shapes and types of a tree of arrays, and where to put them, whatever wrote them.

    Args:
      tree: of arrays, or of what has their shapes and types.
      sharding: of all, or a tree of them.
    """
    one = isinstance(sharding, jax.sharding.Sharding)
    places = jax.tree.map(lambda _: sharding, tree) if one else sharding
    return jax.tree.map(lambda a, place: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=place), tree, places)


def stacked_templates(trees: Mapping[str, Any], members: int, shapes: Mapping[str, Any]) -> dict[str, Any]:
    """``templates`` of so many members' trees, on the host; what all share, ``preprocessing``, is there once.

    Args:
      trees: of one member.
      members: how many.
      shapes: of the leaves of each tree, as they are stacked: a member's own may be narrower.
    """

    def stacked(tree: Any, shapes: Any) -> Any:
        leaves, structure = jax.tree.flatten(tree)
        many = [jax.ShapeDtypeStruct((members, *s), a.dtype) for a, s in zip(leaves, shapes, strict=True)]
        return jax.tree.unflatten(structure, many)

    many = {name: stacked(tree, shapes[name]) if name in shapes else tree for name, tree in trees.items()}
    return templates(many, jax.sharding.SingleDeviceSharding(jax.devices("cpu")[0]))


class Checkpoints:
    """The checkpoints of a workdir, of which the newest ``keep`` stay."""

    def __init__(self, workdir: Path, keep: int = 1):
        self.folder, self._keep = Path(workdir).absolute() / FOLDER, keep

    def _manager(self):
        """Orbax's, to be closed."""
        import orbax.checkpoint as ocp

        logging.set_verbosity(logging.FATAL)  # what orbax says of every file; what matters is raised
        options = ocp.CheckpointManagerOptions(
            max_to_keep=self._keep, enable_async_checkpointing=False, create=False, cleanup_tmp_directories=True
        )
        return ocp.CheckpointManager(self.folder, options=options)

    def steps(self) -> list[int]:
        """The steps saved, oldest first."""
        if not self.folder.is_dir():
            return []
        return sorted(int(path.name) for path in self.folder.iterdir() if path.is_dir() and path.name.isdigit())

    def save(self, step: int, items: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
        """Save, then drop the oldest beyond ``keep``; a step that is there already is replaced once the new is whole.

        The save is synchronous: on a CPU a background thread would read buffers that
        the next step, to which the state is donated, overwrites.

        Raises:
          OSError: the disk is full or cannot be written; earlier checkpoints stay.
        """
        from orbax.checkpoint import args

        self.folder.mkdir(parents=True, exist_ok=True)
        self._refuse_full_disk(items)
        here, old = self.folder / str(step), self.folder / f"replaced_{step}"
        if distributed.first() and here.exists():
            here.rename(old)
        distributed.barrier("replaced")
        trees = {name: args.StandardSave(tree) for name, tree in items.items()}
        try:
            with self._manager() as manager:
                manager.save(step, args=args.Composite(**trees, meta=args.JsonSave(dict(meta))), force=True)
        except Exception as error:
            if distributed.first():
                self._recover()
            if "No space left" in str(error):
                raise OSError(errno.ENOSPC, "No space left on device", str(self.folder)) from error
            raise
        if distributed.first():
            shutil.rmtree(old, ignore_errors=True)

    def _refuse_full_disk(self, items: Mapping[str, Any]) -> None:
        """Tell a full disk beforehand: threads of orbax that find it so in the middle complain by themselves."""
        leaves = jax.tree.leaves(items)
        needed = sum(leaf.nbytes + FILE for leaf in leaves) + 64 * FILE
        if shutil.disk_usage(self.folder).free < needed:
            raise OSError(errno.ENOSPC, "No space left on device", str(self.folder))

    def _recover(self) -> None:
        """Put back what was to be replaced by a checkpoint that never became whole."""
        for old in self.folder.glob("replaced_*"):
            here = self.folder / old.name.removeprefix("replaced_")
            if here.exists():
                shutil.rmtree(old)
            else:
                old.rename(here)

    def read(self, step: int, templates: Mapping[str, Any]) -> Checkpoint:
        """The items named by ``templates`` (trees of ``jax.ShapeDtypeStruct``, with shardings) of one step.

        Raises:
          FileNotFoundError: one of them is not there; and whatever a truncated file makes tensorstore raise.
        """
        from orbax.checkpoint import args

        for name in templates:
            if not (self.folder / str(step) / name).is_dir():
                raise FileNotFoundError(f"{name} is missing")
        wanted = {name: args.StandardRestore(tree) for name, tree in templates.items()}
        with self._manager() as manager:
            got = manager.restore(step, args=args.Composite(**wanted, meta=args.JsonRestore()))
        return Checkpoint(step, {name: got[name] for name in templates}, got["meta"])

    def newest(self, templates: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Checkpoint | None:
        """The newest checkpoint that can be read; None where there is none.

        One that cannot be read is set aside under a name of its own, with a warning,
        and the one before it is taken.

        Args:
          templates: from a checkpoint's ``meta``, what ``read`` is to read of it.
        """
        if distributed.first():
            self._recover()
        steps = distributed.of_first(self.steps())
        for step in reversed(steps):
            found, reason = None, "another process could not read it"
            try:
                found = self.read(step, templates(self.read(step, {}).meta))
            except Exception as error:  # whatever a truncated or missing file makes tensorstore raise
                reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            if distributed.told_by_all([found is not None]).all():
                return found
            if distributed.first():
                aside = self._set_aside(step)
                then = "taking the one before" if step != steps[0] else "there is none before it: starting anew"
                warning = f"warning: checkpoint {step} cannot be read and is now {aside}; {then} ({reason})"
                print(warning, file=sys.stderr)
            distributed.barrier("set aside")
        return None

    def _set_aside(self, step: int) -> Path:
        for number in range(1, 10_000):
            aside = self.folder / f"unreadable_{step}_{number}"
            if not aside.exists():
                return (self.folder / str(step)).rename(aside)
        raise OSError(errno.EEXIST, "too many unreadable checkpoints", str(self.folder))


class Lane:
    """One member's part of a stack's checkpoints, to be read as a run's own are."""

    def __init__(self, workdir: Path):
        where = files.read_json(workdir / LANE)
        self._stack, self._number = Checkpoints(workdir / where["stack"]), where["lane"]

    def steps(self) -> list[int]:
        """The steps at which the stack was saved, oldest first; a member may have stopped before."""
        return self._stack.steps()

    def read(self, step: int, templates: Mapping[str, Any]) -> Checkpoint:
        """The items named by ``templates``, as ``Checkpoints.read``; its step is the member's own."""
        meta = self._stack.read(step, {}).meta
        found = {}
        if templates:
            wanted = stacked_templates(templates, len(meta["lanes"]), meta["shapes"])
            many = self._stack.read(step, wanted).items
            lane = {name: jax.tree.map(lambda a: np.asarray(a)[self._number], many[name]) for name in meta["shapes"]
                    if name in many}  # fmt: skip
            own = padding.cut({**many, **lane}, meta["sizes"][self._number], dict(templates))
            found = jax.tree.map(lambda a, like: jax.device_put(a, like.sharding), own, dict(templates))
        return Checkpoint(meta["steps"][self._number], found, meta["lanes"][self._number])

    def newest(self, templates: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Checkpoint | None:
        """As ``Checkpoints.newest``; what cannot be read stays, for the stack to see to."""
        for step in reversed(self.steps()):
            try:
                return self.read(step, templates(self.read(step, {}).meta))
            except Exception:  # the stack will tell of it
                continue
        return None


def of(workdir: Path) -> Checkpoints | Lane:
    """What a run's weights are read from: its own checkpoints, or its part of those of a stack."""
    return Lane(workdir) if (workdir / LANE).is_file() else Checkpoints(workdir)
