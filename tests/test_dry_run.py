"""``--dry_run``: every shipped config, sweeps, stacks; nothing is trained, and nothing written."""

import re

import pytest

from aejax import main, train
from tests import configurations


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(configurations.ROOT)


@pytest.fixture
def told(capsys, monkeypatch, tmp_path):
    """A function that makes a dry run of a config with flags, and gives what it prints."""
    monkeypatch.setattr(train, "run", None)

    def told(name, *flags, devices=1):
        folder = tmp_path / "run"
        given = [f"--config=configs/{name}.py:tiny", f"--config.mesh.devices={devices}", f"--workdir={folder}", *flags]
        assert main.main(["aejax", "--dry_run", *given]) == 0
        assert not folder.exists()
        out, err = capsys.readouterr()
        assert err == "" and max(map(len, out.splitlines())) <= 100
        return out

    return told


@pytest.mark.parametrize("name", configurations.NAMES)
def test_every_config(told, name):
    out = told(name)
    config = configurations.load(name)
    assert out.startswith(f"{config.name} on digits: nothing is trained or written\n")
    assert re.search(r"\nproducts +\d[\d.]* [kM]FLOP of", out) and re.search(r"\n  in all +\d[\d.]* [kM]B\n", out)
    assert re.search(r"\nparams/encoder/\S+ .*float32 .*one device\n", out)


def test_figures_of_a_dense_net(told):
    out = told("shallow", "--config.optim.freeze=('encoder',)")
    assert re.search(r"\nparams/encoder/layers_0/kernel +64 x 16  float32 +4.10 kB  one device\n", out)
    assert re.search(r"\nparameters +1,088 that learn, 1,040 frozen; 8.51 kB\n", out)
    assert re.search(r"\noptimiser +4,257 numbers; 17.0 kB\n", out)
    assert re.search(r"\nexamples +train 1,294, valid 144, test 359; 8 x 8 x 1, uint8\n", out)
    assert re.search(r"\nsteps +40 an epoch, 2 epochs: 80 steps, 2,560 examples\n", out)


def test_eight_devices(told):
    out = told("shallow", "--config.train.batch_size=60", devices=8)
    assert re.search(r"\nparams/encoder/layers_0/kernel +64 x 16  float32 +4.10 kB +4.10 kB  replicated\n", out)
    assert re.search(r"\nbatch +60 examples; 8 on each device, axis 0 over 8 \(data\), 4 of them padding\n", out)
    assert "does not split" not in out


def test_streamed_data(told):
    out = told("shallow", "--config.data.device_bytes=20000")
    assert re.search(r"\ntrain lies +streamed, blocks of 128 examples, 8.19 kB a device", out)
    assert re.search(r"\n  the next block of train +8.19 kB\n", out)


def test_a_stack_tells_of_its_layers(told):
    out = told("stacked")
    assert "Before that, layer by layer" in out
    for layer, parameters in (("1: 64-32-64", "2,144"), ("2: 32-16-32", "560"), ("3: 16-8-16", "152")):
        assert re.search(rf"\n{layer} +{parameters} +24 ", out)


def test_a_sweep_tells_of_its_members_and_of_the_largest(told):
    out = told("shallow", "--config.sweep.code.size=4,12,8", "--config.sweep.seed=0,1")
    assert re.search(r"\Asweep +6 members over code.size 4,12,8, seed 0,1\n", out)
    assert re.search(r"\nparameters +580 to 1,612, 6,576 in all\n", out)
    assert re.search(r"\nstep programs +3;", out) and "what follows        member 2 (code.size 12, seed 0)" in out
    assert re.search(r"\nparameters +1,612 that learn", out)


def test_mistakes_are_told_as_training_tells_them(capsys):
    assert main.main(["aejax", "--dry_run", "--config=configs/shallow.py:tiny", "--config.mesh.devices=99"]) == 2
    assert "config.mesh.devices=99" in capsys.readouterr().err
    flags = ["--config=configs/shallow.py:tiny", "--config.optim.freeze=('middle',)", "--config.mesh.devices=1"]
    assert main.main(["aejax", "--dry_run", *flags]) == 2
    assert "config.optim.freeze='middle'" in capsys.readouterr().err


def test_what_says_which_process_this_is_is_refused(capsys):
    flags = ["--config=configs/shallow.py:tiny", "--coordinator=h:7", "--processes=2", "--process=1"]
    assert main.main(["aejax", "--dry_run", *flags]) == 2
    assert "--dry_run is of the devices of one process; accepted: without --coordinator" in capsys.readouterr().err


def test_members_that_would_share_devices_are_refused(capsys):
    flags = ["--config=configs/topk.py:tiny", "--config.mesh.devices=2", "--config.mesh.model=2"]
    assert main.main(["aejax", "--dry_run", *flags, "--config.sweep.seed=0,1"]) == 2
    assert "config.mesh.model=2: each member of a sweep is on one device" in capsys.readouterr().err
