import csv
import json
import os
import shutil
import signal
import threading
import time

import numpy as np
import pytest

from aejax import files
from aejax.studies import command, results
from aejax.studies.results import laboratory, table
from aejax.studies.results.asking import find
from aejax.studies.results.definitions import Experiment, Line, Row, config_of
from aejax.studies.results.laboratory import Laboratory, Missing
from aejax.sweep.members import DIVERGED

# one process for all: they share what is trained
pytestmark = pytest.mark.xdist_group("results")

SHALLOW = Experiment("shallow", "main", ("--config=configs/shallow.py:tiny", "--config.sweep.seed=0,1,2"))
ALONE = Experiment("alone", "main", ("--config=configs/shallow.py:tiny", "--config.seed=3"))
FAR = Experiment("far", "main", ("--config=configs/shallow.py:tiny",), platform="tpu")
CURVE = Experiment(
    "curve", "studies.capacity", ("--config=configs/shallow.py:tiny", "--sizes=2,4", "--seeds=0,1", "--resamples=0")
)
LOSS, ERROR = "final/test/loss", "final/test/reconstruction_per_pixel"
LINES = {
    "seeds": Line("16 units", "nats", SHALLOW, {"": LOSS}, ("losses",), published={"": 90.0}, source="A 2001"),
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
    each = [last(trained / "shallow" / "members" / str(i)) for i in (0, 1, 2)]
    losses = [row["loss"] for row in each]
    expected = {"mean": np.mean(losses), "std": np.std(losses, ddof=1), "count": 3}
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


def test_a_figure_over_the_mean_of_another_experiment(trained):
    losses = np.array([last(trained / "shallow" / "members" / str(i))["loss"] for i in (0, 1, 2)])
    alone = last(trained / "alone")["loss"]
    line = Line("ratio", "nats", SHALLOW, {"": LOSS}, ("losses",), over=ALONE)
    found = Laboratory(trained).figures(line)[""]
    assert found == pytest.approx((losses.mean() / alone, losses.std(ddof=1) / alone, 3), rel=1e-4)
    assert Laboratory(trained).answered(line)
    found = Laboratory(trained).figures(Line("ratio", "nats", ALONE, {"": LOSS}, ("losses",), over=SHALLOW))[""]
    assert found.mean == pytest.approx(alone / losses.mean(), rel=1e-4)
    with pytest.raises(Missing, match="far"):
        Laboratory(trained).figures(Line("ratio", "nats", SHALLOW, {"": LOSS}, ("losses",), over=FAR))


def test_the_runs_of_an_experiment_are_in_order(tmp_path):
    for number in range(12):
        (tmp_path / "shallow" / "members" / str(number)).mkdir(parents=True)
    (tmp_path / "curve" / "size2_seed0").mkdir(parents=True)
    assert [int(run.name) for run in SHALLOW.runs(tmp_path)] == list(range(12))
    assert CURVE.runs(tmp_path, "size2_seed*") == [tmp_path / "curve" / "size2_seed0"]
    assert ALONE.runs(tmp_path) == [tmp_path / "alone"]


def test_another_question_of_the_same_analysis_is_asked(trained, monkeypatch):
    asked = []

    def ask(module, argv):
        asked.append(list(argv))
        return 0

    monkeypatch.setattr(laboratory, "called", ask)
    Laboratory(trained).figures(Line("16 units", "nats", ALONE, {"": LOSS}, ("losses", "--flag=1")))
    Laboratory(trained).figures(Line("16 units", "nats", ALONE, {"": LOSS}, ("losses", "--flag=2")))
    assert asked == [[f"--workdir={trained}/alone", f"--flag={i}"] for i in (1, 2)]


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
    train = f"python -m aejax.main {' '.join(SHALLOW.flags)} --workdir=runs/studies/results/shallow"
    asks = "for run in runs/studies/results/shallow/members/*; do python -m aejax.analysis.losses --workdir=$run; done"
    assert train in text and asks in text and str(trained) not in text
    assert "python -m aejax.analysis.losses --workdir=runs/studies/results/alone\n" in text
    assert "in runs/studies/results/curve/size2_seed*; do" in text
    assert (trained / "results_small.png").is_file() and not (trained / "results_large.png").exists()


def test_nothing_is_done_twice(trained, monkeypatch):
    before = lines(trained)

    def refuse(*_):
        raise AssertionError("trained or asked again")

    monkeypatch.setattr(laboratory, "called", refuse)
    assert run(trained, "small") == 0
    after = lines(trained)
    assert all(after[key] == before[key] for key in before if key[0] == "small")


def copied(trained, folder):
    """What was trained, for a test that changes it."""
    shutil.copytree(trained, folder, dirs_exist_ok=True)
    return folder


def test_what_is_missing_alone_is_trained(trained, tmp_path, monkeypatch):
    asked, folder = [], copied(trained, tmp_path / "results")

    def call(module, argv):
        asked.append((module, *argv))
        (folder / "more").mkdir(exist_ok=True)
        return 0

    monkeypatch.setattr(laboratory, "called", call)
    more = Experiment("more", "main", ("--config=configs/shallow.py:tiny", "--config.seed=4"))
    row = Row("small", "Small nets", (LINES["seeds"], Line("one", "nats", more, {"": LOSS}, ("losses",))))
    assert len(list(results.train([row], Laboratory(folder)))) == 1  # which has left no answer
    assert asked == [
        ("aejax.main", *more.flags, f"--workdir={folder}/more"),
        ("aejax.analysis.losses", f"--workdir={folder}/more"),
    ]


def test_another_experiment_of_the_same_name_does_not_touch_what_is_there(trained, tmp_path, monkeypatch):
    folder = copied(trained, tmp_path / "results")
    before = (folder / "state.json").read_text()
    monkeypatch.setattr(laboratory, "called", lambda *_: pytest.fail("trained over it"))
    changed = Experiment("alone", "main", ("--config=configs/shallow.py:tiny", "--config.seed=4"))
    with pytest.raises(Missing, match="alone is of another command or config; accepted: move it away"):
        Laboratory(folder).train(changed)
    assert (folder / "state.json").read_text() == before


def test_what_was_moved_away_begins_anew(trained, tmp_path, monkeypatch):
    folder = copied(trained, tmp_path / "results")
    shutil.rmtree(folder / "alone")
    assert not Laboratory(folder).finished(ALONE)
    monkeypatch.setattr(laboratory, "called", lambda *_: 2)
    with pytest.raises(Missing, match="status 2"):
        Laboratory(folder).train(ALONE)
    (folder / "alone").mkdir()  # as a run that was stopped
    again = Laboratory(folder)
    assert not again.finished(ALONE) and not again.answered(LINES["one run"])
    assert again.seconds(LINES["one run"]) < Laboratory(trained).seconds(LINES["one run"])


def test_a_run_that_is_gone_is_trained_again(trained, tmp_path):
    folder, row = copied(trained, tmp_path / "results"), Row("small", "Small nets", (LINES["seeds"],))
    shutil.rmtree(folder / "shallow" / "members" / "1")
    assert not Laboratory(folder).finished(SHALLOW) and run(folder, rows=(row,), train=False) == 0
    assert lines(folder)["small", 0]["figures"] == lines(trained)["small", 0]["figures"]  # as it was known
    assert run(folder, rows=(row,)) == 0
    again, before = (last(place / "shallow" / "members" / "1")["loss"] for place in (folder, trained))
    assert again == pytest.approx(before, rel=1e-4)
    assert lines(folder)["small", 0]["figures"][""]["count"] == 3


def test_training_again_what_is_gone_is_not_at_its_end_before(trained, tmp_path, monkeypatch):
    folder = copied(trained, tmp_path / "results")
    shutil.rmtree(folder / "shallow" / "members" / "1")

    def stopped(*_):
        (folder / "shallow" / "members" / "1").mkdir()
        return 1

    monkeypatch.setattr(laboratory, "called", stopped)
    with pytest.raises(Missing):
        Laboratory(folder).train(SHALLOW)
    assert not Laboratory(folder).finished(SHALLOW)


def test_on_its_platform_it_is_trained(tmp_path, monkeypatch):
    trained = []
    monkeypatch.setattr(laboratory, "called", lambda module, argv: trained.append(module) or 0)
    with pytest.raises(Missing, match="for a TPU"):
        Laboratory(tmp_path).train(FAR)
    assert not trained
    monkeypatch.setattr(laboratory.jax, "default_backend", lambda: "tpu")
    Laboratory(tmp_path).train(FAR)
    assert trained == ["aejax.main"]


def test_what_says_nothing_of_what_is_learned_does_not_make_another_experiment(trained, tmp_path):
    folder = copied(trained, tmp_path / "results")
    state = files.read_json(folder / "state.json")
    config = state["experiments"]["alone"]["config"]
    config["train"]["steps_per_call"] += 1
    del config["loss"]["aux_k"]  # a key that came later
    state["experiments"]["alone"]["device"] = "8 × TPU v5"
    (folder / "state.json").write_text(json.dumps(state))
    there = Laboratory(folder)
    assert there.finished(ALONE) and there.device(ALONE) == "8 × TPU v5"
    assert run(folder, "small", train=False) == 0 and lines(folder)["small", 2]["device"] == "8 × TPU v5"
    config["optim"]["learning_rate"] *= 2
    (folder / "state.json").write_text(json.dumps(state))
    assert not Laboratory(folder).finished(ALONE)


def test_wall_time_of_a_ratio_is_without_that_of_what_it_is_over(trained):
    line, own = Line("r", "r", ALONE, {"": LOSS}, ("losses",), over=SHALLOW), Laboratory(trained)
    own.figures(line)
    assert own.seconds(line) == own.seconds(LINES["one run"])
    same = Line("r", "r", ALONE, {"": LOSS}, ("losses",), over=ALONE)
    assert same.experiments == (ALONE,) and own.seconds(same) == own.seconds(LINES["one run"])
    other = Line("r", "r", SHALLOW, {"": ERROR}, ("losses", "--another"), over=FAR)
    assert not own.answered(other)


def test_nobody_knows_how_long_runs_took_whose_state_is_lost(trained, tmp_path):
    folder = copied(trained, tmp_path / "results")
    (folder / "state.json").unlink()
    row = Row("small", "Small nets", (LINES["one run"],))
    assert run(folder, rows=(row,)) == 0
    line = lines(folder)["small", 0]
    assert line["figures"] == lines(trained)["small", 2]["figures"] and line["seconds"] is None
    assert table.cells(line)["wall time"] == "–"


def test_wall_time_is_of_training_and_of_asking(trained):
    state = files.read_json(trained / "state.json")["experiments"]["alone"]
    asking = state["answers"][". losses"]["seconds"]
    assert asking > 0 and lines(trained)["small", 2]["seconds"] == pytest.approx(state["seconds"] + asking, rel=1e-4)
    assert state["device"] == laboratory.device() == lines(trained)["small", 2]["device"]


def test_seconds_are_noted_while_it_trains(tmp_path, monkeypatch):
    noted = lambda: files.read_json(tmp_path / "state.json")["experiments"]["alone"]["seconds"]  # noqa: E731

    def train(*_):
        assert noted() == 0.0  # so that a kill in the first seconds leaves a beginning
        (tmp_path / "alone").mkdir()
        until = time.monotonic() + 30
        while not noted():
            assert time.monotonic() < until
            time.sleep(0.01)
        return 0

    monkeypatch.setattr(laboratory, "BEAT", 0.02)
    monkeypatch.setattr(laboratory, "called", train)
    Laboratory(tmp_path).train(ALONE)
    assert Laboratory(tmp_path).finished(ALONE)


def test_a_diverged_member_is_named(trained, tmp_path):
    folder = copied(trained, tmp_path / "results")
    (folder / "shallow" / "members" / "1" / DIVERGED).write_text("at step 3")
    with pytest.raises(Missing, match="^shallow/members/1 diverged$"):
        Laboratory(folder).figures(LINES["seeds"])


def test_one_process_at_a_time(tmp_path, capsys):
    with laboratory.alone(tmp_path):
        assert run(tmp_path, "small") == 2
    assert "another process trains there" in capsys.readouterr().err


@pytest.mark.parametrize("state", ["{", "[]", '{"experiments": []}', '{"experiments": {"alone": 3}}'])
def test_a_state_that_is_not_one_is_told(tmp_path, capsys, state):
    (tmp_path / "state.json").write_text(state)
    assert run(tmp_path, "small") == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "state.json is not as this command leaves it" in told


def test_a_folder_that_cannot_be_is_told_by_its_flag(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for train in (True, False):
        assert run(tmp_path / "file", "small", train=train) == 2
        told = capsys.readouterr().err
        assert told.startswith(f"aejax.studies.results: --folder={tmp_path}/file is not a folder")
    assert run(tmp_path / "file" / "below", "small") == 2
    told = capsys.readouterr().err
    assert told.startswith(f"aejax.studies.results: --folder={tmp_path}/file/below cannot be written")
    assert run("", "small") == 2 and "--folder= names no folder" in capsys.readouterr().err


def test_an_experiment_that_fails_leaves_its_line_without_a_figure(tmp_path, capsys):
    bad = Experiment("bad", "main", ("--config=configs/shallow.py:tiny", "--config.code.size=0"))
    row = Row("bad", "Bad", (Line("none", "nats", bad, {"": LOSS}, ("losses",)), LINES["one run"]))
    assert run(tmp_path, rows=(row,)) == 1
    assert "config.code.size=0" in capsys.readouterr().err
    found = lines(tmp_path)
    assert found["bad", 0]["figures"] is None and found["bad", 0]["reason"] == "failed with status 2"
    assert found["bad", 1]["figures"] is not None
    assert not Laboratory(tmp_path).finished(bad)


def test_an_experiment_that_fails_is_not_tried_for_every_line(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(laboratory, "called", lambda *call: calls.append(call) or 2)
    row = Row("bad", "Bad", (LINES["one run"], Line("again", "nats", ALONE, {"": ERROR}, ("losses",))))
    assert [reason for _, reason in results.train([row], Laboratory(tmp_path))] == ["failed with status 2"] * 2
    assert len(calls) == 1


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
    for changed in ({"commands": ["another"]}, {"config": "another"}):
        other = [{**here[0], "lines": [{**here[0]["lines"][0], **changed}]}]
        assert table.kept(other, files.read_json(tmp_path / "results.json")["rows"])[0]["lines"][0]["figures"] is None


def test_publishing_keeps_what_another_machine_has_published(trained, tmp_path):
    readme, numbers = tmp_path / "README.md", tmp_path / ".readme" / "results.json"
    readme.write_text(f"{table.BEGIN}\n{table.END}\n")
    rows = files.read_json(trained / "results.json")["rows"]
    rows[1]["lines"][0] |= {"figures": {"": {"mean": 80.0, "std": None, "count": 1}}, "device": "TPU v5"}
    numbers.parent.mkdir()
    numbers.write_text(json.dumps({"rows": rows}))
    empty = tmp_path / "empty"
    empty.mkdir()
    assert run(empty, "large", publish=readme, train=False) == 0
    assert table.markdown(rows) in readme.read_text() and files.read_json(numbers)["rows"] == rows
    assert lines(empty)["large", 0]["figures"] is None  # which were not found here


def test_nothing_is_trained_with_notrain(tmp_path, monkeypatch):
    monkeypatch.setattr(laboratory, "called", lambda *_: pytest.fail("trained"))
    assert run(tmp_path, train=False) == 0
    assert all(line["figures"] is None for line in lines(tmp_path).values())


def test_a_figure_that_is_no_more_is_not_left(trained, tmp_path):
    (tmp_path / "results_small.png").write_text("of another config")
    assert run(tmp_path, train=False) == 0
    assert not (tmp_path / "results_small.png").exists()


def test_the_numbers_as_a_table(trained):
    with (trained / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 7  # one of the six lines has two figures
    first = lines(trained)["small", 0]
    assert float(rows[0]["mean"]) == pytest.approx(first["figures"][""]["mean"]) and rows[0]["count"] == "3"
    assert rows[0]["published"] == "90.0" and [row["name"] for row in rows[1:3]] == ["a", "b"]


def test_the_rows_asked_for_are_told_in_lines_of_a_terminal(trained, capsys):
    assert run(trained, "small") == 0
    out = capsys.readouterr().out
    assert out.startswith("small: Small nets\n  16 units; nats: ") and "(published 90 (A 2001); " in out
    assert "large" not in out and max(map(len, out.splitlines()[:-2])) <= 118


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
    state = files.read_json(tmp_path / "state.json")
    assert state["experiments"]["long"]["seconds"] > 0 and not Laboratory(tmp_path).finished(long)
    state["experiments"]["long"]["seconds"] = 1000.0
    (tmp_path / "state.json").write_text(json.dumps(state))
    assert run(tmp_path, rows=(row,)) == 0
    assert 1000 < Laboratory(tmp_path).seconds(row.lines[0]) < 2000
    assert last(tmp_path / "long")["epoch"] == 60


def test_minutes_stop_it(tmp_path, monkeypatch):
    asked, timer = [], threading.Timer
    monkeypatch.setattr(threading, "Timer", lambda seconds, *rest: asked.append(seconds) or timer(seconds, *rest))
    long = Experiment("long", "main", ("--config=configs/shallow.py:tiny", "--config.train.epochs=100000"))
    row = Row("long", "Long", (Line("long", "nats", long, {"": LOSS}, ("losses",)),))
    assert run(tmp_path, rows=(row,), minutes=0.05) == 128 + signal.SIGTERM and asked == [3.0]
    assert lines(tmp_path)["long", 0]["figures"] is None


@pytest.mark.parametrize("minutes", ["nan", "inf", "1e12"])
def test_more_minutes_than_there_are(tmp_path, capsys, minutes):
    assert run(tmp_path, "large", minutes=minutes) == 2
    assert "--minutes" in capsys.readouterr().err


def test_the_table_is_put_between_its_marks(trained, tmp_path, capsys):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{table.BEGIN}\nthe table of before\n{table.END}\nafter {table.END}\n")
    assert run(trained, "small", publish=readme) == 0
    text = readme.read_text()
    assert text.startswith("before\n") and text.endswith(f"\nafter {table.END}\n") and "the table of before" not in text
    numbers = files.read_json(tmp_path / ".readme" / "results.json")
    assert table.markdown(numbers["rows"]) in text
    readme.write_text("no marks")
    capsys.readouterr()
    assert run(tmp_path / "none", publish=readme) == 2
    assert "results: begin" in capsys.readouterr().err and not (tmp_path / "none").exists()  # told before anything
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


def test_an_experiment_is_another_when_its_config_file_is(trained, monkeypatch):
    assert Laboratory(trained).finished(ALONE) and Laboratory(trained).answered(LINES["one run"])
    other = {**config_of(ALONE), "optim": {**config_of(ALONE)["optim"], "learning_rate": 0.5}}
    monkeypatch.setattr(laboratory, "config_of", lambda experiment: other)
    assert not Laboratory(trained).finished(ALONE) and not Laboratory(trained).answered(LINES["one run"])
