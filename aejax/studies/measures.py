"""What studies measure of a trained run: the figures of metrics.jsonl for every split, and squared errors."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.decomposition import PCA

from aejax import checkpoint, devices
from aejax.analysis import reconstructions
from aejax.data import Dataset
from aejax.trainer import Trainer

SPLITS = ("train", "valid", "test")
BLOCK = 5000  # examples at a time
PCA_EXAMPLES = 60_000  # of train, evenly spaced, that components are found from


def figures(run: Any, dataset: Dataset, splits: Sequence[str] = SPLITS) -> dict[str, dict[str, float]]:
    """Each of the splits -> the means over it with the run's last weights, without corruption, masks and noise.

    ``loss``, ``reconstruction`` and the rest as metrics.jsonl has them, so that train is measured as valid and test
    are; and for an autoencoder ``squared_error``, the mean of ``‖x̂ − x‖²`` over the examples, of ``pictures``. Splits
    without examples are left out.
    """
    trainer = Trainer(run.config, dataset, devices.mesh(run.config.mesh.devices))
    trainer.restore(checkpoint.of(run.workdir))
    found = {}
    for name in splits:
        split = getattr(dataset, name)
        if len(split):
            found[name] = trainer.split_figures(split)
            if run.config.model == "autoencoder":
                found[name]["squared_error"] = squared_error(run, split.images)
    return found


def squared_error(run: Any, images: np.ndarray) -> float:
    """The mean of ``‖x̂ − x‖²`` over raw images [n, h, w, c], of ``pictures``."""
    return sum(reconstructions.squared_errors(*pair).sum() for pair in _pairs(run, images)) / len(images)


def pictures(run: Any, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Raw images [n, h, w, c] -> (x, x̂), float32, with whitening undone.

    So runs whose whitening saw other training examples share x. A multinomial's x̂ is its expected counts.
    """
    x, y = zip(*_pairs(run, images), strict=True)
    return np.concatenate(x), np.concatenate(y)


def _pairs(run: Any, images: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for start in range(0, len(images), BLOCK):
        raw = images[start : start + BLOCK]
        x = run.prepare(raw)
        y = reconstructions.expected(run.reconstruct(raw), x, run.config.loss.likelihood)
        yield run.picture(x, like=raw), run.picture(y, like=raw)


def principal_components(run: Any, dataset: Dataset, sizes: list[int]) -> dict[str, dict[int, float]]:
    """Split -> size -> the mean squared error of a reconstruction from so many principal components of train.

    ``‖x − m‖² − Σ_{j ≤ k} (u_jᵀ(x − m))²`` with m and u of train: the least of all linear autoencoders on train.
    A size beyond the rank that train can have is left out.

    Args:
      run: says what the pictures are.
      dataset: as loaded.
      sizes: how many components.
    """
    images = dataset.train.images
    images = images[:: -(-len(images) // PCA_EXAMPLES)]
    x = _targets(run, images)
    sizes = [size for size in sizes if size <= min(len(x) - 1, x.shape[1])]
    if not sizes:
        return {}
    pca = PCA(max(sizes), random_state=0).fit(x)
    found = {}
    for name in SPLITS:
        split = getattr(dataset, name)
        if len(split):
            total = np.zeros(max(sizes) + 1)
            for start in range(0, len(split), BLOCK):
                x = _targets(run, split.images[start : start + BLOCK]) - pca.mean_
                kept = np.square(x @ pca.components_.T).sum(axis=0, dtype=np.float64)
                total += np.square(x, dtype=np.float64).sum() - np.concatenate([[0.0], np.cumsum(kept)])
            found[name] = {size: float(total[size] / len(split)) for size in sizes}
    return found


def _targets(run: Any, images: np.ndarray) -> np.ndarray:
    return run.picture(run.prepare(images), like=images).reshape(len(images), -1)
