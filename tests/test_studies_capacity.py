"""The study of capacity: bias and variance against hand and NumPy, and the whole of it on small digits."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.decomposition import PCA

import aejax
from aejax import files, train
from aejax.data import Split, load
from aejax.data.dataset import Dataset
from aejax.studies import capacity, capacity_report, measures
from aejax.studies.variance import decompose
from aejax.tables import Mean
from tests import configurations

TINY = ["--config=configs/shallow.py:tiny", "--config.mesh.devices=1", "--config.train.epochs=1"]


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(configurations.ROOT)


# -- bias and variance


def test_bias_and_variance_by_hand():
    """Two images of two pixels; three models."""
    x = np.array([[0.0, 0.0], [1.0, 1.0]])
    outputs = [np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([[2.0, 3.0], [1.0, 1.0]]), np.array([[3.0, 0.0], [1.0, 4]])]
    found = decompose(x, outputs)
    np.testing.assert_allclose(found.bias, [2**2 + 1**2, 1**2])  # means (2, 1) and (1, 2)
    np.testing.assert_allclose(found.variance, [(1 + 0 + 1 + 1 + 4 + 1) / 3, (1 + 1 + 4) / 3])
    np.testing.assert_allclose(found.error, [(1 + 13 + 9) / 3, 9 / 3])
    np.testing.assert_allclose(found.corrected, found.bias - found.variance / 2)
    means = found.means()
    assert means["models"] == 3 and means["bias_squared"] == 3 and means["variance"] == pytest.approx(7 / 3)


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_error_is_bias_and_variance_exactly(rng, offset):
    x = rng.normal(size=(7, 4, 4, 1)).astype(np.float32)
    outputs = (offset + rng.normal(size=(5, 7, 4, 4, 1))).astype(np.float32)
    found = decompose(x, iter(outputs))
    np.testing.assert_allclose(found.error, found.bias + found.variance, rtol=1e-12)
    flat = outputs.reshape(5, 7, -1).astype(np.float64)
    np.testing.assert_allclose(found.variance, flat.var(axis=0).sum(axis=1), rtol=1e-9)
    np.testing.assert_allclose(found.bias, np.square(flat.mean(axis=0) - x.reshape(7, -1)).sum(axis=1), rtol=1e-9)


def test_the_correction_leaves_no_bias_of_its_own(rng):
    """Models that scatter around the truth have none, but their mean does."""
    found = [decompose(np.zeros((200, 8)), rng.normal(size=(3, 200, 8))) for _ in range(20)]
    assert np.mean([one.bias for one in found]) == pytest.approx(8 / 3, rel=0.05)
    assert np.mean([one.corrected for one in found]) == pytest.approx(0, abs=0.1)


def test_a_variance_takes_two_models():
    with pytest.raises(ValueError, match="two models"):
        decompose(np.zeros((2, 3)), [np.zeros((2, 3))])
    with pytest.raises(ValueError, match="shape"):
        decompose(np.zeros((2, 3)), [np.zeros((2, 3)), np.zeros((2, 1))])


# -- measures


class Plain:
    """A run whose pictures are its raw data."""

    config = SimpleNamespace(loss=SimpleNamespace(likelihood="squared_error"))

    def prepare(self, raw):
        return raw

    def picture(self, x, like=None):
        return x

    def reconstruct(self, raw):
        return 0.5 * raw


def data(rng, n=(60, 0, 30)):
    mix = rng.normal(size=(12, 12)).astype(np.float32)
    splits = [Split(np.ascontiguousarray((rng.normal(size=(k, 12)) @ mix + 3).astype(np.float32)[:, None, :, None])) for k in n]  # fmt: skip  # noqa: E501
    return Dataset("made", *splits)


def test_principal_components_are_those_of_scikit_learn(rng, monkeypatch):
    dataset = data(rng)
    monkeypatch.setattr(measures, "BLOCK", 7)
    found = measures.principal_components(Plain(), dataset, [2, 5, 12, 13])
    assert found.keys() == {"train", "test"} and found["test"].keys() == {2, 5, 12}
    train, test = (split.images.reshape(len(split), -1) for split in (dataset.train, dataset.test))
    for size in (2, 5, 12):
        pca = PCA(size).fit(train)
        expected = np.square(pca.inverse_transform(pca.transform(test)) - test).sum(axis=1).mean()
        assert found["test"][size] == pytest.approx(expected, rel=1e-4, abs=1e-3)
    assert measures.principal_components(Plain(), dataset, [13]) == {}


def test_squared_errors_are_of_every_example_once(rng, monkeypatch):
    dataset = data(rng)
    monkeypatch.setattr(measures, "BLOCK", 7)
    expected = np.square(0.5 * dataset.test.images).sum(axis=(1, 2, 3)).mean()
    assert measures.squared_error(Plain(), dataset.test.images) == pytest.approx(expected, rel=1e-5)
    x, y = measures.pictures(Plain(), dataset.test.images)
    np.testing.assert_array_equal(x, dataset.test.images)
    np.testing.assert_array_equal(y, 0.5 * dataset.test.images)


def test_few_enough_test_images_are_taken_evenly_by_class(monkeypatch):
    images = np.zeros((40, 1, 5, 1), np.float32)
    labels = np.repeat([0, 1], 20).astype(np.int32)
    dataset = SimpleNamespace(test=Split(images, labels), shape=(1, 5, 1))
    assert capacity.shown(dataset).tolist() == list(range(40))
    monkeypatch.setattr(capacity, "VALUES", 30)
    assert capacity.shown(dataset).tolist() == [0, 1, 2, 20, 21, 22]
    dataset = SimpleNamespace(test=Split(images), shape=(1, 5, 1))
    assert len(capacity.shown(dataset)) == 6


# -- the whole


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    """A small study's folder."""
    folder = tmp_path_factory.mktemp("studies") / "capacity"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(configurations.ROOT)
        flags = ["--sizes=8,3", "--seeds=0", "--resamples=2", f"--folder={folder}"]
        assert capacity.main([*TINY, *flags]) == 0
    return folder


