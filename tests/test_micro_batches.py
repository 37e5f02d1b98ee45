"""A batch in parts, and activations that are forgotten: the same gradients in less memory, or a refusal by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import FrozenConfigDict

from aejax import checks, codes, main, micro_batches, model, parts, penalties, step
from aejax.errors import UserError
from tests import configurations

SHAPE = (8, 8, 1)
# what is drawn is drawn anew for each part; without it the parts are the whole
STILL = {"corruption.name": "none", "encoder.dropout": 0.0, "decoder.dropout": 0.0, "data.binarise": "none"}
DRAWN = {"gaussian_noise", "gumbel_sigmoid", "hashing", "importance_weighted", "learned_noise", "straight_through"}
DRAWN |= {"variational"}
OF_BATCH = {"lifetime", "spatial", "top_k", "batch_top_k", "vector_quantised"}
PENALTIES_OF_BATCH = {"kl_sparsity", "mmd_rbf", "mmd_imq", "total_correlation"}


def stepped(config, images, weight=None):
    """The state after a step, and the means of its batch."""
    config = FrozenConfigDict(config)
    net = model.build(config, images.shape[1:], 10)
    numbers = model.arguments(config, len(images))
    statistics = {"scale": np.float32(1 / 255), "shift": np.float32(0)}
    labels = np.arange(len(images), dtype=np.int32) % 10 if config.model == "classifier" else None
    weight = jnp.ones(len(images)) if weight is None else weight

    def one(numbers):
        return step.train_step(net, 10, step.init_state(net, numbers), images, weight, numbers, statistics, labels)

    return jax.jit(one)(numbers)


def same(a, b, rtol=2e-4):
    (state, means), (other, others) = a, b
    for name in means:
        np.testing.assert_allclose(means[name], others[name], rtol=rtol, atol=1e-5, err_msg=name)
    for ours, theirs in zip(jax.tree.leaves(state.params), jax.tree.leaves(other.params), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (12, *SHAPE)).astype(np.uint8)


SGD = {"optim.name": "sgd", "optim.learning_rate": 1e-3, "train.batch_size": 12}  # Adam would blow up roundings


@pytest.mark.parametrize("name", configurations.NAMES)
def test_every_config_is_computed_in_parts_or_refused_by_name(images, name):
    changes = {**SGD, "train.micro_batches": 3}
    config = configurations.load(name, changes)
    of_batch = config.code.name in OF_BATCH and config.model == "autoencoder"
    found = {p for p in parts.functions(penalties) if config.loss[p]} & PENALTIES_OF_BATCH
    if of_batch or found or config.code.free_bits:
        with pytest.raises(UserError, match=r"micro_batches=3: .* is of the whole batch; accepted with it: 1"):
            checks.check(config)
        return
    checks.check(config)
    if config.data.name.partition(":")[0] in ("audio", "text"):
        return  # images stand for neither
    still = {**SGD, **(STILL if config.model == "autoencoder" else {"corruption.name": "none"})}
    whole, cut = (configurations.load(name, {**still, "train.micro_batches": n}) for n in (1, 3))
    if config.code.name in DRAWN and config.model == "autoencoder":
        (state, means), _ = stepped(cut, images), stepped(whole, images)
        assert means["loss"] < 1e5 and all(np.isfinite(a).all() for a in jax.tree.leaves(state.params))
        return
    same(stepped(whole, images), stepped(cut, images))


def test_the_codes_above_are_all_that_look_at_the_batch():
    every = parts.modules(codes)
    assert {name for name, code in every.items() if getattr(code, "of_batch", False)} == OF_BATCH
    for name, code in every.items():  # what keeps variables keeps them of batches
        if name not in OF_BATCH and name != "hashing":  # which keeps the key of its noise
            config = configurations.load("shallow", {"code.name": name, "code.size": 8})
            made = parts.build(code, config.code)
            numbers = parts.matching(code, {"progress": 1.0, "identity": jnp.zeros(4, jnp.uint32), **config.code})
            given = {"train": True, "weight": jnp.ones(4), "key": jax.random.key(0), **numbers}
            assert made.init(jax.random.key(0), jnp.ones((4, made.features)), **given).keys() <= {"params"}, name


def test_padding_counts_in_no_part(images):
    """Ten examples and two that weigh nothing, in three parts, are the ten."""
    config = configurations.load("shallow", SGD)
    cut = configurations.load("shallow", {**SGD, "train.micro_batches": 3})
    weight = jnp.asarray([1.0] * 10 + [0.0] * 2)
    same(stepped(config, images[:10]), stepped(cut, images, weight))


def test_a_gradient_in_parts_is_the_weighted_mean_of_theirs():
    """By hand: the parts of five examples in two are {0, 2, 4} and {1, 3}."""

    def loss(w, key, weight, x):
        mean = jnp.sum(weight * w * x) / jnp.sum(weight)
        return mean, ({"mean": mean, "most": jnp.max(x)}, jnp.uint32(7))

    x, weight = jnp.asarray([1.0, 2.0, 3.0, 4.0, 5.0]), jnp.asarray([1.0, 1.0, 1.0, 1.0, 0.0])
    gradient, means, rest = micro_batches.gradient(loss, jnp.float32(2.0), 2, jax.random.key(0), weight, x)
    assert int(rest) == 7
    assert float(gradient) == pytest.approx(2.5) and float(means["mean"]) == pytest.approx(5.0)
    assert float(means["most"]) == pytest.approx(5 / 2 + 4 / 2)


def test_parts_draw_noise_of_their_own():
    def loss(w, key, weight, x):
        return w * jax.random.normal(key), ({"drawn": jax.random.normal(key)}, None)

    given = (jnp.float32(1.0), jax.random.key(0), jnp.ones(4), jnp.ones(4))
    one, two = (micro_batches.gradient(loss, given[0], n, *given[1:])[1]["drawn"] for n in (1, 2))
    keys = [jax.random.normal(jax.random.fold_in(jax.random.key(0), i)) for i in (0, 1)]
    assert float(two) == pytest.approx(float(sum(keys) / 2)) and float(two) != float(one)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"train.micro_batches": 7}, "micro_batches=7 does not divide train.batch_size=100"),
        ({"encoder.widths": (9,), "encoder.norm": "batch"}, "config.encoder.norm='batch' is of the whole batch"),
        ({"loss.mmd_rbf": 1.0}, "config.loss.mmd_rbf is of the whole batch"),
        ({"code.name": "variational", "code.free_bits": 0.1}, "config.code.free_bits=0.1"),
        ({"code.name": "lifetime"}, "config.code.name='lifetime'"),
    ],
)
def test_what_is_of_the_whole_batch_is_refused(capsys, changes, told):
    given = {"train.micro_batches": 2, "train.batch_size": 100, **changes}
    arguments = [f"--config.{key}={value}" for key, value in given.items()]
    assert main.main(["aejax", "--config=configs/shallow.py:tiny", *arguments]) == 2
    out = capsys.readouterr().err
    assert told in out and out.count("\n") == 1


@pytest.mark.parametrize("name", ["shallow", "stacked", "conv", "allconv", "denoising", "vae", "topk", "classifier"])
def test_what_is_forgotten_is_computed_again_the_same(images, name):
    whole, forgetful = (configurations.load(name, {**SGD, "train.remat": remat}) for remat in (False, True))
    same(stepped(whole, images), stepped(forgetful, images), rtol=1e-5)


DEEP = {"encoder.widths": (256,) * 4, "decoder.widths": (256,) * 4, "train.batch_size": 256}


def test_parts_take_less_memory():
    images = np.zeros((256, *SHAPE), np.uint8)

    def temporaries(count):
        config = FrozenConfigDict(configurations.load("deep", {**SGD, **DEEP, "train.micro_batches": count}))
        net, numbers = model.build(config, SHAPE), model.arguments(config, 256)
        state, scale = jax.eval_shape(lambda: step.init_state(net, numbers)), {"scale": 1 / 255, "shift": 0.0}
        one = jax.jit(lambda s, x: step.train_step(net, 10, s, x, jnp.ones(len(x)), numbers, scale))
        return one.lower(state, images).compile().memory_analysis().temp_size_in_bytes

    assert temporaries(8) < 0.6 * temporaries(1)


def test_what_is_forgotten_is_not_kept_for_the_gradient():
    """What the backward pass keeps: without remat every layer's activations, with it those between the parts."""

    def kept(remat):
        config = FrozenConfigDict(configurations.load("deep", {**SGD, **DEEP, "train.remat": remat}))
        net, numbers = model.build(config, SHAPE), model.arguments(config, 256)
        x, given = jnp.zeros((64, *SHAPE)), {"weight": jnp.ones(64), "key": jax.random.key(0)}

        def residuals(variables):
            return jax.vjp(lambda v: model.objective(net, v, x, numbers, **given)[0], variables)[1]

        shapes = jax.eval_shape(residuals, jax.eval_shape(lambda: model.init(net, 0)))
        return sum(a.size for a in jax.tree.leaves(shapes) if a.shape in ((64, 256), (64, 32)))

    assert kept(True) < 0.5 * kept(False)
