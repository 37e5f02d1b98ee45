"""The benchmark: what it counts, against values by hand; its workers, with fake peers; one small sitting."""

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from aejax.bench import command, environment, figures, nets, report, sitting
from aejax.bench.sitting import Framework, Row, Sitting
from aejax.bench.workers import Worker, WorkerFailed
from aejax.errors import UserError
from configs import base

ANSWERS = """
    import json, os, sys, time
    steps = 0
    for line in sys.stdin:
        request = json.loads(line)
        reply = {"memory": 5_000_000}
        if request["do"] == "prepare":
            reply |= {"versions": {"fake": "1"}, "how": "not at all"}
        if request["do"] == "train":
            steps += request["steps"]
            reply |= {"seconds": request["steps"] * 1e-4, "loss": 7.0}
        CLAUSE
        print(json.dumps(reply), flush=True)
"""


@pytest.fixture
def fake(tmp_path):
    """A function that writes a worker in plain Python, with a clause of its own, and gives its command."""

    def write(name, clause="pass"):
        path = tmp_path / f"{name}.py"
        path.write_text(textwrap.dedent(ANSWERS).replace("CLAUSE", clause))
        return sys.executable, str(path)

    return write


# -- what is counted


def test_spread_ratios_and_shares():
    assert figures.spread([4.0, 1.0, 2.0]) == (2.0, 1.0, 4.0)
    assert figures.ratios([10.0, 12.0], [5.0, 3.0]) == [2.0, 4.0]
    assert figures.shares([100.0, 200.0], 30, [6000.0, 24000.0]) == [0.5, 0.25]
    assert figures.fastest({"a": [1.0, 9.0, 1.0], "b": [2.0, 2.0, 2.0]}) == "b"
    assert figures.fastest({}) is None
    assert figures.disagreement([2.0, 2.1, 2.05]) == pytest.approx(0.05)
    assert figures.steps_for(1.0, 50, 0.01) == 5000
    assert figures.steps_for(0.1, 1, 5.0) == 1


def test_arithmetic_of_a_net_by_hand():
    """3-2-5: 2·3·2 = 12 and 2·2·5 = 20 operations a product, three times, but for the images' gradient."""
    layers = {"encoder": [{"inputs": 3, "outputs": 2}], "decoder": [{"inputs": 2, "outputs": 5}]}
    assert figures.arithmetic(layers) == 3 * (12 + 20) - 12


# -- what is described


def test_description_of_shipped_nets():
    deep = nets.describe(nets.load("deep"), (28, 28, 1))
    sizes = [(layer["inputs"], layer["outputs"], layer["activation"]) for layer in deep["encoder"] + deep["decoder"]]
    assert sizes == [(784, 128, "relu"), (128, 32, "relu"), (32, 128, "relu"), (128, 784, "linear")]
    assert nets.title(deep) == "784-128-32-128-784, batch 32"
    wta = nets.describe(nets.load("wta"), (28, 28, 1))
    assert wta["code"]["name"] == "lifetime" and nets.title(wta) == "784-2000-784, batch 100"
    assert nets.describe(nets.load("wta", batch=7), (28, 28, 1))["batch"] == 7


def test_nets_need_no_download_unless_another_set_is_named():
    assert nets.load("wta").data.name == nets.load("shallow:fashion_mnist").data.name == "mnist5k"
    assert nets.load("wta", data_name="kmnist").data.name == "kmnist"


def tied(**changes):
    c = base.base()
    c.update_from_flattened_dict({"encoder.widths": (6,), "decoder.name": "tied", **changes})
    return c


def test_a_tied_decoder_is_described_as_adjoints():
    net = nets.describe(tied(), (4, 4, 1))
    assert [layer["adjoint_of"] for layer in net["decoder"]] == [1, 0]
    assert [(layer["inputs"], layer["outputs"], layer["activation"]) for layer in net["decoder"]] == [
        (32, 6, "relu"), (6, 16, "linear")]  # fmt: skip


@pytest.mark.parametrize("key, value", [
    ("corruption.name", "gaussian"), ("loss.likelihood", "gaussian"), ("loss.l1", 0.1), ("optim.name", "sgd"),
    ("optim.weight_decay", 0.1),
])  # fmt: skip
def test_what_peers_have_no_words_for_is_refused_by_name(key, value):
    with pytest.raises(nets.Inexpressible, match=f"config.{key}="):
        nets.describe(tied(**{key: value}), (4, 4, 1))


def test_few_images_are_repeated_to_an_epoch_of_mnist():
    images = nets.images(nets.load("shallow:tiny"))
    assert images.dtype == np.uint8 and 58_000 < len(images) <= nets.EXAMPLES


# -- workers


def test_a_worker_answers(fake):
    with Worker(fake("good")) as worker:
        assert worker.ask("train", 30, steps=10)["seconds"] == pytest.approx(1e-3)
        reply = worker.ask("prepare", 30)
    assert reply["arrived"] > 0 and reply["how"] == "not at all"


