"""What a second start finds in the cache, that it changes nothing, and that no cache is no error."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax import compilation
from tests import configurations


def train(workdir, **environment):
    """The metrics and the standard error of a run of two epochs in a process of its own."""
    command = [sys.executable, "-m", "aejax.main", "--config=configs/shallow.py:tiny", f"--workdir={workdir}"]
    done = subprocess.run(
        [*command, "--config.log.figure_epochs=9", "--config.mesh.devices=1"],
        cwd=configurations.ROOT, capture_output=True, text=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu", "JAX_ENABLE_COMPILATION_CACHE": "true", **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return (workdir / "metrics.jsonl").read_text(), done.stderr


def programs(folder):
    """Name of each program kept -> when it was last used."""
    found = sorted(folder.glob("*-cache"))
    times = [path.with_name(path.name.removesuffix("-cache") + "-atime") for path in found]
    return {path.name: int.from_bytes(time.read_bytes(), "little") for path, time in zip(found, times, strict=True)}


def test_a_second_start_finds_its_programs_and_learns_the_same_without_a_word(tmp_path):
    folder = tmp_path / "cache" / "aejax" / "compiled"
    given = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    cold, _ = train(tmp_path / "cold", **given)
    first = programs(folder)
    (folder / "jit_cut_off-0-cache").write_bytes(b"half a program")  # as a kill leaves it: without the time of its use
    warm, said = train(tmp_path / "warm", **given)
    second = programs(folder)
    long = {"jit_stretch", "jit_evaluate", "jit_epoch_order"}  # others take about as long as what is not kept
    kept = [name for name in first if name.partition("-")[0] in long]
    assert {name.partition("-")[0] for name in kept} == long
    assert [name for name in second if name.partition("-")[0] in long] == kept
    assert all(second[name] > first[name] for name in kept) and "jit_cut_off-0-cache" not in second
    without, _ = train(tmp_path / "without", **given, JAX_ENABLE_COMPILATION_CACHE="false")
    assert programs(folder) == second
    assert cold == warm == without
    assert said == ""


@pytest.fixture
def settings():
    """What JAX was set to, and is set to again."""
    names = ("jax_enable_compilation_cache", "jax_compilation_cache_dir", "jax_compilation_cache_max_size")
    names += ("jax_persistent_cache_min_compile_time_secs", "jax_default_matmul_precision")
    before = {name: getattr(jax.config, name) for name in names}
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def test_a_folder_of_the_users_stays_and_so_does_none(settings, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compilation.settle()  # tests have the cache off
    assert jax.config.jax_compilation_cache_dir is None
    jax.config.update("jax_enable_compilation_cache", True)
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "mine"))
    compilation.settle()
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "mine")
    assert not (tmp_path / "aejax").exists()


def test_a_folder_that_cannot_be_made_is_no_error(settings, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    jax.config.update("jax_enable_compilation_cache", True)
    compilation.settle()
    assert jax.config.jax_compilation_cache_dir is None


def test_what_is_compiled_for_little_use_gives_the_same_numbers():
    def made(seed):
        x = jax.random.normal(jax.random.key(seed), (40, 30)) / 3
        return jnp.tanh(x @ x.T), jax.random.uniform(jax.random.key(seed), (7,), minval=-0.3, maxval=0.4)

    options = compilation.seldom()
    assert options is not None
    found, expected = (jax.jit(made, compiler_options=o)(np.uint32(3)) for o in (options, None))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
