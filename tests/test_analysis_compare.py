"""Runs side by side: on two runs made by hand whose figures are known, and what is refused."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
from ml_collections import FrozenConfigDict

import aejax
from aejax import workdirs
from aejax.analysis import compare, figure
from aejax.analysis.compare import comparison, contestants, panels
from aejax.analysis.compare.contestants import Contestant
from tests.test_analysis import METRICS
from tests.test_analysis_commands import HandMadeRun, config


class Halving(HandMadeRun):
    """As the run made by hand, but its outputs are half as bright."""

    def decode(self, z):
        return super().decode(z) / 2


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Workdirs ``full``, ``half`` and ``third``, whose runs a test may replace."""
    found = {}
    for name, kind in (("full", HandMadeRun), ("half", Halving), ("third", HandMadeRun)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in METRICS))
        found[name] = kind(tmp_path / name)
        found[name].step = 80
    monkeypatch.setattr(aejax, "load", lambda workdir, best=False: found[workdir.name])
    return found


@pytest.fixture
def execute(runs, tmp_path, capsys):
    """Runs the command on workdirs by name: (status, standard output, standard error, JSON or None)."""

    def execute(*names, out=None, flags=()):
        given = [f"--workdirs={','.join(str(tmp_path / name) for name in names)}"] if names else []
        status = compare.main([*given, *([f"--out={out}"] if out else []), *flags])
        stdout, stderr = capsys.readouterr()
        path = (out or tmp_path / "compare" / "+".join(names)) / "compare.json"
        return (
            status,
            stdout,
            stderr,
            json.loads(path.read_text(), parse_constant=pytest.fail) if path.exists() else None,
        )

    return execute


@pytest.fixture
def undrawn(monkeypatch):
    """Leaves the picture empty, for tests that are about numbers and words."""
    monkeypatch.setattr(panels, "draw", lambda *_: figure.new(1, 1))


def errors(run):
    """By hand: the pixel of the dead unit is lost; of the others what the decoder leaves."""
    x = run.splits["test"].images.reshape(30, 16) / 255
    left = np.where(np.arange(16) == 15, x, x / 2 if isinstance(run, Halving) else 0)
    return np.square(left).sum(axis=1)


def test_two_runs_with_known_figures(undrawn, execute, runs, tmp_path):
    status, out, err, numbers = execute("full", "half")
    full, half = errors(runs["full"]), errors(runs["half"])
    assert status == 0 and not err and numbers["same_data"]
    assert numbers["workdirs"] == [str(tmp_path / "full"), str(tmp_path / "half")]
    assert numbers["runs"]["full"]["squared_error"] == pytest.approx(full.mean(), rel=1e-4)
    row = numbers["differences"]["squared_error"][0]
    assert row["runs"] == ["full", "half"] and row["examples"] == 30
    assert row["difference"] == pytest.approx((full - half).mean(), rel=1e-4)
    assert row["standard_error"] == pytest.approx((full - half).std(ddof=1) / np.sqrt(30), rel=1e-4)
    assert row["standard_errors"] == pytest.approx(-row["difference"] / row["standard_error"], rel=1e-4)
    assert "full is better by" in out and "the best is full at reconstruction." in out
    assert numbers["runs"]["half"]["nearest_neighbour"] == 100 and numbers["runs"]["half"]["unevenness"] == 1
    assert "1-NN accuracy of codes, %: full 100, half 100; no difference (paired over 30 test examples)." in out
    ours = numbers["runs"]["full"]
    assert (ours["active_units"], ours["parameters"], ours["code_size"], ours["step"]) == (15, 2 * (256 + 16), 16, 80)
    assert ours["test_loss"] == 16 and ours["units_not_zero"] == 15
    assert "15 of 16 units active, 544 parameters" in out


def test_the_table_is_printed_and_written_twice_over(execute, tmp_path):
    _, out, _, numbers = execute("full", "half")
    place = tmp_path / "compare" / "full+half"
    assert sorted(path.name for path in place.iterdir()) == sorted(compare.WRITTEN)
    assert (place / "compare.png").read_bytes().startswith(b"\x89PNG")
    assert out.splitlines()[-4:] == [str(place / name) for name in compare.WRITTEN]
    rows = list(csv.reader((place / "compare.csv").open()))
    table = {row[0]: row[1:] for row in rows}
    assert table[""] == ["full", "half"] and table["parameters"] == ["544", "544"]
    assert float(table["squared error an example"][1]) == pytest.approx(
        numbers["runs"]["half"]["squared_error"], rel=1e-5
    )
    assert [row[0] for row in numbers["table"]] == [row[0] for row in rows]
    lines = (place / "compare.md").read_text().splitlines()
    assert lines[0] == "|  | full | half |" and "| parameters | 544 | 544 |" in lines
    assert any(line.startswith("parameters") and line.endswith("544") for line in out.splitlines())
    assert all("standard error" not in line for line in lines)  # it stands behind the ±


