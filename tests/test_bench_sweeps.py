"""Many models together: rows of fake workers, what is told and kept, the command; and aejax's own worker."""

import functools
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from aejax import data, train
from aejax.bench import (
    command,
    environment,
    examples,
    experiments,
    frameworks,
    nets,
    ours_sweeps,
    sweeps,
    sweeps_report,
)
from aejax.bench.experiments import Experiment
from aejax.bench.frameworks import Framework
from aejax.bench.peers import protocol, several
from aejax.bench.results import Sweeps
from aejax.bench.sweeps import TOGETHER, Row, Sweep
from aejax.errors import UserError
from aejax.sweep import members
from tests import fakes

MACHINE = {"processor": "P", "cores": 2, "memory_gib": 8, "system": "S", "python": "3", "device": "cpu",
           "accelerator": ""}  # fmt: skip
SETTINGS = {"repeats": 3, "data": "", "peers": True}
SIZES = Experiment("three sizes", "shallow:tiny", {"code.size": "4,8,12"})
ALONE = Experiment("two against one", "shallow:tiny", {"seed": "0,1"}, "one", False)
LOOP = "aejax, one after another"


@pytest.fixture
def fake(tmp_path):
    """A function that writes a worker in plain Python, with a clause of its own, and gives its command."""
    return functools.partial(fakes.write, tmp_path)


def measured(experiment, fake, peers=(), missing="", repeats=1, ours="pass", said=None):
    workers = sweeps.Workers(Framework("aejax", fake("ours", ours)), peers, missing, "cpu")
    return sweeps.measure(experiment, "", workers, repeats, (said if said is not None else []).append)


# -- what is measured


def test_rows_take_turns_each_in_a_fresh_process_with_an_empty_cache(fake, tmp_path):
    log = tmp_path / "log"
    note = (
        "told = [request['do'], os.getpid(), os.environ['JAX_COMPILATION_CACHE_DIR'], "
        "os.environ['JAX_ENABLE_COMPILATION_CACHE'], os.path.exists(os.environ['JAX_COMPILATION_CACHE_DIR']), "
        "os.environ['JAX_COMPILATION_CACHE_DIR'].startswith(os.environ['TMPDIR'])]; "
        f"print(json.dumps(told), file=open({str(log)!r}, 'a'))"
    )
    found = measured(SIZES, fake, [Framework("Keras fit", fake("keras", note))], repeats=3, ours=note)
    told = [json.loads(line) for line in log.read_text().splitlines()]
    assert [do for do, *_ in told] == ["ready", "together", "ready", "in_turn", "ready", "several"] * 3
    assert len({pid for _, pid, *_ in told}) == len({cache for _, _, cache, *_ in told}) == 9
    assert {tuple(rest) for _, _, _, *rest in told} == {("true", False, True)}
    assert not any(Path(cache).parent.exists() for _, _, cache, *_ in told), "nothing is left behind"
    assert [row.name for row in found.rows] == [TOGETHER, LOOP, "Keras fit"]
    assert all(row.seconds == [2.0] * 3 and row.losses == [7.0] * 3 for row in found.rows)
    assert found.rows[0].memory == 5_000_000 and found.rows[0].versions == {"fake": "1"}


def test_all_are_asked_for_the_same_models_epochs_and_examples(fake, tmp_path):
    log = tmp_path / "log"
    note = f"request['do'] != 'ready' and print(json.dumps(request), file=open({str(log)!r}, 'a'))"
    size = f"'images' in request and open({str(log)!r} + 's', 'w').write(str(os.path.getsize(request['images'])))"
    found = measured(SIZES, fake, [Framework("Keras fit", fake("keras", f"{note}; {size}"))], ours=note)
    together, loop, peer = map(json.loads, log.read_text().splitlines())
    config = nets.load("shallow:tiny")
    train = data.load(config.data).train.images
    assert together.pop("do") == "together" and loop.pop("do") == "in_turn" and together == loop
    assert together == {"config": "shallow:tiny", "data": "", "sweep": {"code.size": "4,8,12"}}
    assert [net["code"]["size"] for net in peer["nets"]] == [4, 8, 12] and peer["epochs"] == 2 == found.epochs
    assert found.models == ["code.size 4", "code.size 8", "code.size 12"] and found.data == "digits"
    assert found.examples == len(train), "each once"
    assert int((tmp_path / "logs").read_text()) == train.nbytes + 128


