"""What ``config.sweep`` says: which members, in which order, and what is refused."""

import json

import pytest
from ml_collections import FrozenConfigDict

from aejax import main, workdirs
from aejax.checkpoint import Checkpoints
from aejax.errors import UserError
from aejax.sweep import members, run, together
from tests import configurations, sweeps


def swept(changes, name="shallow"):
    """The config of a sweep; keys are those of its section, or of others where they begin with a dot."""
    changes = {key[1:] if key.startswith(".") else f"sweep.{key}": value for key, value in changes.items()}
    return FrozenConfigDict(configurations.load(name, changes))


def settings(changes, name="shallow"):
    return [tuple(setting.values()) for setting in members.settings(swept(changes, name))]


def test_a_grid_has_every_combination_with_every_seed_in_turn():
    changes = {"seed": "0,1", "optim.learning_rate": "0.1,0.2", "code.size": "4,8"}
    assert settings(changes) == [
        (size, rate, seed) for size in (4, 8) for rate in (0.1, 0.2) for seed in (0, 1)
    ]  # in the order of configs/base.py, the last changing fastest, seeds faster still
    assert list(members.settings(swept(changes))[0]) == ["code.size", "optim.learning_rate", "seed"]


def test_zipped_keys_go_in_step_and_each_setting_has_every_seed():
    changes = {"combine": "zipped", "seed": "5,6", "optim.learning_rate": "0.1,0.1,0.3", "code.size": "4,8,4"}
    assert settings(changes) == [(4, 0.1, 5), (4, 0.1, 6), (8, 0.1, 5), (8, 0.1, 6), (4, 0.3, 5), (4, 0.3, 6)]


def test_random_settings_are_those_of_the_draw_and_more_of_them_the_same_ones_and_others():
    changes = {"combine": "random", "seed": "0,1", "optim.learning_rate": "log:1e-4:1e-2", "code.size": "4:64"}
    few, many = (settings({**changes, "draws": n}) for n in (3, 6))
    assert len(few) == 6 and many[:6] == few and len(set(many)) == 12
    assert [seed for _, _, seed in few] == [0, 1] * 3 and few[0][:2] == few[1][:2] != few[2][:2]
    assert all(4 <= size <= 64 and isinstance(size, int) and 1e-4 <= rate <= 1e-2 for size, rate, _ in many)
    assert settings({**changes, "draws": 3, "draw": 1}) != few


def test_random_settings_are_all_where_there_are_fewer_than_asked_for():
    changes = {"combine": "random", "draws": 50, "code.size": "4:6", "optim.learning_rate": "0.1,0.2"}
    assert sorted(settings(changes)) == [(size, rate) for size in (4, 5, 6) for rate in (0.1, 0.2)]


def test_seeds_alone_are_a_sweep():
    for combine in ("grid", "zipped"):
        assert settings({"combine": combine, "seed": "3,1,2,1"}) == [(3,), (1,), (2,)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"seed": "0,1,2"}, [0, 1, 2]),
        ({"seed": "{0, 1 ,2}"}, [0, 1, 2]),
        ({"seed": "0:4:3"}, [0, 2, 4]),
        ({"code.size": "4:9:3"}, [4, 6, 9]),  # a whole number of units
        ({"code.size": "log:2:32:5"}, [2, 4, 8, 16, 32]),
        ({"code.size": "log:1:3:9"}, [1, 2, 3]),  # each once
        ({"optim.learning_rate": "log:1e-4:1e-2:3"}, [1e-4, 1e-3, 1e-2]),
        ({"optim.learning_rate": "0.1:0.3:3"}, [0.1, 0.2, 0.3]),
        ({"optim.learning_rate": "1e-3,0.001"}, [1e-3]),
        ({"encoder.widths": "{(32,),(16,8),()}"}, [(32,), (16, 8), ()]),
        ({"encoder.widths": "(32,),(16,8)"}, [(32,), (16, 8)]),
        ({"encoder.widths": "(32,16)"}, [(32, 16)]),
        ({"start.parts": "('encoder',),('encoder','code')"}, [("encoder",), ("encoder", "code")]),
        ({"data.name": "npz:/a/b.npz,digits"}, ["npz:/a/b.npz", "digits"]),
        ({"data.name": "{npz:/a/b.npz}"}, ["npz:/a/b.npz"]),
        ({"model": "autoencoder,classifier"}, ["autoencoder", "classifier"]),
    ],
)
def test_the_values_of_a_key(changes, expected):
    assert [value for (value,) in settings(changes)] == expected


