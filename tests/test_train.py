"""The loop: what a run leaves behind, and that being killed changes nothing of it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

import aejax
from aejax import devices, files, logs, train
from aejax.checkpoint import Checkpoints
from aejax.errors import UserError
from tests import configurations

pytestmark = pytest.mark.usefixtures("all_optimised")

ROOT = configurations.ROOT
OFTEN = {"train.epochs": 4, "train.steps_per_call": 5, "checkpoint.seconds": 0.0, "checkpoint.best": True}


def arrays(workdir):
    """Every array and the JSON of the newest checkpoint, and the metrics."""
    run = aejax.load(workdir)
    trainer = train.Trainer(run.config, run.dataset(), devices.mesh(1))
    saved = Checkpoints(workdir).read(run.step, {}).meta
    step, items, meta = Checkpoints(workdir).read(run.step, trainer.templates(saved | {"best_step": 0}))
    return step, items, meta, (workdir / logs.METRICS).read_text()


def assert_same_end(a, b):
    (step_a, items_a, meta_a, metrics_a), (step_b, items_b, meta_b, metrics_b) = arrays(a), arrays(b)
    assert (step_a, meta_a) == (step_b, meta_b)
    assert metrics_a == metrics_b
    assert items_a.keys() == items_b.keys() >= {"params", "opt_state", "best"}
    jax.tree.map(np.testing.assert_array_equal, items_a, items_b)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The workdir of a run of four epochs of twelve steps."""
    workdir = tmp_path_factory.mktemp("uninterrupted") / "run"
    assert train.run(configurations.load("wta", OFTEN), workdir) == 0
    return workdir


def test_metrics_have_the_promised_names_at_every_evaluation(uninterrupted):
    lines = files.read_lines(uninterrupted / logs.METRICS)
    assert [(line["step"], line["epoch"], line["split"]) for line in lines] == [
        *((12 * e, e, split) for e in (1, 2, 3, 4) for split in ("train", "valid")),
        (48, 4, "test"),
    ]
    for line in lines:
        names = ["loss", "reconstruction", "reconstruction_per_pixel"]
        names += ["active_units", "dead_units"] if line["split"] != "train" else []
        assert list(line) == ["step", "epoch", "split", *names]
        assert line["reconstruction_per_pixel"] == pytest.approx(line["reconstruction"] / 64)
    assert lines[-3]["loss"] < lines[0]["loss"], "train, in the last epoch and in the first"


def test_penalties_are_logged_unweighted_under_their_key(tmp_path):
    config = configurations.load("shallow", {"loss.l1": 0.25, "train.epochs": 1})
    train.run(config, tmp_path)
    for line in files.read_lines(tmp_path / logs.METRICS):
        assert line["loss"] == pytest.approx(line["reconstruction"] + 0.25 * line["l1"], rel=1e-5)


def test_the_best_weights_are_kept_beside_the_newest(tmp_path):
    """A rate that makes a mess of it late: the best valid loss is not the last."""
    config = configurations.load("shallow", {"train.epochs": 6, "optim.schedule": "step", "optim.factor": 3e4})
    train.run(config, tmp_path)
    lines = files.read_lines(tmp_path / logs.METRICS)
    valid = {line["step"]: line["loss"] for line in lines if line["split"] == "valid"}
    best, last = aejax.load(tmp_path, best=True), aejax.load(tmp_path)
    assert best.step == min(valid, key=valid.get) < last.step == max(valid)
    data = best.dataset().valid.images
    error = np.square(best.reconstruct(data) - best.prepare(data)).sum()
    assert error < np.square(last.reconstruct(data) - last.prepare(data)).sum()


