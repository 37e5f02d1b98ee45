"""Weight images against what the nets themselves do with a single pixel, unit or place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import FrozenConfigDict

from aejax import model as models
from aejax.analysis import weights
from tests import configurations

SHAPE = (8, 8, 1)


def started(name, changes, seed=0, shape=SHAPE):
    config = FrozenConfigDict(configurations.load(name, changes))
    model = models.build(config, shape)
    return model, jax.jit(models.init, static_argnums=0)(model, seed)


def added(model, variables, unit, method="decode"):
    """What this unit adds to the image when it goes from 0 to 1."""
    z = np.zeros((2, *unit.shape), np.float32)
    z[1] = unit
    off, on = np.asarray(jax.jit(lambda v, z: model.apply(v, z, method=method))(variables, z))
    return on - off


@pytest.mark.parametrize("kernel", [(3, 3), (5, 3)])
def test_an_atom_is_what_one_place_of_a_map_adds(kernel):
    model, variables = started("conv_wta", {"decoder.kernel": kernel})
    atoms = weights.decoder_atoms(variables["params"], SHAPE)
    assert atoms.shape == (4, *kernel, 1) and np.abs(atoms - atoms[:, ::-1, ::-1]).max() > 0.1
    (h, w), unit = kernel, np.zeros((8, 8, 4), np.float32)
    unit[3, 4, 2] = 1
    image = added(model, variables, unit)
    top, left = 3 - h // 2, 4 - w // 2
    np.testing.assert_allclose(image[top : top + h, left : left + w], atoms[2], rtol=1e-5, atol=1e-6)
    assert np.count_nonzero(np.abs(image) > 1e-6) <= h * w


def test_a_kernel_is_what_the_first_convolution_looks_for():
    model, variables = started("conv_wta", {"encoder.widths": (), "code.size": 3, "encoder.kernel": (5, 3)})
    filters = weights.encoder_filters(variables["params"], SHAPE)
    assert filters.shape == (3, 5, 3, 1)
    x = np.zeros((1, *SHAPE), np.float32)
    x[0, 1:6, 3:6] = filters[1]
    h = jax.jit(lambda v, x: model.apply(v, x, method=lambda m, x: m.encoder(x)))(variables, x)
    assert h[0, 3, 4, 1] == pytest.approx(np.square(filters[1]).sum(), rel=1e-4)


def test_the_last_convolution_of_a_deep_net():
    model, variables = started("conv", {})
    params = variables["params"]
    atoms = weights.decoder_atoms(params, SHAPE)
    assert weights.encoder_filters(params, SHAPE).shape[1:] == (3, 3, 1) == atoms.shape[1:]
    last = max(name for name in params["decoder"] if name.startswith("convs_"))
    maps = jnp.zeros((1, *SHAPE[:2], len(atoms))).at[0, 4, 4, 1].set(1.0)

    def through(module, x):
        return module.decoder.convs[-1](x)

    image = model.apply(variables, maps, method=through) - params["decoder"][last]["bias"].reshape(1, 1, 1, -1)
    np.testing.assert_allclose(image[0, 3:6, 3:6], atoms[1], rtol=1e-5, atol=1e-6)
    assert weights.of_code(params, 4, len(atoms), model.config.code.size) == set()


def test_the_atoms_of_a_dictionary_have_norm_one():
    changes = {"decoder.name": "dictionary", "encoder.widths": (), "code.size": 6, "loss.likelihood": "squared_error"}
    model, variables = started("shallow", changes)
    variables["params"]["decoder"]["kernel"] *= 3.0
    atoms = weights.decoder_atoms(variables["params"], SHAPE)
    np.testing.assert_allclose(np.square(atoms).sum((1, 2, 3)), 1, rtol=1e-5)
    np.testing.assert_allclose(added(model, variables, np.eye(6)[4]), atoms[4], atol=1e-6)
    assert not weights.is_tied(variables["params"])
    assert weights.of_code(variables["params"], 6, 6, 6) == {"encoder", "decoder"}


def test_images_belong_to_code_units_where_one_layer_makes_them():
    dense, conv = {"layers_0": {"kernel": np.ones((4, 3))}}, {"convs_0": {"kernel": np.ones((3, 3, 1, 3))}}
    deep = {**conv, "layers_0": {"kernel": np.ones((9, 3))}}
    of = lambda encoder, decoder: weights.of_code({"encoder": encoder, **decoder}, 3, 3, 3)  # noqa: E731
    assert of(dense, {"decoder": dense}) == of(conv, {"decoder": conv}) == {"encoder", "decoder"}
    assert of(deep, {"decoder": conv}) == {"decoder"} and of(dense, {"decoder": deep}) == {"encoder"}
    assert of(dense, {"decoder": {"bias_0": 0}}) == {"encoder", "decoder"}  # tied
    assert of(deep, {"decoder": {"bias_0": 0}}) == set()
    assert of(dense, {"head": dense}) == {"encoder"} and of(deep, {}) == set()
    assert weights.of_code({"encoder": dense, "decoder": dense}, 6, 3, 3) == {"decoder"}  # two features a unit
