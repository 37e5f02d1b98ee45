"""The rows that ship, and the table in the README."""

from pathlib import Path

import pytest

from aejax import checks, files, main
from aejax.studies import results
from aejax.studies.results import table
from aejax.studies.results.definitions import Experiment, checksum, config_of
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
    config_of.cache_clear()
    assert checksum(made()) == first


PUBLISHED = {  # experiment, name of the figure where there are several -> as the source prints it, where it stands
    "shallow_notebook": (0.2835, "final/train/reconstruction_per_pixel"),
    "shallow_own_schedule": (0.2835, "final/train/reconstruction_per_pixel"),
    "deep_notebook": (0.2729, "final/train/reconstruction_per_pixel"),
    "deep_own_schedule": (0.2729, "final/train/reconstruction_per_pixel"),
    "denoising_notebook": (0.2791, "final/train/reconstruction_per_pixel"),
    "denoising_own_schedule": (0.2791, "final/train/reconstruction_per_pixel"),
    "keras_blog": (0.0918, "final/test/reconstruction_per_pixel"),
    "wta_mnist": (98.80, "svm/codes/test_accuracy"),
    "wta_digits": (99.0, "svm/codes/test_accuracy"),
    "ksparse_mnist": (100 - 1.35, "svm/codes/test_accuracy"),
    "contractive": (100 - 1.14, "rows/0/ways/fine_tuned/test_accuracy"),
    "denoising_gaussian": (100 - 1.18, "rows/0/ways/fine_tuned/test_accuracy"),
    "denoising_masking": (100 - 1.57, "rows/0/ways/fine_tuned/test_accuracy"),
    "plain": (100 - 1.78, "rows/0/ways/fine_tuned/test_accuracy"),
    "stacked_denoising": (100 - 1.28, "rows/0/ways/fine_tuned/test_accuracy"),
    "stacked_plain": (100 - 1.40, "rows/0/ways/fine_tuned/test_accuracy"),
    "deep": (3.00, "rows/size=30/squared_error/test"),
    "vae_1": (-86.76, "log_likelihood/nats"),
    "iwae_5": (-85.54, "log_likelihood/nats"),
    "iwae_50": (-84.78, "log_likelihood/nats"),
    "vae_1_paper": (-86.76, "log_likelihood/nats"),
    "iwae_5_paper": (-85.54, "log_likelihood/nats"),
    "iwae_50_paper": (-84.78, "log_likelihood/nats"),
    "vae_fixed": (-89.78, "log_likelihood/nats"),
    "vae_flax": (104.0, "final/test/loss"),
    "vae_fashion": (-228.7, "log_likelihood/nats"),
    "topk_with": (0.07, "final/train/dead_share"),
    "topk_without": (0.9, "final/train/dead_share"),
}


def test_published_figures_are_those_of_their_sources():
    first = {}  # line of each experiment that has a published figure
    for line in (line for row in results.ROWS for line in row.lines if line.published):
        first.setdefault(line.experiment.name, (pytest.approx(line.published[""]), line.at[""]))
    assert first == PUBLISHED


def test_jacobians_are_over_those_of_plain_units_as_published():
    (row,) = [row for row in results.ROWS if row.name == "contractive"]
    norms = [line for line in row.lines if line.over]
    assert {line.over.name for line in norms} == {"plain"}
    published = {line.experiment.name: line.published[""] for line in norms}
    assert published == {
        "contractive": pytest.approx(0.73 / 17.5, abs=1e-3),
        "denoising_gaussian": pytest.approx(0.86 / 17.5, abs=1e-3),
        "denoising_masking": pytest.approx(7.87 / 17.5, abs=1e-3),
        "plain": 1.0,
    }
    assert all("--images=200" in line.ask and line.at == {"": "frobenius/mean"} for line in norms)


def test_figures_of_several_names_stand_where_their_names_say():
    lines = {row.name: row.lines for row in results.ROWS}
    for line in lines["few_labels"]:
        number = {"100": 0, "1000": 1}[line.measure.split()[1]]
        assert line.at == {
            told: f"rows/{number}/ways/{way}/test_accuracy"
            for told, way in (("scratch", "scratch"), ("frozen", "frozen"), ("fine-tuned", "fine_tuned"))
        }
    for line in lines["plane"]:
        for name, where in line.at.items():
            assert where.endswith(f"1-NN/accuracy_by_class/{name}" if name else "1-NN/test_accuracy")
            assert ("/PCA/" in where) == (line.setting == "principal components")
    for line in lines["hashing"]:
        assert all(name.partition(",")[0].split()[-1] in where for name, where in line.at.items())
    for line in lines["capacity"]:
        assert all(where.startswith(f"rows/size={name.removeprefix('n=')}/") for name, where in line.at.items())


def test_rows_and_experiments_have_names_of_their_own():
    names = [row.name for row in results.ROWS]
    assert len(set(names)) == len(names)
    found = {experiment for row in results.ROWS for line in row.lines for experiment in line.experiments}
    assert len({experiment.name for experiment in found}) == len(found)


def test_the_readme_has_the_table_of_the_numbers_beside_it():
    numbers = files.read_json(Path(results.NUMBERS))["rows"]
    assert table.markdown(numbers) in Path("README.md").read_text(encoding="utf-8")
    rows = [{**table.head(row), "lines": [table.entry(line, None) for line in row.lines]} for row in results.ROWS]
    for line in (line for row in numbers for line in row["lines"]):
        for found in ("figures", "reason", "seconds", "device"):
            del line[found]
    for line in (line for row in rows for line in row["lines"]):
        del line["figures"]
    assert files.rounded(rows) == numbers
