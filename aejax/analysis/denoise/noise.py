"""A corruption of aejax/corruptions.py at any level: which one, at which levels, and the corrupted images."""

import inspect
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from aejax import checks, corruptions, keys, parts
from aejax.errors import UserError

ROWS = 1000  # images to a call
FACTORS = (0.25, 0.5, 0.75, 1.5, 2.0, 3.0)  # of the trained level, beside it


class Noise(NamedTuple):
    """A corruption whose level is left open.

    Attributes:
      name: of a function of ``corruptions``.
      parameter: the one that is its level, such as ``std`` or ``rate``.
      fixed: the others, such as ``low`` and ``high``.
      trained: the level that the run was trained with; None where it was not trained with this corruption.
    """

    name: str
    parameter: str
    fixed: dict[str, float]
    trained: float | None

    def __call__(self, x: np.ndarray, level: float, seed: int, draw: str = "test") -> np.ndarray:
        """Prepared images [n, h, w, c] corrupted to this level; noise goes by (seed, draw, place among them) alone, so
        that a higher level is more of the same noise."""
        numbers = {name: np.float32(value) for name, value in {**self.fixed, self.parameter: level}.items()}
        key, noisy = keys.root(seed, f"denoise {draw}"), []
        for first in range(0, len(x), ROWS):
            part = x[first : first + ROWS]
            filled = np.resize(part, (ROWS, *x.shape[1:]))  # of one shape, for one program
            noisy.append(np.asarray(_corrupted(self.name, filled, key, np.int32(first), numbers))[: len(part)])
        return np.concatenate(noisy)


def level_parameter(name: str) -> str | None:
    """The parameter of a corruption that is its level: the first that it takes by keyword alone; None without one."""
    found = inspect.signature(parts.functions(corruptions)[name]).parameters.values()
    return next((p.name for p in found if p.kind == p.KEYWORD_ONLY), None)


def known() -> list[str]:
    """The names of the corruptions that have a level."""
    return [name for name in parts.functions(corruptions) if level_parameter(name)]


def choose(section: Mapping[str, Any], asked: str, x: np.ndarray) -> Noise:
    """The corruption asked for; the run's own where none is (""); and for a run without, Gaussian noise: clipped to
    [low, high] where the clean images lie within.

    Args:
      section: ``corruption`` of the run's config.
      asked: the flag.
      x: prepared images [n, h, w, c].

    Raises:
      UserError: there is none of that name, or it changes clean images even at level 0.
    """
    if asked and asked not in known():
        raise UserError(f"--corruption={asked}: accepted are {', '.join(known())}")
    own = section["name"]
    name = asked or ("clipped_gaussian" if own == "none" else own)
    if name != own and not _keeps_clean(noise := _of(section, name), x):
        if asked:
            numbers = ", ".join(f"{key} {value:g}" for key, value in noise.fixed.items())
            raise UserError(f"--corruption={asked} ({numbers}) changes these inputs without noise; accepted: gaussian")
        name = "gaussian"
    return _of(section, name)


def _of(section: Mapping[str, Any], name: str) -> Noise:
    level = level_parameter(name)
    fixed = parts.matching(parts.functions(corruptions)[name], {k: v for k, v in section.items() if k != level})
    return Noise(name, level, fixed, section[level] if section["name"] == name else None)


def _keeps_clean(noise: Noise, x: np.ndarray) -> bool:
    return bool(np.allclose(noise(x[:ROWS], 0.0, 0), x[:ROWS], atol=1e-6))


def levels(noise: Noise, asked: Sequence[str], usual: float) -> list[float]:
    """The levels asked for, ascending; else those around the trained one, or around ``usual`` without.

    Raises:
      UserError: one is no number, or out of the range of the config's key.
    """
    anything = (np.isfinite, "numbers")
    accepts, accepted = checks.RANGES.get(f"corruption.{noise.parameter}", anything)
    if not asked:
        centre = usual if noise.trained is None else noise.trained
        around = (float(f"{centre * factor:.2g}") for factor in FACTORS)
        return sorted({level for level in (centre, *around) if level > 0 and accepts(level)}) or [centre]
    try:
        found = sorted({float(text) for text in asked})
    except ValueError:
        raise UserError(f"--levels={','.join(asked)}: accepted are numbers separated by commas") from None
    if wrong := [level for level in found if not (np.isfinite(level) and accepts(level))]:
        raise UserError(f"--levels={wrong[0]:g} of {noise.name} is out of range; accepted: {accepted}")
    return found


@partial(jax.jit, static_argnums=0)
def _corrupted(
    name: str, x: jax.Array, key: jax.Array, first: jax.Array, numbers: Mapping[str, jax.Array]
) -> jax.Array:
    """The images [b, h, w, c] corrupted, each by the noise of its place, ``first`` on."""
    own = jax.vmap(jax.random.fold_in, (None, 0))(key, first + jax.numpy.arange(len(x)))
    return parts.functions(corruptions)[name](x, own, **numbers).x
