"""The benchmark: what it counts and tells, against values by hand; sittings of fake workers; the command."""

import functools
import json
import os
import sys

import pytest

from aejax.bench import command, environment, figures, frameworks, nets, operators, plots, report, sitting, timing
from aejax.bench.frameworks import Framework
from aejax.bench.results import Results
from aejax.bench.sitting import Row, Sitting
from aejax.bench.timing import Timing
from aejax.errors import UserError
from tests import fakes

MACHINE = {"processor": "P", "cores": 2, "memory_gib": 8, "system": "S", "python": "3", "device": "cpu",
           "accelerator": ""}  # fmt: skip
SETTINGS = {"repeats": 3, "seconds": 1.0, "data": "", "precision": ["float32"], "peers": True}


@pytest.fixture
def fake(tmp_path):
    """A function that writes a worker in plain Python, with a clause of its own, and gives its command."""
    return functools.partial(fakes.write, tmp_path)


# -- what is counted


def test_spread_ratios_and_shares():
    assert figures.spread([4.0, 1.0, 2.0]) == (2.0, 1.0, 4.0)
    assert figures.ratios([10.0, 12.0], [5.0, 3.0]) == [2.0, 4.0]
    assert figures.shares([100.0, 200.0], 30, [6000.0, 24000.0]) == [0.5, 0.25]
    assert figures.steps_for(1.0, 50, 0.01) == 5000
    assert figures.steps_for(0.1, 1, 5.0) == 1


def test_how_far_losses_are_apart():
    assert figures.disagreement([2.0, 2.1, 2.05]) == pytest.approx(0.05)
    assert figures.disagreement([-2.0, -1.9]) == pytest.approx(0.05)
    assert figures.wander([1.0, 1.5, 0.5]) == pytest.approx(1.0)


def test_slow_nets_take_fewer_steps_before_losses_are_compared():
    assert figures.steps_compared([0.001, 0.01], 300, 10, 20.0) == 300
    assert figures.steps_compared([0.001, 0.5], 300, 10, 20.0) == 40
    assert figures.steps_compared([30.0], 300, 10, 20.0) == 10
    assert figures.steps_compared([], 300, 10, 20.0) == 300


# -- a sitting


def toy(**changes):
    return Sitting(
        **{"name": "toy", "precision": "float32", "title": "4-2-4", "data": "digits", "batch": 10, **changes}
    )


def test_peers_that_die_are_noted_and_stop_no_one(fake):
    found, said = toy(operations=1000, parameters=22), []
    commands = {
        "good": fake("good"),
        "dies at once": fake("at_once", "raise SystemExit('no such module')"),
        "dies later": fake("later", "if steps > 20_000: raise MemoryError('full')"),
        "not there": ("/nowhere/python",),
        "another net": fake("other", "reply |= {'parameters': 21}"),
    }
    jobs = [(Framework(name, c), {}) for name, c in commands.items()]
    sitting.sit(found, jobs, Framework("peak", fake("peak")), 3, 1.0, said.append)
    good, at_once, later, absent, other = found.rows
    assert good.missing == "" and good.rates == pytest.approx([1e5] * 3) and good.losses == [7.0] * 5
    assert good.first_step > 0 and good.memory == 5_000_000 and found.peaks == [1e11] * 3 and found.compared == 300
    assert "no such module" in at_once.missing and "MemoryError: full" in later.missing
    assert "cannot be started" in absent.missing and other.missing == "its net has 21 parameters and not 22"
    assert sum("is missing" in line for line in said) == 4


