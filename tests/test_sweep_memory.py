"""How much memory members take, and in how many rounds they are trained for it."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax import devices, files, train
from aejax.checkpoint import LANE
from aejax.errors import UserError
from aejax.sweep import memory, run
from aejax.trainer import Trainer
from tests import sweeps

K = 4 * 1000  # bytes of a vector below
STACKED = {"sweep.placement": "stacked"}


@pytest.fixture(scope="module", autouse=True)
def small():
    with sweeps.small():
        yield


def peak(function, *shapes):
    return memory.peak(jax.make_jaxpr(function)(*(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)).jaxpr)


def chain(x):
    return jnp.exp(jnp.exp(jnp.exp(x)))


def kept(x):
    a = jnp.exp(x)
    b = jnp.sin(a)
    c = jnp.cos(b)
    return a + c


called = jax.jit(kept)


def scanned(x):
    """Ten sums [] of a [1000] that is made in each step."""
    return jax.lax.scan(lambda carry, _: (carry + 1, jnp.sum(jnp.exp(x))), 0.0, None, length=10)[1]


def scanned_rows(x):
    """Ten rows, each made of another that is made in each step."""
    return jax.lax.scan(lambda carry, _: (carry + 1, jnp.exp(jnp.sin(x))), 0.0, None, length=10)[1]


def repeated(x):
    """A [1000] that is made anew ten times, by way of another."""
    return jax.lax.fori_loop(0, jnp.int32(10), lambda _, y: jnp.exp(jnp.sin(y)), x)


def either(x):
    return jax.lax.cond(x[0] > 0, lambda x: jnp.sum(kept(x)), lambda x: x[0], x)


@pytest.mark.parametrize(
    ("function", "shapes", "expected"),
    [
        (lambda a, b: a + b, [(1000,), (1000,)], K),  # what goes in is not counted
        (lambda a: a, [(1000,)], 0),
        (chain, [(1000,)], 2 * K),  # the one before, and what is made of it
        (kept, [(1000,)], 3 * K),  # a stays until the end, b until c is made
        (lambda x, w: x @ w @ w, [(10, 100), (100, 100)], 2 * K),
        (lambda x, w, v: (x @ w) @ v, [(10, 100), (100, 300), (300, 1)], 12_040),  # [10, 300], and [10, 1] beside
        (lambda x: jnp.sum(jnp.exp(x)), [(1000,)], K + 4),
        (called, [(1000,)], 3 * K),
        (lambda x: jnp.exp(called(jnp.exp(x))), [(1000,)], 4 * K),  # and what the call was given
        (jax.vmap(kept), [(7, 1000)], 21 * K),
        (lambda x: jax.random.normal(jax.random.key(0), (2, 500)) + x, [()], None),
    ],
)
def test_the_most_that_a_program_has_at_a_time_by_hand(function, shapes, expected):
    found = peak(function, *shapes)
    assert found == expected if expected is not None else found >= 2 * K


def test_a_loop_has_what_it_collects_and_what_one_turn_takes():
    one = peak(lambda x: jnp.sum(jnp.exp(x)), (1000,))
    assert one <= peak(scanned, (1000,)) <= one + 100
    assert peak(scanned_rows, (1000,)) == pytest.approx(10 * K + 2 * K, abs=100)
    assert peak(repeated, (1000,)) == pytest.approx(K + 2 * K, abs=100)


def test_a_condition_has_the_branch_that_takes_more():
    assert peak(either, (1000,)) == pytest.approx(3 * K, abs=20)


def test_the_size_of_a_tree():
    tree = {"a": jax.ShapeDtypeStruct((3, 4), jnp.float32), "b": [np.zeros(5, np.uint8), jnp.int32(0)]}
    assert memory.size(tree) == 48 + 5 + 4


@pytest.fixture(scope="module")
def trainer():
    config = sweeps.config("shallow")
    return Trainer(config, sweeps.digits(), devices.mesh(1))


def test_a_member_takes_its_state_twice_its_best_weights_and_a_step(trainer):
    found = memory.of_member(trainer)
    parameters = 4 * (2 * 64 * 16 + 16 + 64)
    state = 3 * parameters + 8  # Adam's two moments, and two counts
    assert found > 2 * state + parameters + 20 * 64 * 4
    wide = Trainer(with_batch(trainer.config, 60), trainer.dataset, trainer.mesh)
    assert memory.of_member(wide) > found


def with_batch(config, batch):
    return type(config)({**config.to_dict(), "train": {**config.train.to_dict(), "batch_size": batch}})


def test_so_many_fit_as_there_is_room_for(trainer, monkeypatch):
    one, train = memory.of_member(trainer), trainer.dataset.train
    data, order = train.images.nbytes + train.labels.nbytes, 4 * len(train)
    counts = []
    for room in (0, 1, 2.5, 10, 1000):
        monkeypatch.setattr(memory, "free", lambda _, room=room: (room * (one + order) + data) / memory.SHARE + 1)
        counts.append(memory.fits(trainer, jax.devices()[0]))
    assert counts == [1, 1, 2, 10, 1000]
    monkeypatch.setattr(memory, "free", lambda _: 0)
    assert memory.fits(trainer, jax.devices()[0]) == 1


def test_what_is_free(monkeypatch, tmp_path):
    """On an accelerator as it says; on a CPU what the machine has, or the container where that has less."""
    stats = {"bytes_limit": 100, "bytes_in_use": 30}
    assert memory.free(SimpleNamespace(platform="gpu", memory_stats=lambda: stats)) == 70
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    machine = memory.free(jax.devices("cpu")[0])
    assert machine > 10_000_000
    for limit, expected in (("max", None), ("5000000", 4_000_000), ("1", 0)):
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        (tmp_path / "memory.current").write_text("1000000\n")
        found = memory.free(jax.devices("cpu")[0])
        assert found == expected if expected is not None else found > 10_000_000


# -- rounds


def stacks_of(config, workdir):
    """How many members each stack has, and the workdirs' lanes."""
    every = sweeps.every(config, workdir)
    lanes = [files.read_json(member.workdir / LANE) for member in every]
    folders = sorted({lane["stack"] for lane in lanes})
    return [sum(lane["stack"] == folder for lane in lanes) for folder in folders], [lane["lane"] for lane in lanes]


