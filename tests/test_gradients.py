"""Gradients by hand against jax.grad and finite differences, and the command that shows it."""

import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import FrozenConfigDict

import aejax
from aejax import gradients
from aejax.analysis import gradients as command
from aejax.gradients import Net


def random_net(rng, d=6, h=4):
    return Net(*(rng.normal(size=s).astype(np.float32) for s in ((d, h), (h,), (h, d), (d,))))


@pytest.mark.parametrize("n, d, h", [(1, 6, 4), (8, 6, 4), (5, 3, 10), (20, 64, 16)])
def test_all_four_gradients_are_those_of_jax(rng, n, d, h):
    net, x = random_net(rng, d, h), rng.random((n, d)).astype(np.float32)
    by_hand, automatic = jax.jit(gradients.closed_form)(net, x), jax.jit(jax.grad(gradients.loss))(net, x)
    for name, a, b in zip(Net._fields, by_hand, automatic, strict=True):
        assert a.shape == b.shape and np.any(b), name
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max(), err_msg=name)


def test_the_errors_are_derivatives_of_the_pre_activations(rng):
    net, x = random_net(rng), rng.random((8, 6)).astype(np.float32)
    passed = gradients.forward(net, x)
    above = lambda a2: jnp.mean(jnp.square(jax.nn.relu(a2) - x))  # noqa: E731
    below = lambda a1: above(jax.nn.relu(a1) @ net.w2 + net.b2[None])  # noqa: E731
    np.testing.assert_allclose(gradients.output_error(net, x), jax.grad(above)(passed.a2), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(gradients.hidden_error(net, x), jax.grad(below)(passed.a1), rtol=1e-4, atol=1e-7)


def test_loss_and_gradients_by_hand():
    # One pixel, one unit: x = 2, a₁ = 2·1 + 1 = 3, a₂ = 3·2 − 1 = 5.
    net = Net(*(jnp.array(v) for v in ([[1.0]], [1.0], [[2.0]], [-1.0])))
    x = jnp.array([[2.0]])
    assert gradients.loss(net, x) == 9
    found = gradients.closed_form(net, x)  # δ₂ = 2·3 = 6, δ₁ = 6·2 = 12
    assert [float(g.squeeze()) for g in found] == [24.0, 12.0, 18.0, 6.0]


def test_a_shut_relu_passes_nothing_and_neither_does_its_kink():
    zero = Net(jnp.zeros((3, 2)), jnp.zeros(2), jnp.zeros((2, 3)), jnp.zeros(3))
    x = jnp.ones((4, 3))
    for net in (zero, zero._replace(b2=-jnp.ones(3))):
        for a, b in zip(gradients.closed_form(net, x), jax.grad(gradients.loss)(net, x), strict=True):
            assert not np.any(a) and not np.any(b)


# -- the command


@pytest.mark.parametrize("name", Net._fields)
@pytest.mark.parametrize("tied", [False, True])
def test_finite_differences_are_the_gradient(rng, name, tied):
    net, x = random_net(rng), rng.random((8, 6)).astype(np.float32)
    net = net._replace(w2=net.w1.T) if tied else net
    expected = np.asarray(getattr(jax.grad(gradients.loss)(net, x), name)).ravel()
    indices = np.arange(expected.size)[::2]
    found = command.differences(net, x, name, indices)
    np.testing.assert_allclose(found, expected[indices], rtol=1e-3, atol=1e-6)


def test_compare_by_hand():
    found = command.compare(np.array([[1.0, 0.0], [-4.0, 2.5]]), np.array([[1.0, 0.0], [-4.0, 2.0]]))
    assert found["max_difference"] == 0.5 and found["relative_difference"] == 0.125
    assert found["zeros_percent"] == 25 and found["shape"] == [2, 2]
    nothing = command.compare(np.zeros(3), np.zeros(3))
    assert nothing["relative_difference"] == 0
    assert command.compare(np.ones(3), np.zeros(3))["relative_difference"] == np.inf


class HandMadeRun:
    """A run of 4×4 images: one dense layer each side into 5 units, by default with a relu code."""

    def __init__(self, rng, act=lambda a: np.maximum(a, 0), tied=False, layers=1):
        self.net, self.act, self.step = random_net(rng, 16, 5), act, 77
        self.config = FrozenConfigDict({"name": "byhand", "seed": 0, "code": {"size": 5}})
        w1, b1, w2, b2 = self.net
        decoder = {"bias_0": b2} if tied else {"layers_0": {"kernel": w2, "bias": b2}}
        encoder = {f"layers_{i}": {"kernel": w1, "bias": b1} for i in range(layers)}
        self.variables = {"params": {"encoder": encoder, "decoder": decoder}}
        images = rng.integers(0, 255, (30, 4, 4, 1), dtype=np.uint8)
        self.splits = SimpleNamespace(train=SimpleNamespace(images=images, labels=None), shape=(4, 4, 1), classes=())

    def dataset(self):
        return self.splits

    def prepare(self, x):
        return x.astype(np.float32) / 255

    def encode(self, x):
        return self.act(self.prepare(x).reshape(len(x), -1) @ self.net.w1 + self.net.b1)


@pytest.fixture
def execute(tmp_path, monkeypatch, capsys):
    """Runs the command on a run: (status, standard output, standard error, JSON or None)."""

    def execute(run, *arguments):
        monkeypatch.setattr(aejax, "load", lambda _: run)
        status = command.main([f"--workdir={tmp_path}", *arguments])
        path = tmp_path / "analysis" / "gradients.json"
        out, err = capsys.readouterr()
        return status, out, err, json.loads(path.read_text(), parse_constant=pytest.fail) if path.exists() else None

    return execute


def test_the_command_on_the_weights_of_a_run(rng, execute, tmp_path):
    run = HandMadeRun(rng)
    status, out, _, numbers = execute(run, "--images=20")
    assert status == 0 and numbers["weights"] == "run" and numbers["images"] == 20 and numbers["step"] == 77
    x = run.prepare(run.splits.train.images[:20]).reshape(20, -1)
    assert numbers["loss"] == pytest.approx(float(gradients.loss(run.net, x)), rel=1e-5)
    assert sorted(numbers["groups"]) == ["b1", "b2", "w1", "w2"] and numbers["groups"]["w2"]["shape"] == [5, 16]
    for group in numbers["groups"].values():
        assert group["relative_difference"] < 1e-5 and group["largest_entry"] > 0
        assert group["relative_difference_from_finite_differences"] < 1e-4
    assert "16-5-16" in out and "weights of the run" in out and "DIFFER" not in out
    assert (tmp_path / "analysis/gradients.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "options, arguments, whose, hidden",
    [
        ({"tied": True}, [], "run, tied", 5),
        ({"layers": 2}, [], "drawn", 5),
        ({"act": np.tanh}, [], "drawn", 5),
        ({}, ["--hidden=7"], "drawn", 7),
    ],
)
def test_the_command_says_whose_weights_they_are(rng, execute, options, arguments, whose, hidden):
    status, out, _, numbers = execute(HandMadeRun(rng, **options), *arguments)
    assert status == 0 and numbers["weights"] == whose and numbers["net"] == {"inputs": 16, "hidden": hidden}
    assert ("freshly drawn weights" in out) == (whose == "drawn")
    assert max(group["relative_difference"] for group in numbers["groups"].values()) < 1e-5


def test_a_wrong_derivation_is_told(rng, execute, monkeypatch):
    right = gradients.closed_form
    monkeypatch.setattr(gradients, "closed_form", lambda net, x: right(net, x)._replace(b1=1.01 * right(net, x).b1))
    status, out, _, numbers = execute(HandMadeRun(rng))
    assert status == 0 and "DIFFER" in out and "b₁" in out
    assert numbers["groups"]["b1"]["relative_difference"] == pytest.approx(0.01, rel=1e-2)


def test_mistakes_are_told_in_a_line(rng, execute):
    run = HandMadeRun(rng)
    for net in run.variables["params"]["encoder"].values():
        net["kernel"] = np.full_like(net["kernel"], np.nan)
    run.encode = lambda x: np.full((len(x), 5), np.nan)
    run.prepare = lambda x: np.full(x.shape, np.nan, np.float32)
    status, out, err, _ = execute(run)
    assert status == 2 and not out and err.count("\n") == 1 and "not all finite" in err
    status, _, err, _ = execute(run, "--images=0")
    assert status == 2 and err.count("\n") == 1 and "images" in err