@pytest.mark.parametrize("seconds, steps", [(0.5, 40), (1.25, 16), (50.0, 10)])
def test_all_take_as_many_steps_as_the_slowest_can(fake, tmp_path, seconds, steps):
    """Where the slow one takes ``seconds`` a step; one step of them is that of ``prepare``, before rounds begin."""
    log = tmp_path / "steps"
    note = f"request['do'] == 'train' and open({str(log)!r} + sys.argv[0][-9:-3], 'w').write(str(steps + 1))"
    slow = f"reply |= {{'seconds': reply.get('seconds', 0) * {seconds * 1e4}}}; steps < {steps} and {note}"
    found = toy()
    jobs = [
        (Framework("quick", fake("quick1", f"steps < 40 and {note}")), {}),
        (Framework("slow", fake("slow_1", slow)), {}),
    ]
    sitting.sit(found, jobs, Framework("peak", fake("peak")), 1, 0.01, lambda line: None)
    assert found.compared == steps
    assert (tmp_path / "stepsquick1").read_text() == (tmp_path / "stepsslow_1").read_text() == str(steps)


def test_operators_are_timed_and_a_worker_that_fails_at_one_goes_on_with_the_next(fake):
    wanted = [{"op": "adam", "parameters": n} for n in (1, 2)] + [
        {"op": "dense", "inputs": 2, "outputs": 3, "batch": 4}
    ]
    refuse = "if request['do'] == 'operator' and request['operator'].get('parameters') == 2: reply = {'error': 'no'}"
    rows = [Framework("aejax", fake("ours")), Framework("picky", fake("picky", refuse))]
    found, said = [], []
    timing.measure(wanted, rows, {"threads": 1, "device": "cpu"}, 2, 0.01, said.append, found.append)
    assert [timed.name for timed in found] == [operators.name(op) for op in wanted]
    assert [[row.missing for row in timed.rows] for timed in found] == [["", ""], ["", "no"], ["", ""]]
    assert found[2].rows[1].rates == pytest.approx([1e5, 1e5]) and found[2].operations == 6 * 24


def test_pythae_has_a_row_where_it_knows_the_autoencoder():
    def suits(name):
        return frameworks.suits("pythae", nets.describe(nets.load(name), (28, 28, 1), 10))

    assert [name for name in nets.names() if suits(name)] == [
        "conv_vae", "iwae", "rae", "vae", "vqvae", "wae", "vae:pythae"]  # fmt: skip
    assert frameworks.suits("Keras fit", {})


def test_workers_see_the_device_that_is_measured():
    cpu, gpu = (frameworks.ours(device).environment for device in ("cpu", "gpu"))
    assert cpu["JAX_PLATFORMS"] == "cpu" and cpu["CUDA_VISIBLE_DEVICES"] == ""
    assert (
        not {"JAX_PLATFORMS", "CUDA_VISIBLE_DEVICES"} & gpu.keys() and gpu["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    )
    for peer in frameworks.peers(frameworks.NET_SCRIPTS, "python", "gpu"):
        assert "CUDA_VISIBLE_DEVICES" not in peer.environment and peer.environment["PYTHONPATH"] == ""


# -- what is told


def by_hand():
    found = toy(name="wta", title="784-2000-784, batch 100", batch=100, operations=1000, compared=300, peaks=[1e8] * 3)
    found.rows = [
        Row("aejax", how="so", first_step=2.04, losses=[7.0] * 5, rates=[30e3, 20e3, 22e3], memory=400_000_000),
        Row("PyTorch eager", first_step=3.5, losses=[7.1] * 5, rates=[10e3, 10e3, 11e3], memory=500_000_000),
        Row("torch.compile", missing="InvalidCxxCompiler: none | found"),
        Row("Keras fit", first_step=9.96, losses=[7.0] * 5, rates=[5e3, 5e3, 5e3], memory=900_000_000),
    ]
    return found


def test_the_table_of_nets_by_hand():
    other = toy(rows=[Row("aejax", missing="died")])
    lines = report.net_table([by_hand(), other]).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2] == "| wta | 100 | 22,000 | 2.00× (2.00..3.00) | 2.00× | — | 4.40× | 2.0 | 400 | 22% |"
    assert lines[3].startswith("| toy | 10 | missing | — |")
    assert "over" not in report.net_table([other])


def test_the_table_of_frameworks_by_hand():
    lines = report.detail([by_hand()]).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2] == (
        "| wta: 784-2000-784, batch 100 | aejax | 22,000 (20,000..30,000) | — | 7 | 2.0 | 400 | 22% |")  # fmt: skip
    assert "| PyTorch eager | 10,000 (10,000..11,000) | 2.00× (2.00..3.00) | 7.1 | 3.5 | 500 | 10% |" in lines[3]
    assert "missing: InvalidCxxCompiler: none / found" in lines[4]