def test_early_stopping_stops_when_patience_is_out_and_goes_no_further_when_started_again(tmp_path, capsys):
    changes = {"train.epochs": 30, "train.early_stopping": 2, "optim.schedule": "step", "optim.milestones": (0.1,)}
    config = configurations.load("shallow", {**changes, "optim.factor": 3e4})
    assert train.run(config, tmp_path) == 0
    valid = [line["loss"] for line in files.read_lines(tmp_path / logs.METRICS) if line["split"] == "valid"]
    assert len(valid) < 30
    assert int(np.argmin(valid)) == len(valid) - 3
    before = (tmp_path / logs.METRICS).read_text()
    assert train.run(config, tmp_path) == 0
    assert "is finished" in capsys.readouterr().out
    assert (tmp_path / logs.METRICS).read_text() == before


class Killed(BaseException):
    pass


@pytest.mark.parametrize(
    "place, occurrence",
    [
        ("aejax.train.Trainer.save", 1),  # before the first checkpoint
        ("aejax.train.Trainer.save", 4),  # within an epoch
        ("aejax.logs._append", 3),  # before a line of metrics
        ("aejax.logs._append", 7),
        ("aejax.train.Trainer.note_valid", 3),  # after the line of an epoch, before its checkpoint
        ("aejax.train.finish", 1),
        ("aejax.train.Trainer.save", 13),  # after the line of test, before the run is marked as finished
    ],
)
def test_killed_at_any_place_it_ends_the_same(uninterrupted, tmp_path, monkeypatch, place, occurrence):
    calls = []

    with monkeypatch.context() as patch:
        module, _, name = place.rpartition(".")
        parts = module.split(".")
        owner = sys.modules[".".join(parts[:2])]
        owner = getattr(owner, parts[2]) if len(parts) > 2 else owner
        original = getattr(owner, name)

        def kill(*args, **kwargs):
            calls.append(1)
            if len(calls) == occurrence:
                raise Killed
            return original(*args, **kwargs)

        patch.setattr(owner, name, kill)
        with pytest.raises(Killed):
            train.run(configurations.load("wta", OFTEN), tmp_path)
    assert train.run(configurations.load("wta", OFTEN), tmp_path) == 0
    assert_same_end(uninterrupted, tmp_path)


