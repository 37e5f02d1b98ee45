"""Where do the codes of test examples lie, and do the classes lie apart?

A code of two values is drawn as it is, on the axes that ``grid`` decodes. A longer one is drawn twice, projected by
PCA and by t-SNE (van der Maaten & Hinton, JMLR 9, 2008), which keep some of what is near near: trustworthiness says
how much, and the same scores in code space and in each picture say what the projection made up.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags as absl_flags
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aejax.analysis import command, features, figure, latent_plane, selection
from aejax.analysis.latent_plane import Plane
from aejax.analysis.latents import projections, separation
from aejax.errors import UserError

SCORED = 5000  # points at most that scores with all pairs of distances are taken of
FEWEST = 8  # examples that are worth projecting


def zeros(codes: np.ndarray) -> dict[str, Any]:
    """How many values of codes [n, d] are exactly 0, of each unit and of all; how many codes have one, or are all 0.

    And the least value, which is 0 where a ReLU clips, and whether 0 and 1 are all there is.
    """
    at_zero = codes == 0
    return {
        "values_percent": 100 * at_zero.mean(),
        "by_unit_percent": 100 * at_zero.mean(axis=0),
        "any_unit_percent": 100 * at_zero.any(axis=1).mean(),
        "whole_code_percent": 100 * at_zero.all(axis=1).mean(),
        "least_value": codes.min(),
        "bits": bool(np.isin(codes, (0, 1)).all()),
    }


def scored(labels: np.ndarray | None, n: int) -> np.ndarray:
    """Which of n points are scored: all, or where they are many the first of each class."""
    return selection.subset(labels, n, SCORED)


def first(labels: np.ndarray | None, n: int, count: int) -> np.ndarray:
    """The first ``count`` of n examples; the first of each class, where classes of the labels [n] would be left out."""
    if labels is None or len(np.unique(labels[:count])) == len(np.unique(labels)):
        return np.arange(min(n, count))
    return np.sort(selection.by_class(labels, count))


def measure(
    codes: np.ndarray, drawn: Mapping[str, np.ndarray], labels: np.ndarray | None, names: Sequence[str]
) -> dict[str, Any]:
    """The numbers of codes [n, d] and of the points [n, 2] drawn for them, by projection; {} for a plane itself."""
    rows = scored(labels, len(codes))
    numbers: dict[str, Any] = {"scored": len(rows), "zeros": zeros(codes)}
    if labels is not None:
        spaces = {"code": codes, **drawn}
        numbers["classes_apart"] = {
            name: separation.describe(x[rows], labels[rows], names) for name, x in spaces.items()
        }
    if drawn:
        numbers["trustworthiness"] = {name: projections.trust(codes[rows], x[rows]) for name, x in drawn.items()}
    return numbers


def scatter(axes: Axes, points: np.ndarray, labels: np.ndarray | None, names: Sequence[str]) -> None:
    """Points [n, 2] by class, or in one colour without labels."""
    size = float(np.clip(7000 / len(points), 2.5, 9))
    if labels is None:
        axes.scatter(*points.T, s=size, linewidths=0, alpha=0.6, color=figure.BLUE, rasterized=True)
        axes.tick_params(labelsize=7)
        return
    figure.scatter_by_class(axes, points, labels, names, size)


def draw_plane(codes: np.ndarray, plane: Plane, labels: np.ndarray | None, names: Sequence[str], title: str) -> Figure:
    """Codes [n, 2] on the axes of the plane, with a legend beneath."""
    present = [names[k] for k in np.unique(labels)] if labels is not None else []
    width = latent_plane.LEFT + latent_plane.WIDTH + latent_plane.RIGHT
    lines = -(-len(present) // figure.legend_columns(present, width)) if present else 0
    picture, axes = latent_plane.panel(plane, title, lines)
    scatter(axes, codes, labels, names)
    if present:
        figure.class_legend(picture, axes)
    return picture


def draw_projections(
    drawn: Mapping[str, np.ndarray],
    details: Mapping[str, Mapping],
    labels: np.ndarray | None,
    names: Sequence[str],
    title: str,
) -> Figure:
    """The projections [n, 2] side by side, each on a square of its own, with one legend beneath."""
    lines = -(-len(names) // figure.legend_columns(names)) if labels is not None else 0
    picture = figure.new(figure.PAGE, 4.1 + 0.15 * lines + 0.17 * title.count("\n"))
    panels = picture.subplots(1, len(drawn), squeeze=False)[0]
    for axes, (name, points) in zip(panels, drawn.items(), strict=True):
        scatter(axes, points, labels, names)
        axes.set_box_aspect(1)
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_title(name, fontsize=9)
        if "variance_percent" in details[name]:
            first, second = details[name]["variance_percent"]
            axes.set_xlabel(f"component 1, {first:.0f} % of the variance", fontsize=8)
            axes.set_ylabel(f"component 2, {second:.0f} %", fontsize=8)
        else:
            axes.set_xlabel("axes without a meaning", fontsize=8)
            axes.set(xticks=[], yticks=[])
    if labels is not None:
        figure.class_legend(picture, panels[0])
    figure.set_title(picture, title)
    return picture


def summarise(numbers: Mapping[str, Any], noun: str) -> list[str]:
    """What the numbers say, a sentence a line; ``noun`` is what an example is called."""
    lines = []
    if "classes_apart" in numbers:
        lines += _of_classes(numbers["classes_apart"], noun)
    if trusted := numbers.get("trustworthiness"):
        said = ", ".join(f"{name} {value:.3f}" for name, value in trusted.items())
        lines.append(f"Trustworthiness of the pictures, 1 where all that is near in them is near as codes: {said}.")
    if "trustworthiness_to_inputs" in numbers:
        value = numbers["trustworthiness_to_inputs"]
        lines.append(f"Trustworthiness of the plane, 1 where all that is near in it is near as inputs: {value:.3f}.")
    return [*lines, *_of_zeros(numbers["zeros"])]


def _of_classes(apart: Mapping[str, Mapping], noun: str) -> list[str]:
    places = {"code": "among the codes", **{name: f"in the plane of {name}" for name in apart if name != "code"}}
    code = apart["code"]
    scores = ", ".join(f"{s['silhouette']:.2f} {places[name]}" for name, s in apart.items())
    lines = [f"Silhouette of the classes, 1 where they lie apart: {scores}."]
    shown = [(name, s["silhouette"] - code["silhouette"]) for name, s in apart.items() if name != "code"]
    told = {True: "apart that the codes mix more", False: "together that the codes keep apart better"}
    for name, gain in shown:
        if abs(gain) > 0.1:
            lines.append(f"  {name} shows classes {told[gain > 0]} ({gain:+.2f}).")
    owns = ", ".join(f"{s['own_class_neighbours_percent']:.1f} % {places[name]}" for name, s in apart.items())
    lines.append(f"Of the {code['neighbours']} nearest {noun}s, those of the own class are {owns}.")
    pairs = [f"{' and '.join(p['classes'])} ({p['overlap_percent']:.1f} %)" for p in code["most_overlapping"]]
    lines.append(f"Classes that overlap most, by the other's share of these: {', '.join(pairs) or 'none'}.")
    return lines


def _of_zeros(zero: Mapping[str, Any]) -> list[str]:
    units, least = zero["by_unit_percent"], zero["least_value"]
    if not zero["values_percent"]:
        return [f"No value of a code is exactly 0 (the least is {least:.3g}): nothing is clipped there."]
    why = ", and none is below: what would be is clipped" if least == 0 and not zero["bits"] else ""
    line = f"{zero['values_percent']:.1f} % of the values are exactly 0{why}; "
    if len(units) == 2:
        line += f"{zero['any_unit_percent']:.1f} % of the codes lie on an axis: unit 0 is 0 in {units[0]:.1f} %, "
        line += f"unit 1 in {units[1]:.1f} %, both in {zero['whole_code_percent']:.1f} %"
    else:
        line += f"the median unit is 0 in {np.median(units):.1f} % of the codes, {np.sum(units == 100)} of "
        line += f"{len(units):,} units in all of them, and {zero['whole_code_percent']:.1f} % of the codes are all 0"
    return [line + "."]


def analyse(workdir: Path, flags) -> command.Findings:
    """The codes of the run in ``workdir``."""
    run = command.load(workdir, flags.best)
    dataset = run.dataset()
    noun = command.noun(run, dataset)
    if not len(dataset.test.images):
        raise UserError(f"latents: the test split of {run.config.data.name} is empty; it needs test {noun}s")
    flat = latent_plane.is_plane(run.code_shape)
    labels = None if dataset.test.labels is None else np.asarray(dataset.test.labels).astype(np.int64)
    names = [] if labels is None else command.class_names(dataset, labels)
    shown = np.arange(len(dataset.test.images)) if flat else first(labels, len(dataset.test.images), flags.images)
    n, images, labels = len(shown), dataset.test.images[shown], None if labels is None else labels[shown]
    if flat:
        return _of_plane(run, dataset, images, labels, names, noun)
    pool = features.pooling(run.code_shape)
    codes = features.codes(run, images, pool)
    if not np.isfinite(codes).all():
        raise UserError("latents: the codes are not all finite; it needs a run whose training did not diverge")
    if n < FEWEST or not np.any(codes != codes[0]):
        why = f"{n} test {noun}s are too few" if n < FEWEST else f"the codes of all {n:,} test {noun}s are the same"
        raise command.DoesNotApply(f"{why} to project; it takes {FEWEST} or more with different codes")
    drawn, details = {}, {}
    for name, project in projections.PROJECTIONS.items():
        drawn[name], details[name] = project(codes)
    kind = {"codes": _kind(run), "dimensions": codes.shape[1]}
    kind |= {"random_state": projections.RANDOM_STATE, "projections": details}
    if pool:
        kind["pooled"] = {"maps": run.code_shape, "window": pool, "how": "max"}
    numbers = {**_head(run, n, names), **kind, **measure(codes, drawn, labels, names), **_points(drawn, labels)}
    title = f"{command.heading(run)}: {_kind(run)} of {n:,} test {noun}s, {codes.shape[1]:,} values"
    title += f" (maps max-pooled over {pool[0]}×{pool[1]})" if pool else ""
    picture = draw_projections(drawn, details, labels, names, f"{title}, projected into a plane")
    return command.Findings(picture, numbers, summarise(numbers, noun))


def _of_plane(run, dataset, images, labels, names, noun: str) -> command.Findings:
    if not len(dataset.train.images):
        raise UserError(f"latents: the train split of {run.config.data.name} is empty; its codes set the axes")
    plane = Plane.around(latent_plane.codes_of(run, dataset.train.images), dataset.shape)
    codes = latent_plane.codes_of(run, images)
    rows = scored(labels, len(codes))
    numbers = {
        **_head(run, len(codes), names),
        **latent_plane.about(run, plane),
        "dimensions": 2,
        "random_state": projections.RANDOM_STATE,
        **measure(codes, {}, labels, names),
        "trustworthiness_to_inputs": projections.trust(features.raw(images[rows]), codes[rows]),
        "beyond_the_axes": plane.beyond(codes),
        **_points({"code": codes}, labels),
    }
    title = f"{command.heading(run)}: {_kind(run)} of {len(codes):,} test {noun}s\n"
    title += "axes: the range of the training codes"
    told = summarise(numbers, noun)
    if beyond := numbers["beyond_the_axes"]:
        told.append(f"{beyond} of {len(codes):,} codes lie beyond the range of the training codes and are not drawn.")
        title += f"; {beyond} beyond"
    return command.Findings(draw_plane(codes, plane, labels, names, title), numbers, told)


def _kind(run: Any) -> str:
    return "mean codes" if run.config.code.get("name") in command.VARIATIONAL else "codes"


def _head(run: Any, n: int, names: Sequence[str]) -> dict[str, Any]:
    return {**command.about(run), "test_examples": n, "classes": names}


def _points(drawn: Mapping[str, np.ndarray], labels: np.ndarray | None) -> dict[str, Any]:
    """What redraws the figure."""
    rounded = {name: [[float(f"{v:.4g}") for v in point] for point in x.tolist()] for name, x in drawn.items()}
    return {"points": rounded, "labels": labels}


def define(flags) -> None:
    """The flags of this command."""
    command.define_best(flags)
    images = "How many test images to project, the first ones; codes of two values are all drawn."
    absl_flags.DEFINE_integer("images", 1000, images, lower_bound=1, flag_values=flags)


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m aejax.analysis.latents --workdir=DIR [--images=N] [--best]``."""
    return command.execute("latents", analyse, argv, define)
