"""Which images excite a unit most, what their patches are, and how selective a unit is."""

import itertools
import json
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from ml_collections import FrozenConfigDict

import aejax
from aejax import model as models
from aejax.analysis import activations, figure
from aejax.analysis.activations import fields, selectivity, sheet
from aejax.analysis.activations.fields import Axis
from aejax.errors import UserError
from aejax.nets import AllconvEncoder
from tests import configurations
from tests.test_analysis_commands import HandMadeRun


def filled(tree, seed=0):
    """Random arrays of the shapes in a tree; nothing compiles, as it would to initialise."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda a: rng.normal(size=a.shape).astype(np.float32), tree)


def started(name, changes, shape, seed=0):
    model = models.build(FrozenConfigDict(configurations.load(name, changes)), shape)
    return model, filled(dict(jax.eval_shape(lambda: models.init(model, 0))), seed)


# --- selectivity ---------------------------------------------------------------------------------


def test_the_index_is_one_for_one_class_alone_and_zero_for_all_alike():
    labels = np.array([4, 2, 2, 7, 7, 7])
    activity = np.zeros((6, 5), np.float32)
    activity[1, 0] = 3  # class 2 alone, and of it one example
    activity[:, 1] = 0.7  # the same for all
    activity[:, 3] = [1, 2, 4, 3, 0, 0]  # means 1, 3, 1: (3 - 1) / (3 + 1)
    activity[:, 4] = [0, 1, 1, 1, 1, 1]  # a tie of 2 and 7, the rest 1/2
    found = selectivity.selectivity(activity, labels, shuffles=3)
    np.testing.assert_allclose(found.index, [1, 0, np.nan, 0.5, 1 / 3], atol=1e-7)
    assert found.leading[[0, 2, 3, 4]].tolist() == [2, -1, 2, 2] and found.by_chance.shape == (3, 5)
    assert np.isnan(found.by_chance[:, 2]).all()


def test_means_of_classes_over_several_blocks(rng, monkeypatch):
    monkeypatch.setattr(selectivity, "BLOCK", 7)
    activity, labels = rng.random((50, 3)), rng.integers(0, 4, 50)
    means = selectivity.class_means(activity, np.stack([labels, labels[::-1]]), 4)
    for order, found in zip((labels, labels[::-1]), means, strict=True):
        np.testing.assert_allclose(found, [activity[order == k].mean(axis=0) for k in range(4)], rtol=1e-6)
    monkeypatch.setattr(selectivity, "MOST", 1)
    np.testing.assert_allclose(selectivity.class_means(activity, labels[None], 4)[0], means[0], rtol=1e-6)


def test_what_chance_gives_is_not_selective(rng):
    labels = np.arange(200) % 10
    activity = np.zeros((200, 3))
    activity[5, 0] = 1  # one image alone: the index is 1, and so is that of every shuffle
    activity[labels == 3, 1] = 1
    activity[:, 2] = 1 + (labels == 3)  # the leading class twice as much as the others: 1/3
    found = selectivity.selectivity(activity, labels)
    np.testing.assert_allclose(found.index, [1, 1, 1 / 3])
    assert selectivity.is_selective(found).tolist() == [False, True, False]
    assert selectivity.is_selective(found, 0.3).tolist() == [False, True, True]
    again = selectivity.selectivity(activity, labels)
    assert np.array_equal(found.by_chance, again.by_chance)


def test_precision_is_the_mean_over_all_ways_to_break_ties():
    values = np.array([5, 3, 3, 3, 1, 0, 0], np.float32)
    labels = np.array([0, 1, 0, 1, 1, 1, 0])
    for top, leading in itertools.product((1, 2, 3, 9), (0, 1)):
        k = min(top, int((labels == leading).sum()), 5)
        sets = [c for c in itertools.combinations(range(7), k) if sorted(values[list(c)]) == sorted(values)[-k:]]
        expected = np.mean([np.mean(labels[list(c)] == leading) for c in sets])
        found = selectivity.precision(values[:, None], labels, np.array([leading]), top)
        assert found[0] == pytest.approx(expected), (top, leading)
    assert np.isnan(selectivity.precision(np.zeros((7, 1)), labels, np.array([-1])))[0]


def test_precision_can_reach_one():
    labels = np.arange(300) % 30  # ten of each, fewer than the top hundred
    values = np.stack([labels == 4, (labels == 4) & (np.arange(300) < 100), np.ones(300)], axis=1).astype(float)
    assert selectivity.precision(values, labels, np.array([4, 4, 4])) == pytest.approx([1, 1, 1 / 30])


def test_top_images_and_their_ties():
    values = np.array([0.0, 2, 1, 2, -1, 3, 1, 1, 1, 1])
    assert selectivity.top(values, 3).tolist() == [5, 1, 3]
    assert selectivity.top(values, 5).tolist() == [5, 1, 3, 2, 9]  # of five equal ones the ends
    assert selectivity.top(values, 6).tolist() == [5, 1, 3, 2, 7, 9]
    assert selectivity.top(values, 20).tolist() == [5, 1, 3, 2, 6, 7, 8, 9]  # what does not excite it is not shown
    assert selectivity.top(np.ones(9), 3).tolist() == [0, 4, 8] and not len(selectivity.top(-np.ones(9), 3))


def test_a_map_counts_by_its_largest_place_and_its_mean():
    maps = np.zeros((3, 2, 4, 2), np.float32)
    maps[0, 1, 2, 0], maps[0, 0, 1, 0] = 5, -7
    maps[1, 0, 3, 1] = maps[1, 1, 0, 1] = 2  # the first in reading order
    maps[2] = -1
    seen = selectivity.observe(lambda x: maps[x], np.arange(3), block=2)
    assert seen.values.tolist() == [[5, 0], [0, 2], [-1, -1]]
    assert seen.places[0, 0].tolist() == [1, 2] and seen.places[1, 1].tolist() == [0, 3]
    np.testing.assert_allclose(seen.activity, [[5 / 8, 0], [0, 0.5], [0, 0]])
    flat = selectivity.observe(lambda x: maps[x].reshape(len(x), -1), np.arange(3), block=2)
    assert flat.places is None and flat.activity.min() == 0 and flat.values.min() == -7
    with pytest.raises(UserError, match="not all finite"):
        selectivity.observe(lambda x: maps[x] * np.nan, np.arange(3), block=3)


# --- receptive fields ----------------------------------------------------------------------------


def test_fields_of_known_stacks():
    assert fields.joined([]) == Axis(1, 1, 0)
    assert fields.joined([Axis(3, 2, 1)] * 2) == Axis(7, 4, 3)
    assert fields.joined([Axis(5, 1, 2)] * 3) == Axis(13, 1, 6)
    assert fields.joined([Axis(3, 1, 1), Axis(2, 2, 0)]) == Axis(4, 2, 1)
    assert [fields.convolution(n, 3, 2).low for n in (7, 8)] == [1, 0]  # "SAME" pads an even size below alone
    assert [fields.pooling(n, 3).low for n in (6, 7, 8)] == [0, 1, 0]


@pytest.mark.parametrize(
    "shape, changes, extent",
    [((17, 16, 1), {}, 7), ((13, 10, 1), {"resample": "average_pool"}, 10),
     ((16, 11, 1), {"factor": 3, "kernel": (5, 5)}, 17), ((11, 8, 1), {"factor": 1, "kernel": (5, 3)}, 9),
     ((8, 13, 1), {"map": (4, 4), "kernel": (3, 1), "widths": (2, 2)}, 11)],
)  # fmt: skip
def test_a_field_is_all_pixels_that_excite_a_place(shape, changes, extent):
    given = {"shape": shape, "outputs": 1, "widths": (2,), "activation": "linear", **changes}
    encoder, x = AllconvEncoder(**given), np.zeros((1, *shape), np.float32)
    shapes = jax.eval_shape(encoder.init, jax.random.key(0), x)
    variables = jax.tree.map(lambda a: np.full(a.shape, a.ndim > 1, np.float32), shapes)  # kernels 1, biases 0
    seen = fields.field(encoder.bind(variables))
    assert seen[0].extent == extent
    pixels = np.eye(shape[0] * shape[1], dtype=np.float32).reshape(-1, *shape)  # one in each image
    maps = np.asarray(encoder.apply(variables, pixels))[..., 0].reshape(*shape[:2], *encoder.bind(variables).sizes[-1])
    for place in np.ndindex(maps.shape[2:]):
        for axis, at, seeing, size in zip(seen, place, np.nonzero(maps[..., *place]), shape[:2], strict=True):
            first = at * axis.stride - axis.low
            assert seeing.min() == max(0, first) and seeing.max() == min(size, first + axis.extent) - 1


def test_a_maximum_pools_what_a_mean_does():
    encoders = [AllconvEncoder((13, 9, 1), 1, (2,), resample=how) for how in ("max_pool", "average_pool")]
    variables = jax.eval_shape(encoders[0].init, jax.random.key(0), np.zeros((1, 13, 9, 1), np.float32))
    first, second = (fields.field(encoder.bind(filled(variables))) for encoder in encoders)
    assert first == second


def test_patches_are_cut_where_the_maximum_is_and_padded_at_borders():
    image = np.arange(48.0).reshape(1, 6, 8, 1)
    images = np.concatenate([image, image + 100, image])
    seen = Axis(3, 2, 1), Axis(5, 2, 1)
    cut = fields.patches(images, np.array([[0, 0], [1, 1], [2, 3]]), seen)[..., 0]
    assert cut.shape == (3, 3, 5)
    assert np.isnan(cut[0, 0]).all() and np.isnan(cut[0, :, 0]).all() and cut[0, 1:, 1:].tolist() == [
        [0, 1, 2, 3], [8, 9, 10, 11]]  # fmt: skip
    assert cut[1].tolist() == (image[0, 1:4, 1:6, 0] + 100).tolist()
    assert cut[2, :, :3].tolist() == image[0, 3:6, 5:8, 0].tolist() and np.isnan(cut[2, :, 3:]).all()
    whole = fields.patches(images, np.array([[0, 0], [1, 1], [2, 3]]), (Axis(6, 2, 1), Axis(3, 2, 1)))
    assert whole.shape == (3, 6, 3, 1) and not np.isnan(whole[1]).any()  # as high as the image: all of it


def test_the_patch_at_the_maximum_is_where_an_impulse_excites_the_map():
    changes = {"encoder.widths": (2,), "encoder.kernel": (3, 3), "encoder.factor": 2, "code.size": 2,
               "decoder.factor": 2, "decoder.widths": (2,)}  # fmt: skip
    model, variables = started("conv_wta", changes, (16, 16, 1), seed=3)
    # Kernels above 0 and no biases, so that an impulse excites all that sees it, and nothing else.
    params = jax.tree.map(lambda a: np.abs(a) * (a.ndim > 1), variables["params"])
    seen = fields.field(model.bind({"params": params}).encoder)
    rng = np.random.default_rng(0)
    images = np.zeros((40, 16, 16, 1), np.float32)
    spots = rng.integers(0, 16, (40, 2))
    images[np.arange(40), spots[:, 0], spots[:, 1]] = 1
    encode = jax.jit(lambda x: model.apply({"params": params}, x, method="encode"))
    observed = selectivity.observe(encode, images, block=40)
    for unit in range(2):
        cut = fields.patches(images, observed.places[:, unit], seen)
        assert cut.shape[1:3] == (7, 7) and (np.nansum(cut, axis=(1, 2, 3)) == 1).all()
        alone = np.nan_to_num(cut)  # and by itself the patch excites it as much
        start = observed.places[:, unit] * [a.stride for a in seen] - [a.low for a in seen]
        again = np.zeros((40, 16, 16, 1), np.float32)
        for i, (row, column) in enumerate(start):
            for a, b in np.argwhere(alone[i, :, :, 0]):
                again[i, row + a, column + b] = 1
        assert np.array_equal(again, images)


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture
def execute(tmp_path, monkeypatch, capsys):
    def execute(*arguments, run):
        drawn = []

        def draw(rows, title, *given):
            drawn.append((rows, title))
            return figure.new(1, 1)

        monkeypatch.setattr(aejax, "load", lambda _, best=False: run)
        monkeypatch.setattr(sheet, "draw", draw)
        status = activations.main([f"--workdir={tmp_path}", *arguments])
        out, err = capsys.readouterr()
        path = tmp_path / "analysis" / "activations.json"
        numbers = json.loads(path.read_text(), parse_constant=pytest.fail) if path.exists() else None
        return SimpleNamespace(status=status, out=out, err=err, numbers=numbers, drawn=drawn[0] if drawn else None)

    return execute


def test_the_command_on_units_that_read_pixels(execute, tmp_path):
    run = HandMadeRun(tmp_path)
    done = execute("--units=6", "--images=4", run=run)
    assert done.status == 0 and not done.err and "1 of 16 code units (6.2 %)" in done.out
    numbers, test = done.numbers, run.splits["test"]
    assert numbers["dead_units"] == [15] and numbers["units"]["class"][:3] == ["ant", "bee", "cow"]
    assert numbers["units"]["class"][15] is numbers["units"]["index"][15] is None
    pixels = test.images.reshape(30, 16) / 255.0
    means = np.stack([pixels[test.labels == k].mean(axis=0) for k in range(3)])
    rest = (means[1] + means[2])[0] / 2
    assert numbers["units"]["index"][0] == pytest.approx((means[0, 0] - rest) / (means[0, 0] + rest), rel=1e-4)
    assert numbers["units"]["precision_percent"][:3] == [100, 100, 100] and len(numbers["shown"]) == 6
    for shown in numbers["shown"]:
        mine = pixels[:, shown["unit"]]
        assert mine[shown["test_indices"]].tolist() == sorted(mine, reverse=True)[:4]
        assert shown["values"] == pytest.approx(mine[shown["test_indices"]], rel=1e-4)
    rows, title = done.drawn
    assert len(rows) == 6 and all(len(row.weights) == 2 and len(row.examples) == 4 for row in rows)
    assert "the test images that excite a unit most" in title and "6 of 16 units, evenly" in title
    first = test.images[numbers["shown"][0]["test_indices"][0]] / 255
    np.testing.assert_allclose(rows[0].examples[0, ..., :1], first, atol=1e-6)


def test_which_units_are_shown(execute, tmp_path):
    units = lambda done: [row["unit"] for row in done.numbers["shown"]]  # noqa: E731
    assert set(units(execute("--choose=selective", "--units=3", run=HandMadeRun(tmp_path)))) == {0, 1, 2}
    run = HandMadeRun(tmp_path)
    x = run.splits["test"].images
    x[3:, 2, 1], x[1:, 2, 2] = 0, 0  # units 9 and 10: three images and one
    assert units(execute("--choose=even", "--units=15", run=run))[-2:] == [9, 10]
    assert 9 not in units(execute("--choose=firing", "--units=13", run=run))
    x[:, 0, 3] = 77  # the same for all
    done = execute("--units=50", run=run)
    assert done.numbers["constant_units"] == [3] and len(units(done)) == 14 and not {3, 15} & set(units(done))
    assert "2 that never change left out" in done.drawn[1] and "1 has the same value for every image" in done.out


def test_what_is_selective_by_chance_comes_last():
    units = {"excited_percent": np.array([3, 50, 0, 9, 9.0]), "index": np.array([1, 0.6, np.nan, 0.7, 0.2]),
             "selective": np.array([False, True, False, True, False])}  # fmt: skip
    numbers = {"units": units, "constant_units": np.array([], int)}
    assert activations.choose("selective", 4, numbers).tolist() == [3, 1, 0, 4]
    assert activations.choose("firing", 3, numbers).tolist() == [1, 3, 4]
    assert activations.choose("even", 3, numbers).tolist() == [1, 4, 0]
    assert activations.choose("even", 3, {**numbers, "constant_units": np.array([0, 1, 3, 4])}).tolist() == [1, 4, 0]


def test_without_labels_there_is_still_the_sheet(execute, tmp_path):
    done = execute(run=HandMadeRun(tmp_path, labels=False, channels=3))
    assert done.status == 0 and done.numbers["selectivity"] is None and "Selective" not in done.out
    assert "index" not in done.drawn[0][0].head and len(done.numbers["shown"]) == 20
    done = execute("--choose=selective", run=HandMadeRun(tmp_path, labels=False))
    assert done.status == 2 and "--choose=selective needs labels" in done.err and done.err.count("\n") == 1


def test_mistakes_and_what_does_not_apply(execute, tmp_path):
    done = execute("--choose=best", run=HandMadeRun(tmp_path))
    assert done.status == 2 and "--choose=best: accepted are even, selective, firing" in done.err
    run = HandMadeRun(tmp_path)
    run.encode = lambda x: np.zeros((len(x), 16), np.float32)
    done = execute(run=run)
    assert done.status == 0 and "does not apply" in done.out and "all are dead" in done.out
    run.splits["test"].images = run.splits["test"].images[:0]
    done = execute(run=run)
    assert done.status == 2 and "the test split of npz:toy.npz is empty" in done.err and done.numbers is None


def test_bits_and_signed_codes(execute, tmp_path):
    run = HandMadeRun(tmp_path)
    run.encode = lambda x: (x.reshape(len(x), -1) > 60).astype(np.float32)
    done = execute("--images=3", run=run)
    fire = run.encode(run.splits["test"].images)
    for row in done.numbers["shown"]:
        members = np.flatnonzero(fire[:, row["unit"]])
        middle = members[round((len(members) - 1) / 2)]
        assert row["test_indices"][::2] == [members[0], members[-1]] and row["test_indices"][1] == middle
        assert row["values"] == [1, 1, 1]
    assert not done.numbers["signed"] and done.drawn[0][0].captions[0] == "1"
    run.encode = lambda x: x.reshape(len(x), -1).astype(np.float32) - 50
    done = execute(run=run)
    assert done.numbers["signed"] and "two signs" in done.out
    share = np.mean(run.splits["test"].images[:, 1, 3] > 50)
    assert done.numbers["units"]["excited_percent"][7] == pytest.approx(100 * share, rel=1e-4)


def test_texts_are_told_in_words(execute, tmp_path):
    run = HandMadeRun(tmp_path).reshaped(1, 1, 16)
    run.words = tuple(f"word{i}" for i in range(16))
    done = execute("--images=2", "--units=15", run=run)
    assert "texts" in done.out and done.out.count("In the texts that excite unit") == 3
    row = next(row for row in done.numbers["shown"] if row["unit"] == 1)
    total = run.prepare(run.splits["test"].images[row["test_indices"]]).sum(axis=(0, 1, 2))
    assert row["words"][0] == ["word1", pytest.approx(total[1], rel=1e-4)]


@pytest.mark.parametrize("shape, kernel", [((9, 12, 1), (3, 3)), ((1, 30, 4), (1, 5)), ((1, 60, 1), (1, 9))])
def test_maps_are_shown_by_their_patches(execute, tmp_path, shape, kernel):
    changes = {"encoder.kernel": kernel, "decoder.kernel": kernel, "encoder.widths": (2,), "encoder.factor": 1}
    run = HandMadeRun(tmp_path, seed=1)
    run.model, run.variables = started("conv_wta", changes, shape)
    rng = np.random.default_rng(0)
    for split in run.splits.values():
        split.images = rng.integers(0, 255, (len(split.images), *shape), dtype=np.uint8)
    run.shape, run.code_shape = shape, (*shape[:2], 4)
    encode = jax.jit(lambda x: run.model.apply(run.variables, x, method="encode"))
    run.encode = lambda x: encode(run.prepare(x))
    run.picture = lambda x, like=None: x
    done = execute("--images=3", run=run)
    size = tuple(2 * (k - 1) + 1 for k in kernel)
    assert done.status == 0 and done.numbers["receptive_field"] == list(size)
    assert f"patches ({size[0]}×{size[1]})" in done.drawn[1]
    codes = np.asarray(run.encode(run.splits["test"].images))
    for row in done.numbers["shown"]:
        for i, (m, n), value in zip(row["test_indices"], row["places"], row["values"], strict=True):
            assert codes[i, m, n, row["unit"]] == pytest.approx(value, rel=1e-4) == codes[i, :, :, row["unit"]].max()


def test_large_splits_are_cut_by_class(monkeypatch):
    monkeypatch.setattr(activations, "MOST", 40)
    split = SimpleNamespace(images=np.zeros((30, 2)), labels=np.arange(30) // 10)
    chosen, labels = activations.examples(split, 6)
    assert len(chosen) == 6 and np.bincount(labels).tolist() == [2, 2, 2] and (np.diff(chosen) > 0).all()
    split.labels = np.zeros(30, int)
    chosen, labels = activations.examples(split, 20)
    assert chosen.tolist() == [0, 29] and labels is None
    assert len(activations.examples(split, 1)[0]) == 30


def test_what_lies_beyond_a_border_is_tinted():
    patches = np.full((1, 3, 3, 1), 0.5, np.float32)
    patches[0, 0] = np.nan
    shown = sheet.pictures(patches, np.ones((1, 5, 5, 1)))
    assert np.allclose(shown[0, 0], sheet.BEYOND) and np.allclose(shown[0, 1:], 0.5)
    sound = np.full((1, 1, 6, 2), 0.5, np.float32)
    sound[0, 0, 4:] = np.nan
    shown = sheet.pictures(sound, np.linspace(0, 1, 20, dtype=np.float32).reshape(1, 1, 10, 2))
    assert np.allclose(shown[0, :, 4:], sheet.BEYOND) and np.allclose(shown[0, :, :4], 0.5)


def test_the_picture_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(aejax, "load", lambda _, best=False: HandMadeRun(tmp_path))
    assert activations.main([f"--workdir={tmp_path}", "--units=2", "--images=2"]) == 0
    assert (tmp_path / "analysis/activations.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "value, told",
    [(1, "1"), (12345, "12345"), (1.25, "1.25"), (12.3, "12.3"), (1e6, "1e+06"), (0.0234, "0.023"), (0.1, "0.100"),
     (2e-5, "2e-05"), (123.4, "123")],
)  # fmt: skip
def test_values_are_short(value, told):
    assert activations._short(value) == told


@pytest.mark.parametrize("rows, columns", [(1, 9), (2, 3), (5, 30)])
def test_the_sheet_lies_on_the_page(rows, columns):
    tile = np.zeros((8, 8, 3))
    made = [sheet.Row("unit", [tile], np.zeros((columns, 8, 8, 3)), ["1"] * columns)] * rows
    picture = sheet.draw(made, "title", columns)
    axes = picture.axes[0]
    assert len(axes.images) == rows * (columns + 1)
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    for image in axes.images:
        x0, x1, y1, y0 = image.get_extent()
        assert left <= x0 < x1 <= right + 1e-6 and top <= y0 < y1 <= bottom
        assert (x1 - x0) == pytest.approx(y1 - y0)
