"""A command of aejax called in this process, and a place in the JSON that it leaves behind."""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from aejax.studies.runs import Stopped


def called(module: str, argv: Sequence[str]) -> int:
    """The exit status of a command of aejax, called in this process as its module would be.

    Raises:
      Stopped: a signal stopped it.
    """
    name = module.rpartition(".")[2]
    status = importlib.import_module(module).main([name, *argv] if module == "aejax.main" else list(argv))
    if status > 128:
        raise Stopped(status)
    return status


def find(numbers: Any, where: str) -> Any:
    """What stands at ``a/b/0/key=value/c`` in JSON.

    Raises:
      LookupError: nothing does; it names the part that is not there.
    """
    for part in where.split("/"):
        key, equals, value = part.partition("=")
        if isinstance(numbers, list):
            numbers = {str(i): entry for i, entry in enumerate(numbers) if not equals or str(entry.get(key)) == value}
            numbers = {part: next(iter(numbers.values()))} if equals and len(numbers) == 1 else numbers
        if not isinstance(numbers, Mapping) or part not in numbers:
            there = ", ".join(map(str, numbers)) if isinstance(numbers, Mapping) else "no entries"
            raise LookupError(f"no {part!r} at {where}; there: {there}")
        numbers = numbers[part]
    return numbers
