"""A user's mistakes: each is one line on standard error that names the key, exit status 2, and nothing lost."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from aejax import main, parts
from tests import configurations

WTA = "--config=configs/wta.py:tiny"


def refused(capsys, *arguments):
    """The one line that a command prints when it refuses."""
    assert main.main(["aejax", *arguments]) == 2
    out, err = capsys.readouterr()
    assert err.count("\n") == 1 and err.startswith("aejax: ") and "Traceback" not in err + out
    return err


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(configurations.ROOT)


@pytest.mark.parametrize(
    "arguments, told",
    [
        ([], ["no --config", "usage"]),
        (["--config=configs/none.py"], ["--config=configs/none.py", "accepted", "configs/wta.py"]),
        (["--config=configs/wta.py:nano"], ["nano", "accepted: digits, mnist, tiny"]),
        ([WTA, "--config.train.epoch=3"], ["config.train.epoch ", "accepted in config.train", "epochs"]),
        ([WTA, "--config.training.epochs=3"], ["config.training.epochs", "accepted in config:", "train"]),
        ([WTA, "--config.train=3"], ["config.train is a section"]),
        ([WTA, "--config.train.epochs=many"], ["config.train.epochs='many'", "a whole number"]),
        ([WTA, "--config.optim.learning_rate=fast"], ["config.optim.learning_rate='fast'", "a number"]),
        ([WTA, "--config.log.tensorboard=perhaps"], ["config.log.tensorboard='perhaps'", "true or false"]),
        ([WTA, "--config.code.rate=1.5"], ["config.code.rate=1.5", "(0, 1]"]),
        ([WTA, "--config.code.rate=nan"], ["config.code.rate=nan", "(0, 1]"]),
        ([WTA, "--config.encoder.widths=a,b"], ["config.encoder.widths", "whole numbers"]),
        ([WTA, "--config.data.name=mnits"], ["data.name='mnits'", "accepted: mnist5k, digits"]),
        ([WTA, "--config.code.name=lifetim"], ["config.code.name='lifetim'", "batch_top_k, deterministic, "]),
        ([WTA, "--config.precision=half"], ["config.precision='half'", "accepted: bfloat16, float32"]),
        ([WTA, "--config.encoder.name=mpl"], ["config.encoder.name='mpl'", "mlp"]),
        ([WTA, "--config.decoder.name=mpl"], ["config.decoder.name='mpl'", "mlp, tied"]),
        ([WTA, "--config.corruption.name=fog"], ["config.corruption.name='fog'", "gaussian, masking, none"]),
        ([WTA, "--config.loss.likelihood=mse"], ["config.loss.likelihood='mse'", "squared_error"]),
        ([WTA, "--config.optim.name=adams"], ["config.optim.name='adams'", "adam"]),
        ([WTA, "--config.optim.schedule=stairs"], ["config.optim.schedule='stairs'", "cosine"]),
        ([WTA, "--config.code.activation=tanh"], ["config.code.activation is not read", "code.rate"]),
        ([WTA, "--config.optim.momentum=0.9"], ["config.optim.momentum is not read", "optim.name='adam'"]),
        ([WTA, "--config.log.figure_epochs=x"], ["config.log.figure_epochs=('x',)", "0,1,10"]),
        (["--config=configs/shallow.py:tiny", "--config.encoder.init_std=5"], ["config.encoder.init_std is not read"]),
        ([WTA, "--config.mesh.devices=99"], ["config.mesh.devices=99", "accepted: 0"]),
        ([WTA, "--confg.seed=1"], ["confg.seed"]),
        ([WTA, "more"], ["unexpected more"]),
    ],
)
def test_mistakes_in_the_flags(capsys, tmp_path, arguments, told):
    line = refused(capsys, *arguments, *([f"--workdir={tmp_path / 'run'}"] if arguments else []))
    for words in told:
        assert words in line
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_batch_larger_than_the_data_and_then_the_right_one_in_the_same_workdir(capsys, tmp_path):
    line = refused(capsys, WTA, "--config.train.batch_size=5000", f"--workdir={tmp_path}")
    assert "config.train.batch_size=5000" in line and "accepted: 1 to 1294" in line
    assert main.main(["aejax", WTA, "--config.log.figure_epochs=9", f"--workdir={tmp_path}"]) == 0


@pytest.mark.parametrize(
    "make, told",
    [
        (lambda p: None, "no such file"),
        (lambda p: np.savez(p, images=np.full((40, 4, 4), np.nan, np.float32)), "NaN"),
        (lambda p: p.write_bytes(b"PK\x03\x04 not a zip"), "own.npz"),
        (lambda p: np.savez(p, images=np.array([{}, None])), "pickled"),
    ],
)
def test_mistakes_in_an_npz(capsys, tmp_path, make, told):
    make(tmp_path / "own.npz")
    assert told in refused(capsys, WTA, f"--config.data.name=npz:{tmp_path}/own.npz", f"--workdir={tmp_path}/run")


def test_pixels_that_a_bernoulli_cannot_have(capsys, tmp_path):
    np.savez(tmp_path / "own.npz", images=np.linspace(-3, 3, 200 * 16).reshape(200, 4, 4))
    flags = ["--config=configs/shallow.py:tiny", f"--workdir={tmp_path}/run"]
    line = refused(capsys, *flags, f"--config.data.name=npz:{tmp_path}/own.npz")
    assert "config.loss.likelihood='bernoulli'" in line and "squared_error" in line


def test_mistakes_in_a_folder(capsys, tmp_path):
    flags = [WTA, f"--config.data.name=folder:{tmp_path}/images", f"--workdir={tmp_path}/run"]
    assert "images" in refused(capsys, *flags)  # missing
    (tmp_path / "images").mkdir()
    assert "images" in refused(capsys, *flags)  # empty
    (tmp_path / "images" / "cat").mkdir()
    for i in range(10):
        Image.new("L", (8, 8), i).save(tmp_path / "images" / "cat" / f"{i}.png")
    (tmp_path / "images" / "cat" / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    assert "3.png" in refused(capsys, *flags)


@pytest.mark.parametrize("workdir", ["{}/file/run", "{}/file", "/proc/nowhere/run"])
def test_a_workdir_that_cannot_be_written(capsys, tmp_path, workdir):
    (tmp_path / "file").write_text("mine")
    line = refused(capsys, WTA, "--workdir=" + workdir.format(tmp_path))
    assert "--workdir=" in line and "cannot be written" in line
    assert (tmp_path / "file").read_text() == "mine"


def test_a_config_file_with_an_error_of_its_own_names_the_line(capsys, tmp_path):
    (tmp_path / "mine.py").write_text("def get_config():\n    return 1 / 0\n")
    line = refused(capsys, f"--config={tmp_path}/mine.py")
    assert "ZeroDivisionError" in line and "line 2" in line


def test_help_says_how_to_use_it(capsys):
    assert main.main(["aejax", "--help"]) == 0
    assert "--config=FILE" in capsys.readouterr().out


def test_as_a_command_it_exits_with_status_2_and_one_line():
    done = subprocess.run(
        [sys.executable, "-m", "aejax.main", "--config=configs/wta.py:tiny", "--config.seed=-1"],
        capture_output=True, text=True, env={**os.environ, "JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "aejax: config.seed=-1 is out of range; accepted: a whole number in [0, 2^32)\n"


def test_lines_that_nobody_reads_stop_it_without_a_traceback(tmp_path):
    command = [sys.executable, "-m", "aejax.main", "--config=configs/shallow.py:tiny", f"--workdir={tmp_path}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
    assert process.returncode == 141


def test_the_default_workdir_carries_the_configs_name_and_preset(monkeypatch, tmp_path):
    from aejax import train

    called = []
    monkeypatch.setattr(train, "run", lambda config, workdir: called.append((config, workdir)) or 0)
    assert main.main(["aejax", WTA, "--config.seed=5", "--config.encoder.widths=30,20"]) == 0
    config, workdir = called[0]
    assert str(workdir) == os.path.join("runs", "wta_tiny")
    assert (config.seed, config.encoder.widths) == (5, (30, 20))


def test_config_names_are_those_of_the_symbols():
    assert parts.snake_case("LearnedGaussian") == "learned_gaussian"
