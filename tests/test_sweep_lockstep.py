"""The loop over a stack: being stopped changes nothing of it, and each member comes to its own end."""

import shutil
import signal

import pytest

import aejax
from aejax import checkpoint, files, train
from aejax.errors import Diverged
from aejax.sweep import lockstep, metrics, run
from aejax.sweep.members import DIVERGED
from aejax.sweep.stack import Stack
from tests import sweeps

CLOSE = {"rtol": 2e-4, "atol": 2e-5}
STACKED = {"sweep.placement": "stacked", "sweep.at_once": 8}
OFTEN = {**STACKED, "sweep.seed": "0,1", "eval.test": True}
OFTEN |= {"train.steps_per_call": 2, "checkpoint.seconds": 0.0}  # calls end at steps 2, 3, 5 and 6


@pytest.fixture(scope="module", autouse=True)
def small():
    with sweeps.small():
        yield


def often(count=1, **changes):
    return sweeps.config("topk", {**OFTEN, "mesh.devices": count, **changes})


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The workdir of a sweep of two members, six steps each."""
    workdir = tmp_path_factory.mktemp("uninterrupted")
    assert run.run(often(**{"train.steps_per_call": 0, "checkpoint.seconds": 1e6}), workdir) == 0
    return workdir


def assert_same_members(config, a, b, **tolerance):
    for one, other in zip(sweeps.every(config, a), sweeps.every(config, b), strict=True):
        sweeps.assert_same(one.workdir, other.workdir, **tolerance)
        for workdir, member in ((a, one), (b, other)):
            assert sweeps.merged(workdir, member) == sweeps.lines(member.workdir)


class Killed(BaseException):
    pass


def on_call(patch, owner, name, number, do):
    """Do something at a function's call of this number, from 1, before it."""
    original, calls = getattr(owner, name), []

    def wrapped(*args, **given):
        calls.append(1)
        if len(calls) == number:
            do()
        return original(*args, **given)

    patch.setattr(owner, name, wrapped)


def stop():
    signal.raise_signal(signal.SIGTERM)


def kill():
    raise Killed


@pytest.mark.parametrize(("call", "step"), [(2, 3), (3, 5)])
def test_stopped_by_a_signal_it_ends_the_same_bit_for_bit(uninterrupted, tmp_path, monkeypatch, capsys, call, step):
    with monkeypatch.context() as patch:
        on_call(patch, Stack, "advance", call, stop)
        assert run.run(often(), tmp_path) == 128 + signal.SIGTERM
    assert "stopped; the same command goes on from there" in capsys.readouterr().out
    lanes = [checkpoint.of(tmp_path / "members" / str(i)) for i in range(2)]
    assert [lane.steps()[-1] for lane in lanes] == [step] * 2
    assert run.run(often(), tmp_path) == 0
    assert_same_members(often(), uninterrupted, tmp_path)
    before = (tmp_path / "metrics.jsonl").read_bytes()
    assert run.run(often(), tmp_path) == 0, "and all are at their end"
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("owner", "name", "number"),
    [
        (files, "write_json", 2),  # when some members have been told where it lies, and others not
        (Stack, "save", 2),  # after the lines of the first epoch, before its checkpoint
        (metrics.Merged, "write", 4),  # between a member's own line and the sweep's
        (lockstep._Loop, "end", 3),  # after the last epoch, before anybody has ended
    ],
)
def test_killed_at_any_place_it_ends_the_same(uninterrupted, tmp_path, monkeypatch, owner, name, number):
    with monkeypatch.context() as patch:
        on_call(patch, owner, name, number, kill)
        with pytest.raises(Killed):
            run.run(often(), tmp_path)
    assert run.run(often(), tmp_path) == 0
    assert_same_members(often(), uninterrupted, tmp_path)


