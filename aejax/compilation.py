"""How JAX compiles here: what a product of float32 is, and programs that the next command finds again.

Both are settings of the whole process. What the user has set, in Python or by a variable of the
environment (``JAX_DEFAULT_MATMUL_PRECISION``, ``JAX_COMPILATION_CACHE_DIR``,
``JAX_ENABLE_COMPILATION_CACHE=false``), stays.
"""

import os
import warnings
from pathlib import Path

import filelock
import jax

from aejax.data.dataset import cache

LARGEST = 1024**3  # bytes of all programs kept; beyond them the one goes that was not used for longest
SECONDS = 0.05  # what compiles faster is not kept: reading it takes as long


def seldom() -> dict[str, int] | None:
    """Options for ``jax.jit`` of a program that is run a few times: compiled in a quarter of the time on a CPU."""
    return {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None


def settle() -> None:
    """Products of float32 in float32 on every platform, and compiled programs kept in the project's cache.

    JAX leaves the former to the platform: TF32 (ten bits) on a GPU, bfloat16 (seven) on a TPU.
    A run is to be the same everywhere; ``config.precision`` is there for those who want the speed.
    """
    if jax.config.jax_default_matmul_precision is None:
        jax.config.update("jax_default_matmul_precision", "highest")
    if not jax.config.jax_enable_compilation_cache:
        return
    if not jax.config.jax_compilation_cache_dir:
        _keep_programs(cache() / "compiled")
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", SECONDS)


def _keep_programs(folder: Path) -> None:
    """Have JAX keep compiled programs in ``folder``; without it, silently, where that cannot be written."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _drop_broken(folder)
    except OSError:
        return
    # A full disk, or a file that cannot be read: the program is compiled, which is all that is lost.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache entry")
    jax.config.update("jax_compilation_cache_max_size", LARGEST)
    jax.config.update("jax_compilation_cache_dir", str(folder))


def _drop_broken(folder: Path) -> None:
    """Remove programs whose writing was cut off: JAX would stumble over them for ever.

    It writes a program and then, under the same lock, the time of its use.

    Raises:
      OSError: the folder cannot be written.
    """
    try:
        with filelock.FileLock(folder / ".lockfile", timeout=0):
            for program in folder.glob("*-cache"):
                if not program.with_name(program.name.removesuffix("-cache") + "-atime").exists():
                    program.unlink()
    except filelock.Timeout:  # another process is writing one: next time
        return
