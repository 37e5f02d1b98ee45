"""Every shipped config: its table of parameters, its keys, a run at its tiny preset, and what can be loaded of it."""

import ast
import json

import jax
import ml_collections
import numpy as np
import pytest

import aejax
from aejax import checks, model, optim, schema, train, workdirs
from aejax.errors import UserError
from tests import configurations


def dense(*sizes):
    """Kernels and biases of dense layers through these sizes."""
    return sum(i * o + o for i, o in zip(sizes, sizes[1:], strict=False))


def conv(area, *channels):
    """Kernels of so many pixels, and biases, of convolutions through these channels."""
    return sum(area * i * o + o for i, o in zip(channels, channels[1:], strict=False))


def tied(*sizes):
    """A dense encoder, and a decoder of biases alone."""
    return dense(*sizes) + sum(sizes[:-1])


def there_and_back(*sizes):
    return dense(*sizes) + dense(*sizes[::-1])


def strided(area, side, first, second, code, features=1):
    """The course's net: two convolutions to a quarter of the size, a dense code, and the mirror."""
    flat = side * side * second
    return conv(area, 1, first, second) + dense(flat, features * code) + dense(code, flat) + conv(
        area, second, second, first, 1
    )  # fmt: skip


# parameters of the config as it stands (at 28x28) and at its tiny preset (at 8x8); a config that is missing here fails
PARAMETERS = {
    "allconv": (2 * conv(9, 1, 16, 16, 16, 16, 1), 2 * conv(9, 1, 4, 4, 1)),
    "audio": (
        conv(5, 1, 64, 64) + dense(49 * 64, 32, 49 * 64) + conv(5, 64, 64, 64, 1),
        conv(3, 1, 4, 8) + dense(2 * 2 * 8, 32) + dense(32, 2 * 2 * 4) + conv(3, 4, 4, 8, 1),
    ),
    "cifar_denoising": (strided(9, 7, 32, 64, 256), strided(9, 2, 4, 8, 16)),
    "classifier": (dense(784, 1000, 10), dense(64, 32, 10)),
    "contractive": (tied(784, 500), tied(64, 32)),
    "conv": (strided(9, 7, 16, 32, 10), strided(9, 2, 4, 8, 10)),
    "conv_vae": (strided(9, 7, 16, 32, 20, features=2), strided(9, 2, 4, 8, 4, features=2)),
    "conv_wta": (conv(25, 1, 16, 16, 16) + conv(121, 16, 1), conv(9, 1, 4, 4) + conv(25, 4, 1)),
    "deep": (there_and_back(784, 128, 32), there_and_back(64, 32, 16)),
    "denoising": (there_and_back(784, 128, 32), there_and_back(64, 32, 16)),
    "hashing": (there_and_back(784, 500, 250, 30), there_and_back(64, 32, 16, 10)),
    "iwae": (dense(784, 200, 200, 100) + dense(50, 200, 200, 784), dense(64, 32, 8) + dense(4, 32, 64)),
    "kl_sparse": (there_and_back(784, 200), there_and_back(64, 32)),
    "ksparse": (tied(784, 1000), tied(64, 32)),
    "rae": (there_and_back(784, 500, 16), there_and_back(64, 32, 4)),
    "shallow": (there_and_back(784, 32), there_and_back(64, 16)),
    "sparse": (there_and_back(784, 256), there_and_back(64, 32)),
    "stacked": (tied(784, 500, 250, 100), tied(64, 32, 16, 8)),
    "stochastic": (there_and_back(784, 200, 50), there_and_back(64, 32, 16)),
    "text": (there_and_back(784, 250, 32), there_and_back(64, 32, 8)),
    "topk": (there_and_back(784, 2048), there_and_back(64, 128)),
    "vae": (dense(784, 500, 40) + dense(20, 500, 784), dense(64, 32, 8) + dense(4, 32, 64)),
    "vqvae": (conv(9, 1, 32, 16) + conv(9, 16, 32, 1), conv(9, 1, 8, 4) + conv(9, 4, 8, 1)),
    "wae": (there_and_back(784, 500, 8), there_and_back(64, 32, 4)),
    "wta": (tied(784, 1000), tied(64, 32)),
}


def presets(name):
    """The presets that a config names, by asking for one that there is none of."""
    with pytest.raises(ValueError) as error:
        configurations.load(name, preset="?")
    return str(error.value).partition("accepted: ")[2].split(", ")


def size(config, shape):
    net = model.build(ml_collections.FrozenConfigDict(config), shape, 10)
    shapes = jax.eval_shape(lambda: model.init(net, 0))["params"]
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
    for section in ("encoder", "decoder", "code", "corruption", "loss", "optim", "classifier", "start", "greedy"):
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
    assert codes.dtype == np.float32 and run.prepare(raw).max() <= 1
    if config.model == "classifier":
        np.testing.assert_allclose(np.exp(run.classify(raw)).sum(1), 1, rtol=1e-5)
    else:
        assert codes.shape == (7, *run.code_shape) and codes.shape[-1] == config.code.size
        np.testing.assert_allclose(run.reconstruct(raw), run.decode(codes.reshape(7, -1)), rtol=1e-5, atol=1e-6)
        assert run.draw(codes).shape == run.reconstruct(raw).shape == raw.shape
    assert workdirs.written(run.config) == json.loads((tmp_path / "config.json").read_text())


def test_every_number_of_the_four_sections_is_an_argument():
    config = configurations.load("wta")
    arguments = model.arguments(config)
    assert {"rate", "k", "size"} <= arguments["code"].keys() and arguments["code"]["k"].dtype == np.int32
    assert arguments["optim"]["learning_rate"] == np.float32(3e-3)
    assert {"l1", "std", "warmup"} <= arguments["loss"].keys()


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
    read = schema.keys_read(config) | optim.keys_read(config)
    assert {"code.rate", "code.size", "optim.momentum", "optim.final", "loss.l1"} <= read
    assert not {"code.activation", "optim.b1", "loss.std", "optim.factor"} & read
