"""audio: recordings of any rate and width, as samples and as log-mel spectrograms."""

import io
import tarfile
import wave

import numpy as np
import pytest
from scipy.io import wavfile
from scipy.signal import resample_poly

from aejax.data import audio, from_raw, load
from aejax.errors import UserError
from configs.base import base


def config(name, **keys):
    data = base().data
    data.name, data.test, data.valid = name, 0.0, 0.0
    data.update(keys)
    return data


def read(folder, **keys):
    return load(config(f"audio:{folder}", **keys))


def refusal(folder, **keys):
    with pytest.raises(UserError) as caught:
        read(folder, **keys)
    message = str(caught.value)
    assert message and "\n" not in message
    return message


def sine(hertz, rate=8000, seconds=1.0, amplitude=0.5):
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)


def save(path, samples, rate=8000):
    path.parent.mkdir(parents=True, exist_ok=True)
    wavfile.write(path, rate, samples)
    return path


def pcm16(samples):
    return np.round(samples * 32768).clip(-32768, 32767).astype(np.int16)


def test_classes_splits_and_shapes(tmp_path):
    for i in range(10):
        save(tmp_path / "high" / f"{i}.wav", pcm16(sine(1000)))
        save(tmp_path / "low" / f"{i}.WAV", pcm16(sine(100)))
    (tmp_path / "low" / "notes.txt").write_text("not a recording")
    data = load(config(f"audio:{tmp_path}", test=0.2, valid=0.1))
    assert data.shape == (1, 100, 32) and data.classes == ("high", "low")
    assert [len(part) for part in (data.train, data.valid, data.test)] == [14, 2, 4]
    assert data.train.images.dtype == np.float32 and np.bincount(data.test.labels).tolist() == [2, 2]
    low, high = (data.train.images[data.train.labels == label].mean((0, 1, 2)).argmax() for label in (1, 0))
    assert low < high


def test_given_splits_and_no_classes(tmp_path):
    for part in ("train", "test"):
        save(tmp_path / "a" / part / "1.wav", pcm16(sine(100)))
    data = read(tmp_path / "a", features="frames", seconds=0.5)
    assert data.shape == (1, 4000, 1) and (len(data.train), len(data.test)) == (1, 1) and data.train.labels is None


# ---- samples


def test_frames_are_the_samples(tmp_path):
    x = pcm16(sine(440, amplitude=1.0))
    save(tmp_path / "1.wav", x)
    images = read(tmp_path, features="frames").train.images
    assert images.shape == (1, 1, 8000, 1) and images.dtype == np.float32
    assert np.array_equal(images[0, 0, :, 0], x / np.float32(32768))


def wide(path, samples, rate=8000):
    """24 bits a sample, which SciPy does not write."""
    raw = np.round(samples * 2**23).astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(3)
        file.setframerate(rate)
        file.writeframes(raw)


WIDTHS = {
    "8 bits": (lambda x: np.round(x * 128 + 128).astype(np.uint8), 1 / 128),
    "16 bits": (pcm16, 1 / 32768),
    "32 bits": (lambda x: (x * 2**31).astype(np.int32), 1e-7),
    "float": (lambda x: x.astype(np.float32), 1e-7),
    "double": (lambda x: x, 1e-7),
}


@pytest.mark.parametrize("width", [*WIDTHS, "24 bits"])
def test_every_width_has_the_same_full_scale(tmp_path, width):
    x = sine(440)
    if width == "24 bits":
        wide(tmp_path / "1.wav", x)
        tolerance = 2**-22
    else:
        convert, tolerance = WIDTHS[width]
        save(tmp_path / "1.wav", convert(x))
    got = read(tmp_path, features="frames").train.images.ravel()
    assert np.abs(got - x).max() <= tolerance and abs(got.mean()) < 1e-4


def test_channels_are_averaged(tmp_path):
    left, right = sine(440), sine(100, amplitude=0.2)
    save(tmp_path / "1.wav", pcm16(np.stack([left, right], 1)))
    got = read(tmp_path, features="frames").train.images.ravel()
    assert np.abs(got - (left + right) / 2).max() < 1e-4


