"""Classification by nearest neighbours: the protocol, its scores, its baselines, the command."""

import numpy as np
import pytest
from ml_collections import FrozenConfigDict

from aejax.analysis import nearest, neighbours
from aejax.errors import UserError
from tests import test_analysis_commands as commands
from tests.test_analysis_commands import HandMadeRun, config
from tests.test_analysis_nearest import blobs

execute, workdir = commands.execute, commands.workdir  # fixtures


def three(distance, d=4):
    """Train, valid and test of blobs, and their labels."""
    parts = [blobs(distance, size=size, d=d, seed=seed) for seed, size in enumerate((60, 30, 50))]
    return [x for x, _ in parts], [y for _, y in parts]


def test_a_perfect_code_has_all_and_a_random_one_chance():
    (perfect, labels), (chance, _) = three(50), three(0)
    numbers = neighbours.compare({"codes": perfect, "pixels": chance}, labels, ["a", "b", "c"], 0, "euclidean")
    for rule in neighbours.RULES:
        assert numbers["codes"][rule]["test_accuracy"] == 100 and numbers["codes"][rule]["standard_error"] == 0
        assert numbers["codes"][rule]["confusion"].tolist() == [[50, 0, 0], [0, 50, 0], [0, 0, 50]]
        assert numbers["pixels"][rule]["test_accuracy"] == pytest.approx(100 / 3, abs=10)
        gain = numbers["pixels"]["codes_minus_these"][rule]
        assert gain["points"] == pytest.approx(100 - numbers["pixels"][rule]["test_accuracy"])
        assert gain["standard_error"] == pytest.approx(numbers["pixels"][rule]["standard_error"])
    assert numbers["codes"]["k"] == 1  # of values that are all right the smallest
    assert "codes_minus_these" not in numbers["codes"]


def test_k_is_chosen_on_valid_and_not_on_test():
    labels = np.array([0, 1, 1, 1, 0, 0, 0, 0, 0])
    train = np.array([0.0, 1, 2, 3, 7, 8, 9, 10, 11], np.float32)[:, None]  # near 0: one 0, then three 1
    at = np.zeros((4, 1), np.float32)
    for valid, test, k, accuracy in [(1, 0, 3, 0), (0, 1, 1, 0), (1, 1, 3, 100)]:
        known = [labels, np.full(4, valid), np.full(4, test)]
        predicted, numbers = neighbours.classify([train, at, at], known, 0, "euclidean", "codes")
        assert numbers["k"] == k and 100 * np.mean(predicted["k-NN"] == test) == accuracy
        assert predicted["1-NN"].tolist() == [0] * 4
    assert list(numbers["valid_accuracy_by_k"].values()) == [0, 100, 100, 0]  # k of 1, 3, 5, 9


def test_k_as_given_needs_no_valid():
    splits, labels = three(3)
    empty = [splits[0], splits[1][:0], splits[2]], [labels[0], labels[1][:0], labels[2]]
    predicted, numbers = neighbours.classify(*empty, 5, "euclidean", "codes")
    assert numbers["k"] == 5 and "valid_accuracy_by_k" not in numbers
    found, _ = nearest.nearest(splits[0], splits[2], 5)
    assert np.array_equal(predicted["k-NN"], nearest.vote(labels[0][found]))
    assert np.array_equal(predicted["1-NN"], labels[0][found[:, 0]])
    _, numbers = neighbours.classify(*empty, 0, "euclidean", "codes")
    assert numbers["k"] == 1
    one = [splits[0][:1], splits[1], splits[2]], [labels[0][:1], *labels[1:]]
    assert neighbours.classify(*one, 0, "euclidean", "codes")[1]["nearest_tied_percent"] == 0


def test_ties_favour_no_class_and_are_always_the_same():
    labels = [np.repeat(np.arange(4), 100), np.arange(4), np.repeat(np.arange(4), 50)]
    splits = [np.random.default_rng(i).integers(0, 2, (len(y), 3)).astype(np.float32) for i, y in enumerate(labels)]
    predicted, numbers = neighbours.classify(splits, labels, 9, "euclidean", "codes")
    assert numbers["nearest_tied_percent"] == 100
    again, _ = neighbours.classify(splits, labels, 9, "euclidean", "codes")
    first = {rule: splits[2] @ [1, 2, 4] for rule in again}
    for rule in neighbours.RULES:
        assert np.array_equal(predicted[rule], again[rule])
        assert len(np.unique(predicted[rule])) > 1  # in the order of train, all would be the first class's
        for code in range(8):  # equal codes, equal answers
            assert len(np.unique(predicted[rule][first[rule] == code])) == 1


def test_pca_of_the_pixels_is_fitted_on_train():
    splits, _ = three(5, d=6)
    found = neighbours.reduced(splits, 2)
    assert [x.shape for x in found] == [(180, 2), (90, 2), (150, 2)]
    centre = splits[0].mean(axis=0)
    _, _, axes = np.linalg.svd(splits[0] - centre, full_matrices=False)
    for x, y in zip(splits, found, strict=True):
        np.testing.assert_allclose(np.abs(y), np.abs((x - centre) @ axes[:2].T), rtol=1e-3, atol=1e-3)
    assert neighbours.reduced(splits, 6) is None and neighbours.reduced([x[:2] for x in splits], 2) is None
    assert neighbours.reduced([splits[0], splits[1][:0], splits[2]], 2)[1].shape == (0, 2)


