"""Restoring corrupted images: the measures in closed form, the rivals on cases with a known answer, the command."""

import json

import jax
import numpy as np
import pytest
from ml_collections import FrozenConfigDict
from scipy import ndimage

import aejax
from aejax import corruptions, keys
from aejax.analysis import denoise, figure
from aejax.analysis.denoise import denoisers, image_quality, noise, summary
from aejax.errors import UserError
from tests.test_analysis_commands import HandMadeRun


@pytest.fixture
def images(rng):
    return ndimage.gaussian_filter(rng.random((3, 16, 20, 2)), (0, 1, 1, 0))


# -- measures


def test_psnr_and_snr_in_closed_form(images):
    np.testing.assert_allclose(image_quality.psnr(images, images + 0.1), 20, rtol=1e-6)
    np.testing.assert_allclose(image_quality.psnr(255 * images, 255 * images - 25.5, peak=255), 20, rtol=1e-6)
    one = np.zeros((2, 4, 5, 1))
    one[1, 0, 0, 0] = 0.5
    expected = [np.inf, 10 * np.log10(20 / 0.25)]  # one pixel of 20, each image by itself
    np.testing.assert_allclose(image_quality.psnr(np.zeros_like(one), one), expected)
    np.testing.assert_allclose(image_quality.snr(images, 1.1 * images), 20, rtol=1e-6)
    assert np.isnan(image_quality.snr(one, one)[0]) and image_quality.snr(one, one)[1] == np.inf
    assert image_quality.snr(one[1:], 0 * one[1:])[0] == 0


def test_ssim_of_equal_images_and_its_symmetry(images, rng):
    other = images + 0.1 * rng.normal(size=images.shape)
    np.testing.assert_allclose(image_quality.ssim(images, images), 1)
    np.testing.assert_allclose(image_quality.ssim(images, other), image_quality.ssim(other, images))
    assert np.all(image_quality.ssim(images, other) < 0.95)
    more = images + 0.3 * rng.normal(size=images.shape)
    assert np.all(image_quality.ssim(images, more) < image_quality.ssim(images, other))
    scaled = image_quality.ssim(255 * images, 255 * other, peak=255)
    np.testing.assert_allclose(scaled, image_quality.ssim(images, other))
    assert np.all(np.abs(image_quality.ssim(images, 1 - images)) <= 1) and image_quality.ssim(images, 1 - images)[0] < 0


def test_ssim_of_shifted_images_in_closed_form(images):
    flat = np.full((2, 12, 12, 1), 0.5)
    c1, c2 = 0.01**2, 0.03**2
    found = image_quality.ssim(flat, flat * [[[[0.4]]], [[[2.0]]]])
    np.testing.assert_allclose(found, [(2 * 0.5 * y + c1) / (0.25 + y * y + c1) for y in (0.2, 1.0)])
    a = 0.6  # y = a x: σ_xy = a σ_x², σ_y² = a² σ_x², in every window
    window = np.outer(*2 * [np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)])
    x = images[0, 2:13, 3:14, 1]
    weights = window / window.sum()
    mean = (weights * x).sum()
    variance = (weights * x**2).sum() - mean**2
    by_hand = (2 * a * mean**2 + c1) / ((1 + a * a) * mean**2 + c1)
    by_hand *= (2 * a * variance + c2) / ((1 + a * a) * variance + c2)
    one = x[None, :, :, None]
    np.testing.assert_allclose(image_quality.ssim(one, a * one), by_hand)  # 11×11: one window


def test_ssim_means_over_the_windows_within(images):
    x, y = images[:1], images[1:2]
    windows = [image_quality.ssim(x[:, i : i + 11, j : j + 11], y[:, i : i + 11, j : j + 11])
               for i in range(6) for j in range(10)]  # fmt: skip
    np.testing.assert_allclose(image_quality.ssim(x, y), np.mean(windows, axis=0))
    small = image_quality.ssim(images[:, :8, :7], images[:, :8, :7] + 0.1)  # no room for eleven
    assert small.shape == (3,) and np.all((small > 0) & (small < 1))
    assert image_quality._averaging(8).shape == (2, 8) and image_quality._averaging(28).shape == (18, 28)
    np.testing.assert_allclose(image_quality._averaging(28).sum(1), 1)


def test_quality_counts_no_error_below_that_of_rounding(images):
    found = denoise.quality(images, images, True, 1.0)
    assert list(found) == ["psnr", "ssim"] and np.allclose(found["psnr"], 10 * np.log10(12 * 255**2))
    assert list(denoise.quality(images, images + 1, False, 1.0)) == ["snr"]