@pytest.mark.parametrize("clause, told", [
    ("reply = {'error': 'no compiler\\nfound'}", "no compiler found"),
    ("raise RuntimeError('out of luck')", "ended with status 1: RuntimeError: out of luck"),
    ("os.kill(os.getpid(), 9)", "killed by SIGKILL"),
    ("time.sleep(60)", "no answer to 'train' within 1 s"),
    ("print('warming up'); continue", "not JSON"),
])  # fmt: skip
def test_a_worker_that_fails_says_why(fake, clause, told):
    worker = Worker(fake("bad", clause.replace("; ", "; sys.stdout.flush(); ") if "print" in clause else clause))
    with pytest.raises(WorkerFailed, match=told):
        worker.ask("train", 1 if "sleep" in clause else 30, steps=1)
    worker.close(patience=0.2)
    assert worker._process.poll() is not None


def test_a_command_that_is_not_there_is_told():
    with pytest.raises(WorkerFailed, match="cannot be started"):
        Worker(("/nowhere/python",))


def test_closing_ends_what_a_worker_started(fake, tmp_path):
    note = tmp_path / "pid"
    child = f"import subprocess; p = subprocess.Popen(['sleep', '600']); open({str(note)!r}, 'w').write(str(p.pid))"
    with Worker(fake("parent", child)) as worker:
        worker.ask("train", 30, steps=1)
    until = time.monotonic() + 10
    while time.monotonic() < until and _runs(int(note.read_text())):
        time.sleep(0.05)
    assert not _runs(int(note.read_text()))


def _runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")  # a zombie that no one has reaped yet does not run
    return not status.exists() or status.read_text().split(")")[1].split()[0] != "Z"


