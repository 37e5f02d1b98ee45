"""A run's folder: one config, one process at a time, and errors of the disk told in a line."""

import errno
import fcntl
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from aejax import distributed, files
from aejax.checkpoint import Checkpoints
from aejax.errors import UserError
from configs.base import base

CONFIG = "config.json"
LOCK = ".lock"

# Keys that say where and how a run computes, not what it learns: these may change between two starts.
FREE = ("data.dir", "data.device_bytes", "train.steps_per_call", "log", "checkpoint.seconds", "checkpoint.keep", "mesh")
FREE += ("sweep.placement", "sweep.at_once")

LOCAL = ("data.dir",)  # in which processes of one run may differ

_DISK = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota is used up", errno.EROFS: "it is read-only"}
_DISK |= {errno.EACCES: "no permission to write", errno.EPERM: "no permission to write"}


def read_config(workdir: Path) -> dict[str, Any]:
    """The config of the run in a workdir; a key that came after the run has its default, which is what the run did.

    Raises:
      UserError: there is no run there, or its config cannot be read.
    """
    path = workdir / CONFIG
    try:
        return completed(files.read_json(path))
    except FileNotFoundError:
        raise UserError(f"no run in {workdir}: it has no {CONFIG}; accepted: the --workdir of a run") from None
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None


def tuples(tree: Any) -> Any:
    """A config as JSON gives it back, with its tuples, which JSON has as lists."""
    if isinstance(tree, Mapping):
        return {key: tuples(value) for key, value in tree.items()}
    return tuple(tree) if isinstance(tree, list) else tree


def completed(written: dict[str, Any]) -> dict[str, Any]:
    """A config as it was written, with the defaults of keys that came later."""
    return _completed(written, plain(base()))


def _completed(written: dict[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    sections = {key: _completed(written.get(key, {}), of) for key, of in defaults.items() if isinstance(of, Mapping)}
    return {**defaults, **written, **sections}


@contextmanager
def opened(workdir: Path, config: Mapping) -> Iterator[Path]:
    """The workdir made, locked against a second process, and holding this config or none yet.

    Raises:
      UserError: it cannot be made or written, also when the disk fills within; another
        process trains there; or it holds a run with another config.
    """
    with locked(workdir, f"--workdir={workdir}", "another --workdir") as lock:
        _show(lock, config)
        with _checked(workdir, config):
            yield workdir


@contextmanager
def entered(workdir: Path, config: Mapping) -> Iterator[Path]:
    """The workdir that process 0 has ``opened``.

    Raises:
      UserError: it is not here too, the config is another than that of process 0, or as of ``opened``.
    """
    shown, *told = distributed.of_first([0])
    differ = differences(json.loads(bytes(told)), plain(config), LOCAL)
    if differ:
        raise UserError(
            f"process 0 has another config than this one ({'; '.join(differ)}); accepted: the same command for all"
        )
    try:
        seen = int((workdir / LOCK).read_text())
    except (OSError, ValueError):
        seen = None
    if seen != shown:
        raise UserError(f"--workdir={workdir} is not the folder of process 0; accepted: one that all processes share")
    with _checked(workdir, config):
        yield workdir


def _show(lock: IO[str], config: Mapping) -> None:
    """Write what other processes are to find in the folder, and tell it to them, with the config."""
    shown = secrets.randbelow(2**31)
    lock.truncate(0)
    lock.write(str(shown))
    lock.flush()
    os.fsync(lock.fileno())
    distributed.of_first([shown, *json.dumps(plain(config)).encode()])


@contextmanager
def _checked(workdir: Path, config: Mapping) -> Iterator[None]:
    """Within it the disk's errors are told in a line; the workdir holds this config, or none yet."""
    _compare_config(workdir, config)
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK:
            raise
        steps = Checkpoints(workdir).steps()
        kept = f"the checkpoint of step {steps[-1]} is whole" if steps else "no checkpoint had been saved"
        message = f"--workdir={workdir} cannot be written: {_DISK[error.errno]}; {kept}"
        raise UserError(f"{message}, and the same command goes on from there") from None


@contextmanager
def locked(folder: Path, told: str, accepted: str) -> Iterator[IO[str]]:
    """The folder made, and within it no other process's that asks for it so; the file that says so.

    Args:
      folder: the folder.
      told: the flag that names it, with its value.
      accepted: instead, where another process has it.

    Raises:
      UserError: it cannot be made, or another process trains there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("a")  # what is in it stays where it is another's
    except OSError as error:
        raise UserError(f"{told} cannot be written: {_DISK.get(error.errno, error.strerror)}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{told}: another process trains there; accepted: {accepted}") from None
        yield lock


def _compare_config(workdir: Path, config: Mapping) -> None:
    if not (workdir / CONFIG).exists():
        return
    differ = differences(read_config(workdir), plain(config), FREE)
    if differ:
        raise UserError(
            f"--workdir={workdir} holds a run with another config ({'; '.join(differ)}); "
            "accepted: that config, or another --workdir"
        )


def write_config(workdir: Path, config: Mapping) -> None:
    """The run's config as config.json."""
    files.write_text(workdir / CONFIG, json.dumps(written(config), indent=2) + "\n")


def written(config: Mapping) -> dict[str, Any]:
    """``plain``, without the section ``sweep`` where that is as in ``configs/base.py``, else without its empty keys."""
    found = plain(config)
    sweep = _filled(found.pop("sweep"))
    return found if sweep == _filled(plain(base())["sweep"]) else {**found, "sweep": sweep}


def _filled(tree: dict[str, Any]) -> dict[str, Any]:
    below = {key: _filled(value) if isinstance(value, dict) else value for key, value in tree.items()}
    return {key: value for key, value in below.items() if value not in ("", {})}


def plain(config: Mapping) -> dict[str, Any]:
    """The config as JSON gives it back: tuples as lists."""
    return json.loads(json.dumps(config.to_dict()))


def differences(old: Mapping, new: Mapping, but: Iterable[str] = (), prefix: str = "") -> list[str]:
    """``key: old -> new`` for each dotted key at which two nested mappings differ; those in ``but`` aside."""
    lines = []
    for key in sorted(old.keys() | new.keys()):
        name = f"{prefix}{key}"
        if name in but:
            continue
        a, b = old.get(key), new.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            lines += differences(a, b, but, f"{name}.")
        elif a != b:
            lines.append(f"{name}: {json.dumps(a)} -> {json.dumps(b)}")
    return lines