def test_one_model_stands_against_all(fake):
    found = measured(ALONE, fake, [Framework("Keras fit", ("/nowhere/python",))])
    assert [(row.name, row.losses) for row in found.rows] == [(TOGETHER, [7.0] * 2), ("aejax, one of them", [7.0])]


def test_workers_that_fail_are_noted_and_stop_no_one(fake):
    peers = {
        "good": fake("good"),
        "dies at once": fake("at_once", "raise SystemExit('no such module')"),
        "dies later": fake("later", "if request['do'] == 'several': raise MemoryError('full')"),
        "refuses": fake("refuses", "reply = {'error': 'no compiler'} if request['do'] == 'several' else reply"),
        "not there": ("/nowhere/python",),
        "other nets": fake("other", "reply |= {'parameters': [580, 1096, 1611]}"),
        "its nets": fake("same", "reply |= {'parameters': [580, 1096, 1612]}"),
        "fewer": fake("fewer", "reply |= {'losses': [7.0, 7.0]}"),
        "infinite": fake("infinite", "reply |= {'losses': [7.0, float('nan'), float('inf')]}"),
    }
    said = []
    found = measured(SIZES, fake, [Framework(*peer) for peer in peers.items()], repeats=2, said=said)
    rows = {row.name: row for row in found.rows}
    assert rows[TOGETHER].seconds == rows["good"].seconds == rows["its nets"].seconds == [2.0] * 2
    assert "no such module" in rows["dies at once"].missing and "MemoryError: full" in rows["dies later"].missing
    assert rows["refuses"].missing == "no compiler" and "cannot be started" in rows["not there"].missing
    assert rows["other nets"].missing == "its net 2 has 1,611 parameters and not 1,612"
    assert rows["fewer"].missing == "it trained 2 models and not 3"
    assert rows["infinite"].losses == [7.0, None, None]
    assert sum("is missing" in line for line in said) == 6, "once each"


def test_peers_that_cannot_be_have_the_reason(fake):
    peers = [Framework("Keras fit", ("/nowhere/python",))]
    assert measured(SIZES, fake, peers, missing="no network").rows[2].missing == "no network"
    masked = Experiment("masked", "denoising:masking", {"seed": "0,1"})
    found = measured(masked, fake, peers)
    assert "config.corruption.emphasis=1.5" in found.rows[2].missing and found.rows[1].missing == ""


def test_a_loop_over_nets_builds_trains_and_tells_each():
    calls = []

    class Training:
        def build(self, net, **given):
            calls.append(("build", net, given))

        def epochs(self, count):
            calls.append(("epochs", count))
            return len(calls) * 1.0

        def told(self):
            return {"how": "so", "parameters": len(calls)}

    reply = several.handlers(Training())["several"](["a", "b"], 5, images="i.npy")
    given = {"images": "i.npy"}
    assert calls == [("build", "a", given), ("epochs", 5), ("build", "b", given), ("epochs", 5)]
    assert reply.pop("seconds") > 0
    assert reply == {"how": "so", "losses": [2.0, 4.0], "parameters": [2, 4]}


def test_the_experiments_are_sweeps_of_configs():
    titles = [one.title for one in experiments.EXPERIMENTS]
    assert len(set(titles)) == len(titles)
    for one in experiments.EXPERIMENTS:
        assert one.against in sweeps.AGAINST and set(one.devices) <= {"cpu", "gpu"}
        config = experiments.load(one.config, "", one.sweep)
        (key,) = one.sweep
        assert config.is_locked and len(members.settings(config)) == len(one.sweep[key].split(","))
    capacity = experiments.EXPERIMENTS[0]
    sizes = members.members(experiments.load(capacity.config, "mnist", capacity.sweep), Path())
    assert [one.config.code.size for one in sizes] == [5, 20, 35, 50, 65, 80, 95]
    first = sizes[0].config
    assert (first.train.batch_size, first.train.epochs, first.optim.learning_rate) == (32, 5, 1e-3)
    assert first.data.name == "mnist"


