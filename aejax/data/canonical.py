"""The canonical sets: MNIST, Fashion-MNIST, Kuzushiji-MNIST and CIFAR-10.

Each is looked for in a list of places, and downloaded into the project's cache
where none has it. In every place its files may lie in a sub-folder named like
the set or directly, gzipped or not. What is found is checked by shape and
count, and for the three look-alikes also by a fingerprint of the labels.
"""

import dataclasses
import os
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from aejax.data import binary, download
from aejax.data.dataset import Source, Split, cache, home, one_line
from aejax.errors import UserError

SYSTEM = Path("/usr/share/datasets")  # where Debian's dataset-* packages put theirs

Arrays = dict[str, tuple[np.ndarray, np.ndarray]]  # split -> (images, labels), as they lie in the files


def _read_idx(paths: Sequence[Path]) -> Arrays:
    images, labels, test_images, test_labels = paths
    return {
        "train": (binary.read_idx(images, 3), binary.read_idx(labels, 1)),
        "test": (binary.read_idx(test_images, 3), binary.read_idx(test_labels, 1)),
    }


def _read_keras(paths: Sequence[Path]) -> Arrays:
    try:
        with np.load(paths[0], allow_pickle=False) as file:
            return {part: (file[f"x_{part}"], file[f"y_{part}"]) for part in ("train", "test")}
    except (*binary.BROKEN, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{paths[0]}: truncated or corrupt ({one_line(error)})") from error


CIFAR_TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
CIFAR_TEST = ("test_batch.bin",)


def _read_cifar_files(paths: Sequence[Path]) -> Arrays:
    return {"train": binary.read_cifar_files(paths[:-1]), "test": binary.read_cifar_files(paths[-1:])}


def _read_cifar_archive(paths: Sequence[Path]) -> Arrays:
    train, test = binary.read_cifar_archive(paths[0], CIFAR_TRAIN, CIFAR_TEST)
    return {"train": train, "test": test}


@dataclasses.dataclass(frozen=True)
class Layout:
    """One of the forms that a set is distributed in: files that lie together, and who reads them."""

    files: tuple[str, ...]
    read: Callable[[Sequence[Path]], Arrays]


IDX = Layout(
    ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
    _read_idx,
)
KERAS = Layout(("mnist.npz",), _read_keras)
CIFAR_FILES = Layout((*CIFAR_TRAIN, *CIFAR_TEST), _read_cifar_files)
CIFAR_ARCHIVE = Layout(("cifar-10-binary.tar.gz",), _read_cifar_archive)


@dataclasses.dataclass(frozen=True)
class Canonical:
    """What is known of a set.

    Attributes:
      folders: names that its sub-folder has (torchvision's among them).
      layouts: forms to look for, the preferred one first.
      mirrors: URLs of folders that hold ``hashes``' files.
      hashes: the files to download, of one of the layouts: name -> SHA-256.
      shape: of an image, (h, w, c).
      counts: examples in train and test.
      classes: names of the classes.
      fingerprint: CRC-32 of the training labels, where files could be taken for another set's; or 0.
      ways_out: where else the set can be had, for whoever is offline.
    """

    folders: tuple[str, ...]
    layouts: tuple[Layout, ...]
    mirrors: tuple[str, ...]
    hashes: dict[str, str]
    classes: tuple[str, ...]
    shape: tuple[int, int, int] = (28, 28, 1)
    counts: tuple[int, int] = (60_000, 10_000)
    fingerprint: int = 0
    ways_out: tuple[str, ...] = ()


def _idx_hashes(*hashes: str) -> dict[str, str]:
    return {f"{file}.gz": sha256 for file, sha256 in zip(IDX.files, hashes, strict=True)}


SETS: dict[str, Canonical] = {
    "mnist": Canonical(
        folders=("mnist", "MNIST/raw", "MNIST"),
        layouts=(IDX, KERAS),
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        hashes=_idx_hashes(
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
        classes=tuple("0123456789"),
        fingerprint=3121080559,
    ),
    "fashion_mnist": Canonical(
        folders=("fashion_mnist", "fashion-mnist", "FashionMNIST/raw", "FashionMNIST"),
        layouts=(IDX,),
        mirrors=(
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ),
        hashes=_idx_hashes(
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
        classes=("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat")
        + ("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        fingerprint=785835114,
        ways_out=("on Debian and Ubuntu: apt install dataset-fashion-mnist",),
    ),
    "kmnist": Canonical(
        folders=("kmnist", "KMNIST/raw", "KMNIST"),
        layouts=(IDX,),
        mirrors=("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
        hashes=_idx_hashes(
            "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
            "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
            "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
            "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
        ),
        classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    ),
    "cifar10": Canonical(
        folders=("cifar10", "cifar-10-batches-bin", "cifar-10", "CIFAR10"),
        layouts=(CIFAR_ARCHIVE, CIFAR_FILES),
        mirrors=("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/"),
        hashes={"cifar-10-binary.tar.gz": "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"},
        shape=(32, 32, 3),
        counts=(50_000, 10_000),
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    ),
}


def read(name: str, data: ConfigDict) -> Source:
    """A canonical set, found on this machine or downloaded: train and test, uint8 images.

    Looked for, in this order: ``data.dir``, $AEJAX_DATA, the project's cache ($XDG_CACHE_HOME or ~/.cache,
    aejax), Keras's cache, torchvision's usual roots (./data, ../data, ~/data), Debian's packages.

    Raises:
      UserError: not found and not to be downloaded (the ways out are named), or a file is damaged.
    """
    known = SETS[name]
    layout, paths = find(known, places(data.dir)) or _download(name, known)
    return _checked(name, known, layout.read(paths), paths[0].parent)


def places(folder: str) -> list[Path]:
    """Where sets are looked for, ``data.dir`` first.

    Raises:
      UserError: ``data.dir`` is set, but is no folder.
    """
    if folder and not os.path.isdir(home(folder)):
        raise UserError(f"data.dir={folder}: no such folder")
    keras = os.path.join(os.environ.get("KERAS_HOME") or "~/.keras", "datasets")
    torchvision = ("data", "../data", "~/data")
    candidates = (folder, os.environ.get("AEJAX_DATA"), cache(), keras, *torchvision, SYSTEM)
    return [home(place) for place in candidates if place]


def find(known: Canonical, roots: Sequence[Path]) -> tuple[Layout, list[Path]] | None:
    """The first place that holds a whole layout: (the layout, its files), or None.

    Sub-folders come before files that lie directly in a place: three of the sets share their file names.
    """
    for root in roots:
        for folder in (*known.folders, "."):
            for layout in known.layouts:
                paths = [_file(root / folder, file) for file in layout.files]
                if all(paths):
                    return layout, paths
    return None


def _file(folder: Path, name: str) -> Path | None:
    """The file under any of the names that it goes by: gzipped or not, and train-images.idx3-ubyte."""
    dotted = name.replace("-idx", ".idx")
    return next(
        (path for n in (name, dotted) for path in (folder / n, folder / f"{n}.gz") if os.path.isfile(path)), None
    )


def _download(name: str, known: Canonical) -> tuple[Layout, list[Path]]:
    folder = cache() / name
    try:
        for file, sha256 in known.hashes.items():
            download.fetch(file, sha256, known.mirrors, folder)
    except download.DownloadError as error:
        files = ", ".join(known.hashes)
        ways = (
            f"put {files} into {folder} or name their folder by --config.data.dir=FOLDER",
            *known.ways_out,
            "without any download: --config.data.name=mnist5k",
        )
        raise UserError(
            f"data.name={name}: not found on this machine, and not to be downloaded ({error}). Ways out: "
            + "; ".join(f"({i}) {way}" for i, way in enumerate(ways, 1))
        ) from error
    return find(known, [cache()])


def _checked(name: str, known: Canonical, arrays: Arrays, folder: Path) -> Source:
    fingerprint = zlib.crc32(np.ascontiguousarray(arrays["train"][1], np.uint8))
    for other, its in SETS.items():
        if other != name and its.fingerprint and its.fingerprint == fingerprint:
            raise UserError(f"data.name={name}: the files in {folder} are those of {other}")
    parts = {}
    for (part, (images, labels)), count in zip(arrays.items(), known.counts, strict=True):
        shape = (count, *known.shape)
        if images.dtype != np.uint8 or images.size != np.prod(shape) or images.shape[:3] != shape[:3]:
            raise UserError(f"data.name={name}: {part} images in {folder} are {images.shape} instead of {shape}")
        if labels.shape != (count,) or labels.max() >= len(known.classes):
            raise UserError(f"data.name={name}: {part} labels in {folder} are not {count} numbers from 0 to 9")
        parts[part] = Split(np.ascontiguousarray(images).reshape(shape), labels.astype(np.int32))
    return Source(parts, known.classes)
