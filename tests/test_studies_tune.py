"""Tuning: what --search says, which settings are drawn, how trials are compared, and what is refused."""

import json
import shlex

import numpy as np
import pytest

import aejax
from aejax import data, files, main, train
from aejax.errors import Diverged, UserError
from aejax.studies import search, tune, tune_report
from aejax.studies.runs import Study
from aejax.sweep import values
from aejax.sweep.values import Choices, Log, Uniform
from aejax.tables import Mean
from configs.base import base
from tests import configurations

TINY = ["--config=configs/denoising.py:tiny", "--config.mesh.devices=1", "--config.train.epochs=1"]
TINY += ["--config.sweep.at_once=1"]  # in order
EVERY = "encoder.widths={(32,),()},code.size=2:9,corruption.std=0.1:0.5,optim.learning_rate=log:1e-4:1e-2"


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(configurations.ROOT)


# -- what --search says


def test_every_form_is_read_as_the_type_of_its_key():
    text = f"{EVERY} , train.batch_size={{16, 32}},log.tensorboard={{true,false}},encoder.norm={{none,batch}}"
    spaces = {space.key: space for space in search.parse(text, base())}
    assert spaces["encoder.widths"] == Choices("encoder.widths", ((32,), ()))
    assert spaces["code.size"] == Uniform("code.size", 2, 9, True)
    assert spaces["corruption.std"] == Uniform("corruption.std", 0.1, 0.5, False)
    assert spaces["optim.learning_rate"] == Log("optim.learning_rate", 1e-4, 1e-2, False)
    assert spaces["train.batch_size"].values == (16, 32)
    assert spaces["log.tensorboard"].values == (True, False)
    assert spaces["encoder.norm"].values == ("none", "batch")


@pytest.mark.parametrize(
    "text, values, log",
    [
        ("corruption.std=0.1:0.5:5", (0.1, 0.2, 0.3, 0.4, 0.5), False),
        ("code.size=2:5:3", (2, 4, 5), False),  # 3.5 rounds to the even one
        ("code.size=1:3:9", (1, 2, 3), False),
        ("optim.learning_rate=log:1e-4:1e-2:3", (1e-4, 1e-3, 1e-2), True),
        ("code.size=log:4:64:5", (4, 8, 16, 32, 64), True),
    ],
)
def test_a_number_of_values_makes_a_range_into_choices(text, values, log):
    space = search.parse(text, base())[0]
    assert space.values == values and space.log == log
    assert all(type(value) is (int if space.key == "code.size" else float) for value in space.values)


@pytest.mark.parametrize(
    "text, told",
    [
        ("", "is missing"),
        ("code.size", "'code.size' is no KEY=VALUES"),
        ("code.size=", "is no KEY=VALUES"),
        ("code.sise={1,2}", "config.code.sise is not a key"),
        ("code={1,2}", "config.code is a section"),
        ("code.size={1,2},code.size=3:4", "code.size comes twice"),
        ("code.size={1,2.5}", "'2.5' for code.size is not a whole number"),
        ("code.size={1,2", "no closing brace"),
        ("code.size={}", "names no value"),
        ("code.size=7", "code.size=7 is not understood"),
        ("code.size=1:2:3:4", "not understood"),
        ("code.size=1.5:3", "'1.5' for code.size is not a whole number"),
        ("corruption.std=0.5:0.1", "low must be below high"),
        ("corruption.std=log:0:1", "low must be above 0"),
        ("corruption.std=0.1:nan", "'nan' for corruption.std is not a number"),
        ("corruption.std=0.1:0.5:1", "how many values"),
        ("encoder.norm=a:b", "is a range, but config.encoder.norm is text"),
        ("log.tensorboard=0:1", "is a range, but config.log.tensorboard is true or false"),
        ("encoder.widths={32}", "'32' for encoder.widths is not a tuple"),
    ],
)
def test_what_is_not_understood_is_named(text, told):
    with pytest.raises(UserError) as caught:
        search.parse(text, base())
    assert told in str(caught.value) and "\n" not in str(caught.value)


# -- settings


