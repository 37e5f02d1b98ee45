"""Every shipped config: its table of parameters, its keys, a run at its tiny preset, and what can be loaded of it."""

import ast
import json

import jax
import ml_collections
import numpy as np
import pytest

import aejax
from aejax import autoencoder, checks, optim, train
from aejax.errors import UserError
from tests import configurations

# parameters of the config as it stands and at its tiny preset; a config that is missing here fails
PARAMETERS = {
    "deep": (784 * 128 + 128 + 128 * 32 + 32 + 32 * 128 + 128 + 128 * 784 + 784, 5264),
    "shallow": (784 * 32 + 32 + 32 * 784 + 784, 2128),
    "wta": (784 * 1000 + 1000 + 784, 64 * 32 + 32 + 64),  # tied
}


def presets(name):
    """The presets that a config names, by asking for one that there is none of."""
    with pytest.raises(ValueError) as error:
        configurations.load(name, preset="?")
    return str(error.value).partition("accepted: ")[2].split(", ")


def size(config, shape):
    model = autoencoder.Autoencoder(ml_collections.FrozenConfigDict(config), shape)
    shapes = jax.eval_shape(lambda: autoencoder.init(model, 0))
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes))


@pytest.mark.parametrize("name", configurations.NAMES)
def test_parameters_are_counted_exactly(name):
    assert name in PARAMETERS, f"add configs/{name}.py to the table"
    full, tiny = PARAMETERS[name]
    assert size(configurations.load(name, preset=None), (28, 28, 1)) == full
    assert size(configurations.load(name), (8, 8, 1)) == tiny


@pytest.mark.parametrize("name", configurations.NAMES)
def test_every_preset_is_valid_locked_and_has_a_name_of_its_own(name):
    names = set()
    for preset in (None, *presets(name)):
        config = configurations.load(name, preset=preset)
        checks.check(config)
        names.add(config.name)
        assert config.is_locked and config.train.is_locked
        json.dumps(config.to_dict())
    assert len(names) == len(presets(name)) + 1
    assert "tiny" in presets(name)


@pytest.mark.parametrize("name", configurations.NAMES)
def test_a_config_sets_only_what_its_parts_read(name):
    config, default = configurations.load(name), configurations.load(name).copy_and_resolve_references()
    from configs.base import base

    default = base()
    for section in ("encoder", "decoder", "code", "corruption", "loss", "optim"):
        changed = [f"{section}.{k}" for k in config[section] if config[section][k] != default[section][k]]
        checks.check_overrides(config, changed)


@pytest.mark.parametrize("name", configurations.NAMES)
def test_docstrings_say_what_it_is_and_how_to_run_it(name):
    text = ast.get_docstring(ast.parse((configurations.ROOT / "configs" / f"{name}.py").read_text()))
    assert f"python -m aejax.main --config=configs/{name}.py" in text


@pytest.mark.parametrize("name", configurations.NAMES)
def test_tiny_runs_falls_and_loads(name, tmp_path):
    config = configurations.load(name)
    assert train.run(config, tmp_path) == 0
    losses = [json.loads(line)["loss"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert losses[2] < losses[0], "the second epoch's training loss is below the first's"
    run = aejax.load(tmp_path)
    raw = run.dataset().test.images[:7]
    codes = run.encode(raw)
    assert codes.shape == (7, config.code.size) and codes.dtype == np.float32
    assert run.prepare(raw).max() <= 1
    np.testing.assert_allclose(run.reconstruct(raw), run.decode(codes), rtol=1e-5, atol=1e-6)
    assert run.reconstruct(raw).shape == raw.shape
    assert json.loads(json.dumps(run.config.to_dict())) == json.loads((tmp_path / "config.json").read_text())


def test_every_float_of_the_four_sections_is_an_argument():
    config = configurations.load("wta")
    arguments = autoencoder.arguments(config)
    assert arguments["code"].keys() == {"rate"}
    assert arguments["optim"]["learning_rate"] == np.float32(3e-3)
    assert {"l1", "std"} == arguments["loss"].keys()


def test_every_key_is_read_by_something():
    """No option that is accepted and ignored: each key of base.py is named in the package."""
    source = " ".join(path.read_text() for path in (configurations.ROOT / "aejax").rglob("*.py"))
    for section, values in configurations.load("wta").items():
        keys = values if isinstance(values, ml_collections.ConfigDict) else [section]
        assert [k for k in keys if f".{k}" not in source and f'"{k}"' not in source and f" {k}:" not in source] == []


def test_a_tied_decoder_is_refused_where_the_encoder_does_not_end_at_the_code(monkeypatch):
    from aejax import codes

    monkeypatch.setattr(codes.Deterministic, "features", property(lambda self: 2 * self.size))
    with pytest.raises(UserError, match="decoder.name='tied'"):
        checks.check(configurations.load("shallow", {"decoder.name": "tied"}))


def test_keys_read_follow_the_chosen_parts():
    config = configurations.load("wta", {"optim.name": "sgd", "optim.schedule": "cosine"})
    read = autoencoder.keys_read(config) | optim.keys_read(config)
    assert {"code.rate", "code.size", "optim.momentum", "optim.final", "loss.l1"} <= read
    assert not {"code.activation", "optim.b1", "loss.std", "optim.factor"} & read
