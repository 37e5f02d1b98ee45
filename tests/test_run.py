import numpy as np
import pytest

import aejax
from aejax import train
from aejax.errors import UserError
from tests import configurations


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "tied"
    train.run(configurations.load("deep", {"decoder.name": "tied", "train.epochs": 1}), workdir)
    return aejax.load(workdir)


def by_hand(run, x):
    """The codes of a deep ReLU net, and its reconstruction through the transposed kernels."""
    encoder, decoder = run.variables["params"]["encoder"], run.variables["params"]["decoder"]
    layers = [encoder["layers_0"], encoder["layers_1"]]
    h = x.reshape(len(x), -1).astype(np.float32) / 255
    for layer in layers:
        h = np.maximum(h @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"]), 0)
    y = np.maximum(h @ np.asarray(layers[1]["kernel"]).T + np.asarray(decoder["bias_0"]), 0)
    logits = y @ np.asarray(layers[0]["kernel"]).T + np.asarray(decoder["bias_1"])
    return h, (1 / (1 + np.exp(-logits))).reshape(x.shape)


def test_its_functions_take_raw_images_and_do_what_the_net_does(run):
    x = run.dataset().test.images
    codes, images = by_hand(run, x)
    np.testing.assert_allclose(run.encode(x), codes, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run.reconstruct(x), images, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run.decode(codes), images, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n", [1, 3, 1000, 1001])
def test_any_number_of_images(run, n):
    x = np.resize(run.dataset().train.images, (n, 8, 8, 1))
    np.testing.assert_allclose(run.encode(x)[-1:], run.encode(x[-1:]), rtol=1e-5, atol=1e-6)
    assert len(run.encode(x)) == n


def test_no_images_give_no_codes(run):
    assert run.encode(np.zeros((0, 8, 8, 1), np.uint8)).shape == (0, 16)


def test_grey_images_may_come_without_a_channel_axis(run):
    x = run.dataset().test.images[:3]
    np.testing.assert_array_equal(run.encode(x[..., 0]), run.encode(x))


def test_images_of_another_shape_are_refused(run):
    with pytest.raises(ValueError, match=r"\(9, 9, 1\).*\(8, 8, 1\)"):
        run.encode(np.zeros((2, 9, 9, 1), np.uint8))


def test_what_eight_devices_wrote_one_reads_and_goes_on(tmp_path):
    eight = {"mesh.devices": 8, "train.epochs": 2, "checkpoint.seconds": 0.0, "train.steps_per_call": 7}
    train.run(configurations.load("wta", eight), tmp_path / "eight")
    train.run(configurations.load("wta", {**eight, "mesh.devices": 1}), tmp_path / "one")
    a, b = aejax.load(tmp_path / "eight"), aejax.load(tmp_path / "one")
    x = a.dataset().test.images
    np.testing.assert_allclose(a.encode(x), b.encode(x), rtol=1e-2, atol=1e-3)
    (tmp_path / "eight" / "checkpoints" / str(a.step)).rename(tmp_path / "gone")
    assert train.run(configurations.load("wta", {**eight, "mesh.devices": 1}), tmp_path / "eight") == 0
    c = aejax.load(tmp_path / "eight")
    assert c.step == a.step
    np.testing.assert_allclose(a.encode(x), c.encode(x), rtol=1e-2, atol=1e-3)


def test_where_there_is_no_run(tmp_path):
    with pytest.raises(UserError, match="no run in"):
        aejax.load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json cannot be read"):
        aejax.load(tmp_path)


def test_where_there_is_no_checkpoint_yet(tmp_path, run):
    (tmp_path / "config.json").write_text((run.workdir / "config.json").read_text())
    with pytest.raises(UserError, match="no checkpoint"):
        aejax.load(tmp_path)
