"""What the bench trains: every shipped config described, its parameters and arithmetic; the examples; the operators."""

import json
import math

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

from aejax import model
from aejax.bench import description, examples, figures, layers, nets, operators, ours_operators
from aejax.errors import UserError
from configs import base

SHAPES = {"generated:audio": (1, 100, 32), "generated:text": (1, 1, 2000), "generated:cifar10": (32, 32, 3)}
SHAPES |= {"mnist5k": (28, 28, 1), "digits": (8, 8, 1)}
MORE = ("conv:pooling", "conv_vae:maps", "stochastic:learned", "topk:jump_relu", "topk:gated", "contractive:deep")


def described(name, **changes):
    config = nets.load(name).unlock()
    config.update_from_flattened_dict(changes)
    return config, nets.describe(config, SHAPES[config.data.name], 10)


@pytest.mark.parametrize("name", [*nets.names(), *(f"{name}:tiny" for name in nets.shipped()), *MORE])
def test_a_description_has_as_many_parameters_as_the_model(name):
    config, net = described(name)
    built = model.build(ml_collections.FrozenConfigDict(config), tuple(net["shape"]), 10)
    params = jax.eval_shape(lambda: model.init(built, 0))["params"]
    assert description.parameters(net) == sum(leaf.size for leaf in jax.tree.leaves(params))
    assert json.loads(json.dumps(net)) == net, "plain JSON"


@pytest.mark.parametrize("norm, dropout", [("batch", 0.1), ("layer", 0.0)])
@pytest.mark.parametrize("name", ["deep", "conv"])
def test_norms_and_dropout_are_described(name, norm, dropout):
    config, net = described(name, **{f"{s}.{k}": v for s in ("encoder", "decoder") for k, v in
                                     (("norm", norm), ("dropout", dropout))})  # fmt: skip
    built = model.build(ml_collections.FrozenConfigDict(config), tuple(net["shape"]))
    params = jax.eval_shape(lambda: model.init(built, 0))["params"]
    assert description.parameters(net) == sum(leaf.size for leaf in jax.tree.leaves(params))
    kinds = [layer["kind"] for layer in net["encoder"]]
    assert kinds.index("norm") < kinds.index("activation") and ("dropout" in kinds) == bool(dropout)


