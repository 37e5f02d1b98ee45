"""Eight host devices, of which a run takes one unless a test asks for more; no silent broadcasting; nobody's cache."""

import os
from contextlib import contextmanager

import jax
import numpy as np
import pytest

os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"  # of the processes that tests start
jax.config.update("jax_enable_compilation_cache", False)
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def tiny():
    """A function that gives a config file's tiny preset, unlocked, on one device, with some keys changed."""
    from tests.configurations import load

    return load


@contextmanager
def _quickly():
    jax.config.update("jax_disable_most_optimizations", True)
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "true"  # of the processes that tests start
    yield
    del os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"]
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture
def compiled_quickly():
    """Programs that run a few steps are compiled without most optimisations."""
    with _quickly():
        yield


@pytest.fixture(scope="module")
def all_compiled_quickly():
    """``compiled_quickly`` for a whole module, its fixtures too."""
    with _quickly():
        yield
