"""``--dry_run``: what a run would have, do and take, printed; nothing is trained, and its workdir is not looked at."""

import dataclasses
import math
import textwrap
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import jax
import numpy as np
from ml_collections import FrozenConfigDict

from aejax import checks, costs, data, feed, greedy, optim
from aejax import model as models
from aejax.costs import Array, Step
from aejax.data import Dataset, Split
from aejax.host import Host
from aejax.sweep import members, together
from aejax.trainer import Trainer
from aejax.units import si

WIDTH = 100  # columns
LABEL = 20  # of them for what a figure is


def run(config: FrozenConfigDict) -> int:
    """Print what a run costs, or a sweep and its largest member, or a stack and its layers: 0.

    Raises:
      UserError: as training would.
    """
    config = FrozenConfigDict(config)
    checks.check(config)
    load = lru_cache(maxsize=together.DATASETS)(data.load)
    if members.specified(config):
        config = _told_of_sweep(config, load)
    trainer = _trainer(config, load(config.data))
    for lines in (_title(trainer), *_sections(trainer), *_layers(config, trainer.dataset)):
        print("\n".join(lines), end="\n\n", flush=True)
    return 0


def _trainer(config: FrozenConfigDict, dataset: Dataset) -> Trainer:
    mesh = Host().mesh(config)
    checks.check_data(config, dataset)
    trainer = Trainer(config, dataset, mesh)
    optim.check_frozen(config.optim, costs.state(trainer).params)
    return trainer


# -- sweeps and stacks


def _told_of_sweep(config: FrozenConfigDict, load: Callable) -> FrozenConfigDict:
    """Print what a sweep has, and give the config of its largest member."""
    every = members.members(config, Path())
    together.check(every, config.sweep.placement, config.sweep.at_once)
    counted = [_parameters(models.program(m.config), load(m.config.data)) for m in every]
    largest = max(range(len(every)), key=counted.__getitem__)
    least, most = min(counted), max(counted)
    sizes = f"{most:,} each" if least == most else f"{least:,} to {most:,}, {sum(counted):,} in all"
    swept = ", ".join(f"{key} {values}" for key, values in members.specified(config).items())
    programs = len({models.program(m.config) for m in every})
    print(_line("sweep", f"{len(every)} members over {swept}"))
    print(_line("parameters", sizes))
    print(_line("step programs", f"{programs}; members that differ in numbers alone share one"))
    print(_line("what follows", f"{every[largest]} alone, {'as each' if programs == 1 else 'the largest'}"), end="\n\n")
    return every[largest].config


@lru_cache(maxsize=1024)
def _counted(program: FrozenConfigDict, shape: tuple[int, ...], classes: int) -> int:
    model = models.build(program, shape, classes)
    params = jax.eval_shape(lambda: models.init(model, 0))["params"]
    return sum(math.prod(a.shape) for a in jax.tree.leaves(params))


def _parameters(program: FrozenConfigDict, dataset: Dataset) -> int:
    return _counted(program, tuple(dataset.shape), len(dataset.classes))


def _layers(config: FrozenConfigDict, dataset: Dataset) -> Iterator[list[str]]:
    """What the layers of a stack cost that are trained before it, each a run of its own."""
    if not config.greedy.epochs:
        return
    lines = ["Before that, layer by layer (config.greedy), runs of their own:", ""]
    rows = [("layer", "parameters", "steps", "products a step", "in all", "memory a device")]
    for number, (_, layer) in enumerate(greedy.layers(config, Path()), start=1):
        trainer = _trainer(layer, dataset)
        step, state = costs.step(trainer), costs.state(trainer)
        total = sum(costs.parameters(layer.optim, state.params))
        sizes = f"{number}: {np.prod(dataset.shape)}-{layer.code.size}-{np.prod(dataset.shape)}"
        all_products = si(trainer.total * step.products, "FLOP")
        memory = si(step.memory + sum(costs.memory_beside(trainer).values()), "B")
        rows.append((sizes, f"{total:,}", f"{trainer.total:,}", si(step.products, "FLOP"), all_products, memory))
        dataset = _codes(dataset, layer.code.size)
    yield [*lines, *_table(rows, "<>>>>>")]


def _codes(dataset: Dataset, size: int) -> Dataset:
    """As many codes as there are images, all 0: what the next layer reads, before there are any."""

    def coded(split: Split) -> Split:
        return Split(np.zeros((len(split), 1, 1, size), np.float32), split.labels)

    return dataclasses.replace(dataset, **{name: coded(getattr(dataset, name)) for name in ("train", "valid", "test")})


# -- one run


def _title(trainer: Trainer) -> list[str]:
    config, kind = trainer.config, jax.devices()[0].device_kind
    devices = f"{trainer.mesh.size} of {len(jax.devices())} devices ({kind}), mesh {dict(trainer.mesh.shape)}"
    return [f"{config.name} on {config.data.name}: nothing is trained or written", _line("on", devices)]


def _sections(trainer: Trainer) -> Iterator[list[str]]:
    state, step = costs.state(trainer), costs.step(trainer)
    yield ["State:", "", *_arrays(costs.arrays(state), trainer.mesh.size > 1)]
    yield _totals(trainer, state)
    yield _examples(trainer, step)
    yield _arithmetic(trainer, step)
    yield _memory(trainer, state, step)