# -- aejax's worker


def test_aejax_trains_the_same_models_together_and_one_after_another(monkeypatch, tmp_path):
    load = experiments.load

    def plain(*asked):
        with (config := load(*asked)).unlocked():
            config.update_from_flattened_dict({"log.figure_epochs": (), "log.tensorboard": False, "train.epochs": 1})
        return config

    monkeypatch.setattr(experiments, "load", plain)
    monkeypatch.setattr(ours_sweeps.tempfile, "tempdir", str(tmp_path))
    asked = ("shallow:tiny", "", {"seed": "0,1"})
    together, loop = ours_sweeps.together(*asked), ours_sweeps.in_turn(*asked)
    assert together["losses"] == loop["losses"] and len(set(loop["losses"])) == 2
    assert all(0 < loss < 45 for loss in loop["losses"]) and min(together["seconds"], loop["seconds"]) > 0
    assert together["how"].startswith("side by side") and together["versions"].keys() == {"jax"}
    assert not list(tmp_path.iterdir()), "nothing is left behind"


def test_the_loss_is_that_of_the_last_epoch(tmp_path):
    lines = [("train", 9.0), ("valid", 8.0), ("train", 7.0), ("valid", 6.0), ("test", 5.0)]
    written = [json.dumps({"step": 1, "epoch": 1, "split": split, "loss": loss}) for split, loss in lines]
    (tmp_path / "metrics.jsonl").write_text("\n".join(written) + "\n")
    assert ours_sweeps._last_loss(tmp_path) == 7.0
    (tmp_path / members.DIVERGED).write_text("at step 3\n")
    assert ours_sweeps._last_loss(tmp_path) is None


def test_one_is_the_first_of_them(monkeypatch):
    trained = []

    def run(config, workdir):
        trained.append((config.code.size, workdir.name))
        workdir.mkdir(parents=True)
        (workdir / "metrics.jsonl").write_text('{"step": 1, "epoch": 1, "split": "train", "loss": 7.0}\n')
        return 0

    monkeypatch.setattr(train, "run", run)
    asked = ("shallow:tiny", "", {"code.size": "4,8"})
    assert ours_sweeps.one(*asked)["losses"] == [7.0] and trained == [(4, "0")]
    assert ours_sweeps.in_turn(*asked)["losses"] == [7.0] * 2 and trained[1:] == [(4, "0"), (8, "1")]


def test_only_what_came_to_its_end_counts(monkeypatch):
    monkeypatch.setattr(train, "run", lambda *_: 143)
    with pytest.raises(protocol.Refused, match="training was stopped, with status 143"):
        ours_sweeps.one("shallow:tiny", "", {"seed": "0,1"})


# -- what is told


def by_hand(**changes):
    rows = [
        Row(TOGETHER, how="so", seconds=[2.0, 4.0, 3.0], losses=[7.0, 8.0], memory=400_000_000),
        Row(LOOP, seconds=[6.0, 6.0, 6.0], losses=[7.0, 8.0], memory=300_000_000),
        Row("Keras fit", missing="none | found"),
        Row("PyTorch eager", seconds=[1.0, 6.0, 3.0], losses=[7.1, 8.0], memory=500_000_000),
    ]
    models = ["code.size 4", "code.size 8"]
    return Sweep(**{"title": "two sizes", "config": "shallow", "data": "digits", "examples": 3933, "epochs": 5,
                    "models": models, "rows": rows, **changes})  # fmt: skip


def test_the_table_by_hand():
    lines = sweeps_report.table([by_hand()]).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2] == (
        "| two sizes: shallow on digits, 3,933 examples, 5 epochs each | aejax, together | 3.0 (2.0..4.0) | — | "
        "7.5 | 400 |"
    )
    assert lines[3] == "|  | aejax, one after another | 6.0 (6.0..6.0) | 2.00× (1.50..3.00) | 7.5 | 300 |"
    assert "missing: none / found" in lines[4]
    assert lines[5] == "|  | PyTorch eager | 3.0 (1.0..6.0) | 1.00× (0.50..1.50) | 7.55 | 500 |"


