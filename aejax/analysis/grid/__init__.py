"""What does the decoder draw all over the plane of a code with two values, and why are some places no digits?

The range of the training codes is cut into cells on the axes of ``latents``; what the decoder makes of each middle
stands in it. Cells with training codes are outlined: elsewhere the decoder was never asked. For codes that are
Gaussians a second picture goes through the prior N(0, I) in steps of equal probability.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags as absl_flags
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from aejax.analysis import command, figure, latent_plane
from aejax.analysis.grid import decoded_plane, occupancy
from aejax.analysis.latent_plane import Plane
from aejax.errors import UserError

PLANES = "--config.code.size=2 for a code of a vector, or --config=configs/allconv.py for one of maps"


def draw_cells(axes: Axes, pictures: np.ndarray, extent: Sequence[float], occupied: np.ndarray) -> None:
    """The cells' pictures [side², h, w, 3], from the top left, over the extent, with a line around occupied ones."""
    side = len(occupied)
    canvas, _ = figure.mosaic(figure.enlarged(pictures), side, gap=0)
    figure.show(axes, canvas, latent_plane.WIDTH, extent=extent, aspect="auto")
    left, right, bottom, top = extent
    place = lambda j, i: (left + (right - left) * j / side, top - (top - bottom) * i / side)  # noqa: E731
    lines = [[place(*a), place(*b)] for a, b in occupancy.borders(occupied)]
    for colour, width in (("white", 1.8), (figure.VERMILLION, 1.0)):
        line = LineCollection(lines, colors=colour, linewidths=width, capstyle="round")
        axes.add_collection(line, autolim=False)


def draw(plane: Plane, pictures: np.ndarray, occupied: np.ndarray, title: str) -> Figure:
    """The decoded cells [side², h, w, 3] on the axes of the plane, those occupied [side, side] outlined."""
    picture, axes = latent_plane.panel(plane, title)
    draw_cells(axes, pictures, plane.extent, occupied)
    return picture


def draw_quantiles(plane: Plane, pictures: np.ndarray, occupied: np.ndarray, title: str) -> Figure:
    """The same for the cells of the prior's quantiles, which the ticks name."""
    picture, axes = latent_plane.panel(plane, title)
    side = len(occupied)
    draw_cells(axes, pictures, (0, 1, 0, 1), occupied)
    shown = np.unique(np.linspace(0, side - 1, min(side, 7)).round().astype(int))
    names = [f"{z:.2f}".replace("-", "−") for z in decoded_plane.quantiles(side)[0][shown]]
    for axis, unit in ((axes.xaxis, 0), (axes.yaxis, 1)):
        axis.set_ticks((shown + 0.5) / side, names)
        axis.set_label_text(f"code unit {unit}, in steps of equal probability under the prior", fontsize=8)
    axes.set(xlim=(-latent_plane.MARGIN, 1 + latent_plane.MARGIN), ylim=(-latent_plane.MARGIN, 1 + latent_plane.MARGIN))
    return picture


def summarise(numbers: Mapping[str, Any], noun: str) -> list[str]:
    """What the numbers say, a sentence a line; ``noun`` is what an example is called."""
    empty, total, between = numbers["empty_cells"], numbers["side"] ** 2, numbers["empty_cells_between_codes"]
    where = f": {between} enclosed by codes, {empty - between} beyond them" if empty else ""
    lines = [
        f"{empty} of {total} cells ({numbers['empty_cells_percent']:.1f} %) hold none of the "
        f"{numbers['training_codes']:,} training codes{where}."
    ]
    lines += _of_distances(numbers, noun)
    if "prior" in numbers:
        lines += _of_prior(numbers, noun)
    return lines


def _of_distances(numbers: Mapping[str, Any], noun: str) -> list[str]:
    square = numbers["squared_distance_to_nearest_training_example"]
    having, lacking = square["with_codes"], square["without_codes"]
    line = f"Squared distance of a decoded cell to the nearest training {noun}: {having:.3g} where there are codes"
    if lacking is not None:
        ratio = lacking / max(having, 1e-300)
        line += f", {lacking:.3g} (× {ratio:.2f}) where there are none"
    if square["reconstructions"] is not None:
        line += f"; {square['reconstructions']:.3g} for reconstructions of test {noun}s"
    lines = [line + "."]
    if lacking is not None:
        told = "farther from any" if ratio > 1.1 else "nearer to some" if ratio < 0.9 else "about as near some"
        lines.append(f"  Where no codes are the decoder was never trained; what it draws is {told} training {noun}.")
    r = numbers["rank_correlation_with_distance_to_codes"]
    if r is not None and np.isfinite(r):
        lines.append(f"  Rank correlation of this distance with the way from the cell to the nearest code: {r:+.2f}.")
    worst = numbers["tenth_least_like_training"]
    mixed = f"{worst['of_several_classes']} hold several classes, " if "of_several_classes" in worst else ""
    pure = worst.get("of_one_class", worst["with_codes"])
    line = f"  Of the {worst['cells']} cells least like any training {noun}, {mixed}"
    lines.append(f"{line}{worst['without_codes']} no code, {pure} codes{' of one class' if mixed else ''}.")
    if numbers.get("cells_of_several_classes"):
        count, mixed, pure = numbers["cells_of_several_classes"], square["of_several_classes"], square["of_one_class"]
        against = "" if pure is None else f", against {pure:.3g} in cells of one"
        lines.append(f"  {count} cells hold several classes, which the decoder blends: {mixed:.3g} in them{against}.")
    return lines