@pytest.mark.parametrize("rate", [4000, 11_025, 16_000, 44_100, 48_000])
def test_other_rates_are_resampled(tmp_path, rate):
    save(tmp_path / "1.wav", sine(440, rate), rate)
    got = read(tmp_path, features="frames").train.images.ravel()
    assert got.shape == (8000,) and np.abs(got - sine(440))[100:-100].max() < 5e-3


def test_resampling_takes_away_what_the_rate_cannot_hold(tmp_path):
    save(tmp_path / "1.wav", sine(6000, 16_000), 16_000)
    got = read(tmp_path, features="frames").train.images.ravel()
    assert np.abs(got[100:-100]).max() < 1e-2  # plain decimation would fold it to 2000 Hz


def test_long_is_cut_and_short_is_padded(tmp_path):
    save(tmp_path / "1.wav", sine(440, seconds=3.0))
    save(tmp_path / "2.wav", sine(440, seconds=0.25))
    long, short = read(tmp_path, features="frames").train.images[:, 0, :, 0]
    assert np.allclose(long, sine(440), atol=1e-6)
    assert np.allclose(short[:2000], sine(440)[:2000], atol=1e-6) and not short[2000:].any()


def test_a_long_one_is_resampled_as_if_whole(tmp_path):
    """Only its beginning is resampled, and as much more as the filter sees."""
    x = sine(440, 44_100, 3.0)
    save(tmp_path / "1.wav", x, 44_100)
    got = read(tmp_path, features="frames").train.images.ravel()
    np.testing.assert_allclose(got, resample_poly(x, 80, 441)[:8000], atol=1e-6)


def test_louder_than_full_scale_is_clipped(tmp_path):
    save(tmp_path / "1.wav", sine(440, amplitude=3.0).astype(np.float32))
    images = read(tmp_path, features="frames").train.images
    assert images.max() == 1 and images.min() == -1


# ---- spectrograms


def centres(mels, rate):
    """Middle of each band in Hz, by the formula of the docstring."""
    top = 2595 * np.log10(1 + rate / 2 / 700)
    return 700 * (10 ** (np.arange(1, mels + 1) * top / (mels + 1) / 2595) - 1)


@pytest.mark.parametrize("hertz", [150, 440, 1000, 3300])
@pytest.mark.parametrize(("rate", "mels"), [(8000, 32), (16_000, 64)])
def test_a_sine_peaks_in_its_band(tmp_path, hertz, rate, mels):
    save(tmp_path / "1.wav", sine(hertz, 22_050), 22_050)
    image = read(tmp_path, rate=rate, mels=mels).train.images[0, 0]
    assert image.shape == (100, mels)
    assert (image[5:-5].argmax(1) == np.abs(centres(mels, rate) - hertz).argmin()).all()


def test_values_are_decibels_of_full_scale():
    for amplitude in (1.0, 0.1, 0.01):
        values = audio.log_mel(sine(1000, amplitude=amplitude)[None], 8000, mels=32)[0, 5:-5]
        power = (10 ** (8 * (values.astype(np.float64) - 1)) * (values > 0)).sum(1)
        np.testing.assert_allclose(10 * np.log10(power), 20 * np.log10(amplitude), atol=0.05)


def test_silence_is_nothing_and_noise_is_in_range(rng):
    assert not audio.log_mel(np.zeros((1, 800), np.float32), 8000, mels=32).any()
    values = audio.log_mel(rng.uniform(-1, 1, (3, 8000)), 8000, mels=32)
    assert values.dtype == np.float32 and values.min() > 0.2 and 0.85 < values.max() <= 1


def test_frames_lie_where_their_sound_is():
    click = np.zeros((1, 8000), np.float32)
    click[0, 80 * 40 + 40] = 1  # the middle of frame 40
    heard = audio.log_mel(click, 8000, mels=8)[0].max(1)
    assert heard.argmax() == 40 and np.flatnonzero(heard).tolist() == [39, 40, 41]
    assert np.allclose(heard[39], heard[41], atol=1e-3)