def test_a_single_round_has_no_spread_and_no_ratio_over_what_is_missing():
    rows = [Row(TOGETHER, missing="died"), Row(LOOP, seconds=[6.0], losses=[7.0, None])]
    lines = sweeps_report.table([by_hand(rows=rows)]).splitlines()
    assert lines[3] == "|  | aejax, one after another | 6.0 | — | not finite | 0 |"


def test_losses_far_apart_are_told_model_by_model():
    found = by_hand()
    assert sweeps_report.agreement([found]) == [
        "The losses of all rows agree to within 1.4%, on each of 2 models."]  # fmt: skip
    found.rows[3].losses = [7.0, 9.0]
    (told,) = sweeps_report.agreement([by_hand(), found])
    assert told.startswith("two sizes, code.size 8: the losses DIFFER by 12.5%") and "PyTorch eager 9." in told
    found.rows[3].losses = [None, 8.0]
    assert sweeps_report.agreement([found]) == ["two sizes, code.size 4: the loss of PyTorch eager is not finite."]
    assert sweeps_report.agreement([by_hand(rows=found.rows[:1])]) == []


def test_many_against_one_is_told_as_times_as_long():
    alone = Row("aejax, one of them", seconds=[1.0, 1.0, 1.0], losses=[7.0])
    found = by_hand(title="2 seeds", rows=[by_hand().rows[0], alone])
    assert sweeps_report.as_long([by_hand(), found]) == [
        "2 seeds: 2 models together take 3.00 times as long as one of them."]  # fmt: skip
    assert sweeps_report.agreement([found])[0].endswith("on each of 1 model.")


def test_the_text_says_what_counts(tmp_path):
    results = Sweeps(tmp_path, MACHINE, SETTINGS)
    results.sweeps = [by_hand()]
    written = sweeps_report.text(results)
    assert "the other frameworks read an array, train, and neither evaluate nor save" in written
    assert "Medians (least..most) of 3 interleaved rounds" in written and "aejax, together: so." in written


# -- what is kept


def test_results_are_read_back_as_they_were_written(tmp_path):
    first = Sweeps(tmp_path, MACHINE, SETTINGS)
    first.add(by_hand())
    first.add(by_hand(title="others"))
    again = Sweeps(tmp_path, MACHINE, SETTINGS)
    assert again.sweeps == [by_hand(), by_hand(title="others")]
    assert again.has("two sizes") and not again.has("three sizes")
    newer = by_hand()
    newer.rows[1].missing = "died"
    again.add(newer)
    third = Sweeps(tmp_path, MACHINE, SETTINGS)
    assert third.sweeps == [by_hand(title="others"), newer], "in place of the older"
    assert not third.has("two sizes"), "what failed is measured again"
    with pytest.raises(UserError, match="repeats 3, and this is 1; accepted: the same, or another --workdir"):
        Sweeps(tmp_path, MACHINE, {**SETTINGS, "repeats": 1})


def test_files_of_others_are_not_written_over(tmp_path):
    (tmp_path / "sweeps.md").write_text("mine")
    with pytest.raises(UserError, match="has a sweeps.md and no sweeps.json; accepted: another --workdir"):
        Sweeps(tmp_path, MACHINE, SETTINGS)
    (tmp_path / "sweeps.json").write_text('{"machine": {}, "settings": {}, "sweeps": [{}]}')
    with pytest.raises(UserError, match="is no result of this bench"):
        Sweeps(tmp_path, MACHINE, SETTINGS)


# -- the command


@pytest.fixture
def faked(fake, monkeypatch):
    """All workers of the command in plain Python, and small experiments, one of them for GPUs."""
    monkeypatch.setattr(frameworks, "ours", lambda device: Framework("aejax", fake("ours")))
    on_gpu = Experiment("for GPUs", "shallow:tiny", {"seed": "0,1"}, devices=("gpu",))
    monkeypatch.setattr(experiments, "EXPERIMENTS", [SIZES, ALONE, on_gpu])


def run(workdir, *arguments):
    return command.main([*arguments, "--device=cpu", f"--workdir={workdir}"])


