"""Analyses as pure functions of arrays, on cases with known answers."""

import json

import numpy as np
import pytest

from aejax import files, logs, workdirs
from aejax.analysis import curves, figure, filters, losses, reconstructions, selection, views, weights, words
from aejax.analysis.filters import texture
from aejax.errors import UserError

METRICS = [
    {"step": 10 * e, "epoch": float(e), "split": split, "loss": value + 0.5, "reconstruction": value, "l1": 5.0,
     "reconstruction_per_pixel": value / 16}
    for e in range(1, 9) for split, value in (("train", 100 / e), ("valid", 100 / e + 5 * abs(e - 6)))
] + [{"step": 80, "epoch": 8.0, "split": "test", "loss": 16.0, "reconstruction": 15.5, "l1": 5.0}]  # fmt: skip


@pytest.fixture
def workdir(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in METRICS))
    return tmp_path


# --- files, selection, weights -------------------------------------------------------------------


def test_json_is_strict_and_rounded(tmp_path):
    numbers = {
        "a": np.float32(1 / 3),
        "b": [np.nan, np.inf, 1e-9 / 3],
        "c": np.arange(3),
        "d": (True, None, "[x"),
        1: 2,
    }
    files.write_json(tmp_path / "sub" / "a.json", numbers)
    read = json.loads((tmp_path / "sub" / "a.json").read_text(), parse_constant=pytest.fail)
    expected = {"a": 0.333333, "b": [None, None, 3.33333e-10], "c": [0, 1, 2], "d": [True, None, "[x"], "1": 2}
    assert read == expected


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(RuntimeError), files.replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_metrics_cut_short_are_read_and_broken_ones_refused(workdir):
    path = workdir / "metrics.jsonl"
    whole = path.read_text()
    path.write_text(whole + '{"step": 90, "epo')
    assert logs.read_metrics(workdir) == METRICS
    path.write_text("nonsense\n" + whole)
    with pytest.raises(UserError, match="line 1"):
        logs.read_metrics(workdir)
    path.write_text("")
    with pytest.raises(UserError, match="empty"):
        logs.read_metrics(workdir)


def test_selection_is_even_over_classes_and_rankings():
    labels = np.array([2, 0, 0, 1, 0, 2, 1, 0])
    assert selection.by_class(labels, 6).tolist() == [1, 2, 3, 6, 0, 5]
    assert selection.by_class(labels, 7).tolist() == [1, 2, 4, 3, 6, 0, 5]  # only class 0 has a third
    assert labels[selection.by_class(labels, 2)].tolist() == [0, 2]
    assert len(selection.by_class(labels, 99)) == 8
    score = np.array([3.0, 1.0, 5.0, 4.0, 2.0])
    assert selection.over_ranking(score, 3).tolist() == [2, 0, 1]
    assert selection.largest(score, 2).tolist() == [2, 3]
    assert selection.evenly(5, 9).tolist() == [0, 1, 2, 3, 4]


def test_weights_are_read_in_order_and_the_right_way_round():
    layers = {f"layers_{i}": {"kernel": np.full((i + 2, i + 3), i), "bias": 0} for i in (10, 2, 0)}
    assert [k[0, 0] for k in weights.kernels(layers)] == [0, 2, 10]  # by number: 10 after 2
    rng = np.random.default_rng(0)
    first, last = rng.normal(size=(12, 5)), rng.normal(size=(7, 12))
    params = {"encoder": {"layers_0": {"kernel": first}, "layers_1": {"kernel": np.ones((5, 7))}},
              "decoder": {"layers_0": {"kernel": last}}}  # fmt: skip
    assert np.array_equal(weights.encoder_filters(params, (2, 3, 2))[4].ravel(), first[:, 4])
    assert np.array_equal(weights.decoder_atoms(params, (2, 3, 2))[6].ravel(), last[6])
    assert weights.depth(params) == (2, 1) and not weights.is_tied(params)
    tied = {**params, "decoder": {"bias_0": np.zeros(5), "bias_1": np.zeros(12)}}
    assert weights.is_tied(tied) and weights.depth(tied) == (2, 2)
    assert np.array_equal(weights.decoder_atoms(tied, (2, 3, 2)), weights.encoder_filters(tied, (2, 3, 2)))
    first[0, 0] = np.nan
    with pytest.raises(UserError, match="not all finite"):
        weights.encoder_filters(params, (2, 3, 2))
    with pytest.raises(UserError, match="dense"):
        weights.encoder_filters({"encoder": {"layers_0": {"kernel": np.ones((3, 3, 1, 8))}}}, (2, 3, 2))


