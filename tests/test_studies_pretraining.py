"""Classifiers made of pretrained encoders: what is frozen stays, what is compared is paired, and what is told."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ml_collections import FrozenConfigDict

import aejax
from aejax.errors import UserError
from aejax.studies import pretraining, pretraining_report
from aejax.studies.pretraining import numbers_of_labels, of_classifier, schedule, ways
from aejax.tables import mean_std
from tests import configurations

COMMON = ["--config=configs/deep.py:tiny", "--config.mesh.devices=1", "--config.train.epochs=2", "--seeds=3,7"]


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(configurations.ROOT)


def test_numbers_of_labels():
    assert numbers_of_labels(["all", "10%", "100"], 3600, 10) == {"100": 100, "10%": 360, "all": 3600}
    assert list(numbers_of_labels(["all", "10%", "100"], 3600, 10)) == ["100", "10%", "all"]
    for wrong in (["9"], ["3601"], ["many"], ["100", "100"], ["10%", "360"], ["x%"], ["0"], ["101%"], ["inf%"]):
        with pytest.raises(UserError, match="--labels=.*accepted: 10 to 3600"):
            numbers_of_labels(wrong, 3600, 10)


def test_every_number_of_labels_gets_as_many_steps_and_passes():
    few = schedule(100, 3600, 64, steps=1000, epochs=10)
    assert few == {"data.labels": 100, "train.batch_size": 20, "train.epochs": 200, "eval.epochs": 10}
    every = schedule(3600, 3600, 64, steps=100, epochs=10)
    assert every == {"data.labels": 0, "train.batch_size": 64, "train.epochs": 10, "eval.epochs": 1}
    assert schedule(3, 3600, 64, steps=1, epochs=1)["train.batch_size"] == 3
    assert schedule(50, 3600, 64, steps=11, epochs=1)["train.epochs"] == 3  # of 5 steps


def plan(labels, **changes):
    flags = {"draws": 10, "steps": 1, "epochs": 1, "parts": ["encoder"], "encoder_rate": 1.0, "on": "code"}
    flags |= {"ways": pretraining.WAYS, "learning_rate": None, **changes}
    made = lambda name, told, changes: SimpleNamespace(workdir=Path(name), changes=changes)  # noqa: E731
    study = SimpleNamespace(
        flags=SimpleNamespace(**flags), config=configurations.load("shallow"), seeds=[3, 7], plan=made
    )
    return pretraining.plan(study, labels, 3600)


def test_ways_that_are_left_out_are_not_trained_and_classifiers_have_a_rate_of_their_own():
    sources, planned = plan({"100": 100}, ways=["fine_tuned"], learning_rate=0.07)
    assert list(planned) == [("100", "fine_tuned")]
    assert {run.changes["optim.learning_rate"] for run in planned["100", "fine_tuned"]} == {0.07}
    assert all("optim.learning_rate" not in run.changes for run in sources)
    _, planned = plan({"100": 100})
    assert [way for _, way in planned] == list(pretraining.WAYS)
    assert not any("optim.learning_rate" in run.changes for runs in planned.values() for run in runs)


def test_few_labels_are_drawn_often():
    _, planned = plan({"1000": 1000, "1001": 1001, "all": 3600})
    assert [len(planned[text, "scratch"]) for text in ("1000", "1001", "all")] == [10, 2, 2]
    assert {run.changes["data.labels_seed"] for run in planned["1000", "frozen"]} == set(range(10))
    assert {run.changes["data.labels_seed"] for run in planned["all", "frozen"]} == {0}


def test_ways_take_and_freeze_what_is_named():
    found = ways(("encoder/convs_0", "code"), 0.5, "runs/x")
    assert found["scratch"] == {}
    assert found["frozen"]["optim.freeze"] == ("encoder/convs_0",) and "optim.encoder_rate" not in found["frozen"]
    assert found["fine_tuned"]["optim.encoder_rate"] == 0.5 and "optim.freeze" not in found["fine_tuned"]
    for way in ("frozen", "fine_tuned"):
        assert found[way]["start.workdir"] == "runs/x" and found[way]["start.parts"] == ("encoder/convs_0", "code")


def test_a_classifier_has_no_penalties_of_the_autoencoder(tiny):
    config = FrozenConfigDict(tiny("sparse", {"corruption.name": "masking"}))
    keys = of_classifier(config, "hidden")
    assert config.loss.l1 > 0 and keys["loss.l1"] == 0
    assert (keys["model"], keys["classifier.on"], keys["checkpoint.best"]) == ("classifier", "hidden", False)
    assert keys["corruption.name"] == "none"  # which is what pretraining alone does
    assert not any(key.startswith(("encoder.", "code.", "data.")) for key in keys)


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    """The folder of a study of three draws of 30 labels, two seeds."""
    folder = tmp_path_factory.mktemp("pretraining")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(configurations.ROOT)
        arguments = [*COMMON, f"--folder={folder}", "--labels=30", "--draws=3", "--steps=6", "--epochs=1"]
        assert pretraining.main(arguments) == 0
    return folder


def kernel(folder, name):
    return np.asarray(aejax.load(folder / name).variables["params"]["encoder"]["layers_0"]["kernel"])


def test_frozen_weights_are_the_autoencoders_and_the_others_learn(studied):
    for draw, seed in enumerate((3, 7, 3)):
        source = kernel(studied, f"autoencoder_seed{seed}")
        assert np.array_equal(kernel(studied, f"labels30_draw{draw}_frozen"), source)
        tuned, scratch = (kernel(studied, f"labels30_draw{draw}_{way}") for way in ("fine_tuned", "scratch"))
        assert 0 < np.abs(tuned - source).max() < 0.5 * np.abs(scratch - source).max()


def test_draws_differ_and_are_paired(studied):
    configs = {p.parent.name: json.loads(p.read_text()) for p in studied.glob("labels30_*/config.json")}
    assert len(configs) == 9
    of = lambda way: [  # noqa: E731
        (c["seed"], c["data"]["labels_seed"]) for c in (configs[f"labels30_draw{d}_{way}"] for d in range(3))
    ]
    assert of("scratch") == of("frozen") == of("fine_tuned") == [(3, 0), (7, 1), (4, 2)]


def test_what_is_told_is_what_was_measured(studied):
    numbers = json.loads((studied / "pretraining.json").read_text(), parse_constant=pytest.fail)
    (row,) = numbers["rows"]
    last = [json.loads(line) for line in (studied / "labels30_draw1_frozen/metrics.jsonl").read_text().splitlines()][-1]
    assert last["split"] == "test"
    assert row["ways"]["frozen"]["each_test_accuracy"][1] == pytest.approx(100 * (1 - last["error"]), abs=1e-3)
    gains = np.subtract(*(row["ways"][way]["each_test_accuracy"] for way in ("frozen", "scratch")))
    mean, std, count = (row["ways"]["frozen"]["over_scratch"][name] for name in ("mean", "std", "count"))
    assert (mean, std, count) == (pytest.approx(gains.mean(), abs=1e-3), pytest.approx(gains.std(ddof=1), abs=1e-3), 3)
    steps, curve = row["ways"]["scratch"]["steps"], row["ways"]["scratch"]["curve"]
    assert steps == sorted(steps) and steps[-1] == 6 and len(curve) == len(steps)  # 2 passes of 3 batches of 10
    assert (studied / "pretraining_curves.png").exists() and (studied / "pretraining.csv").exists()


def rows(*accuracies):
    return {
        "rows": [
            {"labels": n, "draws": len(scratch), "ways": {
                way: {"test_accuracy": mean_std(values),
                      "over_scratch": mean_std(v - s for v, s in zip(values, scratch, strict=True))}
                for way, values in (("scratch", scratch), ("frozen", frozen), ("fine_tuned", tuned))
            }}
            for n, scratch, frozen, tuned in accuracies
        ]
    }  # fmt: skip


def test_sentences_follow_the_numbers():
    gain = rows((100, [50, 52, 54], [60, 62, 64.5], [40, 40, 40]), (1000, [70, 70.0], [71, 69], [60, 60]))
    told = pretraining_report.summarise(gain)
    assert "frozen, gains 10.17 ± 0.17 points" in told[1] and "3 paired draws" in told[1]
    assert "frozen, is within noise of scratch: +0.00 ± 1.00 points" in told[3]
    assert told[4] == "What pretraining reaches with 100 labels, scratch reaches with 1,000."
    assert told[5] == "Pretrained, frozen, with 100 labels: -7.83 points beside scratch with 1,000 (70 ± 0)."
    told = pretraining_report.summarise(rows((100, [50, 52], [40, 42.5], [30, 30]), (200, [51, 51], [40, 40], [9, 9])))
    assert "frozen, loses 9.75 ± 0.25 points" in told[1] and len(told) == 5
    told = pretraining_report.summarise(rows((100, [50, 52], [60, 66], [30, 30])))
    assert "is within noise of scratch: +12.00 ± 2.00" in told[1]  # of two draws: a t of 12.7
    told = pretraining_report.summarise(rows((100, [50], [80], [30]), (200, [51], [90], [9])))
    assert "+30.00 points over scratch in one draw" in told[1] and "none of these numbers, up to 200" in told[4]


def test_without_scratch_nothing_is_compared_with_it():
    numbers = rows((100, [50, 52], [60, 66], [30, 30]), (200, [51, 51], [70, 70], [9, 9]))
    for row in numbers["rows"]:
        del row["ways"]["scratch"]
        for found in row["ways"].values():
            found["over_scratch"] = None
    told = pretraining_report.summarise(numbers)
    assert len(told) == 2 and told[0] == "100 labels: test accuracy in percent frozen 63.0 ± 4.2, fine-tuned 30 ± 0."
    assert [line["points over scratch"] for line in pretraining_report.tabulate(numbers)] == [None] * 4
    drawn = pretraining_report.draw(numbers, "net").axes[0]
    assert [text.get_text() for text in drawn.get_legend().get_texts()] == ["frozen", "fine-tuned"]


@pytest.mark.parametrize(
    "arguments, told",
    [(["--labels=5"], "--labels=5"), (["--on=head"], "accepted are hidden, code"),
     (["--ways=thawed"], "accepted are scratch, frozen"),
     (["--parts=decoder"], "--parts=decoder"), (["--config.data.labels=10"], "config.data.labels=10"),
     (["--parts=encoder/convs_0"], "accepted: code, encoder, encoder/layers_0"),
     (["--parts=encoder/layers_0", "--encoder_rate=0.1"], "start anew"),
     (["--config=configs/classifier.py:tiny"], "needs no pretraining")],
)  # fmt: skip
def test_refusals(capsys, tmp_path, arguments, told):
    folder = tmp_path / "study"
    given = [*arguments, *COMMON[1:]] if arguments[0].startswith("--config=") else [*COMMON, *arguments]
    assert pretraining.main([*given, f"--folder={folder}"]) == 2
    out, err = capsys.readouterr()
    assert err.count("\n") == 1 and told in err and not folder.exists()
