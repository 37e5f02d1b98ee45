"""Eight host devices, of which a run takes one unless a test asks for more; no silent broadcasting; nobody's cache."""

import os
import signal
from contextlib import contextmanager

import jax
import numpy as np
import pytest

os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"  # of the processes that tests start
jax.config.update("jax_enable_compilation_cache", False)
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell began this in the background


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def tiny():
    """A function that gives a config file's tiny preset, unlocked, on one device, with some keys changed."""
    from tests.configurations import load

    return load


def _optimise(wanted: bool) -> None:
    jax.config.update("jax_disable_most_optimizations", not wanted)
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = str(not wanted).lower()  # of the processes that tests start


_optimise(False)  # programs that run a few steps take longer to optimise than to run


@contextmanager
def _optimised():
    _optimise(True)
    try:
        yield
    finally:
        _optimise(False)


@pytest.fixture
def optimised():
    """A context within which programs are compiled as users compile them."""
    return _optimised


@pytest.fixture(scope="module")
def all_optimised():
    """All programs of a module are, its fixtures' too."""
    with _optimised():
        yield
