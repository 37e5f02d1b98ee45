"""Lines of JSON between the bench and a worker: one request on standard input, one reply on standard output.

Standard library only, and nothing of aejax: the peers' interpreter runs it too.
A request is ``{"do": name, …arguments}``. Its reply is what the handler returns and
``memory``, the peak so far in bytes, with ``memory_of`` "process"; or "device" where the handler itself returned
``memory``, as frameworks that count an accelerator's do. Or ``{"error": line}``. The end of the input ends the worker.
"""

import json
import os
import resource
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


class Refused(Exception):
    """This worker cannot do what it is asked; the message names it."""


def pick(table: Mapping[str, Any], what: str, name: str) -> Any:
    """The entry called ``name``.

    Raises:
      Refused: there is none; the message names ``what``.
    """
    if name not in table:
        raise Refused(f"{what}={name!r} is not written for it")
    return table[name]


def peak_memory() -> int:
    """The largest resident set of this process so far, bytes.

    On Linux VmHWM rather than getrusage's ru_maxrss: that one starts from the parent's size.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024


def serve(handlers: Mapping[str, Callable[..., Mapping[str, Any]]]) -> None:
    """Answer requests until the input ends. What libraries print goes to standard error."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = dict(pick(handlers, "request", request.pop("do"))(**request))
            if "memory" not in reply:
                reply["memory"] = peak_memory()
                reply["memory_of"] = "process"
            reply.setdefault("memory_of", "device")
        except Refused as error:
            reply = {"error": str(error)}
        except Exception as error:  # a library's; the parent tells it in the row
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(reply) + "\n")
