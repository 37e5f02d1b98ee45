"""The bench's workers, with fake peers in plain Python, and the peers' environment."""

import functools
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from aejax.bench import environment, frameworks
from aejax.bench.workers import Worker, WorkerFailed
from tests import fakes


@pytest.fixture
def fake(tmp_path):
    """A function that writes a worker in plain Python, with a clause of its own, and gives its command."""
    return functools.partial(fakes.write, tmp_path)


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
    script.write_text(
        textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(frameworks.PEERS)!r})
        import protocol
        def refuse():
            protocol.pick({{"relu": 1}}, "activation", "mish")
        def talk():
            print("a library's chatter")
            return {{"x": 1}}
        protocol.serve({{"talk": talk, "refuse": refuse, "fail": lambda: 1 / 0}})
    """)
    )
    with Worker((sys.executable, "-S", str(script))) as worker:
        assert worker.ask("talk", 30)["x"] == 1
        assert worker.ask("talk", 30)["memory"] > 1e6
        with pytest.raises(WorkerFailed, match="activation='mish' is not written for it"):
            worker.ask("refuse", 30)
        with pytest.raises(WorkerFailed, match="ZeroDivisionError"):
            worker.ask("fail", 30)


def test_the_environment_is_made_once(tmp_path, capsys):
    requirements, folder, said = tmp_path / "requirements.txt", tmp_path / "peers", []
    requirements.write_text("# nothing\n")
    python = environment.made(folder, requirements, said.append)
    assert subprocess.run([python, "-c", "import pip"]).returncode == 0 and len(said) == 1
    assert environment.made(folder, requirements, said.append) == python and len(said) == 1
    requirements.write_text(f"{tmp_path}/no_such_package\n")
    with pytest.raises(environment.Unavailable, match="ERROR"):
        environment.made(folder, requirements, said.append)
