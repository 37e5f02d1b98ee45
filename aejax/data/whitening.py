"""What ``data.whiten`` names: statistics of the training images, which ``transforms.prepare`` applies on the device.

Each function takes images [n, h, w, c] and the factor that brings them to the scale of ``prepare``, and returns the
float32 arrays that it adds to the run's preprocessing; which of them are there is what ``prepare`` goes by. Sums are
in float64. Statistics are of train alone.
"""

from collections.abc import Iterator

import numpy as np

from aejax.errors import UserError

BIAS = 10 / 255**2  # added to an image's variance: Coates and Ng's 10 at the scale 0..255
BLOCK = 1024  # images taken into floats at once
LARGEST = 8192  # values an image, for zca: its matrices have the square of it

Statistics = dict[str, np.ndarray]


def none(images: np.ndarray, scale: float) -> Statistics:
    """Images at their scale, and no more."""
    return {}


def centred(images: np.ndarray, scale: float) -> Statistics:
    """``x − mean`` with a mean for each pixel: what a sparse autoencoder's pre-bias starts from.

    Returns:
      ``mean`` [h, w, c].
    """
    total = sum(x.sum(axis=0, dtype=np.float64) for x in _blocks(images, scale))
    return {"mean": _float32(total / len(images)).reshape(images.shape[1:])}


def standard(images: np.ndarray, scale: float) -> Statistics:
    """``(x − mean) / std`` with a mean and standard deviation for each channel, over all pixels of all images.

    So a band of a spectrogram and a word of a text have their own. A channel that never changes is divided by 1.

    Returns:
      ``mean`` and ``std``, both [1, 1, c].
    """
    count, total, squares = 0, 0.0, 0.0
    for x in _blocks(images, scale):
        x = x.reshape(-1, images.shape[-1]).astype(np.float64)
        count, total, squares = count + len(x), total + x.sum(axis=0), squares + np.square(x).sum(axis=0)
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0))
    std = np.where(std > 1e-6 * np.maximum(np.abs(mean), 1e-6), std, 1.0)
    return {"mean": _float32(mean)[None, None], "std": _float32(std)[None, None]}


def contrast(images: np.ndarray, scale: float) -> Statistics:
    """Each image by itself: ``(x − mean(x)) / sqrt(var(x) + 10 / 255²)``, over all its pixels and channels.

    The bias keeps what is nearly even from being blown up to noise.

    Coates, Ng: Learning feature representations with k-means (2012), equation 2.

    Returns:
      ``contrast_mean`` and ``contrast_scale``, [1, 1, 1]: train's averages, by which an image without a model of its
      own is undone.
    """
    means, scales = [], []
    for x in _blocks(images, scale):
        mean, deviation = _contrast(x)
        means.append(mean)
        scales.append(deviation)
    average = [_float32(np.concatenate(v).mean()).reshape(1, 1, 1) for v in (means, scales)]
    return dict(zip(("contrast_mean", "contrast_scale"), average, strict=True))


def zca(images: np.ndarray, scale: float, *, zca_epsilon: float) -> Statistics:
    """Contrast normalisation, then ``W (x − mean)`` with ``W = U (Λ + ε I)^(−1/2) Uᵀ`` of the covariance ``U Λ Uᵀ``.

    The mean is one for each pixel. Of all matrices that whiten, W changes the images least (Bell, Sejnowski: The
    "independent components" of natural scenes are edge filters, 1997). ε keeps directions that hardly vary small.

    Returns:
      What ``contrast`` does, and ``mean`` [h, w, c], ``zca`` and ``zca_inverse`` [d, d] with d = h · w · c.

    Raises:
      UserError: the images are too large for matrices of that size.
    """
    d = int(np.prod(images.shape[1:]))
    if d > LARGEST:
        raise UserError(f"data.whiten=zca: images of {d:,} values; at most {LARGEST:,}; accepted here: the others")
    statistics = contrast(images, scale)
    mean = sum(_normalised(x).sum(axis=0) for x in _blocks(images, scale)) / len(images)
    covariance = np.zeros((d, d))
    for x in _blocks(images, scale):
        x = _normalised(x) - mean
        covariance += x.T @ x
    variances, directions = np.linalg.eigh(covariance / len(images))
    gains = np.sqrt(np.maximum(variances, 0) + zca_epsilon)
    return {
        **statistics,
        "mean": _float32(mean).reshape(images.shape[1:]),
        "zca": _float32((directions / gains) @ directions.T),
        "zca_inverse": _float32((directions * gains) @ directions.T),
    }


def _blocks(images: np.ndarray, scale: float) -> Iterator[np.ndarray]:
    """The images, so many at a time, as [m, d] float32 at their scale."""
    for start in range(0, len(images), BLOCK):
        part = images[start : start + BLOCK]
        yield part.reshape(len(part), -1).astype(np.float32) * np.float32(scale)


def _contrast(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each row's mean and scale, [m] float64."""
    return x.mean(axis=1, dtype=np.float64), np.sqrt(x.var(axis=1, dtype=np.float64) + BIAS)


def _normalised(x: np.ndarray) -> np.ndarray:
    mean, deviation = _contrast(x)
    return (x - mean[:, None]) / deviation[:, None]


def _float32(array: np.ndarray) -> np.ndarray:
    return np.asarray(array, np.float32)