def timed_by_hand():
    return Timing("dense 2-3", 144, [Row("aejax", rates=[1e4, 2e4, 2e4]), Row("Keras", rates=[1e4, 1e4, 1e4])])


def test_the_table_of_operators_by_hand():
    lines = report.operator_table([timed_by_hand(), Timing("adam", 0, [Row("aejax", missing="died")])]).splitlines()
    assert lines[2] == "| dense 2-3 | 50 | 0 | 2.00× (1.00..2.00) | 2.00× |"
    assert lines[3] == "| adam | — | — | — | — |"


def test_losses_far_apart_are_told_unless_they_wander_as_far_by_themselves():
    found = by_hand()
    assert report.verdicts(found) == [] and report.agreement([found])[0].startswith("The losses of all")
    found.rows[1].losses = [9.0] * 5
    (told,) = report.verdicts(found)
    assert "DIFFER by 28.6%" in told and "PyTorch eager 9" in told
    found.rows[0].losses = [6.0, 7.0, 8.0, 6.5, 7.5]
    found.rows[1].losses = [7.5] * 5
    assert report.verdicts(found) == []
    found.rows[1].losses = [None] * 5  # as it is read back
    assert report.verdicts(found) == ["wta: the loss of PyTorch eager is not finite."]
    assert report.agreement([by_hand(), found]) == report.verdicts(found)


def test_fewer_steps_before_the_losses_are_told():
    found = by_hand()
    found.compared, found.name = 40, "slow"
    assert report.agreement([by_hand(), found])[1] == (
        "Losses were compared after 300 steps, of slow nets after fewer: slow 40.")  # fmt: skip


def test_the_text_says_what_is_generated_and_in_which_precision(tmp_path):
    results = Results(tmp_path, MACHINE, SETTINGS)
    results.nets = [by_hand(), toy(name="text", precision="bfloat16", data="generated:text", rows=by_hand().rows)]
    results.operators = [timed_by_hand()]
    written = report.text(results)
    assert (
        "Trained on generated examples, of the shape and type that the config's own data have: text, bfloat16"
        in written
    )
    assert "| text, bfloat16 |" in written and "| dense 2-3 |" in written and "aejax: so." in written


def test_the_figures_draw_with_rows_missing(tmp_path):
    nothing = toy(rows=[Row("aejax", missing="died")])
    for every in ([by_hand(), nothing], [nothing], [timed_by_hand()]):
        plots.draw(every, "caption").savefig(tmp_path / "ratios.png")


# -- what is kept


def test_results_are_read_back_as_they_were_written(tmp_path):
    first = Results(tmp_path, MACHINE, SETTINGS)
    first.add_net(by_hand())
    first.add_operator(timed_by_hand())
    again = Results(tmp_path, MACHINE, SETTINGS)
    assert again.nets == [by_hand()] and again.operators == [timed_by_hand()]
    assert again.has_net("wta", "float32") and not again.has_net("wta", "bfloat16")
    newer = by_hand()
    newer.rows[0].missing = "died"
    again.add_net(newer)
    again.add_operator(timed_by_hand())
    third = Results(tmp_path, MACHINE, SETTINGS)
    assert third.nets == [newer] and len(third.operators) == 1, "in place of the older"
    assert not third.has_net("wta", "float32"), "what failed is measured again"


@pytest.mark.parametrize("name", ["bench.md", "bench.png", "operators.png"])
def test_files_of_others_are_not_written_over(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match=f"has a {name} and no bench.json; accepted: another --workdir"):
        Results(tmp_path, MACHINE, SETTINGS)


