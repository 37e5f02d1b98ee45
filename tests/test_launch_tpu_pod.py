"""``launch/tpu_pod.sh`` with a stub in place of gcloud: what it asks for, and when it asks again."""

import re

import pytest

from tests.test_launch import WTA, Project

WORKDIR = "--workdir=/shared/wta"
VM = "gcloud compute tpus tpu-vm"

# Notes its call; what a run ends with, and in which state the TPU then is, stands in the file gcloud, a line a run.
GCLOUD = """#!/usr/bin/env bash
printf '%s' "gcloud $*" | tr '\\n' ' ' >>"$STUBS/log"
echo >>"$STUBS/log"
read -r status state <"$STUBS/gcloud"
case "$*" in
  *describe*) echo "$state"; sed -i 1d "$STUBS/gcloud" ;;
  *aejax.main\\ --coordinator*) [[ $status == 0 || $status == 2 ]] && sed -i 1d "$STUBS/gcloud"; exit "$status" ;;
esac
"""


@pytest.fixture
def pod(tmp_path):
    """A function that runs a subcommand: its status, what it told, and the calls of gcloud."""
    project = Project(tmp_path)

    def run(*arguments, runs=("0 READY",), **environment):
        project.stub("gcloud", text=GCLOUD)
        (project.root / "gcloud").write_text("".join(f"{line}\n" for line in runs))
        status, told = project.run("tpu_pod.sh", *arguments, PAUSE="0", **environment)
        return status, told, project.calls()

    return run


def verbs(calls):
    """What was asked of the TPU, a word a call; of ``ssh`` what it ran."""
    words = {"aejax.main --coordinator": "run", "mkdir -p aejax": "install", "mount -t nfs": "mount", "pkill": "stop"}
    found = [next((verb for part, verb in words.items() if part in call), call.split()[4]) for call in calls]
    return [verb for verb in found if verb != "scp"]


def test_create_names_zone_type_and_version(pod):
    call = f"{VM} create aejax --zone=us-central1-a --accelerator-type=v5litepod-16 --version=v2-alpha-tpuv5-lite"
    assert pod("create") == (0, "", [call])


def test_create_takes_variables(pod):
    named = {"NAME": "mine", "ZONE": "us-east5-b", "TYPE": "v6e-32", "VERSION": "v2-alpha-tpuv6e", "SPOT": "1"}
    call = f"{VM} create mine --zone=us-east5-b --accelerator-type=v6e-32 --version=v2-alpha-tpuv6e --spot"
    assert pod("create", **named)[2] == [call]


def test_install_reaches_every_worker(pod):
    status, told, calls = pod("install", SHARE="10.0.0.2:/share")
    assert status == 0, told
    assert verbs(calls) == ["install", "mount"] and all("--worker=all" in call for call in calls)
    assert re.search(r"scp \S+ aejax:aejax.tar.gz ", calls[0])
    assert "EXTRA=tpu" in calls[1] and "source launch/setup.sh" in calls[1] and "10.0.0.2:/share /shared" in calls[2]


def test_install_mounts_nothing_unless_asked(pod):
    assert verbs(pod("install")[2]) == ["install"]


def test_run_is_the_same_command_on_every_worker(pod):
    calls = pod("run", WTA, WORKDIR, "--config.data.name=folder:my images")[2]
    assert calls == [
        f"{VM} ssh aejax --zone=us-central1-a --worker=all --command=cd aejax && exec .venv/bin/python -m aejax.main "
        rf"--coordinator=auto {WTA} {WORKDIR} --config.data.name=folder:my\ images"
    ]


@pytest.mark.parametrize("status", [0, 2, 75, 143])
def test_run_ends_as_the_run_does(pod, status):
    assert pod("run", WTA, WORKDIR, runs=(f"{status} READY",))[0] == status


@pytest.mark.parametrize("workdir", [[], ["--workdir=gs://bucket/wta"]])
@pytest.mark.parametrize("command", ["run", "all"])
def test_a_workdir_that_workers_do_not_share_is_refused(pod, command, workdir):
    status, told, calls = pod(command, WTA, *workdir)
    assert status == 2 and "--workdir=/shared/NAME" in told and told.count("\n") == 1 and calls == []


def test_stop_signals_the_run_and_delete_asks_nothing(pod):
    assert "pkill -TERM" in pod("stop")[2][-1]
    assert pod("delete")[2][-1] == f"{VM} delete aejax --zone=us-central1-a --quiet"


@pytest.mark.parametrize(
    "runs, between",
    [
        (["0 READY"], []),
        (["2 READY"], []),
        (["143 READY", "0 READY"], ["describe", "install", "run"]),
        (["75 PREEMPTED", "0 READY"], ["describe", "delete", "create", "install", "run"]),
        (["255 PREEMPTED", "0 READY"], ["describe", "delete", "create", "install", "run"]),
        (["255 READY", "0 READY"], ["describe", "stop", "install", "run"]),
        (["1 PREEMPTED", "0 READY"], ["describe", "delete", "create", "install", "run"]),
        (["1 READY"], ["describe"]),
    ],
)
def test_all_goes_on_until_the_end_and_deletes(pod, runs, between):
    status, told, calls = pod("all", WTA, WORKDIR, runs=runs)
    assert verbs(calls) == ["create", "install", "run", *between, "delete"], told
    assert status == int(runs[-1].split()[0])


def test_another_subcommand_is_refused(pod):
    status, told, _ = pod("start")
    assert status == 2 and "accepted: create, install, run, stop, delete, all, ssh, help" in told


def test_help_tells_every_variable(pod):
    told = pod("help")[1]
    assert all(f"{name}=" in told for name in ("NAME", "ZONE", "TYPE", "VERSION", "SPOT", "SHARE"))
