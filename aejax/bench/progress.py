"""What the bench says while it measures, on standard error."""

import sys
import time
from collections.abc import Callable


def say(line: str) -> None:
    """A line, at once."""
    print(line, file=sys.stderr, flush=True)


def clocked(prefix: str) -> Callable[[str], None]:
    """Lines of progress: what it is about, and the seconds since this was made."""
    began = time.perf_counter()
    return lambda line: say(f"{prefix}, {time.perf_counter() - began:.0f} s: {line}")