# -- noise


def test_each_corruption_s_level_is_found_by_its_signature():
    assert {name: noise.level_parameter(name) for name in noise.known()} == {
        "gaussian": "std", "clipped_gaussian": "std", "masking": "rate", "salt_and_pepper": "rate"}  # fmt: skip
    assert noise.level_parameter("none") is None


SECTION = {"name": "masking", "std": 0.2, "rate": 0.25, "low": 0.0, "high": 1.0, "emphasis": 1.5, "rest": 0.5}


@pytest.mark.parametrize("name", ["gaussian", "clipped_gaussian", "masking", "salt_and_pepper"])
def test_the_level_reaches_the_corruption(name, rng, monkeypatch):
    monkeypatch.setattr(noise, "ROWS", 20)
    x = rng.random((60, 6, 5, 1)).astype(np.float32)
    chosen = noise.choose(SECTION, name, x)
    assert chosen.trained == (0.25 if name == "masking" else None)
    errors = [image_quality.mean_squared_error(x, chosen(x, level, 0)) for level in (0.0, 0.1, 0.2, 0.4)]
    assert errors[0].max() == 0 and np.all(np.diff(np.mean(errors, axis=1)) > 0)
    more = np.all(np.diff(errors, axis=0) >= 0)  # more of the same noise, image by image
    assert more or name == "salt_and_pepper"  # which side a pixel falls on changes there
    np.testing.assert_array_equal(chosen(x, 0.3, 0), chosen(x, 0.3, 0))
    assert not np.array_equal(chosen(x, 0.3, 0), chosen(x, 0.3, 1))
    assert not np.array_equal(chosen(x, 0.3, 0), chosen(x, 0.3, 0, "train 0"))
    repeated = np.repeat(x[:1], 60, axis=0)  # in blocks, and yet no noise comes twice
    assert len(np.unique(chosen(repeated, 0.5, 0).reshape(60, -1), axis=0)) == 60
    if name == "gaussian":
        psnr = image_quality.psnr(x, chosen(x, 0.1, 0))
        assert psnr.mean() == pytest.approx(20, abs=0.5)
        own = corruptions.gaussian(x, keys.per_example(keys.root(0, "denoise test"), 60), std=0.1).x
        np.testing.assert_allclose(chosen(x, 0.1, 0), own, rtol=1e-5, atol=1e-6)


def test_which_corruption():
    x = np.linspace(0, 1, 24, dtype=np.float32).reshape(2, 3, 4, 1)
    assert noise.choose(SECTION, "", x)[:2] == ("masking", "rate")
    without = {**SECTION, "name": "none"}
    assert noise.choose(without, "", x) == ("clipped_gaussian", "std", {"low": 0.0, "high": 1.0}, None)
    assert noise.choose(without, "", 3 * x).name == "gaussian"  # which clipping would change
    with pytest.raises(UserError, match=r"--corruption=clipped_gaussian \(low 0, high 1\) changes"):
        noise.choose(SECTION, "clipped_gaussian", 3 * x)
    for asked in ("none", "blur"):
        with pytest.raises(UserError, match=f"--corruption={asked}: accepted are .*salt_and_pepper"):
            noise.choose(SECTION, asked, x)


def test_which_levels():
    trained = noise.Noise("gaussian", "std", {}, 0.2)
    assert noise.levels(trained, [], 5.0) == [0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6]
    assert noise.levels(trained._replace(trained=None), [], 0.4)[-1] == 1.2
    masking = noise.Noise("masking", "rate", {}, 0.5)
    assert max(noise.levels(masking, [], 0.1)) <= 1
    assert noise.levels(masking, ["0.5", "0.1", "0.5"], 0.1) == [0.1, 0.5]
    assert noise.levels(masking._replace(trained=0.0), [], 0.1) == [0.0]
    for asked, told in ((["x"], "numbers"), (["1.5"], r"\[0, 1\]"), (["nan"], r"\[0, 1\]"), (["-1"], r"\[0, 1\]")):
        with pytest.raises(UserError, match=f"--levels={asked[0]}.*{told}"):
            noise.levels(masking, asked, 0.1)
    with pytest.raises(UserError, match="--levels=inf"):
        noise.levels(trained, ["inf"], 0.1)


# -- rivals


