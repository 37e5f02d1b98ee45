"""Weight images of deeper layers against matrix products, and against what linear nets themselves do."""

import json

import jax
import numpy as np
import pytest
from ml_collections import FrozenConfigDict

import aejax
from aejax import model as models
from aejax.analysis import figure, filters, weights
from aejax.analysis.filters import layer_images, layers, pairs
from aejax.analysis.filters.layers import Layer
from aejax.errors import UserError
from tests import configurations
from tests.test_analysis_commands import HandMadeRun

SHAPE = (8, 8, 1)
LINEAR = {"encoder.activation": "linear", "decoder.activation": "linear", "code.activation": "linear",
          "loss.likelihood": "squared_error"}  # fmt: skip


def started(name, changes=None, shape=SHAPE, seed=0):
    """A model and random variables of its shapes; nothing compiles, as it would to initialise."""
    model = models.build(FrozenConfigDict(configurations.load(name, changes)), shape, 3)
    rng = np.random.default_rng(seed)
    shapes = dict(jax.eval_shape(lambda: models.init(model, 0)))
    fill = lambda a: (rng.normal(size=a.shape) / np.sqrt(np.prod(a.shape[:-1]))).astype(np.float32)  # noqa: E731
    return model, jax.tree.map(lambda a: fill(a) if np.issubdtype(a.dtype, np.floating) else np.zeros_like(a), shapes)


def found(model, variables):
    x = jax.ShapeDtypeStruct((1, *model.shape), np.float32)
    code = jax.eval_shape(lambda v, x: model.apply(v, x, method="encode"), variables, x).shape[1:]
    return layers.found(model, variables, code), code


def kernels(variables, part):
    return [np.asarray(k, np.float64) for k in weights.kernels(variables["params"][part])]


def test_the_layers_in_order():
    there, _ = found(*started("conv"))
    assert [(layer.part, layer.name, layer.shape) for layer in there] == [
        ("encoder", "convs_0", (4, 4, 4)), ("encoder", "convs_1", (2, 2, 8)), ("encoder", "layers_0", (10,)),
        ("decoder", "layers_0", (10,)), ("decoder", "convs_0", (2, 2, 8)), ("decoder", "convs_1", (4, 4, 8)),
        ("decoder", "convs_2", (8, 8, 4))]  # fmt: skip
    between = layer_images.between(there)
    assert [(layer.name, number, of) for layer, number, of in between] == [
        ("convs_1", 2, 3), ("layers_0", 3, 3), ("layers_0", 1, 4), ("convs_0", 2, 4), ("convs_1", 3, 4)]  # fmt: skip
    of_code = [layer_images.is_code(layer, there, (10,)) for layer, *_ in between]
    assert of_code == [False, True, True, False, False]
    assert [layer.part for layer in found(*started("stacked"))[0]] == ["encoder"] * 3  # a tied decoder has none
    head = {"encoder.widths": (6,), "classifier.on": "hidden"}
    assert found(*started("classifier", head))[0] == [Layer("encoder", "layers_0", (6,))]
    there, _ = found(*started("allconv"))  # whose layers call those of their class
    assert [layer.shape for layer in there if layer.part == "encoder"] == [(4, 4, 4), (2, 2, 4), (1, 2, 1)]


