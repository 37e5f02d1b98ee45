"""``python -m aejax.main --config=configs/wta.py [--workdir=DIR] [--config.KEY=VALUE …]``: train, or go on training;
with ``--dry_run`` say what that would cost."""

import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from aejax import cluster
from aejax.errors import UserError

USAGE = "python -m aejax.main --config=FILE[:PRESET] [--workdir=DIR] [--dry_run] [--config.KEY=VALUE ...] "
USAGE += "[--coordinator=HOST:PORT --processes=N --process=I]"
HELP = f"""usage: {USAGE}

configs/base.py explains every key; a config file's docstring, what it trains.

--dry_run tells what a run would have, do and take, and trains nothing.
Several processes train as one run where --coordinator, --processes and --process say who each of them is (README,
"Scale"), or else JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID, or a step of Slurm, or Cloud TPU;
--coordinator=auto leaves it to JAX.

exit status: 0 finished; 2 a mistake, told in a line; 75 another process of the run is gone; 130 Ctrl-C, 143 SIGTERM:
saved and stopped; after 75, 130 and 143 the same command goes on."""
KINDS = {bool: "true or false", int: "a whole number", float: "a number", tuple: "a tuple, such as 500,250"}


def parse(argv: list[str]) -> tuple[ConfigDict, dict[str, Any], str | None]:
    """The config, the keys of it set by hand, and the workdir, if named.

    Raises:
      UserError: for whatever is wrong in ``argv``.
    """
    config, overrides, values = parse_with(argv, _define, USAGE)
    return config, overrides, values.workdir


def _define(values: flags.FlagValues) -> None:
    flags.DEFINE_string("workdir", None, "the run's folder; runs/<config name> unless named", flag_values=values)
    told = "print parameters, FLOPs, memory and where every array lies, and train nothing"
    flags.DEFINE_boolean("dry_run", False, told, flag_values=values)
    cluster.define(values)


def parse_with(
    argv: list[str], define: Callable[[flags.FlagValues], None], usage: str
) -> tuple[ConfigDict, dict[str, Any], flags.FlagValues]:
    """The config, the keys of it set by hand, and the values of the flags that ``define`` adds to ``--config``.

    Raises:
      UserError: for whatever is wrong in ``argv``.
    """
    program, *given = argv
    config, _, _ = _parse([program, *(a for a in given if not _override(a))], define, usage)
    kinds = {key: kind(config, key) for key in map(_override, given) if key}
    return _parse(argv, define, usage, kinds)


def _parse(
    argv: list[str], define: Callable, usage: str, kinds: Mapping[str, str] | None = None
) -> tuple[ConfigDict, dict[str, Any], flags.FlagValues]:
    values = flags.FlagValues()
    before, sys.argv = sys.argv, argv  # where config_flags looks for overrides
    try:
        config_flags.DEFINE_config_file("config", None, "the config file, and a preset after a colon", values)
        define(values)
        rest = values(argv)[1:]
    except flags.IllegalFlagValueError as error:
        raise UserError(_illegal(str(error), kinds or {})) from None
    except flags.Error as error:
        raise UserError(f"{error}; usage: {usage}") from None
    except Exception as error:  # raised by the config file itself
        at = traceback.extract_tb(error.__traceback__)[-1]
        raise UserError(f"--config: {type(error).__name__}: {error} ({at.filename}, line {at.lineno})") from None
    finally:
        sys.argv = before
    if rest or not values["config"].present:
        raise UserError(f"{'unexpected ' + rest[0] if rest else 'no --config'}; usage: {usage}")
    path = values["config"].config_filename.partition(":")[0]
    if not Path(path).is_file():
        there = sorted(str(p) for p in Path("configs").glob("*.py") if p.stem not in ("base", "__init__"))
        raise UserError(f"--config={path}: no such file; accepted: {', '.join(there) or 'the path of a config file'}")
    return values.config, config_flags.get_override_values(values["config"]), values


def _override(argument: str) -> str | None:
    """``train.epochs`` of ``--config.train.epochs=3``."""
    match = re.match(r"--?(?:no)?config\.([^=]+)", argument)
    return match and match.group(1)


