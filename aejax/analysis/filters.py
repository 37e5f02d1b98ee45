"""What does each unit look for, and what does it draw? Encoder filters and decoder atoms as images."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags as absl_flags
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from aejax.analysis import command, figure, selection, weights
from aejax.errors import UserError

CHOICES = {"even": "evenly spaced in order of norm", "norm": "of largest norm", "firing": "firing most often"}
NOISE = {"energy_in_top_tenth": 0.44, "smoothness": 0.0}  # of a Gaussian white-noise image


def firing_share(encode: Callable, images: np.ndarray, block: int = 5000) -> np.ndarray:
    """[d]: the share of the images [n, h, w, c] for which each code unit is not 0, in blocks to spare memory."""
    counts = sum(np.count_nonzero(encode(images[i : i + block]), axis=0) for i in range(0, len(images), block))
    return counts / len(images)


def norms(images: np.ndarray) -> np.ndarray:
    """[n]: the Euclidean norm of each weight image [n, h, w, c]."""
    return np.sqrt(np.square(images.astype(np.float64)).sum(axis=(1, 2, 3)))


def energy_in_top(images: np.ndarray, share: float = 0.1) -> np.ndarray:
    """How concentrated each weight image is: the share of its energy in its strongest pixels.

    With e_p = Σ_c w_pc² and the pixels sorted by it: ``Σ_{p in the top share} e_p / Σ_p e_p``.
    From ``share`` for a flat image to 1; white Gaussian noise has 0.44 at a tenth.

    Args:
      images: [n, h, w, c].
      share: of the h·w pixels, rounded to at least one.

    Returns:
      [n]; NaN where an image is all zero.
    """
    energy = np.sort(np.square(images.astype(np.float64)).sum(axis=3).reshape(len(images), -1), axis=1)
    top = max(1, round(share * energy.shape[1]))
    with np.errstate(invalid="ignore"):
        return energy[:, -top:].sum(axis=1) / energy.sum(axis=1)


def smoothness(images: np.ndarray) -> np.ndarray:
    """How much neighbouring pixels agree: the autocorrelation of each weight image at a distance of one pixel.

    The mean of w_p w_q over horizontal and vertical neighbours p, q over the mean of
    w_p²: 0 for white noise, near 1 for strokes wider than a pixel, -1 for a
    chequerboard. About zero, not about the mean, for zero is where a weight does nothing.

    Args:
      images: [n, h, w, c], h and w at least 2.

    Returns:
      [n]; NaN where an image is all zero.
    """
    w = images.astype(np.float64)
    down, right = (w[:, 1:] * w[:, :-1]).sum((1, 2, 3)), (w[:, :, 1:] * w[:, :, :-1]).sum((1, 2, 3))
    pairs = w[:, 1:, :, :1].size + w[:, :, 1:, :1].size
    with np.errstate(invalid="ignore", divide="ignore"):
        return (down + right) / pairs / (np.square(w).sum((1, 2, 3)) / w[..., :1].size)


def describe(images: np.ndarray) -> dict:
    """The medians over weight images [n, h, w, c] of norm, concentration and smoothness; all-zero images left out."""
    images = images[norms(images) > 0]
    if not len(images):
        return {"units": 0, "norm": None, "energy_in_top_tenth": None, "smoothness": None}
    return {
        "units": len(images),
        "norm": float(np.median(norms(images))),
        "energy_in_top_tenth": float(np.median(energy_in_top(images))),
        "smoothness": float(np.median(smoothness(images))),
    }


def look(described: dict) -> str:
    """In words what concentration and smoothness say of typical weight images."""
    if not described["units"]:
        return "all zero"
    smooth, top = described["smoothness"], described["energy_in_top_tenth"]
    grain = "noise-like" if smooth < 0.25 else "smooth" if smooth > 0.5 else "rough"
    extent = "local" if top > 0.6 else "spread over the image" if top < 0.5 else "partly local"
    white = f"{NOISE['smoothness']:.0f} and {100 * NOISE['energy_in_top_tenth']:.0f} %"
    return (
        f"{grain} and {extent} (neighbouring weights correlate {smooth:.2f}, "
        f"{100 * top:.0f} % of the energy lies in a tenth of the pixels; white noise: {white})"
    )


def choose(how: str, count: int, norm: np.ndarray, firing: np.ndarray | None) -> np.ndarray:
    """The units to draw, by a key of ``CHOICES``, from their norms [n] and shares of firing [n] (None: not known)."""
    if how == "even":
        return selection.over_ranking(norm, count)
    return selection.largest(norm if how == "norm" or firing is None else firing, count)


def draw(panels: Sequence[tuple[str, np.ndarray, np.ndarray | None]], title: str) -> Figure:
    """Mosaics side by side, with the colour scale under them.

    Args:
      panels: title, weight images [n, h, w, c], and which of them to frame [n] (None: none).
      title: of the whole.
    """
    width = figure.PAGE if len(panels) > 1 else 5.4
    picture = figure.new(width, width / len(panels) + 0.8)
    axes = picture.subplots(1, len(panels), squeeze=False)[0]
    for ax, (name, images, marked) in zip(axes, panels, strict=True):
        figure.draw_weights(ax, images, name, marked)
    if panels[0][1].shape[-1] != 3:
        scale = ScalarMappable(Normalize(-1, 1), figure.DIVERGING)
        bar = picture.colorbar(scale, ax=axes, orientation="horizontal", shrink=0.5, aspect=40, pad=0.01)
        bar.set_ticks([-1, 0, 1], labels=["−max |w| of the image", "0", "+max |w|"], fontsize=7)
    else:
        picture.supxlabel("mid-grey is 0; each image is scaled to its own largest |w|", fontsize=7)
    figure.set_title(picture, title)
    return picture


def measure(
    encoder: np.ndarray, decoder: np.ndarray, firing: np.ndarray, train: np.ndarray, single: bool
) -> dict[str, Any]:
    """The numbers of filters and atoms [units, h, w, c], shares of firing [d] and training images [n, h, w, c].

    Where the units are those of the code (``single``), dead ones are left out of the filters' description.
    """
    alive = firing > 0 if single else slice(None)
    # A weight on a pixel that never varies does nothing: it keeps its initial noise, which is not a filter.
    varies = (train != train[:1]).any(axis=0)
    return {
        "code_units": len(firing),
        "dead_units": np.flatnonzero(firing == 0),
        "firing": {"median": np.median(firing), "mean": firing.mean(), "min": firing.min(), "max": firing.max()},
        "encoder": describe((encoder * varies)[alive]),
        "decoder": describe(decoder[alive]),
        "white_noise": NOISE,
    }


def summarise(numbers: dict, single: bool, tied: bool) -> list[str]:
    """What the numbers say, a sentence a line."""
    firing, dead = numbers["firing"], len(numbers["dead_units"])
    units = numbers["code_units"]
    lines = [
        f"{dead} of {units} code units ({100 * dead / units:.1f} %) never fire over {numbers['train_examples']:,} "
        f"training images; the median unit fires for {100 * firing['median']:.1f} % of them."
    ]
    if firing["median"] == 1:
        lines[0] += " (A unit fires where its code is not exactly 0: with this code, nearly always.)"
    lines.append(f"Encoder filters{'' if single else ' (first layer)'}: {look(numbers['encoder'])}.")
    if tied:
        lines.append("The decoder is tied: its atoms are the same weights.")
    else:
        lines.append(f"Decoder atoms{'' if single else ' (last layer)'}: {look(numbers['decoder'])}.")
    return lines


def analyse(workdir: Path, flags) -> command.Findings:
    """The filters of the run in ``workdir``."""
    if flags.choose not in CHOICES:
        raise UserError(f"--choose={flags.choose}: accepted are {', '.join(CHOICES)}")
    run = command.load(workdir)
    dataset = run.dataset()
    params, train = run.variables["params"], dataset.train.images
    encoder, decoder = (get(params, dataset.shape) for get in (weights.encoder_filters, weights.decoder_atoms))
    firing = firing_share(run.encode, train)
    tied = weights.is_tied(params)
    single = weights.depth(params) == (1, 1) and len(encoder) == len(decoder) == len(firing)
    # Layers whose units belong together show the same units in the same places.
    together = single or tied
    shown = {"decoder": choose(flags.choose, flags.units, norms(decoder), firing if single else None)}
    shown["encoder"] = shown["decoder"] if together else choose(flags.choose, flags.units, norms(encoder), None)
    numbers = {
        **command.about(run),
        "train_examples": len(train),
        **measure(encoder, decoder, firing, train, single),
        "tied": tied,
        "shown": shown,
    }
    marks = (firing == 0)[shown["decoder"]] if single else None
    panels = [("encoder filters" if single else "first encoder layer", encoder[shown["encoder"]], marks)]
    if not tied:
        panels.append(("decoder atoms" if single else "last decoder layer", decoder[shown["decoder"]], marks))
    how = CHOICES["norm" if flags.choose == "firing" and not single else flags.choose]
    how = how.replace("norm", "decoder norm") if single and not tied else how
    drawn, there = len(shown["decoder"]), len(decoder)
    count = f"{drawn} of {there}" if drawn < there else f"all {there}"
    how = how if drawn < there else how.removeprefix("evenly spaced ")
    kinds = "units" if together else "units a layer"
    title = f"{command.heading(run)}: {count} {kinds}, {how}\n"
    title += f"{len(numbers['dead_units'])} of {len(firing)} code units never fire on train"
    title += " (black frame)" if marks is not None and marks.any() else ""
    title += "; tied decoder: the same weights" if tied else ""
    return command.Findings(draw(panels, title), numbers, summarise(numbers, single, tied))


def define(flags) -> None:
    """The flags of this command."""
    absl_flags.DEFINE_integer("units", 100, "How many units to draw.", lower_bound=1, flag_values=flags)
    choices = "; ".join(f"{name}: {meaning}" for name, meaning in CHOICES.items())
    absl_flags.DEFINE_string("choose", "even", f"Which units. {choices}.", flag_values=flags)


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m aejax.analysis.filters --workdir=DIR [--units=N] [--choose=even|norm|firing]``."""
    return command.execute("filters", analyse, argv, define)


if __name__ == "__main__":
    sys.exit(main())
