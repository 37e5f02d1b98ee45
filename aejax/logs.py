"""What a run leaves behind as it goes: metrics.jsonl, timing.jsonl, event files, and progress on the terminal."""

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from aejax import files
from aejax.errors import UserError

METRICS = "metrics.jsonl"
TIMING = "timing.jsonl"


def read_metrics(workdir: Path) -> list[dict[str, Any]]:
    """The lines of ``<workdir>/metrics.jsonl``, in order.

    Raises:
      UserError: there is no such file, it is empty, or a line is no JSON object with ``epoch`` and ``split``.
    """
    path = workdir / METRICS
    if not path.is_file():
        raise UserError(f"--workdir={workdir}: no {METRICS} there; give the work directory of a run")
    rows = files.read_lines(path)
    if not rows:
        raise UserError(f"{path} is empty: nothing has been trained or evaluated yet")
    for number, row in enumerate(rows, start=1):
        if not {"epoch", "split"} <= row.keys():
            raise UserError(f"{path}, line {number}: not a JSON object with an epoch and a split")
    return rows


def _append(path: Path, values: Mapping[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(values) + "\n")


def stays(line: Mapping[str, Any], step: int) -> bool:
    """Whether a line of metrics.jsonl stays where a run goes on from a step: what comes after will be written again,
    the same, and so will the step's own line of test."""
    return line["step"] < step + (line["split"] != "test")


class Metrics:
    """metrics.jsonl and the event files. A line is ``{"step", "epoch", "split", figures …}`` and no clock reading.

    Resuming at a step drops the lines that do not stay.
    """

    def __init__(self, workdir: Path, step: int, tensorboard: bool):
        self.path = workdir / METRICS
        kept = [line for line in files.read_lines(self.path) if stays(line, step)]
        files.write_text(self.path, "".join(json.dumps(line) + "\n" for line in kept))
        self._events = _event_writer(workdir / "tensorboard", step) if tensorboard else None

    def write(self, step: int, epoch: float, split: str, values: Mapping[str, float]) -> None:
        _append(self.path, {"step": step, "epoch": epoch, "split": split, **values})
        if self._events:
            for name, value in values.items():
                self._events.add_scalar(f"{split}/{name}", value, step)
            if split != "train":
                self._events.flush()  # or a kill would leave a hole of two minutes

    def close(self) -> None:
        if self._events:
            writer = self._events.file_writer.event_writer
            try:
                self._events.close()
            except OSError:  # a full disk, which has been told of already: its hook at exit would tell again
                writer.close = lambda: None


def _event_writer(folder: Path, step: int):
    from tensorboardX import SummaryWriter  # here, since not every run writes event files

    return SummaryWriter(str(folder), purge_step=step + 1)


class Timing:
    """timing.jsonl: what the clock said, and when; never read back, never cut."""

    def __init__(self, workdir: Path):
        self.path = workdir / TIMING

    def write(self, event: str, **values: Any) -> None:
        _append(self.path, {"event": event, "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **values})


def bar_width() -> dict[str, Any]:
    """What ``tqdm`` is to know of the terminal's width; some terminals do not tell theirs."""
    known = os.get_terminal_size(sys.stderr.fileno()).columns > 0
    return {"dynamic_ncols": True} if known else {"ncols": 100, "nrows": 20}


class Progress:
    """A bar on a terminal; elsewhere a plain line an epoch, at most one every ``seconds``."""

    def __init__(self, total: int, step: int, batch: int, steps_per_epoch: int, seconds: float = 2.0):
        self.total, self.batch, self.steps_per_epoch, self.seconds = total, batch, steps_per_epoch, seconds
        self._bar = None
        if sys.stderr.isatty():
            form = "{desc} {percentage:3.0f}%|{bar}| {n}/{total} steps [{elapsed}<{remaining}{postfix}]"
            self._bar = tqdm(total=total, initial=step, bar_format=form, desc=self._epoch(step), **bar_width())
        self._printed = 0.0
        self._rate = 0.0
        self._figures: dict[str, float] = {}

    def update(self, step: int, steps: int, seconds: float, figures: Mapping[str, float]) -> None:
        """Tell that ``steps`` steps up to ``step`` took ``seconds``; ``figures`` are shown beside."""
        self._rate = steps / max(seconds, 1e-9)
        self._figures.update(figures)
        if self._bar is not None:
            self._bar.set_description_str(self._epoch(step), refresh=False)
            self._bar.set_postfix_str(self._text(), refresh=False)
            self._bar.update(steps)

    def epoch_end(self, step: int, figures: Mapping[str, float]) -> None:
        """Tell that an epoch ended."""
        self._figures.update(figures)
        if self._bar is not None:
            self._bar.set_postfix_str(self._text())
        elif step == self.total or time.monotonic() - self._printed >= self.seconds:
            self._printed = time.monotonic()
            left = tqdm.format_interval((self.total - step) / self._rate) if self._rate else "?"
            print(f"{self._epoch(step)} step {step}/{self.total} {self._text()}, {left} left", flush=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _epoch(self, step: int) -> str:
        return f"epoch {-(-step // self.steps_per_epoch)}/{self.total // self.steps_per_epoch}"

    def _text(self) -> str:
        figures = ", ".join(f"{name} {value:.5g}" for name, value in self._figures.items())
        return f"{figures}, {self._rate * self.batch:,.0f} examples/s"


class Untold:
    """Progress that nobody is told of."""

    def update(self, step: int, steps: int, seconds: float, figures: Mapping[str, float]) -> None:
        """So many steps up to ``step`` were taken."""

    def epoch_end(self, step: int, figures: Mapping[str, float]) -> None:
        """An epoch ended."""

    def close(self) -> None:
        """The run ended."""


class Unwritten:
    """Metrics, or timing, that another process writes."""

    def write(self, *_: Any, **__: Any) -> None:
        """Nothing is written."""

    def close(self) -> None:
        """Nothing was open."""
