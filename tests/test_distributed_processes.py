"""Two real processes of four devices each, on the loopback: a run goes on whoever saved it, stopped or was lost."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from aejax import distributed, train
from aejax.checkpoint import Checkpoints
from tests import configurations

pytestmark = pytest.mark.xdist_group("distributed")

CONFIG = ["--config=configs/shallow.py:tiny", "--config.mesh.devices=0", "--config.log.tensorboard=false"]
CONFIG += ["--config.train.epochs=8", "--config.train.steps_per_call=20", "--config.checkpoint.seconds=0"]
CHANGES = {"mesh.devices": 0, "train.epochs": 8, "train.steps_per_call": 20, "checkpoint.seconds": 0.0}
LAST = 8 * 40


class Two:
    """Two processes that train as one run."""

    def __init__(self, *workdirs, log, began=("-m", "aejax.main"), devices=(4, 4), own=((), ())):
        """Of each process its workdir, of which one is for both, how Python is begun, the number of devices, and flags
        of its own."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        environments = [os.environ | {"JAX_NUM_CPU_DEVICES": str(n), "JAX_PLATFORMS": "cpu"} for n in devices]
        command = [sys.executable, *began, *CONFIG, f"--coordinator=127.0.0.1:{port}", "--processes=2"]
        self.logs = [(log.with_name(f"{log.name}_{i}")) for i in (0, 1)]
        self.processes = [
            subprocess.Popen(
                [*command, f"--process={i}", f"--workdir={workdirs[i % len(workdirs)]}", *own[i]],
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


def test_configs_that_differ_are_refused(tmp_path):
    own = ((), ("--config.seed=3", "--config.data.dir=/elsewhere"))
    with Two(tmp_path / "run", log=tmp_path / "log", own=own) as two:
        assert two.statuses() == [2, 2]
        told = two.logs[1].read_text()
        assert "process 0 has another config than this one (seed: 0 -> 3); accepted" in told
        assert "process 1 of this run has ended with status 2" in two.logs[0].read_text()