def kind(config: ConfigDict, key: str) -> str:
    """What the value of a key must be.

    Raises:
      UserError: there is no such key; the message lists those beside it.
    """
    *path, last = key.split(".")
    section, where = config, "config"
    for name in path:
        if not isinstance(section.get(name), ConfigDict):
            break
        section, where = section[name], f"{where}.{name}"
    if where != ".".join(["config", *path]) or last not in section:
        raise UserError(f"config.{key} is not a key; accepted in {where}: {', '.join(sorted(section))}")
    if isinstance(section[last], ConfigDict):
        raise UserError(f"config.{key} is a section; accepted in it: {', '.join(sorted(section[last]))}")
    return KINDS.get(type(section[last]), "text")


def _illegal(message: str, kinds: Mapping[str, str]) -> str:
    """One line of absl's message about a value, or of the traceback of a config file that it holds."""
    flag, _, reason = message.strip().removeprefix("flag --").partition(": ")
    key, _, value = flag.partition("=")
    if accepted := kinds.get(key.removeprefix("config.")):
        return f"{key}={value!r} is not {accepted}"
    if "Traceback" in reason:
        line = re.findall(r'File "[^"]*", line \d+', reason)[-1:]
        last = reason.splitlines()[-1]
        return f"--{flag}: " + (last.removeprefix("ValueError: ") if "accepted" in last else f"{last} ({line[0]})")
    return f"--{flag}: {' '.join(reason.split())}"


def main(argv: list[str] | None = None) -> int:
    """The exit status: 0 finished, 2 a user's mistake, 75 another process of the run is gone, 128 + n stopped by signal
    n (141: nobody reads the lines)."""
    argv = sys.argv if argv is None else argv
    if {"-h", "-help", "--help"} & set(argv):
        print(HELP)
        return 0
    try:
        config, overrides, values = parse_with(argv, _define, USAGE)
        place = _place(values)
        train = partial(_run, config, overrides, values)
        return train() if place is None else _of_several(place, train)
    except (UserError, BrokenPipeError, KeyboardInterrupt) as error:
        return _status(error)


def _status(error: BaseException) -> int:
    """The exit status of what ended a run, told in a line."""
    if isinstance(error, BrokenPipeError):
        return unread()
    stopped = isinstance(error, KeyboardInterrupt)  # before training began: from then on it saves and stops
    print(f"aejax: {'stopped before the first step' if stopped else error}", file=sys.stderr)
    return 130 if stopped else 2


def _place(values: flags.FlagValues) -> cluster.Place | None:
    """Who this process is; None where it is the only one, or trains nothing."""
    if not values.dry_run:
        return cluster.place(values, os.environ)
    if cluster.told(values):
        raise UserError(
            "--dry_run is of the devices of one process; accepted: without --coordinator, --processes and --process "
            "(XLA_FLAGS=--xla_force_host_platform_device_count=8 makes 8 devices of a CPU)"
        )
    return None


def _of_several(place: cluster.Place, train: Callable[[], int]) -> int:
    """Train as one of several processes, of which none waits in vain for another."""
    from aejax import distributed, host  # here, since JAX takes its time to import

    try:
        watch = distributed.join(place)
    except UserError as error:
        distributed.end(_status(error))  # at once: JAX, on its way out, would abort where process 0 is gone
    if watch is None:
        return train()
    with host.Signals():  # the run's own from here on: one that stops now does so as all agree
        status, agreed = 1, False
        try:
            status, agreed = train(), True
        except (UserError, BrokenPipeError) as error:
            status = _status(error)
        except SystemExit as error:  # Ctrl-C once more
            status = error.code
        except Exception:
            watch.settle()
            traceback.print_exc()
        watch.close(status, agreed)
    return status


def _run(config: ConfigDict, overrides: Mapping[str, Any], values: flags.FlagValues) -> int:
    from aejax import checks, train  # here, since a mistake in the flags should be told at once
    from aejax.sweep import members

    checks.check_overrides(config, members.read_by_none(config, overrides))
    members.check_overrides(config, overrides)
    if values.dry_run:
        from aejax import dry_run

        return dry_run.run(config)
    swept = members.specified(config)
    if swept:
        from aejax.sweep import run

    name = run.default_name(config) if swept else config.name
    return (run.run if swept else train.run)(config, Path(values.workdir or Path("runs") / name))


def unread() -> int:
    """The exit status where whoever read the lines has gone; what was begun resumes."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains on its way out
    return 141


if __name__ == "__main__":
    sys.exit(main())