def test_draws_are_pure_in_their_seed_and_more_contain_fewer():
    spaces = search.parse(EVERY, base())
    few, many, other = values.draws(spaces, 5, 0), values.draws(spaces, 40, 0), values.draws(spaces, 5, 1)
    assert few == values.draws(spaces, 5, 0) == many[:5] and few != other
    assert len({str(setting) for setting in many}) == 40
    alone = values.draws(spaces[1:], 5, 0)
    assert [setting["corruption.std"] for setting in alone] == [setting["corruption.std"] for setting in few]
    for setting in many:
        assert type(setting["code.size"]) is int and 2 <= setting["code.size"] <= 9
        assert 0.1 <= setting["corruption.std"] <= 0.5 and 1e-4 <= setting["optim.learning_rate"] <= 1e-2
        assert setting["encoder.widths"] in ((32,), ())


def test_draws_are_uniform_and_log_uniform():
    shares = (np.arange(10_000) + 0.5) / 10_000
    whole = np.bincount([Uniform("k", 2, 5, True).at(share) for share in shares])
    assert whole.tolist() == [0, 0, 2500, 2500, 2500, 2500]
    assert np.mean([Uniform("k", 1.0, 3.0, False).at(share) for share in shares]) == pytest.approx(2, rel=1e-3)
    assert np.mean([Log("k", 1e-4, 1e-2, False).at(s) < 1e-3 for s in shares]) == pytest.approx(0.5, abs=1e-3)
    counts = np.bincount([Log("k", 1, 4, True).at(share) for share in shares])
    expected = np.log([1.5 / 0.5, 2.5 / 1.5, 3.5 / 2.5, 4.5 / 3.5]) / np.log(9)
    np.testing.assert_allclose(counts[1:] / 10_000, expected, atol=1e-3)
    drawn = [values._share(0, "code.size", draw) for draw in range(4000)]
    assert 0 <= min(drawn) < 0.01 and 0.99 < max(drawn) < 1 and np.mean(drawn) == pytest.approx(0.5, abs=0.02)


def test_few_settings_are_all_drawn_and_once():
    spaces = search.parse("code.size={1,2,3},encoder.norm={none,batch}", base())
    found = values.draws(spaces, 20, 3)
    assert len(found) == values.count(spaces) == 6
    assert sorted(map(str, found)) == sorted(map(str, values.grid(spaces, "--grid")))
    assert values.count(search.parse("code.size=2:9,corruption.std=0.1:0.5", base())) == np.inf


def test_a_grid_has_every_combination_in_order():
    found = values.grid(search.parse("code.size={4,2},corruption.std=0.1:0.3:2", base()), "--grid")
    assert [tuple(setting.values()) for setting in found] == [(4, 0.1), (4, 0.3), (2, 0.1), (2, 0.3)]
    with pytest.raises(UserError, match="corruption.std is a range; accepted: 0.1:0.3:n"):
        values.grid(search.parse("corruption.std=0.1:0.3", base()), "--grid")


# -- trials


@pytest.fixture
def tuned(tmp_path, monkeypatch, capsys):
    """Runs the study with made figures in place of training: (status, out, err, JSON or None, the runs trained)."""
    trained = []

    def figures(config):
        value = (config.corruption.std - 0.3) ** 2 + 0.01 * config.data.fold + config.code.size / 1000
        return {"loss": 100 - value, "reconstruction": value, "squared_error": config.code.size}

    def run(config, workdir, host):
        trained.append(config)
        if config.corruption.std > 0.9:
            workdir.mkdir(parents=True)
            raise Diverged("the loss is not finite")
        return 0

    def measure_all(self, runs, asked, function):
        one = lambda run: {split: figures(run.config) for split in ("train", "valid", "test")}  # noqa: E731
        return [one(run)["valid"] if function is tune.on_valid else one(run) for run in runs]

    monkeypatch.setattr(train, "run", run)
    monkeypatch.setattr(Study, "measure_all", measure_all)

    def tuned(*arguments):
        trained.clear()
        folder = tmp_path / f"study{len(list(tmp_path.iterdir()))}"
        status = tune.main([*TINY, f"--folder={folder}", *arguments])
        path = folder / "tune.json"
        found = json.loads(path.read_text(), parse_constant=pytest.fail) if path.exists() else None
        return status, *capsys.readouterr(), found, list(trained)

    return tuned


SEARCH = "--search=corruption.std={0.1,0.35,0.6},code.size={4,8}"