def test_truth_is_read_as_such():
    assert settings({"code.fixed": "true,False"}, "hashing") == [(True,), (False,)]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"seed": "0:4"}, ["seed is a range", "0:4:n with n values"]),
        ({"optim.learning_rate": "log:1e-4:1e-2"}, ["optim.learning_rate is a range", "log:0.0001:0.01:n"]),
        ({"combine": "zipped", "code.size": "4,8", "optim.eps": "1,2,3"}, ["code.size has 2, optim.eps has 3"]),
        ({"combine": "zipped", "code.size": "4:8"}, ["code.size is a range"]),
        ({"combine": "product"}, ["config.sweep.combine='product'", "grid, random, zipped"]),
        ({"combine": "random", "draws": 0, "code.size": "4,8"}, ["config.sweep.draws=0", "1 draw or more"]),
        ({"code.size": "4,x"}, ["'x' for code.size is not a whole number"]),
        ({"code.size": "4.5"}, ["'4.5' for code.size is not a whole number"]),
        ({"optim.learning_rate": "nan"}, ["'nan' for optim.learning_rate is not a number"]),
        ({"code.size": "{4,8"}, ["code.size={4,8 has no closing brace"]),
        ({"code.size": ","}, ["has an empty place"]),
        ({"code.size": "8:4:2"}, ["low must be below high"]),
        ({"optim.learning_rate": "log:0:1:3"}, ["above 0"]),
        ({"optim.learning_rate": "0:1:1"}, ["the third is how many values; accepted: 2 to 10,000"]),
        ({"encoder.widths": "1:2:3"}, ["is a range, but config.encoder.widths is a tuple", "accepted: {a,b,c}"]),
        ({"encoder.widths": "500,250"}, ["'500' for encoder.widths is not a tuple", "(500,)"]),
        ({"code.fixed": "maybe"}, ["'maybe' for code.fixed is not true or false"]),
        ({"code.size": "4,-1"}, ["with code.size -1", "config.code.size=-1 is out of range"]),
        ({"loss.likelihood": "bernoulli,cosine"}, ["with loss.likelihood cosine", "config.loss.likelihood='cosine'"]),
        ({"code.rate": "0.1,0.2"}, ["with code.rate 0.1", "config.code.rate is not read with config.code.name="]),
        ({"seed": "0:9999:10000", "code.size": "1,2"}, ["20,000 members", "10,000 at most"]),
        ({"seed": "0:999999999:1000000000"}, ["how many values; accepted: 2 to 10,000"]),
        ({"code.size": "1:9999:9999", "code.k": "1:9999:9999", "seed": "0,1"}, ["99,980,001 members"]),
        ({"combine": "random", "draws": 10**9, "code.size": "1:9999"}, ["1,000,000,000 members"]),
    ],
)
def test_what_is_not_understood_is_refused_by_name_in_one_line(changes, told, tmp_path):
    with pytest.raises(UserError) as error:
        members.members(swept(changes), tmp_path)
    assert "\n" not in str(error.value) and "config.sweep" in str(error.value)
    for words in told:
        assert words in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_key_is_read_or_not_by_the_parts_of_each_member(tmp_path):
    """``code.rate`` is read by the one code and not by the other."""
    zipped = {"combine": "zipped", "code.name": "lifetime,k_sparse", "encoder.bias_init": "0.1,0.1"}
    assert len(members.members(swept(zipped, "wta"), tmp_path)) == 2
    with pytest.raises(UserError, match="with code.name k_sparse, code.rate 0.05: config.code.rate is not read"):
        members.members(swept({"code.name": "lifetime,k_sparse", "code.rate": "0.05"}, "wta"), tmp_path)


def test_a_member_is_the_run_alone_under_a_name_and_a_folder_of_its_own(tmp_path):
    config = swept({"seed": "7,8", "code.size": "4", ".train.epochs": 3})
    first, second = members.members(config, tmp_path)
    assert second.workdir == tmp_path / "members" / "1" and second.number == 1
    assert str(second) == "member 1 (code.size 4, seed 8)"
    expected = configurations.load("shallow", {"train.epochs": 3, "seed": 8, "code.size": 4}).to_dict()
    assert second.config.to_dict() == {**expected, "name": "shallow_tiny_1"}
    assert not members.specified(second.config)
    assert members.alone(config, {"seed": 7, "code.size": 4}).name == "shallow_tiny"


def test_what_is_swept_gives_the_default_folder_its_name():
    config = swept({"seed": "0,1", "optim.learning_rate": " 1e-3 ", "combine": "zipped", "draws": 3, "at_once": 2})
    assert members.specified(config) == {"optim.learning_rate": " 1e-3 ", "seed": "0,1"}
    assert run.default_name(config) == "shallow_tiny_over_optim.learning_rate+seed"
    assert members.specified(swept({"seed": "  "})) == {}


