"""The page about a run: on a run made by hand with analyses that answer, do not apply, and fail."""

import base64
import html
import importlib
import io
import json
import os
import pkgutil
import re
import shlex
from html.parser import HTMLParser
from types import ModuleType

import numpy as np
import pytest
from absl import flags as absl_flags
from matplotlib import image as png

import aejax
import aejax.analysis
from aejax import main, workdirs
from aejax.analysis import command, figure, report, results
from aejax.analysis.report import provenance
from aejax.errors import UserError
from tests.configurations import load as load_config
from tests.test_analysis import METRICS
from tests.test_analysis_commands import HandMadeRun

VOID = {"meta", "link", "img", "br", "hr"}


class Page(HTMLParser):
    """Checks that every tag is closed in its turn, and gathers what a browser would fetch and show."""

    def __init__(self, text):
        super().__init__()
        self.open, self.attributes, self.text, self.ids, self.images = [], [], "", [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)
        values = dict(attributes)
        self.attributes += [(tag, *pair) for pair in attributes]
        self.ids += [values["id"]] if "id" in values else []
        self.images += [values] if tag == "img" else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.text += "" if tag in ("span", "code", "b") else " "

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += data


def drawn():
    picture = figure.new(1, 1)
    picture.add_subplot().plot([0, 1])
    return picture


@pytest.fixture
def asked():
    """The names of the analyses that were asked, in order."""
    return []


@pytest.fixture
def analyses(asked):
    """By name: ``losses`` reads metrics alone, ``filters`` answers, ``probe`` does not apply, ``grid`` fails."""

    def losses(workdir, flags):
        asked.append("losses")
        return command.Findings(drawn(), {"config": "byhand", "step": 80}, ["It fell by 3 < 4 & 5."])

    def filters(workdir, flags):
        asked.append("filters")
        run = command.load(workdir, flags.best)
        numbers = {**command.about(run), "units": flags.units, "<script>": "</pre><script>"}
        return command.Findings(drawn(), numbers, ["<b>No</b> unit is dead.", "  Not even 15."], {"all_of": drawn()})

    def probe(workdir, flags):
        asked.append("probe")
        raise command.DoesNotApply("a probe needs <labels>")

    def grid(workdir, flags):
        asked.append("grid")
        raise ZeroDivisionError("no <i>units</i>\nat all")

    def define(flags):
        command.define_best(flags)
        absl_flags.DEFINE_integer("units", 9, "How many.", flag_values=flags)

    found = {}
    for analyse, doc in (
        (losses, "How did training go? The curves."),
        (filters, 'What do units look for,\nand who is > "who"? More.'),
        (probe, "Can a line read it?"),
        (grid, "Where?"),
    ):
        module = found[analyse.__name__] = ModuleType(analyse.__name__, doc)
        module.analyse = analyse
    found["filters"].define = define
    return found


@pytest.fixture
def workdir(tmp_path, monkeypatch, analyses):
    """A workdir with a run by hand, whose analyses are those above."""
    folder = tmp_path / "a run & more"
    folder.mkdir()
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in METRICS))
    config = {"name": "byhand", "data": {"name": "npz:<toy>.npz"}, "code": {"name": "lifetime", "size": 16}}
    (folder / "config.json").write_text(json.dumps(config))
    timing = [
        {"event": "first_call", "time": "2026-01-01T10:00:30+0000", "seconds": 12.0},
        {"event": "epoch", "time": "2026-01-01T10:02:00+0000", "step": 80, "examples_per_second": 1234.6},
    ]
    (folder / "timing.jsonl").write_text("".join(json.dumps(row) + "\n" for row in timing))
    run = HandMadeRun(folder)
    monkeypatch.setattr(aejax, "load", lambda _, best=False: run)
    monkeypatch.setattr(report, "modules", lambda: analyses)
    return folder


@pytest.fixture
def execute(workdir, capsys):
    """Runs the command: (status, standard output, standard error, the page)."""

    def execute(*flags):
        status = report.main([f"--workdir={workdir}", *flags])
        page = workdir / "analysis" / "report.html"
        return status, *capsys.readouterr(), page.read_text(encoding="utf-8") if page.exists() else None

    return execute