def test_a_grid_over_folds_finds_the_lowest_mean(tuned):
    status, out, _, found, trained = tuned(SEARCH, "--grid", "--folds=3", "--metric=reconstruction")
    assert status == 0 and len(trained) == 3 * 2 * 3 + 3
    for number, config in enumerate(trained[:-3]):  # each fold with the next seed
        assert (config.data.folds, config.data.fold, config.seed) == (3, number % 3, number % 3)
    assert [c.name for c in trained[-3:]] == [f"denoising_tiny_best_seed{seed}" for seed in range(3)]
    assert all(config.data.folds == 0 for config in trained[-3:])
    best = found["trials"][found["best"]]
    assert best["setting"] == {"corruption.std": 0.35, "code.size": 4}
    assert best["values"] == pytest.approx([0.0065, 0.0165, 0.0265])
    assert best["metric"] == {"mean": pytest.approx(0.0165), "std": pytest.approx(0.01), "count": 3}
    assert found["trained_as_usual"]["test"]["mean"] == pytest.approx(0.0065)
    table = out[out.index("rank") :].splitlines()
    assert table[2].split()[:3] == ["1", "0.35", "4"] and len(table[2:8]) == 6
    assert "1 of the other 5 lie within its standard deviation" in out


def test_test_and_train_have_no_say(tuned, monkeypatch):
    def measure_all(self, runs, asked, function):
        if function is tune.on_valid:
            return [{"loss": float(run.config.code.size)} for run in runs]
        return [{split: {"loss": -float(run.config.code.size)} for split in ("train", "test")} for run in runs]

    monkeypatch.setattr(Study, "measure_all", measure_all)
    assert tuned(SEARCH, "--grid", "--folds=0")[3]["trials"][0]["setting"]["code.size"] == 4


def test_seeds_come_again_where_there_are_more_folds(tuned):
    trained = tuned("--search=corruption.std={0.2,0.3}", "--grid", "--folds=3", "--seeds=5,6")[4]
    assert [(config.data.fold, config.seed) for config in trained[:3]] == [(0, 5), (1, 6), (2, 5)]


def test_without_folds_the_usual_valid_split_and_every_seed(tuned):
    _, _, _, found, trained = tuned(SEARCH, "--trials=2", "--folds=0", "--seeds=5,6", "--metric=squared_error")
    assert len(trained) == 2 * 2 + 2 and all(config.data.folds == 0 for config in trained)
    assert [config.seed for config in trained] == [5, 6] * 3
    assert len(found["trials"]) == 2 and found["trained_as_usual"]["valid"]["count"] == 2


def test_the_command_line_trains_the_best(tuned):
    _, out, _, found, trained = tuned(SEARCH, "--trials=3", "--folds=2", "--seeds=0", "--config.encoder.widths=(7,)")
    assert found["command"] in out
    arguments = shlex.split(found["command"])
    assert arguments[:3] == ["python", "-m", "aejax.main"]
    config, keys, _ = main.parse(arguments[2:])
    best = found["trials"][found["best"]]["setting"]
    assert {key: keys[key] for key in best} == best and config.encoder.widths == (7,)
    same = {**trained[-1].to_dict(), "name": "denoising_tiny", "log": None, "checkpoint": None, "sweep": None}
    assert {**config.to_dict(), "log": None, "checkpoint": None, "sweep": None} == same


def test_a_trial_that_diverges_comes_last(tuned, tmp_path):
    given = ("--search=corruption.std={0.2,0.95}", "--grid", "--folds=2", "--metric=reconstruction")
    status, out, _, found, trained = tuned(*given)
    assert status == 0 and found["trials"][1]["metric"] is None and found["best"] == 0
    assert "1 of 2 trials diverged" in out and "diverged" in out
    status, _, err, _, _ = tuned("--search=corruption.std={0.95,0.96}", "--grid", "--folds=2")
    assert status == 2 and "every trial" in err


