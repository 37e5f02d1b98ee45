"""The table of results and its figures, from rows of JSON."""

import json

import numpy as np
import pytest

from aejax.errors import UserError
from aejax.studies import results
from aejax.studies.results import figures, table
from aejax.tables import Mean

MEAN = {"mean": 1.0, "std": 0.1, "count": 3}
COMMON = {"measure": "m", "published": {}, "source": "", "reason": "", "seconds": 1.0, "device": "2 cores, X"}
COMMON |= {"config": "c", "commands": ["train", "ask"]}


def made(*lines, **changes):
    """A row of lines, of which each differs from the common one."""
    lines = [{**COMMON, "setting": f"setting {i}", **line} for i, line in enumerate(lines)]
    return {"name": "row", "title": "Title", "lines": lines, **changes}


def test_a_newer_figure_takes_the_place_of_what_was_there():
    old, new = made({"figures": {"": MEAN}}), made({"figures": {"": {**MEAN, "mean": 2.0}}})
    assert table.kept([new], [old]) == [new]
    assert table.kept([made({"figures": None})], [old]) == [old]


def test_what_the_folder_knows_stays(tmp_path):
    known, none = made({"figures": {"": MEAN}}), made({"figures": None})
    assert results.write(tmp_path, [known]) == [known] == results.write(tmp_path, [none])
    assert json.loads((tmp_path / "results.json").read_text())["rows"] == [known]


def test_each_figure_has_its_own_published_one():
    (row,) = [made({"figures": {"a": MEAN, "b": MEAN}, "published": {"a": 1.2, "b": 3.4}, "source": "S"})]
    assert [(n["name"], n["published"]) for n in table.numbers([row])] == [("a", 1.2), ("b", 3.4)]


def test_a_file_gets_the_figures_that_it_shows(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"![row](.readme/results_row.png)\n{table.BEGIN}\n{table.END}\n")
    results.publish(readme, [made({"figures": {"": MEAN}}), made({"figures": {"": MEAN}}, name="other")])
    assert [path.name for path in (tmp_path / ".readme").glob("*.png")] == ["results_row.png"]


def test_what_is_not_finite_is_null_in_json_and_a_dash_in_the_table():
    assert str(Mean(None, None, 1)) == str(Mean(float("nan"), None, 1)) == "–"
    assert table.cells(made({"figures": {"": {**MEAN, "mean": None}}})["lines"][0])["here"] == "–"


def test_numbers_without_figures_are_not_this_command_s(tmp_path):
    line = made({})["lines"][0]
    (tmp_path / "results.json").write_text(json.dumps({"rows": [{"name": "row", "title": "t", "lines": [line]}]}))
    with pytest.raises(UserError, match="not as this command leaves it"):
        results.write(tmp_path, [])


def test_rows_are_asked_for_by_name():
    rows = [results.Row(name, "", ()) for name in "abc"]
    assert results.asked(["c", "a"], rows) == [rows[2], rows[0]] and results.asked([], rows) == rows


def test_lines_have_their_names_from_above():
    drawn = figures.draw(made(*({"figures": {"": {**MEAN, "mean": m}}} for m in (1.0, 2.0, 3.0))))
    (axes,) = drawn.axes
    points = [(c.lines[0].get_ydata()[0], c.lines[0].get_xdata()[0]) for c in axes.containers]
    named = dict(zip(axes.get_yticks(), (label.get_text() for label in axes.get_yticklabels()), strict=True))
    assert {named[y]: x for y, x in points} == {f"setting {i}": i + 1.0 for i in range(3)}
    assert [y for y, _ in points] == sorted(y for y, _ in points) and axes.get_ylim()[0] > axes.get_ylim()[1]
    assert axes.get_xlabel() == "m"


@pytest.mark.parametrize(("std", "told"), [(0.1, True), (0.0, False), (None, False)])
def test_bars_are_told_where_there_are_some(std, told):
    drawn = figures.draw(made({"figures": {"": {**MEAN, "std": std}}}))
    assert ("standard deviation" in drawn.get_suptitle()) == told and "Title" in drawn.get_suptitle()


def test_a_figure_of_several_names():
    line = {"setting": "s", "measure": "m", "published": {"a": 1.2}, "source": "", "reason": "", "seconds": 1.0}
    one = {"b": {**MEAN, "mean": 3.0}}
    row = {"title": "t", "lines": [{**line, "figures": {"a": MEAN, "b": MEAN}}, {**line, "figures": one}]}
    drawn = figures.draw(row)
    assert sorted(text.get_text() for text in drawn.legends[0].get_texts()) == ["a", "b", "published"]
    (axes,) = drawn.axes
    points = sorted(container.lines[0].get_xdata()[0] for container in axes.containers)
    assert points == [1.0, 1.0, 3.0]
    bars = [np.diff(container.lines[2][0].get_segments()[0][:, 0]) for container in axes.containers]
    assert np.allclose(bars, 0.2)
    (published,) = [mark for mark in axes.collections if mark.get_label() == "published"]
    assert published.get_offsets()[0][0] == 1.2
    assert published.get_offsets()[0][1] == axes.containers[0].lines[0].get_ydata()[0]
    assert figures.draw({"title": "t", "lines": [{**line, "figures": None}]}) is None


@pytest.mark.parametrize(
    ("seconds", "told"), [(3.2, "3 s"), (99.6, "2 min"), (3599, "1 h 0 min"), (4200, "1 h 10 min")]
)
def test_durations(seconds, told):
    assert table.duration(seconds) == told