def _of_prior(numbers: Mapping[str, Any], noun: str) -> list[str]:
    prior = numbers["prior"]
    std, cells = (" and ".join(f"{v:.2g}" for v in prior[k]) for k in _DEVIATIONS)
    return [
        f"In training a code is drawn around its mean with a standard deviation of {std} ({cells} cells), so the "
        f"decoder is asked all around it: {prior['range_cells_without_samples_percent']:.1f} % of the cells hold no "
        f"draw, {numbers['empty_cells_percent']:.1f} % no mean.",
        f"Of the {numbers['side'] ** 2} cells of equal probability under the prior, "
        f"{prior['cells_without_means_percent']:.1f} % hold no mean and {prior['cells_without_samples_percent']:.1f} % "
        f"no draw (evenness {prior['evenness_of_samples_percent']:.0f} %, 100 where the codes are the prior); squared "
        f"distance to the nearest training {noun} "
        f"{prior['squared_distance_to_nearest_training_example']['mean']:.3g}.",
    ]


_DEVIATIONS = ("standard_deviation", "standard_deviation_in_cells")


def analyse(workdir: Path, flags) -> command.Findings:
    """The decoded plane of the run in ``workdir``."""
    run = command.load_autoencoder(workdir, flags.best, "a grid of decoded codes")
    if not latent_plane.is_plane(run.code_shape):
        shape = "×".join(map(str, run.code_shape))
        raise command.DoesNotApply(f"a grid needs a code of two values, and this one has {shape}; train with {PLANES}")
    dataset, side = run.dataset(), flags.side
    train, noun = dataset.train, command.noun(run, dataset)
    if not len(train.images):
        raise UserError(f"grid: the train split of {run.config.data.name} is empty; its codes set the range")
    codes = latent_plane.codes_of(run, train.images)
    plane = Plane.around(codes, dataset.shape)
    labels = None if train.labels is None else np.asarray(train.labels).astype(np.int64)
    names = [] if labels is None else command.class_names(dataset, labels)
    decoded = decoded_plane.Decoded(run, dataset)
    images, square = decoded.cells(*plane.centres(side))
    numbers = {
        **command.about(run),
        **latent_plane.about(run, plane),
        "centres": dict(zip("xy", plane.centres(side), strict=True)),
        **decoded_plane.measure(plane, codes, side, square, labels, names),
    }
    numbers["squared_distance_to_nearest_training_example"]["reconstructions"] = decoded.reconstructions()
    occupied = numbers["counts"] > 0
    outlined = f"outlined: the {occupied.sum()} cells that hold training codes"
    title = f"{command.heading(run)}: {side}×{side} decoded codes in the range of train's\n{outlined}"
    more = {}
    if run.config.code.get("name") in command.VARIATIONAL:
        images_of_prior, square = decoded.cells(*decoded_plane.quantiles(side))
        samples = np.asarray(run.sample_codes(train.images)).reshape(-1, 2)
        numbers["prior"] = decoded_plane.measure_prior(codes, samples, plane, side, square)
        told = f"{command.heading(run)}: {side}×{side} decoded quantiles of the prior N(0, I)\n"
        held = numbers["prior"]["counts_of_means"] > 0
        told += f"outlined: the {held.sum()} cells that hold mean codes of train"
        more["quantiles"] = draw_quantiles(plane, images_of_prior, held, told)
    return command.Findings(draw(plane, images, occupied, title), numbers, summarise(numbers, noun), more)


def define(flags) -> None:
    """The flags of this command."""
    command.define_best(flags)
    absl_flags.DEFINE_integer("side", 15, "Cells in a row and in a column.", 2, 100, flag_values=flags)


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m aejax.analysis.grid --workdir=DIR [--side=N] [--best]``."""
    return command.execute("grid", analyse, argv, define)
