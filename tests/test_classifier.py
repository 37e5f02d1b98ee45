"""A classifier of an encoder: from scratch, frozen, fine-tuned; and starting from another run's weights."""

import json

import jax
import numpy as np
import pytest

import aejax
from aejax import start, train
from aejax.errors import UserError
from tests import configurations

SMALL = {
    **{"classifier.on": "hidden", "encoder.widths": (16,)},
    **{"train.batch_size": 20, "train.epochs": 1, "optim.learning_rate": 5e-3},
}


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deep")
    changes = {"encoder.widths": (16,), "decoder.widths": (16,), "code.size": 8, "train.epochs": 1}
    assert train.run(configurations.load("deep", changes), folder) == 0
    return folder


def classifier(workdir, **changes):
    config = configurations.load("classifier", {**SMALL, **changes})
    assert train.run(config, workdir) == 0
    return aejax.load(workdir)


def first_layer(run):
    return np.asarray(run.variables["params"]["encoder"]["layers_0"]["kernel"])


def started(pretrained, **changes):
    return {"start.workdir": str(pretrained), "start.parts": ("encoder",), **changes}


def test_the_head_stands_in_place_of_the_last_layer(tmp_path):
    run = classifier(tmp_path)
    shapes = jax.tree.map(np.shape, dict(run.variables["params"]))
    assert shapes == {
        "encoder": {"layers_0": {"bias": (16,), "kernel": (64, 16)}},
        "head": {"bias": (10,), "kernel": (16, 10)},
    }
    raw = run.dataset().test
    logits = np.maximum(run.prepare(raw.images).reshape(len(raw), -1) @ first_layer(run), 0)  # biases are 0 at first
    assert logits.shape == (len(raw), 16)
    np.testing.assert_allclose(np.exp(run.classify(raw.images)).sum(1), 1, rtol=1e-5)
    line = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    error = (run.classify(raw.images).argmax(1) != raw.labels).mean()
    nats = -run.classify(raw.images)[np.arange(len(raw)), raw.labels].mean()
    assert line["split"] == "test"
    assert line["error"] == pytest.approx(error, abs=1e-6) and line["loss"] == pytest.approx(nats, rel=1e-4)


def test_frozen_keeps_the_encoder_and_learns_the_head(tmp_path, pretrained):
    run = classifier(tmp_path, **started(pretrained, **{"optim.freeze": ("encoder",)}))
    np.testing.assert_array_equal(first_layer(run), first_layer(aejax.load(pretrained)))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["error"] < 0.8


def test_fine_tuning_moves_the_encoder_at_its_own_rate(tmp_path, pretrained):
    before = first_layer(aejax.load(pretrained))
    moved = []
    for rate in (1.0, 0.01):
        run = classifier(tmp_path / str(rate), **started(pretrained, **{"optim.encoder_rate": rate}))
        moved.append(np.abs(first_layer(run) - before).mean())
    assert 0 < moved[1] < 0.1 * moved[0]


def test_on_the_code(tmp_path, pretrained):
    changes = started(pretrained, **{"classifier.on": "code", "code.size": 8, "optim.freeze": ("encoder",)})
    run = classifier(tmp_path, **changes)
    assert run.variables["params"]["head"]["kernel"].shape == (8, 10)
    images = run.dataset().test.images
    np.testing.assert_allclose(run.encode(images), aejax.load(pretrained).encode(images), rtol=1e-5)


def test_a_frozen_layer_alone(tmp_path, pretrained):
    run = classifier(tmp_path, **started(pretrained, **{"optim.freeze": ("encoder/layers_0",)}))
    np.testing.assert_array_equal(first_layer(run), first_layer(aejax.load(pretrained)))


def test_few_labels_leave_valid_and_test_whole(tmp_path):
    run = classifier(tmp_path, **{"data.labels": 50, "train.batch_size": 10})
    dataset = run.dataset()
    assert len(dataset.train) == 50 and set(np.bincount(dataset.train.labels)) == {5}
    assert len(dataset.test) > 300


def test_a_run_of_another_net_is_refused(tmp_path, pretrained):
    with pytest.raises(UserError, match="start.workdir"):
        classifier(tmp_path, **started(pretrained, **{"encoder.widths": (9,)}))


def test_no_run_to_start_from(tmp_path):
    with pytest.raises(UserError, match="no run"):
        classifier(tmp_path / "a", **started(tmp_path / "nowhere"))


def test_a_classifier_does_not_reconstruct(tmp_path):
    run = classifier(tmp_path)
    with pytest.raises(UserError, match="classifier"):
        run.reconstruct(run.dataset().test.images)


def test_overlaid_takes_what_fits_below_the_named_parts():
    own = {"params": {"encoder": {"a": np.zeros(2), "b": np.zeros(3)}, "decoder": {"a": np.zeros(2)}}, "stats": {}}
    other = {"params": {"encoder": {"a": np.ones(2), "b": np.ones(4)}, "decoder": {"a": np.ones(2)}}}
    got = start.overlaid(own, other, ("encoder",), "there")["params"]
    assert got["encoder"]["a"].sum() == 2 and got["encoder"]["b"].sum() == 0 and got["decoder"]["a"].sum() == 0
