"""The picture of ``analysis.likelihood``: the bound, log p(x), the units, rate and distortion."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aejax.analysis import figure
from aejax.codes.variational import ACTIVE

MEANS = {"log_likelihood": "mean log p(x)", "elbo": "mean lower bound"}


def told(nats: float) -> str:
    """A number as in print, with a minus sign."""
    return f"{nats:.1f}".replace("-", "−")


def draw(
    numbers: Mapping[str, Any], log_p: np.ndarray, rate: np.ndarray, distortion: np.ndarray, title: str, noun: str
) -> Figure:
    """Four panels of what ``likelihood.measure`` found; log_p, rate and distortion [n] are of the examples, nats."""
    picture = figure.new(figure.PAGE, 5.6)
    axes = picture.subplots(2, 2).ravel()
    _bound(axes[0], numbers)
    _histogram(axes[1], numbers, log_p, noun)
    _units(axes[2], numbers)
    _plane(axes[3], numbers, rate, distortion, noun)
    for ax in axes:
        ax.title.set_fontsize(9)
        ax.xaxis.label.set_fontsize(8)
        ax.yaxis.label.set_fontsize(8)
    figure.set_title(picture, title)
    return picture


def _bound(ax: Axes, numbers: Mapping[str, Any]) -> None:
    curve = numbers["bound_by_samples"]
    k, nats = [p["samples"] for p in curve], [p["nats"] for p in curve]
    ax.semilogx(k, nats, "o-", color=figure.BLUE, markersize=4, linewidth=1.3)
    for x, y in zip(k, nats, strict=True):
        ax.annotate(told(y), (x, y), (-3, 4), textcoords="offset points", fontsize=7, ha="right", va="bottom")
    ax.set_xticks(k, [f"{x:,}" for x in k])
    ax.minorticks_off()
    ax.set_title("bound on log p(x)")
    ax.set(xlabel="importance samples K", ylabel="nats, mean")
    ax.margins(x=0.25, y=0.2)
    figure.tidy(ax)


def _histogram(ax: Axes, numbers: Mapping[str, Any], log_p: np.ndarray, noun: str) -> None:
    bins = int(np.clip(2 * np.sqrt(len(log_p)), 5, 40))
    ax.hist(log_p, bins, color=figure.SKY, edgecolor="white", linewidth=0.3)
    for name, style in (("log_likelihood", "-"), ("elbo", "--")):
        label = f"{MEANS[name]}: {told(numbers[name]['nats'])}"
        ax.axvline(numbers[name]["nats"], color=figure.BLACK, linestyle=style, linewidth=1.1, label=label)
    ax.set_title(f"log p(x), {noun} by {noun}")
    ax.set(xlabel="nats", ylabel=f"{noun}s", ylim=(0, 1.35 * ax.get_ylim()[1]))
    _legend(ax, "upper left")


def _units(ax: Axes, numbers: Mapping[str, Any]) -> None:
    kl = np.asarray(numbers["kl_by_unit"])
    order = np.argsort(-kl, kind="stable")
    active = np.isin(order, numbers["active_units"])
    place = np.arange(1, len(kl) + 1)
    for mine, colour, what in ((active, figure.BLUE, "active"), (~active, figure.ORANGE, "not active")):
        if mine.any():
            ax.bar(place[mine], kl[order][mine], width=0.8, color=colour, label=f"{what}: {mine.sum()}")
    ax.set(xlim=(0.3, len(kl) + 0.7), ylim=(0, 1.35 * max(kl.max(), 1e-3)))
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_title("what each code unit carries")
    ax.set(xlabel=f"unit, by KL (active: variance of its mean > {ACTIVE})", ylabel="KL to the prior, nats")
    _legend(ax, "upper right")


def _plane(ax: Axes, numbers: Mapping[str, Any], rate: np.ndarray, distortion: np.ndarray, noun: str) -> None:
    """Examples by rate and distortion; on a line of slope −1 the lower bound is the same."""
    ax.scatter(rate, distortion, s=6, linewidths=0, alpha=0.45, color=figure.BLUE, rasterized=True, label=f"one {noun}")
    mean = numbers["rate"]["nats"], numbers["distortion"]["nats"]
    label = f"mean: {told(mean[0])}, {told(mean[1])}"
    ax.plot(*mean, "D", color=figure.VERMILLION, markersize=6, markeredgecolor="white", label=label)
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    for name, style in (("elbo", "--"), ("log_likelihood", "-")):
        label = f"{MEANS[name]}: the sum is {told(-numbers[name]['nats'])}"
        ax.axline((0, -numbers[name]["nats"]), slope=-1, color="black", linestyle=style, linewidth=0.9, label=label)
    ax.set(xlim=(left, right), ylim=(low, high + 0.5 * (high - low)))
    ax.set_title("rate and distortion")
    ax.set(xlabel="rate, KL(q(z|x) ‖ p(z)), nats", ylabel="distortion, −E log p(x|z), nats")
    _legend(ax, "upper left")


def _legend(ax: Axes, where: str) -> None:
    ax.legend(fontsize=7, loc=where, frameon=True, facecolor="white", edgecolor="none", framealpha=1)
    figure.tidy(ax)
