"""What is done to images on the device: scaling, whitening and its undoing, binarisation, and their identity."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax import devices, keys, parts
from aejax.data import Split, binarisation, embedded, transforms, whitening
from aejax.data.identity import identity
from aejax.errors import UserError
from configs.base import base

WHITENINGS = sorted(parts.functions(whitening))


def config(whiten="none", **keys):
    data = base().data
    data.whiten = whiten
    data.update(keys)
    return data


def fitted(images, whiten="none", **keys):
    return transforms.fit(Split(np.ascontiguousarray(images)), config(whiten, **keys))


@pytest.fixture
def colours(rng):
    """Correlated uint8 images, [300, 4, 3, 2]; the last is black."""
    noise = rng.normal(size=(300, 24)) @ rng.normal(size=(24, 24)) * 12 + rng.normal(size=(300, 1)) * 20 + 128
    images = np.clip(noise, 0, 255).astype(np.uint8).reshape(300, 4, 3, 2)
    images[-1] = 0
    return images


def test_bytes_are_scaled_to_one_and_floats_are_kept():
    raw = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    statistics = transforms.fit(Split(raw), config())
    assert {key: value.dtype for key, value in statistics.items()} == {"scale": np.float32, "shift": np.float32}
    prepared = jax.jit(transforms.prepare)(statistics, raw)
    assert prepared.dtype == np.float32 and prepared.shape == raw.shape
    assert prepared.min() == 0 and prepared.max() == 1
    np.testing.assert_allclose(prepared, raw / 255, rtol=1e-6)

    floats = np.random.default_rng(0).normal(size=(2, 3, 3, 1)).astype(np.float32)
    assert np.array_equal(transforms.prepare(transforms.fit(Split(floats), config()), floats), floats)


def test_statistics_may_be_a_value_a_channel():
    statistics = {"scale": np.array([1, 2], np.float32), "shift": np.array([0, -1], np.float32)}
    raw = np.full((2, 1, 1, 2), 3, np.uint8)
    assert transforms.prepare(statistics, raw)[0, 0, 0].tolist() == [3, 5]


def test_every_whitening_has_its_statistics_and_all_are_float32(colours):
    expected = {
        "none": set(),
        "centred": {"mean"},
        "standard": {"mean", "std"},
        "contrast": {"contrast_mean", "contrast_scale"},
        "zca": {"contrast_mean", "contrast_scale", "mean", "zca", "zca_inverse"},
    }
    assert list(expected) == ["none", "centred", "standard", "contrast", "zca"] and sorted(expected) == WHITENINGS
    for name, added in expected.items():
        statistics = fitted(colours, name)
        assert statistics.keys() == {"scale", "shift"} | added
        assert all(value.dtype == np.float32 for value in statistics.values())


def test_unknown_whitening_is_refused(colours):
    with pytest.raises(UserError, match="data.whiten='pca' is not known; accepted: centred, contrast, none"):
        fitted(colours, "pca")


def test_centred_is_by_pixel(colours):
    statistics = fitted(colours, "centred")
    np.testing.assert_allclose(statistics["mean"], (colours / 255).mean(0), rtol=1e-5)
    np.testing.assert_allclose(transforms.prepare(statistics, colours).mean(0), 0, atol=1e-6)


def test_standard_is_by_channel(colours):
    statistics = fitted(colours, "standard")
    x = colours / 255
    np.testing.assert_allclose(statistics["mean"][0, 0], x.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(statistics["std"][0, 0], x.std((0, 1, 2)), rtol=1e-5)
    y = np.asarray(transforms.prepare(statistics, colours))
    np.testing.assert_allclose(y.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(y.std((0, 1, 2)), 1, rtol=1e-5)


def test_standard_of_a_channel_that_never_changes():
    images = np.full((5, 2, 2, 2), 0.1, np.float32)
    images[0, 0, 0, 1] = 3
    y = np.asarray(transforms.prepare(fitted(images, "standard"), images))
    assert np.abs(y[..., 0]).max() < 1e-6 and np.isfinite(y).all()


def normalised(images):
    """Contrast normalisation in NumPy: [n, d] float64."""
    x = images.reshape(len(images), -1) / 255
    return (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 10 / 255**2)


def test_contrast_of_each_image(colours):
    statistics = fitted(colours, "contrast")
    y = np.asarray(transforms.prepare(statistics, colours)).reshape(300, -1)
    np.testing.assert_allclose(y, normalised(colours), atol=1e-5)
    assert np.abs(y.mean(1)).max() < 1e-5 and np.abs(y[:-1].std(1) - 1).max() < 0.1 and not y[-1].any()
    means = colours.reshape(300, -1).mean(1) / 255
    np.testing.assert_allclose(statistics["contrast_mean"].ravel(), means.mean(), rtol=1e-6)


def test_zca_whitens(colours):
    y = np.asarray(transforms.prepare(fitted(colours, "zca", zca_epsilon=1e-6), colours), np.float64).reshape(300, -1)
    x = normalised(colours)
    variances, directions = np.linalg.eigh(np.cov(x.T, bias=True))
    assert variances[0] < 1e-8 < 1e-3 < variances[1]  # contrast normalisation takes one direction away
    covariance = np.cov(y.T, bias=True)
    off = np.outer(directions[:, 0], directions[:, 0])
    np.testing.assert_allclose(covariance, np.eye(24) - off, atol=2e-2)
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-3)


def test_zca_against_numpy(colours):
    statistics = fitted(colours, "zca", zca_epsilon=0.1)
    x = normalised(colours)
    variances, directions = np.linalg.eigh(np.cov(x.T, bias=True))
    matrix = directions @ np.diag((variances + 0.1) ** -0.5) @ directions.T
    np.testing.assert_allclose(statistics["zca"], matrix, atol=1e-5)
    np.testing.assert_allclose(statistics["zca"], statistics["zca"].T, atol=1e-6)
    np.testing.assert_allclose(statistics["zca"] @ statistics["zca_inverse"], np.eye(24), atol=1e-5)
    y = np.asarray(transforms.prepare(statistics, colours)).reshape(300, -1)
    np.testing.assert_allclose(y, (x - x.mean(0)) @ matrix, atol=1e-4)


def test_zca_of_images_that_are_too_large():
    with pytest.raises(UserError, match="data.whiten=zca: images of 10,000 values; at most 8,192"):
        fitted(np.zeros((2, 100, 100, 1), np.uint8), "zca")


def test_statistics_do_not_depend_on_the_blocks(colours, monkeypatch):
    whole = {name: fitted(colours, name) for name in WHITENINGS}
    monkeypatch.setattr(whitening, "BLOCK", 77)
    for name in WHITENINGS:
        for key, value in fitted(colours, name).items():
            np.testing.assert_allclose(value, whole[name][key], atol=1e-6)


@pytest.mark.parametrize("whiten", WHITENINGS)
@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_restore_undoes_prepare(colours, whiten, kind):
    images = colours if kind == "uint8" else (colours / 255).astype(np.float32)
    statistics = fitted(images[:200], whiten)
    back = jax.jit(lambda p, x: transforms.restore(p, transforms.prepare(p, x), like=x))(statistics, images)
    assert back.dtype == np.float32 and back.shape == images.shape
    np.testing.assert_allclose(back, colours / 255, atol=5e-6)


@pytest.mark.parametrize("whiten", WHITENINGS)
def test_restore_without_an_image_to_be_like(colours, whiten):
    """Where contrast is taken away, train's average comes back; else nothing is missing."""
    statistics = fitted(colours, whiten)
    back = np.asarray(transforms.restore(statistics, transforms.prepare(statistics, colours)))
    expected = colours / 255
    if "contrast_scale" in statistics:
        scales = np.sqrt(colours.reshape(300, -1).var(1) / 255**2 + 10 / 255**2)
        means = colours.reshape(300, -1).mean(1) / 255
        expected = (normalised(colours) * scales.mean() + means.mean()).reshape(colours.shape)
    np.testing.assert_allclose(back, expected, atol=1e-5)