def test_sweeps_that_were_stopped_go_on_where_they_were(tmp_path, capsys, monkeypatch, faked):
    whole, workdir = sweeps.measure, tmp_path / "bench"

    def stopped(experiment, *rest):
        if experiment is ALONE:
            raise KeyboardInterrupt
        return whole(experiment, *rest)

    monkeypatch.setattr(sweeps, "measure", stopped)
    assert run(workdir, "sweeps") == 130
    assert [one["title"] for one in json.loads((workdir / "sweeps.json").read_text())["sweeps"]] == ["three sizes"]
    monkeypatch.setattr(sweeps, "measure", whole)
    capsys.readouterr()
    assert run(workdir, "sweeps") == 0
    out, err = capsys.readouterr()
    assert "[1/2] three sizes, 0 s: is measured already" in err and "[2/2] two against one, 0 s: round 1 of 1" in err
    assert (workdir / "sweeps.md").read_text().strip() in out and "1.00 times as long as one of them" in out
    written = json.loads((workdir / "sweeps.json").read_text())
    assert [one["title"] for one in written["sweeps"]] == ["three sizes", "two against one"], "none of a GPU's"
    assert written["settings"] == {"repeats": 1, "data": "", "peers": False} and "code" in written["machine"]
    assert sorted(path.name for path in workdir.iterdir()) == ["sweeps.json", "sweeps.md"], "nets have theirs"
    assert run(workdir, "sweeps", "--again") == 0
    assert "[1/2] three sizes, 0 s: round 1 of 1" in capsys.readouterr().err


def test_sweeps_stand_beside_nets_and_are_none_of_them(tmp_path, faked, monkeypatch):
    assert "sweeps" not in nets.names()
    assert run(tmp_path, "shallow:tiny", "sweeps", "--repeats=2", "--seconds=0.02") == 0
    bench, swept = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("bench", "sweeps"))
    assert [net["name"] for net in bench["nets"]] == ["shallow:tiny"] and bench["settings"]["repeats"] == 2
    assert swept["settings"]["repeats"] == 2 and swept["sweeps"][0]["rows"][0]["seconds"] == [2.0, 2.0]


def test_peers_that_are_absent_leave_a_table(tmp_path, faked, monkeypatch):
    monkeypatch.setattr(environment, "PEERS", ("json",))
    assert run(tmp_path, "sweeps", "--peers", f"--peers_python={sys.executable}") == 0
    sizes, alone = json.loads((tmp_path / "sweeps.json").read_text())["sweeps"]
    missing = {row["name"]: row["missing"] for row in sizes["rows"]}
    assert [*missing][2:] == ["Keras fit", "PyTorch eager"] and len(alone["rows"]) == 2
    assert all("No module named" in missing[name] for name in frameworks.SWEEP_SCRIPTS)


def test_aejax_failing_is_told_by_the_status(tmp_path, faked, fake, monkeypatch):
    fails = fake("fails", "request['do'] == 'together' and sys.exit('out of luck')")
    monkeypatch.setattr(frameworks, "ours", lambda device: Framework("aejax", fails))
    assert run(tmp_path, "sweeps") == 1
    assert "missing: ended with status 1: out of luck" in (tmp_path / "sweeps.md").read_text()


@pytest.mark.parametrize("arguments, told", [
    (["--data=nonesuch"], "'nonesuch'"),
    (["--data=generated:text"], "accepted: "),
    (["--seconds=2"], "--seconds has no use for sweeps alone"),
    (["--precision=bfloat16"], "--precision has no use for sweeps alone; they are measured in float32"),
    (["operators", "--precision=bfloat16"], "--precision has no use for sweeps and operators alone"),
])  # fmt: skip
def test_mistakes_are_told_in_one_line(arguments, told, capsys, tmp_path, faked):
    assert run(tmp_path, "sweeps", *arguments) == 2
    err = capsys.readouterr().err
    assert told in err and err.count("\n") == 1 and err.startswith("aejax.bench: ")
    assert not list(tmp_path.glob("sweeps.*"))


def test_examples_of_a_sweep_are_not_repeated():
    config = nets.load("shallow:tiny")
    once, often = examples.load(config, repeated=False).images, examples.load(config).images
    assert len(often) > 20 * len(once) and np.array_equal(once, often[: len(once)])
