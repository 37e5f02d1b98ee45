"""Paths between codes: closed forms, the choice of pairs, and the command."""

import numpy as np
import pytest
from ml_collections import FrozenConfigDict

from aejax.analysis import interpolation, known_codes, nearest_images, quantised, strips
from aejax.analysis.interpolation import endpoints, paths
from aejax.errors import UserError
from tests import test_analysis_commands as commands
from tests.test_analysis_commands import HandMadeRun, config

execute, workdir = commands.execute, commands.workdir  # fixtures


class CodedRun(HandMadeRun):
    """The run made by hand with another code."""

    def __init__(self, workdir, code="deterministic", **given):
        super().__init__(workdir, **given)
        self.config = FrozenConfigDict({**config().to_dict(), "code": {"name": code, "activation": "relu"}})

    def sample_codes(self, x, seed=0):
        return self.encode(x)


# --- paths ---------------------------------------------------------------------------------------


def angle(a, b):
    return np.arccos(np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1, 1))


def test_linear_path_has_its_ends_and_even_steps(rng):
    a, b = rng.normal(size=(2, 3, 5))
    path = paths.linear(a, b, np.linspace(0, 1, 5))
    assert path.shape == (3, 5, 5)
    np.testing.assert_allclose(path[:, 0], a)
    np.testing.assert_allclose(path[:, -1], b)
    np.testing.assert_allclose(path[:, 1], 0.75 * a + 0.25 * b)