@pytest.mark.parametrize(
    "arguments, told",
    [
        ([], "--search="),
        (["--search=code.size={2", "--search=3}"], "--search came 2 times"),
        (["--search=code.sise={2,3}"], "config.code.sise is not a key"),
        ([SEARCH, "--metric=error"], "--metric=error of a model 'autoencoder'; accepted: loss, reconstruction"),
        ([SEARCH, "--folds=1"], "--folds=1: "),
        ([SEARCH, "--trials=0"], "--trials=0"),
        ([SEARCH, "--config.data.folds=3"], "config.data.folds=3 is set by the study"),
        (["--search=data.split_seed={0,1}"], "data.split_seed is not for learning better by"),
        (["--search=seed={0,1}"], "seed is not for learning"),
        (["--search=loss.l1={0.0,1.0}"], "loss.l1 changes what --metric=loss means; accepted: --metric=reconstruction"),
        (["--search=loss.likelihood={gaussian,bernoulli}", "--metric=reconstruction"], "accepted: --metric=squared"),
        (["--search=code.k={2,3}"], "with code.k 3: config.code.k is not read with config.code.name"),
        (["--search=code.size={2,0}", "--grid"], "with code.size 0: config.code.size=0 is out of range"),
        (["--search=code.size=2:5", "--grid"], "--grid: code.size is a range"),
        ([SEARCH, "--folds=0", "--config.data.valid=0.0"], "--folds=0 compares on valid, which is empty"),
    ],
)
def test_mistakes_are_one_line(tuned, arguments, told):
    status, _, err, _, trained = tuned(*arguments)
    assert status == 2 and err.count("\n") == 1 and err.startswith("aejax.studies.tune: ") and told in err
    assert trained == []


def test_a_trial_is_measured_on_the_fold_that_it_was_not_trained_on(tmp_path):
    config = configurations.load("shallow", {"data.folds": 2, "data.fold": 1, "train.epochs": 1})
    assert train.run(config, tmp_path) == 0
    run = aejax.load(tmp_path)
    found = tune.on_valid(run, run.dataset())
    lines = {line["split"]: line for line in files.read_lines(tmp_path / "metrics.jsonl")}
    assert found["loss"] == pytest.approx(lines["valid"]["loss"]) != lines["test"]["loss"]
    held = data.load(config.data).valid.images
    error = np.square(run.reconstruct(held) - run.prepare(held)).sum(axis=(1, 2, 3)).mean()
    assert found["squared_error"] == pytest.approx(error, rel=1e-4) and len(held) == 719


# -- sentences


def report(trials, keys, folds=3):
    numbers = {
        "metric": "loss", "folds": folds, "seeds": [0], "keys": keys, "best": 0, "command": "python",
        "trials": [{"trial": i, "setting": setting, "values": [1.0] * 3, "metric": metric}
                   for i, (setting, metric) in enumerate(trials)],
        "trained_as_usual": {"test": Mean(1.0, None, 1)},
    }  # fmt: skip
    tune_report.draw(numbers, "made").canvas.draw()
    return tune_report.tabulate(numbers), " ".join(tune_report.summarise(numbers))


def test_sentences_follow_the_numbers():
    keys = {"a.rate": {"log": True, "low": 1e-4, "high": 1e-1}, "b.norm": {"log": False}, "c.n": {"log": False}}
    values = [(1e-3, "batch", 1), (9e-2, "none", 2), (1e-2, "batch", 3), (2e-4, "none", 2), (3e-2, "batch", 1)]
    means = [5.0, 1.0, 3.0, 6.0, 2.0]
    trials = [(dict(zip(keys, v, strict=True)), Mean(m, 0.1, 3)) for v, m in zip(values, means, strict=True)]
    table, text = report(trials, keys)
    assert [row["trial"] for row in table] == [1, 4, 2, 0, 3] and table[0]["b.norm"] == "none"
    assert "loss 1.00 ± 0.10 over 3 folds; the worst 6.00 ± 0.10" in text and "None of the other 4" in text
    assert "a.rate -1.00" in text and "By b.norm, on average: batch 3.333, none 3.5." in text
    assert "Its a.rate lies at the high end of the range" in text and "diverged" not in text
    trials = [*trials[:1], ({"a.rate": 1e-2, "b.norm": "none", "c.n": 2}, Mean(5.05, 0.1, 3)), (trials[0][0], None)]
    table, text = report(trials, keys, folds=0)
    assert table[-1]["loss"] == "diverged" and "1 of 3 trials diverged" in text and "1 of the other 1 lie" in text
    assert "the valid split" in text and "end of the range" not in text and "Rank correlation" not in text