def test_the_affine_map_is_the_wiener_filter(rng):
    n, d, std = 60_000, 4, 0.5
    mixing = rng.normal(size=(d, d))
    covariance, mean = mixing.T @ mixing, np.array([3.0, 0, -2, 1])

    def pair(count):
        x = rng.normal(size=(count, d)) @ mixing + mean
        return x.reshape(-1, 1, 1, d), (x + std * rng.normal(size=x.shape)).reshape(-1, 1, 1, d)

    found = denoisers.affine(*pair(n), pair(500), ridges=(1e-6, 10.0))
    clean, corrupted = pair(5000)
    matrix = covariance @ np.linalg.inv(covariance + std**2 * np.eye(d))
    expected = mean + (corrupted.reshape(-1, d) - mean) @ matrix.T
    np.testing.assert_allclose(found.restore(corrupted).reshape(-1, d), expected, atol=0.05)
    assert found.what == "affine map, ridge 1e-06"
    few, many = (denoisers.affine(clean[:n], corrupted[:n], (clean, corrupted), (0.1,)) for n in (3, 5))
    for found, n in ((few, 3), (many, 5)):  # fewer examples than values, and more: one formula
        x, y = (a[:n].reshape(n, d) - a[:n].reshape(n, d).mean(0) for a in (clean, corrupted))
        ridge = np.linalg.solve(y.T @ y + 0.1 * np.square(y).sum() / d * np.eye(d), y.T @ x)
        expected = clean[:n].mean(0) + (corrupted - corrupted[:n].mean(0)).reshape(-1, 1, d) @ ridge
        np.testing.assert_allclose(found.restore(corrupted)[:, 0], expected, rtol=1e-3, atol=1e-4)
    with_ridge = denoisers.affine(clean[:5], corrupted[:5], (clean, corrupted), ridges=(1e-9, 0.1))
    assert with_ridge.what == "affine map, ridge 0.1"  # five examples alone determine no map


def test_the_filter_is_chosen_on_valid(rng):
    smooth = ndimage.gaussian_filter(rng.random((40, 16, 16, 1)), (0, 2, 2, 0)) * 4
    noisy = smooth + 0.3 * rng.normal(size=smooth.shape)
    found = denoisers.filtering((smooth, noisy))
    assert found.what.startswith("Gaussian filter") and np.square(found.restore(noisy) - smooth).mean() < 0.3**2 / 4
    blocks = np.repeat(np.repeat(rng.integers(0, 2, (40, 4, 4, 1)), 4, axis=1), 4, axis=2) * 1.0
    peppered = np.where(rng.random(blocks.shape) < 0.15, rng.integers(0, 2, blocks.shape), blocks)
    assert denoisers.filtering((blocks, peppered)).what == "median filter of 3"
    noise_alone = rng.random((40, 16, 16, 1))
    assert denoisers.filtering((noise_alone, noise_alone)).what == "no filter"


def test_filters_mix_neither_examples_nor_channels_nor_one_place(rng):
    clean = np.zeros((3, 1, 32, 2))
    corrupted = clean.copy()
    corrupted[1, 0, 16, 1] = 1.0
    found = denoisers.filtering((clean, corrupted))  # the median removes it
    assert found.what == "median filter of 3" and not found.restore(corrupted).any()
    smoothing = denoisers.filtering((ndimage.gaussian_filter(corrupted, (0, 0, 1, 0)), corrupted))
    out = smoothing.restore(corrupted)
    assert smoothing.what == "Gaussian filter, σ 1" and not out[[0, 2]].any() and not out[..., 0].any() and out.any()


# -- what is made of them


def test_intervals_of_gain_by_hand():
    assert denoise.intervals([1, 2, 4], [-1, 1, -3]) == [{"from": 1.5, "to": 2.5}]
    assert denoise.intervals([1, 2], [1, 2]) == [{"from": None, "to": None}]
    assert denoise.intervals([1, 2], [-1, 0]) == [] == denoise.intervals([1], [0])
    assert denoise.intervals([1, 2, 3], [1, -1, 1]) == [{"from": None, "to": 1.5}, {"from": 2.5, "to": None}]
    assert denoise.intervals([1, 3], [0, 4]) == [{"from": 1.0, "to": None}]