def test_score_by_hand():
    told = neighbours.score(np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0]), ["a", "b", "c"])
    assert told["test_accuracy"] == 75 and told["test_errors"] == 1
    assert told["standard_error"] == pytest.approx(100 * np.sqrt(0.75 * 0.25 / 4))
    assert told["accuracy_by_class"] == {"a": pytest.approx(200 / 3), "b": 100, "c": pytest.approx(np.nan, nan_ok=True)}
    assert told["most_confused"] == [{"classes": ["a", "b"], "errors": 1}]


def test_diverged_codes_are_refused():
    splits, labels = three(1)
    splits[2][3, 1] = np.nan
    with pytest.raises(UserError, match="codes are not all finite"):
        neighbours.classify(splits, labels, 1, "euclidean", "codes")


def test_chance_is_to_answer_what_train_has_most_of(execute, workdir):
    run = HandMadeRun(workdir)
    run.splits["train"].labels = np.repeat([0, 1, 2], [40, 10, 10])
    run.splits["test"].labels = np.repeat([0, 1, 2], [5, 20, 5])
    assert execute("neighbours", run=run)[3]["chance_percent"] == pytest.approx(100 * 5 / 30, rel=1e-4)


def test_neighbours_command(execute, workdir):
    status, out, _, numbers = execute("neighbours")
    assert status == 0 and set(numbers["kinds"]) == {"codes", "pixels"}  # the code is as large as the pixels
    assert numbers["examples"] == {"train": 60, "valid": 20, "test": 30} and numbers["classes"] == ["ant", "bee", "cow"]
    run = HandMadeRun(workdir)
    train, test = (run.encode(run.splits[name].images) for name in ("train", "test"))
    closest = np.square(test[:, None] - train[None]).sum(-1).argmin(axis=1) % 3
    right = 100 * np.mean(closest == np.arange(30) % 3)
    assert numbers["kinds"]["codes"]["1-NN"]["test_accuracy"] == pytest.approx(right)
    assert (
        f"1-NN: {right:.2f} ±" in out
        and "on pixels" in out
        and numbers["chance_percent"] == pytest.approx(100 / 3, rel=1e-4)
    )
    assert (workdir / "analysis/neighbours.png").read_bytes().startswith(b"\x89PNG")
    status, out, _, numbers = execute("neighbours", "--k=5", "--metric=cosine")
    assert status == 0 and numbers["metric"] == "cosine" and numbers["kinds"]["pixels"]["k"] == 5
    assert "valid_accuracy_by_k" not in numbers["kinds"]["codes"] and "k-NN, k = 5" in out


def test_a_smaller_code_is_compared_with_a_pca_of_its_size(execute, workdir):
    run = HandMadeRun(workdir)
    wide, run.code_shape = run.encode, (3,)
    run.encode = lambda x: wide(x)[:, :3]  # the pixels that are the class
    status, out, _, numbers = execute("neighbours", run=run)
    kinds = numbers["kinds"]
    assert status == 0 and kinds["PCA"]["dimensions"] == kinds["codes"]["dimensions"] == 3
    assert kinds["codes"]["1-NN"]["test_accuracy"] == 100 and "first 3 principal components" in out
    assert "Most confused from the codes: none" in out


def test_dead_codes_and_maps(execute, workdir):
    run = HandMadeRun(workdir)
    run.code_shape, run.encode = (2, 2, 3), lambda x: np.zeros((len(x), 2, 2, 3), np.float32)
    for metric in nearest.METRICS:
        status, out, _, numbers = execute("neighbours", f"--metric={metric}", run=run)
        assert status == 0 and numbers["kinds"]["codes"]["nearest_tied_percent"] == 100 and "equally near" in out
        assert numbers["kinds"]["codes"]["1-NN"]["test_accuracy"] == pytest.approx(100 / 3, rel=1e-4)
    run.code_shape, run.encode = (4, 4, 2000), lambda x: np.ones((len(x), 4, 4, 2000), np.float32)
    status, out, _, numbers = execute("neighbours", run=run)
    assert numbers["pooled"]["window"] == [4, 4] and "max-pooled over 4×4 to 2,000" in out


def test_without_valid_k_is_1(execute, workdir):
    status, out, _, numbers = execute("neighbours", run=HandMadeRun(workdir, valid=0))
    assert status == 0 and numbers["kinds"]["codes"]["k"] == 1 and "no valid split" in out and "k-NN" not in out


def test_a_classifier_has_features(execute, workdir):
    run = HandMadeRun(workdir)
    run.config = FrozenConfigDict({**config().to_dict(), "model": "classifier"})
    status, out, _, _ = execute("neighbours", run=run)
    assert status == 0 and "features that its head reads" in out


@pytest.mark.parametrize(
    "arguments, told",
    [(["--metric=hamming"], "--metric=hamming: accepted are euclidean, cosine"), (["--k=-1"], "--k"),
     (["--k=61"], "--k=61: accepted is at most 60")],
)  # fmt: skip
def test_neighbours_refuses_by_name(execute, arguments, told):
    status, _, err, _ = execute("neighbours", *arguments)
    assert status == 2 and err.count("\n") == 1 and told in err


def test_neighbours_without_labels_or_test(execute, workdir):
    status, out, err, _ = execute("neighbours", run=HandMadeRun(workdir, labels=False))
    assert status == 0 and not err and out.count("\n") == 1 and "needs labels" in out
    run = HandMadeRun(workdir)
    run.splits["test"].images, run.splits["test"].labels = run.splits["test"].images[:0], np.zeros(0, np.int32)
    status, _, err, _ = execute("neighbours", run=run)
    assert status == 2 and err.count("\n") == 1 and "test split" in err
