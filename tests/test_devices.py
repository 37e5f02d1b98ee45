"""Where arrays lie: batches split over devices, and a wide code's units, with what belongs to them."""

import re

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P
from ml_collections import FrozenConfigDict

from aejax import checkpoint, data, devices, model, step, train
from aejax.errors import UserError
from tests import configurations

UNITS = 262_144


def test_a_mesh_shares_batches_and_units():
    assert devices.mesh(8).devices.shape == (8, 1)
    assert dict(devices.mesh(0, 4).shape) == {"data": 2, "model": 4}
    assert devices.padded(5, devices.mesh(8, 4)) == 6  # two parts of a batch


@pytest.mark.parametrize(
    ("count", "shared", "told"),
    [
        (9, 1, r"mesh\.devices=9 .* accepted: 0 \(all\) to 8"),
        (6, 4, r"mesh\.model=4 .* 6 devices; accepted: 1, 2, 3, 6"),
    ],
)
def test_a_mesh_that_there_is_not_is_refused(count, shared, told):
    with pytest.raises(UserError, match=told):
        devices.mesh(count, shared)


def test_only_what_has_an_entry_a_unit_is_split():
    shapes = {"into": np.zeros((5, 12)), "out": np.zeros((12, 5)), "bias": np.zeros(12), "other": np.zeros((5, 5))}
    found = devices.places(devices.mesh(8, 4), 12, lambda: shapes)
    specs = {name: sharding.spec for name, sharding in found.items()}
    assert specs == {"into": P(None, "model"), "out": P("model"), "bias": P("model"), "other": P()}
    assert devices.places(devices.mesh(8), 12, lambda: pytest.fail("not needed")).spec == P()


def test_places_of_a_batch_that_are_of_this_process():
    assert devices.own_rows(16, devices.mesh(8, 2)) == slice(0, 16)


def trained(images, count, shared, units, **changes):
    """State and sums after three steps of a sparse dictionary whose units fall silent at once, and the program."""
    keys = {"code.size": units, "code.k": 8, "code.dead_after": 1, "loss.aux_units": 64, "train.batch_size": 8}
    config = FrozenConfigDict(configurations.load("topk", {**keys, **changes}))
    mesh = devices.mesh(count, shared)
    programs = step.programs(model.program(config), images.shape[1:], 0, 3, mesh)
    everywhere = devices.replicated(mesh)
    numbers = devices.put(model.arguments(config, len(images)), everywhere)
    given = ((images, None), np.arange(24, dtype=np.int32), np.int32(0), np.int32(3))
    given = devices.put((*given, {"scale": np.float32(1 / 255), "shift": np.float32(0)}), everywhere)
    call = programs.init(numbers), devices.put(programs.zero_sums, everywhere), *given, numbers
    program = programs.stretch.lower(*call).compile() if shared > 1 else programs.stretch
    return *program(*call), program


@pytest.fixture(scope="module")
def images():
    section = configurations.load("topk").data
    return data.load(section).train.images[:24]


def test_a_dictionary_of_262_144_units_is_shared_by_eight_devices(images):
    """Each holds an eighth of all that has an entry a unit, nothing gathers the activations, and it is the dictionary
    of one device: tied at first, the k largest of all units, dead ones revived."""
    state, sums, program = trained(images, 8, 8, UNITS)
    alone, alone_sums, _ = trained(images, 1, 1, UNITS)
    for path, array in jax.tree_util.tree_leaves_with_path((state.params, state.opt_state, state.collections)):
        parts = {part.data.shape for part in array.addressable_shards}
        expected = tuple(length // 8 if length == UNITS else length for length in array.shape)
        assert parts == {expected}, jax.tree_util.keystr(path)
    assert not re.search(rf"{UNITS}\S* all-gather\(", program.as_text())
    assert float(sums["aux_k"]) > 0 and float(sums["dead_share"]) > 1
    for name, value in alone_sums.items():
        np.testing.assert_allclose(sums[name], value, rtol=1e-4, err_msg=name)
    jax.tree.map(np.testing.assert_array_equal, state.collections, alone.collections)  # the same units won
    for ours, theirs in zip(*(jax.tree.leaves(s.params) for s in (state, alone)), strict=True):
        # Adam makes a step of its rate of a gradient that is rounding alone
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=3e-3)


def test_the_encoder_starts_as_the_shared_dictionarys_transpose(images):
    config = FrozenConfigDict(configurations.load("topk"))
    programs = step.programs(model.program(config), images.shape[1:], 0, 3, devices.mesh(8, 4))
    params = programs.init(model.arguments(config, 24)).params
    kernel, atoms = params["encoder"]["layers_0"]["kernel"], params["decoder"]["kernel"]
    assert kernel.sharding.spec == P(None, "model") and atoms.sharding.spec == P("model")
    np.testing.assert_array_equal(kernel, np.transpose(atoms))


@pytest.mark.parametrize("code", ["batch_top_k", "lifetime", "k_sparse"])
def test_other_codes_are_shared_alike(images, code):
    changes = {"code.name": code, "loss.aux_k": 0.0} if code != "batch_top_k" else {"code.name": code}
    (state, sums, _), (alone, alone_sums, _) = (trained(images, *count, 64, **changes) for count in ((8, 4), (1, 1)))
    np.testing.assert_allclose(sums["loss"], alone_sums["loss"], rtol=1e-5)
    assert state.params["encoder"]["layers_0"]["kernel"].sharding.spec == P(None, "model")
    for ours, theirs in zip(*(jax.tree.leaves(s.params) for s in (state, alone)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=3e-3)


def test_a_shared_run_goes_on_where_nothing_is_shared(tmp_path):
    changes = {"train.epochs": 2, "checkpoint.seconds": 0.0, "train.steps_per_call": 14, "mesh.devices": 2}
    for name, shared in (("shared", 2), ("alone", 1)):
        train.run(configurations.load("topk", {**changes, "mesh.model": shared}), tmp_path / name)
    a, b = (checkpoint.Checkpoints(tmp_path / name).steps() for name in ("shared", "alone"))
    assert a == b
    (tmp_path / "shared" / "checkpoints" / str(a[-1])).rename(tmp_path / "gone")
    assert train.run(configurations.load("topk", {**changes, "mesh.devices": 1}), tmp_path / "shared") == 0
    lines = [(tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("shared", "alone")]
    losses = [float(re.search(r'"loss": ([\d.]+)', every[-1])[1]) for every in lines]
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)


def test_a_code_that_cannot_be_shared_evenly_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"mesh\.model=3 cannot share code\.size=128"):
        train.run(configurations.load("topk", {"mesh.model": 3}), tmp_path)


def test_members_of_a_sweep_are_not_shared(tmp_path):
    from aejax.sweep import run

    config = configurations.load("shallow", {"mesh.model": 2, "mesh.devices": 8, "sweep.seed": "0,1"})
    with pytest.raises(UserError, match=r"mesh\.model=2: .* accepted: 1"):
        run.run(FrozenConfigDict(config), tmp_path)
