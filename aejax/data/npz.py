"""``npz:PATH``: the user's own arrays, as NumPy's ``savez`` writes them.

Keys of the file; images of train are the one that is needed:

=======  ===================================  ===================================
split    images                               labels (optional)
=======  ===================================  ===================================
train    images, train_images or x_train      labels, train_labels or y_train
valid    valid_images, val_images,            valid_labels, val_labels,
         x_valid or x_val                     y_valid or y_val
test     test_images or x_test                test_labels or y_test
=======  ===================================  ===================================

So the files that Keras and MedMNIST write are read as they are. ``classes``
(strings) may name the classes, and other keys are refused, lest a misspelt one
go unnoticed.

* Images are [n, h, w, c] or [n, h, w] (one channel); vectors [n, d] become [n, 1, d, 1].
* uint8 stays. Booleans become 0 and 255. Other integers become uint8 where all lie in 0..255, and are refused
  otherwise. Floats become float32 and must be finite; they are not scaled. Training images that are integers and
  never exceed 1 are refused: they look binary, and would be almost black on the scale 0..255.
* Labels are [n] or [n, 1] integers or strings. Without ``classes``, the classes are the distinct labels of all
  splits in ascending order, and each label becomes its place among them; with it, labels are those places.
"""

import os
import zipfile
import zlib
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from aejax.data.dataset import Source, Split, home, one_line
from aejax.errors import UserError

IMAGES = {
    "train": ("images", "train_images", "x_train"),
    "valid": ("valid_images", "val_images", "x_valid", "x_val"),
    "test": ("test_images", "x_test"),
}
LABELS = {
    "train": ("labels", "train_labels", "y_train"),
    "valid": ("valid_labels", "val_labels", "y_valid", "y_val"),
    "test": ("test_labels", "y_test"),
}


def read(data: ConfigDict, rest: str) -> Source:
    """The arrays of an .npz file; the module's docstring has the keys and types.

    Raises:
      UserError: the file is missing, corrupt or pickled, or its arrays are not as described.
    """
    path = home(rest)
    arrays = _load(path)
    image_keys = {part: _only(path, arrays, names) for part, names in IMAGES.items()}
    label_keys = {part: _only(path, arrays, names) for part, names in LABELS.items()}
    used = {*image_keys.values(), *label_keys.values(), "classes"}
    if unknown := sorted(arrays.keys() - used):
        every = [name for names in (*IMAGES.values(), *LABELS.values()) for name in names]
        raise UserError(f"{path}: unknown key {unknown[0]!r}; accepted: {', '.join(every)}, classes")
    if image_keys["train"] is None:
        raise UserError(f"{path}: no training images; accepted keys: {', '.join(IMAGES['train'])}")
    images = {p: _images(f"{path}: {key}", arrays[key]) for p, key in image_keys.items() if key}
    _alike(path, images, image_keys)
    if arrays[image_keys["train"]].dtype.kind in "ui" and images["train"].max() <= 1:
        raise UserError(
            f"{path}: {image_keys['train']} never exceeds 1 on the scale 0..255; store binary images as bool"
        )
    raw = {p: _raw_labels(f"{path}: {key}", arrays[key]) for p, key in label_keys.items() if key}
    if raw and raw.keys() != images.keys():
        odd = sorted(raw.keys() ^ images.keys())[0]
        raise UserError(f"{path}: {odd} has {'images' if odd in images else 'labels'} alone; label all splits or none")
    for part, values in raw.items():
        if len(values) != len(images[part]):
            raise UserError(f"{path}: {part} has {len(images[part])} images but {len(values)} labels")
    labels, classes = _classes(path, raw, arrays.get("classes"))
    return Source({part: Split(array, labels.get(part)) for part, array in images.items()}, classes)


def _load(path: Path) -> dict[str, np.ndarray]:
    if not os.path.isfile(path):
        raise UserError(f"data.name=npz:{path}: no such file")
    try:
        file = np.load(path, allow_pickle=False)
        if isinstance(file, np.ndarray):
            raise UserError(f"{path}: a single array; save it by numpy.savez(path, images=array)")
        with file:
            return {key: file[key] for key in file.files}
    except (OSError, EOFError, ValueError, KeyError, NotImplementedError, zlib.error, zipfile.BadZipFile) as error:
        if "pickle" in str(error).lower():
            raise UserError(f"{path}: holds pickled objects, which are not read; save plain arrays") from error
        raise UserError(f"{path}: not a readable .npz file ({one_line(error)})") from error


