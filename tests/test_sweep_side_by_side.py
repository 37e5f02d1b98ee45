"""Members as ordinary runs in threads: each is the run alone to the last bit, whatever becomes of the others."""

import json
import os
import shutil
import signal
import threading

import pytest

from aejax import host, main, train
from aejax.checkpoint import LANE, Checkpoints
from aejax.errors import UserError
from aejax.sweep import run, side_by_side
from aejax.sweep.members import DIVERGED
from aejax.trainer import Trainer
from tests import sweeps

SIDE = {"sweep.placement": "side_by_side", "sweep.at_once": 2}


@pytest.fixture(scope="module", autouse=True)
def small():
    with sweeps.small():
        yield


def alone(member, folder):
    """The member's config in a workdir of its own."""
    workdir = folder / str(member.number)
    assert train.run(member.config, workdir) == 0
    return workdir


def assert_merged(config, workdir):
    """The sweep's lines are those of all members, and no others."""
    every = sweeps.every(config, workdir)
    for member in every:
        assert sweeps.merged(workdir, member) == sweeps.lines(member.workdir)
    assert len(sweeps.lines(workdir)) == sum(len(sweeps.lines(member.workdir)) for member in every)


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """The config and workdir of a sweep of four members of two programs, two at a time, and the runs alone."""
    config = sweeps.config("wta", {**SIDE, "sweep.seed": "0,1", "sweep.code.size": "32,16", "log.figure_epochs": (2,)})
    workdir = tmp_path_factory.mktemp("grid")
    assert run.run(config, workdir / "sweep") == 0
    return config, workdir / "sweep"


def test_members_are_the_runs_alone_bit_for_bit(grid, tmp_path):
    assert_merged(*grid)
    for member in sweeps.every(*grid)[1:3]:
        sweeps.assert_same(member.workdir, alone(member, tmp_path))
        assert not (member.workdir / LANE).exists() and Checkpoints(member.workdir).steps() == [6]
        drawn = [folder / "figures" / "epoch_0002.png" for folder in (member.workdir, tmp_path / str(member.number))]
        assert drawn[0].read_bytes() == drawn[1].read_bytes()


def test_members_at_their_end_are_not_trained_again(grid, monkeypatch):
    config, workdir = grid
    before = (workdir / "metrics.jsonl").read_bytes()
    monkeypatch.setattr(Trainer, "__init__", lambda *_: pytest.fail("nobody is to be trained"))
    assert run.run(config, workdir) == 0
    assert (workdir / "metrics.jsonl").read_bytes() == before


def test_a_member_may_be_gone_on_with_as_an_ordinary_run(grid, capsys):
    member = sweeps.every(*grid)[1]
    assert train.run(member.config, member.workdir) == 0
    assert "is finished" in capsys.readouterr().out


def test_one_at_a_time_on_all_devices_is_the_run_alone_there(tmp_path):
    """And no member waits for another's devices."""
    config = sweeps.config("shallow", {**SIDE, "sweep.seed": "0,1", "sweep.at_once": 1, "mesh.devices": 8})
    assert run.run(config, tmp_path / "sweep") == 0
    last = sweeps.every(config, tmp_path / "sweep")[-1]
    sweeps.assert_same(last.workdir, alone(last, tmp_path))


def test_several_at_a_time_take_one_device_of_all_there_are(tmp_path):
    config = sweeps.config("shallow", {**SIDE, "sweep.seed": "0,1,2", "sweep.at_once": 3, "mesh.devices": 0})
    assert run.run(config, tmp_path / "sweep") == 0
    on_one = sweeps.config("shallow", {"sweep.seed": "0,1,2"})
    here, there = (sweeps.every(c, tmp_path / "sweep")[-1] for c in (config, on_one))
    sweeps.assert_same(here.workdir, alone(there, tmp_path))


def test_stacks_trained_greedily_are_those_of_the_runs_alone(tmp_path):
    changes = {"encoder.widths": (8,), "code.size": 4, "greedy.epochs": 1, "train.epochs": 1}
    config = sweeps.config("stacked", {**SIDE, **changes, "sweep.corruption.rate": "0.1,0.3"})
    assert run.run(config, tmp_path / "sweep") == 0
    assert_merged(config, tmp_path / "sweep")
    last = sweeps.every(config, tmp_path / "sweep")[-1]
    sweeps.assert_same(last.workdir, alone(last, tmp_path))
    for layer in ("layer_1", "layer_2"):
        sweeps.assert_same(last.workdir / layer, tmp_path / "1" / layer)


# -- stopped

STEPWISE = {**SIDE, "sweep.seed": "0,1,2", "train.steps_per_call": 1, "eval.test": True}


@pytest.fixture(scope="module")
def stepwise(tmp_path_factory):
    """The workdirs of the runs alone."""
    folder = tmp_path_factory.mktemp("stepwise")
    return [alone(member, folder) for member in sweeps.every(sweeps.config("shallow", STEPWISE), folder)]


def stop_at(monkeypatch, member, step):
    """Have the process asked to stop once a member has taken a step; it goes on when the main thread has noted it."""
    noted, note, update = threading.Event(), host.Signals._note, side_by_side.MemberProgress.update

    def updated(self, at, *given):
        update(self, at, *given)
        if (self._member, at) == (member, step):
            os.kill(os.getpid(), signal.SIGTERM)
            assert noted.wait(60)

    monkeypatch.setattr(host.Signals, "_note", lambda self, *given: (note(self, *given), noted.set()))
    monkeypatch.setattr(side_by_side.MemberProgress, "update", updated)


