"""The values to try of a key, as text: some, or a range; and the settings that several keys make of them.

    0,1,2    {16,32,64}    0.1:0.5    log:1e-4:1e-2    log:1e-4:1e-2:5

Some values by commas (in braces or without), or any in a range, ``low:high`` evenly or ``log:low:high`` evenly by
ratio, both ends included. A third number, ``low:high:n``, makes n values of the range, evenly spaced. The values of a
key that holds whole numbers are whole numbers.

A draw is a pure function of (seed, key, number of the draw): more draws are the same ones and others.
"""

import ast
import itertools
import math
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aejax import main
from aejax.errors import UserError

MOST = 10_000  # values of a range
ACCEPTED = "accepted: {a,b,c}, low:high or log:low:high, or with a number of values low:high:n"


@dataclass(frozen=True)
class Choices:
    """One of some values."""

    key: str
    values: tuple[Any, ...]
    log: bool = False  # values of a log range

    def at(self, share: float) -> Any:
        """The value at a share in [0, 1) of the way, all of them as likely where shares are."""
        return self.values[int(share * len(self.values))]


@dataclass(frozen=True)
class Uniform:
    """A number from ``low`` to ``high``; whole ones are all as likely."""

    key: str
    low: float
    high: float
    whole: bool
    log = False

    def at(self, share: float) -> float | int:
        """The value at a share in [0, 1) of the way."""
        if self.whole:
            return int(self.low) + int(share * (self.high - self.low + 1))
        return rounded(self.low + share * (self.high - self.low))

    def spaced(self, count: int) -> Choices:
        """So many values from end to end."""
        values = np.linspace(self.low, self.high, count).tolist()
        return Choices(self.key, _distinct(round(v) if self.whole else rounded(v) for v in values))


@dataclass(frozen=True)
class Log:
    """A number from ``low`` to ``high``, above 0, whose logarithm is as likely everywhere."""

    key: str
    low: float
    high: float
    whole: bool
    log = True

    def at(self, share: float) -> float | int:
        """The value at a share in [0, 1) of the way."""
        low, high = (self.low - 0.5, self.high + 0.5) if self.whole else (self.low, self.high)  # the ends are as wide
        value = low * (high / low) ** share
        return min(max(round(value), int(self.low)), int(self.high)) if self.whole else rounded(value)

    def spaced(self, count: int) -> Choices:
        """So many values from end to end, each as many times the one before."""
        values = np.geomspace(self.low, self.high, count).tolist()
        return Choices(self.key, _distinct(round(v) if self.whole else rounded(v) for v in values), log=True)


Space = Choices | Uniform | Log
Setting = dict[str, Any]  # key -> value


def rounded(value: float) -> float:
    """To five significant digits, so that it can be typed again."""
    return float(f"{value:.5g}")


def _distinct(values) -> tuple:
    return tuple(dict.fromkeys(values))


def space(key: str, spec: str, config: Mapping, where: str, distinct: bool = True) -> Space:
    """What a text says of a key.

    Args:
      key: dotted, of the config.
      spec: the text.
      config: tells what the key holds.
      where: the flag or section that the text is of, for messages.
      distinct: a value that comes twice counts once.

    Raises:
      UserError: there is no such key, or the text is not understood.
    """
    if ":" in spec and not spec.strip().startswith("{") and not isinstance(_held(key, config), str):
        return interval(key, spec, config, where)
    braced = spec if spec.strip().startswith("{") else f"{{{spec}}}"
    return choices(key, braced, config, where, distinct)


def _held(key: str, config: Mapping) -> Any:
    main.kind(config, key)
    for name in key.split("."):
        config = config[name]
    return config


