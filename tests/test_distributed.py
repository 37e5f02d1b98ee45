"""Several processes as one run: what they agree on, and how they end; ``test_distributed_processes`` has real ones."""

import queue
import signal
import socket
import struct
import threading

import jax
import numpy as np
import pytest

from aejax import distributed, host, main, workdirs
from aejax.checkpoint import Checkpoints
from aejax.cluster import Place
from aejax.distributed import Watch
from aejax.errors import UserError
from tests import configurations

CONFIG = configurations.load("shallow")


def test_alone_everything_is_agreed_on():
    assert distributed.first() and distributed.of_first([3, 4]) == [3, 4]
    assert distributed.told_by_all([5, 6]).tolist() == [[5, 6]]
    distributed.barrier("nobody to wait for")


def test_a_port_that_another_listens_on_is_refused():
    with socket.create_server(("", 0)) as taken, pytest.raises(UserError, match="p: cannot listen there .*in use"):
        distributed._refuse_taken(taken.getsockname()[1], "p")


def test_a_connection_notices_a_machine_that_is_lost():
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection = distributed._kept(socket.create_connection(server.getsockname()))
    with connection:
        assert connection.gettimeout() is None
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) < distributed.NOTICE


# -- how it ends


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        (143, [("close", 143, True)]),
        (UserError("no"), [("close", 2, False)]),
        (SystemExit(130), [("close", 130, False)]),
        (RuntimeError("gone"), ["settled", ("close", 1, False)]),
    ],
)
def test_a_status_that_not_all_agree_on_is_told_at_once(monkeypatch, capsys, ending, told):
    """What may come of another's being lost is not taken for this one's mistake."""
    seen = []

    class Watch:
        def settle(self):
            seen.append("settled")

        def close(self, status, agreed):
            assert isinstance(signal.getsignal(signal.SIGTERM).__self__, host.Signals), "to the very end"
            seen.append(("close", status, agreed))

    def trained():
        if isinstance(ending, BaseException):
            raise ending
        return ending

    monkeypatch.setattr(distributed, "join", lambda place: Watch())
    assert main._of_several(Place("h:7", 2, 1), trained) == told[-1][1]
    assert seen == told
    assert ("RuntimeError: gone" in capsys.readouterr().err) == isinstance(ending, RuntimeError)


class Ended(Exception):
    """Where a process would have."""


@pytest.fixture
def watched(monkeypatch):
    """Process 0's watch of two others, the others' ends, and the statuses that it was to end with."""
    statuses = queue.Queue()

    def end(status):
        statuses.put(status)
        raise Ended

    monkeypatch.setattr(distributed, "end", end)
    monkeypatch.setattr(threading, "excepthook", lambda given: None)
    pairs = [socket.socketpair() for _ in range(2)]
    for _, other in pairs:
        other.settimeout(10)
    monkeypatch.setattr(Watch, "_accepted", lambda self: [(i, own) for i, (own, _) in enumerate(pairs, start=1)])
    watch = Watch("")
    yield watch, [other for _, other in pairs], statuses
    watch._ended = True  # or the threads would end this very process
    for _, other in pairs:
        other.close()
    for thread in watch._threads:
        thread.join()


@pytest.mark.parametrize(("told", "status"), [(b"", distributed.LOST), (b"\x02", 2), (b"\x82", 130)])
def test_who_is_lost_or_ends_alone_ends_process_0_which_tells_the_rest(watched, capsys, told, status):
    _, (one, other), statuses = watched
    one.sendall(told)
    one.shutdown(socket.SHUT_WR)
    assert statuses.get(timeout=30) == status and other.recv(1) == bytes([status])
    assert ("is gone" in capsys.readouterr().err) == (told == b"")


def test_process_0_ends_last(watched, monkeypatch):
    watch, others, statuses = watched
    shut = []
    monkeypatch.setattr(jax.distributed, "shutdown", lambda: shut.append([t.is_alive() for t in watch._threads]))
    closing = threading.Thread(target=watch.close, args=(143, True))
    closing.start()
    others[0].sendall(b"\0")
    closing.join(0.2)
    assert not shut
    others[1].sendall(b"\0")
    closing.join(30)
    assert shut == [[False, False]] and statuses.empty()


