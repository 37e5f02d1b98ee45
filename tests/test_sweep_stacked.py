"""Members stacked in one program are the runs alone, on any number of devices."""

import contextlib

import jax
import numpy as np
import pytest

import aejax
from aejax import checkpoint, devices, main, train
from aejax.checkpoint import Checkpoints
from aejax.errors import UserError
from aejax.host import Host
from aejax.sweep import run
from aejax.sweep.stack import Stack
from tests import configurations, sweeps

CLOSE = {"rtol": 2e-4, "atol": 2e-5}
STACKED = {"sweep.placement": "stacked", "sweep.at_once": 8}

# what is swept beside the seed: numbers that the config's own parts read; else the learning rate
ALSO = {
    "conv_wta": ("code.rate", "0.05,0.2"),
    "contractive": ("loss.contractive", "0.1,0.5"),
    "denoising": ("corruption.std", "0.2,0.5"),
    "hashing": ("code.std", "1.0,4.0"),
    "kl_sparse": ("loss.sparsity", "0.05,0.2"),
    "ksparse": ("code.k", "5,9"),
    "stacked": ("corruption.rate", "0.1"),
    "sparse": ("loss.l1", "1e-3,1e-2"),
    "topk": ("code.dead_after", "20,1000"),
    "vae": ("loss.kl", "0.5,1.0"),
    "vqvae": ("code.decay", "0.9,0.99"),
    "wae": ("loss.mmd_imq", "10.0,100.0"),
    "wta": ("code.rate", "0.05,0.3"),
}


@pytest.fixture(scope="module", autouse=True)
def small():
    with sweeps.small():
        yield


BY_COMMAND = ("ksparse", "shallow", "wta")
QUIET = ("train.batch_size=20", "log.tensorboard=False", "log.figure_epochs=()")


def swept(name):
    return ALSO.get(name, ("optim.learning_rate", "1e-3,3e-3"))


@pytest.mark.parametrize("name", [name for name in configurations.NAMES if name not in BY_COMMAND])
def test_members_are_the_runs_alone(tmp_path, name):
    """Two values with two seeds each; the last of the four."""
    key, values = swept(name)
    config = sweeps.config(name, {**STACKED, "sweep.seed": "0,1", f"sweep.{key}": values})
    saving = contextlib.nullcontext(sweeps.left) if config.greedy.epochs else sweeps.unsaved()  # layers are read again
    with saving as left:
        assert run.run(config, tmp_path / "sweep") == 0
        every = sweeps.every(config, tmp_path / "sweep")
        assert len(every) == (2 if name == "stacked" else 4)
        assert train.run(every[-1].config, tmp_path / "alone") == 0
        assert (every[-1].workdir / checkpoint.LANE).is_file()
        sweeps.assert_same(every[-1].workdir, tmp_path / "alone", left, **CLOSE)


# -- by the command line, on 1, 2 and 8 devices


def command(name, workdir, *flags):
    given = [f"--config=configs/{name}.py:tiny", f"--workdir={workdir}"]
    return main.main(["aejax", *given, *(f"--config.{flag}" for flag in (*QUIET, *flags))])


def command_sweep(name, workdir, count):
    key, values = swept(name)
    sweep = ("sweep.seed=0,1", f"sweep.{key}={values}", "sweep.placement=stacked")
    return command(name, workdir, *sweep, f"mesh.devices={count}")


@pytest.fixture(scope="module", params=BY_COMMAND)
def on_one(request, tmp_path_factory):
    """The name of a config and the workdir of a sweep of four members on one device."""
    workdir = tmp_path_factory.mktemp(request.param) / "sweep"
    assert command_sweep(request.param, workdir, 1) == 0
    return request.param, workdir


def test_the_command_trains_members_that_are_the_runs_alone(on_one, tmp_path):
    name, workdir = on_one
    key, values = swept(name)
    for member, (seed, value) in ((1, (1, values.split(",")[0])), (2, (0, values.split(",")[1]))):
        assert command(name, tmp_path / str(member), f"seed={seed}", f"{key}={value}", "mesh.devices=1") == 0
        sweeps.assert_same(workdir / "members" / str(member), tmp_path / str(member), **CLOSE)


@pytest.mark.parametrize("count", [2, 8])
def test_the_members_are_the_same_on_more_devices(on_one, tmp_path, count):
    """Four members do not fill eight devices."""
    name, workdir = on_one
    assert command_sweep(name, tmp_path, count) == 0
    for member in (1, 3):
        sweeps.assert_same(workdir / "members" / str(member), tmp_path / "members" / str(member), **CLOSE)


