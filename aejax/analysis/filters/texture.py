"""How weight images look, in numbers: their norm, how concentrated and how smooth they are."""

import functools
from collections.abc import Sequence

import numpy as np


def norms(images: np.ndarray) -> np.ndarray:
    """[n]: the Euclidean norm of each weight image [n, h, w, c]."""
    return np.sqrt(np.square(images.astype(np.float64)).sum(axis=(1, 2, 3)))


def energy_in_top(images: np.ndarray, share: float = 0.1) -> np.ndarray:
    """How concentrated each weight image is: the share of its energy in its strongest pixels.

    With e_p = Σ_c w_pc² and the pixels sorted by it: ``Σ_{p in the top share} e_p / Σ_p e_p``.
    From ``share`` for a flat image to 1; white Gaussian noise of one channel has 0.44 at a tenth.

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
      images: [n, h, w, c], more than one pixel.

    Returns:
      [n]; NaN where an image is all zero.
    """
    w = images.astype(np.float64)
    down, right = (w[:, 1:] * w[:, :-1]).sum((1, 2, 3)), (w[:, :, 1:] * w[:, :, :-1]).sum((1, 2, 3))
    pairs = w[:, 1:, :, :1].size + w[:, :, 1:, :1].size
    with np.errstate(invalid="ignore", divide="ignore"):
        return (down + right) / (pairs / len(w)) / (np.square(w).sum((1, 2, 3)) / w[0, ..., :1].size)


@functools.cache
def white_noise(shape: Sequence[int]) -> dict[str, float]:
    """What Gaussian white-noise images of shape (h, w, c) have on average: few pixels or many channels change it."""
    count = int(np.clip(200_000 // np.prod(shape), 4, 2000))
    noise = np.random.default_rng(0).normal(size=(count, *shape))
    return {"energy_in_top_tenth": float(energy_in_top(noise).mean()), "smoothness": 0.0}


def describe(images: np.ndarray) -> dict:
    """The medians over weight images [n, h, w, c] of norm, concentration and smoothness; all-zero images left out.

    Of sound, [n, 1, T, bands], a pixel is a time and a band; of vectors, [n, 1, 1, d], a
    component, and as these have no neighbours smoothness is None.
    """
    h, w, c = images.shape[1:]
    images = images[norms(images) > 0]
    if h == 1:
        images = images[:, 0, :, :, None]
    white = white_noise(images.shape[1:])
    if not len(images):
        return {"units": 0, "norm": None, "energy_in_top_tenth": None, "smoothness": None, "white_noise": white}
    return {
        "units": len(images),
        "norm": float(np.median(norms(images))),
        "energy_in_top_tenth": float(np.median(energy_in_top(images))),
        "smoothness": float(np.median(smoothness(images))) if h * w > 1 else None,
        "white_noise": white,
    }


def look(described: dict) -> str:
    """In words what concentration and smoothness say of typical weight images."""
    if not described["units"]:
        return "all zero"
    smooth, top = described["smoothness"], described["energy_in_top_tenth"]
    white = 100 * described["white_noise"]["energy_in_top_tenth"]
    extent = "local" if top > 0.6 else "spread out" if top < 0.5 else "partly local"
    energy = f"{100 * top:.0f} % of the energy lies in a tenth of the"
    if smooth is None:
        return f"{extent} ({energy} components; white noise: {white:.0f} %)"
    grain = "noise-like" if smooth < 0.25 else "smooth" if smooth > 0.5 else "rough"
    return (
        f"{grain} and {extent} (neighbouring weights correlate {smooth:.2f}, "
        f"{energy} pixels; white noise: 0 and {white:.0f} %)"
    )