# --- drawing -------------------------------------------------------------------------------------


def test_mosaic_places_tiles():
    canvas, corners = figure.mosaic(np.arange(3.0)[:, None, None] * np.ones((3, 2, 2)), columns=2, gap=1)
    nan = np.nan
    expected = [[0, 0, nan, 1, 1]] * 2 + [[nan] * 5] + [[2, 2, nan, nan, nan]] * 2
    np.testing.assert_array_equal(canvas, np.array(expected))
    assert corners.tolist() == [[0, 0], [0, 3], [3, 0]]


@pytest.mark.parametrize("channels", [1, 3])
def test_reconstructions_are_drawn_under_their_inputs(channels):
    rng = np.random.default_rng(0)
    inputs, outputs = rng.random((2, 12, 14, 28, channels)).astype(np.float32)
    outputs[0], outputs[2] = 2.0, -1.0  # clipped to white and to black
    axes = figure.draw_reconstructions(inputs, outputs, "title").axes[0]
    pixels = axes.images[0].get_array()
    np.testing.assert_allclose(pixels[:14, 30:58], np.broadcast_to(inputs[1], (14, 28, 3)))  # columns are 2 apart
    np.testing.assert_allclose(pixels[15:29, 30:58], np.broadcast_to(outputs[1], (14, 28, 3)))
    assert (pixels[15:29, :28] == 1).all() and (pixels[15:29, 60:88] == 0).all()
    with pytest.raises(ValueError, match=r"\[n, h, w, c\]"):
        figure.draw_reconstructions(inputs, outputs[:3], "title")


def test_any_number_of_channels_becomes_rgb():
    images = np.array([[-1.0, 0.5], [0.25, 0.75], [np.nan, 4.0]]).reshape(3, 1, 1, 2)
    np.testing.assert_array_equal(views.rgb(images)[:, 0, 0], [[0] * 3, [0.5] * 3, [1] * 3])
    colours = np.array([0.1, 2.0, -1.0], np.float32).reshape(1, 1, 1, 3)
    np.testing.assert_array_equal(views.rgb(colours).ravel(), np.array([0.1, 1, 0], np.float32))


def test_examples_without_height_are_laid_out():
    assert views.plane(np.zeros((2, 3, 1, 1))).shape == (2, 3, 1, 1)  # an image of one column stays one
    sound = np.arange(24.0).reshape(2, 1, 4, 3)
    shown = views.plane(sound)
    assert shown.shape == (2, 3, 4, 1)
    assert shown[0, -1, :, 0].tolist() == [0, 3, 6, 9] and shown[1, 0, 3, 0] == 23  # the lowest band at the bottom
    vector = views.plane(np.arange(5.0).reshape(1, 1, 1, 5))[0, :, :, 0]
    np.testing.assert_array_equal(vector, [[0, 1, 2], [3, 4, np.nan]])
    layouts = [views.layout(shape) for shape in ((8, 8, 1), (1, 9, 4), (1, 9, 1), (1, 1, 2000))]
    assert layouts == ["", "time rightwards, frequency upwards", "time rightwards", "2,000 values, row under row"]


