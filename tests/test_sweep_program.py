"""What a compiled program depends on: ``model.program`` says all of it, and nothing else."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict, FrozenConfigDict

from aejax import codes, losses, model, optim, parts, penalties, schema, step
from tests import configurations

SHAPE = (8, 8, 1)


def config(name, changes=None):
    return FrozenConfigDict(configurations.load(name, {"train.batch_size": 4, "eval.batch_size": 4, **(changes or {})}))


def texts(config, evaluation=True):
    """The jaxprs of a training step and of an evaluation, as text."""
    net = model.build(config, SHAPE, 10)
    numbers = jax.eval_shape(lambda: model.arguments(config))
    state = jax.eval_shape(lambda a: step.init_state(net, a), numbers)
    scale = {"scale": jax.ShapeDtypeStruct((), jnp.float32), "shift": jax.ShapeDtypeStruct((), jnp.float32)}

    def examples(rows):
        labels = jax.ShapeDtypeStruct((rows,), jnp.int32) if config.model == "classifier" else None
        return jax.ShapeDtypeStruct((rows, *SHAPE), jnp.uint8), labels

    def one(state, x, y, weight, numbers, scale):
        return step.train_step(net, 100, state, x, weight, numbers, scale, y)

    weight = jax.ShapeDtypeStruct((4,), jnp.float32)
    found = [str(jax.make_jaxpr(one)(state, *examples(4), weight, numbers, scale))]
    if evaluation:
        batches = jax.tree.map(lambda a: jax.ShapeDtypeStruct((1, *a.shape), a.dtype), examples(4))
        found.append(str(jax.make_jaxpr(step.evaluation(net))(state.variables, batches, scale, numbers, np.int32(4))))
    return found


def other(value):
    """Another value of a number."""
    return value + 1 if isinstance(value, int) else value * 0.77 or 0.3


def arguments(config):
    """The dotted keys of the numbers that are no part of ``model.program``, each with another value."""
    numbers = {section: found for section, found in model.arguments(config, 1).items() if isinstance(found, Mapping)}
    every = {f"{section}.{key}": other(config[section][key]) for section, found in numbers.items() for key in found}
    before, after = model.program(config), model.program(with_(config, every))
    same = lambda key: get(before, key) == get(after, key)  # noqa: E731
    return {key: value for key, value in every.items() if same(key)}


def get(config, key):
    section, name = key.split(".")
    return config[section][name]


def with_(config, changes):
    changed = ConfigDict(config.to_dict())
    changed.update_from_flattened_dict(changes)
    return FrozenConfigDict(changed)


def changed(before):
    """The config with all of these numbers changed, and the seed; their keys."""
    numbers = arguments(before)
    assert {"optim.learning_rate", "optim.final", "loss.warmup", "corruption.std"} <= numbers.keys()
    after = with_(before, {**numbers, "seed": 77})
    assert model.program(before) == model.program(after)
    return after, numbers.keys()


@pytest.mark.parametrize("name", configurations.NAMES)
def test_numbers_and_the_seed_are_no_part_of_the_program(name):
    """Letter for letter it is that of the config with all of them changed, and that of ``model.program``, which has
    them at neither's values."""
    before = config(name)
    after, _ = changed(before)
    assert texts(before) == texts(after) == texts(model.program(after))


def assert_no_part(before, evaluation=True):
    """The same, in short; gives the keys of the numbers."""
    after, found = changed(before)
    assert texts(before, evaluation) == texts(model.program(after), evaluation)
    return found


def unused(key, found):
    """The parts that no shipped config uses at tiny."""
    used = {get(config(name), key) for name in configurations.NAMES}
    return sorted(found.keys() - used)


# what a code wants beside itself
BESIDE = {
    "gated": {"loss.gate_l1": 0.1, "loss.gate_auxiliary": 1.0, "decoder.name": "dictionary"},
    "jump_relu": {"loss.l0": 0.1},
    "batch_top_k": {"code.k": 5, "loss.aux_k": 0.1, "decoder.name": "dictionary"},
}
# the numbers that a code reads
READS = {
    "batch_top_k": {"code.k", "code.dead_after", "code.decay"},
    "gaussian_noise": {"code.std"},
    "gumbel_sigmoid": {"code.temperature"},
    "jump_relu": {"code.bandwidth"},
    "spatial": {"code.rate"},
}


@pytest.mark.parametrize("name", unused("code.name", parts.modules(codes)))
def test_numbers_are_no_part_of_the_program_of_other_codes(name):
    squared = {"loss.likelihood": "squared_error", "code.name": name, **BESIDE.get(name, {})}
    found = assert_no_part(config("allconv" if name == "spatial" else "shallow", squared))
    assert {key for key in found if key.startswith("code.")} == READS.get(name, set())


@pytest.mark.parametrize("name", unused("loss.likelihood", parts.modules(losses)))
def test_numbers_are_no_part_of_the_program_of_other_likelihoods(name):
    assert "loss.std" in assert_no_part(config("denoising", {"loss.likelihood": name, "corruption.emphasis": 2.0}))


SAMPLED = {"code.name": "variational", "loss.likelihood": "squared_error"}
JACOBIAN = {"code.activation": "sigmoid", "loss.likelihood": "squared_error"}
PENALISED = {
    "contractive_change": JACOBIAN,
    "contractive_hutchinson": JACOBIAN,
    "decoder_gradient": JACOBIAN,
    "total_correlation": SAMPLED,
    "mmd_rbf": {},
    "orthogonality": {},
}


