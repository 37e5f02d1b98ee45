"""Who a process is among several, by flags and by what launchers set."""

import pytest
from absl import flags

from aejax import cluster
from aejax.cluster import Place
from aejax.errors import UserError


def place(*given, **environment):
    values = flags.FlagValues()
    cluster.define(values)
    values(["aejax", *given])
    return cluster.place(values, environment)


VARIABLES = {"JAX_COORDINATOR_ADDRESS": "a:1", "JAX_NUM_PROCESSES": "3"}
SLURM = {"SLURM_JOB_ID": "4097", "SLURM_NTASKS": "4", "SLURM_PROCID": "2", "SLURM_STEP_NUM_NODES": "4"}
SLURM |= {"SLURM_LOCALID": "0"}


@pytest.mark.parametrize(
    ("given", "environment", "found"),
    [
        ([], {}, None),
        (["--coordinator=h:7", "--processes=2", "--process=1"], VARIABLES, Place("h:7", 2, 1)),
        (["--coordinator=auto"], {}, Place("", -1, -1)),
        (["--coordinator=[::1]:7", "--processes=2", "--process=0"], {}, Place("[::1]:7", 2, 0)),
        ([], {**VARIABLES, "JAX_PROCESS_ID": "2"}, Place("a:1", 3, 2)),
        ([], {**VARIABLES, "JOB_COMPLETION_INDEX": "0"}, Place("a:1", 3, 0)),
        ([], {**VARIABLES, "JAX_NUM_PROCESSES": "1", "JAX_PROCESS_ID": "0"}, None),
        ([], {**SLURM, "SLURM_STEP_NODELIST": "node[007-010]"}, Place("node007:61441", 4, 2)),
        ([], {**SLURM, "SLURM_STEP_NODELIST": "tux,node[2,4-5]"}, Place("tux:61441", 4, 2)),
        ([], {**SLURM, "SLURM_STEP_NODELIST": "n", "SLURM_STEP_NUM_NODES": "1", "SLURM_LOCALID": "2"},
         Place("n:61441", 4, 2, 2)),
        ([], {**SLURM, "SLURM_STEP_NODELIST": "n", "SLURM_NTASKS": "1"}, None),
        ([], {**SLURM, "SLURM_STEP_NODELIST": "n", "SLURM_JOB_ID": "12290"}, Place("n:61442", 4, 2)),
        ([], SLURM, None),  # a shell of sbatch, in no step
        ([], {"TPU_WORKER_HOSTNAMES": "a,b"}, Place("", -1, -1)),
        ([], {"TPU_WORKER_HOSTNAMES": "localhost"}, None),
    ],
)  # fmt: skip
def test_who_a_process_is(given, environment, found):
    assert place(*given, **environment) == found


@pytest.mark.parametrize(
    ("given", "environment", "told"),
    [
        (["--coordinator=h:7"], {}, "--coordinator=h:7 --processes=0 --process=-1: accepted"),
        (["--processes=2", "--process=1"], {}, "--coordinator= --processes=2"),
        (["--coordinator=h:7", "--processes=2", "--process=2"], {}, "--process=2: accepted"),
        (["--coordinator=h", "--processes=2", "--process=0"], {}, "--coordinator=h "),
        (["--coordinator=h:99999", "--processes=2", "--process=0"], {}, "--coordinator=h:99999 "),
        (["--coordinator=h:0", "--processes=2", "--process=0"], {}, "--coordinator=h:0 "),
        ([], {**VARIABLES, "JAX_NUM_PROCESSES": "²", "JAX_PROCESS_ID": "0"}, "JAX_NUM_PROCESSES=²"),
        (["--coordinator=auto", "--processes=2"], {}, "--processes=2 .*: accepted: --coordinator=auto alone"),
        ([], VARIABLES, "JAX_PROCESS_ID=: accepted"),
        ([], {**VARIABLES, "JAX_PROCESS_ID": "3"}, "JAX_PROCESS_ID=3: accepted"),
    ],
)
def test_who_is_nobody_is_refused(given, environment, told):
    with pytest.raises(UserError, match=told):
        place(*given, **environment)