def test_the_config_is_written_without_empty_keys_and_read_back_whole(tmp_path):
    config = swept({"seed": "0,1", "code.size": "{4,8}"})
    workdirs.write_config(tmp_path, config)
    written = json.loads((tmp_path / "config.json").read_text())["sweep"]
    own = {"combine": "grid", "draws": 10, "draw": 0, "at_once": 0}
    assert written == {**own, "seed": "0,1", "code": {"size": "{4,8}"}}
    assert workdirs.read_config(tmp_path) == workdirs.plain(config)
    workdirs.write_config(tmp_path, configurations.load("shallow"))
    assert "sweep" not in json.loads((tmp_path / "config.json").read_text())
    assert workdirs.read_config(tmp_path) == workdirs.plain(configurations.load("shallow"))


@pytest.fixture
def untrained(monkeypatch):
    """Calls of the training that is left out."""
    calls = []

    def train(members, folder, placement, at_once, begin, merged):
        begin()
        calls.append((len(members), placement, at_once))
        return 0

    monkeypatch.setattr(together, "train", train)
    return calls


def test_where_members_train_may_change_between_starts_and_what_they_are_may_not(tmp_path, untrained):
    run.run(swept({"seed": "0,1"}), tmp_path)
    run.run(swept({"seed": "0,1", "placement": "stacked", "at_once": 3, ".mesh.devices": 2}), tmp_path)
    assert untrained == [(2, "", 0), (2, "stacked", 3)]
    for changes in ({"seed": "0,1,2"}, {"seed": "0,1", "draw": 1}, {"seed": "0,1", ".optim.learning_rate": 0.5}, {}):
        with pytest.raises(UserError, match="holds a run with another config"):
            run.run(swept({**changes, "combine": "grid"}), tmp_path)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"placement": "sideways"}, "config.sweep.placement='sideways': accepted: side_by_side, stacked"),
        ({"at_once": -1}, "config.sweep.at_once=-1: accepted: 0 or more"),
    ],
)
def test_a_placement_that_there_is_none_of_is_refused(tmp_path, changes, told):
    with pytest.raises(UserError, match=told):
        run.run(swept({"seed": "0,1", **changes}), tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()


# -- by the command line

SHALLOW = "--config=configs/shallow.py:tiny"


def test_the_command_trains_every_member(tmp_path, capsys):
    flags = ["--config.sweep.seed=0,1,2,3,4", "--config.train.epochs=1", "--config.train.batch_size=20"]
    quiet = ["--config.log.tensorboard=False", "--config.log.figure_epochs=()"]
    with sweeps.small():
        assert main.main(["aejax", SHALLOW, f"--workdir={tmp_path}", *flags, *quiet]) == 0
    assert "5 of 5 members at their end" in capsys.readouterr().out
    for seed in range(5):
        folder = tmp_path / "members" / str(seed)
        assert workdirs.read_config(folder)["seed"] == seed and Checkpoints(folder).steps() == [3]
        assert [line["split"] for line in sweeps.lines(folder)] == ["train", "valid", "test"]
    lines = sweeps.lines(tmp_path)
    assert len(lines) == 15 and len({line["loss"] for line in lines}) == 15
    assert all(line["settings"] == {"seed": line["member"]} for line in lines)
    assert list(lines[0])[:5] == ["member", "settings", "step", "epoch", "split"]


def test_the_commands_default_folder(monkeypatch):
    called = []
    monkeypatch.setattr(run, "run", lambda config, workdir: called.append(str(workdir)) or 0)
    assert main.main(["aejax", SHALLOW, "--config.sweep.seed=0,1", "--config.sweep.code.size=4,8"]) == 0
    assert called == ["runs/shallow_tiny_over_code.size+seed"]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["sweep.sead=0,1"], "sead"),
        (["sweep.eval.batch_size=1,2"], "eval"),
        (["sweep.data.dir=a,b"], "config.sweep.data.dir is not a key"),
        (["sweep.code.rate=0.1,0.2"], "config.code.rate is not read"),
        (["sweep.seed=0:4"], "seed is a range"),
        (["sweep.seed=0,1", "code.rate=0.1"], "config.code.rate is not read"),
        (["sweep.seed=0,1", "sweep.at_once=x"], "config.sweep.at_once"),
        (["sweep.seed=0,1", "train.batch_size=5000"], "accepted: 1 to 1294"),
    ],
)
def test_mistakes_in_the_flags_are_told_in_a_line(tmp_path, capsys, flags, told):
    given = [f"--config.{flag}" for flag in flags]
    assert main.main(["aejax", SHALLOW, f"--workdir={tmp_path}/sweep", *given]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("aejax: ") and err.count("\n") == 1 and told in err
    assert not (tmp_path / "sweep" / "config.json").exists()


def test_a_key_that_some_member_reads_may_be_set(tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr(run, "run", lambda config, workdir: called.append(config["loss"]["sparsity"]) or 0)
    swept = ["--config.code.activation=sigmoid", "--config.sweep.loss.kl_sparsity=0,3", "--config.loss.sparsity=0.5"]
    assert main.main(["aejax", SHALLOW, f"--workdir={tmp_path}/sweep", *swept]) == 0
    assert called == [0.5]
