"""Walks along the units of a code: ranges, order, bases, and the command."""

import numpy as np
import pytest

from aejax.analysis import known_codes, walk
from aejax.analysis.walk import dimensions
from tests import test_analysis_commands as commands
from tests.test_analysis_interpolation import CodedRun

execute, workdir = commands.execute, commands.workdir  # fixtures


# --- pure functions ------------------------------------------------------------------------------


def test_ranges_by_hand():
    dense = np.arange(101.0)  # no zero but the first
    always = dense + 10
    rare = np.zeros(101)
    rare[:3] = 1, 2, 3  # less than a hundredth would be above 3
    below = -always
    low, high = dimensions.ranges(np.stack([dense, always, rare, below, np.zeros(101)], axis=1))
    np.testing.assert_allclose(low, [0, 11, 0, -109, 0])
    np.testing.assert_allclose(high, [99.01, 109, 2.98, -11, 0])


def test_change_of_straight_and_bent_paths():
    straight = np.linspace(0, 1, 6)[:, None] * np.array([3.0, 4.0])
    there_and_back = np.array([[0.0, 0], [1, 0], [0, 0]])
    assert dimensions.change(straight[None])[0] == pytest.approx(25)
    assert dimensions.change(there_and_back[None])[0] == pytest.approx(4)
    assert dimensions.change(np.ones((2, 3, 2, 2, 1))).tolist() == [0, 0]


def test_how_many_carry_most():
    assert dimensions.carrying(np.array([1.0, 6, 3])) == 2
    assert dimensions.carrying(np.ones(10)) == 9 and dimensions.carrying(np.array([0.0, 5])) == 1
    assert dimensions.carrying(np.zeros(3)) == 0 and dimensions.carrying(np.ones(1)) == 1


def test_the_typical_code_has_the_median_number_of_active_units():
    codes = np.array([[1.0, 1, 1], [0, 0, 0], [1, 0, 2], [3, 0, 4]])
    assert dimensions.typical(codes) == 2
    assert dimensions.typical(codes[:2]) == 1  # the lower of two


def test_dimensions_of_vectors_and_maps():
    places, units, names = dimensions.dimensions(np.zeros(3), (3,))
    assert places.tolist() == units.tolist() == [0, 1, 2] and names[2] == "unit 2"
    places, units, names = dimensions.dimensions(np.zeros(4), (1, 2, 2))
    assert places.tolist() == [0, 1, 2, 3] and units.tolist() == [0, 1, 0, 1] and names[3] == "map 1 at 0,1"
    active = np.zeros((4, 5, 8))
    active[2, 3, 1], active[2, 2, 1], active[3, 4, 7] = -5, 4, 1
    places, units, names = dimensions.dimensions(active.ravel(), (4, 5, 8))
    assert len(places) == 8 and units.tolist() == list(range(8)) and names[1] == "map 1 at 2,3"
    assert places[1] == (2 * 5 + 3) * 8 + 1 and places[7] == active.size - 1


def test_codes_of_a_walk_move_one_number():
    base = np.array([1.0, 2, 3])
    steps = dimensions.Walk(
        base, np.array([2, 0]), np.array([2, 0]), ["c", "a"], np.array([-1.0, 0]), np.array([1.0, 4])
    )
    codes = steps.codes(np.array([0, 1]), 3)
    assert codes[0].tolist() == [[1, 2, -1], [1, 2, 0], [1, 2, 1]]
    assert codes[1].tolist() == [[0, 2, 3], [2, 2, 3], [4, 2, 3]]


@pytest.mark.parametrize(
    "code, activation, expected",
    [("deterministic", "relu", (0, np.inf)), ("deterministic", "sigmoid", (0, 1)), ("gaussian_noise", "tanh", (-1, 1)),
     ("deterministic", "linear", (-np.inf, np.inf)), ("hashing", "relu", (0, 1)), ("lifetime", "linear", (0, np.inf)),
     ("variational", "relu", (-np.inf, np.inf)), ("top_k", "linear", (0, np.inf))],
)  # fmt: skip
def test_ranges_of_codes(code, activation, expected):
    assert known_codes.bounds({"code": {"name": code, "activation": activation}}) == pytest.approx(expected)