def test_strangers_that_connect_are_no_processes(monkeypatch):
    """One that speaks otherwise, one that resets, one that says nothing."""
    monkeypatch.setattr(distributed, "LINGER", 0.1)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    clients = []

    def told(numbers):
        def connect():
            return clients.append(socket.create_connection(("127.0.0.1", numbers[0]))) or clients[-1]

        connect().sendall(b"GET / HTTP")
        reset = connect()
        reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        reset.close()
        connect()
        connect().sendall(bytes(numbers[5:]) + (1).to_bytes(4))

    monkeypatch.setattr(distributed, "_of_first", told)
    ((number, connection),) = Watch.__new__(Watch)._accepted()
    assert number == 1 and connection.getpeername()[1] == clients[-1].getsockname()[1]
    for one in (connection, *clients):
        one.close()


# -- checkpoints of several


@pytest.fixture
def saved(tmp_path):
    """Checkpoints of steps 1 and 2, one array each."""
    checkpoints = Checkpoints(tmp_path, keep=5)
    for step in (1, 2):
        checkpoints.save(step, {"params": {"w": np.full(3, step, np.float32)}}, {})
    return checkpoints


def test_a_checkpoint_that_one_process_cannot_read_is_set_aside_for_all(saved, monkeypatch, capsys):
    others = iter([False, True])
    barriers = []
    monkeypatch.setattr(distributed, "told_by_all", lambda own: np.asarray([own, [next(others)]]))
    monkeypatch.setattr(distributed, "barrier", lambda name: barriers.append((name, saved.steps())))
    one = {"params": {"w": jax.ShapeDtypeStruct((3,), np.float32, sharding=jax.sharding.SingleDeviceSharding(
        jax.devices()[0]))}}  # fmt: skip
    assert saved.newest(lambda meta: one).step == 1
    assert barriers == [("set aside", [1])], "none goes on before it is away"
    assert "unreadable_2_1" in capsys.readouterr().err and (saved.folder / "unreadable_2_1").is_dir()


def test_a_step_is_out_of_the_way_before_any_process_replaces_it(saved, monkeypatch):
    barriers = []
    monkeypatch.setattr(distributed, "barrier", lambda name: barriers.append((name, saved.steps())))
    saved.save(2, {"params": {"w": np.zeros(3, np.float32)}}, {"again": True})
    assert barriers == [("replaced", [1])]
    assert saved.read(2, {}).meta == {"again": True} and not list(saved.folder.glob("replaced_*"))


# -- what all have to have alike


def test_unlike_numbers_of_processes_are_refused(monkeypatch):
    """JAX goes by process 0's."""
    monkeypatch.setattr(distributed, "LINGER", 0.0)
    monkeypatch.setattr(distributed, "told_by_all", lambda own: np.asarray([[2], own]))
    distributed._refuse_unlike(Place("h:7", 2, 1))
    with pytest.raises(UserError, match="--processes: 2 of process 0, 3 of process 1; accepted: the same for all"):
        distributed._refuse_unlike(Place("h:7", 3, 1))


def test_data_that_differ_are_refused(monkeypatch):
    digits = CONFIG.data
    own = host.Host().dataset(digits)
    told = []

    def by_all(numbers):
        told.append(list(numbers))
        return np.asarray([told[0], numbers])

    monkeypatch.setattr(distributed, "several", lambda: True)
    monkeypatch.setattr(distributed, "told_by_all", by_all)
    assert len(host.Host().dataset(digits).train) == len(own.train)
    own.train.images[0, 0, 0, 0] += 1
    monkeypatch.setattr(host.data, "load", lambda section: own)
    with pytest.raises(UserError, match="'digits' is not the same in all processes .1294 of train in process 0, "):
        host.Host().dataset(digits)


def test_a_workdir_shows_what_the_others_look_for(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(distributed, "of_first", lambda numbers: shown.extend(numbers) or list(numbers))
    with workdirs.opened(tmp_path, CONFIG):
        assert (tmp_path / workdirs.LOCK).read_text() == str(shown[0])
        with pytest.raises(UserError, match="another process trains there"), workdirs.opened(tmp_path, CONFIG):
            pass
        assert (tmp_path / workdirs.LOCK).read_text() == str(shown[0]), "it is the first's"
        monkeypatch.setattr(distributed, "of_first", lambda numbers: shown)
        with workdirs.entered(tmp_path, CONFIG) as folder:
            assert folder == tmp_path
        workdirs.write_config(tmp_path, configurations.load("shallow", {"seed": 7}))
        with pytest.raises(UserError, match="seed: 7 -> 0"), workdirs.entered(tmp_path, CONFIG):
            pass
        monkeypatch.setattr(distributed, "of_first", lambda numbers: [shown[0] + 1, *shown[1:]])
        with pytest.raises(UserError, match="not the folder of process 0"), workdirs.entered(tmp_path, CONFIG):
            pass
