"""What aejax's worker times: the steps that it says, and operators that do what they are named after."""

import json
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax

from aejax.bench import command, environment, examples, frameworks, machine, nets, ours, ours_operators, sitting
from aejax.bench.frameworks import Framework
from tests import fakes


@pytest.fixture
def training(tmp_path):
    config = nets.load("shallow:tiny@8")
    saved = examples.save(config, tmp_path)
    made = ours.Training()
    made.prepare("shallow:tiny@8", "", "float32", str(saved.images), None, list(saved.classes))
    return made


def test_the_first_step_is_taken_before_it_is_told(training):
    assert training.trainer.step == 1 and int(training.trainer.state.step) == 1


def test_seconds_and_steps_are_those_that_passed(training):
    training.train(50)
    began = time.perf_counter()
    reply = training.train(400)
    passed = time.perf_counter() - began
    assert training.trainer.step == int(training.trainer.state.step) == 451
    assert 0.7 * passed < reply["seconds"] <= passed


def test_the_peak_is_the_quickest_product(monkeypatch):
    ticks = iter([0.0, 4.0, 10.0, 12.0, 20.0, 23.0])
    monkeypatch.setattr(ours, "SIDES", {"cpu": 8, "gpu": 8})
    products = ours.Products()
    products.multiply(1, "bfloat16")
    monkeypatch.setattr(ours.time, "perf_counter", lambda: next(ticks))
    assert products.multiply(3, "bfloat16")["flops"] == 2 * 8**3 / 2.0
    assert products.matrix.dtype == jnp.bfloat16


def test_workers_multiply_float32_as_training_does(monkeypatch):
    monkeypatch.setattr(ours, "SIDES", {"cpu": 8, "gpu": 8})
    for work in (
        lambda: ours.Products().multiply(1, "float32"),
        lambda: ours.Operator().operator({"op": "dense", "inputs": 2, "outputs": 2, "batch": 2}, 1, "cpu"),
    ):
        jax.config.update("jax_default_matmul_precision", None)
        work()
        assert jax.config.jax_default_matmul_precision == "highest"


def output(operator, *inputs):
    """What a round of an operator on maps [b, h, w, c] gives: what it adds to the last part of its carry."""
    program = ours_operators.OPERATORS[operator["op"]]({"batch": 2, **operator})
    carry = (tuple(inputs), program.carry[1])
    _, moved = program.step(carry, program.given, 1.0)
    return np.transpose(moved - program.carry[1], (3, 1, 2, 0))


