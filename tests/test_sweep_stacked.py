"""Members stacked in one program are the runs alone, on any number of devices."""

import jax
import numpy as np
import pytest

import aejax
from aejax import checkpoint, devices, main, train
from aejax.checkpoint import Checkpoints
from aejax.errors import UserError
from aejax.sweep import run, stacked
from aejax.sweep.stack import Stack
from tests import configurations, sweeps

CLOSE = {"rtol": 2e-4, "atol": 2e-5}
STACKED = {"sweep.placement": "stacked", "sweep.at_once": 8}

# what is swept beside the seed: numbers that the config's own parts read; else the learning rate
ALSO = {
    "conv_wta": ("code.rate", "0.05,0.2"),
    "contractive": ("loss.contractive", "0.1,0.5"),
    "denoising": ("corruption.std", "0.2,0.5"),
    "hashing": ("code.std", "1.0,4.0"),
    "kl_sparse": ("loss.sparsity", "0.05,0.2"),
    "ksparse": ("code.k", "5,9"),
    "stacked": ("corruption.rate", "0.1"),
    "sparse": ("loss.l1", "1e-3,1e-2"),
    "topk": ("code.dead_after", "20,1000"),
    "vae": ("loss.kl", "0.5,1.0"),
    "vqvae": ("code.decay", "0.9,0.99"),
    "wae": ("loss.mmd_imq", "10.0,100.0"),
    "wta": ("code.rate", "0.05,0.3"),
}


@pytest.fixture(scope="module", autouse=True)
def small():
    with sweeps.small():
        yield


@pytest.mark.parametrize("name", configurations.NAMES)
def test_members_are_the_runs_alone(tmp_path, name):
    """Two values with two seeds each; the last of the four."""
    key, values = ALSO.get(name, ("optim.learning_rate", "1e-3,3e-3"))
    config = sweeps.config(name, {**STACKED, "sweep.seed": "0,1", f"sweep.{key}": values})
    assert run.run(config, tmp_path / "sweep") == 0
    every = sweeps.every(config, tmp_path / "sweep")
    assert len(every) == (2 if name == "stacked" else 4)
    assert (every[-1].workdir / checkpoint.LANE).is_file()
    assert train.run(every[-1].config, tmp_path / "alone") == 0
    sweeps.assert_same(every[-1].workdir, tmp_path / "alone", **CLOSE)