def sizes_of(net):
    """Follow the shape of what goes through the encoder and the decoder: the shapes at their ends."""
    ends, shape = [], tuple(net["shape"])
    for part in ("encoder", "decoder"):
        if part == "decoder":
            shape = (*shape[:-1], net["code"]["size"])
        for layer in net[part]:
            kind = layer["kind"]
            if kind in ("dense", "dictionary"):
                assert shape == (layer["inputs"],)
                shape = (layer["outputs"],)
            elif kind in ("conv", "conv_transpose"):
                assert shape == (*layer["size_in"], layer["inputs"])
                small, large = sorted((layer["size_out"], layer["size_in"]))
                assert [-(-n // s) for n, s in zip(large, layer["strides"], strict=True)] == small
                shape = (*layer["size_out"], layer["outputs"])
            elif kind in ("max_pool", "average_pool"):
                shape = (*(-(-n // w) for n, w in zip(shape, layer["window"], strict=False)), shape[2])
            elif kind in ("nearest", "bilinear"):
                shape = (*layer["size"], shape[2])
            elif kind == "flatten":
                assert shape == tuple(layer["shape"])
                shape = (math.prod(shape),)
            elif kind == "reshape":
                assert math.prod(shape) == math.prod(layer["shape"])
                shape = tuple(layer["shape"])
        ends.append(shape)
    return ends


@pytest.mark.parametrize("name", [*nets.names(), *MORE])
def test_layers_fit_together_from_images_to_images(name):
    _, net = described(name)
    code, images = sizes_of(net)
    if net["model"] == "classifier":
        assert code == (10,) and net["decoder"] == []
    else:
        assert images == tuple(net["shape"])


def test_description_of_nets_by_hand():
    _, deep = described("deep")
    assert description.title(deep) == "784-128-32-128-784, batch 32"
    kinds = [layer["kind"] for layer in deep["encoder"] + deep["decoder"]]
    assert kinds == ["flatten", "dense", "activation", "dense", "dense", "activation", "dense", "reshape"]
    _, conv = described("conv")
    assert description.title(conv) == "1@28x28-16@14x14-32@7x7-10-1568-32@14x14-16@28x28-1@28x28, batch 64"
    _, wta = described("wta")
    assert wta["code"] == {"name": "lifetime", "size": 2000, "rate": 0.05} and wta["decoder"][0]["adjoint_of"] == 0
    _, classifier = described("classifier")
    assert [layer["kind"] for layer in classifier["encoder"]] == ["flatten", "dense", "activation", "dense"]
    assert classifier["classes"] == 10 and deep["classes"] == 0


def test_what_parts_read_is_described():
    assert described("denoising")[1]["corruption"] == {"name": "clipped_gaussian", "std": 0.2, "low": 0.0, "high": 1.0}
    assert described("kl_sparse")[1]["penalties"] == {
        "kl_sparsity": {"weight": 3.0, "sparsity": 0.1}, "weight_decay": {"weight": 3e-3}}  # fmt: skip
    assert described("vae")[1]["penalties"] == {"kl": {"weight": 1.0}}
    assert described("vqvae")[1]["penalties"] == {"commitment": {"weight": 0.25}}
    assert described("topk")[1]["penalties"] == {"aux_k": {"weight": 0.25, "aux_units": 256}}
    assert described("vqvae")[1]["code"].keys() == {"name", "size", "entries", "decay", "restart"}
    assert described("topk")[1]["prepare"] == {"whiten": "centred", "binarise": "none"}
    assert described("text")[1]["likelihood"] == {"name": "multinomial"}


@pytest.mark.parametrize("name, key", [
    ("denoising:masking", "corruption.emphasis"), ("cifar_denoising:zca", "data.whiten"),
    ("classifier:frozen", "optim.freeze"),
])  # fmt: skip
def test_what_peers_have_no_words_for_is_refused_by_name(name, key):
    with pytest.raises(nets.Inexpressible, match=f"config.{key}="):
        described(name)


# -- names


def test_what_cannot_be_compared_is_fixed():
    config = nets.load("ksparse")
    assert config.code.k_start == 0 and config.optim.schedule == "constant" and config.is_locked
    assert nets.load("stacked").greedy.epochs == 0 and nets.load("vae:beta").loss.warmup == 0.0
    assert nets.load("classifier:frozen").start.workdir == "" and nets.load("classifier").data.labels == 0


def test_a_batch_stands_behind_an_at():
    assert nets.load("deep@256").train.batch_size == 256 and nets.load("deep").train.batch_size == 32
    assert nets.load("wta:tiny@7").train.batch_size == 7
    for wrong in ("deep@", "deep@0", "deep@many"):
        with pytest.raises(UserError, match="after @ comes a batch"):
            nets.load(wrong)


def test_presets_of_the_bench_alone():
    config = nets.load("conv_wta:maps64@64")
    assert config.encoder.widths == (64, 64) and config.code.size == 64 and config.train.batch_size == 64
    assert nets.load("vae:pythae").data.binarise == "none"
    with pytest.raises(UserError, match="conv_wta: no preset"):
        nets.load("conv_wta:maps65")


def test_nets_need_no_download_and_no_files_unless_another_set_is_named():
    assert nets.load("wta").data.name == nets.load("shallow:notebook").data.name == "mnist5k"
    assert nets.load("wta", data="kmnist").data.name == "kmnist"
    assert nets.load("text").data.name == "generated:text" and nets.generated("generated:text")
    assert not any(nets.generated(nets.load(name).data.name) for name in ("deep", "wta", "conv"))


def test_every_shipped_config_is_measured_by_default():
    assert set(nets.names()) == {*nets.shipped(), "deep@256", "conv_wta:maps64", "vae:pythae"}
    with pytest.raises(UserError):
        nets.load("base")


@pytest.mark.parametrize("precision, told", [("float16", "accepted: float32")])
def test_a_precision_is_one_that_there_is(precision, told):
    with pytest.raises(UserError, match=told):
        nets.load("deep", precision=precision)


# -- examples


def test_few_images_are_repeated_to_an_epoch_of_mnist():
    found = examples.load(nets.load("classifier:tiny"))
    assert found.images.dtype == np.uint8 and 58_000 < len(found.images) <= examples.EXAMPLES
    assert len(found.labels) == len(found.images) and len(found.classes) == 10


@pytest.mark.parametrize("name, dtype", [("audio", np.float32), ("text", np.float32), ("cifar_denoising", np.uint8)])
def test_generated_examples_have_the_shape_and_type_of_the_real(name, dtype, monkeypatch):
    monkeypatch.setattr(examples, "MADE", 40)
    monkeypatch.setattr(examples, "EXAMPLES", 80)
    config = nets.load(name)
    found, again = examples.load(config), examples.load(config)
    assert found.images.shape == (80, *SHAPES[config.data.name]) and found.images.dtype == dtype
    assert np.array_equal(found.images, again.images) and found.images.std() > 0
    assert found.images.min() >= 0 and (name == "text" or found.images.max() <= (1 if dtype == np.float32 else 255))


def test_examples_are_saved_with_what_the_config_reads(tmp_path):
    saved = examples.save(nets.load("topk:tiny"), tmp_path)
    mean = np.load(saved.mean)
    np.testing.assert_allclose(mean, np.load(saved.images).astype(np.float64).mean(axis=0) / 255, atol=1e-5)
    assert saved.labels is None and saved.paths()["mean"] == str(tmp_path / "mean.npy")
    saved = examples.save(nets.load("classifier:tiny"), tmp_path)
    assert np.load(saved.labels).dtype == np.int32 and saved.mean is None


# -- arithmetic


def dense(inputs, outputs):
    return {"kind": "dense", "inputs": inputs, "outputs": outputs}


def conv(kind, inputs, outputs, size_in, size_out):
    return {"kind": kind, "inputs": inputs, "outputs": outputs, "kernel": [3, 3], "strides": [2, 2],
            "size_in": size_in, "size_out": size_out}  # fmt: skip


def test_arithmetic_of_dense_nets_by_hand():
    """3-2-5: 2·3·2 = 12 and 2·2·5 = 20 operations a product, three times, but for the images' gradient."""
    net = {"encoder": [{"kind": "flatten"}, dense(3, 2)], "decoder": [dense(2, 5)], "code": {}}
    assert figures.arithmetic(net) == 3 * (12 + 20) - 12
    assert figures.arithmetic({**net, "code": {"samples": 4}}) == 3 * (12 + 4 * 20) - 12


def test_arithmetic_of_convolutions_by_hand():
    """From 8x8 to 4x4 and back: 16 places with nine taps either way, for the zeros between pixels are none."""
    down, up = conv("conv", 1, 6, [8, 8], [4, 4]), conv("conv_transpose", 6, 2, [4, 4], [8, 8])
    assert layers.operations(down) == 2 * 16 * 9 * 1 * 6 and layers.operations(up) == 2 * 16 * 9 * 6 * 2
    net = {"encoder": [down, {"kind": "activation"}], "decoder": [up], "code": {}}
    assert figures.arithmetic(net) == 3 * (1728 + 3456) - 1728


@pytest.mark.parametrize("name", ["deep:tiny", "wta:tiny", "vae:tiny", "iwae:tiny", "classifier:tiny"])
def test_arithmetic_is_that_of_the_products_in_the_models_gradient(name):
    config, net = described(name)
    built = model.build(ml_collections.FrozenConfigDict(config), tuple(net["shape"]), 10)
    arguments, weight = model.arguments(config), jnp.ones(net["batch"])
    given = {"weight": weight, "key": jax.random.key(0), "labels": jnp.zeros(net["batch"], jnp.int32)}

    def gradient(params, x):
        loss = lambda p: model.objective(built, {"params": p}, x, arguments, **given)[0]  # noqa: E731
        return jax.grad(loss)(params)

    params = jax.eval_shape(lambda: model.init(built, 0))["params"]
    x = jax.ShapeDtypeStruct((net["batch"], *net["shape"]), jnp.float32)
    assert products(jax.make_jaxpr(gradient)(params, x).jaxpr) == net["batch"] * figures.arithmetic(net)


def products(jaxpr):
    """Operations of the matrix products in a program and in those within it."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            taps = math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
            total += 2 * taps * math.prod(equation.outvars[0].aval.shape)
        total += sum(products(inner) for inner in jaxprs_in_params(equation.params))
    return total


# -- operators


def test_operators_have_names_of_their_own_and_arithmetic():
    names = [operators.name(op) for op in operators.OPERATORS]
    assert len(set(names)) == len(names) and names[0] == "conv 1-16, 3x3, by 2, of 28x28, batch 64"
    counted = {op["op"]: operators.arithmetic(op) for op in reversed(operators.OPERATORS)}
    assert counted["conv"] == 3 * 2 * 64 * 14 * 14 * 9 * 16
    assert counted["conv_transpose"] == 3 * 2 * 64 * 7 * 7 * 9 * 32 * 32
    assert counted["dense"] == 3 * 2 * 64 * 1568 * 10 and counted["adam"] == 0
    assert {op["op"] for op in operators.OPERATORS} == ours_operators.OPERATORS.keys()


SMALL = [
    {"op": "conv", "inputs": 2, "outputs": 3, "kernel": [3, 3], "strides": [2, 2], "size": [6, 6], "batch": 4},
    {"op": "conv_transpose", "inputs": 2, "outputs": 3, "kernel": [3, 3], "strides": [2, 2], "size": [3, 3],
     "batch": 4},
    {"op": "dense", "inputs": 5, "outputs": 3, "batch": 4},
    {"op": "max_pool", "window": [2, 2], "channels": 3, "size": [4, 4], "batch": 4},
    {"op": "average_pool", "window": [2, 2], "channels": 3, "size": [4, 4], "batch": 4},
    {"op": "nearest", "channels": 3, "size": [2, 2], "to": [4, 4], "batch": 4},
    {"op": "bilinear", "channels": 3, "size": [2, 2], "to": [4, 4], "batch": 4},
    {"op": "adam", "parameters": 11},
    {"op": "winners", "units": 6, "batch": 10, "rate": 0.2},
    {"op": "top_k", "units": 6, "batch": 4, "k": 2},
    {"op": "gather", "images": 20, "pixels": 6, "batch": 4},
]  # fmt: skip


@pytest.mark.parametrize("operator", SMALL, ids=lambda op: op["op"])
def test_operators_run_in_a_loop(operator):
    repeated = ours_operators.Repeated(operator)
    assert repeated(3) > 0
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.device_get(repeated.carry)))


def test_a_round_adds_output_and_gradients_to_what_the_next_reads():
    x, w = jnp.array([[1.0, 2.0]]), jnp.array([[3.0], [4.0]])
    program = ours_operators.differentiated(jnp.matmul, x, w)
    (_, slope), given = program.carry, program.given
    (moved_x, moved_w), moved = program.step(((x, w), slope), given, 1.0)
    np.testing.assert_allclose(moved, slope + 11.0, rtol=1e-6)
    np.testing.assert_allclose(moved_x, x + slope * jnp.array([[3.0, 4.0]]), rtol=1e-6)
    np.testing.assert_allclose(moved_w, w + slope * jnp.array([[1.0], [2.0]]), rtol=1e-6)


def test_nothing_is_dropped_or_taken_out_of_the_loop():
    """All three products of a layer stand in the compiled loop's body."""
    program = ours_operators.OPERATORS["dense"]({"inputs": 30, "outputs": 20, "batch": 10})
    run = ours_operators.looped(program.step)
    text = run.lower(program.carry, program.given, np.float32(0), np.int32(5)).compile().as_text()
    outside = text[text.index("ENTRY ") :]
    assert len([line for line in text.splitlines() if " dot(" in line]) == 3 and " dot(" not in outside


def test_adam_is_the_update_that_training_makes():
    program = ours_operators.OPERATORS["adam"]({"parameters": 4})
    params, gradient = np.asarray(program.carry[0]), np.asarray(program.given)
    (moved, _) = program.step(program.carry, program.given, 0.0)
    rate, eps = base.base().optim.learning_rate, base.base().optim.eps
    np.testing.assert_allclose(moved, params - rate * gradient / (np.abs(gradient) + eps), rtol=1e-5, atol=1e-7)


def test_gather_goes_through_the_rows_and_scales_them():
    program = ours_operators.OPERATORS["gather"]({"images": 8, "pixels": 3, "batch": 4})
    images, order = (np.asarray(a) for a in program.given)
    (place, x) = program.step((jnp.int32(1), program.carry[1]), program.given, 0.0)
    np.testing.assert_allclose(x, images[order[4:]] / 255, rtol=1e-6)
    assert place == 0