# --- command -------------------------------------------------------------------------------------


class LinearRun(CodedRun):
    """A linear decoder with columns of known norm: unit j writes ``strength[j]`` into pixel j."""

    def __init__(self, workdir, code="deterministic", **given):
        super().__init__(workdir, code, **given)
        self.strength = np.random.default_rng(3).permutation(16).astype(np.float32)
        self.decode = lambda z: (z.reshape(-1, 16) * self.strength).reshape(-1, *self.shape)
        self.means = lambda x: x.reshape(len(x), -1).astype(np.float32) / 255 + 1


def test_units_are_ordered_by_range_and_column_norm(execute, workdir):
    run = LinearRun(workdir)
    run.encode = run.means
    status, out, _, numbers = execute("walk", "--rows=4", run=run)
    codes = run.means(run.splits["train"].images)
    spans = np.subtract(*np.percentile(codes, (99, 1), axis=0))
    expected = np.square(spans * run.strength)
    np.testing.assert_allclose(numbers["change"], expected, rtol=1e-3, atol=1e-6)
    assert status == 0 and [row["unit"] for row in numbers["shown"]] == np.argsort(-expected)[:4].tolist()
    assert numbers["without_change"] == [int(np.argmin(run.strength))] and numbers["never_moving"] == []
    assert numbers["carrying_90_percent"] == dimensions.carrying(expected)
    assert numbers["base"] == "the mean training code" and numbers["base_test_index"] is None
    assert numbers["shown"][0]["base"] == pytest.approx(codes[:, numbers["shown"][0]["unit"]].mean(), rel=1e-4)
    assert f"{numbers['carrying_90_percent']} of 16 carry 90 %" in out and "One changes nothing" in out
    assert (workdir / "analysis/walk.png").read_bytes().startswith(b"\x89PNG")


def test_blocks_do_not_change_the_changes(execute, workdir, monkeypatch):
    whole = execute("walk", run=LinearRun(workdir))[3]["change"]
    monkeypatch.setattr(known_codes, "BLOCK", 16 * 3 * 5)
    assert execute("walk", run=LinearRun(workdir))[3]["change"] == whole


def test_sparse_codes_start_from_a_test_image(execute, workdir):
    run = LinearRun(workdir)
    sparse = lambda x: np.maximum(run.means(x) - 1.5, 0)  # noqa: E731
    run.encode = sparse
    _, out, _, numbers = execute("walk", run=run)
    index = dimensions.typical(sparse(run.splits["test"].images))
    assert numbers["base_test_index"] == index and f"the code of test image {index}" in out
    given = execute("walk", "--image=7", run=run)[3]
    code = sparse(run.splits["test"].images[7:8])[0]
    assert given["base_test_index"] == 7
    assert [row["base"] for row in given["shown"]] == pytest.approx([code[row["unit"]] for row in given["shown"]])
    assert all(row["low"] == 0 for row in given["shown"])  # a unit that is ever off goes to 0


def test_bits_go_from_0_to_1(execute, workdir):
    run = LinearRun(workdir, "hashing")
    run.encode = lambda x: (run.means(x) > 1.2).astype(np.float32)
    _, _, _, numbers = execute("walk", run=run)
    assert {(row["low"], row["high"]) for row in numbers["shown"]} == {(0, 1)} and numbers["range"] == "0 to 1"
    np.testing.assert_allclose(numbers["change"], np.square(run.strength), rtol=1e-4)
    assert numbers["base_test_index"] is not None