def _only(path: Path, arrays: dict, names: tuple[str, ...]) -> str | None:
    """The one key among its synonyms that the file has."""
    present = [name for name in names if name in arrays]
    if len(present) > 1:
        raise UserError(f"{path}: {' and '.join(present)} mean the same; keep one")
    return present[0] if present else None


def _images(where: str, array: np.ndarray) -> np.ndarray:
    """Any accepted array -> [n, h, w, c] uint8 or float32."""
    shape = array.shape
    match shape:
        case (n, d):
            shape = (n, 1, d, 1)
        case (_, _, _):
            shape = (*shape, 1)
        case (_, 1 | 3 as c, h, w) if h == w > 4:
            raise UserError(f"{where} is {shape}, channels first; store [n, h, w, c], here {(shape[0], h, w, c)}")
        case (_, _, _, _):
            pass
        case _:
            raise UserError(f"{where} has shape {shape}; accepted: [n, h, w, c], [n, h, w] or vectors [n, d]")
    if not array.size:
        raise UserError(f"{where} is empty: shape {array.shape}")
    return np.ascontiguousarray(_pixels(where, array)).reshape(shape)


def _pixels(where: str, array: np.ndarray) -> np.ndarray:
    kind = array.dtype.kind
    if kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    if kind in "ui":
        low, high = array.min(), array.max()
        if low < 0 or high > 255:
            raise UserError(
                f"{where} is {array.dtype} from {low} to {high}; integers must lie in 0..255, or scale to floats"
            )
        return array.astype(np.uint8, copy=False)
    if kind == "f":
        with np.errstate(over="ignore"):  # an overflow becomes infinite, which is told below
            floats = array.astype(np.float32, copy=False)
        _finite(where, floats)
        return floats
    raise UserError(f"{where} is {array.dtype}; accepted: bool, integers in 0..255, floats")


def _finite(where: str, array: np.ndarray) -> None:
    bad = ~np.isfinite(array)
    if count := np.count_nonzero(bad):
        first = tuple(int(i) for i in np.unravel_index(bad.argmax(), bad.shape))
        inside = np.count_nonzero(bad.reshape(len(bad), -1).any(axis=1))
        raise UserError(f"{where}: {count:,} NaN or infinite, in {inside:,} of the images; the first at {first}")


def _alike(path: Path, images: dict[str, np.ndarray], keys: dict[str, str]) -> None:
    """All splits as train: the same size of image, the same scale."""
    train = images["train"]
    for part, array in images.items():
        if array.shape[1:] != train.shape[1:] or array.dtype != train.dtype:
            raise UserError(
                f"{path}: {keys[part]} is {array.dtype} {array.shape[1:]} an image, "
                f"but {keys['train']} is {train.dtype} {train.shape[1:]}"
            )


def _raw_labels(where: str, array: np.ndarray) -> np.ndarray:
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or array.dtype.kind not in "buiU":
        raise UserError(f"{where} is {array.dtype} {array.shape}; labels must be integers or strings, [n]")
    return array if array.dtype.kind == "U" else array.astype(np.int64)


def _classes(path: Path, raw: dict[str, np.ndarray], names) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """(labels as [n] int32 a split, names of the classes)."""
    if not raw:
        return {}, ()
    if names is None:
        kinds = {array.dtype.kind == "U" for array in raw.values()}
        if len(kinds) > 1:
            raise UserError(f"{path}: labels are strings in one split and integers in another")
        distinct = np.unique(np.concatenate([np.unique(array) for array in raw.values()]))
        labels = {part: np.searchsorted(distinct, array).astype(np.int32) for part, array in raw.items()}
        return labels, tuple(str(value) for value in distinct.tolist())
    if names.ndim != 1 or names.dtype.kind != "U":
        raise UserError(f"{path}: classes is {names.dtype} {names.shape}; it must be strings, [number of classes]")
    for part, array in raw.items():
        if array.dtype.kind == "U" or (array.size and not 0 <= array.min() <= array.max() < len(names)):
            raise UserError(f"{path}: {part} labels must be integers from 0 to {len(names) - 1}, the places in classes")
    return {part: array.astype(np.int32) for part, array in raw.items()}, tuple(names.tolist())