def test_spherical_path_keeps_the_norm_and_turns_evenly(rng):
    a, b = rng.normal(size=(2, 4, 6))
    a, b = (3 * x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    t = np.linspace(0, 1, 5)
    path = paths.spherical(a, b, t)
    np.testing.assert_allclose(np.linalg.norm(path, axis=2), 3)
    np.testing.assert_allclose(path[:, [0, -1]], np.stack([a, b], axis=1), atol=1e-12)
    for i in range(4):
        whole = angle(a[i], b[i])
        np.testing.assert_allclose([angle(a[i], z) for z in path[i]], t * whole, atol=1e-6)
    quarter = paths.spherical(np.array([[1.0, 0]]), np.array([[0, 2.0]]), np.array([0.5]))
    np.testing.assert_allclose(quarter[0, 0], 1.5 * np.sqrt([0.5, 0.5]))  # half-way in angle and in length
    wide = paths.spherical(np.array([[1.0, 0]]), np.array([[-3.0, 1e-4]]), t)  # nearly opposite
    np.testing.assert_allclose(np.linalg.norm(wide[0], axis=1), 1 + 2 * t, rtol=1e-6)


@pytest.mark.parametrize("b", ([2.0, 4.0], [-1.0, -2.0], [0.0, 0.0], [1.0, 2.0]))
def test_spherical_path_is_linear_where_there_is_no_one_circle(b):
    a, b, t = np.array([[1.0, 2.0]]), np.array([b]), np.linspace(0, 1, 4)
    np.testing.assert_allclose(paths.spherical(a, b, t), paths.linear(a, b, t))
    np.testing.assert_allclose(paths.spherical(b, a, t), paths.linear(b, a, t))


def test_smoothness_by_hand():
    straight = np.linspace(0, 1, 5)[None, :, None] * np.array([3.0, 4.0])
    found = paths.smoothness(straight)
    assert found["largest_step_percent"][0] == pytest.approx(25) and found["length_over_chord"][0] == pytest.approx(1)
    assert found["energy"][0] == pytest.approx(25)  # of an even straight path the squared chord
    jump = np.array([[0.0, 0, 1, 1], [0, 1, 0, 1]]).reshape(2, 4, 1, 1)
    found = paths.smoothness(jump)
    np.testing.assert_allclose(found["largest_step_percent"], [100, 100 / 3])
    np.testing.assert_allclose(found["length_over_chord"], [1, 3])
    still = paths.smoothness(np.ones((1, 3, 2)))
    assert np.isnan(still["largest_step_percent"][0]) and np.isnan(still["length_over_chord"][0])


# --- which pairs ---------------------------------------------------------------------------------


def test_pairs_are_of_different_classes_spread_over_them():
    labels = np.repeat(np.arange(10), 5)
    chosen = endpoints.of_classes(labels, 8)
    kinds = labels[chosen]
    assert chosen.shape == (8, 2) and np.all(kinds[:, 0] != kinds[:, 1])
    assert len(np.unique(chosen)) == 16  # no image twice
    assert len({tuple(kind) for kind in kinds}) == 8 and len(np.unique(kinds)) >= 8
    assert kinds[0].tolist() == [0, 1] and kinds[-1].tolist() == [8, 9]
    assert chosen[0].tolist() == [0, 5]  # the first of each
    few = endpoints.of_classes(np.array([1, 0, 1, 0]), 3)
    assert few.tolist() == [[1, 0], [3, 2], [1, 0]]


def test_pairs_without_labels_are_evenly_spaced():
    assert endpoints.evenly(8, 2).tolist() == [[0, 5], [2, 7]]
    assert endpoints.evenly(5, 9).tolist() == [[0, 3], [1, 4]]
    assert endpoints.evenly(2, 1).tolist() == [[0, 1]]


def test_pairs_given():
    assert endpoints.parse(["3:17", "5:9"], 18).tolist() == [[3, 17], [5, 9]]
    for wrong in (["3"], ["3:18"], ["3:-1"], ["a:b"], ["1:2:3"], ["3:"]):
        with pytest.raises(UserError, match="--images=.*3:17,5:9"):
            endpoints.parse(wrong, 18)


# --- nearest training images ---------------------------------------------------------------------


def test_nearest_image_is_exact_over_blocks(workdir, rng, monkeypatch):
    run = CodedRun(workdir)
    images = run.splits["train"].images
    queries = rng.random((25, 4, 4, 1)).astype(np.float32)
    queries[3] = images[41] / np.float32(255)
    brute = np.linalg.norm(queries.reshape(25, 1, -1) - (images / 255.0).reshape(1, 60, -1), axis=2)
    for block in (2**24, 16 * 7):
        monkeypatch.setattr(nearest_images, "BLOCK", block)
        rows, away = nearest_images.nearest_images(run, images, queries)
        assert np.array_equal(rows, brute.argmin(axis=1))
        np.testing.assert_allclose(away, brute.min(axis=1), atol=1e-6)
    assert rows[3] == 41 and away[3] < 1e-7


def test_codes_are_snapped_to_the_codebook(workdir):
    run = CodedRun(workdir, "vector_quantised")
    run.variables["codebook"] = {"code": {"vectors": np.array([[0.0, 0], [2, 0], [0, 3]])}}
    codes = np.array([[0.9, 0, 1.1, 0.1], [0, 1.6, 0, 1.4]])
    assert quantised.entries(codes, quantised.codebook(run)).tolist() == [[0, 1], [2, 0]]
    assert quantised.snapped(run, codes[None]).tolist() == [[[0, 0, 2, 0], [0, 3, 0, 0]]]
    assert quantised.snapped(CodedRun(workdir), codes) is codes


def test_winners_compete_in_whole_batches_of_random_order(workdir, monkeypatch):
    run = CodedRun(workdir, "lifetime")
    images, seen = run.splits["train"].images, []
    run.sample_codes = lambda x: seen.append(x) or run.encode(x)
    monkeypatch.setattr(known_codes, "ROWS", 50)
    assert np.array_equal(known_codes.known(run, images), run.encode(images))  # each image has its own code again
    assert len(seen[0]) == 100 and not np.array_equal(seen[0][:60], images)
    assert np.array_equal(seen[0][60:], seen[0][:40])
    assert known_codes.known(run, images[:0]).shape == (0, 16)


# --- figure and command --------------------------------------------------------------------------


def test_rows_lie_under_one_another():
    rows = [
        strips.Row(np.full((3, 24, 28, 3), v, np.float32), first=f) for v, f in ((0, True), (0.5, False), (0, True))
    ]
    pixels, tops, lefts = strips.canvas(rows)
    assert tops.tolist() == [0, 26, 54] and lefts.tolist() == [0, 30, 60] and pixels.shape == (78, 88, 3)
    assert np.all(pixels[26:50, 30:58] == 0.5) and np.all(pixels[24:26] == 1) and np.all(pixels[50:54] == 1)


def test_command_on_a_linear_decoder(execute, workdir):
    run = CodedRun(workdir)
    status, out, _, numbers = execute("interpolation", "--pairs=3", run=run)
    assert status == 0 and [p["classes"] for p in numbers["pairs"]] == [["ant", "bee"], ["ant", "cow"], ["bee", "cow"]]
    first = numbers["pairs"][0]
    assert first["test_indices"] == [0, 1] and first["linear"]["length_over_chord"] == pytest.approx(1, abs=1e-4)
    assert first["linear"]["largest_step_percent"] == pytest.approx(10, rel=1e-3)
    test, train = (run.splits[name].images.reshape(-1, 16) / 255.0 for name in ("test", "train"))
    middle = (test[0] + test[1]) / 2
    expected = np.linalg.norm(train - middle, axis=1).min()
    assert first["blend"]["middle_to_train"] == pytest.approx(expected, rel=1e-4)
    middle[15] = 0  # the unit that never fires
    expected = np.linalg.norm(train - middle, axis=1).min()
    assert first["linear"]["middle_to_train"] == pytest.approx(expected, rel=1e-4)
    assert "spherical" not in first and "the decoder is linear along it" in out
    shown = np.concatenate([test[p["test_indices"]] for p in numbers["pairs"]])
    ends = np.linalg.norm(train[None] - shown[:, None], axis=2).min(axis=1)
    assert numbers["ends_to_train"]["inputs"] == pytest.approx(ends.mean(), rel=1e-4)
    shown[:, 15] = 0
    ends = np.linalg.norm(train[None] - shown[:, None], axis=2).min(axis=1)
    assert numbers["ends_to_train"]["reconstructions"] == pytest.approx(ends.mean(), rel=1e-4)
    assert (workdir / "analysis/interpolation.png").read_bytes().startswith(b"\x89PNG")


def test_command_on_a_code_with_a_prior(execute, workdir):
    run = CodedRun(workdir, "variational")
    status, out, _, numbers = execute("interpolation", "--images=4:7", "--steps=4", run=run)
    assert status == 0 and numbers["chosen"] == "given" and numbers["pairs"][0]["test_indices"] == [4, 7]
    a, b = run.encode(run.splits["test"].images[[4, 7]]).astype(float)
    mean = (np.linalg.norm(a) + np.linalg.norm(b)) / 2
    norms = {name: numbers["mean"][name]["middle_norm_over_ends"] for name in ("linear", "spherical")}
    assert norms["linear"] == pytest.approx(np.linalg.norm(a + b) / 2 / mean, rel=1e-4)
    middle = paths.spherical(a[None], b[None], np.array([0.5]))[0, 0]
    assert norms["spherical"] == pytest.approx(np.linalg.norm(middle) / mean, rel=1e-4)
    assert "spherical path" in out and "% as long as those at the ends" in out


def test_verdict_follows_the_numbers():
    def told(middle, ends=4.0, blend=6.0):
        mean = {"linear": {"middle_to_train": middle}, "blend": {"middle_to_train": blend}}
        return interpolation._verdicts(mean, {"inputs": 4.0, "reconstructions": ends})[0]

    assert "stays by the data, nearer to them than the blend" in told(4.1) and "2 % farther" in told(4.1)
    assert "leaves the data, nearer to them than" in told(5) and "leaves the data, farther from them than" in told(7)
    assert "about as near as" in told(6) and "5 % less far" in told(3.8) and "no farther" in told(4)
    assert "2.0 times as far" in told(8, ends=8)


@pytest.mark.parametrize("shape", ((1, 4, 4), (1, 16, 1), (1, 1, 16)))
def test_other_examples_are_shown(execute, workdir, shape):
    run = CodedRun(workdir, labels=False).reshaped(*shape)
    status, _, _, numbers = execute("interpolation", "--pairs=2", run=run)
    assert status == 0 and numbers["pairs"][0]["test_indices"] == [0, 19] and numbers["pairs"][0]["classes"] is None


def test_texts_are_told(execute, workdir):
    run = CodedRun(workdir).reshaped(1, 1, 16)
    run.words = tuple(f"word{i}" for i in range(16))
    status, out, _, numbers = execute("interpolation", "--images=0:1", run=run)
    assert status == 0 and "Between test texts 0 and 1: word" in out
    assert numbers["texts"][0]["first"][0][0] == "word0" and numbers["texts"][0]["second"][0][0] == "word1"


@pytest.mark.parametrize("argument", ("--images=1:99", "--pairs=0", "--steps=1"))
def test_mistakes_are_refused(execute, workdir, argument):
    status, _, err, numbers = execute("interpolation", argument, run=CodedRun(workdir))
    assert status == 2 and err.count("\n") == 1 and argument.split("=")[0].lstrip("-") in err and numbers is None


def test_a_classifier_has_nothing_between(execute, workdir):
    run = CodedRun(workdir)
    run.config = FrozenConfigDict({**config().to_dict(), "model": "classifier"})
    status, out, err, _ = execute("interpolation", run=run)
    assert status == 0 and not err and "does not apply" in out