def test_where_in_words():
    rows = [{"level": 0.1}, {"level": 0.4}]
    told = [summary._where(found, rows, "std") for found in (
        [], [{"from": None, "to": None}], [{"from": 0.15, "to": None}], [{"from": None, "to": 0.2}])]  # fmt: skip
    assert told == ["at no std tried (0.1 to 0.4)", "at every std tried (0.1 to 0.4)",
                    "from about 0.15 on (std 0.1 to 0.4 tried)",
                    "from the least tried to about 0.2 (std 0.1 to 0.4 tried)"]  # fmt: skip


def test_the_levels_on_the_sheet_have_the_trained_one():
    pictures = {level: [level] for level in range(10)}
    assert list(denoise._some(pictures, None)) == [0, 2, 4, 7, 9]
    assert list(denoise._some(pictures, 3)) in ([0, 3, 4, 7, 9], [0, 2, 3, 7, 9])
    assert list(denoise._some({0.5: [1]}, 0.2)) == [0.5]


class Repaired(HandMadeRun):
    """A run of pixels of 0.4 and 1 that gives 0.4 back below 0.7, and 1 elsewhere."""

    def __init__(self, workdir, corruption="masking", **changes):
        super().__init__(workdir, **changes)
        base = {**self.config.to_dict(), "corruption": {**SECTION, "name": corruption}, "code": {"name": "top_k"}}
        self.config = FrozenConfigDict(base)
        for split in self.splits.values():
            split.images = np.where(split.images < 102, 102, 255).astype(np.uint8)  # 0.4 and 1

    def restore(self, x):
        return np.where(x < 0.7, np.float32(0.4), np.float32(1))


@pytest.fixture
def undrawn(monkeypatch):
    """Drawing takes longer than the rest."""
    for name in ("draw_sheet", "draw_curves"):
        monkeypatch.setattr(denoise, name, lambda *_: figure.new(1, 1))


@pytest.fixture
def execute(tmp_path, monkeypatch, capsys):
    def execute(run, *arguments):
        monkeypatch.setattr(aejax, "load", lambda _, best=False: run)
        status = denoise.main([f"--workdir={tmp_path}", *arguments])
        path = tmp_path / "analysis" / "denoise.json"
        numbers = json.loads(path.read_text(), parse_constant=pytest.fail) if path.exists() else None
        return status, *capsys.readouterr(), numbers

    return execute


def test_the_command(execute, tmp_path):
    run = Repaired(tmp_path)
    status, out, _, numbers = execute(run, "--levels=0.5,0.1", "--images=3")
    assert status == 0 and numbers["corruption"] == {"name": "masking", "level": "rate", "trained": 0.25}
    assert [row["level"] for row in numbers["levels"]] == [0.1, 0.5]
    row = numbers["levels"][1]
    clean = run.prepare(run.splits["test"].images)
    corrupted = noise.choose(SECTION, "", clean)(clean, 0.5, 0)
    for name, picture in (("corrupted", corrupted), ("restored", run.restore(corrupted))):
        psnr = np.minimum(image_quality.psnr(clean, picture), denoise.MOST_DB)
        assert row[name]["psnr"]["mean"] == pytest.approx(psnr.mean(), rel=1e-4)
        assert row[name]["psnr"]["std"] == pytest.approx(psnr.std(), rel=1e-4)
        assert row[name]["ssim"]["mean"] == pytest.approx(image_quality.ssim(clean, picture).mean(), rel=1e-4)
    assert row["restored"]["psnr"]["mean"] > row["corrupted"]["psnr"]["mean"] + 5
    gain = row["restored"]["psnr"]["mean"] - row["corrupted"]["psnr"]["mean"]
    assert row["gain"]["mean"] == pytest.approx(gain, rel=1e-4)
    assert numbers["helps"]["psnr"] == [{"from": None, "to": None}] and numbers["peak"] == 1
    assert numbers["examples"] == {"train": 60, "valid": 20, "test": 30} and len(numbers["shown"]) == 3
    assert "trained with at rate 0.25" in out and "restoring helps at every rate tried (0.1 to 0.5)" in out
    assert "no net" in out and set(row["chosen"]) == {"affine", "filter"} and "Mind" not in out
    for name in ("denoise", "denoise_curves"):
        assert (tmp_path / f"analysis/{name}.png").read_bytes().startswith(b"\x89PNG")


