"""The plane of a code, its cells and its grid of decoded codes; projections of longer codes; both commands."""

import json

import numpy as np
import pytest
from ml_collections import FrozenConfigDict
from scipy import stats
from sklearn.manifold import trustworthiness
from sklearn.metrics import silhouette_score

from aejax.analysis import figure, grid, latent_plane, latents
from aejax.analysis.grid import decoded_plane, occupancy
from aejax.analysis.latent_plane import Plane
from aejax.analysis.latents import projections, separation
from tests import test_analysis_commands as commands
from tests.test_analysis_commands import HandMadeRun, config
from tests.test_analysis_nearest import blobs

execute, workdir = commands.execute, commands.workdir  # fixtures

SQUARE = (4, 4, 1)


class Coordinates(HandMadeRun):
    """A code of two values, the first two pixels (0 below 0.05); pixel p of its decoder says the code, alternately."""

    def __init__(self, workdir, code="deterministic", shape=(2,), **given):
        super().__init__(workdir, **given)
        self.config = FrozenConfigDict({**config().to_dict(), "code": {"name": code}})
        self.code_shape = shape

    def encode(self, x):
        z = self.prepare(x).reshape(len(x), -1)[:, :2]
        return np.where(z < 0.05, 0, z).reshape(-1, *self.code_shape)

    def sample_codes(self, x, seed=0):
        return self.encode(x) + np.random.default_rng(seed).normal(0, 0.5, (len(x), *self.code_shape))

    def decode(self, z):
        assert z.shape[1:] == (2,)
        return np.tile(z, (1, 8)).reshape(-1, *self.shape)

    def reconstruct(self, x):
        return self.decode(self.encode(x).reshape(-1, 2))


@pytest.fixture
def drawn(monkeypatch):
    """Every figure that is saved, by the name of its file."""
    figures = {}
    monkeypatch.setattr("aejax.analysis.results.save", lambda f, path: figures.update({path.stem: f}))
    return figures


# -- the plane and its cells


def test_a_code_of_two_values_is_a_plane_in_any_shape():
    assert all(latent_plane.is_plane(shape) for shape in [(2,), (1, 2, 1), (2, 1, 1), (1, 1, 2)])
    assert not any(latent_plane.is_plane(shape) for shape in [(1,), (3,), (2, 2, 1), (2, 1, 2)])


def test_cells_by_hand():
    plane = Plane.around(np.array([[0.0, -1], [4, 1], [1, 0]]), SQUARE)
    assert plane.low == (0, -1) and plane.high == (4, 1) and plane.extent == (0, 4, -1, 1) and plane.tall == 1
    assert plane.limits == ((-0.12, 4.12), (-1.06, 1.06))
    x, y = plane.centres(2)
    assert x.tolist() == [1, 3] and y.tolist() == [0.5, -0.5]  # downwards
    points = latent_plane.grid_of(x, y)
    assert points.tolist() == [[1, 0.5], [3, 0.5], [1, -0.5], [3, -0.5]]
    assert plane.cell_of(points, 2).tolist() == [0, 1, 2, 3]
    edges = np.array([[0, -1], [4, 1], [4, -1], [0, 1], [2, 0], [4.1, 0], [1, -1.01]])
    assert plane.cell_of(edges, 2).tolist() == [2, 1, 3, 0, 1, -1, -1]
    assert plane.beyond(edges) == 0 and plane.beyond(np.array([[4.2, 0], [0, -1.1], [0, 0]])) == 2


@pytest.mark.parametrize("side", [2, 7, 15])
def test_every_cell_is_found_by_its_middle_and_every_training_code_has_one(side):
    codes = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32) * [1e-3, 50] + [7, -3]
    plane = Plane.around(codes, SQUARE)
    assert np.array_equal(plane.cell_of(latent_plane.grid_of(*plane.centres(side)), side), np.arange(side**2))
    assert occupancy.counts(plane.cell_of(codes, side), side).sum() == 500


def test_a_dead_unit_has_a_range_too():
    plane = Plane.around(np.array([[0.0, 1], [0, 3]]), SQUARE)
    assert plane.extent == (-0.5, 0.5, 1, 3)
    assert Plane.around(np.full((3, 2), 1e6), SQUARE).extent == (1e6 - 0.5, 1e6 + 0.5, 1e6 - 0.5, 1e6 + 0.5)


