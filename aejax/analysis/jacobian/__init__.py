"""How much does the encoder contract its input, along how many directions does it not, and which units saturate?

At test images: the exact Jacobian J of the encoder, its norms and its singular
values; how far noise moves the code at growing distance from an image, beside how
far other images are; and the share of images in which each unit's activation is
flat (Rifai et al., "Contractive Auto-Encoders", ICML 2011).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags as absl_flags

from aejax.analysis import command, progress, selection
from aejax.analysis.jacobian.encoders import SATURATED, Encoder, encoder, saturation
from aejax.analysis.jacobian.panels import Measured, draw
from aejax.analysis.jacobian.spectrum import binned, contraction, describe, jacobian, pairs, singular_values
from aejax.errors import UserError

RADII = (0.01, 2.0, 14)  # of the noise, over the median distance of two images: smallest, largest, how many
DIRECTIONS = 4  # of the noise, an image
ROWS = 100  # images that are encoded together
FLAT = 0.9  # share of the images in which a unit is saturated that counts as saturated for good


def spectra(e: Encoder, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The singular values [n, k] of the Jacobians at prepared images [n, h, w, c], and ‖J‖²_F [n].

    Of maps too large for all their places, the singular values are those of J at the chosen places, and ‖J‖²_F is
    that sum times all places over the chosen ones.

    Raises:
      UserError: a Jacobian is not finite.
    """
    of = jacobian(lambda one: e.differentiate(one[None])[0])
    sigma, squared = [], []
    for one in progress.over(x, "Jacobians"):
        j = np.asarray(of(one))
        if not np.isfinite(j).all():
            raise UserError("jacobian: the Jacobian is not finite; the training diverged")
        sigma.append(singular_values(j))
        squared.append(np.square(j, dtype=np.float64).sum() * e.places[1] / e.places[0])
    return np.array(sigma), np.array(squared)


def measure(e: Encoder, x: np.ndarray, saturated: tuple[str, np.ndarray] | None) -> tuple[Measured, dict[str, Any]]:
    """Everything at prepared images x [n, h, w, c], and the numbers of it.

    ``relative``: noise moves the code so many times as far as a difference of two images of that length does,
    ``mean ‖J‖_F / √inputs`` over the mean contraction ratio of pairs; and ``sensitivity``, the relative change of
    the code over that of the input, the mean of ``‖J‖_F ‖x‖ / (√inputs ‖z‖)``. Neither changes with the scale of
    inputs or codes, so nets can be compared.

    Raises:
      UserError: a code or a Jacobian is not finite.
    """
    z = _in_blocks(e, x)
    if not np.isfinite(z).all():
        raise UserError("jacobian: the codes are not all finite; the training diverged")
    sigma, squared = spectra(e, x)
    apart, ratio = pairs(x, z)
    norms = np.linalg.norm(x.reshape(len(x), -1), axis=1)
    scale = np.median(apart) if len(apart) else norms.mean() or 1.0
    radii = scale * np.geomspace(*RADII)
    ratios = contraction(lambda y: _in_blocks(e, y), x, radii, DIRECTIONS)
    inputs = x[0].size
    limit = float(np.sqrt(squared / inputs).mean())
    with np.errstate(invalid="ignore", divide="ignore"):
        sensitivity = np.sqrt(squared / inputs) * norms / np.linalg.norm(z, axis=1)
        relative = np.float64(limit) / ratio.mean() if len(ratio) else np.nan
    m = Measured(sigma, squared, limit, radii, ratios, *binned(apart, ratio), saturated)
    finite = sensitivity[np.isfinite(sensitivity)]
    numbers = {
        **describe(sigma, squared),
        "inputs": inputs,
        "outputs": z.shape[1],
        "contraction": {
            "radii": radii,
            "ratio": ratios.mean(axis=0),
            "limit": limit,
            "between_images": {"distances": m.distances, "ratio": m.between},
        },
        "relative": relative,
        "sensitivity": finite.mean() if len(finite) else np.nan,
    }
    if saturated:
        name, share = saturated
        numbers["saturation"] = {
            "activation": name,
            "slope_below_share_of_largest": SATURATED,
            "mean_percent": 100 * share.mean(),
            "percent_by_unit": 100 * share,
            "saturated_for_good": np.flatnonzero(share >= FLAT),
        }
    return m, numbers


def _in_blocks(e: Encoder, x: np.ndarray) -> np.ndarray:
    """The codes [n, d] of prepared images, so many at a time."""
    return np.concatenate([np.asarray(e.encode(x[i : i + ROWS])) for i in range(0, len(x), ROWS)])


