"""What stands around a run: the words, bars and files that it writes, its devices and data, and who may stop it."""

import signal
import sys
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from jax.sharding import Mesh
from ml_collections import FrozenConfigDict

from aejax import data, devices, distributed, logs, workdirs
from aejax.data import Dataset
from aejax.errors import UserError


class Signals:
    """Within it, SIGTERM and SIGINT are noted in ``received``, to stop after the call; SIGINT after one stops at once.

    A second SIGTERM is the first once more: schedulers send several (Slurm, when it preempts), and end with SIGKILL.
    Within another, it is that one: what was received before counts.
    """

    def __init__(self):
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self):
        around = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
        if isinstance(around, Signals):
            return around
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number, _frame):
        if self.received is not None:
            if number == signal.SIGINT:
                sys.exit(128 + number)
            return
        self.received = number
        print(f"\n{signal.Signals(number).name}: saving and stopping", file=sys.stderr)


class Received(Protocol):
    """The signal that asks a run to save and stop; None while there is none."""

    received: int | None


class Host:
    """What stands around a run that has the process to itself; a sweep has another for each of its members."""

    writes = True  # what is written once for all processes of a run

    def say(self, text: str) -> None:
        """Tell the user."""
        print(text, flush=True)

    def layer(self) -> "Host":
        """What stands around the run of a layer of its stack."""
        return self

    def signals(self) -> AbstractContextManager[Received]:
        """Within it, who may stop the run."""
        return Signals()

    def agreed(self, steps: int, due: bool, received: int | None) -> tuple[int, bool, int | None]:
        """How many steps to take, whether to save after them, and the signal to stop by first: as process 0 would have
        them, but by a signal that any has received."""
        told = distributed.told_by_all([steps, due, received or 0])
        return int(told[0, 0]), bool(told[0, 1]), int(told[:, 2].max()) or None

    def opened(self, workdir: Path, config: FrozenConfigDict) -> AbstractContextManager[Path]:
        """The workdir, within it this run's alone."""
        return workdirs.opened(workdir, config)

    def mesh(self, config: FrozenConfigDict) -> Mesh:
        """The devices to train on."""
        return devices.mesh(config.mesh.devices, config.mesh.model)

    def dataset(self, section: FrozenConfigDict) -> Dataset:
        """What ``config.data`` names, the same in every process."""
        loaded = data.load(section)
        if distributed.several():
            _refuse_unlike(section.name, loaded)
        return loaded

    def metrics(self, workdir: Path, step: int, tensorboard: bool) -> logs.Metrics:
        """Where the lines of metrics.jsonl go."""
        return logs.Metrics(workdir, step, tensorboard)

    def timing(self, workdir: Path) -> logs.Timing:
        """Where the lines of timing.jsonl go."""
        return logs.Timing(workdir)

    def progress(self, total: int, step: int, batch: int, steps_per_epoch: int) -> logs.Progress:
        """What shows how far the run is."""
        return logs.Progress(total, step, batch, steps_per_epoch)


class Beside(Host):
    """What stands around a run in a process that another writes for: process 0."""

    writes = False

    def say(self, text: str) -> None:
        """Nothing: process 0 tells."""

    def opened(self, workdir: Path, config: FrozenConfigDict) -> AbstractContextManager[Path]:
        """The workdir, once process 0 has made it."""
        return workdirs.entered(workdir, config)

    def metrics(self, workdir: Path, step: int, tensorboard: bool) -> logs.Unwritten:
        return logs.Unwritten()

    def timing(self, workdir: Path) -> logs.Unwritten:
        return logs.Unwritten()

    def progress(self, total: int, step: int, batch: int, steps_per_epoch: int) -> logs.Untold:
        return logs.Untold()


def _refuse_unlike(name: str, loaded: Dataset) -> None:
    """
    Raises:
      UserError: another process has other images; in all of them.
    """
    splits = (loaded.train, loaded.valid, loaded.test)
    prints = [split.fingerprint() for split in splits]
    own = [*map(len, splits), *(half for crc in prints for half in divmod(crc, 2**16))]
    told = distributed.told_by_all(own)
    unlike = [i for i, numbers in enumerate(told) if (numbers != told[0]).any()]
    if unlike:
        counts = ", ".join(f"{told[i][0]} of train in process {i}" for i in (0, *unlike))
        raise UserError(
            f"config.data.name={name!r} is not the same in all processes ({counts}, or other images); accepted: the "
            "same data for each"
        )


def of_process() -> Host:
    """What stands around a run in this process."""
    return Host() if distributed.first() else Beside()
