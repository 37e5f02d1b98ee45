"""Codes of several sizes in one program: the arrays' padding, and members that are the runs alone."""

import jax
import numpy as np
import pytest
from ml_collections import FrozenConfigDict

import aejax
from aejax import files, padding, train
from aejax import model as models
from aejax.sweep import members, together, width
from tests import configurations

# config -> what makes its code vary; every code that is separable, and the nets around it
CASES = {
    "deep": {"encoder.norm": "batch", "decoder.dropout": 0.2},
    "stochastic": {"code.name": "gumbel_sigmoid"},
    "denoising": {"code.name": "gaussian_noise", "loss.l1": 0.1, "loss.weight_decay": 0.01},
    "hashing": {"code.name": "straight_through", "decoder.name": "tied", "optim.clip_norm": 1.0},
    "iwae": {},
    "conv_vae": {},
    "wta": {},
}


def test_padding_fills_each_block_and_is_undone():
    a = {"kernel": np.arange(12.0).reshape(3, 4), "bias": np.arange(4.0), "other": np.ones((5,))}
    like = {"kernel": np.zeros((3, 6)), "bias": np.zeros(6), "other": np.zeros(5)}
    found = padding.padded(a, 2, like)  # two blocks of 2 units, to be 3 wide
    np.testing.assert_array_equal(found["bias"], [0, 1, 0, 2, 3, 0])
    np.testing.assert_array_equal(found["kernel"][1], [4, 5, 0, 6, 7, 0])
    np.testing.assert_array_equal(found["other"], a["other"])
    jax.tree.map(np.testing.assert_array_equal, padding.cut(found, 2, a), a)
    rows = padding.padded(np.arange(6.0).reshape(2, 3), 2, np.zeros((4, 3)))
    np.testing.assert_array_equal(rows, [[0, 1, 2], [3, 4, 5], [0, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(padding.cut(rows, 2, np.zeros((2, 3))), [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize("name", CASES)
def test_a_narrow_member_is_the_run_alone(tmp_path, name):
    changes = {"train.epochs": 1, "data.labels": 200, "sweep.placement": "stacked", **CASES[name]}
    config = configurations.load(name, {**changes, "sweep.code.size": "3,5"})
    assert width.maskable(config)
    every = members.members(config, tmp_path)
    assert together.train(every, tmp_path, placement="stacked") == 0
    assert len(list((tmp_path / "stacks").iterdir())) == 1
    narrow = aejax.load(every[0].workdir)
    assert train.run(every[0].config, tmp_path / "alone") == 0
    alone = aejax.load(tmp_path / "alone")
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), narrow.variables, alone.variables)
    lines = (files.read_lines(run.workdir / "metrics.jsonl") for run in (narrow, alone))
    for line, other in zip(*lines, strict=True):
        assert line.pop("split") == other.pop("split") and line == pytest.approx(other, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(
    "name, changes",
    [
        ("ksparse", {}),  # zeros beside negative units would be among the largest
        ("kl_sparse", {}),  # a unit that is never active costs something
        ("contractive", {}),
        ("hashing", {}),  # the share of saturated units is over all
        ("allconv", {}),
        ("classifier", {}),
        ("vae", {"code.free_bits": 0.1}),
        ("shallow", {"optim.name": "adafactor"}),
    ],
)
def test_what_would_not_be_the_run_alone_has_a_program_of_its_own(tmp_path, name, changes):
    config = configurations.load(name, {**changes, "sweep.code.size": "12,16"})
    assert not width.maskable(config)
    first, second = members.members(config, tmp_path)
    assert together._kind(first) != together._kind(second)


def test_units_beyond_the_width_are_nothing_to_the_loss(rng):
    config = configurations.load("shallow", {"code.size": 4})
    model = models.build(FrozenConfigDict(config), (8, 8, 1))
    numbers = models.arguments(config)
    numbers["code"]["width"] = np.int32(3)
    x = rng.uniform(size=(6, 8, 8, 1)).astype(np.float32)
    given = {"weight": np.ones(6, np.float32), "key": jax.random.key(0)}
    loss = lambda params: models.objective(model, {"params": params}, x, numbers, **given)[0]  # noqa: E731
    gradient = jax.grad(loss)(models.init(model, 0)["params"])
    assert not np.any(gradient["encoder"]["layers_0"]["kernel"][:, 3])
    assert not np.any(gradient["decoder"]["layers_0"]["kernel"][3])
    assert np.any(gradient["decoder"]["layers_0"]["kernel"][:3])