def test_the_penalties_below_are_those_that_no_config_uses():
    used = {name for c in configurations.NAMES for name in schema.penalties(config(c).loss)}
    of_codes = {name for beside in BESIDE.values() for name in schema.penalties(with_(config("shallow"), beside).loss)}
    assert PENALISED.keys() == parts.functions(penalties).keys() - used - of_codes


@pytest.mark.parametrize("name", PENALISED)
def test_numbers_are_no_part_of_the_program_of_other_penalties(name):
    found = assert_no_part(config("shallow", {**PENALISED[name], f"loss.{name}": 0.1}), evaluation=False)
    assert f"loss.{name}" in found


@pytest.mark.parametrize("name", unused("optim.name", optim.OPTIMISERS))
def test_numbers_are_no_part_of_the_program_of_other_optimisers(name):
    given = {"clip_norm": 1.0, "weight_decay": 0.1, "momentum": 0.9, "encoder_rate": 0.5, "schedule": "step"}
    changes = {f"optim.{key}": value for key, value in given.items()}
    found = assert_no_part(config("shallow", {**changes, "optim.name": name}), evaluation=False)
    rate = {"optim.encoder_rate"}  # of which the program says that it is not 1
    assert {f"optim.{key}" for key, value in given.items() if isinstance(value, float)} - rate <= found | rate


def test_numbers_that_count_as_there_or_not_may_change_while_there():
    pairs = {
        "corruption.emphasis": (2.0, 3.0), "optim.encoder_rate": (0.5, 0.1), "optim.clip_norm": (1.0, 5.0),
        "optim.weight_decay": (0.1, 0.2), "optim.momentum": (0.9, 0.5), "loss.l1": (0.1, 0.2),
    }  # fmt: skip
    one, two = (config("denoising", {key: pair[i] for key, pair in pairs.items()}) for i in (0, 1))
    assert model.program(one) == model.program(two)
    assert texts(one, False) == texts(two, False) == texts(model.program(two), False)


# -- what is part of it


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("shallow", {"code.size": 8}),
        ("shallow", {"code.activation": "sigmoid"}),
        ("shallow", {"encoder.widths": (8,)}),
        ("shallow", {"encoder.activation": "tanh"}),
        ("shallow", {"encoder.bias_init": 0.1}),
        ("shallow", {"decoder.dropout": 0.5}),
        ("shallow", {"decoder.name": "tied"}),
        ("shallow", {"precision": "bfloat16"}),
        ("shallow", {"model": "classifier"}),
        ("shallow", {"train.batch_size": 5}),
        ("shallow", {"eval.batch_size": 5}),
        ("shallow", {"train.micro_batches": 2}),
        ("shallow", {"train.remat": True}),
        ("shallow", {"data.whiten": "standard"}),
        ("shallow", {"data.binarise": "dynamic"}),
        ("shallow", {"corruption.name": "gaussian"}),
        ("shallow", {"loss.likelihood": "squared_error"}),
        ("shallow", {"loss.l1": 0.1}),
        ("sparse", {"loss.l1": 0.0}),
        ("denoising", {"corruption.emphasis": 2.0}),
        ("denoising", {"corruption.rest": 0.5}),
        ("shallow", {"optim.name": "sgd"}),
        ("shallow", {"optim.schedule": "cosine"}),
        ("shallow", {"optim.milestones": (0.9,)}),
        ("shallow", {"optim.clip_norm": 1.0}),
        ("shallow", {"optim.weight_decay": 0.1}),
        ("shallow", {"optim.momentum": 0.9}),
        ("shallow", {"optim.encoder_rate": 0.5}),
        ("shallow", {"optim.freeze": ("encoder",)}),
        ("hashing", {"code.fixed": False}),
        ("vae", {"code.samples": 2}),
        ("vqvae", {"code.entries": 8}),
        ("topk", {"loss.aux_units": 3}),
        ("classifier", {"classifier.on": "hidden"}),
    ],
)
def test_what_makes_another_program(name, changes):
    before = config(name)
    assert model.program(before) != model.program(with_(before, changes))


def test_a_classifiers_code_reads_the_config():
    before = config("classifier", {"code.name": "top_k", "code.k": 5})
    after = with_(before, {"code.k": 3})
    assert model.program(before) != model.program(after)
    assert texts(before) != texts(after)


@pytest.mark.parametrize(("code", "key"), [("jump_relu", "code.threshold"), ("learned_noise", "code.std")])
def test_where_weights_start_is_part_of_the_program(code, key):
    """Such a number is written into the program that makes them, though it is no number of the step."""
    before = config("shallow", {"code.name": code, "loss.likelihood": "squared_error"})
    after = with_(before, {key: 0.7})
    assert model.program(before) != model.program(after)
    starts = [jax.jit(lambda c=c: model.init(model.build(c, SHAPE), 0))()["params"]["code"] for c in (before, after)]
    assert all(np.any(a != b) for a, b in zip(*map(jax.tree.leaves, starts), strict=True))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "another", "train.epochs": 9, "train.early_stopping": 2, "train.steps_per_call": 3},
        {"data.name": "mnist5k", "data.fold": 1, "eval.epochs": 2, "eval.test": True, "checkpoint.best": False},
        {"mesh.devices": 2, "log.tensorboard": True, "sweep.seed": "0,1", "start.workdir": "x", "greedy.epochs": 2},
    ],
)
def test_what_makes_no_other_program(changes):
    before = config("shallow")
    assert model.program(before) == model.program(with_(before, changes))


def test_a_program_is_a_config_that_a_model_is_built_of():
    for name in configurations.NAMES:
        program = model.program(config(name))
        assert model.program(program) == program
        assert hash(program) == hash(model.program(config(name, {"seed": 4})))
