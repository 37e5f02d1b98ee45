"""A sweep's metrics.jsonl: the lines of all members, each with the member's number and what sets it apart."""

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aejax import files, logs


class Merged:
    """``<workdir>/metrics.jsonl`` of a sweep; any thread may write. Each member has its own beside it.

    A line is ``{"member", "settings", "step", "epoch", "split", figures …}``.
    """

    def __init__(self, workdir: Path, settings: Mapping[int, Mapping[str, Any]]):
        self.path, self._settings = workdir / logs.METRICS, settings
        self._lock = threading.Lock()
        lines = files.read_lines(self.path)
        self._there = {line["member"] for line in lines}
        if self.path.exists():  # its last line may be torn
            files.write_text(self.path, "".join(json.dumps(line) + "\n" for line in lines))

    def begin(self, member: int, step: int) -> None:
        """A member goes on from a step: later lines of its are dropped, for they will be written again."""
        with self._lock:
            if member in self._there:
                lines = files.read_lines(self.path)
                kept = [line for line in lines if line["member"] != member or logs.stays(line, step)]
                files.write_text(self.path, "".join(json.dumps(line) + "\n" for line in kept))

    def write(self, member: int, line: Mapping[str, Any]) -> None:
        """Append a member's line."""
        line = {"member": member, "settings": self._settings[member], **line}
        with self._lock, self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


class MemberMetrics(logs.Metrics):
    """A member's own metrics.jsonl, whose lines go to the sweep's too."""

    def __init__(self, workdir: Path, step: int, tensorboard: bool, member: int, merged: Merged):
        super().__init__(workdir, step, tensorboard)
        merged.begin(member, step)
        self._member, self._merged = member, merged

    def write(self, step: int, epoch: float, split: str, values: Mapping[str, float]) -> None:
        super().write(step, epoch, split, values)
        self._merged.write(self._member, {"step": step, "epoch": epoch, "split": split, **values})
