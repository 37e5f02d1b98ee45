import json
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from aejax import files
from aejax.studies import command, results
from aejax.studies.results import figures, table
from aejax.studies.results.definitions import Experiment, Line, Row, checksum
from aejax.studies.results.laboratory import Laboratory, Missing, find
from aejax.tables import Mean
from configs.base import base

SHALLOW = Experiment("shallow", "main", ("--config=configs/shallow.py:tiny", "--config.sweep.seed=0,1"))
ALONE = Experiment("alone", "main", ("--config=configs/shallow.py:tiny", "--config.seed=3"))
FAR = Experiment("far", "main", ("--config=configs/shallow.py:tiny",), platform="tpu")
CURVE = Experiment(
    "curve", "studies.capacity", ("--config=configs/shallow.py:tiny", "--sizes=2,4", "--seeds=0,1", "--resamples=0")
)
LOSS, ERROR = "final/test/loss", "final/test/reconstruction_per_pixel"
LINES = {
    "two seeds": Line("16 units", "nats", SHALLOW, {"": LOSS}, ("losses",), published={"": 90.0}, source="A 2001"),
    "two figures": Line("16 units", "a, b", SHALLOW, {"a": LOSS, "b": ERROR}, ("losses",)),
    "one run": Line("16 units, one seed", "nats", ALONE, {"": LOSS}, ("losses",)),
    "study": Line("4 units", "squared error", CURVE, {"": "rows/size=4/squared_error/test"}),
    "runs of a study": Line("2 units", "nats", CURVE, {"": LOSS}, ("losses",), runs="size2_seed*"),
    "elsewhere": Line("on a TPU", "nats", FAR, {"": LOSS}, ("losses",)),
}
ROWS = (Row("small", "Small nets", tuple(LINES.values())[:5]), Row("large", "Large nets", (LINES["elsewhere"],)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    assert run(folder) == 1  # a line asked for has no figure
    return folder


def run(folder, *names, rows=ROWS, **changes):
    flags = results.absl_flags.FlagValues()
    results.define(flags)
    flags(["results", f"--folder={folder}", *(f"--{name}={value}" for name, value in changes.items())])
    return command.guarded("results", lambda: results.study(names, flags, rows))


def lines(folder):
    return {
        (row["name"], i): line
        for row in files.read_json(folder / "results.json")["rows"]
        for i, line in enumerate(row["lines"])
    }


def last(workdir, split="test"):
    return [row for row in files.read_lines(workdir / "metrics.jsonl") if row["split"] == split][-1]


def test_figures_are_those_of_the_runs(trained):
    found = lines(trained)
    each = [last(trained / "shallow" / "members" / str(i)) for i in (0, 1)]
    losses = [row["loss"] for row in each]
    expected = {"mean": np.mean(losses), "std": np.std(losses, ddof=1), "count": 2}
    assert found["small", 0]["figures"][""] == pytest.approx(expected, rel=1e-4)
    assert found["small", 1]["figures"]["a"] == found["small", 0]["figures"][""]
    pixel = np.mean([row["reconstruction_per_pixel"] for row in each])
    assert found["small", 1]["figures"]["b"]["mean"] == pytest.approx(pixel, rel=1e-4)
    alone = last(trained / "alone")["loss"]
    assert found["small", 2]["figures"][""] == {"mean": pytest.approx(alone, rel=1e-4), "std": None, "count": 1}
    study = {row["size"]: row for row in files.read_json(trained / "curve" / "capacity.json")["rows"]}
    assert found["small", 3]["figures"][""] == study[4]["squared_error"]["test"]
    asked = [last(trained / "curve" / f"size2_seed{seed}")["loss"] for seed in (0, 1)]
    assert found["small", 4]["figures"][""]["mean"] == pytest.approx(np.mean(asked), rel=1e-4)


def test_a_figure_over_that_of_another_experiment(trained):
    line = Line("ratio", "nats", SHALLOW, {"": LOSS}, ("losses",), over=ALONE)
    losses = [last(trained / "shallow" / "members" / str(i))["loss"] for i in (0, 1)]
    ratios = np.array(losses) / last(trained / "alone")["loss"]
    found = Laboratory(trained).figures(line)[""]
    assert found == pytest.approx((ratios.mean(), ratios.std(ddof=1), 2), rel=1e-4)
    assert Laboratory(trained).answered(line)
    with pytest.raises(Missing, match="far"):
        Laboratory(trained).figures(Line("ratio", "nats", SHALLOW, {"": LOSS}, ("losses",), over=FAR))


def test_what_another_platform_is_for_is_not_run_and_not_filled_in(trained):
    line = lines(trained)["large", 0]
    assert line["figures"] is None and line["reason"] == "not run: for a TPU"
    assert not (trained / "far").exists()
    assert "| on a TPU | nats | – | not run: for a TPU | – | – |" in (trained / "results.md").read_text()


def test_the_table_has_published_figures_times_devices_and_commands(trained):
    text = (trained / "results.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith("| 16 units | nats |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[2] == "90 (A 2001)" and "±" in cells[3] and cells[4].endswith(" s") and "core" in cells[5]
    train = f"python -m aejax.main {' '.join(SHALLOW.flags)} --workdir={trained}/shallow"
    assert train in text and f"python -m aejax.analysis.losses --workdir={trained}/shallow" in text
    assert (trained / "results_small.png").is_file() and not (trained / "results_large.png").exists()


def test_nothing_is_done_twice(trained, monkeypatch):
    before = lines(trained)

    def refuse(*_):
        raise AssertionError("trained or asked again")

    monkeypatch.setattr("aejax.studies.results.laboratory.called", refuse)
    assert run(trained, "small") == 0
    after = lines(trained)
    assert all(after[key] == before[key] for key in before if key[0] == "small")


def test_what_is_missing_alone_is_trained_again(trained, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "aejax.studies.results.laboratory.called", lambda module, argv: asked.append((module, *argv)) or 0
    )
    changed = Experiment("alone", "main", ("--config=configs/shallow.py:tiny", "--config.seed=4"))
    row = Row("small", "Small nets", (LINES["two seeds"], Line("one", "nats", changed, {"": LOSS}, ("losses",))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Laboratory, "_save", lambda self: None)
        results.train([row], Laboratory(trained))
    assert [one[0] for one in asked] == ["aejax.main", "aejax.analysis.losses"]
    assert asked[0][1:] == (*changed.flags, f"--workdir={trained}/alone")


def test_an_experiment_that_fails_leaves_its_line_without_a_figure(tmp_path, capsys):
    bad = Experiment("bad", "main", ("--config=configs/shallow.py:tiny", "--config.code.size=0"))
    row = Row("bad", "Bad", (Line("none", "nats", bad, {"": LOSS}, ("losses",)), LINES["one run"]))
    assert run(tmp_path, rows=(row,)) == 1
    assert "config.code.size=0" in capsys.readouterr().err
    found = lines(tmp_path)
    assert found["bad", 0]["figures"] is None and found["bad", 0]["reason"] == "failed with status 2"
    assert found["bad", 1]["figures"] is not None


def test_an_analysis_without_an_answer_leaves_its_line_without_a_figure(trained):
    line = Line("none", "nats", ALONE, {"": "log_likelihood/nats"}, ("likelihood",))
    with pytest.raises(Missing, match="likelihood.json"):
        Laboratory(trained).figures(line)


def test_a_figure_of_another_machine_stays_where_this_one_has_none(trained, tmp_path):
    there = {**lines(trained)["large", 0], "figures": {"": {"mean": 80.0, "std": None, "count": 1}}, "device": "TPU v5"}
    (tmp_path / "results.json").write_text(json.dumps({"rows": [{"name": "large", "lines": [there]}]}))
    here = [{"name": "large", "title": "Large nets", "lines": [lines(trained)["large", 0]]}]
    kept = table.kept(here, files.read_json(tmp_path / "results.json")["rows"])
    assert kept[0]["lines"][0]["figures"][""]["mean"] == 80.0 and "TPU v5" in table.markdown(kept)
    other = [{**here[0], "lines": [{**here[0]["lines"][0], "commands": ["another"]}]}]
    assert table.kept(other, files.read_json(tmp_path / "results.json")["rows"])[0]["lines"][0]["figures"] is None


def test_stopped_it_goes_on_and_counts_its_seconds_on(tmp_path):
    long = Experiment("long", "main", ("--config=configs/shallow.py:tiny", "--config.train.epochs=60"))
    row = Row("long", "Long", (Line("long", "nats", long, {"": LOSS}, ("losses",)),))

    def stop():
        while not (tmp_path / "long" / "metrics.jsonl").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=stop)
    thread.start()
    assert run(tmp_path, rows=(row,)) == 128 + signal.SIGTERM
    thread.join()
    assert lines(tmp_path)["long", 0]["reason"] == "not run"
    first = Laboratory(tmp_path).seconds(long)
    assert first > 0 and not Laboratory(tmp_path).finished(long)
    assert run(tmp_path, rows=(row,)) == 0
    assert Laboratory(tmp_path).seconds(long) > first
    assert last(tmp_path / "long")["epoch"] == 60


def test_minutes_stop_it(tmp_path):
    long = Experiment("long", "main", ("--config=configs/shallow.py:tiny", "--config.train.epochs=100000"))
    row = Row("long", "Long", (Line("long", "nats", long, {"": LOSS}, ("losses",)),))
    assert run(tmp_path, rows=(row,), minutes=0.05) == 128 + signal.SIGTERM
    assert lines(tmp_path)["long", 0]["figures"] is None


def test_the_table_is_put_between_its_marks(trained, tmp_path, capsys):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{table.BEGIN}\nthe table of before\n{table.END}\nafter\n")
    assert run(trained, "small", publish=readme) == 0
    text = readme.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "the table of before" not in text
    numbers = files.read_json(tmp_path / ".readme" / "results.json")
    assert table.markdown(numbers["rows"]) in text
    readme.write_text("no marks")
    assert run(trained, "small", publish=readme) == 2
    assert "results: begin" in capsys.readouterr().err
    assert readme.read_text() == "no marks"


@pytest.mark.parametrize(
    ("where", "found"),
    [("a/b", 1), ("a/rows/1/x", "v"), ("a/rows/size=7/x", "u"), ("a/rows/x=v/size", 9)],
)
def test_a_place_in_json(where, found):
    numbers = {"a": {"b": 1, "rows": [{"size": 7, "x": "u"}, {"size": 9, "x": "v"}]}}
    assert find(numbers, where) == found


@pytest.mark.parametrize("where", ["c", "a/b/c", "rows/2", "rows/size=8", "rows/same=1"])
def test_a_place_that_is_not_there_is_named(where):
    numbers = {"a": {"b": 1}, "rows": [{"size": 7, "same": 1}, {"size": 9, "same": 1}]}
    with pytest.raises(LookupError, match=where.rpartition("/")[2]):
        find(numbers, where)


def test_an_unknown_row_and_flag_are_refused_by_name(capsys):
    assert results.main(["nonsense"]) == 2
    assert "'nonsense'; accepted: " in capsys.readouterr().err
    assert results.main(["--nonsense=1"]) == 2
    assert "accepted: --folder" in capsys.readouterr().err


def test_a_figure_of_several_names_and_units():
    mean = Mean(1.0, 0.1, 3)._asdict()
    line = {"setting": "s", "measure": "m", "published": {"a": 1.2}, "source": "", "reason": "", "seconds": 1.0}
    row = {"title": "t", "lines": [{**line, "figures": {"a": mean, "b": mean}}, {**line, "figures": None}]}
    drawn = figures.draw(row)
    labels = drawn.legends[0].get_texts()
    assert [text.get_text() for text in labels] == ["published", "a", "b"] or len(labels) == 3
    assert figures.draw({"title": "t", "lines": [{**line, "figures": None}]}) is None


@pytest.mark.parametrize(
    ("seconds", "told"), [(3.2, "3 s"), (99.6, "2 min"), (3599, "1 h 0 min"), (4200, "1 h 10 min")]
)
def test_durations(seconds, told):
    assert table.duration(seconds) == told


# -- the rows that ship


@pytest.mark.parametrize("row", results.ROWS, ids=lambda row: row.name)
def test_every_row_is_a_command_that_exists(row):
    from aejax import checks, main

    for line in row.lines:
        experiment = line.experiment
        config = next(flag for flag in experiment.flags if flag.startswith("--config="))
        keys = [flag for flag in experiment.flags if flag.startswith("--config.")]
        parsed, overrides, _ = main.parse(["aejax", config, *keys])
        checks.check_overrides(parsed, overrides)
        checks.check(parsed)
        assert experiment.module == "main" or Path(f"aejax/{experiment.module.replace('.', '/')}.py").exists()
        assert bool(line.ask) or experiment.module != "main"
        assert bool(line.source) == bool(line.published) and set(line.published) <= set(line.at)


def test_a_checksum_is_of_the_keys_that_differ_from_the_defaults(monkeypatch):
    made = lambda *flags: Experiment("x", "main", ("--config=configs/shallow.py:tiny", *flags))  # noqa: E731
    first = checksum(made())
    assert first == checksum(made("--config.code.size=16")) != checksum(made("--config.code.size=17"))

    def more():
        config = base()
        config.loss.another = 0.0
        return config

    monkeypatch.setattr("configs.base.base", more)
    monkeypatch.setattr("aejax.studies.results.definitions.base", more)
    checksum.cache_clear()
    assert checksum(made()) == first


def test_rows_and_experiments_have_names_of_their_own():
    names = [row.name for row in results.ROWS]
    assert len(set(names)) == len(names)
    found = {experiment for row in results.ROWS for line in row.lines for experiment in line.experiments}
    assert len({experiment.name for experiment in found}) == len(found)


def test_the_readme_has_the_table_of_the_numbers_beside_it():
    numbers = files.read_json(Path(results.NUMBERS))["rows"]
    assert table.markdown(numbers) in Path("README.md").read_text(encoding="utf-8")
    known = {
        (row.name, line.setting, line.measure, line.experiment.told(results.FOLDER), checksum(line.experiment))
        for row in results.ROWS
        for line in row.lines
    }
    assert known == {
        (row["name"], line["setting"], line["measure"], line["commands"][0], line["config"])
        for row in numbers
        for line in row["lines"]
    }


def test_an_experiment_is_another_when_its_config_file_is(trained, monkeypatch):
    assert Laboratory(trained).finished(ALONE) and Laboratory(trained).answered(LINES["one run"])
    monkeypatch.setattr("aejax.studies.results.laboratory.checksum", lambda experiment: "another")
    assert not Laboratory(trained).finished(ALONE) and not Laboratory(trained).answered(LINES["one run"])
