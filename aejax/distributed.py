"""Several processes that train as one run, each on its own devices: what they agree on, and how they end.

Process 0 writes what is written once. All of them save, at steps that all agree on.

Each holds a connection to process 0, over which it tells that it ends: as all agree, or alone, and with what status;
then the others end so at once. One that is lost tells nothing: the others end with ``LOST``, and the next start of all
goes on from the newest checkpoint.
"""

import collections
import contextlib
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from aejax.cluster import Place
from aejax.errors import UserError

LOST = 75  # exit status where another process is gone: EX_TEMPFAIL of sysexits.h, which says to try again
WAIT = 300  # seconds for all processes to be there
NOTICE = 40.0  # seconds in which a lost process is noticed at the latest
IN_ORDER = 0  # told for a status that all agree on
LINGER = 5.0  # seconds in which others get to what they are at
KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4}  # of a machine that is lost: 30 s in all


# -- joining


def join(found: Place) -> "Watch | None":
    """Make this process one of the run's, before JAX looks for devices; None where it is the only one after all.

    Raises:
      UserError: process 0 cannot listen where it should, the others cannot be reached, or have another number of
        devices.
    """
    jax.config.update("jax_enable_recoverability", True)  # or JAX would abort where ``Watch`` ends in good order
    jax.config.update("jax_enable_preemption_service", False)  # which would take SIGTERM from ``host.Signals``
    given = _given(found)
    host, _, port = found.coordinator.rpartition(":")
    who = f"process {found.process} of {found.processes} at {found.coordinator}" if given else "--coordinator=auto"
    if given and not found.process:
        _refuse_taken(int(port), who)
    try:
        with _patience(who):
            jax.distributed.initialize(**given, initialization_timeout=2 * WAIT, shutdown_timeout_seconds=60)
            alone = not several()
        if alone:
            return None
        _refuse_unlike(found)
        return Watch(host.strip("[]"))
    except (RuntimeError, ValueError) as error:
        twice = "another process says that it is this one" if "ALREADY_EXISTS" in str(error) else ""
        raise UserError(f"{who}: {twice or ' '.join(str(error).split())[:200]}") from None


def _given(found: Place) -> dict[str, Any]:
    """What JAX is told; nothing where it is to find out by itself."""
    if not found.coordinator:
        return {}
    own = {"local_device_ids": [found.local_device]} if found.local_device >= 0 and _accelerated() else {}
    return {
        "coordinator_address": found.coordinator,
        "num_processes": found.processes,
        "process_id": found.process,
        "cluster_detection_method": "deactivate",
        **own,
    }


def _refuse_taken(port: int, who: str) -> None:
    """JAX would end by a segmentation fault."""
    try:
        _listening(port).close()
    except OSError as error:
        raise UserError(f"{who}: cannot listen there ({error.strerror}); accepted: a port that is free") from None


