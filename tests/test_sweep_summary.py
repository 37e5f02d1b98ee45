"""What the members of a sweep came to: read from lines made by hand, told, drawn, and the best of them."""

import csv
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from aejax import logs, main, workdirs
from aejax.analysis import sweep
from aejax.analysis.averaged import over_members
from aejax.analysis.sweep import keys_figure, scales, seeds_figure, sentences, settings, table
from aejax.errors import UserError
from aejax.sweep import members, outcomes
from aejax.sweep.best import best
from tests import configurations

EPOCHS = 3


def made(folder, swept, lines, diverged=(), config="shallow", **changes):
    """A sweep's workdir: ``lines(member, settings)`` gives (epoch, split, figures) of each; ten steps an epoch."""
    keys = {f"sweep.{key}": value for key, value in swept.items()}
    config = configurations.load(config, {"train.epochs": EPOCHS, **changes, **keys})
    folder.mkdir(exist_ok=True)
    workdirs.write_config(folder, config)
    with (folder / logs.METRICS).open("w") as file:
        for number, setting in enumerate(members.settings(config)):
            (folder / "members" / str(number)).mkdir(parents=True, exist_ok=True)
            if number in diverged:
                (folder / "members" / str(number) / members.DIVERGED).write_text("not finite\n")
            for epoch, split, figures in lines(number, setting):
                row = {"member": number, "settings": setting, "step": 10 * epoch, "epoch": epoch, "split": split}
                file.write(json.dumps({**row, **figures}) + "\n")
    return folder


def trained(*valid, test=None, train=None, epochs=None, **more):
    """The lines of a member with these valid losses, an epoch each; ``more`` has other figures' values likewise."""
    lines = []
    for i, loss in enumerate(valid):
        figures = {"loss": loss, "reconstruction": loss, **{name: values[i] for name, values in more.items()}}
        lines += [(i + 1, "train", {"loss": loss + 1 if train is None else train}), (i + 1, "valid", figures)]
    return lines + ([] if test is None else [(epochs or len(valid), "test", {"loss": test, "reconstruction": test})])


def of(*losses):
    """Members that fall to these valid losses, and a tenth more on test."""
    return lambda number, _: trained(99.0, 98.0, losses[number], test=losses[number] + 0.1)


def spaced(text):
    return " ".join(text.split())


# -- the best member


def test_the_best_member_has_the_lowest_best_valid_loss(tmp_path):
    valid = [(5, 3.0, 4), (5, 2.5, 9), (5, 4, 2.5), (1.0, 1, 1), (5, math.nan, 3)]
    folder = made(tmp_path, {"seed": "0,1,2,3,4"}, lambda i, _: trained(*valid[i], test=-i), diverged=[3])
    assert best(folder) == 1  # not the lowest at the end, on test or on train, nor the second of equals


def test_weights_of_the_loss_are_compared_by_the_reconstruction_of_the_best_weights(tmp_path):
    loss = [(6, 5, 7), (3, 2, 1), (9, 8, 8)]
    reconstruction = [(9, 4, 1), (9, 9, 5), (9, 3, 9)]
    folder = made(
        tmp_path, {"loss.kl": "1,0.1,2"}, lambda i, _: trained(*loss[i], reconstruction=reconstruction[i]), config="vae"
    )
    assert best(folder) == 2  # 4, 5 and 3 where each loss was lowest
    assert best(made(tmp_path / "b", {"seed": "0,1,2"}, lambda i, _: trained(*loss[i]), config="vae")) == 1


