"""Where a run comes from: what its config changes, the command that trains it, and how long that took."""

import importlib
import inspect
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from configs.base import base

Difference = tuple[str, Any, Any]  # dotted key, value, value of what it is compared with


def flat(config: Mapping, prefix: str = "") -> dict[str, Any]:
    """The values of a nested config by dotted key, tuples as the lists that JSON has."""
    values: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) or hasattr(value, "to_dict"):
            values |= flat(value, f"{prefix}{key}.")
        else:
            values[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value
    return values


def differences(config: Mapping, other: Mapping) -> list[Difference]:
    """The keys at which a config differs from another, in the other's order; those that it alone has come last.

    A key that the config lacks has the other's value, as a run older than the key did.
    """
    values, known = flat(config), flat(other)
    keys = [*known, *(key for key in values if key not in known)]
    return [
        (key, values[key], known.get(key)) for key in keys if key in values and values[key] != known.get(key, object())
    ]


def defaults() -> Mapping:
    """The config in which every key is at its default."""
    return base()


def shipped() -> Iterator[str]:
    """The names of the files in ``configs/`` that say what to train."""
    folder = Path(inspect.getfile(base)).parent
    return (path.stem for path in sorted(folder.glob("*.py")) if path.stem not in ("base", "__init__"))


def origin(config: Mapping) -> tuple[str, list[Difference]]:
    """The shipped config, ``NAME`` or ``NAME:PRESET``, that a run was trained from, and what was set by hand.

    A config is called by its file, an underscore and its preset. For one that no file makes, the shipped
    config with the fewest differences.
    """
    name = config["name"]
    for stem in sorted(shipped(), key=len, reverse=True):
        preset = name.removeprefix(stem).removeprefix("_")
        if name == stem or name.startswith(f"{stem}_"):
            try:
                return f"{stem}:{preset}" if preset else stem, differences(config, _made(stem, preset or None))
            except ValueError:  # no such preset
                continue
    return min(((stem, differences(config, _made(stem))) for stem in shipped()), key=lambda found: len(found[1]))


def _made(stem: str, preset: str | None = None) -> Mapping:
    return importlib.import_module(f"configs.{stem}").get_config(preset)


def training_command(config: Mapping, workdir: Path) -> str:
    """The command line that trains a run with this config, quoted for a shell."""
    name, by_hand = origin(config)
    stem, _, preset = name.partition(":")
    words = [f"--config=configs/{stem}.py" + (f":{preset}" if preset else ""), f"--workdir={workdir}"]
    words += [f"--config.{key}={_argument(value)}" for key, value, _ in by_hand]
    return shlex.join(["python", "-m", "aejax.main", *words])


def _argument(value: Any) -> str:
    if not isinstance(value, list):
        return str(value)
    numbers = value and all(isinstance(item, int | float) for item in value)
    return ",".join(map(str, value)) if numbers else str(tuple(value))


def seconds(rows: Sequence[Mapping[str, Any]]) -> float:
    """The time that training took in all its sittings, from the lines of timing.jsonl; 0 without any.

    A sitting lasts from the start of the process, which its ``first_call`` tells, to its last line; the clock's
    readings are whole seconds. Sittings that overlap count once.
    """
    sittings: list[list[float]] = []
    for row in rows:
        at = datetime.strptime(row["time"], "%Y-%m-%dT%H:%M:%S%z").timestamp()
        if row["event"] == "first_call" or not sittings:
            sittings.append([at - row.get("seconds", 0.0), at])
        sittings[-1][1] = max(sittings[-1][1], at)
    total, end = 0.0, -float("inf")
    for first, last in sorted(sittings):
        total += max(0.0, last - max(first, end))
        end = max(end, last)
    return total