def test_the_page_is_whole_and_needs_nothing_else(execute, workdir):
    status, out, _, text = execute("--skip=grid")
    page = Page(text)
    assert status == 0 and text.startswith("<!DOCTYPE html>") and out.splitlines()[-1].endswith("report.html")
    fetched = [value for _, name, value in page.attributes if name in ("src", "href", "srcset", "data", "action")]
    assert fetched and all(value.startswith(("data:", "#")) for value in fetched)
    assert not re.search(r"<script|@import|url\(|\bon\w+=", re.sub(r'src="data:[^"]*"', "", text))
    assert {value[1:] for tag, name, value in page.attributes if tag == "a" and name == "href"} == set(page.ids)
    assert page.ids == ["run", "config", "losses", "filters", "rest"] and len(set(page.ids)) == len(page.ids)
    assert len(page.images) == 3 and len({image["alt"] for image in page.images}) == 3
    for image, name in zip(page.images, ("losses", "filters", "filters_all_of"), strict=True):
        data = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"), validate=True)
        assert data == (workdir / "analysis" / f"{name}.png").read_bytes()
        assert png.imread(io.BytesIO(data)).shape[:2] == (int(image["height"]), int(image["width"]))
    assert 'who is > "who"?' in page.images[1]["alt"] and "all of" in page.images[2]["alt"]
    assert "prefers-color-scheme" in text and "@media print" in text and 'name="viewport"' in text


def test_what_the_page_tells(execute, workdir):
    status, _, _, text = execute()
    page = Page(text)
    told = " ".join(page.text.split())
    assert "byhand, step 1,234" in told and "npz:<toy>.npz" in told and "1,235 examples/s" in told
    assert "Training time 1 min 42 s" in told and "Parameters 544" in told  # 90 s after 12 s to the first step
    assert "code.name lifetime deterministic" in told and "code.size 16 32" in told  # value, then default
    assert "code.rate" not in told.partition("All keys")[0] and '"rate": 0.05' in told
    assert "last value train valid test" in told and "reconstruction 12.5 22.5 15.5" in told and "l1 5 5 5" in told
    assert f"python -m aejax.analysis.filters '--workdir={workdir}'" in told
    assert "--config.code.name=lifetime" in told and "'--config.data.name=npz:<toy>.npz'" in told
    assert 'What do units look for, and who is > "who"?' in told and "How did training go?" in told
    assert "<b>No</b> unit is dead." in told and "3 < 4 & 5" in told and '"<script>": "</pre><script>"' in told
    assert "Does not apply to this run probe: a probe needs <labels>" in told
    assert "Failed grid: ZeroDivisionError: no <i>units</i> at all" in told
    assert "Not asked for" not in told and html.escape("<i>units</i>") in text and '"output"' not in told


def test_a_failing_analysis_is_told_and_stops_nothing(execute, analyses, asked):
    analyses["last"] = analyses["filters"]
    status, out, err, text = execute()
    assert status == 1 and asked == ["losses", "filters", "probe", "grid", "filters"] and "Traceback" not in err
    assert "[4/5] grid: failed: ZeroDivisionError" in out and "[3/5] probe: does not apply: a probe needs" in out
    assert "3 of 5 analyses have an answer." in out and "Do not apply to this run: probe." in out

    def refused(workdir, flags):
        raise UserError("--units: too few")

    analyses["filters"].analyse = refused
    status, out, _, text = execute("--only=filters", "--again")
    assert status == 1 and "--units: too few" in Page(text).text


def test_results_of_the_same_weights_are_reused(execute, workdir, asked):
    assert execute("--skip=grid")[0] == 0
    status, out, _, text = execute("--skip=grid")
    assert status == 0 and asked == ["losses", "filters", "probe", "probe"]
    assert "[2/3] filters: reused" in out and "(--again redoes them): losses, filters." in out
    assert "<b>No</b> unit is dead." in Page(text).text and len(Page(text).images) == 3
    execute("--skip=grid", "--again")
    assert asked[4:] == ["losses", "filters", "probe"]
    command.load(workdir).step += 1
    execute("--only=filters")
    command.load(workdir).variables["params"]["encoder"]["layers_0"]["kernel"][0, 0] += 1
    execute("--only=filters")
    assert asked[7:] == ["filters", "filters"]
    (workdir / "analysis" / "filters_all_of.png").unlink()
    execute("--only=filters")
    (workdir / "analysis" / "filters.json").write_text('{"step": 1235}')
    execute("--only=filters")
    execute("--only=filters")
    assert asked[9:] == ["filters", "filters"]


def test_curves_are_redone_when_there_are_new_lines(execute, workdir, asked):
    execute("--only=losses")
    execute("--only=losses")
    assert asked == ["losses"]
    path = workdir / "metrics.jsonl"
    later = os.stat(workdir / "analysis" / "losses.json").st_mtime + 10
    os.utime(path, (later, later))  # a line of test came, at the same step
    execute("--only=losses")
    path.write_text(path.read_text() + json.dumps({**METRICS[-1], "step": 90}) + "\n")
    os.utime(path, (0, 0))
    execute("--only=losses")
    assert asked == ["losses"] * 3