@pytest.mark.parametrize("op", ["conv", "conv_transpose"])
def test_operators_convolve(rng, op):
    x, k = rng.normal(size=(2, 6, 6, 3)).astype(np.float32), rng.normal(size=(3, 3, 3, 4)).astype(np.float32)
    operator = {"op": op, "inputs": 3, "outputs": 4, "kernel": [3, 3], "strides": [2, 2], "size": [6, 6]}
    found = output(operator, np.transpose(x, (3, 1, 2, 0)), k)
    native = {"conv": lax.conv_general_dilated, "conv_transpose": lax.conv_transpose}[op]
    layout = {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}
    np.testing.assert_allclose(found, native(x, k, (2, 2), "SAME", **layout), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("op", ["max_pool", "average_pool", "nearest", "bilinear"])
def test_operators_resample(rng, op):
    x = rng.normal(size=(2, 4, 4, 3)).astype(np.float32)
    expected = {
        "max_pool": lambda: nn.max_pool(x, (2, 2), (2, 2)),
        "average_pool": lambda: nn.avg_pool(x, (2, 2), (2, 2)),
        "nearest": lambda: jax.image.resize(x, (2, 8, 8, 3), "nearest"),
        "bilinear": lambda: jax.image.resize(x, (2, 8, 8, 3), "bilinear"),
    }[op]()
    operator = {"op": op, "channels": 3, "size": [4, 4], "window": [2, 2], "to": [8, 8]}
    np.testing.assert_allclose(output(operator, np.transpose(x, (3, 1, 2, 0))), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("operator, kept", [
    ({"op": "top_k", "units": 50, "batch": 4, "k": 3}, 4 * 3),
    ({"op": "winners", "units": 50, "batch": 20, "rate": 0.1}, 50 * 2),
])  # fmt: skip
def test_operators_keep_as_many_as_they_say(operator, kept):
    program = ours_operators.OPERATORS[operator["op"]](operator)
    moved = program.step(program.carry, program.given, 1.0)
    assert np.count_nonzero(np.asarray(moved - program.carry)) == kept


def test_a_round_is_waited_for():
    """More rounds take longer, and not only the time to start them."""
    repeated = ours_operators.Repeated({"op": "dense", "inputs": 200, "outputs": 200, "batch": 200})
    repeated(1)
    assert min(repeated(400) for _ in range(3)) > 5 * min(repeated(4) for _ in range(3))


# -- what is asked of all


def test_all_nets_learn_at_one_constant_rate():
    for name in nets.names():
        config = nets.load(name)
        assert (config.optim.learning_rate, config.optim.schedule) == (nets.LEARNING_RATE, "constant")
    told = nets.load("deep").optim
    described = nets.describe(nets.load("deep"), (28, 28, 1), 10)["optim"]
    numbers = {"b1": told.b1, "b2": told.b2, "eps": told.eps, "learning_rate": nets.LEARNING_RATE}
    assert described["name"] == "adam" and {key: described[key] for key in numbers} == numbers


def test_frameworks_begin_with_empty_caches(tmp_path, monkeypatch):
    assert frameworks.ours("cpu").environment["JAX_ENABLE_COMPILATION_CACHE"] == "false"
    told = "reply |= {'how': os.environ['TORCHINDUCTOR_CACHE_DIR']}"
    worker = Framework("torch.compile", fakes.write(tmp_path, "torch", told))
    folders = []
    for _ in range(2):
        contestant = sitting.Contestant(worker, lambda line: None)
        folders.append(contestant.ask("prepare")["how"])
        contestant.close()
    assert folders[0] != folders[1] and not any(Path(folder).exists() for folder in folders)


def test_a_worker_counts_from_its_start(tmp_path):
    slow = fakes.write(tmp_path, "slow", "pass")
    Path(slow[1]).write_text("import time; time.sleep(0.5)\n" + Path(slow[1]).read_text())
    with sitting.Worker(slow) as worker:
        worker.ask("prepare", 10)
        assert worker.ask("prepare", 10)["arrived"] >= 0.5


def test_cores_are_those_that_the_process_may_use(monkeypatch):
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: {3}, raising=False)
    assert machine.cores() == 1


def test_peers_and_aejax_are_told_the_same_precision_and_all_cores(tmp_path, monkeypatch):
    log = tmp_path / "log"
    note = f"request['do'] == 'prepare' and print(json.dumps(request), file=open({str(log)!r}, 'a'))"
    monkeypatch.setattr(frameworks, "ours", lambda device: Framework("aejax", fakes.write(tmp_path, "ours", note)))
    monkeypatch.setattr(frameworks, "peers", lambda *_: [Framework("Keras fit", fakes.write(tmp_path, "peer", note))])
    monkeypatch.setattr(environment, "PEERS", ("json",))
    monkeypatch.setattr(machine, "cores", lambda: 7)
    flags = ["--device=cpu", "--repeats=1", "--seconds=0.01", f"--workdir={tmp_path / 'bench'}", "--peers"]
    assert command.main(["shallow:tiny", "--precision=bfloat16", f"--peers_python={sys.executable}", *flags]) == 0
    own, peer = map(json.loads, log.read_text().splitlines())
    assert own["precision"] == peer["net"]["precision"] == "bfloat16" and peer["threads"] == 7


def test_frameworks_take_turns(tmp_path):
    log = tmp_path / "log"
    note = "request['do'] in ('train', 'multiply') and print(NAME, file=open(LOG, 'a'))".replace("LOG", repr(str(log)))
    workers = [
        Framework(name, fakes.write(tmp_path, name, note.replace("NAME", repr(name)))) for name in ("a", "b", "peak")
    ]
    found = sitting.Sitting("toy", "float32", "2-3-2", "none", 10)
    sitting.sit(found, [(worker, {}) for worker in workers[:2]], workers[2], 3, 0.02, lambda line: None)
    turns = log.read_text().split()
    assert turns[-12:] == ["peak", "a", "b"] * 4 and turns.count("peak") == 5  # one to warm up, and a round to settle
    assert found.rows[0].steps == 200  # of 1e-4 s each