def _listening(port: int) -> socket.socket:
    """A socket that listens on all of the machine's addresses, on this port, or any for 0."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _refuse_unlike(found: Place) -> None:
    """All processes find so, and end; process 0 after the others, which JAX would abort."""
    devices = collections.Counter(device.process_index for device in jax.devices())
    counts = [devices[process] for process in sorted(devices)]
    what, accepted = "devices", "as many on each"
    if len(set(counts)) == 1:
        counts = told_by_all([found.processes])[:, 0].tolist()
        what, accepted = "--processes", "the same for all"
    if len(set(counts)) > 1:
        time.sleep(LINGER if first() else 0)
        told = ", ".join(f"{count} of process {process}" for process, count in enumerate(counts))
        raise UserError(f"{what}: {told}; accepted: {accepted}")


@contextlib.contextmanager
def _patience(who: str) -> Iterator[None]:
    """Within it the others are waited for so long; JAX itself would abort."""
    timer = threading.Timer(WAIT, _alone, [who])
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _alone(who: str) -> None:
    print(f"aejax: {who}: the others are not there after {WAIT} s", file=sys.stderr)
    end(LOST)


def _accelerated() -> bool:
    return not (jax.config.jax_platforms or "").startswith("cpu")


class Watch:
    """Ends this process as soon as another of its run is lost, or has ended alone."""

    def __init__(self, host: str):
        self._lock, self._ended = threading.Lock(), False
        self._connections = self._accepted() if jax.process_index() == 0 else [self._connected(host)]
        self._threads = [threading.Thread(target=self._wait, args=one, daemon=True) for one in self._connections]
        for thread in self._threads:
            thread.start()

    def _accepted(self) -> list[tuple[int, socket.socket]]:
        word, found = secrets.token_bytes(4), {}
        with _listening(0) as server:
            server.settimeout(WAIT)
            _of_first([server.getsockname()[1], *map(int, _address().split(".")), *word])
            while len(found) < jax.process_count() - 1:
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    missing = sorted(set(range(1, jax.process_count())) - set(found))
                    raise UserError(f"processes {missing} have not reached process 0 after {WAIT} s") from None
                connection.settimeout(LINGER)
                with contextlib.suppress(OSError):  # else somebody who does not belong here
                    told = connection.recv(8)
                    if told[:4] == word:
                        found[int.from_bytes(told[4:])] = _kept(connection)
        return sorted(found.items())

    def _connected(self, host: str) -> tuple[int, socket.socket]:
        port, *rest = _of_first([0] * 9)
        host = host or ".".join(map(str, rest[:4]))
        try:
            connection = socket.create_connection((host, port), timeout=WAIT)
        except OSError as error:
            told = f"{host}:{port} of process 0 cannot be reached ({error.strerror or error})"
            raise UserError(f"{told}; accepted: a network on which processes reach each other on any port") from None
        connection.sendall(bytes(rest[4:]) + jax.process_index().to_bytes(4))
        return 0, _kept(connection)

    def _wait(self, number: int, connection: socket.socket) -> None:
        try:
            told = connection.recv(1)
        except OSError:
            told = b""
        with self._lock:
            status = told[0] if told else LOST
            if self._ended or status == IN_ORDER:
                return
            lost = "is gone; started again, all of them go on from the newest checkpoint"
            what = lost if status == LOST else f"has ended with status {status}"
            print(f"aejax: process {number} of this run {what}", file=sys.stderr)
            self._tell(status)  # processes that know of this one alone
            end(status)

    def settle(self) -> None:
        """Wait until a process that is lost has been noticed, which ends this one; back if none is."""
        time.sleep(NOTICE)

    def close(self, status: int, agreed: bool) -> None:
        """End the run: all processes together, process 0 last, since without the coordinator there the others would
        abort; or at once, with the others, where this one alone has come to its end.

        Args:
          status: that this process ends with.
          agreed: whether all do.
        """
        if agreed:
            barrier("end")
        with self._lock:
            self._ended = True
        if not agreed:
            self._tell(status)
            end(status)
        if not first():
            jax.distributed.shutdown()
            self._tell(IN_ORDER)
            return
        for thread in self._threads:
            thread.join(NOTICE)
        jax.distributed.shutdown()

    def _tell(self, status: int) -> None:
        for _, connection in self._connections:
            with contextlib.suppress(OSError):  # gone: there is nobody to tell
                connection.sendall(bytes([status]))


def _kept(connection: socket.socket) -> socket.socket:
    """The connection, which notices by itself that the other machine is no more."""
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return connection


def _address() -> str:
    """Of this machine, where nobody has named it."""
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return "127.0.0.1"


def end(status: int) -> None:
    """End this process at once: others may be waited for in vain."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


# -- agreeing


def first() -> bool:
    """Whether this process writes what is written once."""
    return jax.process_index() == 0


def several() -> bool:
    """Whether other processes take part in the run."""
    return jax.process_count() > 1


def barrier(name: str) -> None:
    """Wait until all processes are here."""
    if several():
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)


def told_by_all(numbers: Sequence[int]) -> np.ndarray:
    """[processes, n]: the whole numbers that each process gives, as many each."""
    if not several():
        return np.asarray([numbers], np.int32)
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(np.asarray(numbers, np.int32)))


def of_first(numbers: Sequence[int]) -> list[int]:
    """The whole numbers that process 0 gives, however many it has."""
    if not several():
        return list(numbers)
    (count,) = _of_first([len(numbers)])
    return _of_first((list(numbers) + [0] * count)[:count]) if count else []


def _of_first(numbers: Sequence[int]) -> list[int]:
    """As many as the others give."""
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.broadcast_one_to_all(np.asarray(numbers, np.int32))).tolist()
