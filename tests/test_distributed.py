"""Several processes as one run, which goes on whoever saved it, stopped or was lost."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from aejax import distributed, host, main, train, workdirs
from aejax.checkpoint import Checkpoints
from aejax.cluster import Place
from aejax.errors import UserError
from tests import configurations


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
def test_a_status_that_not_all_agree_on_is_told_at_once(monkeypatch, ending, told):
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


# -- two real processes of four devices each


CONFIG = ["--config=configs/shallow.py:tiny", "--config.mesh.devices=0", "--config.log.tensorboard=false"]
CONFIG += ["--config.train.epochs=8", "--config.train.steps_per_call=20", "--config.checkpoint.seconds=0"]
CHANGES = {"mesh.devices": 0, "train.epochs": 8, "train.steps_per_call": 20, "checkpoint.seconds": 0.0}
LAST = 8 * 40


class Two:
    """Two processes that train as one run."""

    def __init__(self, *workdirs, log, began=("-m", "aejax.main"), devices=(4, 4)):
        """Of each process its workdir, how Python is begun, and the number of devices; of workdirs one is for both."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        environments = [os.environ | {"JAX_NUM_CPU_DEVICES": str(n), "JAX_PLATFORMS": "cpu"} for n in devices]
        command = [sys.executable, *began, *CONFIG, f"--coordinator=127.0.0.1:{port}", "--processes=2"]
        self.logs = [(log.with_name(f"{log.name}_{i}")) for i in (0, 1)]
        self.processes = [
            subprocess.Popen(
                [*command, f"--process={i}", f"--workdir={workdirs[i % len(workdirs)]}"],
                stdout=self.logs[i].open("w"), stderr=subprocess.STDOUT, env=environments[i],
            )
            for i in (0, 1)
        ]  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()

    def saved_beyond(self, workdir, step):
        """Waits until a step beyond this one is saved; the newest."""
        until = time.monotonic() + 200
        while time.monotonic() < until and None in [p.poll() for p in self.processes]:
            there = Checkpoints(workdir).steps()
            if there and there[-1] > step:
                return there[-1]
            time.sleep(0.05)
        raise AssertionError([log.read_text()[-2000:] for log in self.logs])

    def statuses(self):
        return [process.wait(timeout=200) for process in self.processes]


def lines(workdir):
    """The lines of metrics.jsonl, as numbers by step and split."""
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return {(row["step"], row["split"]): (row["loss"], row["reconstruction"]) for row in rows}


def same(found, expected):
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        np.testing.assert_allclose(found[key], values, rtol=1e-3, err_msg=str(key))


