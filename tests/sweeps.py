"""Sweeps as tests run them: few examples, programs compiled in a hurry, and what a member or a run alone leaves."""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from ml_collections import FrozenConfigDict

from aejax import checkpoint, data, devices, files, step, workdirs
from aejax import model as models
from aejax.data import transforms
from aejax.sweep import members, run, stacked
from aejax.trainer import Trainer
from tests import configurations

TRAIN, REST, BATCH = 60, 20, 20  # examples of train, of valid and test each, and of a step
SPLITS = ("train", "valid", "test")
SMALL = {"train.batch_size": BATCH, "train.epochs": 2, "checkpoint.seconds": 1e6}

_load = data.load


def digits() -> data.Dataset:
    """So few digits that an epoch has three steps."""
    return few(FrozenConfigDict(configurations.load("shallow").data))


@lru_cache(maxsize=4)
def few(section: FrozenConfigDict) -> data.Dataset:
    """Few of the digits that the section makes."""
    found, rows = _load(section), {"train": TRAIN, "valid": REST, "test": REST}
    return dataclasses.replace(found, **{name: getattr(found, name).rows(slice(n)) for name, n in rows.items()})


def _loaded(section: Any) -> data.Dataset:
    return few(FrozenConfigDict(section)) if section.name == "digits" else _load(section)


def _hurried() -> dict[str, Any]:
    """Options that compile in a fifth of the time; those that this version of JAX knows."""
    level, emitters = {"xla_backend_optimization_level": 0}, {"xla_cpu_use_fusion_emitters": False}
    try:
        jax.jit(lambda x: x + 1, compiler_options={**level, **emitters})(np.float32(0))
    except Exception:  # another version has other options
        return level
    return {**level, **emitters}


@contextlib.contextmanager
def small() -> Iterator[None]:
    """Within it, digits are few, programs are compiled in a hurry, and sweeps have no summary."""
    jit, options = jax.jit, _hurried()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", _loaded)
        patch.setattr(run, "tell", lambda workdir: None)  # what came of it is drawn, which takes a second
        patch.setattr(jax, "jit", lambda *a, **given: jit(*a, **{**given, "compiler_options": options}))
        forget()
        yield
    forget()


def forget() -> None:
    """Have programs compiled anew."""
    step.programs.cache_clear()
    stacked.stacked.cache_clear()


def config(name: str, changes: dict[str, Any] | None = None) -> FrozenConfigDict:
    """A shipped config at tiny, and smaller still, with dotted keys changed, such as ``sweep.seed``."""
    return FrozenConfigDict(configurations.load(name, {**SMALL, **(changes or {})}))


def every(config: FrozenConfigDict, workdir: Path) -> list[members.Member]:
    return members.members(config, workdir)


def left(workdir: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays and the ``meta`` of the newest checkpoint of a run, or of a member wherever it lies."""
    where, own = checkpoint.of(workdir), FrozenConfigDict(_tuples(workdirs.read_config(workdir)))
    meta = where.read(where.steps()[-1], {}).meta
    trees = _templates(models.program(own), own.data, meta["best_step"] >= 0 and own.checkpoint.best)
    saved = where.read(where.steps()[-1], trees)
    return {**jax.device_get(saved.items), "step": saved.step}, saved.meta


@lru_cache(maxsize=4)
def _templates(program: FrozenConfigDict, section: FrozenConfigDict, best: bool) -> dict[str, Any]:
    """What a checkpoint of this program holds."""
    trainer = Trainer(FrozenConfigDict({**program, "data": section}), data.load(section), devices.mesh(1))
    trainer.preprocess_by(transforms.fit(trainer.dataset.train, section))
    return trainer.templates({**trainer.meta, "best_step": 0 if best else -1})


def _tuples(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _tuples(value) for key, value in tree.items()}
    return tuple(tree) if isinstance(tree, list) else tree


def lines(workdir: Path) -> list[dict[str, Any]]:
    """The lines of ``metrics.jsonl``."""
    return files.read_lines(workdir / "metrics.jsonl")


def merged(workdir: Path, member: members.Member) -> list[dict[str, Any]]:
    """The lines of a member in the sweep's ``metrics.jsonl``, without what tells whose they are."""
    own = [line for line in lines(workdir) if line["member"] == member.number]
    assert all(line["settings"] == json.loads(json.dumps(dict(member.settings))) for line in own)
    return [{key: value for key, value in line.items() if key not in ("member", "settings")} for line in own]


Left = Callable[[Path], tuple[dict[str, Any], dict[str, Any]]]


@contextlib.contextmanager
def unsaved() -> Iterator[Left]:
    """Within it nothing is saved, for it takes a while; gives what ``left`` would have found."""
    found: dict[Path, tuple] = {}

    def save(self, step, items, meta):
        found[self.folder.parent.resolve()] = (step, jax.device_get(items), json.loads(json.dumps(meta)))

    def unsaved_left(workdir: Path):
        lane = workdir / checkpoint.LANE
        if not lane.exists():
            step, items, meta = found[workdir.resolve()]
            return {**items, "step": step}, meta
        where = files.read_json(lane)
        _, items, meta = found[(workdir / where["stack"]).resolve()]
        own = {name: tree for name, tree in items.items() if name not in ("steps", "preprocessing")}
        own = jax.tree.map(lambda a: a[where["lane"]], own) | {"preprocessing": items["preprocessing"]}
        return {**own, "step": meta["steps"][where["lane"]]}, meta["lanes"][where["lane"]]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint.Checkpoints, "save", save)
        yield unsaved_left


def assert_same(a: Path, b: Path, left: Left = left, **tolerance: float) -> None:
    """Two runs or members left the same: bit for bit, or to a tolerance."""
    (items_a, meta_a), (items_b, meta_b) = left(a), left(b)
    assert items_a.keys() == items_b.keys()
    near = {"rtol": 0, "atol": 0, **tolerance}
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **near), items_a, items_b)
    best = [meta.pop("best_loss") for meta in (meta_a, meta_b)]
    assert meta_a == meta_b
    lines_a, lines_b = lines(a), lines(b)
    assert [_words(line) for line in lines_a] == [_words(line) for line in lines_b]
    np.testing.assert_allclose(*(_figures(each) for each in (lines_a, lines_b)), **near)
    assert (best[0] is None) == (best[1] is None)
    np.testing.assert_allclose(*(np.float64(b) for b in best), **near)


def _figures(each: list[dict[str, Any]]) -> list[float]:
    return [value for line in each for value in line.values() if value not in SPLITS]


def _words(line: dict[str, Any]) -> tuple[str, ...]:
    return (*line, line["split"])
