"""The linear probe: its scaling, its protocol, its scores."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse

from aejax.analysis import features, probe
from aejax.analysis.probe import classifiers
from aejax.errors import UserError


def circles(n, seed):
    """Points that no line separates, [n, 2], the features that do, [n, 4], and their labels [n]."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2)).astype(np.float32)
    x += np.sign(x) * 0.3
    signs = x[:, :1] * x[:, 1:]
    return x, np.maximum(np.hstack([signs, -signs, x * 0]), 0), (signs[:, 0] > 0).astype(int)


def test_confusion_by_hand():
    counts = probe.confusion(np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 0, 0, 2]), 3)
    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [2, 0, 1]]
    assert probe.confused_pairs(counts) == [(0, 2, 2), (0, 1, 1)]
    assert probe.confused_pairs(np.eye(3, dtype=int)) == []


def test_paired_difference_by_hand():
    a, b = np.array([1, 1, 1, 0], bool), np.array([1, 0, 0, 1], bool)
    points, error = probe.paired_difference(a, b)
    assert points == 25 and error == pytest.approx(100 * np.sqrt((3 / 4 - 1 / 16) / 4))
    assert probe.paired_difference(a, a) == (0, 0)


@pytest.mark.parametrize("share_of_zeros, sparse", [(0.9, True), (0.1, False)])
def test_scaling_has_unit_mean_square_norm_on_train(share_of_zeros, sparse):
    rng = np.random.default_rng(0)
    x = (rng.random((200, 30)) + 2) * (rng.random((200, 30)) > share_of_zeros)
    scaling = classifiers.Scaling.fit(x.astype(np.float32))
    scaled = scaling(x.astype(np.float32))
    assert scipy.sparse.issparse(scaled) == sparse == (scaling.centre is None)
    dense = scaled.toarray() if sparse else scaled
    assert np.square(dense).sum(axis=1).mean() == pytest.approx(1, rel=1e-5)
    assert sparse or np.abs(dense.mean(axis=0)).max() < 1e-6
    twice = scaling(2 * x.astype(np.float32))  # other data do not change it
    np.testing.assert_allclose(
        (twice - scaled).sum(), dense.sum() + (0 if sparse else (x.sum() * scaling.factor)), rtol=1e-4
    )
    assert classifiers.Scaling.fit(np.zeros((3, 2))).factor == 1  # all units dead


class Recorded:
    """A family whose accuracy on valid (all labels 1) is told beforehand, by C."""

    accuracies, fitted = [], []

    def fit(self, c, x, y):
        self.fitted.append((c, len(y)))
        right = self.accuracies[classifiers.GRID.index(c)]
        self.predict = lambda valid: np.arange(len(valid)) < right
        return self


@pytest.mark.parametrize(
    "accuracies, chosen, tried",
    [([5, 7, 7, 6, 9, 9], 1, 4),  # of equals the smallest C; two no better in a row end the walk
     ([5, 4, 6, 5, 7, 1, 1, 9], 4, 7),
     (range(10, 22), 11, 12)],
)  # fmt: skip
def test_c_is_chosen_on_valid_and_the_last_fit_has_both(monkeypatch, accuracies, chosen, tried):
    monkeypatch.setitem(classifiers.FAMILIES, "recorded", Recorded)
    monkeypatch.setattr(Recorded, "accuracies", list(accuracies))
    monkeypatch.setattr(Recorded, "fitted", [])
    x, y = np.zeros((30, 1)), np.ones(30, int)
    fit = classifiers.choose_and_fit("recorded", x, y, x[:25], y[:25])
    assert fit.c == classifiers.GRID[chosen] and len(fit.valid_accuracy) == tried
    assert Recorded.fitted == [*((c, 30) for c in classifiers.GRID[:tried]), (fit.c, 55)]


def test_separable_codes_beat_pixels():
    parts = [circles(n, seed) for seed, n in enumerate((300, 100, 400))]
    kinds = {"pixels": [p[0] for p in parts], "codes": [p[1] for p in parts]}
    labels = [p[2] for p in parts]
    results = probe.probe(kinds, labels, ["svm", "logistic"])
    accuracy = {key: np.mean(predicted == labels[2]) for key, (_, predicted) in results.items()}
    for family in ("svm", "logistic"):
        assert accuracy[family, "codes"] > 0.98 and accuracy[family, "pixels"] < 0.65
    kinds["codes"][0][0, 0] = np.nan
    with pytest.raises(UserError, match="codes are not all finite"):
        probe.probe(kinds, labels, ["svm"])


def test_svm_turns_to_the_primal_where_the_dual_does_not_converge(monkeypatch):
    _, x, y = circles(300, 0)
    svm = classifiers.Svm()
    dual = svm.fit(10.0, x, y)
    assert svm.dual
    monkeypatch.setattr(classifiers.Svm, "PASSES", 2)
    primal = svm.fit(10.0, x, y)
    assert not svm.dual

    def objective(model):  # squared hinge; liblinear's bias is penalised like a weight
        hinge = np.maximum(0, 1 - np.where(y, 1, -1) * model.decision_function(x))
        return (np.square(model.coef_).sum() + np.square(model.intercept_).sum()) / 2 + 10 * np.square(hinge).sum()

    assert objective(dual) == pytest.approx(objective(primal), rel=5e-3)


def test_logistic_regression_does_not_stop_where_a_smaller_c_did():
    _, x, y = circles(300, 0)
    logistic = classifiers.Logistic()
    norms = [np.linalg.norm(logistic.fit(c, x, y).coef_) for c in classifiers.GRID[2:9]]
    assert np.all(np.diff(norms) > 0.1 * np.array(norms[:-1]))  # separable: the weights grow with C without end


def test_limit_keeps_the_classes_and_the_proportion():
    labels = [np.repeat(np.arange(4), 20), np.repeat(np.arange(4), 10)]
    train, valid = features.limited(labels, 24)
    assert np.bincount(labels[0][train]).tolist() == [4] * 4 and np.bincount(labels[1][valid]).tolist() == [2] * 4
    assert [len(i) for i in features.limited(labels, 0)] == [len(i) for i in features.limited(labels, 500)] == [80, 40]


def test_large_maps_are_pooled_to_few_enough_features():
    assert features.window((28, 28, 16)) == (2, 2) and features.window((28, 28, 128)) == (6, 6)
    assert features.window((1, 2, 1)) == (1, 1) and features.window((1, 900, 16)) == (1, 4)
    assert features.window((3, 3, 5000)) == (3, 3)  # more than that it cannot do
    assert features.pooling((28, 28, 16)) == (2, 2)
    assert features.pooling((8, 8, 64)) is None and features.pooling((9000,)) is None
    maps = np.arange(2 * 3 * 5).reshape(2, 3, 5, 1) - 100.0
    pooled = features.max_pooled(maps, (2, 2))
    assert pooled[0, :, :, 0].tolist() == [[-94, -92, -91], [-89, -87, -86]]  # the last row and column are cut off
    assert np.array_equal(pooled[1], pooled[0] + 15)


def test_codes_become_flat_features_in_blocks(monkeypatch):
    run = SimpleNamespace(code_shape=(2, 2, 3), encode=lambda x: x.reshape(-1, 2, 2, 3))
    x = np.random.default_rng(0).normal(size=(7, 12))
    assert np.array_equal(features.codes(run, x, None), x)
    expected = x.reshape(7, 4, 3).max(axis=1)
    monkeypatch.setattr(features, "BLOCK", 30)  # two images
    assert np.array_equal(features.codes(run, x, (2, 2)), expected)