def test_the_axes_are_as_tall_as_an_example():
    codes = np.random.default_rng(0).normal(size=(9, 2))
    assert Plane.around(codes, (28, 28, 1)).tall == 1 and Plane.around(codes, (30, 40, 3)).tall == 0.75
    assert Plane.around(codes, (1, 40, 30)).tall == 0.75  # a spectrogram of 30 bands, laid on its side
    assert Plane.around(codes, (1, 400, 20)).tall == 0.5


def test_holes_are_enclosed_by_codes():
    occupied = np.array([[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 1], [0, 1, 0, 1]], bool)
    assert np.argwhere(occupancy.enclosed(occupied)).tolist() == [[1, 1]]


def test_borders_by_hand():
    assert sorted(occupancy.borders(np.array([[True, True], [False, False]]))) == [
        ((0, 0), (0, 1)), ((0, 0), (1, 0)), ((0, 1), (1, 1)), ((1, 0), (2, 0)), ((1, 1), (2, 1)), ((2, 0), (2, 1)),
    ]  # fmt: skip
    assert occupancy.borders(np.zeros((3, 3), bool)) == []


def test_classes_of_cells_by_hand():
    cells, labels = np.array([0, 0, 0, 3, 3, -1]), np.array([1, 1, 0, 2, 0, 1])
    members = occupancy.by_class(cells, labels, 4, 2)
    first, share = occupancy.most_frequent(members)
    assert first.tolist() == [[1, -1], [-1, 0]] and share.tolist() == [[2 / 3, 0], [0, 0.5]]
    told = occupancy.described_by_class(members, ["a", "b", "c", "d"])
    assert list(told) == ["a", "b", "c"] and told["a"]["cells"].tolist() == [[0, 0], [1, 1]]
    assert told["c"]["most_frequent_in"].tolist() == [] and told["b"]["most_frequent_in"].tolist() == [[0, 0]]


def test_evenness_has_its_ends():
    assert occupancy.evenness(np.full((3, 3), 7)) == pytest.approx(100)
    assert occupancy.evenness(np.array([[5, 0], [0, 0]])) == pytest.approx(25)
    assert occupancy.evenness(np.array([[5, 0], [0, 5]])) == pytest.approx(50)


# -- the grid


def test_quantiles_are_those_of_the_prior():
    x, y = decoded_plane.quantiles(4)
    np.testing.assert_allclose(stats.norm.cdf(x), [0.125, 0.375, 0.625, 0.875])
    np.testing.assert_allclose(x, [-1.15034938, -0.31863936, 0.31863936, 1.15034938])
    np.testing.assert_allclose(y, x[::-1])
    draws = np.random.default_rng(0).normal(size=(40000, 2))
    counts = occupancy.counts(latent_plane.cells_of_shares(stats.norm.cdf(draws), 4), 4)
    np.testing.assert_allclose(counts, 2500, rtol=0.1)
    middles = latent_plane.grid_of(x, y)
    assert np.array_equal(latent_plane.cells_of_shares(stats.norm.cdf(middles), 4), np.arange(16))