def start(workdir, *arguments):
    flags = [f"--config.{k}={v}" for k, v in OFTEN.items()]
    command = [sys.executable, "-m", "aejax.main", "--config=configs/wta.py:tiny", f"--workdir={workdir}", *flags]
    return subprocess.Popen(
        [*command, "--config.mesh.devices=1", *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env={**os.environ, "JAX_PLATFORMS": "cpu"},
    )  # fmt: skip


def wait_for_step(workdir, step, process):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if any(s >= step for s in Checkpoints(workdir).steps()):
            return
        time.sleep(0.01)


def test_kill_9_and_sigterm_for_real(tmp_path):
    """One killed, then asked to stop, then let go; the other never touched; both in processes of their own."""
    other = start(tmp_path / "other")
    killed = start(tmp_path / "run")
    wait_for_step(tmp_path / "run", 10, killed)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    steps = Checkpoints(tmp_path / "run").steps()
    stopped = start(tmp_path / "run")
    wait_for_step(tmp_path / "run", steps[-1] + 10, stopped)
    stopped.send_signal(signal.SIGTERM)
    out, err = stopped.communicate(timeout=120)
    assert (stopped.returncode, "Traceback" in err) == (143, False) or "48 steps" in out  # unless it was done already
    last = start(tmp_path / "run")
    out, err = last.communicate(timeout=120)
    assert last.returncode == 0, err
    assert other.wait(timeout=120) == 0
    assert_same_end(tmp_path / "run", tmp_path / "other")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of tensorstore, interrupted
@pytest.mark.parametrize("damage", ["truncate", "truncate all", "remove", "remove item", "remove best", "empty"])
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(uninterrupted, tmp_path, capsys, damage):
    workdir = tmp_path / "run"
    shutil.copytree(uninterrupted, workdir)
    newest = workdir / "checkpoints" / "48"
    arrays_file = max((p for p in (newest / "params").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    if damage.startswith("truncate"):
        for file in newest.rglob("*"):
            if file == arrays_file or (damage == "truncate all" and file.is_file()):
                os.truncate(file, file.stat().st_size // 2)
    elif damage == "remove":
        arrays_file.unlink()
    elif damage.startswith("remove"):
        shutil.rmtree(newest / {"remove item": "params", "remove best": "best"}[damage])
    else:
        shutil.rmtree(newest)
        newest.mkdir()
    assert aejax.load(workdir, best=damage == "remove best").step <= 46
    assert train.run(configurations.load("wta", OFTEN), workdir) == 0
    out, err = capsys.readouterr()
    assert "checkpoint 48 cannot be read" in err and "going on from step 46" in out
    assert_same_end(uninterrupted, workdir)


def test_a_removed_newest_checkpoint_falls_back_too(uninterrupted, tmp_path):
    shutil.copytree(uninterrupted, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "48")
    assert train.run(configurations.load("wta", OFTEN), tmp_path / "run") == 0
    assert_same_end(uninterrupted, tmp_path / "run")


def test_streamed_data_train_the_same_weights(uninterrupted, tmp_path):
    assert train.run(configurations.load("wta", {**OFTEN, "data.device_bytes": 40_000}), tmp_path) == 0
    assert_same_end(uninterrupted, tmp_path)


def test_another_config_is_refused_and_the_keys_that_differ_are_named(uninterrupted, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(uninterrupted, workdir)
    with pytest.raises(UserError, match=r"code\.rate: 0\.05 -> 0\.5; seed: 0 -> 3"):
        train.run(configurations.load("wta", {**OFTEN, "seed": 3, "code.rate": 0.5}), workdir)
    assert train.run(configurations.load("wta", {**OFTEN, "train.steps_per_call": 1, "mesh.devices": 2}), workdir) == 0
    assert json.loads((workdir / "config.json").read_text())["seed"] == 0


def test_a_run_from_before_a_key_had_its_default(uninterrupted, tmp_path):
    """It is read, and goes on."""
    workdir = tmp_path / "run"
    shutil.copytree(uninterrupted, workdir)
    written = json.loads((workdir / "config.json").read_text())
    del written["precision"], written["loss"]["warmup"], written["mesh"]
    (workdir / "config.json").write_text(json.dumps(written))
    assert aejax.load(workdir).config.precision == "float32"
    assert train.run(configurations.load("wta", OFTEN), workdir) == 0
    with pytest.raises(UserError, match='precision: "float32" -> "bfloat16"'):
        train.run(configurations.load("wta", {**OFTEN, "precision": "bfloat16"}), workdir)


def test_two_processes_do_not_train_in_one_workdir(tmp_path, monkeypatch):
    config = configurations.load("wta", OFTEN)

    def second(*_):
        with pytest.raises(UserError, match="another process"):
            train.run(config, tmp_path)

    monkeypatch.setattr(train, "finish", second)
    train.run(config, tmp_path)


def test_a_non_finite_loss_stops_and_names_the_step_and_the_last_good_checkpoint(tmp_path):
    changes = {"optim.name": "sgd", "optim.learning_rate": 1e-4, "optim.schedule": "step", "optim.factor": 1e30}
    config = configurations.load("wta", {**OFTEN, **changes})  # at step 24 the rate becomes 1e26
    with pytest.raises(UserError, match=r"not finite at step 26; the last good checkpoint is step 24"):
        train.run(config, tmp_path)
    assert Checkpoints(tmp_path).steps()[-1] == 24


def test_a_full_disk_is_told_in_a_line_and_loses_nothing(uninterrupted, tmp_path, monkeypatch):
    save, saved = train.Trainer.save, []

    def fill(self, checkpoints):
        if len(saved) == 3:
            raise OSError(28, "No space left on device", "array")
        saved.append(self.step)
        save(self, checkpoints)

    monkeypatch.setattr(train.Trainer, "save", fill)
    with pytest.raises(UserError, match="the disk is full; the checkpoint of step 12 is whole"):
        train.run(configurations.load("wta", OFTEN), tmp_path)
    monkeypatch.undo()
    assert train.run(configurations.load("wta", OFTEN), tmp_path) == 0
    assert_same_end(uninterrupted, tmp_path)


def test_a_disk_that_is_nearly_full_is_told_before_anything_is_written(uninterrupted, tmp_path, monkeypatch):
    shutil.copytree(uninterrupted, tmp_path / "run")
    checkpoints = Checkpoints(tmp_path / "run", keep=2)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=300_000))
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(60, {"params": np.ones(10_000)}, {})
    assert sorted(p.name for p in checkpoints.folder.iterdir()) == ["46", "48"]


def test_a_checkpoint_is_replaced_only_by_a_whole_one(uninterrupted, tmp_path, monkeypatch):
    shutil.copytree(uninterrupted, tmp_path / "run")
    checkpoints = Checkpoints(tmp_path / "run", keep=2)

    def fail(*_, **__):
        raise ValueError("RESOURCE_EXHAUSTED: No space left on device")

    monkeypatch.setattr(ocp.CheckpointManager, "save", fail)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(48, {"params": np.ones(3)}, {})
    monkeypatch.undo()
    assert checkpoints.steps() == [46, 48]
    (checkpoints.folder / "48").rename(checkpoints.folder / "replaced_48")  # killed between the two
    assert train.run(configurations.load("wta", OFTEN), tmp_path / "run") == 0
    assert_same_end(uninterrupted, tmp_path / "run")


def test_other_data_under_the_same_name_are_refused(tmp_path, rng):
    images = rng.integers(0, 256, (60, 8, 8)).astype(np.uint8)
    config = configurations.load("wta", {**OFTEN, "data.name": f"npz:{tmp_path}/own.npz", "train.batch_size": 20})
    np.savez(tmp_path / "own.npz", images=images)
    train.run(config, tmp_path / "run")
    np.savez(tmp_path / "own.npz", images=images[::-1])
    with pytest.raises(UserError, match=r"other images than the run began with.*\(CRC"):
        train.run(config, tmp_path / "run")


def test_weights_that_are_not_finite_are_never_saved(tmp_path, monkeypatch):
    stretch = train.Trainer.train_figures

    def spoil(self):
        if self.step == 17:
            self.state = self.state.replace(params=jax.tree.map(lambda a: a * np.nan, self.state.params))
        return stretch(self)

    monkeypatch.setattr(train.Trainer, "train_figures", spoil)
    with pytest.raises(UserError, match="weights are not finite after step 17; the last good checkpoint is step 12"):
        train.run(configurations.load("wta", OFTEN), tmp_path)
    assert Checkpoints(tmp_path).steps()[-1] == 12


def test_figures_and_event_files_are_written_from_the_start(tmp_path):
    config = configurations.load("wta", {"log.figure_epochs": (0, 2), "log.tensorboard": True})
    train.run(config, tmp_path)
    assert sorted(p.name for p in (tmp_path / "figures").iterdir()) == ["epoch_0000.png", "epoch_0002.png"]
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert events.stat().st_size > 500


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("topk", {"code.name": "batch_top_k"}),
        ("vqvae", {}),
        ("hashing", {"encoder.norm": "batch", "encoder.dropout": 0.2}),
        ("classifier", {"eval.test": True}),
    ],
)
def test_what_parts_keep_beside_parameters_survives_a_stop(name, changes, tmp_path, monkeypatch):
    """Counts of silence and thresholds, codebooks, running statistics, noise that stays fixed; and test's curve."""
    config = configurations.load(name, {"train.steps_per_call": 7, "checkpoint.best": True, **changes})
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert train.run(config, whole) == 0
    calls, took = [], train.Pace.took

    def stop(self, steps, seconds):
        calls.append(steps)
        if len(calls) in (2, 3):
            os.kill(os.getpid(), signal.SIGTERM)
        took(self, steps, seconds)

    monkeypatch.setattr(train.Pace, "took", stop)
    assert [train.run(config, broken) for _ in range(3)] == [128 + signal.SIGTERM, 128 + signal.SIGTERM, 0]
    assert_same_end(whole, broken)
    assert aejax.load(broken, best=True).variables.keys() == aejax.load(broken).variables.keys()
