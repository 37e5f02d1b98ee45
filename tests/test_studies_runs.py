"""Studies: several runs that are trained, stopped, gone on with and measured; their settings, tables and errors."""

import csv
import json
import os
import signal

import numpy as np
import pytest

from aejax import logs, tables, train
from aejax.analysis import bands, figure
from aejax.errors import Diverged, UserError
from aejax.studies import command
from aejax.studies.runs import Stopped, remembered, whole_numbers
from aejax.tables import Mean, mean_std
from tests import configurations

COMMON = ["--config=configs/shallow.py:tiny", "--config.mesh.devices=1", "--config.train.epochs=2", "--seeds=3,7"]
COMMON += ["--config.sweep.at_once=1"]  # in order


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(configurations.ROOT)


def size_of(run, dataset):
    return {"norm": float(np.linalg.norm(run.variables["params"]["encoder"]["layers_0"]["kernel"]))}


class Norms:
    """A study of one number a seed; ``measured`` has the runs that were measured."""

    def __init__(self, measure=size_of):
        self.measured, self.measure = [], measure

    def study(self, study):
        runs = [study.plan(f"seed{seed}", f"seed {seed}", {"seed": seed}) for seed in study.seeds]
        study.train(runs)

        def measure(run, dataset):
            self.measured.append(run.config.seed)
            assert len(dataset.train) and dataset is study.dataset(run.config.data)
            return self.measure(run, dataset)

        norms = [one["norm"] for one in study.measure_all(runs, {"measure": "norm"}, measure)]
        row = {"what": "norm", "value": mean_std(norms), "seed": study.seeds[0]}
        return command.Findings(figure.new(), {"norms": norms, "row": row}, [row], ["It is so."])

    def execute(self, folder, *arguments):
        return command.execute("norms", self.study, [*COMMON, f"--folder={folder}", *arguments])


def results(folder):
    return [(folder / f"norms.{suffix}").read_bytes() for suffix in ("json", "csv")]