def test_the_picture_at_x_y_is_the_decoded_x_y(execute, workdir, drawn):
    run = Coordinates(workdir)
    assert execute("grid", "--side=5", run=run)[0] == 0
    axes = drawn["grid"].axes[0]
    image = axes.images[0]
    canvas, (left, right, bottom, top) = np.asarray(image.get_array())[..., 0], image.get_extent()
    assert left < right and bottom < top and image.origin == "upper"
    tile = canvas.shape[0] // 5
    codes = run.encode(run.splits["train"].images)
    for x, y in [(0.3, 0.4), (0.9, 0.1), (0.1, 0.9), (0.5, 0.5)]:
        row, column = int((top - y) / (top - bottom) * 5), int((x - left) / (right - left) * 5)
        cell = canvas[row * tile : (row + 1) * tile, column * tile : (column + 1) * tile]
        half = np.ptp(codes, axis=0) / 10 + 1e-6
        assert abs(cell[0, 0] - x) <= half[0] and abs(cell[0, tile // 4] - y) <= half[1]


@pytest.mark.parametrize("code, labels", [("deterministic", True), ("variational", True), ("deterministic", False)])
def test_the_grid_has_the_axes_of_the_scatter(execute, workdir, drawn, code, labels):
    run = Coordinates(workdir, code, labels=labels)
    run.splits["test"].images[:, 0, :2] //= 2  # what is tested has another range than what sets the axes
    for name in ("latents", "grid"):
        assert execute(name, run=run)[0] == 0
    scatter, mosaic = drawn["latents"], drawn["grid"]
    a, b = scatter.axes[0], mosaic.axes[0]
    codes = run.encode(run.splits["train"].images)
    for axis, unit in (("x", 0), ("y", 1)):
        limits = getattr(a, f"get_{axis}lim")()
        assert limits == getattr(b, f"get_{axis}lim")() and limits[0] < codes[:, unit].min()
        assert np.array_equal(getattr(a, f"get_{axis}ticks")(), getattr(b, f"get_{axis}ticks")())
        assert getattr(a, f"get_{axis}label")() == getattr(b, f"get_{axis}label")()
    assert a.get_aspect() == b.get_aspect() == "auto"
    for picture in (scatter, mosaic):
        picture.draw_without_rendering()
    boxes = [(f.get_size_inches(), f.axes[0].get_position()) for f in (scatter, mosaic)]
    places = [[w * p.x0, h * (1 - p.y1), w * p.width, h * p.height] for (w, h), p in boxes]  # inches from the top left
    np.testing.assert_allclose(*places)
    assert (scatter.legends != []) == labels
    assert ("grid_quantiles" in drawn) == (code == "variational")


def test_grid_command(execute, workdir):
    run = Coordinates(workdir)
    status, out, _, numbers = execute("grid", "--side=3", run=run)
    z = run.encode(run.splits["train"].images)
    low, size = z.min(axis=0), np.ptp(z, axis=0) / 3
    counts = np.zeros((3, 3), int)
    for column, up in np.minimum((z - low) // size, 2).astype(int):
        counts[2 - up, column] += 1
    assert status == 0 and numbers["counts"] == counts.tolist() and numbers["training_codes"] == 60
    assert numbers["empty_cells"] == (counts == 0).sum()
    assert numbers["centres"]["x"] == pytest.approx(low[0] + size[0] * np.array([0.5, 1.5, 2.5]), rel=1e-4)
    train = run.prepare(run.splits["train"].images).reshape(60, -1)
    cell = run.decode(np.array([[numbers["centres"]["x"][2], numbers["centres"]["y"][0]]])).ravel()  # top right
    nearest = np.square(train - cell).sum(axis=1).min()
    square = numbers["squared_distance_to_nearest_training_example"]
    assert square["by_cell"][0][2] == pytest.approx(nearest, rel=1e-4)
    assert square["with_codes"] == pytest.approx(np.array(square["by_cell"])[counts > 0].mean(), rel=1e-4)
    assert f"{(counts == 0).sum()} of 9 cells" in out and f"{square['with_codes']:.3g} where there are codes" in out
    column, up = np.minimum((z - low) // size, 2).astype(int).T
    for k, name in enumerate(("ant", "bee", "cow")):
        mine = {(2 - int(up[i]), int(column[i])) for i in range(k, 60, 3)}
        assert {tuple(cell) for cell in numbers["classes"][name]["cells"]} == mine
    assert numbers["most_frequent_class"][2][2] == "ant"  # its first pixel is bright: x is largest, y small
    status, _, _, numbers = execute("grid", run=Coordinates(workdir, labels=False))
    assert status == 0 and numbers["side"] == 15 and "classes" not in numbers and "prior" not in numbers


def test_grid_of_gaussians_goes_through_the_prior(execute, workdir):
    run = Coordinates(workdir, "variational", shape=(1, 2, 1))
    status, out, _, numbers = execute("grid", "--side=4", run=run)
    prior = numbers["prior"]
    assert status == 0 and numbers["codes"] == "means" and (workdir / "analysis/grid_quantiles.png").exists()
    assert prior["quantiles"] == pytest.approx(stats.norm.ppf([0.125, 0.375, 0.625, 0.875]), rel=1e-5)
    assert prior["standard_deviation"] == pytest.approx([0.5, 0.5], rel=0.25)
    cells = prior["standard_deviation_in_cells"][0]
    wide = numbers["range"]["high"][0] - numbers["range"]["low"][0]
    assert cells == pytest.approx(4 * prior["standard_deviation"][0] / wide, rel=1e-4)
    means = np.array(prior["counts_of_means"])
    assert means.sum() == 60 and means[2:].sum() == means[:, :2].sum() == 0  # all means are above 0
    assert np.array(prior["counts_of_samples"])[2:].sum() > 0
    assert f"{prior['cells_without_means_percent']:.1f} % hold no mean" in out


def test_draws_fill_what_means_leave_empty():
    means = np.array([[0.0, 0], [1, 1]])
    samples = np.array([[0.9, 0.1], [0.1, 0.9]])  # in the two cells of four that hold no mean
    told = decoded_plane.measure_prior(means, samples[[0, 0]], Plane.around(means, SQUARE), 2, np.arange(4.0))
    assert told["range_cells_without_samples_percent"] == 75  # the means hold two
    told = decoded_plane.measure_prior(means, samples, Plane.around(means, SQUARE), 2, np.arange(4.0))
    np.testing.assert_allclose(told["standard_deviation"], [np.sqrt((0.9**2 + 0.9**2) / 2), np.sqrt(0.01)])
    np.testing.assert_allclose(told["standard_deviation_in_cells"], 2 * told["standard_deviation"])
    assert told["counts_of_samples"].tolist() == [[0, 2], [0, 0]]  # all above 0
    assert told["squared_distance_to_nearest_training_example"]["mean"] == 1.5


def test_enclosed_and_mixed_cells_are_told():
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    square = np.ones((5, 5))
    square[2, 2] = 9
    labels = (ring[:, 0] > 0.3).astype(int)
    numbers = decoded_plane.measure(Plane.around(ring, SQUARE), ring, 5, square, labels, ["a", "b"])
    assert numbers["empty_cells_between_codes"] == 9 and numbers["empty_cells"] == 9
    distances = numbers["squared_distance_to_nearest_training_example"]
    assert distances["with_codes"] == 1 and distances["without_codes"] == pytest.approx(17 / 9)
    assert numbers["tenth_least_like_training"]["without_codes"] >= 1
    assert numbers["rank_correlation_with_distance_to_codes"] > 0.3
    distances["reconstructions"] = 2.0
    told = "\n".join(grid.summarise(numbers, "image"))
    assert "9 of 25 cells (36.0 %)" in told and "9 enclosed by codes, 0 beyond" in told and "farther from any" in told
    square[:] = 1
    numbers = decoded_plane.measure(Plane.around(ring, SQUARE), ring, 5, square)
    numbers["squared_distance_to_nearest_training_example"]["reconstructions"] = 2.0
    assert numbers["rank_correlation_with_distance_to_codes"] is None
    assert "about as near some training image" in "\n".join(grid.summarise(numbers, "image"))


def test_a_multinomial_answers_for_all_draws(execute, workdir):
    run = Coordinates(workdir).reshaped(1, 1, 16)
    square = lambda: execute("grid", "--side=3", run=run)[3]["squared_distance_to_nearest_training_example"]  # noqa: E731
    before, total = square(), run.prepare(run.splits["train"].images).sum(axis=(1, 2, 3)).mean()
    run.config = FrozenConfigDict({**run.config.to_dict(), "loss": {"likelihood": "multinomial"}})
    decode = run.decode
    run.decode = lambda z: decode(z) / total
    assert square()["by_cell"] == pytest.approx(np.array(before["by_cell"]), rel=1e-4)


def test_grid_does_not_apply_to_other_codes(execute, workdir):
    status, out, err, numbers = execute("grid")
    assert status == 0 and not err and numbers is None and out.count("\n") == 1
    assert "this one has 16" in out and "--config.code.size=2" in out
    run = Coordinates(workdir)
    run.config = FrozenConfigDict({**run.config.to_dict(), "model": "classifier"})
    status, out, _, _ = execute("grid", run=run)
    assert status == 0 and "classifier" in out
    assert execute("grid", "--side=1", run=Coordinates(workdir))[0] == 2


@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 16, 1), (1, 1, 16)])
def test_a_plane_of_sounds_or_vectors(execute, workdir, shape):
    run = Coordinates(workdir).reshaped(*shape)
    assert execute("grid", "--side=3", run=run)[0] == execute("latents", run=run)[0] == 0


# -- the scatter


def test_projections_keep_blobs_apart():
    codes, labels = blobs(30, size=20, d=8)
    for project in projections.PROJECTIONS.values():
        points, _ = project(codes)
        assert points.shape == (60, 2) and silhouette_score(points, labels) > 0.8
        assert projections.trust(codes, points) > 0.9
        again, _ = project(codes)
        assert np.array_equal(points, again)
    points, details = projections.pca(codes)
    assert projections.trust(codes, np.random.default_rng(0).normal(size=(60, 2))) < 0.7
    assert projections.trust(points, points) == 1
    share = points.var(axis=0) / codes.var(axis=0, dtype=np.float64).sum()
    np.testing.assert_allclose(details["variance_percent"], 100 * share, rtol=1e-4)


def test_zeros_by_hand():
    told = latents.zeros(np.array([[0.0, 1], [0, 0], [2, 3], [0, 4]]))
    assert told["by_unit_percent"].tolist() == [75, 25] and told["values_percent"] == 50
    assert told["any_unit_percent"] == 75 and told["whole_code_percent"] == 25
    assert told["least_value"] == 0 and not told["bits"] and latents.zeros(np.eye(2))["bits"]


def test_what_is_shown():
    assert latents.first(None, 5, 3).tolist() == [0, 1, 2]
    assert latents.first(np.array([0, 1, 0, 1, 1]), 5, 3).tolist() == [0, 1, 2]
    assert latents.first(np.array([0, 0, 0, 0, 1, 1]), 6, 4).tolist() == [0, 1, 4, 5]  # or a class would be left out
    assert latents.first(np.array([0, 1]), 2, 9).tolist() == [0, 1]
    labels = np.repeat(np.arange(10), 700)
    assert np.bincount(labels[latents.scored(labels, 7000)]).tolist() == [500] * 10
    assert len(latents.scored(None, 7000)) == 5000 and len(latents.scored(labels, 300)) == 300


def test_latents_of_a_plane(execute, workdir, drawn):
    run = Coordinates(workdir)
    status, out, _, numbers = execute("latents", run=run)
    codes = run.encode(run.splits["test"].images)
    assert status == 0 and numbers["dimensions"] == 2 and "trustworthiness" not in numbers
    np.testing.assert_allclose(numbers["points"]["code"], codes, rtol=1e-3)
    assert numbers["labels"] == run.splits["test"].labels.tolist()
    zero = numbers["zeros"]["by_unit_percent"]
    assert zero == pytest.approx((100 * (codes == 0).mean(axis=0)).tolist(), rel=1e-4) and f"{zero[0]:.1f} %" in out
    placed = {h.get_label(): h.get_offsets() for h in drawn["latents"].axes[0].collections}
    np.testing.assert_allclose(placed["bee"], codes[1::3], rtol=1e-6)
    assert numbers["classes_apart"]["code"]["silhouette"] == pytest.approx(
        silhouette_score(codes, run.splits["test"].labels), rel=1e-4
    )
    run.splits["train"].images //= 2
    status, out, _, numbers = execute("latents", run=run)
    assert numbers["beyond_the_axes"] > 0 and f"{numbers['beyond_the_axes']} of 30 codes lie beyond" in out


def test_latents_of_longer_codes(execute, workdir, drawn):
    status, out, _, numbers = execute("latents", "--images=24")
    assert status == 0 and numbers["test_examples"] == 24 and numbers["random_state"] == 0
    assert set(numbers["points"]) == {"PCA", "t-SNE"} and np.shape(numbers["points"]["t-SNE"]) == (24, 2)
    assert set(numbers["classes_apart"]) == {"code", "PCA", "t-SNE"} and "Trustworthiness" in out
    assert numbers["zeros"]["by_unit_percent"][15] == 100 and len(drawn["latents"].axes) == 2
    status, out, _, numbers = execute("latents", run=HandMadeRun(workdir, labels=False))
    assert status == 0 and "classes_apart" not in numbers and numbers["labels"] is None
    assert numbers["trustworthiness"]["t-SNE"] > 0.5 and not drawn["latents"].legends and "Silhouette" not in out


def test_trust_is_in_the_picture_and_not_in_the_code():
    codes = np.random.default_rng(0).normal(size=(60, 3))
    folded = np.abs(codes[:, :2]) * [1, 0]  # brings together what is apart, so its neighbours are not to be trusted
    told = latents.measure(codes, {"PCA": folded}, None, [])["trustworthiness"]["PCA"]
    assert told == trustworthiness(codes, folded, n_neighbors=10) != trustworthiness(folded, codes, n_neighbors=10)


def test_classes_in_order_are_all_drawn_with_their_own_labels(execute, workdir):
    run = HandMadeRun(workdir)
    test = run.splits["test"]
    order = np.argsort(test.labels, kind="stable")
    test.images, test.labels = test.images[order], test.labels[order]
    status, _, _, numbers = execute("latents", "--images=9", run=run)
    assert status == 0 and numbers["labels"] == [0, 0, 0, 1, 1, 1, 2, 2, 2] and numbers["test_examples"] == 9


def test_latents_of_maps_and_of_a_classifier(execute, workdir):
    run = HandMadeRun(workdir)
    flat, run.code_shape = run.encode, (4, 4, 2000)
    run.encode = lambda x: np.broadcast_to(flat(x)[:, 4:5].reshape(-1, 1, 1, 1), (len(x), 4, 4, 2000))
    run.config = FrozenConfigDict({**config().to_dict(), "model": "classifier"})
    run.decode = None
    status, _, _, numbers = execute("latents", run=run)
    assert status == 0 and numbers["dimensions"] == 2000 and numbers["pooled"]["window"] == [4, 4]


def test_latents_where_there_is_nothing_to_project(execute, workdir):
    run = HandMadeRun(workdir)
    run.encode = lambda x: np.zeros((len(x), 16), np.float32)
    status, out, err, numbers = execute("latents", run=run)
    assert status == 0 and not err and numbers is None and "codes of all 30 test images are the same" in out
    status, out, _, _ = execute("latents", "--images=4")
    assert status == 0 and "4 test images are too few" in out
    run.encode = lambda x: np.full((len(x), 16), np.nan)
    status, _, err, _ = execute("latents", run=run)
    assert status == 2 and err.count("\n") == 1 and "not all finite" in err
    run = Coordinates(workdir)
    run.encode = lambda x: np.zeros((len(x), 2))
    assert execute("latents", run=run)[0] == execute("grid", run=run)[0] == 0
    run.encode = lambda x: np.full((len(x), 2), np.inf)
    assert execute("latents", run=run)[0] == execute("grid", run=run)[0] == 2


def test_an_empty_test_split(execute, workdir):
    run = Coordinates(workdir)
    run.splits["test"].images, run.splits["test"].labels = run.splits["test"].images[:0], None
    status, _, err, _ = execute("latents", run=run)
    assert status == 2 and err.count("\n") == 1 and "test split" in err
    status, _, _, numbers = execute("grid", run=run)
    assert status == 0 and numbers["squared_distance_to_nearest_training_example"]["reconstructions"] is None


def test_words_follow_the_numbers():
    codes, labels = blobs(100)
    numbers = latents.measure(codes, {"PCA": codes[:, :2]}, labels, ["a", "b", "c"])
    told = "\n".join(latents.summarise(numbers, "image"))
    assert "none." in told and "100.0 % among the codes" in told and "No value of a code is exactly 0" in told
    numbers = latents.measure(codes, {"PCA": np.random.default_rng(0).normal(size=(120, 2))}, labels, ["a", "b", "c"])
    assert "PCA shows classes together that the codes keep apart" in "\n".join(latents.summarise(numbers, "image"))
    numbers = latents.measure(np.maximum(codes, 0), {}, None, [])
    assert "and none is below: what would be is clipped" in "\n".join(latents.summarise(numbers, "image"))
    assert json.dumps(latents.summarise(numbers, "image"))
    assert figure.legend_columns(["a"] * 100) == 19 and figure.legend_columns(["a"] * 100, figure.PAGE / 2) == 9


def test_overlap_is_the_mean_of_both_directions():
    shares = np.array([[0.7, 0.3, 0.0], [0.1, 0.9, 0.0], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(separation.overlap(shares), [[0.7, 0.2, 0], [0.2, 0.9, 0], [0, 0, 1]])
