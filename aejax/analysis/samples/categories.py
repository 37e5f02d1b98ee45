"""Densities over vectors of categories, such as bits or the entries of a codebook: products and mixtures of them."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse

ITERATIONS = 200
TOLERANCE = 1e-3  # nats an example by which an iteration has to be better


@dataclass(frozen=True)
class Mixture:
    """``p(z) = Σ_c w_c Π_j θ_cj(z_j)`` of z in {0 … values − 1}^places: independent places within a component.

    With one component the places are independent throughout.

    Attributes:
      weights: [components], w.
      chances: [components, places, values], θ.
    """

    weights: np.ndarray
    chances: np.ndarray

    def score_samples(self, indices: np.ndarray) -> np.ndarray:
        """``log p(z)`` of indices [n, places]: nats [n]."""
        return _logsumexp(_joint(_one_hot(indices, self.chances.shape[2]), self.weights, self.chances))

    def draw(self, count: int, rng: np.random.Generator, block: int = 200) -> np.ndarray:
        """[count, places] indices drawn from it."""
        components = rng.choice(len(self.weights), count, p=self.weights)
        ends = self.chances.cumsum(axis=2)
        drawn = []
        for part in (components[i : i + block] for i in range(0, count, block)):
            u = rng.random((len(part), ends.shape[1], 1)) * ends[part][..., -1:]
            drawn.append(np.argmax(u < ends[part], axis=2))
        return np.concatenate(drawn)


def fit(indices: np.ndarray, values: int, components: int, seed: int = 0) -> Mixture:
    """The mixture of so many components that fits indices [n, places] best, by expectation and maximisation.

    Every chance is estimated with ``1 / values`` of an example more (one in all for a
    place), so that none is 0. It starts from the examples nearest, in the number of equal
    places, to one of ``components`` different ones drawn by ``seed``.
    """
    rng = np.random.default_rng(seed)
    x = _one_hot(indices, values)
    different = np.unique(indices, axis=0)
    seeds = different[rng.choice(len(different), min(components, len(different)), replace=False)]
    equal = np.asarray((x @ _one_hot(seeds, values).T).todense())
    shares = np.eye(len(seeds))[equal.argmax(axis=1)]
    before = -np.inf
    for _ in range(ITERATIONS):
        weights, chances = _maximised(x, shares, values)
        joint = _joint(x, weights, chances)
        total = _logsumexp(joint)
        shares = np.exp(joint - total[:, None])
        if total.mean() - before < TOLERANCE:
            break
        before = total.mean()
    return Mixture(weights, chances)


def _maximised(x: scipy.sparse.csr_matrix, shares: np.ndarray, values: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights and chances from the shares [n, components] that components have in examples."""
    counts = np.asarray(x.T @ shares).T.reshape(shares.shape[1], -1, values)
    size = shares.sum(axis=0)
    return size / size.sum(), (counts + 1 / values) / (size[:, None, None] + 1)


def _one_hot(indices: np.ndarray, values: int) -> scipy.sparse.csr_matrix:
    """[n, places · values], 1 for each place's value."""
    n, places = indices.shape
    columns = (np.arange(places) * values + indices).ravel()
    return scipy.sparse.csr_matrix(
        (np.ones(n * places), columns, np.arange(n + 1) * places), shape=(n, places * values)
    )


def _joint(x: scipy.sparse.csr_matrix, weights: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """``log w_c + Σ_j log θ_cj(z_j)``: [n, components]."""
    with np.errstate(divide="ignore"):
        return x @ np.log(chances).reshape(len(weights), -1).T + np.log(weights)[None]


def _logsumexp(joint: np.ndarray) -> np.ndarray:
    top = joint.max(axis=1)
    return top + np.log(np.exp(joint - top[:, None]).sum(axis=1))