def test_flags_that_a_command_was_given_are_shown_with_what_it_wrote(execute, workdir, analyses):
    given = [f"--workdir={workdir}", "--units=25"]
    module = analyses["filters"]
    assert command.execute("filters", module.analyse, given, module.define) == 0
    _, out, _, text = execute("--only=filters")
    assert "reused" in out and "--units=25" in Page(text).text
    _, _, _, text = execute("--only=filters", "--again", "--best")
    assert "--units=25" not in Page(text).text and "--best" in Page(text).text and "best weights" in Page(text).text
    numbers = json.loads((workdir / "analysis" / "filters.json").read_text())
    assert numbers["weights"] == "best" and numbers["output"]["flags"] == ["--best"]


@pytest.mark.parametrize(
    "flags, told",
    [(["--only=filter"], "--only=filter: no analysis 'filter'; accepted: losses, filters, probe, grid"),
     (["--skip=a,b"], "'a'"), (["--only=probe", "--skip=probe"], "leaves nothing"), (["--workdir="], "is missing"),
     (["--workdir=/nowhere"], "/nowhere")],
)  # fmt: skip
def test_what_is_refused(execute, flags, told):
    status, out, err, text = execute(*flags)
    assert status == 2 and not out and err.count("\n") == 1 and told in err and text is None


def test_what_was_not_asked_for_is_told(execute, asked):
    _, _, _, text = execute("--only=losses,filters", "--skip=losses")
    assert asked == ["filters"] and "Not asked for: losses, probe, grid." in Page(text).text


def test_a_page_that_cannot_be_written(execute, workdir):
    (workdir / "analysis").mkdir()
    (workdir / "analysis" / "report.html").mkdir()
    status = report.main([f"--workdir={workdir}", "--only=losses"])
    assert status == 2


def test_every_analysis_is_in_the_report():
    commands = set()
    for found in pkgutil.iter_modules(aejax.analysis.__path__):
        module = importlib.import_module(f"aejax.analysis.{found.name}")
        if callable(getattr(module, "main", None)):
            commands.add(found.name)
    there = report.modules()
    assert set(there) == commands - {"compare", "report", "sweep"} and len(set(report.ANALYSES)) == len(report.ANALYSES)
    assert all(report.question(module).endswith((".", "?")) for module in there.values())


def test_outcomes_come_back_from_disk(tmp_path):
    findings = command.Findings(drawn(), {"a": np.float32(0.5)}, ["told"], {"more": drawn()})
    wrote = results.write(tmp_path, "toy", findings, ["--units=3"], {"weights": "best"})
    outcome, numbers = results.read(tmp_path, "toy")
    assert (outcome.numbers, list(outcome.pictures)) == (wrote.numbers, wrote.pictures)
    assert (outcome.summary, outcome.flags, outcome.reason) == (["told"], ["--units=3"], "")
    assert (numbers["analysis"], numbers["weights"], numbers["a"]) == ("toy", "best", 0.5)
    assert results.read(tmp_path, "other") is None
    tree = {"a": np.arange(3.0), "b": [np.ones(2)]}
    assert results.checksum(tree) == results.checksum({"b": [np.ones(2)], "a": np.arange(3.0)})
    assert results.checksum(tree) != results.checksum({"a": np.arange(3.0), "b": [np.ones(2) * 2]})
    assert results.checksum(tree) != results.checksum({"a": np.arange(3.0) * 2, "b": [np.ones(2)]})


def test_training_commands_give_the_config_again(tmp_path):
    changed = {"name": "it's mine", "encoder.widths": (5, 6), "optim.eps": 1e-11, "log.figure_epochs": ()}
    given = {"shallow": {}, "vae": {}, "wta": {**changed, "optim.freeze": ("encoder", "code")}}
    for stem, changes in given.items():
        config = load_config(stem)
        for key, value in changes.items():
            config.update_from_flattened_dict({key: value})
        workdirs.write_config(tmp_path, config)
        written = workdirs.read_config(tmp_path)
        words = shlex.split(provenance.training_command(written, tmp_path / "x y"))
        again, _, folder = main.parse(words[2:])
        assert provenance.differences(again, written) == [] and folder == str(tmp_path / "x y")


def test_time_of_sittings():
    def row(event, at, **more):
        return {"event": event, "time": f"2026-01-01T10:{at}+0000", **more}

    rows = [row("first_call", "00:10", seconds=10.0), row("epoch", "01:00"), row("first_call", "05:05", seconds=5.0)]
    assert provenance.seconds(rows) == 65
    assert provenance.seconds([*rows, row("first_call", "05:10", seconds=10.0), row("epoch", "05:20")]) == 80  # within
    assert provenance.seconds([]) == 0