def test_it_goes_on_with_fewer_devices(uninterrupted, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        on_call(patch, Stack, "advance", 3, stop)
        assert run.run(often(2), tmp_path) == 128 + signal.SIGTERM
    assert run.run(often(), tmp_path) == 0
    assert_same_members(often(), uninterrupted, tmp_path, **CLOSE)


def test_a_newest_checkpoint_that_cannot_be_read_falls_back_to_the_one_before(
    uninterrupted, tmp_path, monkeypatch, capsys
):
    with monkeypatch.context() as patch:
        on_call(patch, Stack, "advance", 3, stop)
        run.run(often(), tmp_path)
    shutil.rmtree(tmp_path / "stacks" / "0" / "checkpoints" / "5" / "params")
    assert aejax.load(tmp_path / "members" / "1").step == 3
    assert run.run(often(), tmp_path) == 0
    assert "checkpoint 5 cannot be read" in capsys.readouterr().err
    assert_same_members(often(), uninterrupted, tmp_path)


# -- ends


IMPATIENT = {**STACKED, "optim.schedule": "step", "optim.milestones": (0.3,), "train.epochs": 5, "eval.test": True}
IMPATIENT |= {"sweep.combine": "zipped", "sweep.optim.factor": "1.0,1e3,1.0", "sweep.train.early_stopping": "1,1,0"}


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    """The config and workdir of a sweep one of whose members gets worse, and stops."""
    config = sweeps.config("shallow", IMPATIENT)
    workdir = tmp_path_factory.mktemp("impatient")
    assert run.run(config, workdir) == 0
    return config, workdir


def test_whose_patience_is_out_stops_where_the_run_alone_does_and_others_go_on(impatient, tmp_path):
    config, workdir = impatient
    assert [folder.name for folder in (workdir / "stacks").iterdir()] == ["0"], "they train together"
    steps, tested = [], []
    for member in sweeps.every(config, workdir):
        assert train.run(member.config, tmp_path / str(member.number)) == 0
        sweeps.assert_same(member.workdir, tmp_path / str(member.number), **CLOSE)
        assert sweeps.merged(workdir, member) == sweeps.lines(member.workdir)
        steps.append(sweeps.left(member.workdir)[0]["step"])
        tested.append([line["step"] for line in sweeps.lines(member.workdir) if line["split"] == "test"])
    assert steps == [15, 6, 15]
    assert tested == [[3, 6, 9, 12, 15], [3, 6], [3, 6, 9, 12, 15]]


def test_an_impatient_member_stays_at_its_end_when_the_others_are_stopped_and_go_on(impatient, tmp_path, monkeypatch):
    config, workdir = impatient
    often = sweeps.config("shallow", {**IMPATIENT, "train.steps_per_call": 3, "checkpoint.seconds": 0.0})
    with monkeypatch.context() as patch:
        on_call(patch, Stack, "advance", 3, stop)
        assert run.run(often, tmp_path) == 128 + signal.SIGTERM
    assert run.run(often, tmp_path) == 0
    assert_same_members(config, workdir, tmp_path)


def test_a_member_whose_loss_is_not_finite_leaves_the_others_as_they_are(tmp_path, capsys):
    ended = {}
    for rates in ("1e-3,1e-3,3e-3", "1e-3,1e30,3e-3"):
        changes = {"sweep.combine": "zipped", "sweep.optim.learning_rate": rates}
        config = sweeps.config("shallow", {**STACKED, **changes})
        assert run.run(config, tmp_path / rates) == 0
        ended[rates] = sweeps.every(config, tmp_path / rates)
    for fine, beside in zip(*ended.values(), strict=True):
        assert (beside.workdir / DIVERGED).exists() == (beside.number == 1)
        if beside.number != 1:
            sweeps.assert_same(fine.workdir, beside.workdir)
    bad = ended["1e-3,1e30,3e-3"][1]
    with pytest.raises(Diverged) as error:
        train.run(bad.config, tmp_path / "alone")
    told = (bad.workdir / DIVERGED).read_text().partition(";")[0]
    assert told == str(error.value).partition(";")[0] == "the loss is not finite at step 2"
    assert f"member 1 (optim.learning_rate 1e+30): {told}" in capsys.readouterr().out
    assert sweeps.lines(bad.workdir) == sweeps.lines(tmp_path / "alone") == []
    assert sweeps.left(bad.workdir)[0]["step"] == 1, "the weights that gave that loss"


def test_a_diverged_member_is_not_trained_again(tmp_path, monkeypatch):
    config = sweeps.config("shallow", {**STACKED, "sweep.optim.learning_rate": "1e-3,1e30"})
    assert run.run(config, tmp_path) == 0
    monkeypatch.setattr(Stack, "advance", lambda *_: pytest.fail("nobody is to be trained"))
    assert run.run(config, tmp_path) == 0


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_weights_that_are_not_finite_after_the_last_step_are_no_end(tmp_path):
    """The rate of the last step is infinite; no loss is computed with what comes of it."""
    changes = {"optim.schedule": "step", "optim.milestones": (0.8,), "sweep.optim.factor": "0.1,1e39"}
    config = sweeps.config("shallow", {**STACKED, **changes})
    assert run.run(config, tmp_path / "sweep") == 0
    fine, bad = sweeps.every(config, tmp_path / "sweep")
    with pytest.raises(Diverged, match="the weights are not finite after step 6"):
        train.run(bad.config, tmp_path / "alone")
    assert "the weights are not finite after step 6" in (bad.workdir / DIVERGED).read_text()
    assert not sweeps.left(bad.workdir)[1]["finished"] and sweeps.left(fine.workdir)[1]["finished"]
    splits = [[line["split"] for line in sweeps.lines(folder)] for folder in (bad.workdir, tmp_path / "alone")]
    assert splits[0] == splits[1] == ["train", "valid", "train", "valid", "test"]


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_a_layer_whose_loss_is_not_finite_stops_its_member_alone(tmp_path):
    changes = {"encoder.widths": (), "code.size": 8, "greedy.epochs": 1, "sweep.optim.learning_rate": "1e39,1e-3"}
    config = sweeps.config("stacked", {**STACKED, **changes})
    assert run.run(config, tmp_path) == 0
    bad, fine = sweeps.every(config, tmp_path)
    assert "the loss is not finite at step 2" in (bad.workdir / DIVERGED).read_text()
    train.run(fine.config, tmp_path / "alone")
    sweeps.assert_same(fine.workdir, tmp_path / "alone", **CLOSE)
