"""Find the parts of an autoencoder by the names that a config gives, and hand each the keys that it reads.

There is no registry: a part is a class or function of the module that its word
names, and its fields and parameters are the schema of its section of the
config. ``code.name = "lifetime"`` is ``codes.Lifetime``; ``encoder.name =
"mlp"`` is ``nets.MlpEncoder``.
"""

import inspect
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from flax import linen as nn

from aejax.errors import UserError


def snake_case(name: str) -> str:
    """``LearnedGaussian`` -> ``learned_gaussian``."""
    return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")


def modules(place: ModuleType, suffix: str = "") -> dict[str, type[nn.Module]]:
    """The public linen modules that ``place`` defines and whose class names end in ``suffix``, by config name."""
    return {
        snake_case(name.removesuffix(suffix)): cls
        for name, cls in inspect.getmembers(place, inspect.isclass)
        if issubclass(cls, nn.Module)
        and cls.__module__.startswith(place.__name__)
        and name.endswith(suffix)
        and name != suffix
    }


def functions(place: ModuleType) -> dict[str, Callable]:
    """The public functions that ``place`` defines, by name."""
    return {
        name: f
        for name, f in inspect.getmembers(place, inspect.isfunction)
        if f.__module__.startswith(place.__name__) and not name.startswith("_")
    }


def find(found: Mapping[str, Any], key: str, name: str) -> Any:
    """The part called ``name``.

    Raises:
      UserError: there is none; the message names the key and what it accepts.
    """
    if name not in found:
        raise UserError(f"config.{key}={name!r} is not known; accepted: {', '.join(sorted(found))}")
    return found[name]


def fields(cls: type[nn.Module]) -> set[str]:
    """The configuration that a module's constructor takes."""
    return set(inspect.signature(cls).parameters) - {"parent", "name"}


def build(cls: type[nn.Module], section: Mapping[str, Any], **given: Any) -> nn.Module:
    """The module with those of its fields that the section or ``given`` holds; ``given`` wins."""
    known = {**{k: section[k] for k in section if k != "name"}, **given}
    return cls(**{k: known[k] for k in fields(cls) & known.keys()})


def parameters(function: Callable) -> set[str]:
    """The names of a function's parameters, or of a module's call."""
    call = function.__call__ if inspect.isclass(function) else function
    return set(inspect.signature(call).parameters)


def default(function: Callable, name: str) -> Any:
    """The default of a function's parameter; None where it has no such parameter."""
    found = inspect.signature(function).parameters.get(name)
    return found and found.default


def matching(function: Callable, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``values`` that ``function`` has a parameter for."""
    names = parameters(function)
    return {k: v for k, v in values.items() if k in names}
