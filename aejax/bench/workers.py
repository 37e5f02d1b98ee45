"""Worker processes: started, asked with a time limit, and ended with whatever they started."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any


class WorkerFailed(Exception):
    """The worker refused, died or took too long; the message says why in one line."""


class Worker:
    """A process that answers lines of JSON (see ``peers/protocol.py``), leader of a process group of its own.

    So Ctrl-C reaches the bench alone, which then ends each group, compilers that a
    worker started included. A bench that is killed leaves none behind either: a
    worker ends at the end of its input.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None):
        self.began = time.perf_counter()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (close closes it)
        try:
            self._process = subprocess.Popen(
                list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
                env={**os.environ, **(environment or {})}, start_new_session=True, text=True, bufsize=1,
            )  # fmt: skip
        except OSError as error:
            self._errors.close()
            raise WorkerFailed(f"{command[0]} cannot be started: {error.strerror}") from None
        self._replies: queue.Queue[tuple[float, str | None]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stdout:
            self._replies.put((time.perf_counter(), line))
        self._replies.put((time.perf_counter(), None))

    def ask(self, do: str, timeout: float, **arguments: Any) -> dict[str, Any]:
        """The reply to a request, and ``arrived``: when, seconds since the worker was started.

        Raises:
          WorkerFailed: it refused, died, or did not answer within ``timeout`` seconds.
        """
        with contextlib.suppress(OSError):  # it is dead, which the queue tells
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
        try:
            arrived, line = self._replies.get(timeout=timeout)
        except queue.Empty:
            raise WorkerFailed(f"no answer to {do!r} within {timeout:.0f} s") from None
        if line is None:
            raise WorkerFailed(self._epitaph())
        try:
            reply = json.loads(line)
        except ValueError:
            raise WorkerFailed(f"answered {line.strip()[:100]!r}, which is not JSON") from None
        if "error" in reply:
            raise WorkerFailed(" ".join(reply["error"].split())[:300])
        return {**reply, "arrived": arrived - self.began}

    def _epitaph(self) -> str:
        """How it ended, and the last line that it wrote to standard error."""
        try:
            status = self._process.wait(5)
        except subprocess.TimeoutExpired:
            return "closed its output"
        how = f"ended with status {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"{how}: {last[:300]}" if last else how

    def close(self, patience: float = 5.0) -> None:
        """End it and its group: by the end of its input, then SIGTERM, then SIGKILL."""
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        for number in (None, signal.SIGTERM, signal.SIGKILL):
            if number is not None:
                self._signal(number)
            try:
                self._process.wait(patience)
                break
            except subprocess.TimeoutExpired:
                continue
        self._signal(signal.SIGKILL)  # what it started and left behind
        self._errors.close()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