def test_spectrograms_do_not_depend_on_their_neighbours(rng):
    samples = rng.uniform(-1, 1, (3, 1000))
    together = audio.log_mel(samples, 8000, mels=16)
    alone = np.concatenate([audio.log_mel(one[None], 8000, mels=16) for one in samples])
    np.testing.assert_allclose(together, alone, atol=1e-6)


# ---- what goes wrong


def damaged():
    file = io.BytesIO()
    wavfile.write(file, 8000, pcm16(sine(440)))
    whole = file.getvalue()
    return {
        "cut in the samples": whole[:2000],
        "cut in a sample": whole[:2001],
        "cut in the header": whole[:20],
        "without samples": whole[:44],
        "empty": b"",
        "text": b"hello" * 20,
        "without channels": whole[:22] + b"\0\0" + whole[24:],
        "of no rate": whole[:24] + bytes(8) + whole[32:],
        "of another coding": whole[:20] + b"\7\0" + whole[22:],
    }


@pytest.mark.parametrize("how", damaged())
def test_bad_recordings_are_named(tmp_path, how):
    save(tmp_path / "a" / "1.wav", pcm16(sine(440)))
    bad = tmp_path / "a" / "2.wav"
    bad.write_bytes(damaged()[how])
    assert refusal(tmp_path).startswith(f"{bad}: ")


def test_samples_that_mean_nothing(tmp_path):
    bad = save(tmp_path / "1.wav", np.full(100, np.nan, np.float32))
    assert f"{bad}: holds samples that are NaN" in refusal(tmp_path)
    bad = save(tmp_path / "1.wav", np.zeros(0, np.int16))
    assert f"{bad}: holds no samples" in refusal(tmp_path)
    bad = save(tmp_path / "1.wav", pcm16(sine(440)), 10)
    assert f"{bad}: 10 samples a second" in refusal(tmp_path)


def test_chunks_of_other_things_do_not_matter(tmp_path):
    path = save(tmp_path / "1.wav", pcm16(sine(440)))
    raw = path.read_bytes() + b"LIST\4\0\0\0abcdodd \4\0\0\0abcd"
    path.write_bytes(raw[:4] + (len(raw) - 8).to_bytes(4, "little") + raw[8:])
    assert len(read(tmp_path).train) == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rate", 0),
        ("rate", 999),
        ("rate", 10**6),
        ("seconds", 0.0),
        ("seconds", float("nan")),
        ("seconds", float("inf")),
    ]
    + [("mels", 0), ("mels", 400), ("features", "mfcc")],
)
def test_keys_out_of_range(tmp_path, key, value):
    save(tmp_path / "1.wav", pcm16(sine(440)))
    message = refusal(tmp_path, **{key: value})
    assert message.startswith(f"data.{key}={value!r}: ")


def test_folders_without_recordings(tmp_path):
    (tmp_path / "a").mkdir()
    assert "no WAV recordings in this folder" in refusal(tmp_path / "a")
    assert refusal(tmp_path / "none").startswith("data.name=audio:")


def test_more_recordings_than_memory(monkeypatch):
    def full(*args):
        raise MemoryError

    monkeypatch.setattr(audio.np, "empty", full)
    with pytest.raises(UserError, match="lower data.seconds"):
        audio._room((10**9, 1, 100, 32))


def test_an_archive_of_recordings(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    for name in ("0", "1"):
        save(tmp_path / "spoken" / name / "a.wav", pcm16(sine(440)))
    with tarfile.open(tmp_path / "spoken.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "spoken", "spoken")
    data = read(tmp_path / "spoken.tar.gz")
    assert data.classes == ("0", "1") and data.shape == (1, 100, 32)
    assert np.array_equal(data.train.images, read(tmp_path / "spoken").train.images)


def test_raw_recordings_by_their_paths(tmp_path):
    paths = [save(tmp_path / "a" / f"{i}.wav", pcm16(sine(200 * i))) for i in (1, 2)]
    data = read(tmp_path)
    settings = config(f"audio:{tmp_path}")
    assert np.array_equal(from_raw(settings, data.reading, paths), data.train.images)
    assert np.array_equal(from_raw(settings, {}, [str(paths[1])]), data.train.images[1:])
    for raw in ([], str(paths[0])):
        with pytest.raises(UserError):
            from_raw(settings, {}, raw)