@pytest.mark.parametrize("machine, settings, told", [
    ({"cores": 4}, {}, "cores 2, and this is 4"), ({}, {"seconds": 0.5}, "seconds 1.0, and this is 0.5"),
    ({}, {"peers": False}, "peers True, and this is False"),
])  # fmt: skip
def test_results_of_another_machine_or_setting_are_not_mixed(tmp_path, machine, settings, told):
    Results(tmp_path, MACHINE, SETTINGS).add_net(by_hand())
    with pytest.raises(UserError, match=f"{told}; accepted: the same, or another --workdir"):
        Results(tmp_path, {**MACHINE, **machine}, {**SETTINGS, **settings})


@pytest.mark.parametrize("text", [
    "{", '{"nets": []}', "[]", '{"machine": {}, "settings": {}, "nets": [{}]}',
    '{"machine": [], "settings": {}, "nets": [], "operators": []}',
])  # fmt: skip
def test_a_file_that_is_none_is_told(tmp_path, text):
    (tmp_path / "bench.json").write_text(text)
    with pytest.raises(UserError, match="is no result of this bench"):
        Results(tmp_path, MACHINE, SETTINGS)


# -- the command


@pytest.fixture
def faked(fake, monkeypatch):
    """All workers of the command in plain Python."""
    monkeypatch.setattr(frameworks, "ours", lambda device: Framework("aejax", fake("ours")))


def run(*arguments):
    return command.main([*arguments, "--device=cpu", "--repeats=2", "--seconds=0.02"])


def test_a_tiny_sitting_from_end_to_end(tmp_path, capsys):
    workdir = tmp_path / "bench"
    assert run("shallow:tiny@16", f"--workdir={workdir}") == 0
    out, err = capsys.readouterr()
    assert "shallow:tiny@16: 64-16-64, batch 16" in out and "round 2 of 2" in err
    assert not (workdir / "bench.png").exists(), "there is nothing to compare with"
    assert "| aejax |" in (workdir / "bench.md").read_text()
    written = json.loads((workdir / "bench.json").read_text())
    (net,) = written["nets"]
    (row,) = net["rows"]
    assert row["missing"] == "" and len(row["rates"]) == len(net["peaks"]) == 2 and net["parameters"] == 2128
    assert 0 < row["losses"][0] < 30 and row["first_step"] > 0 and row["memory"] > 1e7
    assert row["memory_of"] == "process"
    assert written["machine"]["cores"] >= 1 and os.uname().nodename not in json.dumps(written["machine"])


def test_a_bench_that_was_stopped_goes_on_where_it_was(tmp_path, capsys, monkeypatch, faked):
    wait = sitting.sit

    def stopped(found, *rest):
        if found.name == "deep:tiny":
            raise KeyboardInterrupt
        wait(found, *rest)

    arguments = ["shallow:tiny", "deep:tiny", "operators", f"--workdir={tmp_path}"]
    monkeypatch.setattr(operators, "OPERATORS", operators.OPERATORS[:2])
    monkeypatch.setattr(sitting, "sit", stopped)
    assert run(*arguments) == 130
    assert [net["name"] for net in json.loads((tmp_path / "bench.json").read_text())["nets"]] == ["shallow:tiny"]
    assert "| shallow:tiny |" in (tmp_path / "bench.md").read_text()
    monkeypatch.setattr(sitting, "sit", wait)
    capsys.readouterr()
    assert run(*arguments) == 0
    err = capsys.readouterr().err
    assert "[1/2] shallow:tiny, 0 s: is measured already" in err and "[2/2] deep:tiny" in err
    written = json.loads((tmp_path / "bench.json").read_text())
    assert [net["name"] for net in written["nets"]] == ["shallow:tiny", "deep:tiny"] and len(written["operators"]) == 2
    assert run("shallow:tiny", "--again", f"--workdir={tmp_path}") == 0
    written = json.loads((tmp_path / "bench.json").read_text())
    assert [net["name"] for net in written["nets"]] == ["deep:tiny", "shallow:tiny"] and len(written["operators"]) == 2


