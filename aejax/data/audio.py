"""``audio:PATH``: recordings (WAV) in folders, or in an archive of them, as images of height 1.

How classes and splits are laid out: see ``tree``. A recording is read at full scale 1, its channels are averaged, it is
brought to ``data.rate`` samples a second by polyphase filtering, and cut at its end or padded there with zeros to
``data.seconds``. What ``data.features`` names, one of ``FEATURES``, makes the image [1, T, c] of it.
"""

import functools
import inspect
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from aejax.data import tree
from aejax.data.dataset import Source, Split, one_line
from aejax.errors import UserError

SUFFIXES = (".wav", ".wave")
RATES = (1000, 768_000)  # samples a second that a file or data.rate may have
HOP, WINDOW = 0.01, 0.025  # seconds from one frame of a spectrogram to the next, and that a frame sees
DECIBELS = 80.0  # from the quietest level that a spectrogram tells to full scale


def frames(samples: np.ndarray, rate: int) -> np.ndarray:
    """The samples themselves: [n, T] -> [n, T, 1], in [-1, 1]."""
    return samples[:, :, None]


def log_mel(samples: np.ndarray, rate: int, *, mels: int) -> np.ndarray:
    """Log-mel spectrograms: [n, T] samples -> [n, T // hop, mels], in [0, 1].

    Frame i is centred on sample (i + ½) · hop, with a hop of 10 ms, Hann windows of 25 ms, and zeros beyond both ends.
    Band j is a triangle over the power spectrum P; its corners are the j-th to (j+2)-th of mels + 2 points from 0 to
    rate / 2 that are equally far apart in mel, 2595 log10(1 + Hz / 700). P is scaled so that the bands of a sine of
    amplitude 1 add up to 1, which is 0 dB, and ::

        value = clip(1 + 10 log10(Σ_k triangle_jk P_k) / 80, 0, 1)

    so that 0.75 is −20 dB, and silence is 0.
    """
    hop, size = round(HOP * rate), round(WINDOW * rate)
    window = np.hanning(size + 1)[:-1]
    points = 2 ** math.ceil(math.log2(2 * size))  # twice as fine as the window needs, for the narrow low bands
    left = (size - hop) // 2
    padded = np.pad(samples, ((0, 0), (left, size)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, size, axis=1)[:, ::hop][:, : samples.shape[1] // hop]
    power = np.abs(np.fft.rfft(windows * window, points)) ** 2 * (4 / (points * np.sum(window**2)))
    bands = np.tensordot(power, _triangles(rate, points, mels), axes=(2, 1))  # one product, not one a recording
    decibels = 10 * np.log10(np.maximum(bands, 10 ** (-DECIBELS / 10)))
    return np.clip(1 + decibels / DECIBELS, 0, 1).astype(np.float32)


FEATURES = {"frames": frames, "log_mel": log_mel}


def read(data: ConfigDict, rest: str) -> Source:
    """Recordings by class; the module's docstring has the rules.

    Raises:
      UserError: a key is out of range, the folder is missing or empty, or a recording is unreadable.
    """
    check(data)
    found = tree.walk("audio", rest, SUFFIXES, "WAV recordings")
    images = from_raw(data, {}, found.files)
    return Source(found.divide(lambda rows, labels: Split(images[rows], labels)), found.classes)


def from_raw(data: Mapping, reading: Mapping, raw: Sequence[str | Path]) -> np.ndarray:
    """Paths of recordings -> images [n, 1, T, c] float32.

    Raises:
      UserError: names a recording that cannot be read.
    """
    if isinstance(raw, str | Path):
        raise UserError(f"{raw}: a list of recordings is wanted, not one")
    if not raw:
        raise UserError("no recordings in the list")
    length = round(data["rate"] * data["seconds"])
    keys = {"mels": data["mels"]} if "mels" in _keys(data["features"]) else {}

    samples = _room((len(raw), length))

    def put(i: int) -> None:
        samples[i] = load(Path(raw[i]), data["rate"], length)

    with _truncation_is_an_error():
        tree.fill(len(raw), put)
    extract = functools.partial(FEATURES[data["features"]], rate=data["rate"], **keys)
    shape = extract(samples[:1]).shape[1:]
    images = _room((len(raw), 1, *shape))
    for start in range(0, len(raw), tree.CHUNK):
        rows = slice(start, start + tree.CHUNK)
        images[rows, 0] = extract(samples[rows])
    return images


def load(path: Path, rate: int, length: int) -> np.ndarray:
    """A WAV file -> [length] float32 samples in [-1, 1] at this rate, one channel.

    Raises:
      UserError: names the file, which cannot be read.
    """
    from scipy.io import wavfile
    from scipy.signal import resample_poly

    try:
        its_rate, samples = wavfile.read(path)
    except Exception as error:  # damaged headers fail in many ways
        raise UserError(f"{path}: not a readable WAV file ({one_line(error)})") from error
    if not RATES[0] <= its_rate <= RATES[1]:
        raise UserError(f"{path}: {its_rate} samples a second; accepted: {RATES[0]:,} to {RATES[1]:,}")
    if not len(samples):
        raise UserError(f"{path}: holds no samples")
    divisor = math.gcd(rate, its_rate)
    up, down = rate // divisor, its_rate // divisor
    reach = 10 * max(up, down) // up + 1  # of the resampling filter, in the file's samples
    samples = _full_scale(samples[: math.ceil(length * its_rate / rate) + reach])
    if not np.isfinite(samples).all():
        raise UserError(f"{path}: holds samples that are NaN or infinite")
    if samples.ndim == 2:
        samples = samples.mean(axis=1)
    if up != down:
        samples = resample_poly(samples, up, down)
    samples = np.clip(samples[:length], -1, 1).astype(np.float32)  # filters overshoot; floats may be louder
    return np.pad(samples, (0, length - len(samples)))


def check(data: ConfigDict) -> None:
    """Refuses keys out of range, and bands that are too narrow.

    Raises:
      UserError: names the key.
    """
    if data.features not in FEATURES:
        raise UserError(f"data.features={data.features!r}: accepted: {', '.join(FEATURES)}")
    if not RATES[0] <= data.rate <= RATES[1]:
        raise UserError(f"data.rate={data.rate}: samples a second, {RATES[0]:,} to {RATES[1]:,}")
    if not HOP <= data.seconds < math.inf:
        raise UserError(f"data.seconds={data.seconds}: at least {HOP}")
    if data.mels < 1:
        raise UserError(f"data.mels={data.mels}: a number of bands, at least 1")
    if "mels" in _keys(data.features):
        points = 2 ** math.ceil(math.log2(2 * round(WINDOW * data.rate)))
        if not _triangles(data.rate, points, data.mels).any(axis=1).all():
            raise UserError(f"data.mels={data.mels}: bands too narrow for data.rate={data.rate}; take fewer")


def _keys(features: str) -> set[str]:
    """What a function of ``FEATURES`` reads beside samples and rate."""
    return set(inspect.signature(FEATURES[features]).parameters)


def _room(shape: tuple[int, ...]) -> np.ndarray:
    try:
        return np.empty(shape, np.float32)
    except MemoryError as error:
        size = math.prod(shape) * 4 / 2**30
        raise UserError(f"{shape[0]:,} recordings need {size:,.0f} GiB of memory; lower data.seconds") from error


def _full_scale(samples: np.ndarray) -> np.ndarray:
    """Samples of any WAV type -> float64, full scale 1. (SciPy puts 24 bits into the upper ones of 32.)"""
    if samples.dtype.kind == "f":
        return samples.astype(np.float64)
    half = 2.0 ** (8 * samples.dtype.itemsize - 1)
    zero = half if samples.dtype.kind == "u" else 0  # 8 bits are unsigned
    return (samples - zero) / half


@functools.cache
def _triangles(rate: int, points: int, mels: int) -> np.ndarray:
    """Weights of the power spectrum's bins in each band: [mels, points // 2 + 1]."""
    corners = 700 * (10 ** (np.linspace(0, 2595 * math.log10(1 + rate / 1400), mels + 2) / 2595) - 1)
    low, centre, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    hertz = np.fft.rfftfreq(points, 1 / rate)[None]
    return np.maximum(0, np.minimum((hertz - low) / (centre - low), (high - hertz) / (high - centre)))


@contextmanager
def _truncation_is_an_error() -> Iterator[None]:
    """SciPy warns of a file that ends early; and of chunks that it skips, which do not matter."""
    from scipy.io.wavfile import WavFileWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WavFileWarning)
        warnings.filterwarnings("error", message="Reached EOF prematurely")
        yield
