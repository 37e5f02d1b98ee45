"""Runs whose data do not fit in memory: the same wherever they stop, on whatever devices, and like any other to ask."""

import json

import jax
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import aejax
from aejax import main, train
from aejax.checkpoint import Checkpoints
from aejax.data.records import Records
from tests import configurations

EPOCHS = 4


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder of 8×8 digits by class, some of them as test."""
    root = tmp_path_factory.mktemp("digits")
    x, y = load_digits(return_X_y=True)
    for i, (image, label) in enumerate(zip(x[:300].reshape(-1, 8, 8), y[:300], strict=True)):
        path = root / ("test" if i < 60 else "train") / str(label) / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 15).astype(np.uint8)).save(path)
    return root


def config(images, name="shallow", **changes):
    given = {"data.name": f"folder:{images}", "data.host_bytes": 0, "data.valid": 0.1, "train.batch_size": 20}
    given |= {"train.epochs": EPOCHS, "eval.batch_size": 50}
    return configurations.load(name, {**given, **changes})


def lines(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    changes = {"train.steps_per_call": 3, "checkpoint.seconds": 0.0, "checkpoint.keep": 100}
    assert train.run(config(images, **changes), folder) == 0
    return folder


def test_a_run_learns_from_the_disk_and_tells_how_long_it_waited(whole):
    run = aejax.load(whole)
    assert isinstance(run.dataset().train, Records)
    losses = [line["loss"] for line in lines(whole) if line["split"] == "train"]
    assert losses[-1] < 0.97 * losses[0]
    told = [json.loads(line) for line in (whole / "timing.jsonl").read_text().splitlines()]
    shares = [line["waiting"] for line in told if line["event"] == "epoch"]
    assert len(shares) == EPOCHS and all(0 <= share <= 1 for share in shares) and max(shares) > 0


def test_a_run_that_was_stopped_goes_on_bit_for_bit(images, whole, tmp_path):
    steps = Checkpoints(whole).steps()
    half = next(step for step in steps if step > steps[-1] // 2 and step % 10)  # within an epoch
    (tmp_path / "checkpoints").mkdir()
    for name in ("config.json", "metrics.jsonl", f"checkpoints/{half}"):
        (tmp_path / name).symlink_to(whole / name)
    (tmp_path / "metrics.jsonl").unlink()
    (tmp_path / "metrics.jsonl").write_text((whole / "metrics.jsonl").read_text())
    assert train.run(config(images), tmp_path) == 0
    assert lines(tmp_path) == lines(whole)
    again, before = (aejax.load(folder).variables for folder in (tmp_path, whole))
    jax.tree.map(np.testing.assert_array_equal, again, before)


@pytest.mark.parametrize(("name", "changes"), [("shallow", {}), ("classifier", {"data.labels": 0})])
def test_eight_devices_read_what_one_reads(images, tmp_path, name, changes):
    for count in (1, 8):
        train.run(config(images, name, **{"mesh.devices": count, **changes}), tmp_path / str(count))
    one, eight = lines(tmp_path / "1"), lines(tmp_path / "8")
    for a, b in zip(one, eight, strict=True):
        assert a["split"] == b["split"] and a["loss"] == pytest.approx(b["loss"], rel=1e-3)


def test_evaluation_counts_every_example_once_whether_in_memory_or_not(images, tmp_path):
    """The same weights, those before the first step but one: their figures on valid and test are the same."""
    changes = {"optim.learning_rate": 1e-12, "train.epochs": 1, "eval.batch_size": 7}
    for where, size in (("memory", 2**30), ("disk", 0)):
        train.run(config(images, **{**changes, "data.host_bytes": size}), tmp_path / where)
    memory, disk = ({line["split"]: line["loss"] for line in lines(tmp_path / where)} for where in ("memory", "disk"))
    assert memory["test"] == pytest.approx(disk["test"], rel=1e-6)
    assert memory["valid"] == pytest.approx(disk["valid"], rel=1e-6)


def test_a_damaged_image_ends_the_run_with_a_line(images, tmp_path, capsys):
    copied = tmp_path / "images"
    for path in sorted(images.rglob("*.png"))[::3]:
        there = copied / path.relative_to(images)
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_bytes(path.read_bytes())
    bad = sorted((copied / "train").rglob("*.png"))[7]
    bad.write_bytes(b"no image")
    arguments = ["--config=configs/shallow.py:tiny", f"--config.data.name=folder:{copied}", "--config.mesh.devices=1"]
    arguments += ["--config.data.host_bytes=0", "--config.train.batch_size=10", f"--workdir={tmp_path / 'run'}"]
    assert main.main(["aejax", *arguments, "--config.log.tensorboard=false"]) == 2
    assert bad.name in capsys.readouterr().err
