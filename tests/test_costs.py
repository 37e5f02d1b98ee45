"""What a run costs against counts by hand: arithmetic, parameters, memory, and where arrays lie, in words."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from ml_collections import FrozenConfigDict

from aejax import costs, data, devices
from aejax.bench import figures, nets
from aejax.data import transforms
from aejax.feed import feed
from aejax.trainer import Trainer
from aejax.units import si
from tests import configurations

SIDE, SIZE, BATCH = 64, 16, 32  # shallow:tiny is 64-16-64 on 8x8 digits


def trainer(name="shallow", changes=None):
    config = FrozenConfigDict(configurations.load(name, changes))
    return Trainer(config, data.load(config.data), devices.mesh(config.mesh.devices))


def counted(function, *shapes):
    given = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return costs.products(jax.make_jaxpr(function)(*given).jaxpr)


# -- arithmetic


def test_products_have_two_operations_a_multiplication():
    assert counted(jnp.matmul, (3, 5), (5, 7)) == 2 * 3 * 5 * 7
    assert counted(lambda a, b: jnp.einsum("bij,bjk->bik", a, b), (4, 3, 5), (4, 5, 7)) == 4 * 2 * 3 * 5 * 7
    assert counted(lambda a, b: a + b, (3, 5), (3, 5)) == 0


def test_a_loop_counts_as_often_as_it_turns_and_a_condition_by_its_costliest_branch():
    one = 2 * 4 * 4 * 4
    assert counted(lambda a: lax.fori_loop(0, 9, lambda _, x: x @ x, a), (4, 4)) == 9 * one
    assert counted(lambda a: lax.fori_loop(0, a[0, 0].astype(int), lambda _, x: x @ x, a), (4, 4)) == one
    assert counted(lambda a: lax.cond(a[0, 0] > 0, lambda x: x @ x @ x, lambda x: x @ x, a), (4, 4)) == 2 * one
    assert counted(jax.jit(jax.checkpoint(lambda a: a @ a)), (4, 4)) == one


def test_a_convolution_has_two_operations_a_tap_channel_and_output():
    def convolved(x, k):
        return lax.conv_general_dilated(x, k, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    assert counted(convolved, (5, 8, 8, 3), (3, 3, 3, 6)) == 2 * 5 * 4 * 4 * 6 * 3 * 3 * 3


def test_a_step_of_a_dense_net_has_the_products_counted_by_hand():
    """Forward and the kernels' gradients of both layers, and the gradient of the second layer's input."""
    step = costs.step(trainer())
    assert step.products == (2 + 2 + 1) * 2 * SIDE * SIZE * BATCH
    parameters = 2 * SIDE * SIZE + SIDE + SIZE
    adam = step.flops - step.products
    assert 10 * parameters < adam < 20 * parameters + 40 * BATCH * SIDE, (
        "Adam, the loss and what else goes element by element"
    )
    assert step.program.flops == pytest.approx(step.flops, rel=0.05)


@pytest.mark.parametrize("name", ["conv", "allconv", "deep", "vae", "wta", "conv_wta", "classifier"])
def test_products_are_those_that_the_bench_counts_from_the_net_in_words(name):
    config = nets.load(f"{name}:tiny")
    dataset = data.load(config.data)
    described = nets.describe(config, dataset.shape, len(dataset.classes))
    step = costs.step(Trainer(FrozenConfigDict(config), dataset, devices.mesh(1)))
    assert step.products == figures.arithmetic(described) * config.train.batch_size


# -- parameters, memory, places


def test_parameters_are_told_apart_by_whether_they_learn():
    made = trainer("shallow", {"optim.freeze": ("encoder",)})
    assert costs.parameters(made.config.optim, costs.state(made).params) == (SIZE * SIDE + SIDE, SIDE * SIZE + SIZE)
    assert costs.parameters({"freeze": ()}, costs.state(made).params) == (2 * SIZE * SIDE + SIDE + SIZE, 0)


def test_memory_is_that_of_known_shapes():
    made = trainer()
    step, parameters = costs.step(made), 2 * SIDE * SIZE + SIDE + SIZE
    state = 4 * (3 * parameters + 2)  # parameters, two moments, two counters
    assert sum(array.bytes for array in costs.arrays(costs.state(made))) == state
    train = len(made.dataset.train)
    assert [array.bytes for array in step.examples] == [train * SIDE, train * 4], "images and their order"
    few = (BATCH + 1) * (SIDE + 4)
    assert state + few < step.program.arguments < state + few + 400, "and sums, numbers, statistics"
    assert step.memory == step.program.memory + (train - BATCH - 1) * (SIDE + 4)
    assert state <= step.program.donated <= step.program.results < state + 400
    beside = costs.memory_beside(made)
    assert beside["weights with the best valid loss"] == 4 * parameters
    assert beside["valid or test, evaluated"] == len(made.dataset.test) * SIDE
    smaller = trainer(changes={"eval.batch_size": 50})
    assert costs.memory_beside(smaller)["valid or test, evaluated"] == -(-len(made.dataset.test) // 50) * 50 * SIDE
    blocks = trainer(changes={"data.device_bytes": 6 * BATCH * SIDE + 5, "checkpoint.best": False})
    assert costs.memory_beside(blocks)["the next block of train"] == 3 * BATCH * SIDE
    assert "weights with the best valid loss" not in costs.memory_beside(blocks)
    assert [array.shape for array in costs.step(blocks).examples] == [(3 * BATCH, 8, 8, 1), (3 * BATCH,)]


def test_bytes_of_a_step_do_not_grow_with_the_data():
    few, many = (trainer(changes={"data.labels": n, "data.labels_seed": 0}) for n in (200, 0))
    moved = [costs.step(made).program.bytes for made in (few, many)]
    parameters = 2 * SIDE * SIZE + SIDE + SIZE
    assert moved[0] == moved[1] > 4 * 6 * parameters, "Adam alone reads and writes three arrays of that size"


def test_memory_is_that_of_the_program_that_trains():
    """Compiled for the whole of train, as training does."""
    made = trainer()
    source = feed(made.dataset.train, 0, BATCH, made.mesh, {"device_bytes": 2**30}, 1, False)
    there, i = source.at(0), np.int32(0)
    statistics = transforms.fit(made.dataset.train, made.config.data)
    stretch = made.programs.stretch.lower(
        costs.state(made), made.zero_sums, there.examples, there.order, i, i, statistics,
        made.arguments,
    )  # fmt: skip
    assert costs.step(made).memory == costs.program(stretch.compile()).memory


def test_a_dense_net_is_split_over_eight_devices():
    step = costs.step(trainer(changes={"mesh.devices": 8, "train.batch_size": 60}))
    assert step.batch.shape == (64, 8, 8, 1) and step.batch.bytes_a_device == 8 * SIDE
    assert step.products == (2 + 2 + 1) * 2 * SIDE * SIZE * 64, "padding is computed too"
    assert step.products / 8 < step.program.flops < step.products / 2


def test_places_in_words():
    mesh = Mesh(np.asarray(jax.devices()).reshape(4, 2), ("data", "model"))
    words = lambda *spec, shape=(8, 8): costs.in_words(NamedSharding(mesh, P(*spec)), shape)  # noqa: E731
    assert words() == words(None, None) == "replicated"
    assert words("data") == "axis 0 over 4 (data)" and words(None, "model") == "axis 1 over 2 (model)"
    assert words("data", "model") == "axis 0 over 4 (data), axis 1 over 2 (model)"
    assert words(("data", "model")) == "axis 0 over 8 (data, model)"
    assert costs.in_words(devices.replicated(devices.mesh(1)), (8,)) == "one device"
    assert costs.in_words(devices.batched(devices.mesh(8)), (8,)) == "axis 0 over 8 (data)"
    array = costs.Array("a", (8, 6), np.dtype(np.float32), NamedSharding(mesh, P("data", "model")))
    assert (array.size, array.bytes, array.bytes_a_device) == (48, 192, 24)


@pytest.mark.parametrize("value, told", [
    (0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (999_600, "1.00 MB"), (9.52e6, "9.52 MB"), (123.4e9, "123 GB"),
    (2.5e15, "2.50 PB"),
])  # fmt: skip
def test_bytes_with_units(value, told):
    assert si(value, "B") == told


def test_seconds_with_units():
    assert [si(value, "s") for value in (2.5, 0.0123, 4.7e-7, 1e-12)] == ["2.50 s", "12.3 ms", "470 ns", "0.00100 ns"]
