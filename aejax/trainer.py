"""A run at some step: its state, what it measures, what it saves."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from ml_collections import FrozenConfigDict

from aejax import checkpoint, compilation, devices, inputs, optim, schema, start
from aejax import model as models
from aejax import step as programs
from aejax.checkpoint import Checkpoints
from aejax.data import Dataset, Split, records, streaming, transforms
from aejax.errors import UserError
from aejax.feed import on_devices


class Trainer:
    """A run at some step: its state on the devices, what it has measured, and the programs that move it on.

    ``items`` and ``meta`` are what a checkpoint holds: the state, the sums of the
    epoch under way, the statistics of the preprocessing, and the weights with the best valid
    loss so far.
    """

    def __init__(self, config: FrozenConfigDict, dataset: Dataset, mesh: Mesh):
        self.config, self.dataset, self.mesh = config, dataset, mesh
        self.model = models.build(config, dataset.shape, len(dataset.classes))
        self.labelled = config.model == "classifier"
        self.masked = getattr(schema.find_parts(config)["code"], "masked", False)
        self.steps_per_epoch = len(dataset.train) // config.train.batch_size
        self.total = self.steps_per_epoch * config.train.epochs
        self.everywhere = devices.replicated(mesh)
        self.arguments = devices.put(models.arguments(config, len(dataset.train)), self.everywhere)
        program, classes = models.program(config), len(dataset.classes)
        self.programs = programs.programs(program, tuple(dataset.shape), classes, self.total, mesh)
        seldom = {"out_shardings": self.everywhere, "compiler_options": compilation.seldom()}
        self.reconstruct = jax.jit(self._reconstruct, **seldom)
        self._finite = jax.jit(_finite, **seldom)
        self.zero_sums = self.programs.zero_sums
        self._copy = jax.jit(lambda tree: jax.tree.map(jnp.copy, tree))
        self.meta: dict[str, Any] = {
            "shape": list(dataset.shape),
            "classes": list(dataset.classes),
            "reading": dict(dataset.reading),
            "train": {"examples": len(dataset.train), "crc32": dataset.train.fingerprint()},
            "best_step": -1,
            "best_loss": None,
            "evaluations_since_best": 0,
            "finished": False,
        }
        self.best: Any = None
        self.tested = -1  # the step of the last line of test

    # -- starting and saving

    def init(self) -> None:
        """The state before the first step."""
        if self.config.optim.freeze:
            optim.check_frozen(self.config.optim, jax.eval_shape(lambda: models.init(self.model, 0))["params"])
        self.state = self.programs.init(self.arguments)
        statistics = None
        if self.config.start.workdir:
            variables, statistics = start.variables(self.config, self.state.variables)
            self.take(variables)
        if statistics is None:
            statistics = transforms.fit(self.dataset.train, self.config.data)
        self.preprocess_by(statistics)
        self.reset_sums()
        self.step = 0

    def preprocess_by(self, statistics: Mapping[str, Any]) -> None:
        """Prepare images by these statistics, as ``transforms.fit`` gives them."""
        self.preprocessing = devices.put(dict(statistics), self.everywhere)
        self.meta["preprocessing"] = {name: list(value.shape) for name, value in self.preprocessing.items()}

    def take(self, variables: Mapping[str, Any]) -> None:
        """Go on with these variables in place of the state's own."""
        collections = devices.put(dict(variables), self.places("variables"))
        params = collections.pop("params")
        self.state = self.state.replace(params=params, collections=collections)

    def places(self, name: str) -> Any:
        """Where the arrays of an attribute of the state lie: a sharding for all, or a tree of them."""
        places = self.programs.places
        return getattr(places, name) if isinstance(places, programs.State) else places

    def reset_sums(self) -> None:
        self.sums = devices.put(self.zero_sums, self.everywhere)

    def templates(self, meta: Mapping[str, Any]) -> dict[str, Any]:
        """The shapes, types and places of the items of a checkpoint with this ``meta``."""
        state = jax.eval_shape(lambda a: programs.init_state(self.model, a), self.arguments)
        trees = {
            "params": state.params, "opt_state": state.opt_state, "sums": self.zero_sums,
            "best": state.variables, **_filled(state.collections),
            "preprocessing": {k: jax.ShapeDtypeStruct(s, jnp.float32) for k, s in meta["preprocessing"].items()},
        }
        if meta["best_step"] < 0 or not self.config.checkpoint.best:
            del trees["best"]
        sharded = {"params": "params", "opt_state": "opt_state", "best": "variables", "collections": "collections"}
        places = {name: self.places(sharded[name]) if name in sharded else self.everywhere for name in trees}
        return {name: checkpoint.templates(tree, places[name]) for name, tree in trees.items()}

    def restore(self, checkpoints: Checkpoints) -> bool:
        """Go on from the newest checkpoint that can be read; False where there is none.

        Raises:
          UserError: it was trained on other data.
        """
        saved = checkpoints.newest(self.templates)
        if saved is None:
            return False
        self.refuse_other_data(saved.meta)
        items = saved.items
        self.step, self.meta = saved.step, saved.meta
        step = devices.put(np.int32(saved.step), self.everywhere)
        self.state = programs.State(step, items["params"], items["opt_state"], items.get("collections", {}))
        self.sums, self.preprocessing, self.best = items["sums"], items["preprocessing"], items.get("best")
        return True

    def refuse_other_data(self, meta: Mapping[str, Any]) -> None:
        """
        Raises:
          UserError: the checkpoint with this ``meta`` was trained on other data.
        """
        if meta["train"] != self.meta["train"]:
            was, now = (f"{t['examples']} images (CRC {t['crc32']:08x})" for t in (meta["train"], self.meta["train"]))
            raise UserError(
                f"config.data.name={self.config.data.name!r} holds other images than the run began with: "
                f"train had {was} and has {now}; accepted: the same data, or another --workdir"
            )

    def save(self, checkpoints: Checkpoints) -> None:
        items = {
            "params": self.state.params, "opt_state": self.state.opt_state, "sums": self.sums,
            "preprocessing": self.preprocessing, **_filled(self.state.collections),
        }
        if self.best is not None:
            items["best"] = self.best
        checkpoints.save(self.step, items, self.meta)

    # -- measuring

    def train_figures(self, sums: Mapping[str, np.ndarray] | None = None) -> dict[str, float]:
        """The means over the steps of the epoch so far, by these sums or its own; the parameters moved meanwhile, and
        noise was on."""
        sums = jax.device_get(self.sums) if sums is None else sums
        names = [name for name in sums if name not in ("steps", "first_non_finite")]
        return self._named({name: float(sums[name]) / max(float(sums["steps"]), 1.0) for name in names})

    def split_figures(self, split: Split) -> dict[str, float]:
        """The means over a split, each example once, without noise or masks; active and dead units of the code."""

        def evaluate(examples, n):
            return self.programs.evaluate(self.state.variables, examples, self.preprocessing, self.arguments, n)

        return self.means(self.summed(split, evaluate), len(split))

    def summed(
        self, split: Split, evaluate: Callable[[Any, np.int32], Mapping], spread: bool = True
    ) -> dict[str, np.ndarray]:
        """What ``evaluate((images, labels or None), n)`` sums over a split, of which the first n count each time.

        The examples are put on the devices in parts of [m, b, …], of one m for valid and test, so that one program
        serves both; each device has its rows of the b, or all where ``spread`` is false.
        """
        many, room = self.part(split)
        total: dict[str, Any] = {}
        for n, batches in self._batches(split, many, room, devices.own_rows(room, self.mesh)):
            if spread:
                batches = on_devices(batches, room, self.mesh)
            sums = jax.device_get(evaluate(batches, np.int32(n)))
            total = {k: total[k] | v if k == "alive" else total[k] + v for k, v in sums.items()} if total else sums
        return total

    def part(self, split: Split) -> tuple[int, int]:
        """How many batches, of how many examples, are on the devices at a time where a split is evaluated."""
        longest = max(len(s) for s in (split, self.dataset.valid, self.dataset.test))
        most = max(1, self.config.data.device_bytes // math.prod(self.dataset.shape) // split.dtype.itemsize)
        room = devices.padded(min(self.config.eval.batch_size, longest, most), self.mesh)
        return 1 if isinstance(split, records.Records) else min(-(-longest // room), max(1, most // room)), room

    def _batches(self, split: Split, many: int, room: int, own: slice) -> Iterator[tuple[int, tuple]]:
        """How many examples a part of a split has, and its images and labels in [many, own rows of room, …]."""
        if isinstance(split, records.Records):
            with closing(streaming.in_order(split, room, own, self.config.data.host_bytes)) as parts:
                for first, images, labels in parts:
                    examples = (images, labels if self.labelled else None)
                    filled = jax.tree.map(lambda a: _filled_up(a, own.stop - own.start)[None], examples)
                    yield min(room, len(split) - first), filled
            return
        for first in range(0, len(split), many * room):
            rows = slice(first, first + many * room)
            examples = (split.images[rows], split.labels[rows] if self.labelled else None)
            batches = jax.tree.map(lambda a: _filled_up(a, many * room).reshape(many, room, *a.shape[1:]), examples)
            yield len(examples[0]), jax.tree.map(lambda a: a[:, own], batches)

    def means(self, sums: Mapping[str, np.ndarray], examples: int) -> dict[str, float]:
        """The figures of so many examples, from sums over them."""
        means = self._named({name: float(value) / examples for name, value in sums.items() if name != "alive"})
        return {**means, "dead_units": int(np.sum(~sums["alive"]))} if "alive" in sums else means

    def _named(self, means: Mapping[str, float]) -> dict[str, float]:
        first = {name: means[name] for name in ("loss", "reconstruction") if name in means}
        if "reconstruction" in means:
            first["reconstruction_per_pixel"] = means["reconstruction"] / float(np.prod(self.dataset.shape))
        return {**first, **{k: v for k, v in means.items() if k not in first}}

    def note_valid(self, loss: float) -> None:
        """Keep the weights if this valid loss is the best so far."""
        if self.improved(loss) and self.config.checkpoint.best:
            self.best = self._copy(self.state.variables)

    def improved(self, loss: float) -> bool:
        """Whether this valid loss is the best so far, which ``meta`` then says."""
        best = self.meta["best_loss"]
        if math.isfinite(loss) and (best is None or loss < best):
            self.meta.update(best_step=self.step, best_loss=loss, evaluations_since_best=0)
            return True
        self.meta["evaluations_since_best"] += 1
        return False

    def patience_is_out(self) -> bool:
        patience = self.config.train.early_stopping
        return bool(patience) and self.meta["evaluations_since_best"] >= patience

    def first_non_finite(self) -> int | None:
        """The step whose loss was not finite, or None; steps count from 1."""
        step = int(self.sums["first_non_finite"])
        return None if step < 0 else step + 1

    def weights_are_finite(self) -> bool:
        return bool(self._finite(self.state.variables))

    def _reconstruct(self, variables, images, preprocessing):
        x = inputs.model_input(self.config.data, preprocessing, images, None)
        y = self.model.apply(variables, x, method="reconstruct_as_trained")
        return tuple(transforms.restore(preprocessing, a, like=images) for a in (x, y))


def _filled_up(rows: np.ndarray, length: int) -> np.ndarray:
    """The rows, and the last of them again up to so many; zeros where there are none."""
    missing = length - len(rows)
    if not missing:
        return rows
    last = rows[-1:] if len(rows) else np.zeros((1, *rows.shape[1:]), rows.dtype)
    return np.concatenate([rows, np.repeat(last, missing, axis=0)])


def _finite(tree: Any) -> jax.Array:
    """Whether all numbers of a tree of arrays are finite."""
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))


def _filled(collections: Mapping) -> dict[str, Any]:
    """The item of a checkpoint that holds the collections; none where there are none."""
    return {"collections": collections} if collections else {}
