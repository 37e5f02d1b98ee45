"""aejax's worker at sweeps: many models, as its commands train them, in a fresh folder that is removed afterwards."""

import importlib
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aejax.bench import machine
from aejax.bench.peers import protocol

# What training imports, some of it not before it needs it.
LIBRARIES = (
    "aejax.train", "aejax.sweep.run", "aejax.analysis.figure", "aejax.analysis.reconstructions",
    "aejax.analysis.views", "orbax.checkpoint", "tensorboardX",
)  # fmt: skip


def ready() -> dict[str, Any]:
    """Import the libraries, which no framework's seconds are to hold."""
    for name in LIBRARIES:
        importlib.import_module(name)
    return {}


def together(config: str, data: str, sweep: Mapping[str, str]) -> dict[str, Any]:
    """The sweep, as ``aejax.main`` trains it."""

    def work(asked, folder: Path) -> str:
        from aejax.sweep import run, together

        _refuse_stopped(run.run(asked, folder))
        stacked = (folder / together.STACKS).exists()
        return "stacked, in one program" if stacked else "side by side, as many at a time as there are cores"

    return _timed(work, config, data, sweep)


def in_turn(config: str, data: str, sweep: Mapping[str, str]) -> dict[str, Any]:
    """The same models by a loop over ordinary runs, in this process."""
    return _timed(_loop(None), config, data, sweep)


def one(config: str, data: str, sweep: Mapping[str, str]) -> dict[str, Any]:
    """The first of the models alone, as an ordinary run."""
    return _timed(_loop(1), config, data, sweep)


def _loop(most: int | None):
    def work(asked, folder: Path) -> str:
        from aejax import train
        from aejax.sweep import members

        for member in members.members(asked, folder)[:most]:
            _refuse_stopped(train.run(member.config, member.workdir))
        return "aejax.train.run of the first" if most else "aejax.train.run of each"

    return work


def _timed(work, config: str, data: str, sweep: Mapping[str, str]) -> dict[str, Any]:
    """Its wall seconds, and of each model the loss of its last epoch."""
    import jax

    from aejax.bench import experiments
    from aejax.sweep import members

    asked = experiments.load(config, data, sweep)
    with tempfile.TemporaryDirectory(prefix="aejax-bench-") as name:
        folder, began = Path(name), time.perf_counter()
        how = work(asked, folder)
        seconds = time.perf_counter() - began
        trained = [member.workdir for member in members.members(asked, folder) if member.workdir.exists()]
        losses = [_last_loss(workdir) for workdir in trained]
    versions = {"jax": jax.__version__}
    return {"seconds": seconds, "losses": losses, "versions": versions, "how": how, **machine.peak_of_device()}


def _last_loss(workdir: Path) -> float | None:
    """The mean over the last epoch; None where it was not finite."""
    from aejax import logs
    from aejax.sweep import together

    if together.diverged(workdir):
        return None
    return [line["loss"] for line in logs.read_metrics(workdir) if line["split"] == "train"][-1]


def _refuse_stopped(status: int) -> None:
    """
    Raises:
      Refused: training did not come to its end.
    """
    if status:
        raise protocol.Refused(f"training was stopped, with status {status}")
