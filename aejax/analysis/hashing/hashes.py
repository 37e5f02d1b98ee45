"""From codes or inputs to bits: thresholds for the units of a code, and the classic hashes of inputs.

All are fitted on train, and are then functions ``[n, d] -> [n, b] bool``.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA

MOST_ROTATED = 1024  # bits of ITQ, whose time grows with their cube
ITERATIONS = 50  # of ITQ, as in the paper


@dataclass(frozen=True)
class Threshold:
    """``bit_j = z_j > at_j``, for thresholds ``at`` [d]."""

    at: np.ndarray

    def __call__(self, z: np.ndarray) -> np.ndarray:
        return z > self.at


def half(z: np.ndarray) -> Threshold:
    """½ for every unit: of units that are bits already, or probabilities of a bit."""
    return Threshold(np.full(z.shape[1], 0.5, z.dtype))


def zero(z: np.ndarray) -> Threshold:
    """0 for every unit: whether it fires."""
    return Threshold(np.zeros(z.shape[1], z.dtype))


def median(z: np.ndarray) -> Threshold:
    """Each unit's median over train: the threshold that balances its bit, ties apart."""
    return Threshold(np.median(z, axis=0))


THRESHOLDS: dict[str, Callable[[np.ndarray], Threshold]] = {"half": half, "zero": zero, "median": median}


def fitting_rule(z: np.ndarray) -> str:
    """The key of ``THRESHOLDS`` that suits codes z [n, d] of train, judged by the units that vary.

    ``half`` where all values are 0 or 1; ``zero`` where more than 1 % are exactly 0, as those of sparse codes and of
    ReLUs; ``half`` where all lie in [0, 1], as those of sigmoids; ``median`` for other real values.
    """
    z = z[:, np.ptp(z, axis=0) > 0]
    if np.isin(z, (0, 1)).all():
        return "half"
    if np.mean(z == 0) > 0.01:
        return "zero"
    return "half" if z.min() >= 0 and z.max() <= 1 else "median"


@dataclass(frozen=True)
class Projection:
    """``bit_j = (x - centre) · directions_j > 0``, for ``centre`` [d] and ``directions`` [d, b]."""

    centre: np.ndarray
    directions: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return (x - self.centre) @ self.directions > 0


def lsh(x: np.ndarray, bits: int, seed: int = 0) -> Projection:
    """Locality-sensitive hashing: the signs of random Gaussian projections of centred x [n, d].

    Charikar, "Similarity estimation techniques from rounding algorithms", STOC 2002.
    """
    directions = np.random.default_rng(seed).standard_normal((x.shape[1], bits))
    return Projection(x.mean(axis=0), directions.astype(x.dtype))


def pca_sign(x: np.ndarray, bits: int) -> Projection:
    """The signs of the first principal components of x [n, d]; as many bits as x has components, where it has fewer."""
    fitted = PCA(min(bits, *x.shape), random_state=0).fit(x)
    real = fitted.explained_variance_ > 1e-7 * fitted.explained_variance_.max()
    return Projection(fitted.mean_.astype(x.dtype), fitted.components_[real].T.astype(x.dtype))


def itq(x: np.ndarray, bits: int) -> Projection:
    """Iterative quantisation of x [n, d]: principal components turned so that signs lose least.

    Bits as ``pca_sign``, ``MOST_ROTATED`` at most. Gong & Lazebnik, "Iterative quantization: a Procrustean approach
    to learning binary codes", CVPR 2011.
    """
    components = pca_sign(x, min(bits, MOST_ROTATED))
    rotation, _ = itq_rotation((x - components.centre) @ components.directions)
    return Projection(components.centre, components.directions @ rotation)


def itq_rotation(v: np.ndarray, iterations: int = ITERATIONS, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The rotation R [b, b] that lowers ``‖sign(V R) - V R‖²`` for V [n, b], from a random one by turns.

    With R fixed the best bits are ``B = sign(V R)``; with B fixed the best R is ``S Ŝᵀ``, from the singular value
    decomposition ``Vᵀ B = S Ω Ŝᵀ`` (orthogonal Procrustes; Gong & Lazebnik 2011).

    Returns:
      R, and the error [iterations + 1] before each turn and after the last: it never rises.
    """
    random = np.random.default_rng(seed).standard_normal((v.shape[1], v.shape[1]))
    rotation = np.linalg.qr(random)[0].astype(v.dtype)
    errors = []
    for turn in range(iterations + 1):
        turned = v @ rotation
        signs = np.where(turned > 0, 1, -1).astype(v.dtype)
        errors.append(float(np.square(signs - turned, dtype=np.float64).sum()))
        if turn < iterations:
            left, _, right = np.linalg.svd(v.T @ signs)
            rotation = left @ right
    return rotation, np.array(errors)
