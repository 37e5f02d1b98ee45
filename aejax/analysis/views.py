"""Any example as a picture: images, spectrograms, waveforms, vectors; what figures show of them, without drawing."""

from collections.abc import Sequence

import numpy as np


def rgb(images: np.ndarray) -> np.ndarray:
    """[n, h, w, c] floats to [n, h, w, 3] in [0, 1], clipped: grey for every c but 3 (the mean over channels)."""
    images = np.nan_to_num(np.asarray(images, np.float32))
    if images.shape[-1] != 3:
        images = np.repeat(images.mean(axis=-1, keepdims=True), 3, axis=-1)
    return np.clip(images, 0.0, 1.0)


def plane(examples: np.ndarray) -> np.ndarray:
    """Examples of any shape as pictures, by where their axes are longer than 1.

    Images [n, h, w, c] stay as they are. Spectrograms [n, 1, T, bands] become [n, bands, T, 1], time rightwards and
    frequency upwards. Waveforms [n, 1, T, 1], in [-1, 1], become curves: the area between zero and the signal, at the
    height of each pixel, NaN around it. Vectors [n, 1, 1, d] are folded, row under row, into near-squares that end in
    NaN.
    """
    n, h, w, c = examples.shape
    if h > 1:
        return examples
    if w == 1:
        return _folded(examples.reshape(n, c))
    return examples[:, 0].transpose(0, 2, 1)[:, ::-1, :, None] if c > 1 else _curves(examples.reshape(n, w))


def layout(shape: Sequence[int]) -> str:
    """How ``plane`` shows examples of shape (h, w, c), in words; nothing for images."""
    h, w, c = shape
    if h > 1:
        return ""
    return f"{c:,} values, row under row" if w == 1 else "time rightwards" + (", frequency upwards" if c > 1 else "")


def _folded(vectors: np.ndarray) -> np.ndarray:
    n, d = vectors.shape
    columns = int(np.ceil(np.sqrt(d)))
    room = np.full((n, -(-d // columns) * columns), np.nan, np.float32)
    room[:, :d] = vectors
    return room.reshape(n, -1, columns, 1)


def _curves(signals: np.ndarray, columns: int = 192, rows: int = 97) -> np.ndarray:
    """Signals [n, T] in [-1, 1] (clipped) -> [n, rows, columns, 1]; a column spans all samples that fall into it."""
    n, length = signals.shape
    inner = -(-length // columns)  # points a column: every sample, or where there are fewer straight lines between them
    at = np.linspace(0, length - 1, columns * inner)
    at = at.round() if inner > 1 else at
    before = np.minimum(at.astype(int), length - 2)
    part = (at - before).astype(np.float32)
    signals = np.clip(np.nan_to_num(signals), -1, 1)
    samples = (signals[:, before] * (1 - part) + signals[:, before + 1] * part).reshape(n, 1, columns, inner)
    height = np.linspace(1, -1, rows)[:, None]
    half = 1 / (rows - 1)
    covered = (height <= np.maximum(samples.max(-1), 0) + half) & (height >= np.minimum(samples.min(-1), 0) - half)
    return np.where(covered, height, np.nan).astype(np.float32)[..., None]


def viewable(examples: np.ndarray, like: np.ndarray | None = None) -> np.ndarray:
    """Examples of any shape as pictures [n, H, W, 3] in [0, 1], laid out as ``plane`` and scaled as ``scale`` say.

    Args:
      examples: [n, h, w, c].
      like: examples whose scale they are shown at, such as the inputs of these outputs; themselves unless given.
    """
    like = examples if like is None else like
    h, w, c = examples.shape[1:]
    if h == 1 and w > 1 and c == 1:
        peak = np.abs(like).max(axis=(1, 2, 3), keepdims=True)
        return np.repeat(np.where(np.isnan(plane(examples / np.where(peak > 0, peak, 1))), 1.0, 0.25), 3, axis=-1)
    low, high = 0.0, 1.0
    if h == 1:
        low, high = (f(like, axis=(1, 2, 3), keepdims=True) for f in (np.min, np.max))
    elif scale(like):
        low, high = like.min(), like.max()
    pictures = plane((examples - low) / np.maximum(high - low, 1e-12))
    return rgb(pictures if h > 1 else np.nan_to_num(pictures, nan=1.0))


def scale(inputs: np.ndarray) -> str:
    """How ``viewable`` scales pictures to these inputs [n, h, w, c], in words; nothing for images in [0, 1]."""
    if inputs.shape[1] == 1:
        return "each pair on the scale of its input"
    low, high = float(inputs.min()), float(inputs.max())
    rounding = 1e-3  # of whitening undone
    return "" if low >= -rounding and high <= 1 + rounding else "contrast stretched to the range of the inputs"
