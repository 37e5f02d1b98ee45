"""The launchers, with stubs in place of what they start: who is trained, what is passed on, what is started again."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import configurations

ROOT = configurations.ROOT
SCRIPTS = sorted((ROOT / "launch").glob("*.sh"))
WTA = "--config=configs/wta.py"

# Notes its name and arguments, then answers with the next status of its own file, or 0.
STUB = """#!/usr/bin/env bash
echo "${0##*/}" "$@" >>"$STUBS/log"
exit "$(sed -n 1p "$STUBS/${0##*/}" 2>/dev/null | grep . || echo 0; sed -i 1d "$STUBS/${0##*/}" 2>/dev/null)"
"""


class Project:
    """A copy of ``launch/`` whose set-up is done, and whose Python and other programs are stubs."""

    def __init__(self, root: Path):
        self.root, self.bin = root, root / "bin"
        shutil.copytree(ROOT / "launch", root / "launch")
        shutil.copy(ROOT / "requirements.txt", root)
        (root / ".venv/bin").mkdir(parents=True)
        self.bin.mkdir()
        shutil.copy(root / "requirements.txt", root / ".venv/requirements.done")
        self.stub("python", folder=root / ".venv/bin")

    def stub(self, name: str, *statuses: int, text: str = STUB, folder: Path | None = None) -> None:
        """A program that ends with these statuses, one a call, and then with 0."""
        path = (folder or self.bin) / name
        path.write_text(text)
        path.chmod(0o755)
        (self.root / name).write_text("".join(f"{status}\n" for status in statuses))

    def start(self, command: str, *arguments: str, **environment: str) -> subprocess.Popen:
        """One of the scripts."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "JAX_")) and k != "EXTRA"}
        paths = {"PATH": f"{self.bin}:{os.environ['PATH']}", "STUBS": str(self.root)}
        return subprocess.Popen(
            ["bash", f"launch/{command}", *arguments],
            cwd=self.root, env=clean | paths | environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, command: str, *arguments: str, **environment: str) -> tuple[int, str]:
        """Its status, and what it told."""
        process = self.start(command, *arguments, **environment)
        out, err = process.communicate(timeout=60)
        return process.returncode, out + err

    def calls(self) -> list[str]:
        """The calls of all stubs."""
        path = self.root / "log"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@pytest.mark.parametrize("script", [*SCRIPTS, ROOT / ".ci/run"], ids=lambda path: path.name)
def test_shellcheck_has_nothing_to_say(script):
    program = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if program is None:
        pytest.skip("no shellcheck on the PATH; PyPI has it for this machine from source alone")
    told = subprocess.run([program, "--external-sources", script], cwd=ROOT, capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.parametrize(
    "arguments, trained",
    [
        ([], WTA),
        (["--config.seed=1"], f"{WTA} --config.seed=1"),
        (["--config=configs/vae.py", "--workdir=a b"], "--config=configs/vae.py --workdir=a b"),
    ],
)
def test_local_trains_wta_unless_told_otherwise(project, arguments, trained):
    assert project.run("local.sh", *arguments)[0] == 0
    assert project.calls() == [f"python -m aejax.main {trained}"]


def test_local_ends_as_the_run_does(project):
    project.stub("python", 143, folder=project.root / ".venv/bin")
    assert project.run("local.sh")[0] == 143


def test_the_set_up_is_done_once_and_remembers_the_extra(project):
    def installed():
        return [call for call in project.calls() if "pip install" in call]

    assert project.run("local.sh")[0] == 0 and not installed()
    assert project.run("local.sh", EXTRA="tpu")[0] == 0 and len(installed()) == 1
    assert (project.root / ".venv/requirements.done").read_text().splitlines()[-1] == "jax[tpu]"
    assert project.run("local.sh")[0] == 0 and len(installed()) == 1
    with (project.root / "requirements.txt").open("a") as file:
        file.write("einops\n")
    assert project.run("local.sh")[0] == 0 and len(installed()) == 2
    assert (project.root / ".venv/requirements.done").read_text().splitlines()[-2:] == ["einops", "jax[tpu]"]


def test_a_set_up_that_fails_is_tried_again(project):
    project.stub("python", 0, 1, folder=project.root / ".venv/bin")  # it starts, and pip fails
    assert project.run("local.sh", EXTRA="cuda12")[0] == 1
    assert project.run("local.sh", EXTRA="cuda12")[0] == 0
    assert sum("pip install" in call for call in project.calls()) == 2


@pytest.fixture
def slurm(project):
    """``project`` with Slurm's programs, as Slurm calls the script: from a copy elsewhere."""
    project.stub("srun")
    project.stub("scontrol")

    def run(*statuses, **environment):
        project.stub("srun", *statuses)
        given = {"SLURM_SUBMIT_DIR": str(project.root), "SLURM_JOB_ID": "7"} | environment
        return project.run("slurm.sh", WTA, "--config.seed=1", **given)

    return run


REQUEUE = "scontrol requeue 7"


ENDS = [(0, False), (2, False), (1, False), (137, False), (143, True), (75, True)]


@pytest.mark.parametrize("status, requeued", ENDS)
def test_slurm_requeues_what_goes_on(project, slurm, status, requeued):
    assert slurm(status)[0] == status
    step, *after = project.calls()
    assert step.startswith("srun ") and step.endswith(f" .venv/bin/python -m aejax.main {WTA} --config.seed=1")
    assert after == [REQUEUE] * requeued
    assert " --kill-on-bad-exit=0 " in step  # or the first that has saved would end the others while they save


def test_slurm_does_not_requeue_for_ever(project, slurm):
    assert slurm(75, SLURM_RESTART_COUNT="2", REQUEUES="3")[0] == 75 and REQUEUE in project.calls()
    status, told = slurm(75, SLURM_RESTART_COUNT="3", REQUEUES="3")
    assert status == 75 and "after 3 restarts" in told and project.calls().count(REQUEUE) == 1


def test_slurm_tells_where_the_queue_does_not_take_it_back(project, slurm):
    project.stub("scontrol", 1)
    status, told = slurm(143)
    assert status == 143 and "does not requeue" in told


def test_slurm_passes_on_the_cores_of_a_task(project, slurm):
    slurm(0, SLURM_CPUS_PER_TASK="4")
    assert " --cpus-per-task=4 " in project.calls()[0]


def test_slurm_asks_for_the_projects_root(project, slurm, tmp_path):
    status, told = slurm(0, SLURM_SUBMIT_DIR=str(tmp_path / "bin"))
    assert status == 2 and "sbatch from the project's root" in told and told.count("\n") == 1


def test_slurm_waits_for_a_step_that_saves_and_leaves_the_rest_to_slurm(project):
    """scancel and a preemption signal this shell too: the step ends in its own time, and nothing is requeued here."""
    saves = "#!/usr/bin/env bash\ntrap 'sleep 0.5; echo saved >>\"$STUBS/log\"; exit 75' TERM\n"
    project.stub("srun", text=saves + 'echo started >>"$STUBS/log"\nfor _ in {1..300}; do sleep 0.1; done\n')
    project.stub("scontrol")
    process = project.start("slurm.sh", WTA, SLURM_JOB_ID="7")
    until = time.monotonic() + 30
    while project.calls() != ["started"] and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 75 and project.calls() == ["started", "saved"]


def test_slurms_own_lines_say_requeue_and_signal_the_step():
    lines = [line for line in (ROOT / "launch/slurm.sh").read_text().splitlines() if line.startswith("#SBATCH")]
    assert "#SBATCH --requeue" in lines and "#SBATCH --signal=TERM@120" in lines  # B: would leave the step unsignalled
