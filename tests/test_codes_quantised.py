import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax import codes, devices
from aejax.codes import quantised

CODE = codes.VectorQuantised(size=3, entries=4)
NUMBERS = {"decay": 0.9, "restart": 0.0}
ONES = jnp.ones(6)
init = jax.jit(lambda key, h: CODE.init(key, h, train=False, weight=ONES, key=None, **NUMBERS))


@jax.jit
def step(variables, h, weight, key, restart):
    given = {"weight": weight, "key": key, "decay": 0.9, "restart": restart}
    return CODE.apply(variables, h, train=True, mutable=["codebook"], **given)


@jax.jit
def look(variables, h, weight):
    given = {"weight": weight, "key": jax.random.key(0), **NUMBERS}
    return CODE.apply(variables, h, train=False, mutable=["codebook"], **given)


def trained(variables, h, weight=ONES, seed=0, restart=0.0):
    return step(variables, h, weight, jax.random.key(seed), restart)


def evaluated(variables, h, weight=ONES):
    return look(variables, h, weight)


@pytest.fixture
def h(rng):
    return jnp.asarray(rng.normal(size=(6, 3)), jnp.float32)


@pytest.fixture
def variables(h):
    return init(jax.random.key(1), h)


def nearest(h, vectors):
    """By NumPy: the index of the nearest entry of each row."""
    distance = np.square(np.asarray(h)[:, None] - np.asarray(vectors)[None]).sum(2)
    return distance.argmin(1)


def test_a_vector_becomes_the_nearest_entry(h, variables):
    vectors = variables["codebook"]["vectors"]
    assert vectors.shape == (4, 3)
    indices = nearest(h, vectors)
    coded, _ = evaluated(variables, h)
    np.testing.assert_array_equal(coded.extras["indices"], indices)
    np.testing.assert_array_equal(coded.z, vectors[indices])
    np.testing.assert_allclose(coded.penalties["commitment"], np.square(h - vectors[indices]).sum(1), rtol=1e-5)
    encoded = CODE.apply(variables, h, train=False, weight=ONES, key=None, **NUMBERS)
    np.testing.assert_array_equal(encoded.z, coded.z)


def test_codebooks_start_from_the_seed(h, variables):
    assert len(np.unique(variables["codebook"]["vectors"])) == 12
    assert not np.allclose(init(jax.random.key(2), h)["codebook"]["vectors"], variables["codebook"]["vectors"])
    assert set(variables) == {"codebook"}


def test_every_place_of_a_map_is_a_vector(rng, variables):
    maps = jnp.asarray(rng.normal(size=(6, 2, 2, 3)), jnp.float32)
    coded, _ = evaluated(variables, maps)
    flat = nearest(maps.reshape(-1, 3), variables["codebook"]["vectors"])
    np.testing.assert_array_equal(coded.extras["indices"], flat.reshape(6, 2, 2))
    error = np.square(maps - variables["codebook"]["vectors"][flat].reshape(maps.shape)).sum((1, 2, 3))
    np.testing.assert_allclose(coded.penalties["commitment"], error, rtol=1e-5)


def test_the_gradient_goes_straight_through_to_the_encoder_alone(rng, h, variables):
    downstream = jnp.asarray(rng.normal(size=(6, 3)), jnp.float32)

    def read(variables, h):
        coded, _ = evaluated(variables, h)
        return coded.z, coded.penalties["commitment"]

    _, back = jax.vjp(read, variables, h)
    book, through = back((downstream, jnp.zeros(6)))
    np.testing.assert_array_equal(through, downstream)
    same_book, pull = back((jnp.zeros((6, 3)), ONES))
    vectors = variables["codebook"]["vectors"]
    np.testing.assert_allclose(pull, 2 * (h - vectors[nearest(h, vectors)]), rtol=1e-5)
    assert all(not np.any(leaf) for leaf in jax.tree.leaves((book, same_book)))