def _arrays(every: Sequence[Array], several: bool) -> list[str]:
    """A line an array."""
    rows = [("array", "shape", "type", "bytes", *(["a device"] if several else []), "lies")]
    for a in every:
        shape = " x ".join(map(str, a.shape)) or "scalar"
        there = [si(a.bytes_a_device, "B")] if several else []
        rows.append((a.path, shape, str(a.dtype), si(a.bytes, "B"), *there, costs.in_words(a.sharding, a.shape)))
    return _table(rows, "<><>" + ">" * several + "<")


def _totals(trainer: Trainer, state) -> list[str]:
    """What the arrays come to, by what they are."""
    learnable, frozen = costs.parameters(trainer.config.optim, state.params)
    parts = {"parameters": state.params, "optimiser": state.opt_state, "collections": state.collections}
    lines = []
    for name, tree in parts.items():
        found = costs.arrays(tree)
        if not found:
            continue
        numbers, size = sum(a.size for a in found), sum(a.bytes for a in found)
        told = f"{learnable:,} that learn, {frozen:,} frozen" if name == "parameters" else f"{numbers:,} numbers"
        lines.append(_line(name, f"{told}; {si(size, 'B')}"))
    return lines


def _examples(trainer: Trainer, step: Step) -> list[str]:
    """The data, the batch and the length of training."""
    config, train, batch = trainer.config, trainer.dataset.train, step.batch
    splits = ", ".join(f"{name} {len(getattr(trainer.dataset, name)):,}" for name in ("train", "valid", "test"))
    shape = " x ".join(map(str, trainer.dataset.shape))
    size = config.train.batch_size
    each = batch.sharding.shard_shape(batch.shape)[0]
    spread = f"; {each} on each device, {costs.in_words(batch.sharding, batch.shape)}" if trainer.mesh.size > 1 else ""
    padded = f", {batch.shape[0] - size} of them padding" if batch.shape[0] > size else ""
    epochs = f"{trainer.steps_per_epoch:,} an epoch, {config.train.epochs:,} epochs"
    resident = feed.resident(train, config.data.device_bytes)
    images = step.examples[0]
    where = "whole" if resident else f"streamed, blocks of {images.shape[0]:,} examples"
    lies = f"{where}, {si(images.bytes_a_device, 'B')} a device, {costs.in_words(images.sharding, images.shape)}"
    return [
        _line("examples", f"{splits}; {shape}, {train.images.dtype}"),
        _line("train lies", lies),
        _line("batch", f"{size} examples{spread}{padded}"),
        _line("steps", f"{epochs}: {trainer.total:,} steps, {trainer.total * size:,} examples"),
    ]


def _arithmetic(trainer: Trainer, step: Step) -> list[str]:
    """Operations and bytes of a step."""
    count, program = trainer.mesh.size, step.program
    lines = [
        "A step:",
        "",
        _line("products", f"{si(step.products, 'FLOP')} of matrices and convolutions, as written, over all devices"),
        _line("all arithmetic", f"{si(step.flops, 'FLOP')} as lowered for {jax.default_backend()}, over all devices"),
        _line("on one device", f"{si(program.flops, 'FLOP')} as compiled, {si(program.bytes, 'B')} read and written"),
        _line("in all steps", f"{si(step.products * trainer.total, 'FLOP')} of products"),
    ]
    if count > 1 and program.flops > 1.5 * step.flops / count:
        share = program.flops / step.flops
        lines += _note(
            f"A device does {share:.0%} of the arithmetic and not {1 / count:.0%}: the compiler does not split all of "
            f"this program over the {count} devices."
        )
    return lines + _note(
        "The compiler counts the body of a loop within the step once, and nothing of operations that it calls from a "
        "library; products count every turn. What a platform lowers in its own way, such as convolutions on a CPU, is "
        "in the lowered and compiled figures as it is done there."
    )


def _memory(trainer: Trainer, state, step: Step) -> list[str]:
    """Bytes on each device."""
    program, beside = step.program, costs.memory_beside(trainer)
    own = sum(a.bytes_a_device for a in costs.arrays(state))
    examples = sum(a.bytes_a_device for a in step.examples)
    rest = program.arguments - own - sum(a.bytes_a_device for a in step.few)
    found = {
        "state": own,
        "train and its order": examples,
        "other arguments": rest,
        "temporaries of a step": program.temporaries,
    }
    found |= {"results beside": program.results - program.donated, **beside}
    lines = [f"  {name:34}{si(size, 'B'):>8}" for name, size in found.items()]
    total = f"  {'in all':34}{si(step.memory + sum(beside.values()), 'B'):>8}"
    told = _note("Temporaries of an evaluation (config.eval.batch_size) and of programs that run once are not counted.")
    return ["Memory on each device:", "", *lines, total, *told]


# -- lines


def _line(name: str, value: str) -> str:
    """A name and its value; the value goes on below itself where it is long."""
    return textwrap.fill(f"{name:{LABEL}}{value}", WIDTH, subsequent_indent=" " * LABEL)


def _note(text: str) -> list[str]:
    return ["", *textwrap.wrap(text, WIDTH)]


def _table(rows: Sequence[Sequence[str]], aligned: str) -> list[str]:
    """Columns two spaces apart, left or right as ``aligned`` says; the first is cut in its middle where all of them
    would be too wide."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths[0] = min(widths[0], WIDTH - sum(widths[1:]) - 2 * len(widths[1:]))
    return ["  ".join(f"{_cut(c, w):{a}{w}}" for c, w, a in zip(row, widths, aligned, strict=True)).rstrip()
            for row in rows]  # fmt: skip


def _cut(text: str, width: int) -> str:
    if len(text) <= width:
        return text
    head = (width - 1) // 3
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"
