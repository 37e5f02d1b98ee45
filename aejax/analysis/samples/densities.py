"""Densities over the codes of a run, to draw codes from: its prior, and what is fitted to the training codes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

from aejax.analysis import command, known_codes, progress, quantised
from aejax.analysis.samples import categories

GRID = (2, 5, 10, 20, 40)  # components that are tried
LARGEST = 200  # units that vary, beyond which Gaussians are fitted to principal components
PRINCIPAL = 100  # so many of these
FITTED = 20_000  # codes that a density is fitted to at most
RIDGE = 1e-3  # added to the variances, as a share of their mean


@dataclass(frozen=True)
class Density:
    """Something to draw codes from.

    Attributes:
      title: what it is, in words.
      draw: (how many, generator) -> flat codes [n, d].
      facts: numbers about the fit.
    """

    title: str
    draw: Callable[[int, np.random.Generator], np.ndarray]
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Space:
    """Where Gaussians are fitted: the units that vary in train, or the leading principal components of them.

    Attributes:
      centre: [d] the mean code, where what is left out stays.
      units: [m] those that vary.
      axes: [PRINCIPAL, m], or None where the units are ``LARGEST`` at most.
      explained: share of the variance that is within it.
    """

    centre: np.ndarray
    units: np.ndarray
    axes: np.ndarray | None
    explained: float

    @classmethod
    def of(cls, codes: np.ndarray) -> "Space":
        """Of training codes [n, d].

        Raises:
          DoesNotApply: they are all the same.
        """
        units = np.flatnonzero(np.ptp(codes, axis=0) > 0)
        if not len(units):
            raise command.DoesNotApply("all training codes are the same: there is nothing to draw")
        centre = codes.mean(axis=0, dtype=np.float64)
        if len(units) <= LARGEST:
            return cls(centre, units, None, 1.0)
        most = min(PRINCIPAL, len(codes) - 1)
        found = PCA(most, svd_solver="randomized", random_state=0).fit(codes[:, units])
        return cls(centre, units, found.components_.astype(np.float64), float(found.explained_variance_ratio_.sum()))

    def points(self, codes: np.ndarray) -> np.ndarray:
        """Codes [n, d] as points [n, k] of the space, around its centre."""
        points = codes[:, self.units] - self.centre[self.units]
        return points if self.axes is None else points @ self.axes.T

    def codes(self, points: np.ndarray) -> np.ndarray:
        """The codes [n, d] that points [n, k] stand for."""
        codes = np.tile(self.centre, (len(points), 1))
        codes[:, self.units] += points if self.axes is None else points @ self.axes
        return codes


def gaussians(points: np.ndarray, components: int, seed: int = 0) -> GaussianMixture:
    """The mixture of so many Gaussians with full covariances that fits points [n, k] best, from k-means.

    One component is the Gaussian of their mean and covariance. ``RIDGE`` times the mean
    variance is added to every variance.
    """
    ridge = max(RIDGE * points.var(axis=0).mean(), 1e-12)
    return GaussianMixture(components, reg_covar=ridge, max_iter=100, random_state=seed).fit(points)


def choose(
    fit: Callable[[int], Any], valid: np.ndarray, most: int, components: int = 0
) -> tuple[int, Any, dict[int, float]]:
    """The fit with the number of components of ``GRID`` that gives valid points the highest mean log-density.

    From the smallest on, up to the first that is no better than the one before.

    Args:
      fit: number -> a fit with ``score_samples``.
      valid: points [n, k].
      most: no more components than that.
      components: this number, without a choice; 0 chooses.

    Returns:
      The number, its fit, and the mean log-densities by number, in nats.
    """
    grid = [components] if components else [k for k in GRID if k <= most] or [1]
    scores, best = {}, None
    for k in progress.over(grid, "mixtures"):
        model = fit(k)
        scores[k] = float(model.score_samples(valid).mean())
        if best is not None and scores[k] <= scores[best[0]]:
            break
        best = k, model
    return *best, scores


def parted(train: np.ndarray, valid: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """At most ``FITTED`` training codes, drawn by ``seed``, and the codes to choose by: where valid has none, a tenth
    of those."""
    order = np.random.default_rng(seed).permutation(len(train))[:FITTED]
    if len(valid):
        return train[np.sort(order)], valid
    held = max(1, len(order) // 10)
    return train[np.sort(order[held:])], train[np.sort(order[:held])]


def of_reals(run: Any, train: np.ndarray, valid: np.ndarray, components: int, seed: int) -> dict[str, Density]:
    """A Gaussian and a mixture of Gaussians fitted to codes [n, d], and N(0, I) where training drew the codes to it."""
    found = {}
    if known_codes.has_prior(run.config):
        d = train.shape[1]
        found["prior"] = Density("the prior N(0, I)", lambda n, rng: rng.standard_normal((n, d)))
    train, valid = parted(train, valid, seed)
    space = Space.of(train)
    points, checked = space.points(train), space.points(valid)
    facts = {"codes": len(train), "dimensions": points.shape[1], "variance_percent": 100 * space.explained}
    one = gaussians(points, 1)
    found["gaussian"] = Density(
        "one Gaussian fitted to train",
        _drawing(space, one),
        {**facts, "valid_nats": float(one.score_samples(checked).mean())},
    )
    k, mixture, scores = choose(lambda k: gaussians(points, k, seed), checked, len(points) // 5, components)
    found["mixture"] = Density(
        f"a mixture of {k} Gaussians fitted to train",
        _drawing(space, mixture),
        {**facts, "components": k, "valid_nats": scores[k], "valid_nats_by_components": scores},
    )
    return found


def _drawing(space: Space, mixture: GaussianMixture) -> Callable:
    def draw(count: int, rng: np.random.Generator) -> np.ndarray:
        mixture.set_params(random_state=int(rng.integers(2**31)))
        return space.codes(rng.permutation(mixture.sample(count)[0]))

    return draw


def of_bits(run: Any, train: np.ndarray, valid: np.ndarray, components: int, seed: int) -> dict[str, Density]:
    """Independent bits with the rates of train, and a mixture of such products, for bits [n, d]."""
    train, valid = (bits.astype(np.int64) for bits in (train, valid))
    titles = ("independent bits with the rates of train", "a mixture of {} such products")
    return _categorical(train, valid, 2, components, seed, titles, lambda bits: bits.astype(np.float64))


def of_entries(run: Any, train: np.ndarray, valid: np.ndarray, components: int, seed: int) -> dict[str, Density]:
    """Entries of the codebook: all alike, the prior that its loss assumes; each place's by itself as often as in
    train; and a mixture of such products."""
    vectors = quantised.codebook(run)
    train, valid = (quantised.entries(z, vectors) if len(z) else np.zeros((0, 1), int) for z in (train, valid))
    places, many = train.shape[1], len(vectors)

    def codes(indices: np.ndarray) -> np.ndarray:
        return vectors[indices].reshape(len(indices), -1)

    uniform = Density("all entries alike, the prior", lambda n, rng: codes(rng.integers(many, size=(n, places))))
    titles = ("independent places with the entries of train", "a mixture of {} such products")
    return {"prior": uniform, **_categorical(train, valid, many, components, seed, titles, codes)}


def _categorical(
    train: np.ndarray,
    valid: np.ndarray,
    values: int,
    components: int,
    seed: int,
    titles: Sequence[str],
    codes: Callable[[np.ndarray], np.ndarray],
) -> dict[str, Density]:
    train, valid = parted(train, valid, seed)
    facts = {"codes": len(train), "places": train.shape[1], "values": values}
    one = categories.fit(train, values, 1)
    k, mixture, scores = choose(lambda k: categories.fit(train, values, k, seed), valid, len(train) // 5, components)
    more = {**facts, "components": k, "valid_nats": scores[k], "valid_nats_by_components": scores}
    return {
        "independent": Density(
            titles[0],
            lambda n, rng: codes(one.draw(n, rng)),
            {**facts, "valid_nats": float(one.score_samples(valid).mean())},
        ),
        "mixture": Density(titles[1].format(k), lambda n, rng: codes(mixture.draw(n, rng)), more),
    }


KINDS = {**dict.fromkeys(known_codes.BITS, of_bits), "vector_quantised": of_entries}  # the codes of others are real


def fitted(run: Any, train: np.ndarray, valid: np.ndarray, components: int, seed: int) -> dict[str, Density]:
    """The densities for the codes of a run by name.

    Args:
      run: as ``aejax.load`` gives it.
      train, valid: flat codes [n, d]; valid may be empty.
      components: of the mixture; 0 chooses on valid.
      seed: of the fits.

    Raises:
      DoesNotApply: the training codes are all the same.
    """
    return KINDS.get(run.config.code.name, of_reals)(run, train, valid, components, seed)