def test_units_that_are_named(execute, workdir):
    _, out, _, numbers = execute("walk", "--dimensions=2,9,5", run=LinearRun(workdir))
    changes = numbers["change"]
    assert [row["unit"] for row in numbers["shown"]] == sorted((2, 9, 5), key=lambda u: -changes[u])
    for wrong in ("16", "-1", "x"):
        status, _, err, _ = execute("walk", f"--dimensions={wrong}", run=LinearRun(workdir))
        assert status == 2 and err.count("\n") == 1 and "units from 0 to 15" in err


def test_a_map_moves_where_its_image_is_most_active(execute, workdir):
    run = LinearRun(workdir)
    run.code_shape, flat = (4, 4, 16), run.means
    run.encode = lambda x: np.einsum("np,q->npq", flat(x), np.arange(16.0)).reshape(-1, 4, 4, 16)
    run.decode = lambda z: z.reshape(-1, 16, 16)[..., 3].reshape(-1, 4, 4, 1)
    status, out, _, numbers = execute("walk", "--image=2", run=run)
    place = flat(run.splits["test"].images[2:3])[0].argmax()
    assert (
        status == 0
        and numbers["dimensions"] == 16
        and numbers["shown"][0]["name"] == f"map 3 at {place // 4},{place % 4}"
    )
    assert numbers["shown"][0]["percent"] == pytest.approx(100) and len(numbers["without_change"]) == 15
    low, high = np.percentile(3 * flat(run.splits["train"].images), (1, 99))
    assert numbers["shown"][0]["low"] == pytest.approx(low, rel=1e-4)
    assert numbers["change"][3] == pytest.approx((high - low) ** 2, rel=1e-3)


def test_constant_codes_change_nothing(execute, workdir):
    run = LinearRun(workdir)
    run.encode = lambda x: np.zeros((len(x), 16), np.float32)
    status, out, _, numbers = execute("walk", run=run)
    assert status == 0 and "None of them changes the image." in out and len(numbers["never_moving"]) == 16


def test_a_codebook_has_no_units(execute, workdir):
    status, out, err, _ = execute("walk", run=CodedRun(workdir, "vector_quantised"))
    assert status == 0 and not err and out.count("\n") == 1 and "does not apply" in out and "codebook" in out


@pytest.mark.parametrize("shape", ((1, 4, 4), (1, 16, 1), (1, 1, 16)))
def test_other_examples_are_shown(execute, workdir, shape):
    run = LinearRun(workdir, labels=False).reshaped(*shape)
    run.words = tuple(f"word{i}" for i in range(16)) if shape == (1, 1, 16) else ()
    status, out, _, numbers = execute("walk", "--rows=3", "--steps=4", run=run)
    assert status == 0 and len(numbers["shown"]) == 3
    for row in numbers["shown"] if run.words else ():
        assert row["words_up"][0][0] == f"word{row['unit']}" and f"Unit {row['unit']} adds word{row['unit']} " in out


@pytest.mark.parametrize("argument", ("--image=30", "--rows=0", "--steps=1", "--image=-2"))
def test_mistakes_are_refused(execute, workdir, argument):
    status, _, err, numbers = execute("walk", argument, run=LinearRun(workdir))
    assert status == 2 and err.count("\n") == 1 and argument.split("=")[0].lstrip("-") in err and numbers is None


def test_summary_follows_the_numbers():
    row = {"name": "unit 3", "change": 5.0, "percent": 50.0, "low": 0.0, "high": 1.0}
    numbers = {"base": "b", "dimensions": 20, "maps": None, "total_change": 10.0, "told": False, "by_rule": True}
    numbers |= {"carrying_90_percent": 3, "without_change": [1, 2], "never_moving": [2], "shown": [row]}
    told = "\n".join(walk.summarise(numbers, "image"))
    assert "concentrated in few" in told and "2 change nothing to speak of, 1 of them" in told and "50.0 %" in told
    told = "\n".join(walk.summarise({**numbers, "carrying_90_percent": 17, "without_change": []}, "image"))
    assert "spread over most" in told and "Every one changes something." in told