def config(**changes):
    return configurations.load("shallow", {**CHANGES, "log.figure_epochs": (0, 1, 2, 5, 10, 20, 50, 100), **changes})


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process with one device makes of the run."""
    folder = tmp_path_factory.mktemp("alone")
    assert train.run(config(**{"mesh.devices": 1, "checkpoint.keep": 1000}), folder) == 0
    return folder


def test_stopped_by_a_signal_to_one_then_lost_by_a_kill_then_ended_by_one_process(alone, tmp_path):
    """The other process of a killed one ends in bounded time with a line that says why, and status 75."""
    workdir = tmp_path / "run"
    with Two(workdir, log=tmp_path / "first") as two:
        two.saved_beyond(workdir, 0)
        two.processes[1].send_signal(signal.SIGTERM)
        assert two.statuses() == [143, 143]
        assert "the same command goes on from there" in two.logs[0].read_text()
    stopped = Checkpoints(workdir).steps()[-1]
    assert 0 < stopped < LAST
    with Two(workdir, log=tmp_path / "second") as two:
        two.saved_beyond(workdir, stopped)
        two.processes[0].kill()
        began = time.monotonic()
        assert two.processes[1].wait(timeout=60) == distributed.LOST
        assert time.monotonic() - began < 60
        assert "aejax: process 0 of this run is gone; started again, all of them go on" in two.logs[1].read_text()
        assert f"going on from step {stopped} of {LAST}" in two.logs[0].read_text()
    assert Checkpoints(workdir).steps()[-1] > stopped
    assert train.run(config(**{"mesh.devices": 1}), workdir) == 0
    same(lines(workdir), lines(alone))


def test_two_processes_end_what_one_began(alone, tmp_path):
    workdir = tmp_path / "run"
    half = Checkpoints(alone).steps()[len(Checkpoints(alone).steps()) // 2]
    for path in (alone / "config.json", alone / "metrics.jsonl"):
        workdir.mkdir(exist_ok=True)
        (workdir / path.name).write_bytes(path.read_bytes())
    subprocess.run(["cp", "-r", str(alone / "checkpoints"), str(workdir)], check=True)
    for step in Checkpoints(workdir).steps():
        if step > half:
            subprocess.run(["rm", "-r", str(workdir / "checkpoints" / str(step))], check=True)
    with Two(workdir, log=tmp_path / "log") as two:
        assert two.statuses() == [0, 0]
        told = two.logs[0].read_text()
        assert f"going on from step {half} of {LAST}" in told and f"{LAST} steps" in told
        assert "going on" not in two.logs[1].read_text() and "loss" not in two.logs[1].read_text()  # one of them tells
    same(lines(workdir), lines(alone))
    assert sorted(path.name for path in (workdir / "figures").iterdir()) == ["epoch_0005.png", "epoch_0008.png"]


def test_a_process_whose_others_do_not_come_says_so():
    code = "from aejax import cluster, distributed; distributed.WAIT = 2; "
    code += "distributed.join(cluster.Place('127.0.0.1:9', 2, 1))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert found.returncode == distributed.LOST
    assert "aejax: process 1 of 2 at 127.0.0.1:9: the others are not there after 2 s" in found.stderr


def test_processes_that_do_not_share_the_folder_are_told_and_end_alike(tmp_path):
    with Two(tmp_path / "mine", tmp_path / "yours", log=tmp_path / "log") as two:
        assert two.statuses() == [2, 2]
        assert f"--workdir={tmp_path / 'yours'} is not the folder of process 0" in two.logs[1].read_text()


SENDS = """
import os, signal, sys
from aejax import data, main
load = data.load
def stopped(section):
    if "--process=1" in sys.argv:
        for _ in range({times}):
            os.kill(os.getpid(), signal.{name})
    return load(section)
data.load = stopped
sys.exit(main.main())
"""


def sends(name, times):
    return ("-c", SENDS.format(name=name, times=times))


def test_a_signal_before_the_first_step_stops_all_in_good_order(tmp_path):
    with Two(tmp_path / "run", log=tmp_path / "log", began=sends("SIGTERM", 1)) as two:
        assert two.statuses() == [143, 143]
        assert "stopped at step 0 of" in two.logs[0].read_text()
    assert Checkpoints(tmp_path / "run").steps() == [0]


def test_ctrl_c_twice_ends_all_at_once(tmp_path):
    with Two(tmp_path / "run", log=tmp_path / "log", began=sends("SIGINT", 2)) as two:
        assert two.statuses() == [130, 130]
        assert "process 1 of this run has ended with status 130" in two.logs[0].read_text()


def test_processes_with_unlike_numbers_of_devices_are_refused(tmp_path):
    with Two(tmp_path / "run", log=tmp_path / "log", devices=(4, 2)) as two:
        assert two.statuses() == [2, 2]
        assert "devices: 4 of process 0, 2 of process 1; accepted: as many on each" in two.logs[1].read_text()
    assert not (tmp_path / "run").exists()


def test_a_workdir_shows_what_the_others_look_for(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(distributed, "of_first", lambda numbers: shown.extend(numbers) or list(numbers))
    with workdirs.opened(tmp_path, config()):
        assert (tmp_path / workdirs.LOCK).read_text() == str(shown[-1])
        monkeypatch.setattr(distributed, "of_first", lambda numbers: shown[:1])
        with workdirs.entered(tmp_path, config()) as folder:
            assert folder == tmp_path
        monkeypatch.setattr(distributed, "of_first", lambda numbers: [shown[0] + 1])
        with pytest.raises(UserError, match="not the folder of process 0"), workdirs.entered(tmp_path, config()):
            pass
