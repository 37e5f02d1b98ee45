"""The five words put together: the loss of a small model against the pure functions that it is made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import FrozenConfigDict

from aejax import codes, losses, model, optim, parts, step
from aejax.data.identity import identity
from tests import configurations

SHAPE = (4, 4, 1)
B = 6


class Small:
    """A model of a config with its variables, called on six images."""

    def __init__(self, changes, seed=0):
        base = {"code.size": 5, "train.batch_size": B, **changes}
        self.config = FrozenConfigDict(configurations.load("shallow", base))
        self.net = model.build(self.config, SHAPE, 10)
        self.arguments = model.arguments(self.config)
        self.variables = model.init(self.net, seed)
        self.x = jax.random.uniform(jax.random.key(7), (B, *SHAPE))
        self.key = jax.random.key(3)

    def out(self, train=True, variables=None, **given):
        given = {"weight": jnp.ones(B), "key": self.key, "train": train, **given}
        variables = self.variables if variables is None else variables
        mutable = [name for name in variables if name != "params"]
        return self.net.apply(variables, self.x, self.arguments, mutable=mutable, **given)[0]

    def gradient(self, **given):
        rest = {name: tree for name, tree in self.variables.items() if name != "params"}

        def loss(params):
            return jnp.sum(self.out(variables={"params": params, **rest}, **given).loss)

        return jax.grad(loss)(self.variables["params"])

    def apply(self, method, *args):
        return self.net.apply(self.variables, *args, method=method)


def test_the_loss_is_reconstruction_and_weighted_penalties():
    m = Small({"loss.l1": 0.3, "loss.l2": 2.0, "code.activation": "linear"})
    out = m.out(train=False)
    z = m.apply("encode", m.x)
    np.testing.assert_allclose(out.terms["l1"], np.abs(z).sum(1), rtol=1e-5)
    np.testing.assert_allclose(out.terms["reconstruction"], losses.bernoulli(m.apply("output", z), m.x), rtol=1e-5)
    expected = out.terms["reconstruction"] + 0.3 * out.terms["l1"] + 2.0 * out.terms["l2"]
    np.testing.assert_allclose(out.loss, expected, rtol=1e-5)


@pytest.mark.parametrize(("progress", "share"), [(0.0, 0.0), (0.1, 0.5), (0.2, 1.0), (0.9, 1.0)])
def test_warmup_raises_the_weight_of_every_penalty(progress, share):
    m = Small({"loss.l1": 4.0, "loss.warmup": 0.2})
    out = m.out(progress=progress)
    np.testing.assert_allclose(out.loss, out.terms["reconstruction"] + share * 4.0 * out.terms["l1"], rtol=1e-5)


def test_emphasis_weighs_corrupted_pixels_and_the_rest():
    changes = {"corruption.name": "masking", "corruption.rate": 0.5, "loss.likelihood": "squared_error"}
    plain, weighed = (Small({**changes, **e}) for e in ({}, {"corruption.emphasis": 3.0, "corruption.rest": 0.5}))
    total = plain.out().terms["reconstruction"]
    corrupted = Small({**changes, "corruption.emphasis": 1.0, "corruption.rest": 0.0}).out().terms["reconstruction"]
    assert 0 < corrupted.sum() < total.sum()
    expected = 3.0 * corrupted + 0.5 * (total - corrupted)
    np.testing.assert_allclose(weighed.out().terms["reconstruction"], expected, rtol=1e-5)
    clean = [m.out(train=False).terms["reconstruction"] for m in (plain, weighed)]
    np.testing.assert_allclose(*clean, rtol=1e-6)


@pytest.mark.parametrize("decoder", ["mlp", "tied"])
@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
@pytest.mark.parametrize("widths", [(), (7,)])
def test_contractive_is_the_squared_norm_of_the_jacobian_at_what_the_encoder_saw(decoder, activation, widths):
    changes = {"code.activation": activation, "encoder.activation": activation, "encoder.widths": widths}
    m = Small({**changes, "decoder.name": decoder, "loss.contractive": 1.0})

    def norm(x):
        jacobian = jax.vmap(jax.jacrev(lambda a: m.apply("encode", a[None])[0]))(x)
        return np.square(jacobian).sum((1, 2, 3, 4))

    np.testing.assert_allclose(m.out().terms["contractive"], norm(m.x), rtol=1e-4)
    noisy = Small({**changes, "decoder.name": decoder, "loss.contractive": 1.0, "corruption.name": "gaussian"})
    at_clean = norm(m.x)
    assert not np.allclose(noisy.out().terms["contractive"], at_clean, rtol=1e-3)


def test_a_contractive_penalty_takes_the_running_statistics_as_constants():
    m = Small({"encoder.widths": (7,), "encoder.norm": "batch", "loss.contractive": 1.0})
    rest = {"batch_stats": m.variables["batch_stats"]}

    def penalty(stats):
        return jnp.sum(m.out(variables={"params": m.variables["params"], "batch_stats": stats}).terms["contractive"])

    gradient = jax.grad(penalty)(rest["batch_stats"])
    assert all(float(jnp.abs(leaf).max()) == 0 for leaf in jax.tree.leaves(gradient))


def test_the_gate_s_own_reconstruction_does_not_teach_the_decoder():
    changes = {"code.name": "gated", "loss.likelihood": "squared_error"}
    without, with_it = (Small({**changes, "loss.gate_auxiliary": w}).gradient() for w in (0.0, 5.0))
    np.testing.assert_array_equal(without["decoder"]["layers_0"]["kernel"], with_it["decoder"]["layers_0"]["kernel"])
    encoders = [g["encoder"]["layers_0"]["kernel"] for g in (without, with_it)]
    assert not np.allclose(*encoders, rtol=1e-3)


def test_one_importance_sample_is_the_bound_and_more_are_put_together_by_it():
    one = Small({"code.name": "importance_weighted", "code.samples": 1}).out()
    np.testing.assert_allclose(one.loss, one.terms["reconstruction"] + one.terms["kl"], rtol=1e-5)
    m = Small({"code.name": "importance_weighted", "code.samples": 8})
    out = m.out()
    mean = out.terms["reconstruction"] + out.terms["kl"]  # of the samples' losses: Jensen says the bound is below
    assert (out.loss < mean - 1e-3).all()
    tight = [np.mean([Small({"code.name": "importance_weighted", "code.samples": k}).out(key=jax.random.key(s)).loss
                      for s in range(12)]) for k in (1, 5, 25)]  # fmt: skip
    assert tight[0] > tight[1] > tight[2]


def test_beta_is_the_weight_of_the_divergence():
    m = Small({"code.name": "variational", "loss.kl": 3.0})
    out = m.out()
    np.testing.assert_allclose(out.loss, out.terms["reconstruction"] + 3.0 * out.terms["kl"], rtol=1e-5)


def test_noise_fixed_for_an_example_goes_by_the_identity_given():
    m = Small({"code.name": "hashing", "code.std": 4.0})
    given = identity((m.x * 255).astype(jnp.uint8))
    first, again = (m.out(identity=given, key=jax.random.key(k)).loss for k in (1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, m.out(identity=given + 1).loss, rtol=1e-3)


@pytest.mark.parametrize("code", sorted(set(parts.modules(codes)) - {"spatial"}))
def test_every_code_can_be_sampled_without_changing_it(code):
    m = Small({"code.name": code, "code.k": 2})
    assert m.apply("code_sample", m.x, m.key).shape == m.apply("encode", m.x).shape


def test_a_frozen_encoder_keeps_weights_and_running_statistics_under_weight_decay():
    changes = {"encoder.widths": (7,), "encoder.norm": "batch", "optim.name": "adamw", "optim.weight_decay": 0.1}
    moved = []
    for freeze in ((), ("encoder",)):
        m = Small({**changes, "optim.freeze": freeze})
        collections = {name: tree for name, tree in m.variables.items() if name != "params"}
        start = step.State(
            jnp.int32(0), m.variables["params"],
            optim.init(m.config.optim, m.arguments["optim"], m.variables["params"]), collections,
        )  # fmt: skip
        raw = (m.x * 255).astype(jnp.uint8)
        scale = {"scale": jnp.float32(1 / 255), "shift": jnp.float32(0)}
        state, _ = step.train_step(m.net, 10, start, raw, jnp.ones(B), m.arguments, scale)
        same = jax.tree.map(
            lambda a, b: bool(jnp.array_equal(a, b)),
            (start.params["encoder"], start.collections),
            (state.params["encoder"], state.collections),
        )
        moved.append(not all(jax.tree.leaves(same)))
        assert not jnp.array_equal(
            start.params["decoder"]["layers_0"]["kernel"], state.params["decoder"]["layers_0"]["kernel"]
        )
    assert moved == [True, False]


def test_aux_k_reconstructs_what_is_left_from_dead_units_alone():
    changes = {"code.name": "top_k", "code.k": 2, "code.dead_after": 1, "decoder.name": "dictionary"}
    m = Small({**changes, "loss.aux_k": 1.0, "loss.aux_units": 2, "loss.likelihood": "squared_error"})
    out = m.out(train=False)  # nothing counted yet: none has been silent for one example
    assert (out.terms["aux_k"] == 0).all()
    silent = jax.tree.map(lambda a: a + 5, m.variables["silence"])
    out = m.out(train=False, variables={**m.variables, "silence": silent})
    h = np.asarray(m.net.apply(m.variables, m.x, method=lambda net, x: net.encoder(x)))
    kept = np.sort(np.maximum(h, 0), axis=1)[:, [-2]]
    z = np.where(np.maximum(h, 0) >= np.maximum(kept, 1e-12), np.maximum(h, 0), 0)
    residual = np.asarray(m.x) - m.apply("output", z)
    guess = m.apply("linear", z)  # all are dead, so the two largest dead units are the two of the code
    np.testing.assert_allclose(out.terms["aux_k"], np.square(residual - guess).sum((1, 2, 3)), rtol=1e-4)
