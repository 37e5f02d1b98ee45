import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax import codes

IDENTITY = jnp.array([5, 6, 7, 5], jnp.uint32)
H = jnp.array([[3.0, -1.0, 0.5]] * 4)


def start(code, seed=0):
    given = {"train": False, "weight": jnp.ones(4), "key": jax.random.key(0), "std": 4.0, "identity": IDENTITY}
    return code.init(jax.random.key(seed), H, **given)


def run(code, variables, h=H, key=1, train=True, std=4.0, identity=IDENTITY):
    key = None if key is None else jax.random.key(key)
    given = {"train": train, "weight": jnp.ones(len(h)), "key": key, "std": std, "identity": identity}
    return code.apply(variables, h, **given)


@pytest.fixture(scope="module")
def fixed():
    code = codes.Hashing(3)
    return code, start(code)


def test_fixed_noise_goes_with_the_example_not_with_the_step_or_the_place(fixed):
    z = run(*fixed).z
    np.testing.assert_array_equal(z, run(*fixed, key=2).z)
    np.testing.assert_array_equal(z[0], z[3])  # the same example twice
    assert not np.allclose(z[0], z[1])
    np.testing.assert_allclose(run(*fixed, identity=IDENTITY[::-1]).z, z[::-1], rtol=1e-6)


def test_fixed_noise_changes_with_the_models_seed(fixed):
    code, variables = fixed
    assert not np.allclose(run(code, start(code, 1)).z, run(code, variables).z)
    np.testing.assert_array_equal(run(code, start(code, 0)).z, run(code, variables).z)


def test_fresh_noise_changes_with_the_step():
    code = codes.Hashing(3, fixed=False)
    assert start(code) == {}
    assert not np.allclose(run(code, {}, key=1).z, run(code, {}, key=2).z)
    assert run(code, {}, identity=None).z.shape == (4, 3)


@pytest.mark.parametrize("fixed_noise", [True, False])
def test_the_noise_is_standard_normal_times_std_on_the_units_inputs(fixed_noise):
    code = codes.Hashing(3, fixed=fixed_noise)
    h, identity = jnp.broadcast_to(H[:1], (20000, 3)), jnp.arange(20000, dtype=jnp.uint32)
    z = np.asarray(run(code, start(code), h=h, std=1.5, identity=identity).z, np.float64)
    inputs = np.log(z) - np.log1p(-z)
    np.testing.assert_allclose(inputs.mean(0), H[0], atol=4 * 1.5 / np.sqrt(20000))
    np.testing.assert_allclose(inputs.std(0), 1.5, rtol=0.02)
    assert abs(np.corrcoef(inputs.T)[0, 1]) < 0.03


@pytest.mark.parametrize("key", [None, 1])
def test_evaluation_and_encoding_give_bits(fixed, key):
    np.testing.assert_array_equal(run(*fixed, key=key, train=False).z, [[1, 0, 1]] * 4)


def test_saturated_is_the_share_of_units_outside_a_tenth_and_nine_tenths(fixed):
    border = np.log(9)
    h = jnp.array([[border + 0.01, border - 0.01, -border - 0.01], [0, 0, 0], [9, -9, 9], [0, -border + 0.01, 5]])
    np.testing.assert_allclose(run(*fixed, h=h).figures["saturated"], [2 / 3, 0, 1, 1 / 3], rtol=1e-6)


def test_maps_have_noise_at_every_place(fixed):
    maps = jnp.broadcast_to(H[:, None, None], (4, 2, 2, 3))
    z = run(*fixed, h=maps).z
    assert z.shape == maps.shape and not np.allclose(z[:, 0, 0], z[:, 1, 1])
    np.testing.assert_array_equal(z[0], z[3])


def test_fixed_noise_needs_the_identity(fixed):
    with pytest.raises(ValueError, match="identity"):
        run(*fixed, identity=None)
