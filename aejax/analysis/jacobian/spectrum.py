"""Jacobians, and what they say of a function: how much it contracts, and along how many directions it does not."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from aejax.analysis.sparsity.measures import spread

LOCAL = 0.1  # of the largest singular value: what is above counts as a direction of the local dimension
AT_ONCE = 2**22  # floats of the vectors that go through a net together

Function = Callable[[jax.Array], jax.Array]


def jacobian(f: Function, at_once: int = AT_ONCE) -> Function:
    """The exact Jacobian ``∂f_j/∂x_i`` [outputs, inputs] of f at one x, compiled; both flat.

    As many products with basis vectors as the smaller of the two sides has dimensions, ``J u`` where that are the
    inputs and else ``vᵀJ``; so many together that their vectors have at most ``at_once`` floats.

    Args:
      f: one x [...] -> [...].
      at_once: bounds the memory.
    """

    def at(x: jax.Array) -> jax.Array:
        def flat(v):
            return f(v.reshape(x.shape)).reshape(-1)

        point = x.reshape(-1)
        inputs, outputs = point.size, jax.eval_shape(flat, point).size
        if inputs <= outputs:
            product = jax.linearize(flat, point)[1]
        else:
            pull = jax.vjp(flat, point)[1]
            product = lambda v: pull(v)[0]  # noqa: E731
        basis = jnp.eye(min(inputs, outputs), dtype=point.dtype)
        rows = jax.lax.map(product, basis, batch_size=min(len(basis), max(1, at_once // max(inputs, outputs))))
        return rows.T if inputs <= outputs else rows

    return jax.jit(at)


def singular_values(j: np.ndarray) -> np.ndarray:
    """The singular values [min(outputs, inputs)] of J [outputs, inputs], largest first.

    As roots of the eigenvalues of the smaller of ``J Jᵀ`` and ``Jᵀ J``, in float64: below 1e-7 of the largest they are
    rounding, as J itself is in float32.
    """
    j = np.asarray(j, np.float64)
    gram = j @ j.T if j.shape[0] <= j.shape[1] else j.T @ j
    return np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[::-1], 0))


def participation_ratio(sigma: np.ndarray) -> np.ndarray:
    """``(Σ σ²)² / Σ σ⁴`` over the last axis: n for n equal singular values, 1 for one alone; NaN for none above 0."""
    squares = np.square(np.asarray(sigma, np.float64))
    with np.errstate(invalid="ignore"):
        return np.square(squares.sum(axis=-1)) / np.square(squares).sum(axis=-1)


def local_dimension(sigma: np.ndarray, share: float = LOCAL) -> np.ndarray:
    """How many singular values [..., n] are above ``share`` times the largest of their row; 0 where that is 0."""
    return (sigma > share * sigma.max(axis=-1, keepdims=True)).sum(axis=-1)


def contraction(f: Function, x: np.ndarray, radii: np.ndarray, directions: int, seed: int = 0) -> np.ndarray:
    """``‖f(x) − f(y)‖ / ‖x − y‖`` of y at distance r from x in random directions: [n, len(radii)], the mean of them.

    Rifai et al., "Contractive Auto-Encoders", ICML 2011, figures 2 and 3. For r → 0 its mean square is ‖J‖²_F over the
    number of inputs.

    Args:
      f: [n, ...] -> [n, ...].
      x: [n, ...].
      radii: r.
      directions: how many, drawn evenly on the sphere for each x and used at every r.
      seed: of the directions.
    """
    rng = np.random.default_rng(seed)
    z = np.asarray(f(x), np.float64)
    ratios = np.zeros((len(x), len(radii)))
    for _ in range(directions):
        u = rng.normal(size=x.shape)
        u /= _norms(u).reshape(-1, *[1] * (x.ndim - 1))
        for i, r in enumerate(radii):
            y = (x + r * u).astype(np.float32)
            ratios[:, i] += _norms(np.asarray(f(y)) - z) / _norms(y - x.astype(np.float64))
    return ratios / directions


def pairs(x: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each pair of examples of x [n, ...] and z [n, ...] that differ in x: the distance in x, and that in z over
    it."""
    first, second = np.triu_indices(len(x), k=1)
    apart = _distances(x)[first, second]
    known = apart > 0
    return apart[known], _distances(z)[first, second][known] / apart[known]


def _distances(x: np.ndarray) -> np.ndarray:
    """[n, n]; through the inner products of centred rows, in float64."""
    rows = x.reshape(len(x), -1).astype(np.float64)
    rows -= rows.mean(axis=0)
    squares = np.square(rows).sum(axis=1)
    apart = np.maximum(squares[:, None] + squares[None] - 2 * rows @ rows.T, 0)
    return np.sqrt(np.where(apart > 1e-12 * squares.max(initial=0.0), apart, 0))


def _norms(rows: np.ndarray) -> np.ndarray:
    """[n, ...] -> [n]."""
    return np.linalg.norm(rows.reshape(len(rows), -1), axis=1)


def binned(x: np.ndarray, y: np.ndarray, bins: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """The means of x and of y [n] over bins of as many each, in order of x."""
    order = np.array_split(np.argsort(x, kind="stable"), min(bins, len(x))) if len(x) else []
    return np.array([x[i].mean() for i in order]), np.array([y[i].mean() for i in order])


def describe(sigma: np.ndarray, squared: np.ndarray) -> dict:
    """The numbers of Jacobians: singular values [n, k], and squared Frobenius norms [n].

    ``spectrum`` has mean, 10 and 90 % quantile of each singular value over the examples.
    """
    low, high = np.percentile(sigma, (10, 90), axis=0)
    return {
        "frobenius": spread(np.sqrt(squared)),
        "squared_frobenius_mean": squared.mean(),
        "largest_singular_value": spread(sigma[:, 0]),
        "local_dimension": {"above_share_of_largest": LOCAL, **spread(local_dimension(sigma))},
        "participation_ratio": spread(participation_ratio(sigma)),
        "spectrum": {"mean": sigma.mean(axis=0), "10 %": low, "90 %": high},
    }
