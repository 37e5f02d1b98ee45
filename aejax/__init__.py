"""aejax: an autoencoder laboratory in JAX and Flax.

``aejax.load(workdir)`` gives a trained run: its config, its weights, and ``encode``,
``decode``, ``reconstruct`` on raw data.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aejax.run import Run


def load(workdir: Path | str, best: bool = False, member: int | None = None) -> "Run":
    """The run in a workdir: see ``aejax.run.load``."""
    from aejax import run  # here, so that importing aejax does not import JAX

    return run.load(workdir, best, member)
