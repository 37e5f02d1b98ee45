"""Bits of an autoencoder beside those of a classifier: the same score for all, and what is told of them."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

import aejax
from aejax.analysis import hashing
from aejax.analysis.hashing import retrieval
from aejax.studies import hash_sources, hash_sources_report
from aejax.tables import mean_std
from tests import configurations

COMMON = ["--config=configs/hashing.py:tiny", "--config.mesh.devices=1", "--seeds=3", "--queries=100"]


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    """The folder of a study with one seed and two classifiers."""
    folder = tmp_path_factory.mktemp("hash_sources")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(configurations.ROOT)
        given = ["--classifier=configs/conv.py:tiny", "--labels=40,all", "--steps=20", f"--folder={folder}"]
        assert hash_sources.main([*COMMON, *given]) == 0
    return folder


def test_sources_are_scored_alike_over_all_of_train(studied):
    numbers = json.loads((studied / "hash_sources.json").read_text(), parse_constant=pytest.fail)
    rows = {row["source"]: row for row in numbers["rows"]}
    names = ["autoencoder", "classifier, 40 labels", "classifier, 1,294 labels", "PCA-sign", "ITQ", "LSH"]
    assert list(rows) == names and (numbers["bits"], numbers["queries"], numbers["database"]) == (10, 100, 1294)
    run, source = aejax.load(studied / "classifier_labels40_seed3"), aejax.load(studied / "autoencoder_seed3").dataset()
    assert len(run.dataset().train) == 40 and len(source.train) == 1294
    codes = hashing.bits_of_codes(run, source, "auto")[:2]
    labels = [np.asarray(split.labels) for split in (source.train, source.test)]
    asking = hash_sources.selection.by_class(labels[1], 100)
    found = retrieval.retrieve(codes[0], labels[0], codes[1][asking], labels[1][asking], at=(10,))
    told = rows["classifier, 40 labels"]
    assert told["mean_average_precision"]["mean"] == pytest.approx(found.average_precision.mean(), rel=1e-4)
    assert told["precision_at_10"]["mean"] == pytest.approx(found.precision[:, 0].mean(), rel=1e-4)
    assert rows["LSH"]["mean_average_precision"]["count"] == 5


def test_the_classifier_is_the_other_config_with_as_many_bits(studied):
    config = json.loads((studied / "classifier_labels1294_seed3/config.json").read_text())
    assert (config["model"], config["classifier"]["on"], config["encoder"]["name"]) == ("classifier", "code", "conv")
    assert (config["code"]["name"], config["code"]["activation"], config["code"]["size"]) == (
        "deterministic", "sigmoid", 10,
    )  # fmt: skip
    assert config["data"]["labels"] == 0 and config["data"]["name"] == "digits"
    codes = aejax.load(studied / "classifier_labels1294_seed3").encode(np.zeros((3, 8, 8, 1), np.uint8))
    assert codes.shape == (3, 10) and (codes > 0).all() and (codes < 1).all()


def row(source, precisions, dead=0):
    return {
        "source": source, "mean_average_precision": mean_std(precisions), "purity": mean_std([0.5]),
        "purity_by_chance": mean_std([0.2]), "singletons_percent": mean_std([10.0]), "dead_bits": mean_std([dead]),
    }  # fmt: skip


def test_sentences_follow_the_numbers():
    means = {"ITQ": [0.2], "LSH": [0.44, 0.46], "classifier": [0.9, 0.9, 0.9]}
    rows = [row("autoencoder", [0.4, 0.5, 0.45, 0.44, 0.46], 2), *(row(*pair) for pair in means.items())]
    told = hash_sources_report.summarise({"rows": rows, "chance": 0.1, "bits": 30})
    assert "chance 0.100: classifier" in told[0]
    assert told[1] == "The autoencoder's bits do worse than those of classifier: -0.450 ± 0.016 mAP."
    assert told[2] == "The autoencoder's bits do as well as those of LSH: +0.000 ± 0.019 mAP."
    assert told[3] == "The autoencoder's bits do better than those of ITQ: +0.250 ± 0.016 mAP."
    assert "Gini purity 0.5 of the autoencoder's (chance 0.200)" in told[4]
    assert told[5].endswith("of 30: autoencoder 2.")


def test_labels_are_drawn_anew_for_every_seed():
    flags = SimpleNamespace(classifier="configs/conv.py:tiny", steps=1)
    made = lambda name, told, changes: SimpleNamespace(name=name, changes=changes)  # noqa: E731
    study = SimpleNamespace(flags=flags, config=configurations.load("hashing"), seeds=[3, 7], plan=made)
    runs = hash_sources.plan(study, {"40": 40, "all": 1294}, 1294)
    seeds = {source: [run.changes.get("data.labels_seed") for run in of] for source, of in runs.items()}
    assert seeds == {"autoencoder": [None, None], "classifier, 40 labels": [3, 7], "classifier, 1,294 labels": [0, 0]}


def test_a_row_has_shares_in_percent_and_chance_is_of_the_queries():
    one = {"retrieval": {"mean_average_precision": 0.5, "precision_at": {"10": 0.4}, "precision_within_radius_2": 0.3},
           "sets": {"purity_without_singletons": 0.8, "chance_without_singletons": 0.2, "singletons_share": 0.25},
           "train": {"dead_bits": 1}, "k": (1, 10), "precision": [0.6, 0.4]}  # fmt: skip
    found = hash_sources.row("code", [one, one])
    assert found["singletons_percent"].mean == 25 and found["precision_at_10"].mean == 0.4
    train, test = np.array([0, 0, 0, 1]), np.array([1] * 6 + [0] * 2)
    dataset = SimpleNamespace(train=SimpleNamespace(labels=train), test=SimpleNamespace(labels=test))
    study = SimpleNamespace(flags=SimpleNamespace(queries=4, top=0))
    asked = test[hash_sources.selection.by_class(test, 4)]
    expected = retrieval.by_chance(train, asked, at=(1,)).average_precision
    np.testing.assert_allclose(hash_sources.by_chance(study, dataset), expected)
    assert asked.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    "arguments, told",
    [(["--labels=5"], "--labels=5"), (["--classifier=configs/none.py"], "--classifier=configs/none.py"),
     (["--config=configs/classifier.py:tiny"], "--config names the autoencoder"),
     (["--config.data.labels=20"], "config.data.labels=20")],
)  # fmt: skip
def test_refusals(capsys, tmp_path, monkeypatch, arguments, told):
    monkeypatch.chdir(configurations.ROOT)
    given = [*arguments, *COMMON[1:]] if arguments[0].startswith("--config=") else [*COMMON, *arguments]
    assert hash_sources.main([*given, f"--folder={tmp_path / 'study'}"]) == 2
    out, err = capsys.readouterr()
    assert err.count("\n") == 1 and told in err and not (tmp_path / "study").exists()
