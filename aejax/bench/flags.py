"""The command's flags."""

from collections.abc import Sequence
from typing import Any

from absl import flags as absl_flags

from aejax.bench import nets
from aejax.errors import UserError

SECONDS = (0.01, 60.0)
HELP = ("h", "help")


def parse(argv: Sequence[str]) -> tuple[absl_flags.FlagValues, list[str]]:
    """The flags, and the names that stand beside them.

    Raises:
      UserError: naming the flag.
    """
    flags = _defined()
    accepted = ", ".join(f"--{flag}" for flag in flags if flag not in HELP)
    try:
        names = flags(["bench", *argv])[1:]
    except absl_flags.Error as error:
        raise UserError(f"{' '.join(str(error).split())}; accepted: {accepted}") from None
    if not flags.workdir:
        raise UserError("--workdir= is empty; accepted: a folder")
    if not SECONDS[0] <= flags.seconds <= SECONDS[1]:  # absl lets NaN pass
        raise UserError(f"--seconds={flags.seconds}; accepted: {SECONDS[0]} to {SECONDS[1]}")
    for precision in [""] if flags.precision == [] else flags.precision or ():
        if precision not in nets.PRECISIONS:
            raise UserError(f"--precision={precision}; accepted: {', '.join(nets.PRECISIONS)}")
    return flags, names


def _defined() -> absl_flags.FlagValues:
    flags = absl_flags.FlagValues()
    here: dict[str, Any] = {"flag_values": flags}
    absl_flags.DEFINE_boolean("peers", False, "Measure PyTorch, Keras and pythae too, in .venv-peers, made if need be.",
                              **here)  # fmt: skip
    absl_flags.DEFINE_string("peers_python", "", "With --peers: an interpreter that has them already.", **here)
    absl_flags.DEFINE_string("workdir", "runs/bench", "Where results go; what is there already is kept.", **here)
    absl_flags.DEFINE_boolean("again", False, "Measure what is named anew, where it is there already.", **here)
    absl_flags.DEFINE_string("device", "", "cpu or gpu; else the accelerator that JAX sees, or the CPU.", **here)
    absl_flags.DEFINE_list("precision", None, "float32, bfloat16 or both; else float32, and on a GPU both.", **here)
    absl_flags.DEFINE_string("data", "", "The data set; else the config's, or its stand-in without a download.", **here)
    absl_flags.DEFINE_integer("repeats", None, "Interleaved repeats; else 5, and of sweeps 1.", 1, **here)
    absl_flags.DEFINE_float("seconds", 1.0, "About how long a repeat is; sweeps take as long as they do.", *SECONDS,
                            **here)  # fmt: skip
    absl_flags.DEFINE_list(
        "config", None, "Nets of scaling, NAME[:PRESET][@BATCH] each; else shallow,wta,conv.", **here
    )
    absl_flags.DEFINE_list("devices", None, "Numbers of host devices of scaling; else 1,2,4,8.", **here)
    absl_flags.DEFINE_boolean("help", False, "Show this help.", short_name="h", **here)
    return flags


def describe(flags: absl_flags.FlagValues) -> str:
    """A line a flag."""
    shown = [flags[name] for name in flags if name not in HELP]
    return "\n".join(f"  --{f.name}: {f.help}" + (f" (default: {f.value})" if f.value else "") for f in shown)