def parts(text: str) -> list[str]:
    """The text cut at the commas that stand in no bracket."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "{(") - (character in "})")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def choices(key: str, spec: str, config: Mapping, where: str, distinct: bool = True) -> Choices:
    """``{a,b,c}``; see ``space``."""
    spec, value, kind = spec.strip(), _held(key, config), main.kind(config, key)
    if not spec.endswith("}"):
        raise UserError(f"{where}: {key}={spec} has no closing brace; {ACCEPTED}")
    if spec[1:-1].strip() and re.search(r"(^|,)\s*(,|$)", spec[1:-1]):
        raise UserError(f"{where}: {key}={spec} has an empty place; {ACCEPTED}")
    values = tuple(_read(key, part, value, kind, where) for part in parts(spec[1:-1]))
    if not values:
        raise UserError(f"{where}: {key}={spec} names no value; {ACCEPTED}")
    return Choices(key, _distinct(values) if distinct else values)


def interval(key: str, spec: str, config: Mapping, where: str) -> Space:
    """``low:high``, ``log:low:high``, ``low:high:n`` or ``log:low:high:n``; see ``space``."""
    spec, value, kind = spec.strip(), _held(key, config), main.kind(config, key)
    numbers, family = spec, Uniform
    if spec.startswith("log:"):
        numbers, family = spec[4:], Log
    ends = numbers.split(":")
    if len(ends) not in (2, 3):
        raise UserError(f"{where}: {key}={spec} is not understood; {ACCEPTED}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{where}: {key}={spec} is a range, but config.{key} is {kind}; accepted: {{a,b,c}}")
    low, high = (_read(key, part, value, kind, where) for part in ends[:2])
    if not low < high or family is Log and low <= 0:
        least = "above 0 and below high" if family is Log else "below high"
        raise UserError(f"{where}: {key}={spec}: low must be {least}")
    found = family(key, low, high, isinstance(value, int))
    if len(ends) == 2:
        return found
    if not re.fullmatch(r"[0-9]+", ends[2]) or not 2 <= int(ends[2]) <= MOST:
        raise UserError(f"{where}: {key}={spec}: the third is how many values; accepted: 2 to {MOST:,}")
    return found.spaced(int(ends[2]))


def _read(key: str, text: str, value: Any, kind: str, where: str) -> Any:
    """The text as a value of the type that the key holds."""
    text = text.strip()
    try:
        if isinstance(value, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(value, int):
            return int(text)
        if isinstance(value, float):
            number = float(text)
            if math.isfinite(number):
                return number
        elif isinstance(value, tuple):
            return tuple(ast.literal_eval(text))
        else:
            return text
    except (ValueError, KeyError, SyntaxError, TypeError):
        pass
    kind = "a tuple, such as (500,) or (500,250)" if isinstance(value, tuple) else kind  # in brackets, among others
    raise UserError(f"{where}: {text!r} for {key} is not {kind}")


def count(spaces: Sequence[Space]) -> float:
    """How many settings there are, perhaps infinitely many."""
    sizes = [len(s.values) if isinstance(s, Choices) else s.high - s.low + 1 if s.whole else math.inf for s in spaces]
    return math.prod(sizes)


def grid(spaces: Sequence[Space], where: str) -> list[Setting]:
    """Every combination, the last key changing fastest.

    Raises:
      UserError: a range has no number of values.
    """
    listed = [_listed(space, where) for space in spaces]
    keys = [space.key for space in spaces]
    return [dict(zip(keys, values, strict=True)) for values in itertools.product(*listed)]


def zipped(spaces: Sequence[Space], where: str) -> list[Setting]:
    """The first values of all keys together, then the second of all, and so on.

    Raises:
      UserError: a range has no number of values, or one key has more values than another.
    """
    listed = [_listed(space, where) for space in spaces]
    if len(set(map(len, listed))) > 1:
        told = ", ".join(f"{s.key} has {len(values)}" for s, values in zip(spaces, listed, strict=True))
        raise UserError(f"{where}: {told} values; accepted together: as many of each key")
    keys = [space.key for space in spaces]
    return [dict(zip(keys, values, strict=True)) for values in zip(*listed, strict=True)]


def _listed(space: Space, where: str) -> tuple:
    if isinstance(space, Choices):
        return space.values
    head = "log:" if space.log else ""
    raise UserError(f"{where}: {space.key} is a range; accepted: {head}{space.low}:{space.high}:n with n values")


def draws(spaces: Sequence[Space], number: int, seed: int) -> list[Setting]:
    """So many different settings at random, or all where there are fewer."""
    found: list[Setting] = []
    for setting in _stream(spaces, seed):
        if setting not in found:
            found.append(setting)
        if len(found) >= min(number, count(spaces)):
            return found
    return found


def _stream(spaces: Sequence[Space], seed: int) -> Iterator[Setting]:
    for draw in range(1_000_000):  # by then all of a small number of settings have come
        yield {space.key: space.at(_share(seed, space.key, draw)) for space in spaces}


def _share(seed: int, key: str, draw: int) -> float:
    """Uniform in [0, 1), to 53 bits; of NumPy's random streams only the bit generators' are promised to stay."""
    bits = np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(key.encode()), draw]))
    return (int(bits.random_raw()) >> 11) / 2**53
