"""Several processes as one run: who is who, and that a run goes on whoever saved it, stopped or was lost."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from absl import flags

from aejax import cluster, distributed, train, workdirs
from aejax.checkpoint import Checkpoints
from aejax.cluster import Place
from aejax.errors import UserError
from tests import configurations

# -- who is who


def place(*given, **environment):
    values = flags.FlagValues()
    cluster.define(values)
    values(["aejax", *given])
    return cluster.place(values, environment)


VARIABLES = {"JAX_COORDINATOR_ADDRESS": "a:1", "JAX_NUM_PROCESSES": "3"}
SLURM = {"SLURM_JOB_ID": "4097", "SLURM_NTASKS": "4", "SLURM_PROCID": "2", "SLURM_STEP_NUM_NODES": "4"}
SLURM |= {"SLURM_LOCALID": "0"}


@pytest.mark.parametrize(
    ("given", "environment", "found"),
    [
        ([], {}, None),
        (["--coordinator=h:7", "--processes=2", "--process=1"], VARIABLES, Place("h:7", 2, 1)),
        (["--coordinator=auto"], {}, Place("", -1, -1)),
        ([], {**VARIABLES, "JAX_PROCESS_ID": "2"}, Place("a:1", 3, 2)),
        ([], {**VARIABLES, "JOB_COMPLETION_INDEX": "0"}, Place("a:1", 3, 0)),
        ([], {**VARIABLES, "JAX_NUM_PROCESSES": "1", "JAX_PROCESS_ID": "0"}, None),
        ([], {**SLURM, "SLURM_STEP_NODELIST": "node[007-010]"}, Place("node007:61441", 4, 2)),
        ([], {**SLURM, "SLURM_STEP_NODELIST": "tux,node[2,4-5]"}, Place("tux:61441", 4, 2)),
        ([], {**SLURM, "SLURM_STEP_NODELIST": "n", "SLURM_STEP_NUM_NODES": "1", "SLURM_LOCALID": "2"},
         Place("n:61441", 4, 2, 2)),
        ([], {**SLURM, "SLURM_STEP_NODELIST": "n", "SLURM_NTASKS": "1"}, None),
        ([], {"TPU_WORKER_HOSTNAMES": "a,b"}, Place("", -1, -1)),
        ([], {"TPU_WORKER_HOSTNAMES": "localhost"}, None),
    ],
)  # fmt: skip
def test_who_a_process_is(given, environment, found):
    assert place(*given, **environment) == found


@pytest.mark.parametrize(
    ("given", "environment", "told"),
    [
        (["--coordinator=h:7"], {}, "--coordinator=h:7 --processes=0 --process=-1: accepted"),
        (["--processes=2", "--process=1"], {}, "--coordinator= --processes=2"),
        (["--coordinator=h:7", "--processes=2", "--process=2"], {}, "--process=2: accepted"),
        (["--coordinator=h", "--processes=2", "--process=0"], {}, "--coordinator=h "),
        ([], VARIABLES, "JAX_PROCESS_ID=: accepted"),
        ([], {**VARIABLES, "JAX_PROCESS_ID": "3"}, "JAX_PROCESS_ID=3: accepted"),
    ],
)
def test_who_is_nobody_is_refused(given, environment, told):
    with pytest.raises(UserError, match=told):
        place(*given, **environment)


def test_alone_everything_is_agreed_on():
    assert distributed.first() and distributed.of_first([3, 4]) == [3, 4]
    assert distributed.told_by_all([5, 6]).tolist() == [[5, 6]]
    distributed.barrier("nobody to wait for")


# -- two real processes of four devices each


CONFIG = ["--config=configs/shallow.py:tiny", "--config.mesh.devices=0", "--config.log.tensorboard=false"]
CONFIG += ["--config.train.epochs=8", "--config.train.steps_per_call=20", "--config.checkpoint.seconds=0"]
CHANGES = {"mesh.devices": 0, "train.epochs": 8, "train.steps_per_call": 20, "checkpoint.seconds": 0.0}
LAST = 8 * 40


class Two:
    """Two processes that train as one run."""

    def __init__(self, *workdirs, log):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "4", "JAX_PLATFORMS": "cpu"}
        command = [sys.executable, "-m", "aejax.main", *CONFIG, f"--coordinator=127.0.0.1:{port}", "--processes=2"]
        self.logs = [(log.with_name(f"{log.name}_{i}")) for i in (0, 1)]
        self.processes = [
            subprocess.Popen(
                [*command, f"--process={i}", f"--workdir={workdirs[i % len(workdirs)]}"],
                stdout=self.logs[i].open("w"), stderr=subprocess.STDOUT, env=environment,
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