def test_the_protocol_file_serves_and_needs_nothing_of_aejax(tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(sitting.PEERS)!r})
        import protocol
        def refuse():
            protocol.pick({{"relu": 1}}, "activation", "mish")
        def talk():
            print("a library's chatter")
            return {{"x": 1}}
        protocol.serve({{"talk": talk, "refuse": refuse, "fail": lambda: 1 / 0}})
    """))
    with Worker((sys.executable, "-S", str(script))) as worker:
        assert worker.ask("talk", 30)["x"] == 1
        assert worker.ask("talk", 30)["memory"] > 1e6
        with pytest.raises(WorkerFailed, match="activation='mish' is not written for it"):
            worker.ask("refuse", 30)
        with pytest.raises(WorkerFailed, match="ZeroDivisionError"):
            worker.ask("fail", 30)


# -- a sitting


@pytest.fixture
def quick_peak(fake, monkeypatch):
    """The matrix-product peak from a worker that is not."""
    monkeypatch.setattr(sitting, "OURS", Framework("aejax", fake("peak", "reply |= {'flops': 1e11}")))


def test_peers_that_die_are_noted_and_stop_no_one(fake, quick_peak):
    found, said = Sitting("toy", "4-2-4, batch 10", 10, 1000), []
    commands = {
        "good": fake("good"),
        "dies at once": fake("at_once", "raise SystemExit('no such module')"),
        "dies later": fake("later", "if steps > 20_000: raise MemoryError('full')"),
        "not there": ("/nowhere/python",),
    }
    sitting.sit(found, [(Framework(name, c), {}) for name, c in commands.items()], 3, 1.0, said.append)
    good, at_once, later, absent = found.rows
    assert good.missing == "" and good.rates == pytest.approx([1e5] * 3) and good.loss == 7.0
    assert good.first_step > 0 and good.memory == 5_000_000 and found.peaks == [1e11] * 3
    assert "no such module" in at_once.missing and "MemoryError: full" in later.missing
    assert "cannot be started" in absent.missing
    assert sum("is missing" in line for line in said) == 3


def by_hand():
    found = Sitting("wta", "784-2000-784, batch 100", 100, 1000, peaks=[1e8, 1e8, 1e8])
    found.rows = [
        Row("aejax", how="so", first_step=2.04, loss=7.0, rates=[30e3, 20e3, 22e3], memory=400_000_000),
        Row("PyTorch eager", first_step=3.5, loss=7.1, rates=[10e3, 10e3, 11e3], memory=500_000_000),
        Row("torch.compile", missing="InvalidCxxCompiler: none | found"),
        Row("Keras fit", first_step=9.96, loss=7.0, rates=[5e3, 5e3, 5e3], memory=900_000_000),
    ]
    return found


def test_the_table_by_hand():
    lines = report.table([by_hand()]).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2].split(" | ")[1:] == [
        "aejax", "22,000 (20,000..30,000)", "—", "7", "2.0", "400", "22% |"]  # fmt: skip
    assert "| PyTorch eager | 10,000 (10,000..11,000) | 2.00× (2.00..3.00) | 7.1 | 3.5 | 500 | 10% |" in lines[3]
    assert "missing: InvalidCxxCompiler: none / found" in lines[4]
    agreed = report.summary(by_hand())
    assert agreed[0] == "wta: aejax is 2.00× (2.00..3.00) as fast as the fastest peer, PyTorch eager."
    assert agreed[1] == "wta: the losses agree within 1.4%."


def test_losses_far_apart_are_told():
    found = by_hand()
    found.rows[1].loss = 9.0
    assert "DIFFER" in report.summary(found)[1]


def test_the_figure_draws_with_rows_missing(tmp_path):
    nothing = Sitting("toy", "4-2-4, batch 1", 1, 0, [Row("aejax", missing="died")])
    report.draw([by_hand(), nothing], "caption").savefig(tmp_path / "bars.png")
    assert "—" in report.table([nothing]) or "missing: died" in report.table([nothing])


# -- the command


def test_a_tiny_sitting_from_end_to_end(tmp_path, capsys):
    workdir = tmp_path / "bench"
    arguments = ["shallow:tiny", "--repeats=2", "--seconds=0.05", "--batch=16", f"--workdir={workdir}"]
    assert command.main(arguments) == 0
    out, err = capsys.readouterr()
    assert "shallow:tiny: 64-16-64, batch 16" in out and "round 2 of 2" in err
    assert (workdir / "bench.png").stat().st_size > 1000 and "| aejax |" in (workdir / "bench.md").read_text()
    written = json.loads((workdir / "bench.json").read_text())
    (row,) = written["nets"][0]["rows"]
    assert row["missing"] == "" and len(row["rates"]) == len(written["nets"][0]["peaks"]) == 2
    assert 0 < row["loss"] < 30 and row["first_step"] > 0 and row["memory"] > 1e7
    assert written["machine"]["cores"] >= 1 and os.uname().nodename not in json.dumps(written["machine"])


def test_peers_that_fail_leave_a_table(tmp_path, capsys, monkeypatch, fake):
    """An interpreter without the peers: each of their rows tells why it is missing."""
    monkeypatch.setattr(sitting, "OURS", Framework("aejax", fake("ours", "reply |= {'flops': 1e11}")))
    arguments = ["shallow:tiny", "--peers", f"--peers_python={sys.executable}", f"--workdir={tmp_path}"]
    assert command.main([*arguments, "--repeats=1", "--seconds=0.01"]) == 0
    (net,) = json.loads((tmp_path / "bench.json").read_text())["nets"]
    rows = {row["framework"]: row["missing"] for row in net["rows"]}
    assert rows.pop("aejax") == "" and set(rows) == set(sitting.SCRIPTS)
    assert all("No module named" in reason for reason in rows.values())


def test_an_environment_that_cannot_be_made_is_told_in_each_row(tmp_path, capsys, monkeypatch, fake):
    monkeypatch.setattr(sitting, "OURS", Framework("aejax", fake("ours", "reply |= {'flops': 1e11}")))

    def fail(*_):
        raise environment.Unavailable("pip install failed: no network")

    monkeypatch.setattr(environment, "made", fail)
    assert command.main(["shallow:tiny", "--peers", "--repeats=1", "--seconds=0.01", f"--workdir={tmp_path}"]) == 0
    assert (tmp_path / "bench.md").read_text().count("missing: pip install failed: no network") == len(sitting.SCRIPTS)


def test_the_environment_is_made_once(tmp_path, capsys):
    requirements, folder, said = tmp_path / "requirements.txt", tmp_path / "peers", []
    requirements.write_text("# nothing\n")
    python = environment.made(folder, requirements, said.append)
    assert subprocess.run([python, "-c", "import pip"]).returncode == 0 and len(said) == 1
    assert environment.made(folder, requirements, said.append) == python and len(said) == 1
    requirements.write_text(f"{tmp_path}/no_such_package\n")
    with pytest.raises(environment.Unavailable, match="ERROR"):
        environment.made(folder, requirements, said.append)


@pytest.mark.parametrize("arguments, told", [
    (["nonesuch"], "'nonesuch' is not a shipped config; accepted: "),
    (["wta:nonesuch"], "accepted: "),
    (["--nonesuch"], "accepted: --peers"),
    (["--repeats=0"], "--repeats"),
    (["--peers", "--peers_python=/nowhere/python"], "--peers_python=/nowhere/python: no such file"),
    (["--data=nonesuch", "shallow"], "accepted: "),
])  # fmt: skip
def test_mistakes_are_told_in_one_line(arguments, told, capsys):
    assert command.main(arguments) == 2
    err = capsys.readouterr().err
    assert told in err and err.count("\n") == 1 and err.startswith("aejax.bench: ")


def test_every_shipped_config_loads():
    assert {"shallow", "deep", "wta"} <= set(nets.shipped())
    with pytest.raises(UserError):
        nets.load("base")