@pytest.fixture(scope="module")
def in_one(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("in_one")
    config = sweeps.config("shallow", {**STACKED, "sweep.seed": "0:4:5"})
    assert run.run(config, workdir) == 0
    assert stacks_of(config, workdir) == ([5], [0, 1, 2, 3, 4])
    return workdir


@pytest.mark.parametrize(
    ("changes", "room", "expected"),
    [
        ({}, 4, ([3, 2], [0, 1, 2, 0, 1])),  # of about the same size
        ({"mesh.devices": 2}, 2, ([3, 2], [0, 1, 2, 0, 1])),  # so many on each device
        ({"sweep.at_once": 2}, 4, ([2, 2, 1], [0, 1, 0, 1, 0])),
    ],
)
def test_members_train_in_as_many_stacks_as_memory_has_room_for(
    in_one, tmp_path, monkeypatch, capsys, changes, room, expected
):
    monkeypatch.setattr(memory, "fits", lambda *_: room)
    config = sweeps.config("shallow", {**STACKED, "sweep.seed": "0:4:5", **changes})
    assert run.run(config, tmp_path) == 0
    assert stacks_of(config, tmp_path) == expected
    assert f"program 1 of {len(expected[0])}: {expected[0][0]} members" in capsys.readouterr().out
    for one, here in zip(sweeps.every(config, in_one), sweeps.every(config, tmp_path), strict=True):
        sweeps.assert_same(one.workdir, here.workdir, rtol=2e-4, atol=2e-5)
        assert sweeps.merged(tmp_path, here) == sweeps.lines(here.workdir)


def test_members_of_other_data_or_programs_have_stacks_of_their_own(tmp_path):
    """Here the second has other data, and the third another program besides."""
    changes = {"sweep.combine": "zipped", "sweep.data.split_seed": "0,1,1", "sweep.encoder.bias_init": "0,0,0.1"}
    config = sweeps.config("shallow", {**STACKED, **changes})
    assert run.run(config, tmp_path / "sweep") == 0
    assert stacks_of(config, tmp_path / "sweep") == ([1, 1, 1], [0, 0, 0])
    second = sweeps.every(config, tmp_path / "sweep")[1]
    train.run(second.config, tmp_path / "alone")
    sweeps.assert_same(second.workdir, tmp_path / "alone", rtol=2e-4, atol=2e-5)


def test_data_that_do_not_fit_the_device_are_not_trained_on_in_a_stack(tmp_path):
    config = sweeps.config("shallow", {**STACKED, "data.device_bytes": 100, "sweep.seed": "0,1"})
    with pytest.raises(UserError, match="3,840 bytes are more than config.data.device_bytes=100; .*side_by_side"):
        run.run(config, tmp_path)