def test_the_codebook_is_the_moving_average_of_what_chose_it(rng, variables):
    """Three steps by NumPy, one example at a time; padding is far away and has no part in them."""
    vectors = np.array(variables["codebook"]["vectors"], np.float64)
    counts, sums = np.zeros(4), np.zeros((4, 3))
    weight = np.array([1, 1, 1, 1, 0, 0], np.float32)
    for _ in range(3):
        h = rng.normal(size=(6, 3)).astype(np.float32)
        h[4:] = 50
        chosen = nearest(h, vectors)
        coded, variables = trained(variables, h, weight)
        np.testing.assert_array_equal(coded.extras["indices"], chosen)
        counts, sums = 0.9 * counts, 0.9 * sums
        for row, k in zip(h[:4], chosen[:4], strict=True):
            counts[k] += 0.1
            sums[k] += 0.1 * row
        vectors = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1e-9)[:, None], vectors)
        np.testing.assert_allclose(variables["codebook"]["counts"], counts, rtol=1e-5)
        np.testing.assert_allclose(variables["codebook"]["sums"], sums, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(variables["codebook"]["vectors"], vectors, rtol=1e-4)


def test_the_codebook_moves_in_training_alone(h, variables):
    for _, left in (evaluated(variables, h), trained(variables, h)):
        moved = not np.array_equal(left["codebook"]["vectors"], variables["codebook"]["vectors"])
        assert moved == (left["codebook"]["counts"].sum() > 0)
    assert moved
    frozen = CODE.apply(variables, h, train=True, weight=ONES, key=jax.random.key(0), **NUMBERS)  # nothing to write to
    np.testing.assert_array_equal(frozen.z, evaluated(variables, h)[0].z)


def far(variables, *entries):
    """The codebook with some entries where nothing will choose them, and equal counts of 2."""
    vectors = variables["codebook"]["vectors"].at[jnp.array(entries)].set(99.0)
    return {"codebook": {"vectors": vectors, "counts": jnp.full(4, 2.0, jnp.float32), "sums": 2 * vectors}}


def test_unused_entries_restart_at_examples_and_never_at_padding(h, variables):
    weight = np.array([1, 0, 1, 1, 0, 1], np.float32)
    start = far(variables, 1, 3)
    start["codebook"]["counts"] = start["codebook"]["counts"].at[jnp.array([1, 3])].set(0.01)
    real = {tuple(row) for row in np.asarray(h)[weight > 0].tolist()}
    fresh = set()
    for seed in range(5):
        _, left = trained(start, h, weight, seed, restart=0.1)
        book = left["codebook"]
        restarted = [tuple(row) for row in np.asarray(book["vectors"])[[1, 3]].tolist()]
        assert set(restarted) <= real and restarted[0] != restarted[1]
        fresh.add(restarted[0])
        kept = trained(start, h, weight, seed, restart=0.0)[1]["codebook"]
        for name in book:
            np.testing.assert_array_equal(book[name][::2], kept[name][::2])
        np.testing.assert_allclose(book["counts"][1::2], np.mean(kept["counts"]), rtol=1e-5)
        np.testing.assert_allclose(book["sums"], book["vectors"] * book["counts"][:, None], rtol=1e-5)
        again = trained(start, h, weight, seed, restart=0.1)[1]["codebook"]
        np.testing.assert_array_equal(again["vectors"], book["vectors"])
    assert len(fresh) > 1


def test_used_entries_do_not_restart_and_none_does_with_restart_zero(h, variables):
    start = far(variables, 1, 3)
    for restart in (0.0, 0.5):  # counts of 1.8 and more, of which a half of the mean falls short
        _, left = trained(start, h, restart=restart)
        np.testing.assert_allclose(left["codebook"]["vectors"][1::2], 99.0, rtol=1e-5)


def test_the_first_step_moves_unchosen_entries_into_the_data(h, variables):
    variables = {"codebook": {**variables["codebook"], "vectors": variables["codebook"]["vectors"].at[1:].set(99.0)}}
    _, left = trained(variables, h, restart=0.01)
    vectors = np.asarray(left["codebook"]["vectors"])
    np.testing.assert_allclose(vectors[0], h.mean(0), rtol=1e-4)  # all six had chosen it
    rows = {tuple(row) for row in h.tolist()}
    assert all(tuple(row) in rows for row in vectors[1:].tolist())


def test_restarts_take_every_row_alike_and_no_padding():
    weight = jnp.array([0.0, 1.0, 1.0, 0.0, 1.0, 0.0])
    rows = jnp.arange(12.0)[:, None]  # two places an example
    some = jax.jit(lambda key: quantised.some_of(rows, weight, 6, key))
    drawn = np.stack([some(jax.random.key(seed))[:, 0] for seed in range(600)])
    np.testing.assert_array_equal(np.sort(drawn), np.broadcast_to([2, 3, 4, 5, 8, 9], (600, 6)))
    for entry in drawn.T:
        np.testing.assert_allclose(np.unique(entry, return_counts=True)[1], 100, atol=40)


def test_perplexity_is_that_of_the_real_examples_choices(variables):
    vectors = variables["codebook"]["vectors"]
    h = vectors[jnp.array([0, 0, 2, 2, 1, 3])]
    coded, _ = evaluated(variables, h, jnp.array([1.0, 1.0, 1.0, 1.0, 0.0, 0.0]))
    np.testing.assert_allclose(coded.figures["perplexity"], [2.0] * 6, rtol=1e-5)
    coded, _ = evaluated(variables, h)
    p = np.array([2, 1, 2, 1]) / 6
    np.testing.assert_allclose(coded.figures["perplexity"], np.exp(-(p * np.log(p)).sum()), rtol=1e-5)


def test_the_codebook_finds_the_clusters_of_the_data(rng, variables):
    centres = np.array([[4, 0, 0], [0, 4, 0], [0, 0, 4], [-4, -4, -4]], np.float32)
    for seed in range(200):
        h = centres[rng.integers(4, size=6)] + 0.1 * rng.normal(size=(6, 3)).astype(np.float32)
        coded, variables = trained(variables, h, seed=seed, restart=0.05)
    assert set(nearest(centres, variables["codebook"]["vectors"])) == {0, 1, 2, 3}
    np.testing.assert_array_less(coded.penalties["commitment"], 0.3)


def test_eight_devices_agree_with_one(rng, variables):
    h = rng.normal(size=(16, 2, 1, 3)).astype(np.float32)
    weight = np.ones(16, np.float32)
    weight[13:] = 0
    start = far(variables, 3)
    start["codebook"]["counts"] = start["codebook"]["counts"].at[3].set(0.0)
    results = []
    for count in (1, 8):
        mesh = devices.mesh(count)
        arrays = jax.device_put((h, weight), devices.batched(mesh))
        kept, key = jax.device_put((start, jax.random.key(5)), devices.replicated(mesh))
        results.append(jax.device_get(step(kept, *arrays, key, 0.1)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), *results)
    assert (np.abs(results[0][1]["codebook"]["vectors"][3]) < 9).all()