@pytest.mark.parametrize(
    "names, told",
    [((), "--workdirs=DIR,DIR is missing"), (("full",), "two or more"), (("full", "full"), "twice"),
     (("full", "nowhere"), "nowhere: no such folder")],
)  # fmt: skip
def test_what_is_refused(undrawn, execute, names, told):
    status, out, err, numbers = execute(*names)
    assert status == 2 and not out and err.count("\n") == 1 and told in err and numbers is None


def test_other_shapes_are_refused(execute, runs):
    runs["half"].reshaped(2, 8, 1)
    status, _, err, _ = execute("full", "half")
    assert status == 2 and err.count("\n") == 1 and "full has 4×4×1, half has 2×8×1" in err


def test_other_data_of_the_same_shape_are_told_and_not_compared(execute, runs):
    runs["half"] = Halving(runs["half"].workdir, seed=1)
    status, out, _, numbers = execute("full", "half")
    assert status == 0 and not numbers["same_data"] and numbers["differences"] == {}
    assert "better" not in out and "The test images differ" in out
    assert numbers["runs"]["half"]["squared_error"] == pytest.approx(errors(runs["half"]).mean(), rel=1e-4)


def test_labels_that_differ_are_other_data(runs):
    split, other = (runs[name].splits["test"] for name in ("full", "half"))
    assert contestants.same(split, other)
    assert not contestants.same(split, SimpleNamespace(images=other.images, labels=other.labels[::-1]))
    assert not contestants.same(split, SimpleNamespace(images=other.images, labels=None))
    assert not contestants.same(split, SimpleNamespace(images=other.images.astype(np.float32), labels=other.labels))


def test_the_reference_of_the_nearest_neighbour_is_train_and_the_same_for_all(undrawn, execute, runs):
    for run in runs.values():
        run.splits["train"].labels = np.roll(run.splits["train"].labels, 1)
    _, _, _, numbers = execute("full", "half")
    assert numbers["runs"]["full"]["nearest_neighbour"] == 0  # the class of train's bright pixel is another now
    runs["half"].splits["train"].labels = np.roll(runs["half"].splits["train"].labels, -1)
    _, _, _, numbers = execute("full", "half")
    assert numbers["runs"]["half"]["nearest_neighbour"] == 0


def test_another_set_of_runs_is_not_written_over(undrawn, execute, tmp_path):
    place = tmp_path / "mine"
    assert execute("full", "half", out=place)[0] == 0
    before = {path: path.read_bytes() for path in place.iterdir()}
    status, out, err, _ = execute("full", "third", out=place)
    assert status == 2 and not out and err.count("\n") == 1 and "holds a comparison of" in err and "half" in err
    assert before == {path: path.read_bytes() for path in place.iterdir()}
    assert execute("half", "full", out=place)[0] == 0  # the same set
    (place / "compare.json").write_text("{}")
    assert "of another kind" in execute("full", "half", out=place)[2]
    (tmp_path / "file").write_text("in the way")
    assert "cannot write there" in execute("full", "half", out=tmp_path / "file")[2]


def test_a_classifier_and_no_labels(execute, runs):
    runs["half"].config = FrozenConfigDict({**config().to_dict(), "model": "classifier"})
    runs["half"].decode = runs["half"].reconstruct = None
    status, out, _, numbers = execute("full", "half")
    assert (
        status == 0 and "squared_error" not in numbers["runs"]["half"] and "squared_error" not in numbers["differences"]
    )
    assert numbers["differences"]["nearest_neighbour"][0]["difference"] == 0 and "Nothing tells them apart" in out
    for name in ("full", "third"):
        runs[name] = HandMadeRun(runs[name].workdir, labels=False)
    status, out, _, numbers = execute("full", "third")
    assert status == 0 and "1-NN" not in out and "nearest_neighbour" not in numbers["differences"]


def test_inputs_that_are_altered_and_objectives_that_differ_are_told(undrawn, execute, runs):
    base = config().to_dict()
    runs["half"].config = FrozenConfigDict({**base, "data": {"name": "npz:toy.npz", "binarise": "fixed"}})
    _, out, _, _ = execute("full", "half")
    assert "differently (full: as they came; half: binarised (fixed))" in out and "different objectives" in out
    runs["half"].config = FrozenConfigDict(base)
    _, out, _, _ = execute("full", "half")
    assert "differently" not in out and "different objectives" not in out


