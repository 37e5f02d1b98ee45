"""Layer-wise training: ordinary runs, each on the clean codes of the one below, then the stack of their weights."""

import json

import numpy as np
import pytest
from ml_collections import FrozenConfigDict

import aejax
from aejax import data, files, greedy, train
from aejax.train import Pace
from tests import configurations


@pytest.fixture(scope="module")
def stacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stacked")
    config = configurations.load("stacked", {"train.epochs": 1, "greedy.epochs": 1, "optim.learning_rate": 1e-9})
    assert train.run(config, folder) == 0
    return folder


def test_a_stack_that_is_not_trained_as_a_whole_stays_as_its_layers_made_it(tmp_path):
    config = configurations.load("stacked", {"train.epochs": 0, "greedy.epochs": 1})
    assert train.run(config, tmp_path) == 0
    run = aejax.load(tmp_path)
    for number in range(3):
        layer = aejax.load(tmp_path / f"layer_{number + 1}").variables["params"]
        for kind in ("kernel", "bias"):
            mine = run.variables["params"]["encoder"][f"layers_{number}"][kind]
            np.testing.assert_array_equal(mine, layer["encoder"]["layers_0"][kind])
    splits = [row["split"] for row in files.read_lines(tmp_path / "metrics.jsonl")]
    assert splits == ["valid", "test"] and aejax.load(tmp_path, best=True).step == 0
    assert train.run(config, tmp_path) == 0  # finished
    assert len(files.read_lines(tmp_path / "metrics.jsonl")) == 2


def test_each_layer_is_a_run_of_its_own(stacked):
    config = aejax.load(stacked).config
    sizes = [64, *config.encoder.widths, config.code.size]
    for number, (inputs, units) in enumerate(zip(sizes, sizes[1:], strict=False), start=1):
        run = aejax.load(stacked / f"layer_{number}")
        assert np.prod(run.model.shape) == inputs and run.code_shape == (units,)
        assert run.config.corruption.name == "masking"
        assert run.config.greedy.epochs == 0


def test_a_layer_learns_the_clean_codes_of_the_one_below(stacked):
    first, second = (aejax.load(stacked / f"layer_{i}") for i in (1, 2))
    images = first.dataset()
    codes = second.dataset()
    for split in ("train", "valid", "test"):
        below, here = getattr(images, split), getattr(codes, split)
        np.testing.assert_allclose(here.images[:, 0, 0], first.encode(below.images), rtol=1e-6)
        np.testing.assert_array_equal(here.labels, below.labels)


def test_the_stack_starts_from_its_layers(stacked):
    """At a learning rate of nothing the stack is still what it was assembled from."""
    stack = aejax.load(stacked).variables["params"]
    layers = [aejax.load(stacked / f"layer_{i}").variables["params"] for i in (1, 2, 3)]
    for i, layer in enumerate(layers):
        np.testing.assert_allclose(
            stack["encoder"][f"layers_{i}"]["kernel"], layer["encoder"]["layers_0"]["kernel"], atol=1e-6
        )
        np.testing.assert_allclose(stack["decoder"][f"bias_{2 - i}"], layer["decoder"]["bias_0"], atol=1e-6)
    images = data.load(aejax.load(stacked).config.data).test.images
    code = aejax.load(stacked / "layer_1").encode(images)
    for i in (2, 3):
        code = aejax.load(stacked / f"layer_{i}").encode(code[:, None, None])
    np.testing.assert_allclose(aejax.load(stacked).encode(images), code, atol=1e-4)


def test_an_untied_stack_is_assembled_too(tmp_path):
    changes = {"decoder.name": "mlp", "decoder.widths": (16, 32), "train.epochs": 1, "greedy.epochs": 1}
    config = configurations.load("stacked", {**changes, "optim.learning_rate": 1e-9})
    assert train.run(config, tmp_path) == 0
    stack, last = (aejax.load(f).variables["params"] for f in (tmp_path, tmp_path / "layer_3"))
    kernel = last["decoder"]["layers_0"]["kernel"]
    np.testing.assert_allclose(stack["decoder"]["layers_0"]["kernel"], kernel, atol=1e-6)


def test_a_chain_stopped_within_a_layer_goes_on_and_ends_the_same(tmp_path, monkeypatch):
    import os
    import signal

    config = configurations.load("stacked", {"train.steps_per_call": 5})
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert train.run(config, whole) == 0
    calls = []
    took = Pace.took

    def stop_in_the_second_layer(self, steps, seconds):
        calls.append(steps)
        if len(calls) == 7:
            os.kill(os.getpid(), signal.SIGTERM)
        took(self, steps, seconds)

    monkeypatch.setattr(Pace, "took", stop_in_the_second_layer)
    assert train.run(config, broken) == 128 + signal.SIGTERM
    assert (broken / "layer_1").is_dir() and not (broken / "checkpoints").exists()
    monkeypatch.setattr(Pace, "took", took)
    assert train.run(config, broken) == 0
    ours, theirs = (aejax.load(folder).variables["params"] for folder in (broken, whole))
    for part in ("encoder", "decoder"):
        for name in ours[part]:
            np.testing.assert_array_equal(*(np.asarray(_leaf(p[part][name])) for p in (ours, theirs)))
    lines = [(f / "metrics.jsonl").read_text() for f in (broken, whole)]
    assert lines[0] == lines[1] and json.loads(lines[0].splitlines()[0])["step"] > 0


def _leaf(value):
    return value["kernel"] if isinstance(value, dict) else value


def test_layers_are_configs_of_one_hidden_layer(tmp_path):
    config = FrozenConfigDict(configurations.load("stacked"))
    runs = greedy.layers(config, tmp_path)
    assert [c.code.size for _, c in runs] == [32, 16, 8]
    assert [c.data.name.partition(":")[0] for _, c in runs] == ["digits", "codes", "codes"]
    assert all(c.encoder.widths == () for _, c in runs)