@pytest.mark.parametrize("length", [2, 9, 192, 1000, 8001])
def test_a_waveform_is_a_curve_of_any_length(length):
    time = np.linspace(0, 1, length)
    rising = views.plane((2 * time - 1).reshape(1, 1, length, 1))[0, :, :, 0]
    rows, columns = rising.shape
    ends = [np.flatnonzero(~np.isnan(rising[:, column])) for column in (0, columns // 2, columns - 1)]
    assert ends[0].max() == rows - 1 and ends[0].min() == rows // 2  # from zero down to -1
    assert len(ends[1]) <= 2 and ends[2].min() == 0 and ends[2].max() == rows // 2
    assert rising[0, -1] == 1 and rising[-1, 0] == -1
    spike = np.zeros((1, 1, length, 1))
    spike[0, 0, length // 2] = 1
    assert np.nanmax(views.plane(spike)) > (0.99 if length >= 192 else 0.8)  # no sample falls between the columns


def test_pictures_are_scaled_to_their_inputs(rng):
    image = rng.random((2, 4, 4, 1))
    np.testing.assert_allclose(views.viewable(image), views.rgb(image), rtol=1e-6)
    assert not views.scale(image) and "stretched" in views.scale(4 * image)
    shown = views.viewable(np.full((1, 4, 4, 1), 4.0), np.array([-2.0, 6.0] * 8).reshape(1, 4, 4, 1))
    assert np.unique(shown) == 0.75
    sound = rng.random((2, 1, 8, 5)) * np.array([1.0, 0.01]).reshape(2, 1, 1, 1)
    shown = views.viewable(sound)
    assert shown.min(axis=(1, 2, 3)).tolist() == [0, 0] and shown.max(axis=(1, 2, 3)).tolist() == [1, 1]
    np.testing.assert_allclose(views.viewable(0 * sound, sound), 0, atol=1e-6)  # not scaled by itself
    wave = np.sin(np.arange(50)).reshape(1, 1, 50, 1)
    assert (views.viewable(wave) == views.viewable(1e-3 * wave)).all()
    assert (views.viewable(wave) < 1).sum() > 5 * (views.viewable(0.01 * wave, wave) < 1).sum()
    vector = views.viewable(np.arange(5.0).reshape(1, 1, 1, 5))
    assert vector[0, 1, 2].tolist() == [1, 1, 1] and vector[0, 0, 0].tolist() == [0, 0, 0]
    assert np.isfinite(views.viewable(np.zeros((1, 1, 1, 5)))).all()


@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 9, 3), (1, 50, 12), (1, 4000, 1), (1, 1, 700), (1, 1, 3), (7, 7, 16)])
def test_every_kind_of_example_is_drawn(shape, rng):
    x = rng.normal(size=(5, *shape)).astype(np.float32)
    picture = figure.draw_reconstructions(x, 0.5 * x, "title", ["a\n1"] * 5)
    filters.draw([("first", x, None), ("last", x, np.ones(5, bool))], "title").draw_without_rendering()
    picture.draw_without_rendering()
    assert picture.get_figheight() < 4 and np.isfinite(picture.axes[0].images[0].get_array()).all()


