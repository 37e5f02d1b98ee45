"""Who a process is among several that train as one run.

It is told by flags, by ``JAX_COORDINATOR_ADDRESS``, ``JAX_NUM_PROCESSES`` and ``JAX_PROCESS_ID`` (or, in an Indexed Job
of Kubernetes, ``JOB_COMPLETION_INDEX``), by a step of Slurm with several tasks, or by Cloud TPU. Nothing here touches
JAX: a mistake is told at once.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from absl import flags

from aejax.errors import UserError

SLURM = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID")


class Place(NamedTuple):
    """A process's place in a run; "" and -1 where JAX is to find out by itself.

    Attributes:
      coordinator: ``HOST:PORT`` on which process 0 listens.
      processes: how many there are.
      process: which of them this is.
      local_device: the one device of the machine that is this process's, or -1 for all.
    """

    coordinator: str
    processes: int
    process: int
    local_device: int = -1


def define(values: flags.FlagValues) -> None:
    """The flags that say who this process is."""
    told = "HOST:PORT where process 0 of several that make one run listens; auto: JAX finds out (Cloud TPU)"
    flags.DEFINE_string("coordinator", "", told, flag_values=values)
    flags.DEFINE_integer("processes", 0, "how many processes make the run", lower_bound=0, flag_values=values)
    flags.DEFINE_integer("process", -1, "which of them this is, from 0", flag_values=values)


def told(values: flags.FlagValues) -> bool:
    """Whether the flags say who this process is."""
    return bool(values.coordinator or values.processes or values.process >= 0)


def place(values: flags.FlagValues, environment: Mapping[str, str]) -> Place | None:
    """Who this process is, by flags or else by the environment; None where it is the only one.

    Raises:
      UserError: the flags or variables are not whole.
    """
    if told(values):
        given = f"--coordinator={values.coordinator} --processes={values.processes} --process={values.process}"
        if values.coordinator != "auto":
            return _whole(Place(values.coordinator, values.processes, values.process), given)
        if values.processes or values.process >= 0:
            raise UserError(f"{given}: accepted: --coordinator=auto alone")
        return Place("", -1, -1)
    if "JAX_COORDINATOR_ADDRESS" in environment:
        return _of_variables(environment)
    if all(name in environment for name in SLURM) and int(environment["SLURM_NTASKS"]) > 1:
        return _of_slurm(environment)
    if "," in environment.get("TPU_WORKER_HOSTNAMES", ""):
        return Place("", -1, -1)
    return None


def _of_variables(environment: Mapping[str, str]) -> Place | None:
    names = ["JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"]
    if names[2] not in environment and "JOB_COMPLETION_INDEX" in environment:
        names[2] = "JOB_COMPLETION_INDEX"
    given = " ".join(f"{name}={environment.get(name, '')}" for name in names)
    coordinator, *numbers = (environment.get(name, "") for name in names)
    if not all(number.isdecimal() for number in numbers):
        raise UserError(f"{given}: accepted: HOST:PORT, how many processes there are, which this is, from 0")
    found = _whole(Place(coordinator, *map(int, numbers)), given)
    return found if found.processes > 1 else None


def _of_slurm(environment: Mapping[str, str]) -> Place:
    """Of a step: process 0 is on its first node, and its port is the job's own."""
    first = re.match(r"([^,\[]+)(?:\[(\d+))?", environment["SLURM_STEP_NODELIST"])
    port = 65535 - 2**12 + 1 + int(environment["SLURM_JOB_ID"]) % 2**12
    several = int(environment.get("SLURM_STEP_NUM_NODES", "1")) < int(environment["SLURM_NTASKS"])
    local = int(environment.get("SLURM_LOCALID", "-1")) if several else -1
    numbers = (int(environment[name]) for name in SLURM[2:])
    return Place(f"{first[1]}{first[2] or ''}:{port}", *numbers, local)


def _whole(found: Place, given: str) -> Place:
    host, _, port = found.coordinator.rpartition(":")
    listening = re.fullmatch(r"\S+", host) and port.isdecimal() and 0 < int(port) < 2**16
    if not listening or not 0 <= found.process < found.processes:
        raise UserError(
            f"{given}: accepted: a HOST:PORT, how many processes there are, and which of them this is, from 0; or none "
            "of the three"
        )
    return found
