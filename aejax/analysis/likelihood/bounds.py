"""What importance sampling and the posterior say of each image: log p(x), the bound and its terms, the code units.

Arrays are of n images, in nats.
"""

from typing import Any, NamedTuple

import numpy as np

from aejax import log_likelihood
from aejax.analysis import progress
from aejax.errors import UserError

BLOCK = 20  # images to a call
LEVELS = (1, 5, 50, 500, 5000)  # numbers of samples of which the bound is told


class Estimates(NamedTuple):
    """What was measured of n images; nats.

    Attributes:
      log_p: [n], the bound of all samples.
      variance: [n], of log_p over the draws of its samples, nats².
      effective: [n], effective samples.
      bounds: number of samples -> [n].
      distortion: [n], ``−E log p(x|z)``.
      kl: [n, size], the rate by unit; over all places of maps.
      spread: [size], the variance of a unit's mean over the images (and places).
    """

    log_p: np.ndarray
    variance: np.ndarray
    effective: np.ndarray
    bounds: dict[int, np.ndarray]
    distortion: np.ndarray
    kl: np.ndarray
    spread: np.ndarray


def unit_kl(mean: np.ndarray, log_std: np.ndarray) -> np.ndarray:
    """``KL(N(mean, σ²) ‖ N(0, 1)) = ½(mean² + σ² − 1) − log σ`` of each unit [n, size], summed over the places of maps.

    Args:
      mean, log_std: [n, size] or [n, h, w, size].
    """
    mean, log_std = (np.asarray(a, np.float64).reshape(len(a), -1, a.shape[-1]) for a in (mean, log_std))
    return np.sum(0.5 * (np.square(mean) + np.expm1(2 * log_std)) - log_std, axis=1)


def mean_variance(mean: np.ndarray) -> np.ndarray:
    """[size]: the variance of each unit's posterior mean [n, ..., size] over images and places; a unit of more than
    0.01 is active (Burda et al., section 5.2)."""
    return np.asarray(mean, np.float64).reshape(-1, mean.shape[-1]).var(axis=0)


def levels(samples: int) -> list[int]:
    """The numbers of samples at which the bound is told: those of ``LEVELS`` below ``samples``, and that itself."""
    return sorted({k for k in LEVELS if k < samples} | {samples})


def estimate(run: Any, images: np.ndarray, samples: int, seed: int) -> Estimates:
    """Measure raw images [n, h, w, c], n at least 1, with so many samples of each.

    Raises:
      UserError: a weight is not finite.
    """
    parts, block = [], min(BLOCK, len(images))
    for first in progress.over(range(0, len(images), block), "likelihood"):
        part = images[first : first + block]
        filled = np.resize(part, (block, *part.shape[1:]))  # of one shape, for one program
        drawn = run.importance_samples(filled, samples, seed)
        weight, conditional = (np.asarray(a, np.float64)[:, : len(part)] for a in drawn)
        if not np.isfinite(weight).all():
            raise UserError("likelihood: the weights of the samples are not all finite; the training diverged")
        bounds = [log_likelihood.bound(weight, k) for k in levels(samples)]
        found = (log_likelihood.monte_carlo_variance(weight), log_likelihood.effective_samples(weight))
        parts.append((*found, -conditional.mean(axis=0), *bounds))
    variance, effective, distortion, *bounds = (np.concatenate(a) for a in zip(*parts, strict=True))
    mean, log_std = run.posterior(images)
    bounds = dict(zip(levels(samples), bounds, strict=True))
    kl, spread = unit_kl(mean, log_std), mean_variance(mean)
    return Estimates(bounds[samples], variance, effective, bounds, distortion, kl, spread)