def numbers_of(folder):
    return json.loads((folder / "capacity.json").read_text(), parse_constant=pytest.fail)


def test_its_runs_are_one_a_seed_and_one_a_sample(studied):
    names = sorted(path.parent.name for path in studied.glob("*/config.json"))
    assert names == ["size3_resample1", "size3_resample2", "size3_seed0",
                     "size8_resample1", "size8_resample2", "size8_seed0"]  # fmt: skip
    configs = {name: json.loads((studied / name / "config.json").read_text()) for name in names}
    for name, config in configs.items():
        kind, number = name.partition("_")[2][:-1], int(name[-1])
        assert config["data"]["resample"] == (number if kind == "resample" else 0)
        assert config["seed"] == number and config["code"]["size"] == int(name[4])


def test_its_errors_are_those_of_the_runs(studied):
    numbers = numbers_of(studied)
    assert [row["size"] for row in numbers["rows"]] == [3, 8]
    for row in numbers["rows"]:
        workdir = studied / f"size{row['size']}_seed0"
        lines = {line["split"]: line for line in files.read_lines(workdir / "metrics.jsonl")}
        for split in ("valid", "test"):
            found = row["reconstruction_per_pixel"][split]
            assert found["mean"] == pytest.approx(lines[split]["reconstruction_per_pixel"], rel=1e-4)
            assert found["std"] is None
        assert row["reconstruction_per_pixel"]["train"]["mean"] < lines["train"]["reconstruction_per_pixel"]
        run = aejax.load(workdir)
        test = run.dataset().test.images
        error = np.square(run.reconstruct(test) - run.prepare(test)).sum(axis=(1, 2, 3)).mean()
        assert row["squared_error"]["test"]["mean"] == pytest.approx(error, rel=1e-4)
        assert row["by_seed"] is None and row["principal_components"]["train"] < row["squared_error"]["train"]["mean"]


def test_its_bias_and_variance_are_those_of_the_models_on_samples(studied):
    runs = [aejax.load(studied / f"size3_resample{m}") for m in (1, 2)]
    assert not np.array_equal(runs[0].dataset().train.images, runs[1].dataset().train.images)
    test = runs[0].dataset().test.images
    outputs = np.stack([run.reconstruct(test) for run in runs]).reshape(2, len(test), -1)
    found = numbers_of(studied)["rows"][0]["by_resampling"]
    assert found["models"] == 2
    assert found["variance"] == pytest.approx(outputs.var(axis=0).sum(axis=1).mean(), rel=1e-4)
    bias = np.square(outputs.mean(axis=0) - runs[0].prepare(test).reshape(len(test), -1)).sum(axis=1).mean()
    assert found["bias_squared"] == pytest.approx(bias, rel=1e-4)
    assert found["error"] == pytest.approx(found["bias_squared"] + found["variance"], rel=1e-5)


def test_its_table_has_a_row_a_size(studied):
    rows = list(csv.DictReader((studied / "capacity.csv").open()))
    assert [row["size"] for row in rows] == ["3", "8"]
    first = numbers_of(studied)["rows"][0]
    assert float(rows[0]["test a pixel"]) == pytest.approx(first["reconstruction_per_pixel"]["test"]["mean"], rel=1e-5)
    assert float(rows[0]["variance, resampling"]) == pytest.approx(first["by_resampling"]["variance"], rel=1e-5)