def summarise(numbers: Mapping[str, Any], noun: str) -> list[str]:
    """What the numbers say, a sentence a line; ``noun`` is what an example is called."""
    lines = [f"{numbers['note'][0].upper()}{numbers['note'][1:]}."] if numbers.get("note") else []
    f, top = numbers["frobenius"], numbers["largest_singular_value"]
    there = f"The encoder's Jacobian at {numbers['images']:,} test {noun}s"
    if f["mean"] == 0:
        return [*lines, f"{there} is 0: the code does not depend on the {noun}."]
    lines.append(
        f"{there}: ‖J‖ {_with_spread(f)} (Frobenius), ‖J‖² {numbers['squared_frobenius_mean']:.3g} on "
        f"average; largest singular value {_with_spread(top)}."
    )
    chosen, places = numbers["places"]
    if chosen < places:
        lines.append(f"  (Singular values of {chosen} of {places:,} places of the maps; norms scaled to all of them.)")
    count, ratio = numbers["local_dimension"], numbers["participation_ratio"]
    lines.append(
        f"Of {len(numbers['spectrum']['mean']):,} singular values {_with_spread(count)} are above "
        f"{count['above_share_of_largest']:g} of the largest; participation ratio {ratio['mean']:.3g}."
    )
    if np.isfinite(relative := numbers["relative"]):
        more = "about as much of it comes through as" if abs(relative - 1) < 0.05 else "less of it comes through than"
        more = "more of it comes through than" if relative >= 1.05 else more
        lines.append(
            f"Small noise moves the code {relative:.2g} times as far as a difference of two test {noun}s of that "
            f"length: {more} of what the {noun}s differ by."
        )
    lines.append(_curve(numbers["contraction"]))
    if "saturation" in numbers:
        s = numbers["saturation"]
        lines.append(
            f"Units ({s['activation']}) have a flat slope in {s['mean_percent']:.1f} % of the cases; "
            f"{len(s['saturated_for_good'])} of {len(s['percent_by_unit']):,} units for {100 * FLAT:.0f} % of the "
            f"{noun}s or more."
        )
    return lines


def _with_spread(numbers: Mapping[str, Any]) -> str:
    """``8.41 ± 0.88``: mean and standard deviation, 0 where it is rounding."""
    mean, std = numbers["mean"], numbers["std"]
    return f"{mean:.3g} ± {std if std > 1e-6 * abs(mean) else 0:.2g}"


def _curve(numbers: Mapping[str, Any]) -> str:
    """How the contraction ratio of noise goes from near to far, in words."""
    near, far = numbers["ratio"][0], numbers["ratio"][-1]
    change = far / near if near > 0 else np.nan
    words = "stays within 10 %" if 0.9 <= change <= 1.1 else "grows" if change > 1.1 else "falls"
    ends = f"from {near:.3g} at distance {numbers['radii'][0]:.2g} to {far:.3g} at {numbers['radii'][-1]:.3g}"
    return f"The contraction ratio of noise {words}, {ends}."


def analyse(workdir: Path, flags) -> command.Findings:
    """The Jacobian of the run in ``workdir``."""
    run = command.load(workdir, flags.best)
    dataset = run.dataset()
    test, noun = dataset.test, command.noun(run, dataset)
    if not len(test.images):
        raise UserError(f"jacobian: the test split of {run.config.data.name} is empty; it needs a test {noun}")
    if test.labels is None:
        chosen = selection.evenly(len(test.images), flags.images)
    else:
        chosen = selection.by_class(np.asarray(test.labels), flags.images)
    x = np.asarray(run.prepare(test.images[chosen]))
    e = encoder(run)
    m, measured = measure(e, x, saturation(run, x))
    numbers = {
        **command.about(run),
        "images": len(x),
        "test_indices": chosen,
        "places": e.places,
        "note": e.note,
        "platform": jax.default_backend(),
        **measured,
    }
    title = f"{command.heading(run)}: the encoder's Jacobian at {len(x)} test {noun}s\n"
    title += f"{measured['inputs']:,} inputs, {measured['outputs']:,} outputs"
    if e.places[0] < e.places[1]:
        title += f"; singular values of {e.places[0]} of {e.places[1]:,} places"
    title += f"\n{e.note}" if e.note else ""
    return command.Findings(draw(m, noun, title), numbers, summarise(numbers, noun))


def define(flags) -> None:
    """The flags of this command."""
    command.define_best(flags)
    images = "At how many test images, as many of each class as can be."
    absl_flags.DEFINE_integer("images", 100, images, lower_bound=1, flag_values=flags)


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m aejax.analysis.jacobian --workdir=DIR [--images=N] [--best]``."""
    return command.execute("jacobian", analyse, argv, define)