def test_zero_weight_is_grey_and_the_scale_is_symmetric():
    red, green, blue, _ = figure.DIVERGING(0.5)
    assert max(red, green, blue) - min(red, green, blue) < 0.02 and red < 0.95
    luminance = figure.DIVERGING([0.0, 0.25, 0.75, 1.0])[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert abs(luminance[0] - luminance[3]) < 0.05 and abs(luminance[1] - luminance[2]) < 0.15
    axes = figure.new().add_subplot()
    figure.draw_weights(axes, np.array([[[[-0.1]], [[0.05]]], [[[0.0]], [[3.0]]]]), "w")  # two of 2×1, enlarged
    shown = axes.images[0].get_array()
    assert [shown[0, 0], shown[23, 11], shown[0, 14], shown[23, 25]] == [-1, 0.5, 0, 1] and shown.mask[0, 12]
    assert axes.images[0].get_clim() == (-1, 1)


# --- reconstructions -----------------------------------------------------------------------------


def test_squared_errors_by_hand():
    x = np.zeros((2, 1, 2, 1), np.float32)
    y = np.array([[3.0, 4.0], [0.0, 1.0]], np.float32).reshape(2, 1, 2, 1)
    errors = reconstructions.squared_errors(x, y)
    assert errors.tolist() == [25, 1]
    assert reconstructions.class_means(errors, np.array([2, 0]), "abc") == {"a": 1, "c": 25}


def test_explained_is_one_for_a_copy_and_zero_for_the_mean():
    x = np.random.default_rng(0).random((50, 4, 4, 1))
    mean = x.mean(axis=0)
    share = lambda y: reconstructions.explained(reconstructions.squared_errors(x, y), x, mean)  # noqa: E731
    assert share(x) == 1 and abs(share(np.broadcast_to(mean, x.shape))) < 1e-12 and share(3 - x) < 0
    factor, errors = reconstructions.best_scale(x, 4 * x)
    assert factor == pytest.approx(0.25) and errors.max() < 1e-20


def test_a_multinomial_mean_is_times_the_draws():
    x, mean = np.array([[3.0, 1.0], [0, 2]]).reshape(2, 1, 1, 2), np.full((2, 1, 1, 2), 0.5)
    assert reconstructions.expected(mean, x, "multinomial").ravel().tolist() == [2, 2, 1, 1]
    assert reconstructions.expected(mean, x, "poisson") is mean


def test_the_words_that_stand_out():
    x = np.array([[0.0, 3, 1, 0], [2, 0, 0, 2]]).reshape(2, 1, 1, 4)
    told = words.texts(np.array([7, 9]), x, -x, ["the", "cat", "sat", "mat"])
    assert told[0] == {"test_index": 7, "input": [("cat", 3.0), ("sat", 1.0)], "output": []}
    assert words.told(told[1]["input"]) == "the 2, mat 2" and words.told(told[1]["output"]) == "none"
    assert words.largest(np.arange(5.0), "abcde", count=2) == [("e", 4.0), ("d", 3.0)]


# --- filters -------------------------------------------------------------------------------------


def test_concentration_from_flat_to_one_pixel():
    flat, spot = np.ones((1, 10, 10, 1)), np.zeros((1, 10, 10, 1))
    spot[0, 3, 4] = -2
    noise = np.random.default_rng(0).normal(size=(20, 40, 40, 3))[..., :1]
    assert texture.energy_in_top(flat)[0] == pytest.approx(0.1) and texture.energy_in_top(spot)[0] == 1
    assert texture.energy_in_top(noise).mean() == pytest.approx(0.44, abs=0.01)
    assert texture.white_noise((40, 40, 1))["energy_in_top_tenth"] == pytest.approx(0.44, abs=0.01)
    assert texture.white_noise((5, 5, 3))["energy_in_top_tenth"] < 0.3  # two of 25 pixels, of three channels
    assert np.isnan(texture.energy_in_top(np.zeros((1, 4, 4, 1)))[0])


def test_smoothness_from_chequerboard_to_constant():
    i, j = np.indices((8, 8))
    board = np.where((i + j) % 2, 1.0, -1.0)[None, :, :, None]
    noise = np.random.default_rng(0).normal(size=(50, 30, 30, 1))
    assert texture.smoothness(board)[0] == pytest.approx(-1)
    assert texture.smoothness(np.full((2, 8, 8, 3), -0.3)) == pytest.approx(1)
    assert abs(texture.smoothness(noise).mean()) < 0.01
    assert "noise-like" in texture.look(texture.describe(noise))
    smooth = {"units": 1, "smoothness": 0.8, "energy_in_top_tenth": 0.9, "white_noise": {"energy_in_top_tenth": 0.4}}
    assert "smooth and local" in texture.look(smooth)


def test_sound_and_vectors_have_a_texture_too():
    time, band = np.indices((8, 6))
    stripes = np.where(time % 2, 1.0, -1.0)[None, None]  # [1, 1, T, bands]: the bands agree, the times do not
    found = texture.describe(stripes)
    assert found["smoothness"] == pytest.approx((8 * 5 - 7 * 6) / (8 * 5 + 7 * 6))
    wave = texture.describe(np.cos(np.arange(50) / 5).reshape(1, 1, 50, 1))
    assert wave["smoothness"] > 0.9
    vector = np.zeros((1, 1, 1, 50))
    vector[..., 3] = 2
    found = texture.describe(vector)
    assert found["smoothness"] is None and found["energy_in_top_tenth"] == 1 and "components" in texture.look(found)


def test_dead_units_and_constant_pixels_do_not_count_as_filters():
    train = np.zeros((3, 2, 5, 1), np.uint8)
    train[1, 0, 2] = 9  # the only pixel that varies
    weight = np.full((2, 2, 5, 1), 0.5)
    weight[1] = 7
    images = {"encoder": weight, "decoder": weight}
    numbers = filters.measure(images, np.array([0.4, 0.0]), train, own={"encoder", "decoder"})
    assert numbers["dead_units"].tolist() == [1] and numbers["encoder"]["units"] == numbers["decoder"]["units"] == 1
    assert numbers["encoder"]["norm"] == 0.5 and numbers["decoder"]["norm"] == pytest.approx(0.5 * 10**0.5)
    numbers = filters.measure({"encoder": weight[:, :, :2]}, np.array([0.4, 0.0]), train, own=set())  # of a convolution
    assert numbers["encoder"]["units"] == 2 and "decoder" not in numbers


def test_firing_share_counts_every_image_once():
    codes = np.array([[0.0, 1, 2], [0, 0, 3], [0, 0, 1], [0, 5, 1], [0, 0, 1]])
    assert filters.firing_share(lambda x: x, codes, block=2).tolist() == [0, 0.4, 1]
    maps = np.zeros((4, 2, 2, 3))
    maps[0, :, :, 1], maps[1, 1, 0, 1], maps[3, 0, 1, 2] = 1, -2, 1
    assert filters.firing_share(lambda x: x, maps, block=3).tolist() == [0, 0.5, 0.25]  # once, at however many places


@pytest.mark.parametrize("count", [1, 2, 3, 7, 12, 16, 20])
def test_filters_leave_no_gap_under_their_title(count, rng):
    picture = filters.draw([("filters", rng.normal(size=(count, 9, 9, 1)), np.ones(count, bool))], "one\ntwo")
    picture.draw_without_rendering()
    title, axes = picture._suptitle.get_window_extent(), picture.axes[0]
    gap = (title.y0 - axes.title.get_window_extent().y1) / picture.dpi
    assert 0 <= gap < 0.3, gap


# --- losses --------------------------------------------------------------------------------------


def test_curves_their_minima_and_late_changes():
    found = curves.by_split(METRICS, "loss")
    assert set(found) == {"train", "valid", "test"} and found["train"][0].tolist() == list(range(1, 9))
    assert losses.lowest(found["valid"]) == (6.0, pytest.approx(100 / 6 + 0.5))
    assert losses.lowest((np.arange(3.0), np.array([np.nan, 2, 1]))) == (2.0, 1.0)
    line = (np.arange(1.0, 41.0), 100 - np.arange(1.0, 41.0))  # 60 at the end, 69 nine epochs before
    assert losses.late_change(line) == pytest.approx(-9 / 69)
    assert curves.wants_log(found) and not curves.wants_log({"train": line, "x": (line[0], -line[1])})
    assert losses.penalties_and_figures(METRICS, {"l1": 1.0}) == (["l1"], [])
    more = {"epoch": 8.0, "split": "valid", "loss": 1.0, "dead_share": 0.5, "active_units": 3.0, "note": "x"}
    assert losses.penalties_and_figures([*METRICS, more], {"l1": 1.0, "kl": 0.0}) == (["l1"], ["dead_share"])


def test_numbers_of_the_losses():
    numbers = losses.measure(METRICS, {"l1": 1.0})
    assert numbers["best_valid"] == {"epoch": 6.0, "loss": pytest.approx(100 / 6 + 0.5)}
    assert numbers["gap"] == pytest.approx(10) and numbers["gap_percent"] == pytest.approx(100 * 10 / 13)
    assert numbers["final"]["test"]["loss"] == 16
    rising = [{"epoch": float(e), "split": "valid", "loss": float(e)} for e in range(1, 9)]
    words = " ".join(losses.summarise(losses.measure(rising, ()), []))
    assert "is rising" in words and "at epoch 1, +700 % since" in words
    words = " ".join(losses.summarise(losses.measure([{**r, "loss": -r["loss"]} for r in rising], ()), []))
    assert "still falling" in words and "the last one" in words
    broken = [*rising, {"epoch": 9.0, "split": "valid", "loss": float("nan")}]
    assert "not finite" in losses.summarise(losses.measure(broken, ()), [])[-1]


def test_every_penalty_has_a_panel():
    titles = [ax.get_title() for ax in losses.draw(METRICS, "t", {"l1": 1.0}).axes]
    assert titles[0].startswith("loss") and titles[1].startswith("reconstruction") and "l1 penalty" in titles[2]
    plain = [{k: v for k, v in row.items() if k != "l1"} for row in METRICS]
    assert len(losses.draw(plain, "t", {"l1": 1.0}).axes) == 1


def test_figures_are_told_from_terms():
    rows = [{**row, "perplexity": 7.0, "noise_std": 0.1} for row in METRICS]
    titles = [ax.get_title() for ax in losses.draw(rows, "t", {"l1": 1.0}).axes if ax.get_title()]
    assert [t for t in titles if "penalty" in t] == ["l1 penalty, unweighted"]
    assert titles[-2:] == ["perplexity, entries in use\n(not in the loss)", "noise_std\n(not in the loss)"]
    assert "Not in the loss: perplexity 7 on train, 7 on valid, 7 on test." in losses.summarise(
        losses.measure(rows, {"l1": 1.0}), []
    )


def test_losses_of_a_sweep_are_means_over_its_members(tmp_path, tiny):
    workdirs.write_config(tmp_path, tiny("shallow", {"sweep.seed": "0,1,2", "train.epochs": 8}))
    (tmp_path / "members" / "2").mkdir(parents=True)
    (tmp_path / "members" / "2" / "diverged.txt").write_text("")
    rows = [{**row, "member": i, "settings": {"seed": i}, **({} if i < 2 else {"loss": 1e9})} for i in range(3)
            for row in METRICS]  # fmt: skip
    for row in rows:
        row["loss"] += 4 * (row["member"] == 1)
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = losses.analyse(tmp_path, None)
    told = "is 15.0 ± 2.8 on train, 25.0 ± 2.8 on valid, 18.0 ± 2.8 on test."
    assert f"After 8 epochs the loss, mean of 2 members, {told}" in found.summary
    assert "1 more diverged and is left out." in found.summary
    assert found.figure.get_suptitle().endswith("\nmean ± standard deviation of 2 members")
    axes = found.figure.axes[0]
    assert axes.lines[0].get_ydata()[0] == pytest.approx(102.5)
    band = axes.collections[0].get_paths()[0].vertices
    assert max(band[:, 1]) == pytest.approx(102.5 + np.sqrt(8)) and found.numbers["spread"]["test"]["loss"] > 2.8
    assert "members" not in losses.measure(METRICS, {}) and "member" not in found.numbers["figures"]


def test_losses_of_several_settings_are_called_mixed(tmp_path, tiny):
    workdirs.write_config(tmp_path, tiny("shallow", {"sweep.seed": "0,1", "sweep.code.size": "2,4,8"}))
    rows = [{"member": i, "step": 10 * e, "epoch": float(e), "split": "valid", "loss": 20 + 5.0 * i + e}
            for i in range(6) for e in (0, 1)]  # fmt: skip
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = losses.analyse(tmp_path, None)
    assert found.summary[0] == "After 1 epochs the loss, mean of 6 members of 3 settings, is 33.5 ± 9.4 on valid."
    assert found.figure.get_suptitle().endswith("\nmean ± standard deviation of 6 members of 3 settings")
    found.figure.draw_without_rendering()
    low, high = found.figure.axes[0].get_xlim()
    assert [tick for tick in found.figure.axes[0].get_xticks() if low <= tick <= high] == [0, 1]


def test_a_classifier_has_its_cross_entropy_and_error():
    rows = [
        {"epoch": float(e), "split": s, "loss": 1 / e, "cross_entropy": 1 / e, "error": 0.5 / e}
        for e in (1, 2, 3)
        for s in ("train", "valid")
    ]
    titles = [ax.get_title().replace("\n", " (").split(" (")[0] for ax in losses.draw(rows, "t", {"l1": 0.0}).axes]
    assert titles == ["loss = cross_entropy per example", "error, share of the examples"]
    numbers = losses.measure(rows, {"l1": 0.0})
    assert numbers["figures"] == ["error"] and numbers["final"]["valid"]["cross_entropy"] == 1 / 3


def test_names_are_moved_apart_and_no_farther():
    box = np.array([0.2, 0.1])
    moved = figure.apart(np.array([[0.5, 0.5], [0.52, 0.5], [0.9, 0.1]]), box)
    gap = np.abs(moved[0] - moved[1])
    assert (gap >= box - 1e-3).any() and np.allclose(moved[2], [0.9, 0.1], atol=1e-4)
    assert np.abs(moved[:2] - [[0.5, 0.5], [0.52, 0.5]]).max() < 0.1 + 1e-3  # the shorter way out, half of it each
    equal = figure.apart(np.zeros((4, 2)), box)
    pairs = np.abs(equal[:, None] - equal[None]) >= box - 1e-3
    assert (pairs.any(axis=2) | np.eye(4, dtype=bool)).all()