def test_done_again_it_reads_no_checkpoint_but_one(studied, monkeypatch, capsys):
    before = numbers_of(studied)
    monkeypatch.setattr(train, "run", lambda *_: pytest.fail("a finished run was trained"))
    loaded = []
    monkeypatch.setattr(aejax, "load", lambda workdir, load=aejax.load: loaded.append(workdir) or load(workdir))
    assert capacity.main([*TINY, "--sizes=8,3", "--seeds=0", "--resamples=2", f"--folder={studied}"]) == 0
    assert numbers_of(studied) == before and len(loaded) == 1
    assert "Valid would choose 8 units" in capsys.readouterr().out


@pytest.mark.parametrize(
    "config, arguments, told",
    [
        ("classifier", [], "config.model='classifier'"),
        ("vqvae", [], "config.code.name='vector_quantised'"),
        ("shallow", ["--sizes=3"], "--sizes=3: "),
        ("shallow", ["--sizes=3,0"], "--sizes=3,0: "),
        ("shallow", ["--resamples=1"], "--resamples=1: "),
        ("shallow", ["--config.data.resample=2"], "config.data.resample=2"),
        ("shallow", ["--config.data.test=0.0"], "config.data.test=0"),
        ("ksparse", ["--sizes=2,32"], "config.code.k="),
    ],
)
def test_mistakes_are_one_line(tmp_path, capsys, config, arguments, told):
    given = [f"--config=configs/{config}.py:tiny", f"--folder={tmp_path / 'study'}", *arguments]
    assert capacity.main(given) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and err.startswith("aejax.studies.capacity: ") and told in err
    assert not (tmp_path / "study").exists()


# -- sentences


def row(size, train, valid, test, pca=None, bias=None, variance=None, std=0.01):
    terms = {split: Mean(v, std, 3) for split, v in (("train", train), ("valid", valid), ("test", test)) if v}
    ways = {"error": (bias or 0) + (variance or 0), "bias_squared": bias, "variance": variance, "models": 4}
    return {
        "size": size, "code_numbers": size, "reconstruction_per_pixel": terms,
        "squared_error": {"test": Mean(10 * test, 0.1, 3)},
        "by_resampling": ways if bias else None, "by_seed": None, "principal_components": pca and {"test": pca},
    }  # fmt: skip


def told(*rows):
    numbers = {"rows": list(rows), "likelihood": "bernoulli", "seeds": [0, 1, 2]}
    capacity_report.draw(numbers, "made").canvas.draw()
    capacity_report.tabulate(numbers)
    return " ".join(capacity_report.summarise(numbers))


def test_sentences_follow_the_numbers():
    text = told(row(5, 1.0, 1.1, 1.0, 12, 9, 1), row(20, 0.5, 0.7, 0.75, 6, 5, 2), row(80, 0.3, 0.8, 0.9, 2, 4, 5))
    assert "lowest in between, 0.750 ± 0.010 at 20" in text and "Valid would choose 20 units" in text
    assert "0.0 % above train at 5 units and 200.0 % above it at 80" in text
    assert "from 10.0 % to 55.6 %" in text and "their sum is lowest at 20 units" in text
    assert "beats as many principal components at 5 units" in text and "4.50 times at 80" in text
    text = told(row(5, 1.0, 0.9, 1.0, None, 9, 1), row(20, 0.5, 0.305, 0.75), row(80, 0.3, 0.3, 0.7, None, 4, 1))
    assert "and is lowest there" in text and "Valid would choose 80" in text and "20 units are within" in text
    assert "lowest at the largest code" in text and "no such reference" in text
    assert "only rises" in told(row(5, 1.0, None, 1.0), row(20, 0.5, None, 1.1))
    assert "is level from 5 units on" not in told(
        row(5, 1.0, None, 1.0), row(20, 1.0, None, 1.005), row(30, 1, None, 2)
    )
    assert "no valid split" in told(row(5, 1.0, None, 1.0), row(20, 0.5, None, 0.9))
    level = told(row(5, 1.0, None, 1.0), row(20, 0.5, None, 0.9), row(40, 0.5, None, 0.905))
    assert "is level from 20 units on" in level


def test_the_resampled_data_of_a_study_are_those_of_the_config():
    one = load(configurations.load("shallow", {"data.resample": 1}).data)
    assert len(one.train) == len(load(configurations.load("shallow").data).train)


def test_the_share_of_the_seed_is_of_single_models():
    parts = {"by_seed": {"variance": 1.0, "models": 2}, "by_resampling": {"variance": 3.0, "models": 4}}
    assert capacity_report._share_of_seed([parts]) == [
        "The seed alone makes 50 % to 50 % of the variance that seed and sample make together."
    ]
    parts["by_seed"]["variance"] = 4.0
    assert "too few models" in capacity_report._share_of_seed([parts])[0]


def test_as_good_as_the_best_is_within_one_deviation_of_it():
    rows = [{"size": size, "reconstruction_per_pixel": {"valid": Mean(value, 0.1, 3)}}
            for size, value in ((5, 1.15), (20, 1.09), (35, 1.0))]  # fmt: skip
    assert capacity_report.within(rows, rows[2], "valid")["size"] == 20