def stamps(folder):
    return {path: path.stat().st_mtime_ns for path in sorted(folder.glob("seed*/**/*")) if path.name != ".lock"}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The folder of a finished study, and what it printed."""
    folder = tmp_path_factory.mktemp("studies") / "norms"
    before = os.getcwd()
    os.chdir(configurations.ROOT)
    assert Norms().execute(folder) == 0
    os.chdir(before)
    return folder


def test_what_a_study_leaves(uninterrupted):
    numbers = json.loads((uninterrupted / "norms.json").read_text(), parse_constant=pytest.fail)
    assert (numbers["study"], numbers["config"]) == ("norms", "shallow_tiny")
    assert numbers["norms"][0] != numbers["norms"][1]
    row = next(csv.DictReader((uninterrupted / "norms.csv").open()))
    assert float(row["value"]) == pytest.approx(np.mean(numbers["norms"]), rel=1e-5)
    assert float(row["value std"]) == pytest.approx(np.std(numbers["norms"], ddof=1), rel=1e-4)
    assert row["what"] == "norm" and row["value n"] == "2"
    assert numbers["row"]["value"]["count"] == 2
    assert (uninterrupted / "norms.png").read_bytes().startswith(b"\x89PNG")
    settings = json.loads((uninterrupted / "study.json").read_text())
    assert settings["seeds"] == ["3", "7"] and settings["config"]["train"]["epochs"] == 2
    config = json.loads((uninterrupted / "seed7" / "config.json").read_text())
    assert config["seed"] == 7 and config["name"] == "shallow_tiny_seed7"
    assert not (uninterrupted / "seed7" / "tensorboard").exists() and not (uninterrupted / "seed7" / "figures").exists()


def test_started_again_it_trains_and_measures_nothing(uninterrupted, monkeypatch, capsys):
    before, found = stamps(uninterrupted), results(uninterrupted)
    monkeypatch.setattr(train, "run", lambda *_: pytest.fail("a finished run was trained"))
    again = Norms()
    assert again.execute(uninterrupted) == 0
    assert again.measured == [] and stamps(uninterrupted) == before and results(uninterrupted) == found
    assert "2 of 2 runs" in capsys.readouterr().out


def test_stopped_within_a_run_it_goes_on_to_the_same_end(uninterrupted, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "norms"
    with monkeypatch.context() as patch:
        ends = []

        def epoch_end(*_):
            ends.append(1)
            if len(ends) == 3:  # the first epoch of the second run
                os.kill(os.getpid(), signal.SIGTERM)

        patch.setattr(logs.Untold, "epoch_end", epoch_end)
        assert Norms().execute(folder) == 128 + signal.SIGTERM
    out, err = capsys.readouterr()
    assert "at their end" in out and "stopped" in err and not (folder / "norms.json").exists()
    first = stamps(folder / ".")
    again = Norms()
    assert again.execute(folder) == 0
    assert again.measured == [3, 7] and "1 of 2 runs in" in capsys.readouterr().out
    assert results(folder) == results(uninterrupted)
    kept = [path for path in first if "seed3" in str(path) and "checkpoints" in str(path)]
    assert kept and all(path.stat().st_mtime_ns == first[path] for path in kept)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_while_it_measures(uninterrupted, tmp_path, number, monkeypatch):
    def measure(run, dataset):
        if run.config.seed == 7:
            os.kill(os.getpid(), number)
        return size_of(run, dataset)

    folder = tmp_path / "norms"
    folder.symlink_to(uninterrupted)
    for seed in (3, 7):
        (uninterrupted / f"seed{seed}" / "study.json").unlink()
    monkeypatch.setattr(train, "run", lambda *_: pytest.fail("a finished run was trained"))
    handler = signal.getsignal(signal.SIGTERM)
    assert Norms(measure).execute(folder) == 128 + number
    assert signal.getsignal(signal.SIGTERM) == handler
    again = Norms()
    assert again.execute(folder) == 0 and again.measured == [7]


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["--seeds=3"], 'seeds: ["3", "7"] -> ["3"]'),
        (["--config.train.epochs=3"], "config.train.epochs: 2 -> 3"),
        (["--config.code.size=5"], "config.code.size: 16 -> 5"),
    ],
)
def test_a_folder_holds_one_set_of_settings(uninterrupted, capsys, arguments, told):
    before = stamps(uninterrupted)
    assert Norms().execute(uninterrupted, *arguments) == 2
    out, err = capsys.readouterr()
    assert err.count("\n") == 1 and err.startswith("aejax.studies.norms: --folder=") and f"({told})" in err and not out
    assert stamps(uninterrupted) == before


def test_another_study_is_refused_and_free_keys_may_change(uninterrupted, capsys):
    assert Norms().execute(uninterrupted, "--config.checkpoint.seconds=5", "--config.log.figure_images=2") == 0
    arguments = [*COMMON, f"--folder={uninterrupted}"]
    assert command.execute("others", Norms().study, arguments) == 2
    assert 'study: "norms" -> "others"' in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["--seeds=a"], "--seeds=a: "),
        (["--seeds=1,1"], "--seeds=1,1: "),
        (["--seeds=-1"], "--seeds=-1: "),
        (["--seed=1"], "Unknown command line flag 'seed'"),
        (["--config.code.sizes=1"], "config.code.sizes is not a key"),
        (["--config.code.k=3"], "config.code.k is not read"),
        (["--config.train.epochs=0"], "config.train.epochs=0 trains nothing"),
        (["--config.data.name=npz:none.npz"], "no such file"),
        (["more"], "unexpected more"),
    ],
)
def test_mistakes_are_one_line(tmp_path, capsys, arguments, told):
    assert Norms().execute(tmp_path / "norms", *arguments) == 2
    out, err = capsys.readouterr()
    assert err.count("\n") == 1 and err.startswith("aejax.studies.norms: ") and told in err and "Traceback" not in out
    assert not (tmp_path / "norms" / "seed3" / "config.json").exists()


def test_a_folder_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert Norms().execute(tmp_path / "file" / "norms") == 2
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_help_tells_the_question_and_the_flags(capsys):
    assert command.execute("norms", Norms().study, ["--help"]) == 0
    out = capsys.readouterr().out
    assert "--config=FILE" in out and "--seeds" in out and "(default: 0,1,2,3,4)" in out and __doc__ in out


def test_a_run_that_diverges_stops_the_study_unless_it_is_to_go_on(tmp_path, capsys, monkeypatch):
    diverged, trained = [], []

    def run(config, workdir, host):
        trained.append(workdir)
        workdir.mkdir(parents=True)
        raise Diverged("the loss is not finite at step 1")

    def study(study):
        runs = [study.plan(f"seed{seed}", "bold", {"seed": seed}) for seed in study.seeds]
        study.train(runs, diverging=study.config.code.size == 4)
        diverged.extend(run.diverged for run in runs)
        raise Stopped(7)

    monkeypatch.setattr(train, "run", run)
    assert command.execute("norms", study, [*COMMON, f"--folder={tmp_path / 'one'}"]) == 2
    assert "not finite" in capsys.readouterr().err and diverged == []
    for _ in range(2):
        assert command.execute("norms", study, [*COMMON, "--config.code.size=4", f"--folder={tmp_path / 'two'}"]) == 7
    assert diverged == [True] * 4
    assert len(trained) == 4, "they are not trained again"


def test_what_ends_training_for_its_numbers_is_told_from_other_mistakes(tmp_path):
    config = configurations.load("shallow", {"optim.learning_rate": 1e30, "train.epochs": 1})
    with pytest.raises(Diverged, match="not finite"):
        train.run(config, tmp_path)


def test_a_checkpoint_of_other_settings_is_not_taken_for_finished(uninterrupted, tmp_path):
    planned = []

    def study(study):
        planned.extend(study.plan("seed3", "", changes) for changes in ({"seed": 3}, {"seed": 4}))
        raise Stopped(0)

    arguments = [*COMMON, f"--folder={uninterrupted}"]
    assert command.execute("norms", study, arguments) == 0
    assert [run.finished() for run in planned] == [True, False]
    assert planned[0].name == "seed3" and not planned[0].diverged


# -- what was measured


def test_a_measurement_is_kept_by_what_was_asked(tmp_path):
    path, calls = tmp_path / "study.json", []

    def compute(value):
        calls.append(value)
        return {"value": value, "many": np.array([1.23456789, np.nan])}

    for asked, value in (({"k": (1, 2)}, 0.1234567), ({"k": [1, 2]}, 5), ({"k": [1, 3]}, 6), ({"k": [1, 2]}, 7)):
        found = remembered(path, asked, lambda value=value: compute(value))
        assert found["many"] == [1.23457, None]
    assert calls == [0.1234567, 6] and found["value"] == 0.123457
    path.write_text('{"measured": [{"as')
    assert remembered(path, {"k": 1}, lambda: compute(9))["value"] == 9


def test_whole_numbers():
    assert whole_numbers("sizes", ["20", "5"]) == [20, 5]
    for given in ([], ["0"], ["1.5"], [""], ["5", "5"]):
        with pytest.raises(UserError, match="--sizes="):
            whole_numbers("sizes", given, least=1)


# -- means and tables


def test_mean_and_deviation_by_hand():
    assert mean_std([1, 2, 6]) == Mean(3.0, pytest.approx(np.sqrt((4 + 1 + 9) / 2)), 3)
    assert mean_std([4]) == Mean(4.0, None, 1)
    assert mean_std([62.24] * 5) == Mean(62.24, 0.0, 5)  # not the rounding of a mean
    assert np.isnan(mean_std([1, None]).mean)
    with pytest.raises(ValueError, match="no values"):
        mean_std([])


@pytest.mark.parametrize(
    "mean, told",
    [
        (Mean(0.11163, 0.000318, 3), "0.11163 ± 0.00032"),
        (Mean(0.1, 0.0996, 3), "0.10 ± 0.10"),
        (Mean(123.4, 17.2, 3), "123 ± 17"),
        (Mean(12345.6, 1234.0, 3), "12346 ± 1234"),
        (Mean(2.0, 0.0, 2), "2 ± 0"),
        (Mean(0.123456, None, 1), "0.1235"),
        (Mean(float("nan"), float("nan"), 2), "–"),
        (Mean(1.5e-9, 1e-10, 2), "1.500e-09 ± 1.0e-10"),
    ],
)
def test_a_mean_is_told_to_the_place_of_its_deviation(mean, told):
    assert str(mean) == told


def test_a_table_is_aligned_and_its_csv_has_a_column_a_number(tmp_path):
    rows = [
        {"name": "a", "size": 1200, "error": Mean(1.5, 0.25, 2)},
        {"name": "long, er", "size": None, "error": Mean(10.0, None, 1), "more": 0.125},
    ]
    assert tables.text(rows).splitlines() == [
        "name       size        error   more",
        "--------  -----  -----------  -----",
        "a         1,200  1.50 ± 0.25      –",
        "long, er      –           10  0.125",
    ]
    tables.write_csv(tmp_path / "a.csv", rows)
    assert (tmp_path / "a.csv").read_text().splitlines() == [
        "name,size,error,error std,error n,more",
        "a,1200,1.5,0.25,2,",
        '"long, er",,10.0,,1,0.125',
    ]
    assert tables.plain({"a": [Mean(1.0, None, 1)]}) == {"a": [{"mean": 1.0, "std": None, "count": 1}]}


def test_a_band_reaches_one_deviation_to_either_side():
    axes = figure.new().add_subplot()
    bands.draw(axes, [1, 2], [Mean(1.0, 0.5, 3), Mean(4.0, 0.25, 3)], "test", figure.BLUE)
    assert axes.lines[0].get_ydata().tolist() == [1, 4]
    inside = {tuple(point) for point in axes.collections[0].get_paths()[0].vertices}
    assert {(1, 0.5), (1, 1.5), (2, 3.75), (2, 4.25)} <= inside
    bands.draw(axes, [1, 2], [Mean(1.0, None, 1)] * 2, "one seed", figure.BLACK)
    assert len(axes.collections) == 1
