"""The encoder's Jacobian: against SVD, closed forms and jacrev; contraction and saturation; the command."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import FrozenConfigDict
from scipy.spatial.distance import pdist

from aejax import model as models
from aejax.analysis import jacobian, results
from aejax.analysis.jacobian import encoders, spectrum
from aejax.analysis.jacobian.encoders import Encoder, encoder, relative_slopes, saturation
from aejax.analysis.jacobian.spectrum import contraction, local_dimension, pairs, participation_ratio, singular_values
from tests import configurations
from tests.test_analysis_commands import HandMadeRun, execute, workdir  # noqa: F401

SHAPE = (4, 4, 1)


def made(name, changes=None, scale=1.0):
    """A run of a shipped config's tiny preset with random weights of standard deviation ``scale``."""
    config = FrozenConfigDict(configurations.load(name, changes).to_dict())
    model, rng = models.build(config, SHAPE, 3), np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: models.init(model, 0))  # without compiling the initialisers
    fill = lambda s: jnp.asarray(scale * rng.normal(size=s.shape), s.dtype)  # noqa: E731
    variables = jax.tree.map(lambda s: fill(s) if s.dtype == jnp.float32 else jnp.zeros(s.shape, s.dtype), shapes)
    code = jax.eval_shape(lambda x: model.apply(variables, x, method="encode"), jnp.zeros((1, *SHAPE))).shape[1:]
    return SimpleNamespace(config=config, model=model, variables=variables, code_shape=code)


def images(n):
    return np.random.default_rng(0).uniform(size=(n, *SHAPE)).astype(np.float32)


def encoded(run, x):
    return np.asarray(jax.jit(lambda x: run.model.apply(run.variables, x, method="encode"))(x))


def linear(w):
    """An encoder x W without maps."""
    f = lambda x: jnp.asarray(x).reshape(len(x), -1) @ jnp.asarray(w, jnp.float32)  # noqa: E731
    return Encoder(f, f, (1, 1))


