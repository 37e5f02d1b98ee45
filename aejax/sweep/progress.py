"""How far the members of a sweep are, together: one bar on a terminal, elsewhere a plain line now and then."""

import math
import sys
import threading
import time
from collections.abc import Mapping

from tqdm import tqdm

from aejax import logs


class Together:
    """The members' progress, which any thread may tell of.

    Its unit is the example, of which each member has ``steps · batch`` to go through.

    Args:
      examples: that each member has to see in all, by its number.
      seen: that it saw in earlier calls.
      seconds: at least so many between two plain lines.
      noun: what they are called.
    """

    def __init__(
        self, examples: Mapping[int, int], seen: Mapping[int, int], seconds: float = 2.0, noun: str = "members"
    ):
        self._total, self._members, self._seconds, self._noun = sum(examples.values()), len(examples), seconds, noun
        self._seen, self._goal = dict.fromkeys(examples, 0) | dict(seen), dict(examples)
        self._first, self._began, self._printed = sum(self._seen.values()), time.monotonic(), 0.0
        self._loss: dict[int, float] = {}
        self._ended: set[int] = {number for number, goal in examples.items() if self._seen[number] >= goal}
        self._lock = threading.Lock()
        self._bar = None
        if sys.stderr.isatty():
            width = logs.bar_width()
            form = "{desc} {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}{postfix}]"
            self._bar = tqdm(total=self._total, initial=self._first, bar_format=form, desc=self._ends(), **width)

    def update(self, member: int, seen: int, loss: float) -> None:
        """A member has seen so many examples in all, and has this loss."""
        with self._lock:
            grown = seen - self._seen[member]
            self._seen[member] = seen
            if not self._loss:  # the first call compiled: what is left is told by those after it
                self._began, self._first = time.monotonic(), sum(self._seen.values())
            self._loss[member] = loss
            self._show(grown)

    def end(self, member: int) -> None:
        """A member is at its end, also where that came before its last step."""
        with self._lock:
            if member not in self._ended:
                self._ended.add(member)
                grown = self._goal[member] - self._seen[member]
                self._first += grown  # examples that nobody saw
                self._seen[member] = self._goal[member]
                self._show(grown, always=len(self._ended) == self._members)

    def drop(self, member: int) -> None:
        """A member is at its end by a loss that is not finite: what it had before is no loss of its."""
        with self._lock:
            self._loss[member] = math.nan
        self.end(member)

    def say(self, text: str) -> None:
        """A line of its own."""
        with self._lock:
            if self._bar is None:
                print(text, flush=True)
            else:
                self._bar.write(text)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()

    def _show(self, grown: int, always: bool = False) -> None:
        if self._bar is not None:
            self._bar.set_description_str(self._ends(), refresh=False)
            self._bar.set_postfix_str(self._figures(), refresh=always)
            self._bar.update(grown)
        elif always or time.monotonic() - self._printed >= self._seconds:
            self._printed = time.monotonic()
            print(f"{self._ends()}, {self._figures()}{self._left()}", flush=True)

    def _ends(self) -> str:
        return f"{len(self._ended)} of {self._members} {self._noun} at their end"

    def _rate(self) -> float:
        return (sum(self._seen.values()) - self._first) / max(time.monotonic() - self._began, 1e-9)

    def _left(self) -> str:
        rate, left = self._rate(), max(0, self._total - sum(self._seen.values()))
        return f", {tqdm.format_interval(left / rate)} left" if rate > 0 else ""

    def _figures(self) -> str:
        losses = [loss for loss in self._loss.values() if math.isfinite(loss)]
        spread = f"{min(losses):.5g} to {max(losses):.5g}" if len(losses) > 1 else "".join(f"{x:.5g}" for x in losses)
        rate = f", {self._rate():,.0f} examples/s" if self._rate() > 0 else ""
        return f"loss {spread or math.nan}{rate}"