def test_stopped_by_a_signal_it_goes_on_to_the_same_end(stepwise, tmp_path, monkeypatch, capsys):
    config = sweeps.config("shallow", STEPWISE)
    with monkeypatch.context() as patch:
        stop_at(patch, 1, 5)
        assert run.run(config, tmp_path) == 128 + signal.SIGTERM
    assert "stopped; the same command goes on from there" in capsys.readouterr().out
    every = sweeps.every(config, tmp_path)
    assert Checkpoints(every[1].workdir).steps() == [5]
    for folder in (tmp_path, every[1].workdir):  # as a kill leaves them
        with (folder / "metrics.jsonl").open("a") as file:
            file.write('{"member": 1, "sett')
    assert run.run(config, tmp_path) == 0
    assert_merged(config, tmp_path)
    for member, expected in zip(every, stepwise, strict=True):
        sweeps.assert_same(member.workdir, expected)


def test_lines_of_steps_that_were_lost_are_written_once(stepwise, tmp_path, monkeypatch):
    """Killed after the lines of an epoch and before its checkpoint, of which those of the sweep were cut too."""
    config = sweeps.config("shallow", STEPWISE)
    with monkeypatch.context() as patch:
        stop_at(patch, 0, 2)
        run.run(config, tmp_path)
    line = {"step": 3, "epoch": 1, "split": "train", "loss": 1.0}
    for folder, more in ((tmp_path, {"member": 0, "settings": {"seed": 0}}), (tmp_path / "members" / "0", {})):
        with (folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({**more, **line}) + "\n")
    assert run.run(config, tmp_path) == 0
    assert_merged(config, tmp_path)
    sweeps.assert_same(tmp_path / "members" / "0", stepwise[0])


def test_what_was_begun_side_by_side_goes_on_so_and_the_others_where_they_are_told_to(stepwise, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(patch, 0, 2)
        run.run(sweeps.config("shallow", {**STEPWISE, "sweep.at_once": 1}), tmp_path)
    config = sweeps.config("shallow", {**STEPWISE, "sweep.placement": "stacked"})
    assert run.run(config, tmp_path) == 0
    first, *others = sweeps.every(config, tmp_path)
    assert [(m.workdir / LANE).exists() for m in (first, *others)] == [False, True, True]
    sweeps.assert_same(first.workdir, stepwise[0])


# -- failing


def test_a_member_whose_loss_is_not_finite_leaves_the_others(tmp_path, capsys):
    config = sweeps.config("shallow", {**SIDE, "sweep.optim.learning_rate": "1e-3,1e30,3e-3"})
    assert run.run(config, tmp_path / "sweep") == 0
    assert_merged(config, tmp_path / "sweep")
    _, bad, last = sweeps.every(config, tmp_path / "sweep")
    sweeps.assert_same(last.workdir, alone(last, tmp_path))
    assert (bad.workdir / DIVERGED).read_text().startswith("the loss is not finite at step 2;")
    assert "member 1 (optim.learning_rate 1e+30): the loss is not finite" in capsys.readouterr().out
    assert run.run(config, tmp_path / "sweep") == 0 and Checkpoints(bad.workdir).steps() == []


def test_a_members_mistake_stops_all_and_the_others_are_saved(grid, tmp_path, capsys):
    """One starts from a run that is not there; once it is, the same command goes on."""
    source = sweeps.every(*grid)[2]
    workdirs = f"{source.workdir},{tmp_path}/missing"
    flags = ["train.batch_size=20", "train.epochs=300", "train.steps_per_call=1", "mesh.devices=1"]
    flags += ["log.tensorboard=False", "log.figure_epochs=()", "sweep.placement=side_by_side", "sweep.at_once=2"]
    given = [f"--config.{flag}" for flag in (*flags, f"sweep.start.workdir={workdirs}", "encoder.bias_init=0.1")]
    command = ["aejax", "--config=configs/wta.py:tiny", f"--workdir={tmp_path}/sweep", *given]
    assert main.main(command) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and f"{tmp_path}/missing" in err and "no run in" in err
    (step,) = Checkpoints(tmp_path / "sweep" / "members" / "0").steps()
    assert step < 900
    shutil.copytree(source.workdir, tmp_path / "missing")
    assert main.main(command) == 0
    for number in (0, 1):
        assert Checkpoints(tmp_path / "sweep" / "members" / str(number)).steps()[-1] == 900


def test_so_many_at_once_and_each_member_once(tmp_path, monkeypatch):
    lock, together, now, seen = threading.Lock(), threading.Barrier(3), [], []

    def trained(config, workdir, host):
        with lock:
            now.append(config.seed)
            seen.append(config.seed)
            assert len(now) <= 3
        together.wait(60)
        with lock:
            now.remove(config.seed)
        together.wait(60)
        return 0

    monkeypatch.setattr(side_by_side.train, "run", trained)
    config = sweeps.config("shallow", {**SIDE, "sweep.seed": "0:11:12", "sweep.at_once": 3})
    assert run.run(config, tmp_path) == 0
    assert sorted(seen) == list(range(12))


def test_those_that_take_longest_begin_first(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(side_by_side.train, "run", lambda config, *_: seen.append(config.train.epochs) or 0)
    config = sweeps.config("shallow", {**SIDE, "sweep.train.epochs": "1,9,5", "sweep.at_once": 1})
    assert run.run(config, tmp_path) == 0
    assert seen == [9, 5, 1]


def test_what_any_member_raises_is_raised(tmp_path, monkeypatch):
    def fail(config, *_):
        raise UserError(f"seed {config.seed}") if config.seed == 1 else KeyError

    monkeypatch.setattr(side_by_side.train, "run", fail)
    with pytest.raises(UserError, match="seed 1"):
        run.run(sweeps.config("shallow", {**SIDE, "sweep.seed": "1,1", "sweep.at_once": 1}), tmp_path)
