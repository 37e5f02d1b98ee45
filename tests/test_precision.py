"""Nets that compute in bfloat16: what does, what does not, and that it changes no figure of merit beyond noise."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import FrozenConfigDict

import aejax
from aejax import conv, data, devices, nets, step, train
from aejax import model as models
from aejax.data import transforms
from aejax.errors import UserError
from tests import configurations

ROWS = 32
PRODUCTS = ("dot_general", "conv_general_dilated", "convolve", "spread", "correlate")  # the last three of aejax.conv


def half(name, changes=None, precision="bfloat16"):
    return FrozenConfigDict(configurations.load(name, {"precision": precision, **(changes or {})}))


@functools.cache
def digits():
    return data.load(configurations.load("shallow").data)


def model_of(config):
    return models.build(config, (8, 8, 1), 10)


def batch(config):
    """Prepared images, and the other things that a pass takes."""
    split = digits().train
    x = transforms.prepare(transforms.fit(split, config.data), split.images[:ROWS])
    labels = jnp.asarray(split.labels[:ROWS])
    return x, {"weight": jnp.ones(ROWS), "key": jax.random.key(1), "labels": labels}


def products(function, *arguments):
    """The types of the operands of each matrix product and convolution that a function is traced to."""
    found = []

    def walk(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name in PRODUCTS:
                found.append({operand.aval.dtype.name for operand in equation.invars})
            for inner in jax.tree.leaves(equation.params, is_leaf=lambda p: hasattr(p, "eqns") or hasattr(p, "jaxpr")):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    walk(inner)

    walk(jax.make_jaxpr(function)(*arguments).jaxpr)
    return found


def passes(model, variables):
    """Functions of the parameters, each the sum of what the encoder or the decoder gives."""
    x = jnp.zeros((2, *model.shape))
    if model.config.model == "classifier":
        return [lambda p: model.apply({**variables, "params": p}, x, method="encode").sum()]
    z = jax.eval_shape(lambda v: model.apply(v, x, method="encode"), variables)
    given = [(x, "_encoder"), (jnp.zeros(z.shape), "output")]
    return [lambda p, a=a, m=m: model.apply({**variables, "params": p}, a, method=m).sum() for a, m in given]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", configurations.NAMES)
def test_encoder_and_decoder_multiply_in_that_type_alone_forwards_and_backwards(name, precision):
    model = model_of(half(name, precision=precision))
    variables = jax.eval_shape(lambda: models.init(model, 0))
    for net in passes(model, jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), variables)):
        found = products(jax.grad(net), variables["params"])
        assert found and all(types == {precision} for types in found)


@pytest.mark.parametrize("name", configurations.NAMES)
def test_state_losses_and_codes_are_those_of_float32(name):
    kinds = []
    for precision in ("float32", "bfloat16"):
        config = half(name, precision=precision)
        model, arguments = model_of(config), models.arguments(config)
        pre = transforms.fit(digits().train, config.data)
        labels = jnp.zeros(ROWS, jnp.int32) if config.model == "classifier" else None
        raw, weight = jnp.zeros((ROWS, 8, 8, 1), jnp.uint8), jnp.ones(ROWS)
        state = jax.eval_shape(lambda model=model, arguments=arguments: step.init_state(model, arguments))
        one = functools.partial(step.train_step, model, 10)
        following = jax.eval_shape(one, state, raw, weight, arguments, pre, labels)
        encode = functools.partial(model.apply, method="encode")
        code = jax.eval_shape(encode, state.variables, jnp.zeros((1, 8, 8, 1)))
        kinds.append(jax.tree.map(lambda a: (a.shape, a.dtype), (state, following, code)))
    assert kinds[0] == kinds[1]


@pytest.mark.parametrize("name", configurations.NAMES)
def test_the_loss_of_a_batch_is_float32s_to_one_percent(name):
    """With weights of three times the usual size, which a loss of half-grey guesses would not depend on.

    bfloat16 rounds to 2^-9 of a number, input, kernel and output of every layer: two or three in a thousand for each.
    """
    config = half(name)
    x, given = batch(config)

    def losses():  # one program: it compiles once
        variables = models.init(model_of(config), 0)
        variables["params"] = jax.tree.map(lambda a: 3 * a, variables["params"])
        both = [model_of(half(name, precision=precision)) for precision in ("float32", "bfloat16")]
        return [models.objective(m, variables, x, models.arguments(config), **given)[0] for m in both]

    exact, rounded = map(float, jax.jit(losses)())
    assert rounded == pytest.approx(exact, rel=0.01) and rounded != exact


def test_a_bias_learns_from_every_example_of_a_large_batch():
    """Its gradient is a sum over examples, which bfloat16 would end at 256 or 8192."""
    layer = nets.Dense(2, 3, jax.nn.initializers.zeros)
    variables = layer.init(jax.random.key(0), jnp.zeros((1, 2)))
    x = jnp.ones((20_000, 2), jnp.bfloat16)
    gradient = jax.jit(jax.grad(lambda v: layer.apply(v, x).astype(jnp.float32).sum()))(variables)
    np.testing.assert_array_equal(gradient["params"]["bias"], 20_000.0)


@pytest.mark.parametrize("layer", [conv.Conv, conv.ConvTranspose])
def test_a_filters_bias_does_too(layer):
    layer = layer(1, 2, (1, 1), jax.nn.initializers.zeros)
    variables = layer.init(jax.random.key(0), jnp.zeros((1, 1, 1, 1)))
    x = jnp.ones((20_000, 1, 1, 1), jnp.bfloat16)
    gradient = jax.jit(jax.grad(lambda v: layer.apply(v, x).astype(jnp.float32).sum()))(variables)
    np.testing.assert_array_equal(gradient["params"]["bias"], 20_000.0)


def test_filters_sum_in_float32():
    """A sum of 64 · 25 ones and small numbers, of which bfloat16 would lose the small ones."""
    x = jnp.full((1, 8, 8, 64), 1.0, jnp.bfloat16)
    k = jnp.full((5, 5, 64, 1), 2.0**-8, jnp.bfloat16).at[0, 0, 0, 0].set(4.0)
    found = jax.jit(lambda x, k: conv.convolve(x, k, padding="VALID"))(x, k)
    np.testing.assert_array_equal(found, jnp.bfloat16(4 + (64 * 25 - 1) / 256))


@pytest.mark.parametrize("name", sorted(nets.NORMS))
def test_norms_take_their_statistics_in_float32(name):
    h = (100 + jnp.arange(4000.0).reshape(1000, 4) / 1000).astype(jnp.bfloat16)
    layer = nets.norm(name, "encoder.norm")()
    given = {"train": True, "weight": jnp.ones(1000)}
    variables = layer.init(jax.random.key(0), h, **given)
    out, changed = layer.apply(variables, h, mutable=["batch_stats"], **given)
    exact, theirs = layer.apply(variables, h.astype(jnp.float32), mutable=["batch_stats"], **given)
    assert (out.dtype, exact.dtype) == (jnp.bfloat16, jnp.float32)
    np.testing.assert_allclose(out.astype(jnp.float32), exact, rtol=2**-8, atol=2**-8)
    jax.tree.map(np.testing.assert_array_equal, changed, theirs)


def test_differences_of_jacobians_are_not_made_of_rounding():
    values = []
    for precision in ("float32", "bfloat16"):
        changes = {"loss.contractive_change": 1.0, "loss.noise": 0.01, "encoder.activation": "sigmoid"}
        config = half("deep", changes, precision)
        model, (x, given) = model_of(config), batch(config)
        variables = jax.jit(lambda model=model: models.init(model, 0))()
        _, (means, _) = models.objective(model, variables, x, models.arguments(config), **given)
        values.append(float(means["contractive_change"]))
    assert values[1] == pytest.approx(values[0], rel=1e-3)


def test_a_run_in_bfloat16_ends_where_one_in_float32_does_and_loads(tmp_path):
    ends = {}
    for precision in ("float32", "bfloat16"):
        config = configurations.load("deep", {"precision": precision, "train.epochs": 3, "encoder.norm": "batch"})
        assert train.run(config, tmp_path / precision) == 0
        lines = [json.loads(line) for line in (tmp_path / precision / "metrics.jsonl").read_text().splitlines()]
        ends[precision] = lines[-1]["loss"]
    run = aejax.load(tmp_path / "bfloat16")
    assert run.config.precision == "bfloat16"
    assert {leaf.dtype.name for leaf in jax.tree.leaves(run.variables)} == {"float32"}
    raw = run.dataset().test.images[:7]
    assert run.encode(raw).dtype == run.reconstruct(raw).dtype == np.float32
    np.testing.assert_allclose(run.reconstruct(raw), run.decode(run.encode(raw)), rtol=1e-5, atol=1e-6)
    assert ends["bfloat16"] == pytest.approx(ends["float32"], rel=0.01) and ends["bfloat16"] != ends["float32"]
    with pytest.raises(UserError, match='precision: "bfloat16" -> "float32"'):
        train.run(configurations.load("deep", {"train.epochs": 3, "encoder.norm": "batch"}), tmp_path / "bfloat16")


@pytest.mark.parametrize("set_by_user, then", [(None, "highest"), ("tensorfloat32", "tensorfloat32")])
def test_products_of_float32_are_float32s_on_every_platform_unless_the_user_says_otherwise(set_by_user, then):
    before = jax.config.jax_default_matmul_precision
    try:
        jax.config.update("jax_default_matmul_precision", set_by_user)
        devices.mesh(1)
        assert jax.config.jax_default_matmul_precision == then
    finally:
        jax.config.update("jax_default_matmul_precision", before)
