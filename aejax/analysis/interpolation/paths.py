"""Paths between pairs of vectors, and how evenly a path goes."""

import numpy as np


def linear(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """``(1 − t) a + t b`` for pairs [n, d] and times [s]: [n, s, d]."""
    t = np.asarray(t, np.float64)[None, :, None]
    return (1 - t) * a[:, None] + t * b[:, None]


def spherical(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Turning evenly from a to b while the length changes evenly: pairs [n, d] and times [s] to [n, s, d].

    ``((1 − t) ‖a‖ + t ‖b‖) · (sin((1 − t) Ω)/sin Ω · a/‖a‖ + sin(t Ω)/sin Ω · b/‖b‖)`` with
    Ω the angle between them, the great circle (Shoemake, "Animating rotation with
    quaternion curves", SIGGRAPH 1985). Between draws from N(0, I), which are nearly all as
    long, it keeps to where the prior has its mass (White, "Sampling generative networks",
    arXiv 1609.04468; there a and b are not normalised, which is the same where both are as
    long, and without bound where they are not and Ω is near π). ``linear`` where there is
    no circle or no one circle: a zero vector, Ω = 0 or π.
    """
    a, b, t = (np.asarray(x, np.float64) for x in (a, b, t))
    norms = [np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b)]
    u, v = (x / np.where(norm > 0, norm, 1.0) for x, norm in zip((a, b), norms, strict=True))
    omega = 2 * np.arctan2(np.linalg.norm(u - v, axis=1), np.linalg.norm(u + v, axis=1))
    sine = np.sin(omega)
    none = (sine < 1e-6) | (norms[0][:, 0] == 0) | (norms[1][:, 0] == 0)
    sine = np.where(none, 1.0, sine)
    first, second = (np.sin(s[None] * omega[:, None]) / sine[:, None] for s in (1 - t, t))  # [n, s]
    circle = first[..., None] * u[:, None] + second[..., None] * v[:, None]
    return np.where(none[:, None, None], linear(a, b, t), linear(*norms, t) * circle)


def smoothness(path: np.ndarray) -> dict[str, np.ndarray]:
    """How evenly and how straight images change along paths [n, s, ...], s >= 2, of steps ``d_i = x_{i+1} − x_i``.

    Returns:
      ``largest_step_percent``: ``100 max ‖d_i‖² / Σ ‖d_i‖²``, 100 / (s − 1) for even steps, 100 for one jump;
      ``length_over_chord``: ``Σ ‖d_i‖ / ‖x_s − x_1‖``, 1 for the straight line;
      ``energy``: ``(s − 1) Σ ‖d_i‖²``, the mean of ``‖∂x/∂t‖²``: the perceptual path length of Karras et al.
      (arXiv 1812.04948, equation 2), but of pixels and along these paths. Each [n]; NaN for 0 / 0.
    """
    path = path.reshape(*path.shape[:2], -1).astype(np.float64)
    squares = np.square(np.diff(path, axis=1)).sum(axis=2)
    total = squares.sum(axis=1)
    chord = np.linalg.norm(path[:, -1] - path[:, 0], axis=1)
    return {
        "largest_step_percent": 100 * _over(squares.max(axis=1), total),
        "length_over_chord": _over(np.sqrt(squares).sum(axis=1), chord),
        "energy": squares.shape[1] * total,
    }


def _over(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.where(b > 0, a / np.where(b > 0, b, 1.0), np.nan)
