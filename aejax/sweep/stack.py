"""Members that train in one program: their state, what they measure, and the checkpoint that holds them all."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from aejax import checkpoint, devices, files, padding, train
from aejax import model as models
from aejax.checkpoint import Checkpoints
from aejax.data import Dataset, Split
from aejax.errors import Diverged
from aejax.host import Host
from aejax.step import State
from aejax.sweep import stacked
from aejax.sweep.members import Member
from aejax.trainer import Trainer


class Stack:
    """Members of one program and one data set at some step.

    Attributes:
      members: in the order of their lanes.
      lanes: a ``Trainer`` each, for what is a member's own: its ``meta``, and its figures from sums.
      ended: [m], which members take no more steps: patience was out, or a loss was not finite.
      diverged: what stopped those that had no first step, by their lanes.
      state, sums, best: of all, [m, ...].
    """

    def __init__(self, members: Sequence[Member], dataset: Dataset, mesh: Mesh, folder: Path):
        self.members, self.dataset, self.folder = list(members), dataset, folder
        self.mesh = stacked.mesh(mesh)
        self.lanes = [Trainer(member.config, dataset, devices.mesh(1)) for member in members]
        self.first = self.lanes[0]
        self.steps_per_epoch, self.total = self.first.steps_per_epoch, self.first.total
        self.room = devices.padded(len(members), self.mesh)  # lanes: the last member's are repeated to fill devices
        self.sizes = [member.config.code.size for member in members]
        self.differ = len(set(self.sizes)) > 1  # in the size of the code: each is then as wide as the widest
        widest = self.lanes[int(np.argmax(self.sizes))]
        program, classes = models.program(widest.config), len(dataset.classes)
        self._like = jax.eval_shape(widest.programs.init, widest.arguments)
        self.programs = stacked.stacked(program, tuple(dataset.shape), classes, self.total, self.mesh)
        self.split, self.everywhere = stacked.split(self.mesh), devices.replicated(self.mesh)
        self.arguments = self.gather([lane.arguments for lane in self.lanes])
        if self.differ:
            self.arguments["code"]["width"] = self.gather([np.int32(size) for size in self.sizes])
        self.ended = np.zeros(len(members), bool)
        self.diverged: dict[int, Diverged] = {}
        self.best: Any = None
        self.step = 0
        self._examples: Any = None
        self._order: tuple[int, jax.Array] | None = None

    def gather(self, trees: Sequence[Any]) -> Any:
        """A tree a member -> one tree of arrays [m, ...], on the devices."""
        many = jax.tree.map(lambda *a: self._filled(np.stack([np.asarray(x) for x in a])), *trees)
        return jax.device_put(many, self.split)

    def lane_state(self, number: int) -> State:
        """One member's state, on the host, as its own ``Trainer`` has it."""
        state, lane = jax.tree.map(lambda a: np.asarray(a[number]), self.state), self.lanes[number]
        return padding.cut(state, self.sizes[number], jax.eval_shape(lane.programs.init, lane.arguments))

    # -- starting and saving

    def begin(self, host: Host) -> int:
        """The states before the first step; 0, or the status of a layer's run that was stopped."""
        config = self.first.config
        own = config.start.workdir or config.greedy.epochs or self.differ  # what one program cannot start all from
        for number, (member, lane) in enumerate(zip(self.members, self.lanes, strict=True)):
            member.workdir.mkdir(parents=True, exist_ok=True)
            if own or lane is self.first:
                try:
                    if status := train.begin(lane, member.workdir, host, fresh=True):
                        return status
                except Diverged as error:  # in a layer
                    self.diverged[number] = error
            else:
                lane.preprocess_by(self.first.preprocessing)
                train.begin(lane, member.workdir, host, fresh=False)
        if own:
            states = [padding.padded(t.state, s, self._like) for t, s in zip(self.lanes, self.sizes, strict=True)]
            self.state = self.gather(states)
        else:
            self.state = self.programs.init(self.arguments)
        self.preprocessing = jax.device_put(jax.device_get(self.first.preprocessing), self.everywhere)
        self.reset_sums()
        return 0

    def reset_sums(self) -> None:
        self.sums = self.gather([self.first.zero_sums] * len(self.lanes))

    def save(self) -> None:
        """One checkpoint of all; each member's folder says which lane is its own."""
        items = {"params": self.state.params, "opt_state": self.state.opt_state, "sums": self.sums,
                 "steps": {"step": self.state.step}}  # fmt: skip
        if self.state.collections:
            items["collections"] = self.state.collections
        if self.best is not None:
            items["best"] = self.best
        if self.room > len(self.members):
            items = jax.tree.map(lambda a: a[: len(self.members)], items)
        meta = {
            "step": self.step,
            "steps": np.asarray(self.state.step)[: len(self.members)].tolist(),
            "ended": self.ended.tolist(),
            "members": [os.path.relpath(member.workdir, self.folder) for member in self.members],
            "lanes": [lane.meta for lane in self.lanes],
            "sizes": self.sizes,
            "shapes": {name: [a.shape[1:] for a in jax.tree.leaves(tree)] for name, tree in items.items()},
        }
        items["preprocessing"] = self.preprocessing
        Checkpoints(self.folder, self.first.config.checkpoint.keep).save(self.step, items, meta)
        self._point()

    def _point(self) -> None:
        """Have each member's folder say where its checkpoints are."""
        for number, member in enumerate(self.members):
            if not (member.workdir / checkpoint.LANE).exists():
                where = {"stack": os.path.relpath(self.folder, member.workdir), "lane": number}
                files.write_json(member.workdir / checkpoint.LANE, where)

    def restore(self) -> bool:
        """Go on from the newest checkpoint; False where there is none that can be read."""
        saved = Checkpoints(self.folder).newest(self._templates)
        if saved is None:
            return False
        self._point()  # a kill may have come between the first checkpoint and this
        self.step, self.ended = saved.meta["step"], np.array(saved.meta["ended"], bool)
        for lane, meta in zip(self.lanes, saved.meta["lanes"], strict=True):
            lane.refuse_other_data(meta)
            lane.meta = meta
        items = {name: tree for name, tree in saved.items.items() if name != "preprocessing"}
        items = jax.tree.map(lambda a: jax.device_put(self._filled(np.asarray(a)), self.split), items)
        self.state = State(items["steps"]["step"], items["params"], items["opt_state"], items.get("collections", {}))
        self.sums, self.best = items["sums"], items.get("best")
        self.preprocessing = jax.device_put(jax.device_get(saved.items["preprocessing"]), self.everywhere)
        return True

    def _templates(self, meta: Mapping[str, Any]) -> dict[str, Any]:
        some = next((m for m in meta["lanes"] if m["best_step"] >= 0), meta["lanes"][0])
        trees = {**self.first.templates(some), "steps": {"step": jax.ShapeDtypeStruct((), np.int32)}}
        return checkpoint.stacked_templates(trees, len(self.members), meta["shapes"])

    def _filled(self, a: np.ndarray) -> np.ndarray:
        """[m, ...] with the last repeated up to [room, ...]."""
        return np.concatenate([a, np.repeat(a[-1:], self.room - len(a), axis=0)])

    # -- moving on

    def advance(self, count: int) -> None:
        """So many steps, all within an epoch, of the members that are not at their end."""
        spe = self.steps_per_epoch
        epoch = self.step // spe
        if self._examples is None:
            train_split = self.dataset.train
            labels = train_split.labels if self.first.labelled else None
            self._examples = jax.device_put((train_split.images, labels), self.everywhere)
        if self._order is None or self._order[0] != epoch:
            n = len(self.dataset.train)
            self._order = epoch, self.programs.orders(self.arguments["seed"], np.int32(epoch), n)
        until = np.where(self.ended, 0, self.step + count)
        until = np.concatenate([until, np.zeros(self.room - len(until), int)]).astype(np.int32)
        self.state, self.sums = self.programs.stretch(
            self.state, self.sums, self._examples, self._order[1], np.int32(epoch * spe), until, np.int32(count),
            self.preprocessing, self.arguments,
        )  # fmt: skip
        self.step += count

    def train_figures(self) -> list[dict[str, float]]:
        """Each member's means over the steps of the epoch so far."""
        sums = jax.device_get(self.sums)
        return [lane.train_figures({k: v[i] for k, v in sums.items()}) for i, lane in enumerate(self.lanes)]

    def first_non_finite(self) -> np.ndarray:
        """[m]: the step whose loss was not finite, counted from 1; 0 where there is none."""
        return np.asarray(self.sums["first_non_finite"])[: len(self.lanes)] + 1

    def finite(self) -> np.ndarray:
        """[m]: whether all weights are."""
        leaves = jax.tree.leaves(jax.device_get(self.state.variables))
        every = np.stack([np.isfinite(leaf).reshape(len(leaf), -1).all(axis=1) for leaf in leaves])
        return every.all(axis=0)[: len(self.lanes)]

    def split_figures(self, split: Split) -> list[dict[str, float]]:
        """Each member's means over a split."""
        sums = self.first.summed(
            split,
            lambda batches, n: self.programs.evaluate(
                self.state.variables, jax.device_put(batches, self.everywhere), self.preprocessing, self.arguments, n
            ),
            spread=False,
        )
        if "alive" in sums:
            sums["alive"] = [alive[:size] for alive, size in zip(sums["alive"], self.sizes, strict=False)]
        return [lane.means({k: v[i] for k, v in sums.items()}, len(split)) for i, lane in enumerate(self.lanes)]

    def keep_best(self, better: np.ndarray) -> None:
        """Keep the weights of those members [m] that are better than before."""
        if self.first.config.checkpoint.best and better.any():
            which = np.concatenate([better, np.zeros(self.room - len(better), bool)])
            new = self.state.variables
            self.best = self.programs.choose(which, new, new if self.best is None else self.best)
