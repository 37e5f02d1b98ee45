"""The compiled step: against a step by hand, without recompiling, and the same on one device and on eight."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import FrozenConfigDict

from aejax import data, devices, feed, losses, model, step
from aejax.data import order
from configs.base import base
from tests import configurations

SHAPE = (8, 8, 1)


class Program:
    """A stretch and what it is called with, on ``count`` devices."""

    def __init__(self, config, images, count=1, total=100):
        config = FrozenConfigDict(config)
        self.mesh = devices.mesh(count)
        self.model = model.build(config, images.shape[1:], 10)
        everywhere = devices.replicated(self.mesh)
        self.put = lambda tree: jax.device_put(tree, everywhere)
        self.arguments = self.put(model.arguments(config))
        self.preprocessing = self.put({"scale": np.float32(1 / 255), "shift": np.float32(0)})
        labels = np.arange(len(images), dtype=np.int32) % 10 if config.model == "classifier" else None
        self.images, self.examples = images, self.put((images, labels))
        self.order = self.put(order.epoch_order(config.seed, 0, len(images)))
        self.compiled = step.make_stretch(self.model, total, self.mesh)
        self.sums = self.put(step.zero_sums(self.model))
        self._init = jax.jit(lambda a: step.init_state(self.model, a))
        self.start()

    def start(self):
        self.state = self.put(self._init(self.arguments))
        self.sums = jax.tree.map(lambda a: self.put(np.full_like(a, -1 if a.dtype == np.int32 else 0)), self.sums)
        return self

    def run(self, count):
        self.state, self.sums = self.compiled(
            self.state, self.sums, self.examples, self.order, np.int32(0), np.int32(count),
            self.preprocessing, self.arguments,
        )  # fmt: skip
        return self


@pytest.fixture(scope="module")
def images():
    digits = base().data
    digits.name = "digits"
    return data.load(digits).train.images[:120]


def close(a, b, **tolerance):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerance), a, b)


def test_one_step_is_the_gradient_step_by_hand(tiny, images):
    """Linear code, squared error, plain SGD: dL/dW by matrix products."""
    p = Program(
        tiny("shallow", {
            "code.activation": "linear", "loss.likelihood": "squared_error", "optim.name": "sgd",
            "optim.learning_rate": 0.01, "train.batch_size": 20,
        }),
        images,
    )  # fmt: skip
    before = jax.device_get(p.state.params)
    x = images[np.asarray(p.order)[:20]].reshape(20, -1) / 255
    (w1, b1), (w2, b2) = ([before[k]["layers_0"][n] for n in ("kernel", "bias")] for k in ("encoder", "decoder"))
    h = x @ w1 + b1
    error = 2 * (h @ w2 + b2 - x) / 20
    back = error @ w2.T
    expected = {
        "encoder": {"layers_0": {"kernel": w1 - 0.01 * x.T @ back, "bias": b1 - 0.01 * back.sum(0)}},
        "decoder": {"layers_0": {"kernel": w2 - 0.01 * h.T @ error, "bias": b2 - 0.01 * error.sum(0)}},
    }
    close(p.run(1).state.params, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(p.sums["loss"], np.square(h @ w2 + b2 - x).sum(1).mean(), rtol=1e-5)


@pytest.mark.parametrize("name", configurations.NAMES)
def test_a_config_trains_alike_however_it_is_cut_and_on_two_and_eight_devices(tiny, images, optimised, name):
    """Six steps at once equal one, three and two, bit for bit, by one compiled program, and those on two and eight
    devices up to the order of sums; a batch of 20 is padded on eight. On one batch over and over the loss falls."""
    config = tiny(name, {"train.batch_size": 20, "optim.warmup": 0.0, "optim.learning_rate": 3e-3})
    with optimised():
        p = Program(config, images)
        whole = jax.device_get((p.run(6).state, p.sums))
    parts = jax.device_get((p.start().run(1).run(3).run(2).state, p.sums))
    close(whole, parts, rtol=0, atol=0)
    p.start()
    losses = []
    for _ in range(30):
        p.state = p.state.replace(step=p.put(jnp.int32(0)))  # the same rows and the same noise
        before = float(p.sums["loss"])
        losses.append(float(p.run(1).sums["loss"]) - before)
    assert losses[-1] < 0.97 * losses[0]
    assert p.compiled._cache_size() == 1
    three = p.start().run(3)
    for count in (2, 8):
        split = Program(config, images, count).run(3)
        close(three.sums, split.sums, rtol=1e-4, atol=1e-4)
        # Adam turns the rounding of near-zero gradients into steps of its rate, hence the absolute tolerance
        close(three.state.variables, split.state.variables, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("name", ["wta", "shallow"])
@pytest.mark.parametrize("batch", [24, 20])  # a multiple of eight, and one that is padded
def test_eight_devices_agree_with_one_under_noise(tiny, images, name, batch):
    config = tiny(name, {"train.batch_size": batch, "corruption.name": "gaussian"})
    one, eight = Program(config, images).run(4), Program(config, images, count=8).run(4)
    close(one.sums, eight.sums, rtol=1e-5)
    close(one.state.params, eight.state.params, rtol=1e-3, atol=1e-4)


def test_a_changed_number_does_not_recompile(tiny, images):
    p = Program(tiny("wta"), images).run(1)
    numbers = p.arguments
    p.arguments = p.put({**numbers, "seed": jnp.uint32(9), "code": {**numbers["code"], "rate": jnp.float32(0.5)}})
    p.run(1)
    assert p.compiled._cache_size() == 1


def test_noise_depends_on_the_place_in_the_batch_and_on_the_step(tiny, images):
    config = FrozenConfigDict(tiny("shallow", {"corruption.name": "gaussian"}))
    net, arguments = model.build(config, SHAPE), model.arguments(config)
    variables = model.init(net, 0)

    def loss(n, key):
        x = jnp.asarray(images[:n] / 255, jnp.float32)
        return net.apply(variables, x, arguments, weight=jnp.ones(n), key=key, train=True).loss

    np.testing.assert_allclose(loss(10, jax.random.key(0)), loss(16, jax.random.key(0))[:10], rtol=1e-5)
    assert not np.allclose(loss(10, jax.random.key(0)), loss(10, jax.random.key(1)), rtol=1e-3)


@pytest.mark.parametrize("count", [1, 8])
def test_evaluation_counts_every_example_once_and_tells_the_dead(tiny, images, count):
    config = tiny("wta", {"eval.batch_size": 50, "encoder.bias_init": 0.0})
    p = Program(config, images, count)
    params = jax.tree.map(np.array, p.state.params)
    params["encoder"]["layers_0"]["bias"][3] = -1e6
    batches = feed.on_devices((np.resize(images, (3, 56, *SHAPE)), None), 56, p.mesh)  # 48 of the last are there twice
    evaluate = step.make_evaluate(p.model, p.mesh)
    sums = evaluate(p.put({"params": params}), batches, p.preprocessing, p.arguments, np.int32(120))
    layer = params["encoder"]["layers_0"]
    x = images.reshape(120, -1) / 255
    h = np.maximum(x @ layer["kernel"] + layer["bias"], 0)
    error = h @ layer["kernel"].T + params["decoder"]["bias_0"] - x
    np.testing.assert_allclose(sums["reconstruction"], np.square(error).sum(), rtol=1e-4)
    assert float(sums["active_units"]) == pytest.approx((h > 0).sum(), abs=2)
    np.testing.assert_array_equal(sums["alive"], (h > 0).any(0))
    assert not sums["alive"][3]


@pytest.fixture
def noisy(tiny, images):
    return Program(tiny("shallow", {"corruption.name": "gaussian", "corruption.std": 0.5}), images)


def test_noise_is_fresh_at_every_step(noisy):
    means = []
    for number in (0, 1):  # the same batch of the same weights
        state = noisy.state.replace(step=jnp.int32(number))
        given = (noisy.images[:16], jnp.ones(16), noisy.arguments, noisy.preprocessing)
        means.append(float(step.train_step(noisy.model, 100, state, *given)[1]["loss"]))
    assert abs(means[0] - means[1]) > 1e-3


def test_the_target_is_the_clean_input_and_equal_images_get_unequal_noise(noisy):
    x = jnp.broadcast_to(jnp.asarray(noisy.images[:1] / 255, jnp.float32), (16, *SHAPE))
    params = jax.tree.map(jnp.zeros_like, noisy.state.params)  # whatever comes in, logits 0 go out: log 2 a pixel
    given = {"weight": jnp.ones(16), "key": jax.random.key(0), "train": True}
    blind = noisy.model.apply({"params": params}, x, noisy.arguments, **given)
    bias = params | {"decoder": {"layers_0": {**params["decoder"]["layers_0"], "bias": jnp.linspace(-2, 2, 64)}}}
    told = noisy.model.apply({"params": bias}, x, noisy.arguments, **given).terms["reconstruction"]
    logits = jnp.broadcast_to(jnp.linspace(-2, 2, 64).reshape(1, *SHAPE), x.shape)
    np.testing.assert_allclose(blind.loss, 64 * np.log(2), rtol=1e-5)
    np.testing.assert_allclose(told, losses.bernoulli(logits, x), rtol=1e-5)
    seen = noisy.model.apply({"params": noisy.state.params}, x, noisy.arguments, **given)
    assert len(np.unique(np.round(seen.loss, 3))) == 16


def test_evaluation_is_without_corruption(tiny, images, noisy):
    clean = Program(tiny("shallow"), images)
    given = ((noisy.images[None], None), noisy.preprocessing)
    a = step.make_evaluate(noisy.model, noisy.mesh)(noisy.state.variables, *given, noisy.arguments, np.int32(120))
    b = step.make_evaluate(clean.model, clean.mesh)(noisy.state.variables, *given, clean.arguments, np.int32(120))
    np.testing.assert_array_equal(a["loss"], b["loss"])


def test_the_first_non_finite_loss_is_named(tiny, images):
    p = Program(tiny("shallow", {"train.batch_size": 20}), images)
    p.run(2)
    assert int(p.sums["first_non_finite"]) == -1
    p.state = p.state.replace(params=jax.tree.map(lambda a: a * jnp.nan, p.state.params))
    p.run(3)
    assert int(p.sums["first_non_finite"]) == 2
