"""Codes of any length drawn in a plane: by PCA, by t-SNE, and how far such a picture can be trusted."""

from collections.abc import Callable

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness
from threadpoolctl import threadpool_limits

RANDOM_STATE = 0
NEIGHBOURS = 10


def pca(codes: np.ndarray) -> tuple[np.ndarray, dict]:
    """The first two principal components [n, 2] of codes [n, d], and the share of the variance in each, in percent."""
    model = PCA(2, svd_solver="full").fit(codes.astype(np.float64))
    return model.transform(codes), {"variance_percent": 100 * np.nan_to_num(model.explained_variance_ratio_)}


def tsne(codes: np.ndarray) -> tuple[np.ndarray, dict]:
    """t-SNE's plane [n, 2] of codes [n, d], from the PCA's, and its perplexity."""
    perplexity = min(30.0, (len(codes) - 1) / 3)
    model = TSNE(2, perplexity=perplexity, init="pca", random_state=RANDOM_STATE)
    with threadpool_limits(1):  # several threads add up in another order on another machine, and the picture differs
        return model.fit_transform(codes.astype(np.float32)), {"perplexity": perplexity}


PROJECTIONS: dict[str, Callable] = {"PCA": pca, "t-SNE": tsne}


def trust(codes: np.ndarray, points: np.ndarray) -> float:
    """Trustworthiness (Venna & Kaski, 2001) of points [n, 2] drawn for codes [n, d]: 1 where each one's
    ``NEIGHBOURS`` nearest are near in code space too, about a half where they are any."""
    return float(trustworthiness(codes, points, n_neighbors=min(NEIGHBOURS, (len(codes) - 1) // 2)))
