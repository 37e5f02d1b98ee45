"""Members as ordinary runs, as many at a time as there are cores, each in a thread of its own.

On a CPU nothing is faster: a step of a small net keeps one core busy and leaves the others idle, and one wide program
of all members is slower than they are one after another. A member is the run alone, to the last bit.
"""

import signal
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jax.sharding import Mesh
from ml_collections import FrozenConfigDict

from aejax import data, devices, files, host, logs, train
from aejax.data import Dataset
from aejax.errors import Diverged
from aejax.sweep.members import DIVERGED, Member
from aejax.sweep.metrics import MemberMetrics, Merged
from aejax.sweep.progress import Together


class Datasets:
    """``data.load``, which any thread may call, with the last few kept."""

    def __init__(self, most: int):
        self._most, self._lock = most, threading.Lock()
        self._known: dict[FrozenConfigDict, Dataset] = {}

    def __call__(self, section: FrozenConfigDict) -> Dataset:
        with self._lock:
            found = self._known.pop(section, None) or data.load(section)
            self._known[section] = found  # the newest last
            while len(self._known) > self._most:
                self._known.pop(next(iter(self._known)))
            return found


@dataclass
class Room:
    """What members that train at the same time share.

    Attributes:
      at_once: how many threads.
      progress: of all.
      signals: who may stop them.
      datasets: loads what a config names.
      merged: the sweep's metrics; None where each member's own will do.
      failed: what a thread raised.
    """

    at_once: int
    progress: Together
    signals: host.Received
    datasets: Callable[[FrozenConfigDict], Dataset]
    merged: Merged | None = None
    failed: list[BaseException] = field(default_factory=list)

    @property
    def received(self) -> int | None:
        """The signal that stops them; that of ``terminate`` where one has failed."""
        return signal.SIGTERM if self.failed else self.signals.received

    def diverged(self, member: Member, error: Diverged) -> None:
        """A member is at its end by this error, which its folder and the user are told of."""
        files.write_text(member.workdir / DIVERGED, f"{error}\n")
        self.progress.say(f"{member}: {error}")
        self.progress.drop(member.number)


class Seat(host.Host):
    """What stands around one member of several."""

    def __init__(self, member: Member, room: Room):
        self.member, self.room = member, room

    def say(self, text: str) -> None:
        """Nothing: the members' progress is told of together."""

    def signals(self):
        return self

    def __enter__(self) -> host.Received:
        return self.room

    def __exit__(self, *_):
        return None

    def mesh(self, config: FrozenConfigDict) -> Mesh:
        return devices.mesh(1 if self.room.at_once > 1 else config.mesh.devices)

    def dataset(self, section: FrozenConfigDict) -> Dataset:
        return self.room.datasets(section)

    def layer(self) -> host.Host:
        return Below(self.member, self.room)

    def metrics(self, workdir: Path, step: int, tensorboard: bool) -> logs.Metrics:
        if self.room.merged is None:
            return super().metrics(workdir, step, tensorboard)
        return MemberMetrics(workdir, step, tensorboard, self.member.number, self.room.merged)

    def progress(self, total: int, step: int, batch: int, steps_per_epoch: int) -> logs.Untold:
        return MemberProgress(self.member.number, batch, self.room.progress)


class Below(Seat):
    """What stands around a run that a member's begins from: a layer of its stack."""

    def metrics(self, workdir: Path, step: int, tensorboard: bool) -> logs.Metrics:
        return host.Host.metrics(self, workdir, step, tensorboard)

    def progress(self, total: int, step: int, batch: int, steps_per_epoch: int) -> logs.Untold:
        return logs.Untold()


class MemberProgress(logs.Untold):
    """A member's part of the progress of all."""

    def __init__(self, member: int, batch: int, together: Together):
        self._member, self._batch, self._together = member, batch, together

    def update(self, step: int, steps: int, seconds: float, figures: Mapping[str, float]) -> None:
        self._together.update(self._member, step * self._batch, figures["loss"])


def train_all(members: Iterable[Member], room: Room) -> int:
    """Train them in this order, ``room.at_once`` at a time: 0, or 128 + n where signal n stopped them.

    A member whose loss is not finite leaves a line in ``diverged.txt`` and stops; the others go on.

    Raises:
      UserError and others: the first that a member's run raised; the others have been saved.
    """
    waiting, lock = iter(members), threading.Lock()

    def work():
        while room.received is None:
            with lock:
                member = next(waiting, None)
            if member is None:
                return
            try:
                train.run(member.config, member.workdir, Seat(member, room))
            except Diverged as error:
                room.diverged(member, error)
            except BaseException as error:
                room.failed.append(error)
                return
            if room.received is None:
                room.progress.end(member.number)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(room.at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.2)  # with pauses, in which signals are noted
    if room.failed:
        raise room.failed[0]
    return 128 + room.signals.received if room.signals.received else 0