def test_peers_that_fail_leave_a_table(tmp_path, faked, monkeypatch):
    """An interpreter that lacks one: its rows tell why they are missing."""
    monkeypatch.setattr(environment, "PEERS", ("json",))
    assert run("vae:tiny", "--peers", f"--peers_python={sys.executable}", f"--workdir={tmp_path}") == 0
    (net,) = json.loads((tmp_path / "bench.json").read_text())["nets"]
    rows = {row["framework"]: row["missing"] for row in net["rows"]}
    assert rows.pop("aejax") == "" and set(rows) == set(frameworks.NET_SCRIPTS)
    assert all("No module named" in reason for reason in rows.values())
    assert (tmp_path / "bench.png").stat().st_size > 1000


def test_an_environment_that_cannot_be_made_is_told_in_each_row(tmp_path, monkeypatch, faked):
    def fail(*_):
        raise environment.Unavailable("pip install failed: no network")

    monkeypatch.setattr(environment, "made", fail)
    assert run("vae:tiny", "--peers", f"--workdir={tmp_path}") == 0
    written = (tmp_path / "bench.md").read_text()
    assert written.count("missing: pip install failed: no network") == len(frameworks.NET_SCRIPTS)


def test_a_net_without_words_is_measured_without_peers(tmp_path, faked, monkeypatch):
    monkeypatch.setattr(environment, "PEERS", ("json",))
    assert run("denoising:masking", "--peers", f"--peers_python={sys.executable}", f"--workdir={tmp_path}") == 0
    (net,) = json.loads((tmp_path / "bench.json").read_text())["nets"]
    missing = [row["missing"] for row in net["rows"]]
    assert missing[0] == "" and len(missing) == 1 + len(frameworks.NET_SCRIPTS)
    assert all("config.corruption.emphasis=1.5" in reason for reason in missing[1:])


def test_the_device_is_the_accelerator_that_jax_sees(fake, monkeypatch):
    def sees(platform):
        clause = f"reply |= {{'platform': {platform!r}, 'device': 'H100'}}"
        monkeypatch.setattr(frameworks, "ours", lambda device: Framework("aejax", fake(platform, clause)))

    sees("gpu")
    assert command._device("") == command._device("gpu") == ("gpu", "H100") and command._device("cpu") == ("cpu", "")
    sees("cpu")
    assert command._device("") == ("cpu", "")
    with pytest.raises(UserError, match="--device=gpu: JAX sees none here, but cpu; accepted: cpu"):
        command._device("gpu")


@pytest.mark.parametrize("arguments, told", [
    (["nonesuch"], "'nonesuch' is not a shipped config; accepted: "),
    (["wta:nonesuch"], "accepted: "),
    (["deep@none"], "after @ comes a batch"),
    (["--nonesuch"], "accepted: --peers"),
    (["--repeats=0"], "--repeats"),
    (["--device=tpu"], "--device=tpu; accepted: cpu, gpu"),
    (["--precision=float16"], "--precision=float16; accepted: float32, bfloat16"),
    (["--peers", "--peers_python=/nowhere/python", "--device=cpu"], "--peers_python=/nowhere/python is no Python"),
    (["--peers", f"--peers_python={sys.executable}", "--device=cpu"], "has none of the peers; accepted: one that has"),
    (["--seconds=nan"], "--seconds=nan; accepted: 0.01 to 60.0"),
    (["--workdir="], "--workdir= is empty"),
    (["operators", "--precision=bfloat16", "--device=cpu"], "--precision has no use for operators alone"),
    (["shallow:tiny@999999", "--device=cpu"], "a batch of 999999 and data digits; accepted: batches to 5"),
    (["--peers_python=python", "--device=cpu"], "--peers_python has no use without --peers"),
    (["--data=nonesuch", "shallow", "--device=cpu"], "accepted: "),
])  # fmt: skip
def test_mistakes_are_told_in_one_line(arguments, told, capsys, tmp_path):
    assert command.main([f"--workdir={tmp_path}", *arguments]) == 2
    err = capsys.readouterr().err
    assert told in err and err.count("\n") == 1 and err.startswith("aejax.bench: ")
