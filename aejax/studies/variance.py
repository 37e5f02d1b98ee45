"""Bias and variance of reconstructions, measured over models that were trained alike but for chance.

For one image x and its reconstructions x̂_1 … x̂_M by M models, with mean ``x̄ = Σ_m x̂_m / M``,

    error = Σ_m ‖x̂_m − x‖² / M = ‖x̄ − x‖² + Σ_m ‖x̂_m − x̄‖² / M = bias² + variance

exactly, with the population's variance (Geman, Bienenstock, Doursat: Neural networks and the bias/variance dilemma,
Neural Computation 4, 1992, equation 3.4, for the models at hand in place of the expectation over all). Of M models
bias² holds 1/M of the variance of single models, which is ``variance / (M − 1)`` as an estimate; ``corrected`` has
that taken off.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Decomposition:
    """Of each image [n]: the mean error over the models, bias² and variance; and how many models there were."""

    error: np.ndarray
    bias: np.ndarray
    variance: np.ndarray
    models: int

    @property
    def corrected(self) -> np.ndarray:
        """[n]: ``bias² − variance / (M − 1)``, without bias of its own as an estimate; it may be below 0."""
        return self.bias - self.variance / (self.models - 1)

    def means(self) -> dict[str, float]:
        """Over the images."""
        return {
            "error": float(self.error.mean()),
            "bias_squared": float(self.bias.mean()),
            "variance": float(self.variance.mean()),
            "bias_squared_corrected": float(self.corrected.mean()),
            "models": self.models,
        }


def decompose(x: np.ndarray, outputs: Iterable[np.ndarray]) -> Decomposition:
    """The error of the models' ``outputs``, each [n, ...], about ``x`` [n, ...]; two models or more, one at a time.

    Mean and squared deviations are gathered by Welford's recurrence, and the error by itself.

    Raises:
      ValueError: there are fewer than two models, or an output is of another shape than x.
    """
    x = x.reshape(len(x), -1).astype(np.float64)
    mean, deviation, error = np.zeros_like(x), np.zeros(len(x)), np.zeros(len(x))
    models = 0
    for output in outputs:
        output = output.reshape(len(output), -1)
        if output.shape != x.shape:
            raise ValueError(f"outputs of shape {output.shape} for images of {x.shape}")
        models += 1
        before = output - mean
        mean += before / models
        deviation += np.einsum("nd,nd->n", before, output - mean)
        error += np.square(output - x).sum(axis=1)
    if models < 2:
        raise ValueError("a variance takes two models or more")
    return Decomposition(error / models, np.square(mean - x).sum(axis=1), deviation / models, models)