@pytest.mark.parametrize("outputs", [3, 16, 40])
@pytest.mark.parametrize("at_once", [1, 100, 10**6])
def test_a_linear_encoder_has_the_spectrum_of_its_weights(rng, outputs, at_once):
    w = rng.normal(size=(16, outputs)).astype(np.float32)
    j = spectrum.jacobian(lambda x: x.reshape(-1) @ w, at_once)(images(1)[0])
    np.testing.assert_allclose(j, w.T, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(singular_values(j), np.linalg.svd(w, compute_uv=False), rtol=1e-4)
    sigma, squared = jacobian.spectra(linear(w), images(2))
    assert squared == pytest.approx([np.square(w).sum()] * 2, rel=1e-5)
    np.testing.assert_allclose(np.square(sigma).sum(axis=1), squared, rtol=1e-5)
    assert sigma.shape == (2, min(16, outputs)) and np.all(np.diff(sigma) <= 0)


def test_one_sigmoid_layer_in_closed_form():
    run = made("contractive", scale=0.3)
    x, w = images(3), np.asarray(run.variables["params"]["encoder"]["layers_0"]["kernel"])
    _, squared = jacobian.spectra(encoder(run), x)
    h = encoded(run, x)
    expected = (np.square(h * (1 - h)) * np.square(w).sum(axis=0)).sum(axis=1)
    np.testing.assert_allclose(squared, expected, rtol=1e-4)


@pytest.mark.parametrize(
    "name, changes",
    [("deep", {"encoder.activation": "tanh"}), ("topk", {"code.size": 24, "code.k": 5}), ("vae", {}), ("conv_wta", {})],
)  # fmt: skip
def test_jacobians_agree_with_jacrev(name, changes):
    run = made(name, changes, scale=0.3)
    x = images(1)[0]
    f = lambda x: run.model.apply(run.variables, x[None], method="encode").reshape(-1)  # noqa: E731
    expected = np.asarray(jax.jit(jax.jacrev(f))(x)).reshape(-1, 16)
    found = spectrum.jacobian(lambda x: encoder(run).differentiate(x[None])[0])(x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert np.abs(found).max() > 0.01
    np.testing.assert_allclose(encoder(run).encode(x[None])[0], jax.jit(f)(x), rtol=1e-5, atol=1e-6)


def test_dimensions_at_the_ends():
    one, equal, none = np.eye(6)[0] * 3, np.full(6, 0.2), np.zeros(6)
    assert participation_ratio(one) == pytest.approx(1) and participation_ratio(equal) == pytest.approx(6)
    assert np.isnan(participation_ratio(none)) and local_dimension(none) == 0
    assert participation_ratio(np.array([2.0, 1])) == pytest.approx(25 / 17)
    rows = np.array([[5.0, 1, 0.51, 0.49], [2, 2, 2, 2]])
    assert local_dimension(rows, 0.1).tolist() == [3, 4] and local_dimension(rows, 0.5).tolist() == [1, 4]


def test_contraction_of_an_isometry_and_of_saturation(rng):
    x, radii = images(4), np.array([0.01, 0.3, 5.0])
    q = 0.5 * np.linalg.qr(rng.normal(size=(16, 16)))[0]
    np.testing.assert_allclose(contraction(linear(q).encode, x, radii, 2), 0.5, rtol=1e-3)
    asked = []
    contraction(lambda y: (asked.append(y), linear(q).encode(y))[1], x, radii, 2)
    far = [np.linalg.norm((y - x).reshape(4, -1), axis=1) for y in asked[1:]]
    np.testing.assert_allclose(far, np.tile(radii, 2)[:, None] * np.ones(4), rtol=1e-3)
    assert not np.allclose(asked[3] - x, asked[6] - x)  # another direction
    first = np.eye(16)[:, :4]  # four of sixteen directions: a quarter of the squares comes through
    ratios = contraction(linear(first).encode, x, radii[1:], 200)
    np.testing.assert_allclose(ratios, 0.485, atol=0.04)
    falling = contraction(lambda x: np.tanh(x.reshape(len(x), -1)), 0 * x, radii, 3)
    assert np.all(np.diff(falling, axis=1) < 0)
    growing = contraction(lambda x: np.square(x.reshape(len(x), -1)), 0 * x, radii, 3)
    assert np.all(np.diff(growing, axis=1) > 0)


def test_pairs_are_those_that_differ(rng):
    x = images(5)
    z = rng.normal(size=(5, 3))
    apart, ratio = pairs(x, z)
    np.testing.assert_allclose(apart, pdist(x.reshape(5, -1)), rtol=1e-5)
    np.testing.assert_allclose(ratio, pdist(z) / pdist(x.reshape(5, -1)), rtol=1e-5)
    x[3] = x[1]
    assert len(pairs(x, z)[0]) == 9 and len(pairs(x[:1], z[:1])[0]) == 0
    far, high = spectrum.binned(np.array([4.0, 1, 3, 2]), np.array([40.0, 10, 30, 20]), 2)
    assert far.tolist() == [1.5, 3.5] and high.tolist() == [15, 35]
    assert len(spectrum.binned(np.array([]), np.array([]))[0]) == 0


def test_relative_numbers_do_not_depend_on_scale(rng):
    x, q = images(6), np.linalg.qr(rng.normal(size=(16, 16)))[0]
    _, numbers = jacobian.measure(linear(q), x, None)
    assert numbers["relative"] == pytest.approx(1, rel=1e-4)
    assert numbers["sensitivity"] == pytest.approx(1, rel=1e-4)
    w = rng.normal(size=(16, 3))
    a, b = (jacobian.measure(linear(scale * w), x, None)[1] for scale in (1, 7))
    assert a["relative"] == pytest.approx(b["relative"]) and a["sensitivity"] == pytest.approx(b["sensitivity"])
    assert b["frobenius"]["mean"] == pytest.approx(7 * a["frobenius"]["mean"])
    c = jacobian.measure(linear(w / 2), 2 * x, None)[1]
    assert a["relative"] == pytest.approx(c["relative"]) and a["sensitivity"] == pytest.approx(c["sensitivity"])


def test_a_constant_code_and_a_single_image():
    _, numbers = jacobian.measure(linear(np.zeros((16, 3))), images(4), None)
    assert numbers["frobenius"]["mean"] == 0 and not np.isfinite(numbers["relative"])
    assert "does not depend on the image" in jacobian.summarise({**numbers, "images": 4, "places": (1, 1)}, "image")[-1]
    m, numbers = jacobian.measure(linear(np.eye(16)), images(1), None)
    assert len(m.distances) == 0 and not np.isfinite(numbers["relative"]) and m.radii[0] > 0


@pytest.mark.parametrize("name, before", [("hashing", jax.nn.sigmoid), ("vqvae", lambda h: h)])
def test_piecewise_constant_codes_are_differentiated_before(name, before):
    run = made(name, {"encoder.name": "mlp", "encoder.widths": (), "decoder.name": "mlp", "decoder.widths": ()})
    e, x = encoder(run), images(2)
    h = jax.jit(lambda x: encoders.features(run.model, run.variables, x))(x)
    np.testing.assert_allclose(e.encode(x), np.asarray(before(h)).reshape(2, -1), rtol=1e-6)
    assert "piecewise constant" in e.note and jacobian.spectra(e, x)[1].min() > 0
    if name == "hashing":
        assert np.array_equal(encoded(run, x), np.asarray(h) > 0)


def test_maps_of_too_many_values_are_differentiated_at_some_places(monkeypatch):
    run = made("conv_wta")
    assert encoder(run).places == (16, 16)
    z = encoded(run, images(2))
    monkeypatch.setattr(encoders, "MOST", 63)
    monkeypatch.setattr(encoders, "CHOSEN", 16)
    e = encoder(run)
    assert e.places == (4, 16) and e.encode(images(2)).shape == (2, 64)
    np.testing.assert_allclose(jax.jit(e.differentiate)(images(2)), z[:, 1::2, 1::2].reshape(2, -1), rtol=1e-5)
    w = np.tile(np.eye(16), 4)  # four places with the same Jacobian, of which one is enough
    full, one = linear(w), linear(np.eye(16))
    part = Encoder(full.encode, one.encode, (1, 4))
    assert jacobian.spectra(part, images(1))[1] == pytest.approx(jacobian.spectra(full, images(1))[1])
    assert encoders._spaced(1, 10, 2).tolist() == [2, 7]
    assert encoders._spaced(3, 2, 100).tolist() == list(range(6))


def test_derivatives_are_float32s():
    low, high = (made("deep", {"precision": p}) for p in ("bfloat16", "float32"))
    low.variables = high.variables
    found = [jacobian.spectra(encoder(run), images(1))[1] for run in (low, high)]
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_one_rule_of_saturation_for_sigmoid_tanh_and_relu():
    def saturated(name, h):
        slopes = jax.jit(lambda h: relative_slopes(name, h))(np.array(h, np.float32))
        return (np.asarray(slopes) < encoders.SATURATED).tolist()

    p = np.array([0.049, 0.051, 0.5, 0.949, 0.951])
    assert saturated("sigmoid", np.log(p / (1 - p))) == [True, False, False, False, True]
    assert saturated("tanh", np.arctanh([-0.901, -0.899, 0, 0.899, 0.901])) == [True, False, False, False, True]
    assert saturated("relu", [-1, 0, 0.001, 5]) == [True, True, False, False]
    assert saturated("leaky_relu", [-1, 1]) == [True, False] and saturated("softplus", [-5, 5]) == [True, False]


@pytest.mark.parametrize(
    "name, changes, expected",
    [("contractive", {}, lambda z: (z < 0.05) | (z > 0.95)),
     ("allconv", {}, lambda z: z == 0),
     ("topk", {}, lambda z: z == 0),
     ("deep", {"code.activation": "tanh"}, lambda z: np.abs(z) > 0.9),
     ("classifier", {"classifier.on": "hidden", "encoder.widths": (9, 7)}, lambda z: z == 0),
     ("classifier", {"classifier.on": "hidden", "encoder.widths": (9, 7), "encoder.norm": "layer",
                     "encoder.activation": "tanh"}, lambda z: np.abs(z) > 0.9),
     ("classifier", {"code.activation": "sigmoid"}, lambda z: (z < 0.05) | (z > 0.95))],
)  # fmt: skip
def test_saturation_by_slopes_is_that_by_values(name, changes, expected):
    run, x = made(name, changes), images(20) - 0.5
    told, share = saturation(run, x)
    flat = expected(encoded(run, x))
    np.testing.assert_allclose(share, flat.reshape(-1, flat.shape[-1]).mean(axis=0), atol=1e-6)
    assert 0 < share.mean() < 1 and told


@pytest.mark.parametrize("name", ["vae", "vqvae", "conv", "iwae"])
def test_linear_units_do_not_saturate(name):
    run = SimpleNamespace(config=FrozenConfigDict(configurations.load(name).to_dict()), model=None)
    assert saturation(run, images(2)) is None


class DifferentiableRun(HandMadeRun):
    """The same one-layer ReLU net as a model that can be differentiated."""

    def __init__(self, folder, **given):
        super().__init__(folder, **given)
        net = made("shallow", {"code.size": 16})
        self.model, self.config = net.model, net.config
        self.variables = {"params": jax.tree.map(jnp.asarray, self.variables["params"])}
        x = self.splits["test"].images[:5]
        np.testing.assert_allclose(encoded(net, self.prepare(x)).shape, self.encode(x).shape)


@pytest.fixture
def undrawn(monkeypatch):
    """The command without its picture, which takes longest."""
    monkeypatch.setattr(jacobian, "draw", lambda *_: None)
    monkeypatch.setattr(results, "save", lambda *_: None)


def test_command(execute, workdir):  # noqa: F811
    status, out, _, numbers = execute("jacobian", "--images=7", run=DifferentiableRun(workdir))
    assert status == 0 and numbers["images"] == 7 and "at 7 test images" in out
    assert [i % 3 for i in numbers["test_indices"]] == [0, 0, 0, 1, 1, 2, 2]
    assert numbers["frobenius"]["mean"] == pytest.approx(np.sqrt(15), rel=1e-5)  # all units but the dead one are on
    assert numbers["squared_frobenius_mean"] == pytest.approx(15) and numbers["frobenius"]["std"] < 1e-5
    assert numbers["spectrum"]["mean"] == pytest.approx([1] * 15 + [0]) and numbers["local_dimension"]["mean"] == 15
    assert numbers["participation_ratio"]["mean"] == pytest.approx(15)
    s = numbers["saturation"]
    assert s["percent_by_unit"] == [0] * 15 + [100] and s["saturated_for_good"] == [15] and s["activation"] == "relu"
    ratio = numbers["contraction"]
    assert ratio["limit"] == pytest.approx(np.sqrt(15 / 16), rel=1e-5)
    assert ratio["ratio"][0] == pytest.approx(ratio["limit"], rel=0.02) and ratio["ratio"][-1] < ratio["ratio"][0]
    assert "The contraction ratio of noise falls" in out and "1 of 16 units for 90 %" in out
    assert (workdir / "analysis/jacobian.png").read_bytes().startswith(b"\x89PNG")


def test_command_without_labels_on_linear_units(execute, workdir):  # noqa: F811
    run = DifferentiableRun(workdir, labels=False)
    linear_net = made("shallow", {"code.activation": "linear", "code.size": 16})
    run.model, run.config = linear_net.model, linear_net.config
    status, out, _, numbers = execute("jacobian", "--images=4", run=run)
    assert status == 0 and numbers["test_indices"] == [0, 10, 19, 29] and "saturation" not in numbers
    assert numbers["relative"] == pytest.approx(1, rel=1e-4) and numbers["places"] == [1, 1]
    assert "stays within 10 %" in out


def test_refusals(execute, workdir, undrawn):  # noqa: F811
    run = DifferentiableRun(workdir)
    status, _, err, _ = execute("jacobian", "--images=0", run=run)
    assert status == 2 and err.count("\n") == 1 and "--images" in err
    run.variables = jax.tree.map(lambda w: w * np.nan, run.variables)
    status, _, err, _ = execute("jacobian", run=run)
    assert status == 2 and err.count("\n") == 1 and "not all finite" in err
    run.splits["test"].images = run.splits["test"].images[:0]
    status, _, err, _ = execute("jacobian", run=run)
    assert status == 2 and err.count("\n") == 1 and "test split" in err
