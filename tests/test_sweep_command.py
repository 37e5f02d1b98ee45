"""Sweeps from the command line: what is refused before anything is trained, and what is told at the end."""

import pytest

import aejax
from aejax import files, main
from aejax.errors import UserError
from tests import configurations

TINY = ["--config=configs/shallow.py:tiny", "--config.train.epochs=1", "--config.log.tensorboard=false"]
TINY += ["--config.log.figure_epochs=()", "--config.mesh.devices=1"]
BOLD = ["--config.optim.name=sgd", "--config.loss.likelihood=squared_error"]


@pytest.fixture
def sweep(tmp_path, monkeypatch, capsys):
    """Runs the command with these arguments: status, out, err, workdir."""
    monkeypatch.chdir(configurations.ROOT)

    def sweep(*arguments):
        status = main.main(["aejax", *TINY, f"--workdir={tmp_path / 'run'}", *arguments])
        return status, *capsys.readouterr(), tmp_path / "run"

    return sweep


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["--config.sweep.data.labels=100,5"], "member 1 (data.labels 5): config.train.batch_size=32 but train has 5"),
        (["--config.sweep.train.batch_size=20,5000"], "member 1 (train.batch_size 5000): config.train.batch_size=5000"),
        (["--config.sweep.data.name=digits,nosuch"], "member 1 (data.name nosuch): "),
        (["--config.sweep.seed="], "config.sweep.seed= names no value"),
        (["--config.sweep.seed=0,,1"], "has an empty place"),
        (["--config.sweep.combine=random", "--config.sweep.seed=0,1"], "config.sweep.combine='random' draws nothing"),
        (["--config.sweep.draws=3", "--config.sweep.seed=0,1"], "config.sweep.draws is read with"),
        (["--config.sweep.at_once=3"], "config.sweep.at_once says how, and nothing what"),
    ],
)
def test_a_mistake_is_told_before_anything_is_trained_or_written(sweep, arguments, told):
    status, out, err, workdir = sweep(*arguments)
    assert (status, out, err.count("\n")) == (2, "", 1) and told in err
    assert not (workdir / "config.json").exists() and not (workdir / "members").exists()


def test_members_that_all_diverge_are_a_failure_that_is_told(sweep):
    status, out, err, workdir = sweep(*BOLD, "--config.sweep.optim.learning_rate=1e30,1e29")
    assert status == 2 and "every member" in err and err.count("\n") == 1
    assert out.count("is not finite") == 2 and "diverged" in (workdir / "sweep.csv").read_text()
    with pytest.raises(UserError, match="is not finite at step"):
        aejax.load(workdir, member=0)


def test_one_that_diverges_stops_nobody(sweep):
    status, out, err, workdir = sweep(*BOLD, "--config.sweep.optim.learning_rate=1e30,1e-3")
    assert status == 0 and not err and (workdir / "members" / "0" / "diverged.txt").exists()
    assert aejax.load(workdir, best=True).workdir == workdir / "members" / "1"
    assert {line["member"] for line in files.read_lines(workdir / "metrics.jsonl")} == {1}
    with pytest.raises(UserError, match="accepted: --member=0 to 1, --best, or a path"):
        aejax.load(workdir)
    with pytest.raises(UserError, match="member='1'; accepted: a whole number"):
        aejax.load(workdir, member="1")


def test_a_sweep_that_is_finished_tells_its_table_again(sweep):
    given = ["--config.sweep.seed=3,4", "--config.sweep.placement=stacked"]
    first = sweep(*given)
    again = sweep(*given)
    assert first[0] == again[0] == 0 and "best" in first[1]
    table = lambda out: out[out.index("best") :]  # noqa: E731
    assert table(first[1]) == table(again[1]) and "examples/s" not in again[1]