# -- a member in its stack


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The config and the members of a sweep, trained stacked, whose best weights are not their last."""
    changes = {"optim.schedule": "step", "optim.milestones": (0.6,), "optim.factor": 1e3}
    config = sweeps.config("shallow", {**STACKED, **changes, "sweep.seed": "3,4", "log.figure_epochs": (0, 2)})
    workdir = tmp_path_factory.mktemp("trained")
    assert run.run(config, workdir) == 0
    return config, sweeps.every(config, workdir)


def test_a_member_loads_as_the_run_alone_does(trained, tmp_path):
    member, found = trained[1][1], {}
    train.run(member.config, tmp_path)
    for best, step in ((False, 6), (True, 3)):
        a, b = aejax.load(member.workdir, best=best), aejax.load(tmp_path, best=best)
        assert (a.step, a.config, a.classes) == (step, b.config, b.classes) == (b.step, b.config, b.classes)
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **CLOSE), a.variables, b.variables)
        jax.tree.map(np.testing.assert_array_equal, a.preprocessing, b.preprocessing)
        found[best] = a.encode(sweeps.digits().test.images[:3])
    assert np.abs(found[False] - found[True]).max() > 0.1


def test_members_draw_as_the_run_alone_does(trained, tmp_path):
    member = trained[1][1]
    train.run(member.config, tmp_path)
    assert sorted(p.name for p in (member.workdir / "figures").iterdir()) == ["epoch_0000.png", "epoch_0002.png"]
    drawn = [(folder / "figures" / "epoch_0000.png").read_bytes() for folder in (member.workdir, tmp_path)]
    other = (trained[1][0].workdir / "figures" / "epoch_0000.png").read_bytes()
    assert drawn[0] == drawn[1] != other


def test_a_run_is_refused_in_the_folder_of_a_member_of_a_stack(trained):
    member = trained[1][1]
    with pytest.raises(UserError, match="is one of a sweep's members.*; accepted: the sweep's own"):
        train.run(member.config, member.workdir)
    with pytest.raises(UserError, match="config.sweep.seed: several models.*; accepted: an empty config.sweep"):
        train.run(trained[0], member.workdir)


def test_a_lane_has_the_steps_of_its_stack_and_its_own_meta(trained):
    lanes = [checkpoint.of(member.workdir) for member in trained[1]]
    assert all(isinstance(lane, checkpoint.Lane) and lane.steps() == [6] for lane in lanes)
    metas = [lane.read(6, {}).meta for lane in lanes]
    assert [meta["best_step"] for meta in metas] == [3, 3] and metas[0]["best_loss"] != metas[1]["best_loss"]
    assert Checkpoints(trained[1][0].workdir).steps() == []


# -- the programs themselves


def stack_of(folder, name="shallow", count=1, changes=None):
    """A stack of three members at its first step."""
    config = sweeps.config(name, {**STACKED, "sweep.optim.learning_rate": "1e-3,2e-3,3e-3", **(changes or {})})
    found = Stack(sweeps.every(config, folder), sweeps.digits(), devices.mesh(count), folder / "stacks" / "0")
    found.begin(Host())
    return found


@pytest.fixture
def stack(tmp_path):
    return stack_of(tmp_path, count=2)


def lane(tree, number):
    return jax.tree.map(lambda a: np.asarray(a)[number], tree)


def states(stack):
    return [lane((stack.state, stack.sums), i) for i in range(len(stack.members))]


def test_a_member_at_its_end_stays_as_it_is_to_the_last_bit(stack):
    stack.advance(2)
    stack.ended[1] = True
    before = states(stack)
    stack.advance(1)
    stack.advance(3)
    after = states(stack)
    jax.tree.map(np.testing.assert_array_equal, before[1], after[1])
    for i in (0, 2):
        assert int(after[i][0].step) == 6 and float(after[i][1]["steps"]) == 6
        bias_before, bias = (state[i][0].params["decoder"]["layers_0"]["bias"] for state in (before, after))
        assert np.any(bias_before != bias)
    assert int(after[1][0].step) == 2


def test_one_compilation_serves_every_call(stack):
    for count in (1, 2, 3):
        stack.advance(count)
        for split in (stack.dataset.valid, stack.dataset.test):
            stack.split_figures(split)
        stack.keep_best(np.array([count < 3, True, False]))
    programs = stack.programs
    for program in (programs.init, programs.orders, programs.stretch, programs.evaluate, programs.choose):
        assert program._cache_size() == 1
    lanes = [lane.programs for lane in stack.lanes]
    assert all(lane is lanes[0] for lane in lanes), "and so do members"


def test_only_the_better_keep_their_weights_as_best(stack):
    stack.advance(1)
    first = states(stack)
    stack.keep_best(np.array([True, True, True]))
    stack.advance(1)
    second = states(stack)
    stack.keep_best(np.array([False, True, False]))
    for i, expected in enumerate((first, second, first)):
        jax.tree.map(np.testing.assert_array_equal, lane(stack.best, i)["params"], expected[i][0].params)


def test_three_members_on_two_devices_are_those_on_one(stack, tmp_path):
    one = stack_of(tmp_path / "one")
    assert (stack.room, one.room) == (4, 3)
    for either in (stack, one):
        either.advance(3)
        either.advance(1)
    for a, b in zip(states(stack), states(one), strict=True):
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **CLOSE), a, b)


def test_what_members_have_in_common_is_what_their_settings_have(tmp_path):
    """Weights, batches and noise follow the seed, whatever the place in the stack."""
    changes = {"sweep.optim.learning_rate": "1e-3,1e-3,1e-3", "sweep.combine": "zipped", "sweep.seed": ""}
    stack = stack_of(tmp_path, "denoising", changes=changes)
    stack.arguments["seed"] = stack.gather([{"seed": np.uint32(seed)} for seed in (5, 6, 5)])["seed"]
    stack.state = stack.programs.init(stack.arguments)
    stack.advance(3)
    a, b, c = states(stack)
    jax.tree.map(np.testing.assert_array_equal, a, c)
    assert abs(a[1]["loss"] - b[1]["loss"]) > 1e-3


def test_a_step_whose_loss_is_not_finite_is_not_taken(tmp_path):
    bold = {"optim.name": "sgd", "loss.likelihood": "squared_error"}
    stack = stack_of(tmp_path, changes={**bold, "sweep.optim.learning_rate": "1e-3,1e30,2e-3"})
    stack.advance(2)
    bad = stack.first_non_finite()
    assert bad.tolist()[::2] == [0, 0] and bad[1] > 0
    kept, _ = lane((stack.state, stack.sums), 1)
    assert kept.step == bad[1] - 1 and lane(stack.state.step, 0) == 2