def test_prepare_and_restore_take_other_leading_axes(colours):
    statistics = fitted(colours, "zca")
    y = transforms.prepare(statistics, colours[:6])
    assert np.allclose(
        transforms.prepare(statistics, colours[:6].reshape(2, 3, 4, 3, 2)).reshape(y.shape), y, atol=1e-5
    )
    assert np.allclose(transforms.prepare(statistics, colours[0]), y[0], atol=1e-5)
    assert np.allclose(transforms.restore(statistics, y[0], like=colours[0]), colours[0] / 255, atol=1e-5)


# ---- binarisation


@pytest.fixture(scope="module")
def digits():
    return embedded.mnist5k(config()).parts["train"].images


@functools.cache
def program(name):
    function = parts.functions(binarisation)[name]

    def binarise(x, key):
        known = {"identity": identity(x), "keys": keys.per_example(key, x.shape[0])}
        return function(x, **parts.matching(function, known))

    return jax.jit(binarise)


def binarised(name, x, key=0):
    return np.asarray(program(name)(x, jax.random.key(key)))


def test_every_binarisation_gives_zeros_and_ones(digits):
    assert sorted(parts.functions(binarisation)) == ["dynamic", "fixed", "none", "threshold"]
    x = digits[:20].astype(np.float32) / 255
    assert np.array_equal(binarised("none", x), x)
    for name in ("threshold", "fixed", "dynamic"):
        y = binarised(name, x)
        assert y.dtype == np.float32 and y.shape == x.shape and set(np.unique(y)) == {0, 1}
        assert not y[x == 0].any() and y[x == 1].all()


