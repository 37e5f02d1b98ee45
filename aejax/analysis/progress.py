"""How far a long command is: a bar on a terminal, elsewhere a plain line now and then."""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from tqdm import tqdm


def over(items: Sequence[Any], what: str, seconds: float = 10.0) -> Iterator[Any]:
    """The items, one after another, telling on standard error how many are done.

    Args:
      items: to go through.
      what: is being done, e.g. ``decoding``.
      seconds: between plain lines, where standard error is no terminal; what takes less tells nothing there.
    """
    if sys.stderr.isatty():
        yield from tqdm(items, desc=what, leave=False)
        return
    told = time.monotonic()
    for done, item in enumerate(items):
        if time.monotonic() - told >= seconds:
            told = time.monotonic()
            print(f"{what}: {done} of {len(items)}", file=sys.stderr, flush=True)
        yield item