@pytest.mark.parametrize(
    "key, values, changes",
    [
        ("loss.likelihood", "bernoulli,squared_error", {}),
        ("loss.std", "0.1,1", {"loss.likelihood": "gaussian"}),
        ("data.valid", "0.1,0.2", {}),
        ("data.split_seed", "0,1", {}),
        ("data.name", "digits,mnist5k", {}),
        ("data.whiten", "none,centred", {}),
        ("data.labels_seed", "0,1", {"data.labels": 50, "data.whiten": "standard"}),
        ("model", "autoencoder,classifier", {}),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path, key, values, changes):
    folder = made(tmp_path, {key: values}, lambda i, _: trained(3, 2, 1), **changes)
    with pytest.raises(UserError, match=rf"config.sweep.{key}: .*--member"):
        best(folder)
    found = outcomes.read(folder)
    ranking = settings.ranked(found, settings.of(found))
    assert ranking.metric is None and ranking.reason.startswith(f"As {key} changes what loss means, and no other")


@pytest.mark.parametrize(
    "key, values, changes",
    [
        ("data.labels_seed", "0,1", {"data.labels": 50}),
        ("data.resample", "1,2", {"data.whiten": "contrast"}),
        ("data.whiten", "none,centred", {"model": "classifier"}),
        ("code.name", "deterministic,gated", {"model": "classifier"}),
        ("code.free_bits", "0,1", {}),
        ("loss.likelihood", "bernoulli", {}),  # of one value
    ],
)
def test_what_can_be_compared_is(tmp_path, key, values, changes):
    folder = made(tmp_path, {key: values, "seed": "0,1"}, lambda i, _: trained(3, 2, 1 - 0.1 * (i == 1)), **changes)
    assert best(folder) == 1


@pytest.mark.parametrize("key, values", [("code.free_bits", "0,1"), ("code.samples", "1,5"), ("loss.kl", "1,2")])
def test_keys_that_change_what_the_loss_means_are_compared_by_the_reconstruction(tmp_path, key, values):
    lines = lambda i, _: trained(4, 3, 1 + i, reconstruction=(9, 9, 8 - i))  # noqa: E731
    assert best(made(tmp_path, {key: values}, lines, config="vae")) == 1  # of losses 1 and 2, reconstructions 8 and 7


@pytest.mark.parametrize(
    "lines, diverged, reason",
    [
        (lambda i, _: [(1, "train", {"loss": 1.0})], (), "no line of valid"),
        (lambda i, _: [], (), "no member has been evaluated"),
        (lambda i, _: trained(3, 2), (0, 1), "every member diverged"),
    ],
)
def test_no_best_member_is_told_why(tmp_path, lines, diverged, reason):
    with pytest.raises(UserError, match=rf"{reason}.*--member"):
        best(made(tmp_path, {"seed": "0,1"}, lines, diverged))


def test_a_run_is_no_sweep(tmp_path):
    workdirs.write_config(tmp_path, configurations.load("shallow"))
    with pytest.raises(UserError, match="no sweep"):
        best(tmp_path)


# -- how far they are


def test_how_far_each_member_is(tmp_path):
    lines = {
        0: trained(3, 2, 1, test=1),
        1: trained(2, 3, test=3),  # without patience, which is 1
        2: trained(3, 2, test=2),
        3: trained(3, 2, 1),  # killed before its test
        4: trained(2, 3),
        5: [],
        6: trained(1),
    }
    folder = made(tmp_path, {"seed": "0:6:7"}, lambda i, _: lines[i], [6], **{"train.early_stopping": 1})
    found = outcomes.read(folder).members
    assert [member.status for member in found] == [
        *("finished", "stopped early", "unfinished", "unfinished", "unfinished", "unfinished", "diverged"),
    ]
    assert [member.steps for member in found] == [30, 20, 20, 30, 20, 0, 10]
    told = sweep.write(folder)
    assert "7 members; 1 finished, 1 stopped early, 1 diverged, 4 unfinished." in told
    assert "1 of 7 diverged: seed 6." in told and "1 of 7 stopped early, at step 20." in told
    assert any(line.startswith("4 of 7 are not at their end") for line in told)


def test_epochs_and_patience_may_be_swept(tmp_path):
    swept = {"train.epochs": "2,3,9", "train.early_stopping": "0,0,1"}
    folder = made(tmp_path, swept, lambda i, _: trained(1, 2), **{"sweep.combine": "zipped"})
    assert [m.status for m in outcomes.read(folder).members] == ["finished", "unfinished", "stopped early"]


# -- tables


GRID = {"code.size": "4,8", "seed": "0,1,2"}
LOSSES = (2.0, 3.0, 4.0, 1.0, 2.5, 2.5)  # 3 ± 1 and 2 ± 0.866


def test_a_row_a_setting_and_a_row_a_member(tmp_path):
    folder = made(tmp_path, GRID, of(*LOSSES))
    rows = sweep.write(folder)[0].splitlines()
    assert spaced(rows[0]) == "best code.size seeds valid loss, best train loss valid loss test loss"
    assert spaced(rows[2]) == "4 3 3.0 ± 1.0 4.0 ± 1.0 3.0 ± 1.0 3.1 ± 1.0"
    assert spaced(rows[3]) == "* 8 3 2.00 ± 0.87 3.00 ± 0.87 2.00 ± 0.87 2.10 ± 0.87"
    table = list(csv.DictReader((folder / "sweep.csv").open()))
    assert [row["code.size"] + row["seed"] for row in table] == ["40", "41", "42", "80", "81", "82"]
    assert table[4] == {
        "member": "4", "code.size": "8", "seed": "1", "status": "finished", "steps": "30", "best valid loss": "2.5",
        "best valid step": "30", "train loss": "3.5", "valid loss": "2.5", "valid reconstruction": "2.5",
        "test loss": "2.6", "test reconstruction": "2.6",
    }  # fmt: skip
    numbers = json.loads((folder / "sweep.json").read_text())
    assert numbers["best_setting"] == 1 and numbers["compared_by"] == numbers["metric"] == "loss"
    assert numbers["settings"][0]["final"]["test"] == {"mean": 3.1, "std": 1.0, "count": 3}
    assert numbers["settings"][1]["members"] == [3, 4, 5]


def test_the_best_setting_is_that_of_the_best_epochs_on_valid(tmp_path):
    early = [(1, 5, 5), (2, 2, 2), (9, 9, 3)]
    folder = made(tmp_path, {"code.size": "4,8,16"}, lambda i, _: trained(*early[i], test=[9, 5, 0][i]))
    rows = sweep.write(folder)[0].splitlines()
    assert rows[2].split() == ["*", "4", "1", "6", "5", "9"] and [row[0] for row in rows[3:]] == [" ", " "]


def test_the_best_step_is_that_of_the_lowest_valid_loss(tmp_path):
    sweep.write(made(tmp_path, {"seed": "0,1"}, lambda i, _: trained(3, 1 + i, 2, test=2)))
    rows = csv.DictReader((tmp_path / "sweep.csv").open())
    assert [(r["steps"], r["best valid step"], r["best valid loss"]) for r in rows] == [
        *(("30", "20", "1"), ("30", "20", "2")),
    ]


def test_six_digits_and_empty_cells(tmp_path):
    lines = {0: trained(1 / 3, test=1e-7 / 3), 1: [(1, "valid", {"loss": math.nan, "error": 0.25})]}
    folder = made(tmp_path, {"encoder.widths": "{(),(8,4)}"}, lambda i, _: lines[i])
    sweep.write(folder)
    first, second = csv.DictReader((folder / "sweep.csv").open())
    assert first["best valid loss"] == "0.333333" and first["test loss"] == "3.33333e-08"
    assert second["encoder.widths"] == "(8, 4)" and first["encoder.widths"] == "()"
    assert second["best valid loss"] == second["valid loss"] == second["test loss"] == "" == first["valid error"]
    assert second["valid error"] == "0.25"


def test_seeds_alone_are_a_row_each_and_one_of_all(tmp_path):
    folder = made(tmp_path, {"seed": "7,5,6"}, of(2.0, 1.0, 3.0))
    told = sweep.write(folder)
    rows = [row.split() for row in told[0].splitlines()[2:]]
    assert [row[0] for row in rows] == ["7", "5", "6", "all"] and rows[0][1:] == ["2", "3", "2", "2.1"]
    assert " ".join(rows[3][1:]) == "2.0 ± 1.0 3.0 ± 1.0 2.0 ± 1.0 2.1 ± 1.0"
    assert "loss on test after the last epoch: 2.1 ± 1.0 over 3 seeds, from 1.1 (seed 5) to 3.1 (seed 6)." in told
    assert any(line.startswith("The best member by valid is 1 (seed 5), loss 1: ") for line in told)


def test_means_are_of_those_at_their_end_where_some_are(tmp_path):
    lines = [trained(9, 8, 2, test=2), trained(9, 8, 4, test=4), trained(50), trained(7), trained(5), []]
    folder = made(tmp_path, GRID, lambda i, _: lines[i], diverged=[3])
    first, second = settings.of(outcomes.read(folder))
    assert first.mean("loss", "valid") == (3.0, pytest.approx(math.sqrt(2)), 2)
    assert second.mean("loss", "valid") == (5.0, None, 1) and second.mean("loss", "test") is None
    assert [table.status(s) for s in (first, second)] == ["2 finished, 1 unfinished", "1 diverged, 2 unfinished"]
    rows = [row.split() for row in sweep.write(folder)[0].splitlines()]
    assert rows[0][-1] == "status" and rows[3][:2] == ["8", "1"]


def test_of_many_settings_the_best_and_the_worst_are_printed(tmp_path):
    order = np.random.default_rng(0).permutation(40)
    folder = made(tmp_path, {"code.size": "1:40:40"}, lambda i, _: trained(99, 99, float(order[i])), diverged=[3])
    text, told, *_ = sweep.write(folder)
    losses = [line.split()[2 if line.startswith("*") else 1] for line in text.splitlines()[2:]]
    finite = [str(n) for n in range(40) if n != order[3]]
    assert losses == [*finite[:20], *finite[-9:], "–"]
    assert told == ("Shown are the best 20 and the worst 10 by loss on valid; the other 10 of 40 are in sweep.csv.")
    assert len((folder / "sweep.csv").read_text().splitlines()) == 41


def test_values_are_printed_as_they_can_be_given_again(tmp_path):
    swept = {"optim.learning_rate": "log:1e-4:1", "train.batch_size": "1000:9000"}
    folder = made(tmp_path, swept, of(*map(float, range(10))), **{"sweep.combine": "random"})
    rows = [row.replace("*", " ").split()[:2] for row in sweep.write(folder)[0].splitlines()[2:]]
    drawn = [list(m.settings.values()) for m in outcomes.read(folder).members]
    assert rows == [[str(rate), str(size)] for rate, size in drawn]
    assert max(len(f"{rate:.9g}".replace("0.", "").lstrip("0")) for rate, _ in drawn) > 4


def test_another_figure_is_shown_and_one_without_order_ranks_nothing(tmp_path):
    def lines(i, _):
        figures = {"loss": float(i), "active_units": 9.0 - i}
        return [(3, "train", {"loss": 1.0}), (3, "valid", figures), (3, "test", figures if i else {"loss": 0.0})]

    folder = made(tmp_path, {"code.size": "4,8,16"}, lines)
    text, _, *told = sweep.write(folder, "active_units", "test")
    assert spaced(text.splitlines()[0]) == "best code.size valid loss, best test active_units"
    assert [row.split()[-1] for row in text.splitlines()[2:]] == ["–", "8", "7"]
    assert "As active_units has no better and worse, the best is found by loss." in told


# -- sentences


def second(tmp_path, losses):
    folder = made(tmp_path, GRID, of(*losses))
    return next(line for line in sweep.write(folder) if line.startswith("The second"))


def test_the_second_is_compared_pair_by_pair(tmp_path):
    told = second(tmp_path, (11.0, 21.1, 30.9, 10.0, 20.0, 30.0))  # 1 ± 0.0577, seeds far apart
    assert told.startswith("The second, code.size 4, is 1 (5 %) above it: more than the spread")
    assert "1 ± 0.2484 over 3 seeds" in told  # 4.303 standard errors
    told = second(tmp_path, (11.0, 21.5, 30.5, 10.0, 20.0, 30.0))  # 3.5 standard errors
    assert "is 1 (5 %) above it: within the spread" in told and "1 ± 1.242 over 3 seeds" in told


def test_one_seed_says_nothing_of_chance(tmp_path):
    folder = made(tmp_path, {"code.size": "4,8"}, of(2.0, 1.0))
    told = sweep.write(folder)
    assert "Best by valid: code.size 8, with loss 1 at the best epoch; after the last epoch 1 on valid and 1.1 on " \
           "test." in told  # fmt: skip
    assert any("1 (100 %) above it: with fewer than two seeds of both" in line for line in told)


def test_pairs_are_of_the_same_seeds(tmp_path):
    folder = made(tmp_path, GRID, of(1.0, 5.0, 9.0, 4.0, 2.0, 8.0), diverged=[0])
    first, second = settings.of(outcomes.read(folder))
    assert sentences.paired(first, second, "loss") == (-2.0, pytest.approx(math.sqrt(2)), 2)


def test_what_diverged_is_named(tmp_path):
    folder = made(tmp_path, GRID, of(*LOSSES), diverged=[1, 3, 4, 5])
    assert "4 of 6 diverged: code.size 4 (seed 1); code.size 8 (all seeds)." in sweep.write(folder)


def test_without_valid_none_is_marked(tmp_path):
    folder = made(tmp_path, {"code.size": "4,8"}, lambda i, _: [(3, s, {"loss": 2.0 - i}) for s in ("train", "test")])
    text, *told = sweep.write(folder)
    assert "*" not in text and "best" not in text
    assert "No member has a loss on valid: none is marked as the best." in told


@pytest.mark.parametrize("swept", [{"seed": "0,1"}, {"code.size": "4,8"}, {"code.size": "4", "code.name": "gated"}])
@pytest.mark.parametrize("lines", [lambda i, _: [], lambda i, _: [(1, "train", {"loss": 1.0})]])
def test_a_sweep_of_which_nothing_is_left_is_told_all_the_same(tmp_path, swept, lines):
    assert sweep.write(made(tmp_path, swept, lines, diverged=[0, 1]))
    assert (tmp_path / "sweep.png").stat().st_size


# -- figures


def panels(folder, metric="loss"):
    found = outcomes.read(folder)
    f = keys_figure.draw(found, settings.of(found), metric, ["valid", "test"])
    return f, [ax for ax in f.axes if ax.axison]


def points(line):
    return [tuple(map(float, pair)) for pair in zip(*line.get_data(), strict=True)]


def test_one_key_has_a_curve_a_split_with_its_band(tmp_path):
    folder = made(tmp_path, {"code.size": "8,4,16", "seed": "0,1"}, of(2, 4, 5, 7, 1, 1), diverged=[5])
    f, (ax,) = panels(folder)
    valid, test = (line for line in ax.lines if len(line.get_xdata()) == 3)
    assert points(valid) == [(4, 6), (8, 3), (16, 1)]
    assert points(test) == [(4, pytest.approx(6.1)), (8, pytest.approx(3.1)), (16, pytest.approx(1.1))]
    band = ax.collections[0].get_paths()[0].vertices
    top = max(y for x, y in band if x == 4)
    assert top == pytest.approx(6 + math.sqrt(2)) and ax.get_xscale() == "linear"
    lost = [line for line in ax.lines if line.get_label() == "diverged"]
    assert [line.get_xdata().tolist() for line in lost] == [[16]]
    assert [text.get_text() for text in f.legends[0].get_texts()] == ["valid", "test", "diverged"]


def test_several_keys_have_a_curve_for_each_combination_of_the_others(tmp_path):
    swept = {"code.size": "4,8", "optim.learning_rate": "0.001,0.01,0.1"}
    _, axes = panels(made(tmp_path, swept, of(6, 5, 4, 3, 2, 1)))
    assert [(ax.get_xlabel(), ax.get_ylabel()) for ax in axes] == [
        *(("code.size", "loss, valid"), ("optim.learning_rate", "")),
        *(("code.size", "loss, test"), ("optim.learning_rate", "")),
    ]
    assert [points(line) for line in axes[0].lines if len(line.get_xdata()) == 2] == [
        *([(4, 6), (8, 3)], [(4, 5), (8, 2)], [(4, 4), (8, 1)]),
    ]
    rates = [points(line) for line in axes[3].lines if len(line.get_xdata()) == 3]
    assert rates[1] == [(0.001, 3.1), (0.01, 2.1), (0.1, 1.1)] and axes[1].get_xscale() == "log"
    assert [text.get_text() for text in axes[2].get_legend().get_texts()] == [
        *("learning_rate 0.001", "learning_rate 0.01", "learning_rate 0.1"),
    ]


def test_many_combinations_and_random_draws_are_points(tmp_path):
    swept = {"code.size": "1,2,3,4,5,6,7", "optim.b1": "0.5,0.9"}
    _, axes = panels(made(tmp_path / "a", swept, of(*map(float, range(14)))))
    means = [line for line in axes[1].lines if line.get_linestyle() == "-"]
    assert points(means[0]) == [(0.5, 6.0), (0.9, 7.0)]  # of the seven sizes
    folder = made(tmp_path / "b", {"code.size": "1:30"}, of(*map(float, range(10))), **{"sweep.combine": "random"})
    _, (ax,) = panels(folder)
    assert len(ax.lines[0].get_xdata()) == 10 and all(line.get_linestyle() == "None" for line in ax.lines)


def test_keys_that_go_together_have_a_curve_each(tmp_path):
    swept = {"code.size": "4,8,16", "train.batch_size": "30,20,10"}
    f, axes = panels(made(tmp_path, swept, of(3, 2, 1), **{"sweep.combine": "zipped"}))
    assert len(axes) == 2 and points(axes[1].lines[0]) == [(10, 1), (20, 2), (30, 3)]


@pytest.mark.parametrize(
    "key, values, scale",
    [
        ("code.size", "1,10", "linear"),
        ("code.size", "11,1", "log"),
        ("code.size", "log:4:8:3", "log"),
        ("loss.l1", "0,0.01,1", "symlog"),
        ("optim.warmup", "0,0.5", "linear"),
    ],
)
def test_the_scale_of_numbers(tmp_path, key, values, scale):
    folder = made(tmp_path, {key: values}, of(1.0, 2.0, 3.0))
    x = scales.scale(outcomes.read(folder), key)
    ax = Figure().add_subplot()
    ax.plot([x.place(value) for value in x.values], x.values)
    x.apply(ax)
    assert ax.get_xscale() == scale and ax.get_xticks().tolist() == list(x.values) and x.values == sorted(x.values)


def test_names_and_tuples_lie_side_by_side(tmp_path):
    folder = made(tmp_path, {"encoder.widths": "{(8,),()}", "seed": "0,1"}, of(1, 2, 3, 4))
    x = scales.scale(outcomes.read(folder), "encoder.widths")
    assert [x.place(value) for value in ((8,), ())] == [0, 1] and not x.numeric
    _, (ax,) = panels(folder)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["(8,)", "()"]


def test_the_legend_has_the_marks_that_are_drawn(tmp_path):
    f, (ax,) = panels(made(tmp_path / "a", {"encoder.widths": "{(8,),()}", "seed": "0,1"}, of(1, 2, 3, 4)))
    drawn = {line.get_marker(): line.get_markerfacecolor() for line in ax.lines if line.get_markersize() == 5}
    assert drawn == {line.get_marker(): line.get_markerfacecolor() for line in f.legends[0].get_lines()}
    folder = made(tmp_path / "b", {"code.size": "1:30"}, of(*map(float, range(10))), **{"sweep.combine": "random"})
    f, (ax,) = panels(folder)
    hollow = {line.get_marker(): line.get_markerfacecolor() == "none" for line in f.legends[0].get_lines()}
    assert hollow == {"s": False, "o": True} and ax.lines[1].get_markerfacecolor() == "none"


def test_a_point_a_member_is_of_the_split_that_is_drawn(tmp_path):
    _, (ax,) = panels(made(tmp_path, {"code.size": "4,8", "seed": "0,1"}, of(1, 2, 3, 4)))
    dots = {line.get_color(): [] for line in ax.lines if line.get_marker() == "."}
    for line in ax.lines:
        if line.get_marker() == ".":
            dots[line.get_color()] += points(line)
    valid, test = (dots[keys_figure.LOOK[split][0]] for split in ("valid", "test"))
    assert valid == [(4, 1), (4, 2), (8, 3), (8, 4)]
    assert test == [(x, pytest.approx(y + 0.1)) for x, y in valid]


def test_all_labels_come_last_and_seeds_have_no_order(tmp_path):
    _, (ax,) = panels(made(tmp_path / "a", {"data.labels": "600,0,60"}, of(1, 2, 3)))
    assert [label.get_text() for label in ax.get_xticklabels()] == ["60", "600", "all"]
    assert sorted(points(ax.lines[0])) == [(-0.125, 3), (0.875, 1), (1.875, 2)]
    assert all(line.get_linestyle() == "None" for line in ax.lines)
    x = scales.scale(outcomes.read(made(tmp_path / "b", {"data.labels": "600,60"}, of(1, 2))), "data.labels")
    assert x.numeric and x.values == [60, 600]
    for key, changes in (("data.resample", {}), ("data.labels_seed", {"data.labels": 50}), ("data.split_seed", {}),
                         ("data.fold", {"data.folds": 4})):  # fmt: skip
        _, (ax,) = panels(made(tmp_path / key, {key: "2,0,1"}, of(1, 2, 3), **changes))
        assert all(line.get_linestyle() == "None" for line in ax.lines) and ax.get_xlim() == (-0.5, 2.5)
        assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "1", "2"]