def test_dense_layers_are_the_product_of_the_kernels():
    changes = {"encoder.widths": (12, 7), "decoder.widths": (9, 5), "encoder.activation": "relu"}
    model, variables = started("deep", changes)
    there, code = found(model, variables)
    linear = layers.linearised(model)
    w, d = kernels(variables, "encoder"), kernels(variables, "decoder")
    products = {"layers_0": w[0], "layers_1": w[0] @ w[1], "layers_2": w[0] @ w[1] @ w[2]}
    for layer in there[:3]:
        images = layers.filters(linear, variables, layer)
        np.testing.assert_allclose(images.reshape(layer.units, -1), products[layer.name].T, rtol=1e-4, atol=1e-6)
    products = {"layers_0": d[0] @ d[1] @ d[2], "layers_1": d[1] @ d[2], "layers_2": d[2]}
    for layer in there[3:]:
        images = layers.atoms(linear, variables, layer)
        np.testing.assert_allclose(images.reshape(layer.units, -1), products[layer.name], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(layers.code_atoms(linear, variables, code), layers.atoms(linear, variables, there[3]))
    first, last = weights.encoder_filters(variables["params"], SHAPE), weights.decoder_atoms(variables["params"], SHAPE)
    np.testing.assert_allclose(layers.filters(linear, variables, there[0]), first, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(layers.atoms(linear, variables, there[-1]), last, rtol=1e-5, atol=1e-7)


def test_units_are_computed_in_blocks(monkeypatch):
    model, variables = started("deep", {"encoder.widths": (11,)})
    layer = found(model, variables)[0][0]
    whole = layers.filters(layers.linearised(model), variables, layer)
    monkeypatch.setattr(layers, "BLOCK", 4)
    assert np.array_equal(layers.filters(layers.linearised(model), variables, layer), whole) and len(whole) == 11


@pytest.mark.parametrize("resample", ["stride", "average_pool"])
def test_convolutions_are_what_the_gradient_of_a_linear_net_is(resample):
    model, variables = started("conv", {**LINEAR, "encoder.resample": resample}, (9, 10, 2))
    there, _ = found(model, variables)
    x = np.random.default_rng(0).normal(size=(1, 9, 10, 2)).astype(np.float32)
    h, pull = jax.vjp(jax.jit(lambda x: model.apply(variables, x, method="encode")), x)
    images = layers.filters(layers.linearised(model), variables, there[2])
    for unit in (0, 7):
        ct = np.zeros(h.shape, np.float32)
        ct[0, unit] = 1
        np.testing.assert_allclose(images[unit], pull(ct)[0][0], rtol=1e-4, atol=1e-6)


def test_a_unit_of_maps_is_its_place_in_the_middle():
    model, variables = started("conv_wta", {**LINEAR, "code.name": "deterministic", "encoder.widths": (2,)})
    there, code = found(model, variables)
    linear = layers.linearised(model)
    value = lambda x: model.apply(variables, x, method="encode")[0, 4, 4, 3]  # noqa: E731
    expected = jax.jit(jax.grad(value))(np.zeros((1, *SHAPE), np.float32))[0]
    images = layers.code_filters(linear, variables, code)
    np.testing.assert_allclose(images[3], expected, rtol=1e-4, atol=1e-6)
    assert layers.cropped(images).shape == (4, 5, 5, 1)  # 3×3 twice
    np.testing.assert_array_equal(layers.cropped(images), images[:, 2:7, 2:7])
    atoms = layers.cropped(layers.code_atoms(linear, variables, code))
    np.testing.assert_allclose(atoms, weights.decoder_atoms(variables["params"], SHAPE), rtol=1e-5, atol=1e-7)
    assert layers.cropped(np.zeros((2, 5, 5, 1))).shape == (2, 1, 1, 1)


def decoded_difference(model, variables, one):
    z = np.stack([one, 0 * one]).astype(np.float32)
    on, off = jax.jit(lambda z: model.apply(variables, z, method="decode"))(z)
    return on - off


@pytest.mark.parametrize(
    "name, changes",
    [("conv", {}), ("deep", {"decoder.name": "tied"}), ("vqvae", {"decoder.resample": "bilinear"}),
     ("shallow", {"decoder.name": "dictionary"})],
)  # fmt: skip
def test_atoms_are_what_an_impulse_adds(name, changes):
    model, variables = started(name, {**LINEAR, **changes})
    _, code = found(model, variables)
    atoms = layers.code_atoms(layers.linearised(model), variables, code)
    one = np.zeros(code, np.float32)
    one[(*(n // 2 for n in code[:-1]), 2)] = 1
    np.testing.assert_allclose(atoms[2], decoded_difference(model, variables, one), rtol=1e-4, atol=1e-5)


def test_an_impulse_goes_in_at_its_layer():
    model, variables = started("conv", {**LINEAR, "decoder.resample": "nearest"})
    there, code = found(model, variables)
    layer = next(layer for layer in there if layer.part == "decoder" and layer.name == "convs_1")
    atoms = layers.atoms(layers.linearised(model), variables, layer)

    def above(decoder, h):
        return decoder.convs[2](decoder.convs[1](h, (2, 2), (8, 8)))

    h = np.zeros((2, *layer.shape), np.float32)
    h[1, 2, 2, 5] = 1
    off, on = jax.jit(lambda h: model.apply(variables, h, method=lambda m, h: above(m.decoder, h)))(h)
    np.testing.assert_allclose(atoms[5], on - off, rtol=1e-4, atol=1e-6)


def test_activations_pooling_and_norms_are_made_linear(rng):
    changes = {"encoder.resample": "max_pool", "encoder.norm": "layer", "decoder.norm": "batch",
               "decoder.activation": "tanh", "precision": "bfloat16"}  # fmt: skip
    model, variables = started("conv", changes)
    variables["batch_stats"] = jax.tree.map(lambda a: np.abs(a) + 0.5, variables["batch_stats"])
    linear = layers.linearised(model)
    assert linear.config.encoder.resample == "average_pool" and linear.config.precision == "float32"
    x, y = rng.normal(size=(2, 1, *SHAPE)).astype(np.float32)

    given = jax.jit(lambda x: linear.apply(variables, x, method=lambda m, x: m.decoder(m.encoder(x))))
    both, first, second, none = given(np.concatenate([x + y, x, y, 0 * x]))
    np.testing.assert_allclose(both - second, first - none, rtol=1e-3, atol=1e-5)
    assert np.abs(first - second).max() > 0.1


def test_a_gaussian_code_reads_its_mean():
    model, variables = started("vae", {"encoder.widths": ()})
    images = layers.code_filters(layers.linearised(model), variables, (4,))
    np.testing.assert_allclose(images.reshape(4, -1), kernels(variables, "encoder")[0].T[:4], rtol=1e-5)


def test_cosines_by_hand():
    a = np.array([[1.0, 0], [3, 4], [0, 0], [1, 1]]).reshape(4, 1, 2, 1)
    b = np.array([[0.0, 2], [6, 8], [1, 0], [-2, -2]]).reshape(4, 1, 2, 1)
    values = pairs.cosines(a, b)
    np.testing.assert_allclose(values, [0, 1, np.nan, -1], atol=1e-12)
    described = pairs.describe(values, np.array([True, True, True, False]))
    assert described["min"] == 0 and described["max"] == 1 and described["median"] == 0.5
    assert "somewhat alike (cosine 0.50 in the median, 0.00 to 1.00)" in pairs.told(described, linear=False)
    assert "linearly" in pairs.told(described, linear=True)
    nothing = pairs.describe(values, np.zeros(4, bool))
    assert nothing["median"] is None and "No unit" in pairs.told(nothing, linear=False)
    words = [pairs.told({"median": m, "min": m, "max": m}, linear=False) for m in (0.95, 0.7, 0.0, -0.5)]
    assert [w.split(": ")[1].split(" (")[0] for w in words] == [
        "close to tied", "much alike", "nearly unrelated", "opposed"]  # fmt: skip


@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 9, 3), (1, 50, 12), (1, 4000, 1), (1, 1, 700), (40, 2, 1)])
def test_pairs_of_every_kind_are_drawn(shape, rng):
    a, b = rng.normal(size=(2, 5, *shape))
    picture = pairs.draw(a, b, np.arange(5), np.array([0.5, np.nan, 0, 0, 0]), "title")
    picture.draw_without_rendering()
    assert [text.get_text() for text in picture.axes[0].texts][:2] == ["0: 0.50", "1: zero"]


# --- the command ---------------------------------------------------------------------------------


class Made(HandMadeRun):
    """A run on 8×8 images with the net of a config, random weights and codes of a kind."""

    def __init__(self, workdir, name, changes=None):
        super().__init__(workdir)
        self.model, self.variables = started(name, changes)
        self.config = FrozenConfigDict({**self.model.config.to_dict(), "name": "made"})
        rng = np.random.default_rng(0)
        for split in self.splits.values():
            split.images = rng.integers(0, 255, (len(split.images), *SHAPE), dtype=np.uint8)
            split.images[:, 0, 0] = 9  # never varies
        self.shape, self.code_shape = SHAPE, found(self.model, self.variables)[1]

    def encode(self, x):
        z = np.resize(x.astype(np.float32), (len(x), *self.code_shape))
        z[..., 1] = 0  # dead
        return z


@pytest.fixture
def execute(tmp_path, monkeypatch, capsys):
    def execute(*arguments, run):
        monkeypatch.setattr(aejax, "load", lambda _, best=False: run)
        monkeypatch.setattr(figure, "save", lambda picture, path: path.parent.mkdir(exist_ok=True))
        status = filters.main([f"--workdir={tmp_path}", *arguments])
        out, err = capsys.readouterr()
        path = tmp_path / "analysis" / "filters.json"
        return status, out, err, json.loads(path.read_text(), parse_constant=pytest.fail) if path.exists() else None

    return execute


def test_all_layers_of_a_deep_net(execute, tmp_path):
    run = Made(tmp_path, "deep")
    status, out, _, numbers = execute(run=run)
    assert status == 0 and "layers" not in numbers and "layer 2" not in out and "_layers.png" not in out
    status, out, _, numbers = execute("--layers=all", "--units=5", run=run)
    assert status == 0 and "filters_layers.png" in out and "filters_pairs.png" in out
    encoder, decoder = numbers["layers"]
    assert (encoder["part"], encoder["number"], encoder["of"]) == ("encoder", 2, 2) and encoder["units"] == 15
    assert (decoder["part"], decoder["number"], decoder["of"]) == ("decoder", 1, 2) and len(decoder["shown"]) == 5
    assert "Encoder layer 2 of 2, taken linearly: noise-like" in out
    w, d = kernels(run.variables, "encoder"), kernels(run.variables, "decoder")
    atoms = np.linalg.norm(d[0] @ d[1], axis=1)
    assert decoder["norm"] == pytest.approx(np.median(np.delete(atoms, 1)), rel=1e-4)
    read = (w[0] @ w[1]).T
    read[:, 0] = 0  # of the pixel that never varies
    cosine = (read * (d[0] @ d[1])).sum(axis=1) / np.linalg.norm(read, axis=1) / atoms
    assert numbers["reads_and_writes"]["by_unit"] == pytest.approx(cosine, rel=1e-3)
    assert numbers["reads_and_writes"]["median"] == pytest.approx(np.median(np.delete(cosine, 1)), rel=1e-3)


def test_one_layer_has_no_others_but_pairs(execute, tmp_path):
    status, out, _, numbers = execute("--layers=all", run=Made(tmp_path, "shallow"))
    assert status == 0 and "no further layers" in out and "_layers.png" not in out and "filters_pairs.png" in out
    assert numbers["layers"] == [] and out.count("What a code unit reads and what it writes") == 1
    assert numbers["filter_atom_cosine"]["by_unit"] == pytest.approx(numbers["reads_and_writes"]["by_unit"], abs=1e-4)
    run = HandMadeRun(tmp_path)
    status, out, _, numbers = execute(run=run)
    assert numbers["filter_atom_cosine"]["median"] == 1 and "close to tied (cosine 1.00 in the median" in out
    run.variables["params"]["decoder"] = {"bias_0": np.zeros(16)}
    status, out, _, numbers = execute(run=run)
    assert numbers["tied"] and "filter_atom_cosine" not in numbers and "What a code unit reads" not in out


def test_all_layers_of_maps_of_a_tied_net_and_of_a_classifier(execute, tmp_path):
    status, out, _, numbers = execute("--layers=all", run=Made(tmp_path, "conv_wta"))
    assert status == 0 and numbers["layers"][0]["size"] == [5, 5] and len(numbers["reads_and_writes"]["by_unit"]) == 4
    status, out, _, numbers = execute("--layers=all", run=Made(tmp_path, "stacked"))
    assert status == 0 and [row["part"] for row in numbers["layers"]] == ["encoder"] * 2
    assert "reads_and_writes" not in numbers and "filters_pairs.png" not in out
    run = Made(tmp_path, "classifier", {"encoder.widths": (6, 5), "classifier.on": "hidden"})
    status, out, _, numbers = execute("--layers=all", run=run)
    assert status == 0 and [row["of"] for row in numbers["layers"]] == [2] and "reads_and_writes" not in numbers


def test_the_words_that_code_units_add(execute, tmp_path):
    run = Made(tmp_path, "text", {"decoder.widths": (3,), "code.size": 4})
    run.model, run.variables = started("text", {"code.size": 4}, (1, 1, 64))
    run.reshaped(1, 1, 64)
    run.words = tuple(f"word{i}" for i in range(64))
    status, out, _, numbers = execute("--layers=all", run=run)
    d = kernels(run.variables, "decoder")
    added = (d[0] @ d[1])[2]
    assert status == 0 and numbers["words_by_code_unit"]["2"][0] == [
        f"word{added.argmax()}", pytest.approx(added.max(), rel=1e-4)]  # fmt: skip
    assert out.count("Words that code unit") == 3


def test_what_has_no_weight_images_does_not_apply(execute, tmp_path):
    run = HandMadeRun(tmp_path)
    run.variables["params"]["encoder"] = {"layers_0": {"kernel": np.ones((3, 3, 1, 8))}}
    status, out, err, numbers = execute(run=run)
    assert status == 0 and not err and "does not apply: weight images need a dense layer" in out and numbers is None
    run.variables["params"]["encoder"] = {"layers_0": {"kernel": np.full((16, 16), np.nan)}}
    status, _, err, _ = execute(run=run)
    assert status == 2 and "not all finite" in err
    assert issubclass(weights.NoImages, UserError)
    status, _, err, _ = execute("--layers=some", run=HandMadeRun(tmp_path))
    assert status == 2 and "--layers=some: accepted are ends, all" in err
