"""What nets are trained on: the train split of a set at hand, or generated examples of the shape and type of another.

Speed does not depend on what the pixels are; the losses of different frameworks are compared on the same ones.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from aejax import data
from aejax.bench import nets
from aejax.data import Split, audio, transforms
from aejax.errors import UserError

EXAMPLES = 60_000  # a smaller split is repeated to about so many, so that an epoch is as long as MNIST's,
BYTES = 2**28  # or to so many bytes as float32
MADE = 2_000  # examples that are generated, before they are repeated
CLASSES = 10


@dataclass(frozen=True)
class Examples:
    """Examples that a net is trained on: raw images [n, h, w, c], labels [n] int32 or None, and the classes' names."""

    images: np.ndarray
    labels: np.ndarray | None
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Saved:
    """The same as .npy files that workers read, and the mean image where the config takes it off, or None."""

    count: int
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    images: Path
    labels: Path | None
    mean: Path | None

    def paths(self) -> dict[str, str | None]:
        """By the names that a worker knows them by."""
        found = {"images": self.images, "labels": self.labels, "mean": self.mean}
        return {name: str(path) if path else None for name, path in found.items()}


def load(config: ConfigDict, repeated: bool = True) -> Examples:
    """The train split, shuffled, and repeated where there are few.

    Args:
      config: whose data.
      repeated: whether few are repeated, for an epoch as long as MNIST's; else each comes once.

    Raises:
      UserError: the data cannot be found or read, or are fewer than a batch.
    """
    if nets.generated(config.data.name):
        images, labels = GENERATORS[config.data.name.removeprefix(nets.GENERATED)](config.data)
        classes = tuple(map(str, range(CLASSES)))
    else:
        dataset = data.load(config.data)
        images, labels, classes = dataset.train.images, dataset.train.labels, dataset.classes
    order = np.random.default_rng(0).permutation(len(images))
    repeats = max(1, min(EXAMPLES, BYTES // (4 * images[0].size)) // len(images)) if repeated else 1
    batch, most = config.train.batch_size, repeats * len(images)
    if batch > most:
        raise UserError(f"a batch of {batch} and data {config.data.name}; accepted: batches to {most}")
    labels = None if labels is None else np.tile(labels[order], repeats)
    return Examples(np.tile(images[order], (repeats, 1, 1, 1)), labels, classes)


def save(config: ConfigDict, folder: Path, repeated: bool = True) -> Saved:
    """The config's examples as files in the folder; labels where its model reads them, the mean where it is taken off.

    Args:
      config: whose data.
      folder: where to.
      repeated: as ``load`` has it.

    Raises:
      UserError: the data cannot be found or read.
    """
    found = load(config, repeated)
    statistics = {}
    if config.data.whiten == "centred":
        statistics = transforms.fit(Split(found.images), config.data)

    def written(name: str, array: np.ndarray | None) -> Path | None:
        if array is not None:
            np.save(folder / f"{name}.npy", array)
        return None if array is None else folder / f"{name}.npy"

    labels = found.labels if config.model == "classifier" else None
    paths = [written("images", found.images), written("labels", labels), written("mean", statistics.get("mean"))]
    return Saved(len(found.images), found.images.shape[1:], found.classes, *paths)


# -- generated examples: (the section data of a config) -> images, labels


def _recordings(section: Mapping) -> tuple[np.ndarray, np.ndarray]:
    """A class is a pitch; each recording two partials of it under noise, through the config's own features."""
    rng, labels = _drawn()
    time = np.arange(round(section["rate"] * section["seconds"])) / section["rate"]
    pitch = (200 + 40 * labels + rng.normal(0, 5, MADE))[:, None]
    samples = sum(np.sin(2 * np.pi * partial * pitch * time) / partial for partial in (1, 3)) / 4
    samples = (samples + rng.normal(0, 0.02, samples.shape)).astype(np.float32)
    extract = audio.FEATURES[section["features"]]
    mels = {"mels": section["mels"]} if section["features"] == "log_mel" else {}
    parts = [extract(rows, section["rate"], **mels) for rows in np.array_split(samples, 20)]
    return np.ascontiguousarray(np.concatenate(parts)[:, None], np.float32), labels


def _documents(section: Mapping) -> tuple[np.ndarray, np.ndarray]:
    """Counts of words: a class is a mixture of frequencies that fall as Zipf's, a document has 100 words or so."""
    rng, labels = _drawn()
    words = section["words"]
    frequency = np.stack([rng.permutation(1 / np.arange(1, words + 1)) for _ in range(CLASSES)])
    frequency = 100 * frequency / frequency.sum(axis=1, keepdims=True)
    return rng.poisson(frequency[labels]).astype(np.float32)[:, None, None], labels


def _photographs(section: Mapping) -> tuple[np.ndarray, np.ndarray]:
    """Colour images 32x32: a class is a wave across the image, under noise."""
    rng, labels = _drawn()
    row, column = np.mgrid[:32, :32] / 32
    angle, phase = np.pi * labels / CLASSES, rng.uniform(0, 2 * np.pi, (MADE, 3))
    along = np.cos(angle)[:, None, None] * row + np.sin(angle)[:, None, None] * column
    wave = np.sin(2 * np.pi * 3 * along[..., None] + phase[:, None, None])
    noisy = 127.5 + 90 * wave + rng.normal(0, 10, (MADE, 32, 32, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8), labels


def _drawn() -> tuple[np.random.Generator, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng, rng.integers(0, CLASSES, MADE).astype(np.int32)


GENERATORS: dict[str, Callable] = {"audio": _recordings, "text": _documents, "cifar10": _photographs}
