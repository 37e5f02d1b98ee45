"""The rows that ship, and the table in the README."""

from pathlib import Path

import pytest

from aejax import checks, files, main
from aejax.studies import results
from aejax.studies.results import table
from aejax.studies.results.definitions import Experiment, checksum
from configs.base import base


@pytest.mark.parametrize("row", results.ROWS, ids=lambda row: row.name)
def test_every_row_is_a_command_that_exists(row):
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