def test_rivals_are_fitted_on_train_and_chosen_on_valid(execute, undrawn, tmp_path, monkeypatch):
    run, seen = Repaired(tmp_path), []

    def rivals(train, valid):
        seen.append([x.shape[0] for x in (*train, *valid)])
        for x, name in ((train, "train"), (valid, "valid")):
            clean = run.prepare(run.splits[name].images)
            assert np.array_equal(x[0], np.tile(clean, (len(x[0]) // len(clean), 1, 1, 1)))
            assert not np.array_equal(*x) and np.mean(x[1] == 0) == pytest.approx(0.25, abs=0.03)
        assert len(np.unique(train[1][::60].reshape(4, -1), axis=0)) == 4  # four draws for one image
        return {"filter": denoisers.Denoiser(lambda x: x + 9, "by hand")}

    monkeypatch.setattr(denoise, "rivals", rivals)
    _, out, _, numbers = execute(run, "--levels=0.25", "--limit=25")
    assert seen == [[240, 240, 20, 20]] and numbers["examples"]["test"] == 25 and "by hand" in out
    assert numbers["levels"][0]["filter"]["psnr"]["mean"] > 0  # clipped to the range of train: [0.4, 1]


def test_sound_and_vectors_have_a_signal_to_noise_ratio(execute, tmp_path):
    for shape, rivals in (((1, 4, 4), {"affine", "filter"}), ((1, 1, 16), {"affine"})):
        status, out, _, numbers = execute(Repaired(tmp_path, valid=0, labels=False).reshaped(*shape), "--levels=0.2")
        assert status == 0 and list(numbers["measures"]) == ["snr"] and numbers["peak"] is None
        assert set(numbers["levels"][0]["chosen"]) == rivals and "signal-to-noise ratio from" in out
        assert numbers["examples"] == {"train": 54, "valid": 6, "test": 30}  # a tenth of train stands in


def test_a_run_without_corruption_and_one_whitened(execute, undrawn, tmp_path):
    run = Repaired(tmp_path, corruption="none", channels=3)
    run.config = FrozenConfigDict({**run.config.to_dict(), "code": {"name": "lifetime"}})
    status, out, _, numbers = execute(run, "--levels=0.2")
    assert status == 0 and numbers["corruption"]["name"] == "clipped_gaussian" and "not trained with" in out
    assert "Mind that encoding leaves off the masks and noise of code lifetime" in out
    prepare, restore = run.prepare, run.restore
    run.prepare = lambda x: 10 * prepare(x) - 5  # compared as pixels, corrupted as whitened
    run.picture = lambda x, like: (x + 5) / 10
    run.restore = lambda x: 10 * restore((x + 5) / 10) - 5
    status, _, _, numbers = execute(run, "--levels=1")
    assert numbers["corruption"]["name"] == "gaussian" and numbers["peak"] == 1
    assert numbers["levels"][0]["corrupted"]["psnr"]["mean"] == pytest.approx(20, abs=0.3)  # std 1 of 10 is .1
    assert numbers["levels"][0]["restored"]["psnr"]["mean"] > 40
    status, _, err, _ = execute(run, "--corruption=clipped_gaussian")
    assert status == 2 and "changes these inputs" in err


def test_refusals(execute, undrawn, tmp_path):
    run = Repaired(tmp_path)
    for flag in ("--corruption=blur", "--levels=2", "--levels=a", "--images=0", "--limit=-1", "--seed=-1"):
        status, out, err, _ = execute(run, flag)
        assert status == 2 and not out and err.count("\n") == 1 and flag.partition("=")[0] in err
    run.restore = lambda x: x * np.nan
    status, _, err, _ = execute(run, "--levels=0.1")
    assert status == 2 and "diverged" in err
    run.splits["test"].images = run.splits["test"].images[:0]
    status, _, err, _ = execute(run)
    assert status == 2 and "test split" in err
    run.config = FrozenConfigDict({**run.config.to_dict(), "model": "classifier"})
    status, out, err, _ = execute(run)
    assert status == 0 and not err and "does not apply" in out


def test_a_real_run_restores_prepared_images(tmp_path):
    from aejax import model
    from aejax.run import Run
    from tests import configurations

    config = FrozenConfigDict(configurations.load("shallow", {}))
    net = model.build(config, (8, 8, 1))
    variables = jax.jit(model.init, static_argnums=(0, 1))(net, 0)
    scale = {"scale": np.float32(1 / 255), "shift": np.float32(0)}
    run = Run(config, tmp_path, 0, {"classes": (), "reading": {}, "shape": (8, 8, 1)}, variables, scale)
    raw = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1)).astype(np.uint8)
    np.testing.assert_allclose(run.restore(run.prepare(raw)), run.reconstruct(raw), rtol=1e-5)