def named(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_the_names_of_combinations_tell_the_keys_apart_and_are_in_order(tmp_path):
    swept = {"code.name": "k_sparse,deterministic", "optim.name": "sgd,adam"}
    _, axes = panels(made(tmp_path / "a", swept, of(1, 2, 3, 4)))
    assert named(axes[2]) == ["optim.name sgd", "optim.name adam"]
    assert named(axes[3]) == ["code.name k_sparse", "code.name deterministic"]
    swept = {"code.size": "16,4", "optim.learning_rate": "0.1,0.01"}
    _, axes = panels(made(tmp_path / "b", swept, of(1, 2, 3, 4)))
    assert named(axes[2]) == ["learning_rate 0.01", "learning_rate 0.1"]
    assert named(axes[3]) == ["code.size 4", "code.size 16"]
    assert points(axes[3].lines[0]) == [(0.01, pytest.approx(4.1)), (0.1, pytest.approx(3.1))]


@pytest.mark.parametrize("swept", [{"code.size": "4,8"}, {"code.size": "4,8", "optim.learning_rate": "0.1,0.01"}])
def test_where_all_diverged_there_is_no_vertical_scale(tmp_path, swept):
    folder = made(tmp_path, swept, of(1, 2, 3, 4), diverged=range(4))
    found = outcomes.read(folder)
    axes = [ax for ax in keys_figure.draw(found, settings.of(found), "loss", []).axes if ax.axison]
    assert len(axes) == len(swept) and all(not len(ax.get_yticks()) for ax in axes)
    found = outcomes.read(made(tmp_path / "b", {"seed": "0,1"}, lambda i, _: [], diverged=[0, 1]))
    assert all(not len(ax.get_yticks()) for ax in seeds_figure.draw(found, "loss").axes)


def test_seeds_alone_have_curves_and_their_ends(tmp_path):
    folder = made(tmp_path, {"seed": "0,1,2"}, of(1, 3, 50), diverged=[2])
    left, right = seeds_figure.draw(outcomes.read(folder), "loss").axes
    named = {line.get_label(): points(line) for line in left.lines}
    assert named["valid"] == [(1, 99), (2, 98), (3, 2)] and named["train"] == [(1, 100), (2, 99), (3, 3)]
    assert [x for x, _ in named["diverged"]] == [3]
    ends = sorted(y for line in right.lines if line.get_marker() == "o" for y in line.get_ydata())
    assert ends == [1, 1.1, 2, 3, 3.1, 4]


def test_means_over_members_keep_those_that_ended(tmp_path):
    lines = {0: trained(4, 2, 1, test=3), 1: trained(2, 4, test=1), 2: trained(9)}
    folder = made(tmp_path, {"seed": "0,1,2"}, lambda i, _: lines[i], **{"train.early_stopping": 1})
    means, spreads = over_members(outcomes.read(folder).members)
    valid = {row["epoch"]: row["loss"] for row in means if row["split"] == "valid"}
    assert valid == {1: 5, 2: 3, 3: 2.5}  # (1 + 4) / 2 at the end; the unfinished one in the first epoch alone
    assert [row["loss"] for row in spreads if row["split"] == "valid"][1] == pytest.approx(math.sqrt(2))
    assert [(row["epoch"], row["loss"]) for row in means if row["split"] == "test"] == [(3, 2)]


# -- the command


@pytest.mark.parametrize(
    "flags, told",
    [
        (["--metric=nats"], "--metric=nats: no line of metrics.jsonl has it; accepted: loss, reconstruction"),
        (["--split=train"], "--split=train: accepted: valid, test"),
        (["--sort=1"], "Unknown command line flag 'sort'"),
    ],
)
def test_mistakes_are_told_in_a_line(tmp_path, capsys, flags, told):
    made(tmp_path, {"seed": "0,1"}, of(1, 2))
    assert sweep.main([f"--workdir={tmp_path}", *flags]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1


def test_nothing_evaluated_yet(tmp_path, capsys):
    assert sweep.main([f"--workdir={made(tmp_path, {'seed': '0,1'}, lambda i, _: [])}"]) == 2
    assert "no member has been evaluated yet" in capsys.readouterr().err


def test_a_real_sweep_ends_with_its_table(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(configurations.ROOT)
    given = ["--config.mesh.devices=1", "--config.log.tensorboard=False", "--config.log.figure_epochs=()"]
    command = ["main", "--config=configs/shallow.py:tiny", "--config.sweep.code.size=4,8", f"--workdir={tmp_path}"]
    assert main.main([*command, *given]) == 0
    printed = capsys.readouterr().out
    text = printed[printed.index("best  code.size") :]
    losses = [json.loads(line)["loss"] for i in (0, 1)
              for line in (tmp_path / "members" / str(i) / logs.METRICS).open() if '"test"' in line]  # fmt: skip
    assert [row.split()[-1] for row in text.splitlines()[2:4]] == [f"{loss:.4g}" for loss in losses]
    assert f"{best(tmp_path)} (code.size " in text
    files = [(tmp_path / f"sweep.{suffix}").read_bytes() for suffix in ("csv", "json")]
    assert sweep.main([f"--workdir={tmp_path}"]) == 0 and capsys.readouterr().out == text
    assert [(tmp_path / f"sweep.{suffix}").read_bytes() for suffix in ("csv", "json")] == files

    def fails(*_):
        raise KeyError("x")

    monkeypatch.setattr(sweep, "write", fails)
    assert main.main([*command, *given]) == 0  # nothing left to train, and a summary that fails
    assert "no summary" in capsys.readouterr().err


def test_training_starts_without_matplotlib():
    code = "import sys, aejax.sweep.run, aejax.sweep.best; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=configurations.ROOT).returncode == 0
