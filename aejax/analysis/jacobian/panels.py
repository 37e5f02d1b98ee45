"""The panels of the Jacobian's figure."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aejax.analysis import figure
from aejax.analysis.jacobian.encoders import SATURATED
from aejax.analysis.jacobian.spectrum import LOCAL, local_dimension, participation_ratio

FLOOR = 1e-5  # of the largest mean singular value: what is drawn of a spectrum


@dataclass(frozen=True)
class Measured:
    """What was measured at n images.

    Attributes:
      sigma: [n, k] singular values, largest first.
      squared: [n] squared Frobenius norms, of all outputs.
      limit: mean ‖J‖_F over √inputs: the contraction ratio of infinitesimal noise.
      radii, ratios: distances [r], and the contraction ratio [n, r] of noise.
      distances, between: distances [b] of pairs of images, in bins, and their ratios [b].
      saturation: the activation's name, and the share [units] of saturation; None for linear units.
    """

    sigma: np.ndarray
    squared: np.ndarray
    limit: float
    radii: np.ndarray
    ratios: np.ndarray
    distances: np.ndarray
    between: np.ndarray
    saturation: tuple[str, np.ndarray] | None


def draw(m: Measured, noun: str, title: str) -> Figure:
    """Spectrum, norms, contraction ratio, and saturation or for linear units the dimensions."""
    picture = figure.new(figure.PAGE, 5.7)
    axes = picture.subplots(2, 2).reshape(-1)
    panels = (_spectrum, _norms, _contraction, _dimensions if m.saturation is None else _saturation)
    for ax, panel in zip(axes, panels, strict=True):
        panel(ax, m, noun)
        figure.tidy(ax)
        ax.tick_params(which="both", labelsize=7)
    figure.set_title(picture, title)
    return picture


def _labels(axes: Axes, title: str, x: str, y: str) -> None:
    figure.name_axes(axes, title, x, y)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=6.5, frameon=False)


def _spectrum(axes: Axes, m: Measured, noun: str) -> None:
    mean = m.sigma.mean(axis=0)
    title = ("Singular values of the Jacobian", "rank", "singular value")
    if not mean[0] > 0:
        axes.text(0.5, 0.5, "the Jacobian is 0", ha="center", fontsize=8, transform=axes.transAxes)
        _labels(axes, *title)
        return
    floor = FLOOR * mean[0]
    low, high = np.percentile(m.sigma, (10, 90), axis=0)
    rank = np.arange(1, len(mean) + 1)
    axes.fill_between(rank, np.maximum(low, floor / 10), np.maximum(high, floor / 10), color=figure.SKY, alpha=0.45,
                      linewidth=0, label="10 to 90 %")  # fmt: skip
    marker = "o" if len(mean) <= 40 else None
    axes.plot(rank, np.maximum(mean, floor / 10), color=figure.BLUE, marker=marker, markersize=2.5,
              label=f"mean over {len(m.sigma)} {noun}s")  # fmt: skip
    axes.axhline(LOCAL * mean[0], color=figure.GREY, linestyle="--", linewidth=1, label=f"{LOCAL:g} of the largest")
    axes.set_yscale("log")
    axes.set_ylim(max(floor, min(low[low > floor].min(), LOCAL * mean[0]) / 2), high.max() * 2)
    axes.xaxis.get_major_locator().set_params(integer=True)
    _labels(axes, *title)


def _norms(axes: Axes, m: Measured, noun: str) -> None:
    shown = {
        "‖J‖, Frobenius": (np.sqrt(m.squared), figure.BLUE),
        "largest singular value": (m.sigma[:, 0], figure.ORANGE),
    }
    _histograms(axes, shown)
    _labels(axes, f"Norms of the Jacobian at each {noun}", "norm", f"{noun}s")


def _dimensions(axes: Axes, m: Measured, noun: str) -> None:
    shown = {
        "participation ratio": (participation_ratio(m.sigma), figure.BLUE),
        f"singular values above {LOCAL:g} of the largest": (local_dimension(m.sigma), figure.ORANGE),
    }
    _histograms(axes, shown)
    _labels(axes, f"Local dimension at each {noun}", "dimension", f"{noun}s")


def _histograms(axes: Axes, shown: Mapping[str, tuple[np.ndarray, str]], bins: int = 40) -> None:
    every = np.concatenate([values[np.isfinite(values)] for values, _ in shown.values()])
    edges = np.linspace(0, (every.max(initial=0) or 1) * 1.02, bins + 1)
    tallest = 1
    for label, (values, colour) in shown.items():
        counts = np.histogram(values[np.isfinite(values)], edges)[0]
        tallest = max(tallest, counts.max())
        axes.stairs(counts, edges, color=colour, fill=True, alpha=0.6, label=label)
    axes.set(xlim=(0, edges[-1]), ylim=(0, 1.35 * tallest))
    axes.yaxis.get_major_locator().set_params(integer=True)


def _contraction(axes: Axes, m: Measured, noun: str) -> None:
    low, high = np.percentile(m.ratios, (10, 90), axis=0)
    axes.fill_between(m.radii, low, high, color=figure.SKY, alpha=0.45, linewidth=0)
    axes.plot(m.radii, m.ratios.mean(axis=0), "o-", color=figure.BLUE, markersize=2.5, label="noise (10 to 90 %)")
    if len(m.distances):
        axes.plot(m.distances, m.between, "s", color=figure.VERMILLION, markersize=3.5, label=f"other test {noun}s")
    axes.axhline(m.limit, color=figure.GREY, linestyle="--", linewidth=1, label="‖J‖ / √inputs")
    axes.set_xscale("log")
    top = max(m.limit, high.max(), m.between.max(initial=0.0))
    axes.set_ylim(0, 1.25 * top if top > 0 else 1)
    _labels(axes, "Contraction ratio", f"distance r from the {noun}", "distance of codes / r")


def _saturation(axes: Axes, m: Measured, noun: str) -> None:
    name, share = m.saturation
    axes.hist(100 * share, np.linspace(0, 100, 41), color=figure.GREEN)
    axes.set_xlim(0, 100)
    axes.yaxis.get_major_locator().set_params(integer=True)
    flat = f"% of {noun}s with slope below {SATURATED:g} of its top"
    _labels(axes, f"Saturation of the units, {name}", flat, "units")