def test_threshold_is_above_a_half():
    x = np.array([0.2, 0.5, 0.50001, 1.0], np.float32).reshape(1, 2, 2, 1)
    assert binarised("threshold", x).ravel().tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("name", ["fixed", "dynamic"])
def test_draws_have_the_grey_value_as_their_mean(name, rng):
    x = rng.uniform(size=(4000, 2, 2, 1)).astype(np.float32)  # all different: draws of equal images would be equal
    y = binarised(name, x)
    for low in (0.0, 0.25, 0.5, 0.75):
        inside = (x >= low) & (x < low + 0.25)
        assert abs(y[inside].mean() - x[inside].mean()) < 4 * 0.5 / np.sqrt(inside.sum())
    centred = (y - x).reshape(4000, -1)
    assert np.abs(np.corrcoef(centred.T) - np.eye(4)).max() < 4 / np.sqrt(4000)  # pixels independently


def test_fixed_stays_and_dynamic_changes(digits):
    x = digits[:20].astype(np.float32) / 255
    assert np.array_equal(binarised("fixed", x, key=0), binarised("fixed", x, key=1))
    one, other = (binarised("dynamic", x, key=key) for key in (0, 1))
    assert all((a != b).any() for a, b in zip(one, other, strict=True))
    key = jax.random.fold_in(keys.root(0, "binarise"), identity(x[:1])[0])
    assert np.array_equal(binarised("fixed", x)[0], jax.random.bernoulli(key, x[0]))  # else nobody's would stay
    back = binarised("fixed", x[::-1])[::-1]  # an image's draw goes with it, wherever it lies in a batch
    assert np.array_equal(back, binarised("fixed", x)) and np.array_equal(back[:3], binarised("fixed", x[:3]))
    assert not np.array_equal(binarised("dynamic", x[::-1])[::-1], one)


# ---- identity


def test_no_two_digits_have_one_identity(digits):
    for images in (digits, digits.astype(np.float32) / 255, (digits > 127).astype(np.float32)):
        distinct = len(np.unique(images.reshape(len(images), -1), axis=0))
        numbers = np.asarray(jax.jit(identity)(images))
        assert numbers.dtype == np.uint32 and numbers.shape == (5000,)
        assert len(np.unique(numbers)) == distinct > 4900
        shares = np.unpackbits(numbers.view(np.uint8)).reshape(5000, 32).mean(0)
        assert np.abs(shares - 0.5).max() < 4 * 0.5 / np.sqrt(5000)


def test_every_pixel_counts(digits):
    """A change of one pixel, by one grey level, changes half of the bits on average."""
    image = digits[7]
    changed = np.repeat(image[None], 784, 0)
    changed.reshape(784, 784)[np.arange(784), np.arange(784)] ^= 1
    numbers, before = (np.asarray(jax.jit(identity)(images)) for images in (changed, image[None]))
    assert len(np.unique([*numbers, *before])) == 785
    flipped = np.unpackbits((numbers ^ before).view(np.uint8)).reshape(784, 32).mean(1)
    assert abs(flipped.mean() - 0.5) < 0.01


def test_pixels_that_change_places_change_it():
    x = jnp.array([[1, 2, 3, 0], [2, 1, 3, 0], [1, 2, 0, 3], [0, 1, 2, 3]], jnp.float32).reshape(4, 2, 2, 1)
    assert len(set(identity(x).tolist())) == 4


def test_identity_is_of_the_content_alone(digits):
    x = digits[:8].astype(np.float32) / 255
    number = jax.jit(identity)
    alone = number(x).tolist()
    assert number(x[::-1])[::-1].tolist() == alone and number(x[:1]).tolist() == alone[:1]
    assert number(jax.device_put(x, devices.batched(devices.mesh(8)))).tolist() == alone
    assert number(np.zeros_like(x)).tolist() == number(-np.zeros_like(x)).tolist()


def test_identity_by_hand():
    """Its definition, once more, in Python's integers. Were it to change, so would images that are binarised once."""

    def mixed(bits):
        bits = (bits ^ bits >> 16) * 0x85EBCA6B % 2**32
        bits = (bits ^ bits >> 13) * 0xC2B2AE35 % 2**32
        return bits ^ bits >> 16

    image = np.arange(6, dtype=np.float32)
    bits = image.view(np.uint32).tolist()
    places = [mixed(place * 0x9E3779B9 % 2**32) for place in range(1, 7)]
    expected = mixed(sum(mixed((b + p) % 2**32) for b, p in zip(bits, places, strict=True)) % 2**32)
    assert identity(jnp.asarray(image).reshape(1, 2, 3, 1)).tolist() == [expected]
    assert identity(jnp.arange(6, dtype=jnp.uint8).reshape(1, 2, 3, 1)).tolist() == [expected]