def test_maps_of_a_gaussian_code_are_drawn_from_the_prior(execute, runs):
    for run in runs.values():
        run.config = FrozenConfigDict({**config().to_dict(), "code": {"name": "variational"}})
        run.code_shape, flat, decode = (4, 4, 1), run.encode, run.decode
        run.encode = lambda x, flat=flat: flat(x).reshape(-1, 4, 4, 1)
        run.decode = lambda z, decode=decode: decode(z.reshape(len(z), 16))
    status, _, _, numbers = execute("full", "half", "third")
    assert status == 0 and numbers["runs"]["full"]["samples_from"] == "prior"
    assert len(numbers["differences"]["squared_error"]) == 3 and numbers["runs"]["full"]["code_shape"] == [4, 4, 1]
    one = Contestant("full", runs["full"].workdir, runs["full"], runs["full"].dataset())
    drawn = contestants.sample(one, 2000)
    assert (
        drawn.shape == (2000, 4, 4, 1) and abs(drawn.mean()) < 0.02 and drawn[:, 0].std() == pytest.approx(1, abs=0.03)
    )


@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 1, 16)])
def test_sounds_and_vectors(execute, runs, shape):
    for run in runs.values():
        run.reshaped(*shape)
    assert execute("full", "half", flags=["--images=3"])[0] == 0


def test_runs_of_one_name_are_told_apart(tmp_path):
    paths = [tmp_path / "a" / "deep", tmp_path / "b" / "deep", tmp_path / "b" / "vae"]
    assert compare.labels(paths[1:]) == ["deep", "vae"]
    assert compare.labels(paths) == ["a/deep", "b/deep", "b/vae"]
    assert compare.folder(paths, None) == tmp_path / "a" / "compare" / "a_deep+b_deep+b_vae"


def test_members_are_called_by_their_sweep_and_written_beside_it(tmp_path, tiny):
    for name in ("a", "b"):
        workdirs.write_config(tmp_path / name / "rates", tiny("shallow", {"sweep.seed": "0,1,2"}))
    one, two = (tmp_path / "a" / "rates" / "members" / number for number in "02")
    other, run = tmp_path / "b" / "rates" / "members" / "0", tmp_path / "b" / "vae"
    assert compare.labels([one, two, run]) == ["rates/0", "rates/2", "vae"]
    assert compare.labels([one, other]) == ["a/rates/0", "b/rates/0"]
    assert compare.folder([one, two], None) == tmp_path / "a" / "compare" / "rates_0+rates_2"
    assert compare.folder([run, two], None) == tmp_path / "b" / "compare" / "vae+rates_2"
    assert compare.labels([tmp_path / "members" / "0", run]) == ["0", "vae"]  # a folder that is merely called so


def contestant(label, **values):
    values = {key: np.asarray(value, float) for key, value in values.items()}
    return Contestant(label, None, None, None, values)


def test_the_summary_follows_the_numbers():
    base = np.array([1.0, 2, 3, 4])
    a, b = contestant("a", squared_error=base), contestant("b", squared_error=base + [2, 2.1, 1.9, 2])
    told = comparison.summarise([a, b], comparison.differences([a, b]))
    assert "a 2.5, b 4.5; a is better by 2 ± 0.041, 49 times its standard error" in told[0]
    assert told[-1] == "Beyond two standard errors, the best is a at reconstruction."
    b = contestant("b", squared_error=base + [1, -1, 1.5, -1])
    told = comparison.summarise([a, b], comparison.differences([a, b]))
    assert "within its standard error" in told[0] and told[-1] == "Nothing tells them apart."
    b = contestant("b", squared_error=base + [-3, 1, -2, 0])
    told = comparison.summarise([a, b], comparison.differences([a, b]))
    assert "b is better by 1 ± 0.91, 1.1 times its standard error, which may be chance" in told[0]
    # of accuracies more is better, and the best stands beside the next
    runs = [
        contestant(n, nearest_neighbour=100.0 * (np.arange(10) < n_right))
        for n, n_right in (("x", 5), ("y", 9), ("z", 8))
    ]
    told = comparison.summarise(runs, comparison.differences(runs))
    assert "y 90, z 80; y is better by 10 ± 10" in told[0] and told[0].endswith("Then x 50.")
    one = [contestant("a", squared_error=[1.0]), contestant("b", squared_error=[2.0])]
    assert "on one example" in comparison.summarise(one, comparison.differences(one))[0]
    always = [contestant("a", squared_error=base), contestant("b", squared_error=base + 1)]
    assert "on every example alike" in comparison.summarise(always, comparison.differences(always))[0]
    assert comparison.summarise(always, comparison.differences(always))[-1].endswith("a at reconstruction.")


def test_how_many_pictures_fit():
    assert panels.columns((28, 28, 1)) == 10 and panels.columns((1, 8000, 1)) == 8
    assert panels.columns((1, 400, 20)) == 4


def test_subsets_are_even():
    split = SimpleNamespace(images=np.zeros((9, 1, 1, 1)), labels=np.array([0, 0, 0, 0, 0, 0, 1, 1, 1]))
    assert contestants.subset(split, 4).tolist() == [0, 1, 6, 7] and contestants.subset(split, 9).tolist() == list(
        range(9)
    )
    assert contestants.subset(SimpleNamespace(images=split.images, labels=None), 3).tolist() == [0, 4, 8]
