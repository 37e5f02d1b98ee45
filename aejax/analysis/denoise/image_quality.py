"""How close an example is to another: decibels, and structural similarity. One number per example, in float64."""

import numpy as np

K1, K2 = 0.01, 0.03  # of SSIM's constants, as published
SIGMA, WINDOW = 1.5, 11  # of SSIM's Gaussian window, pixels


def mean_squared_error(clean: np.ndarray, other: np.ndarray) -> np.ndarray:
    """[n]: the mean over all values of ``(clean − other)²``, for two [n, ...]."""
    return np.square(np.asarray(clean, np.float64) - other).reshape(len(clean), -1).mean(axis=1)


def psnr(clean: np.ndarray, other: np.ndarray, peak: float = 1.0) -> np.ndarray:
    """``10 log₁₀(peak² / mse)``, the peak signal-to-noise ratio: dB per example [n]; inf for an equal copy.

    Args:
      clean, other: [n, ...].
      peak: the range of the values, 1 for pixels in [0, 1].
    """
    with np.errstate(divide="ignore"):
        return 10 * np.log10(peak**2 / mean_squared_error(clean, other))


def snr(clean: np.ndarray, other: np.ndarray) -> np.ndarray:
    """``10 log₁₀(Σ clean² / Σ (clean − other)²)``, the signal-to-noise ratio: dB per example [n] of two [n, ...].

    inf for an equal copy; NaN where there is no signal, of which it says nothing.
    """
    power = mean_squared_error(clean, np.zeros_like(clean))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(power > 0, 10 * np.log10(power / mean_squared_error(clean, other)), np.nan)


def ssim(clean: np.ndarray, other: np.ndarray, peak: float = 1.0) -> np.ndarray:
    """The structural similarity of each image [n]: 1 for an equal copy, about 0 without likeness.

    The mean over all windows that lie within the image (and over channels) of

      ``(2 μ_x μ_y + c₁)(2 σ_xy + c₂) / ((μ_x² + μ_y² + c₁)(σ_x² + σ_y² + c₂))``,

    ``c = (K peak)²``, with means, variances and covariance under a Gaussian window of 11×11
    and σ = 1.5, K₁ = .01, K₂ = .03 (Wang, Bovik, Sheikh, Simoncelli: Image quality assessment,
    IEEE Transactions on Image Processing 13, 2004, equation 13). In images that are
    smaller the window is cut to the largest odd size that fits.

    Args:
      clean, other: [n, h, w, c].
      peak: the range of the values.
    """
    x, y = (np.asarray(a, np.float64) for a in (clean, other))
    c1, c2 = (K1 * peak) ** 2, (K2 * peak) ** 2
    mean_x, mean_y = _windowed(x), _windowed(y)
    variance_x, variance_y = _windowed(x * x) - mean_x**2, _windowed(y * y) - mean_y**2
    covariance = _windowed(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return (luminance * structure).mean(axis=(1, 2, 3))


def _windowed(images: np.ndarray) -> np.ndarray:
    """The weighted mean of each window within the images [n, h, w, c]."""
    rows, columns = (_averaging(length) for length in images.shape[1:3])
    return np.einsum("ih,nhwc,jw->nijc", rows, images, columns, optimize=True)


def _averaging(length: int) -> np.ndarray:
    """[length − size + 1, length]: row i averages the size values from i on, with Gaussian weights."""
    size = min(WINDOW, length - 1 + length % 2)
    weights = np.exp(-0.5 * ((np.arange(size) - size // 2) / SIGMA) ** 2)
    weights /= weights.sum()
    return np.stack([np.pad(weights, (i, length - size - i)) for i in range(length - size + 1)])
