"""Starting from another run's weights."""

from collections.abc import Mapping
from typing import Any

import jax

from aejax.errors import UserError


def variables(config: Mapping, own: Mapping[str, Any]) -> tuple[dict[str, Any], Mapping[str, Any] | None]:
    """``own`` variables, with those of the run in ``start.workdir`` in their place where both have them.

    A variable is taken whose path lies below one of ``start.parts`` and that the
    other run has under the same path with the same shape: an encoder's head or code
    of another size stays as it is. With its weights go the other run's preprocessing
    statistics where both whiten alike; else None.

    Raises:
      UserError: there is no run there, or it has no such variable.
    """
    from aejax import run  # here, since a run is loaded by what trains one

    section = config["start"]
    other = run.load(section["workdir"])
    whiten = config["data"]["whiten"]
    statistics = other.preprocessing if whiten == other.config.data.whiten != "none" else None
    return overlaid(own, other.variables, section["parts"], section["workdir"]), statistics


def overlaid(own: Mapping[str, Any], other: Mapping[str, Any], named: tuple[str, ...], source: str) -> dict[str, Any]:
    """``own`` with the variables of ``other`` below the ``named`` parts, where path and shape agree.

    Raises:
      UserError: none do.
    """
    theirs = {jax.tree_util.keystr(path): value for path, value in jax.tree_util.tree_leaves_with_path(dict(other))}
    taken = []

    def choose(path, value):
        names = [str(entry.key) for entry in path][1:]  # the first is the collection
        found = theirs.get(jax.tree_util.keystr(path))
        below = any(names[: len(part.split("/"))] == part.split("/") for part in named)
        if not below or found is None or found.shape != value.shape:
            return value
        taken.append(path)
        return found

    result = jax.tree_util.tree_map_with_path(choose, dict(own))
    if not taken:
        here = sorted({str(path[1].key) for path, _ in jax.tree_util.tree_leaves_with_path(dict(other))})
        raise UserError(
            f"config.start.workdir={source!r} has no weights of the shapes of config.start.parts={tuple(named)}; "
            f"accepted: a run of the same net; its parts are {', '.join(here)}"
        )
    return result
