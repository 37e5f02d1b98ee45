"""The user's own data: arrays (npz:), image folders (folder:) and prepared tensorflow-datasets (tfds:)."""

import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from aejax.data import load, pixels, records, tfds, tree
from aejax.errors import UserError
from configs.base import base

RAMP = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3) * 10  # [n, h, w]


def read(name, **keys):
    """A set as the user gets it; nothing is cut off unless asked."""
    data = base().data
    data.name, data.test, data.valid = name, 0.0, 0.0
    data.update(keys)
    return load(data)


def refusal(name, **keys):
    with pytest.raises(UserError) as caught:
        read(name, **keys)
    message = str(caught.value)
    assert message and "\n" not in message
    return message


# ---- npz


def npz(tmp_path, **arrays):
    np.savez(tmp_path / "own.npz", **arrays)
    return f"npz:{tmp_path / 'own.npz'}"


def test_npz_images_alone(tmp_path):
    data = read(npz(tmp_path, images=RAMP))
    assert data.shape == (4, 3, 1) and data.train.images.dtype == np.uint8
    assert np.array_equal(data.train.images[..., 0], RAMP)
    assert data.train.labels is None and data.classes == ()


@pytest.mark.parametrize(
    "keys",
    [
        ("images", "labels", "valid_images", "valid_labels", "test_images", "test_labels"),
        ("x_train", "y_train", "x_valid", "y_valid", "x_test", "y_test"),
        ("train_images", "train_labels", "val_images", "val_labels", "test_images", "test_labels"),
    ],
)
def test_npz_keys_of_splits(tmp_path, keys):
    arrays = {}
    for i, key in enumerate(keys):
        arrays[key] = np.array([[0], [2]]) if i % 2 else np.full((2, 4, 3, 2), i + 10, np.uint8)
    data = read(npz(tmp_path, **arrays))
    assert [part.images.max() for part in (data.train, data.valid, data.test)] == [10, 12, 14]
    assert data.test.labels.tolist() == [0, 1] and data.classes == ("0", "2")
    assert data.shape == (4, 3, 2)


def test_npz_cuts_what_is_missing(tmp_path):
    name = npz(tmp_path, images=np.arange(40, dtype=np.uint8).reshape(20, 2), labels=np.arange(20) % 2)
    data = read(name, test=0.2, valid=0.25)
    assert [len(part) for part in (data.train, data.valid, data.test)] == [12, 4, 4]
    assert data.shape == (1, 2, 1)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.array([[[True, False]]]), np.array([[[255, 0]]], np.uint8)),
        (np.array([[[0, 255]]], np.int64), np.array([[[0, 255]]], np.uint8)),
        (np.array([[[0, 7]]], np.uint16), np.array([[[0, 7]]], np.uint8)),
        (np.array([[[0.25, -3.0]]], np.float64), np.array([[[0.25, -3.0]]], np.float32)),
        (np.array([[[0.5, 1.0]]], np.float16), np.array([[[0.5, 1.0]]], np.float32)),
        (np.array([[[0.1, 300.0]]], ">f4"), np.array([[[0.1, 300.0]]], np.float32)),
    ],
)
def test_npz_types(tmp_path, given, expected):
    images = read(npz(tmp_path, images=given)).train.images
    assert images.dtype == expected.dtype and images.dtype.isnative and np.array_equal(images[..., 0], expected)


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"images": np.array([[[0, 256]]])}, "int64 from 0 to 256"),
        ({"images": np.array([[[-1, 5]]])}, "int64 from -1 to 5"),
        ({"images": np.array([[[0, 1]]], np.uint8)}, "store binary images as bool"),
        ({"images": np.zeros((2, 2, 2), np.complex64)}, "complex64"),
        ({"images": np.array([[["a"]]])}, "<U1"),
        ({"images": np.zeros(5, np.float32)}, "shape (5,)"),
        ({"images": np.zeros((1, 2, 2, 3, 1), np.float32)}, "shape (1, 2, 2, 3, 1)"),
        ({"images": np.zeros((0, 2, 2), np.uint8)}, "empty"),
        ({"images": np.zeros((2, 3, 8, 8), np.float32)}, "channels first"),
        ({"labels": np.zeros(2, int)}, "no training images"),
        ({"test_images": RAMP}, "no training images"),
        ({"images": RAMP, "lables": np.zeros(2, int)}, "unknown key 'lables'"),
        ({"images": RAMP, "x_train": RAMP}, "images and x_train mean the same"),
        ({"images": RAMP, "test_images": RAMP[:, :2]}, "test_images is uint8 (2, 3, 1) an image"),
        ({"images": RAMP, "test_images": RAMP.astype(np.float32)}, "test_images is float32"),
        ({"images": RAMP, "labels": np.zeros(3, int)}, "2 images but 3 labels"),
        ({"images": RAMP, "labels": np.zeros((2, 10), int)}, "labels must be integers or strings"),
        ({"images": RAMP, "labels": np.zeros(2)}, "labels is float64"),
        ({"images": RAMP, "labels": np.zeros(2, int), "test_images": RAMP}, "test has images alone"),
        ({"images": RAMP, "labels": np.array([0, 2]), "classes": np.array(["a", "b"])}, "from 0 to 1"),
        ({"images": RAMP, "labels": np.array([0, 1]), "classes": np.array([1, 2])}, "must be strings"),
    ],
)
def test_npz_refusals(tmp_path, arrays, told):
    message = refusal(npz(tmp_path, **arrays))
    assert told in message and "own.npz" in message


def test_npz_counts_and_places_what_is_not_finite(tmp_path):
    images = np.zeros((5, 4, 3), np.float64)
    images[2, 1, 2] = np.nan
    images[2, 3, 0] = np.inf
    images[4, 0, 0] = 1e300  # too large for float32
    message = refusal(npz(tmp_path, images=np.ones((1, 4, 3)), test_images=images))
    assert "test_images: 3 NaN or infinite, in 2 of the images; the first at (2, 1, 2)" in message


def test_npz_classes(tmp_path):
    data = read(npz(tmp_path, images=RAMP, labels=np.array([1, 0]), classes=np.array(["cat", "dog"])))
    assert data.classes == ("cat", "dog") and data.train.labels.tolist() == [1, 0]
    data = read(npz(tmp_path, images=RAMP, labels=np.array(["dog", "cat"])))
    assert data.classes == ("cat", "dog") and data.train.labels.tolist() == [1, 0]
    data = read(npz(tmp_path, images=RAMP, labels=np.array([10**9, -4])))  # not a billion classes
    assert data.classes == ("-4", "1000000000") and data.train.labels.tolist() == [1, 0]


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("unpickled",)


def test_npz_is_never_unpickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "own.npz", images=np.array([Bomb(), Bomb()], object), allow_pickle=True)
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(Bomb()))
    for name in ("own.npz", "pickle.npz"):
        assert "pickled objects" in refusal(f"npz:{name}")
    assert not (tmp_path / "unpickled").exists()


def test_npz_damaged_or_missing(tmp_path):
    path = tmp_path / "own.npz"
    assert "no such file" in refusal(f"npz:{path}")
    assert "no such file" in refusal(f"npz:{tmp_path}")
    np.savez_compressed(path, images=np.random.default_rng(0).integers(0, 255, (9, 30, 30), np.uint8))
    whole = path.read_bytes()
    for damaged in (whole[:200], whole[:1000] + bytes(50) + whole[1050:], b"", b"hello"):
        path.write_bytes(damaged)
        assert str(path) in refusal(f"npz:{path}")
    np.save(tmp_path / "one.npy", RAMP)
    assert "numpy.savez" in refusal(f"npz:{tmp_path / 'one.npy'}")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "no array")
    assert str(path) in refusal(f"npz:{path}")


# ---- folder


def grey(value, shape=(4, 6)):
    return np.full(shape, value, np.uint8)


def save(path, image=None, **options):
    """An array or a Pillow image, in a new folder if need be; a small grey one by default."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = grey(9) if image is None else image
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def test_folder_of_classes_in_natural_order(tmp_path):
    for value, path in enumerate(["2/b.png", "2/a10.png", "10/x.png", "2/a9.png", "10/deep/down/y.png"]):
        save(tmp_path / path, grey(value))
    data = read(f"folder:{tmp_path}")
    assert data.classes == ("2", "10") and data.train.labels.tolist() == [0, 0, 0, 1, 1]
    assert data.train.images[:, 0, 0, 0].tolist() == [3, 1, 0, 4, 2]  # a9 a10 b, deep/down/y x
    assert data.shape == (4, 6, 1)


def test_folder_with_splits(tmp_path):
    for value, path in enumerate(["train/cat/1.png", "train/dog/1.png", "validation/dog/1.png", "test/cat/1.png"]):
        save(tmp_path / path, grey(value))
    save(tmp_path / "notes" / "1.png", grey(99))  # no split: not read
    data = read(f"folder:{tmp_path}", test=0.5, valid=0.5)
    assert data.classes == ("cat", "dog")
    for part, labels, values in ((data.train, [0, 1], [0, 1]), (data.valid, [1], [2]), (data.test, [0], [3])):
        assert part.labels.tolist() == labels and part.images[:, 0, 0, 0].tolist() == values


def test_folder_without_classes(tmp_path):
    for i in range(5):
        save(tmp_path / f"{i}.png", grey(i))
    data = read(f"folder:{tmp_path}", test=0.2)
    assert (len(data.train), len(data.test)) == (4, 1) and data.train.labels is None and data.classes == ()


def test_folder_skips_what_is_no_image(tmp_path):
    save(tmp_path / "cat" / "1.png")
    for name in ("cat/.hidden.png", "cat/Thumbs.db", "cat/readme.txt", ".git/x.png", "__MACOSX/cat/1.png", "list.csv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not an image")
    assert len(read(f"folder:{tmp_path}").train) == 1


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG", ".bmp", ".gif", ".webp", ".tif", ".ppm", ".tga"])
def test_folder_formats(tmp_path, suffix):
    save(tmp_path / "a" / f"1{suffix}", np.full((4, 6, 3), 200, np.uint8))
    image = read(f"folder:{tmp_path}", channels=3).train.images
    assert image.shape == (1, 4, 6, 3) and abs(image.astype(int) - 200).max() <= 2


def test_folder_size_and_channels(tmp_path):
    save(tmp_path / "a" / "1.png", np.full((4, 6, 3), (200, 100, 50), np.uint8))
    save(tmp_path / "a" / "2.png", grey(30, (9, 5)))
    data = read(f"folder:{tmp_path}", size=8, channels=1)
    assert data.shape == (8, 8, 1)
    assert data.train.images[0].max() == data.train.images[0].min() == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
    assert read(f"folder:{tmp_path}", size=2, channels=3).train.images[1].tolist() == [[[30] * 3] * 2] * 2


def test_folder_resizes_with_antialiasing(tmp_path):
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    save(tmp_path / "a" / "1.png", board)
    image = read(f"folder:{tmp_path}", size=16).train.images.astype(int)
    assert abs(image[:, 2:-2, 2:-2] - 127).max() < 10  # a chess board becomes grey; plain sampling keeps 0 and 255


MODES = {
    "1": (Image.new("1", (3, 2), 1), [255]),
    "L": (Image.new("L", (3, 2), 77), [77]),
    "LA": (Image.new("LA", (3, 2), (100, 0)), [255]),  # fully transparent: the white behind it
    "RGBA": (Image.new("RGBA", (3, 2), (200, 0, 0, 51)), [244, 204, 204]),  # a fifth of red over white
    "RGB": (Image.new("RGB", (3, 2), (1, 2, 3)), [1, 2, 3]),
    "I;16": (Image.fromarray(np.full((2, 3), 257 * 40 + 3, np.uint16)), [40]),
}


@pytest.mark.parametrize("mode", MODES)
def test_png_modes(tmp_path, mode):
    image, expected = MODES[mode]
    save(tmp_path / "a" / "1.png", image)
    with Image.open(tmp_path / "a" / "1.png") as stored:
        assert stored.mode == mode
    images = read(f"folder:{tmp_path}").train.images
    assert images.shape == (1, 2, 3, len(expected))
    assert (images == expected).all()


def test_palettes_become_rgb(tmp_path):
    palette = Image.new("P", (3, 2), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    save(tmp_path / "a" / "1.png", palette)
    assert read(f"folder:{tmp_path}").train.images[0, 0, 0].tolist() == [10, 20, 30]
    save(tmp_path / "a" / "1.png", palette, transparency=1)
    assert read(f"folder:{tmp_path}").train.images[0, 0, 0].tolist() == [255, 255, 255]


def test_cmyk_becomes_rgb_and_floats_are_refused(tmp_path):
    save(tmp_path / "a" / "1.tif", Image.new("CMYK", (3, 2), (255, 0, 0, 0)))
    assert read(f"folder:{tmp_path}").train.images[0, 0, 0].tolist() == [0, 255, 255]
    save(tmp_path / "a" / "1.tif", Image.new("F", (3, 2), 0.5))
    assert "floating-point" in refusal(f"folder:{tmp_path}")
    save(tmp_path / "a" / "1.tif", Image.new("I", (3, 2), 70_000))
    assert "more than 16 bits" in refusal(f"folder:{tmp_path}")


def test_exif_orientation_is_honoured(tmp_path):
    exif = Image.Exif()
    exif[pixels.ORIENTATION] = 6  # turn by 90° clockwise to see it upright
    save(tmp_path / "a" / "1.png", np.array([[0, 255, 255]], np.uint8), exif=exif)
    assert read(f"folder:{tmp_path}").train.images[0, :, :, 0].tolist() == [[0], [255], [255]]


def test_folder_images_that_differ(tmp_path):
    first = save(tmp_path / "a" / "1.png", grey(0))
    other = save(tmp_path / "a" / "2.png", grey(0, (4, 7)))
    message = refusal(f"folder:{tmp_path}")
    assert str(first) in message and str(other) in message and "data.size" in message
    save(other, np.zeros((4, 6, 3), np.uint8))
    message = refusal(f"folder:{tmp_path}")
    assert str(first) in message and str(other) in message and "data.channels" in message


def test_folder_paths(tmp_path):
    assert "no such folder" in refusal(f"folder:{tmp_path / 'none'}")
    (tmp_path / "file").write_text("")
    assert "not a folder" in refusal(f"folder:{tmp_path / 'file'}")
    (tmp_path / "empty").mkdir()
    assert f"{tmp_path / 'empty'}: no images" in refusal(f"folder:{tmp_path / 'empty'}")
    save(tmp_path / "half" / "cat" / "1.png")
    (tmp_path / "half" / "dog").mkdir()
    assert f"{tmp_path / 'half' / 'dog'}: no images" in refusal(f"folder:{tmp_path / 'half'}")


def test_folder_layouts_that_mean_nothing(tmp_path):
    loose = save(tmp_path / "a" / "1.png")
    save(tmp_path / "a" / "cat" / "1.png")
    assert str(loose) in refusal(f"folder:{tmp_path / 'a'}")
    save(tmp_path / "b" / "test" / "cat" / "1.png")
    assert "no train" in refusal(f"folder:{tmp_path / 'b'}")
    save(tmp_path / "c" / "train" / "cat" / "1.png")
    save(tmp_path / "c" / "test" / "dog" / "1.png")
    assert "'dog' that train lacks" in refusal(f"folder:{tmp_path / 'c'}")
    save(tmp_path / "d" / "train" / "cat" / "1.png")
    save(tmp_path / "d" / "test" / "1.png")
    assert "test has no classes" in refusal(f"folder:{tmp_path / 'd'}")
    for name in ("train", "val", "valid"):
        save(tmp_path / "e" / name / "cat" / "1.png")
    assert "mean the same split" in refusal(f"folder:{tmp_path / 'e'}")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".gif", ".tif", ".webp"])
def test_corrupt_images_are_named(tmp_path, suffix):
    save(tmp_path / "a" / f"1{suffix}", np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8))
    bad = tmp_path / "a" / f"2{suffix}"
    whole = (tmp_path / "a" / f"1{suffix}").read_bytes()
    for damaged in (whole[: len(whole) // 2], b"hello", b""):
        bad.write_bytes(damaged)
        assert str(bad) in refusal(f"folder:{tmp_path}")


def test_decompression_bombs_are_refused(tmp_path):
    def png(side):
        def chunk(kind, body):
            return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

        head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
        return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")

    (tmp_path / "a").mkdir()
    for side in (10_000, 30_000):  # Pillow warns of the first and refuses the second
        (tmp_path / "a" / "1.png").write_bytes(png(side))
        message = refusal(f"folder:{tmp_path}")
        assert str(tmp_path / "a" / "1.png") in message and "pixels, which Pillow refuses" in message


def test_more_images_than_memory():
    with pytest.raises(UserError, match=r"GiB of memory; --config.data.size"):
        reader = records.Reader(10**14, list, lambda i, _: (np.zeros((9, 9, 1), np.uint8), -1), str, "folder:large")
        reader.divided(2**60)


def test_folder_that_cannot_be_listed(tmp_path, monkeypatch):
    def closed(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tree.Path, "iterdir", closed)
    assert "cannot be listed" in refusal(f"folder:{tmp_path}")


@pytest.mark.parametrize(("key", "value"), [("size", -1), ("channels", 2), ("channels", 4)])
def test_folder_keys_out_of_range(tmp_path, key, value):
    save(tmp_path / "a" / "1.png")
    assert f"data.{key}={value}" in refusal(f"folder:{tmp_path}", **{key: value})


def test_natural_order():
    names = ["a10", "a9", "b1", "a", "10", "9", "a9b2", "a9b10", "09"]
    assert sorted(names, key=tree.natural) == ["09", "9", "10", "a", "a9", "a9b2", "a9b10", "a10", "b1"]


# ---- tfds


def prepared(root, name="tiny"):
    """A data set as tensorflow-datasets prepares it, by its own writer; encoded images need no TensorFlow."""
    import tensorflow_datasets as library
    from tensorflow_datasets.core import dataset_info

    features = {
        "picture": library.features.Image(shape=(None, None, 1)),
        "kind": library.features.ClassLabel(names=["cat", "dog"]),
        "number": library.features.Scalar(np.int64),
    }
    place = root / name / "1.0.0"
    place.mkdir(parents=True)
    version = library.core.Version("1.0.0")
    identity = dataset_info.DatasetIdentity(name=name, version=version, data_dir=str(place), module_name="")
    info = library.core.DatasetInfo(builder=identity, features=library.features.FeaturesDict(features))
    writer = library.core.SequentialWriter(info, max_examples_per_shard=4, file_format="array_record")
    writer.initialize_splits(["train", "validation", "extra"])
    writer.add_examples({"train": list(map(example, range(6))), "validation": [example(7)], "extra": [example(8)]})
    writer.close_all()
    return place


def example(i):
    file = io.BytesIO()
    Image.fromarray(grey(i)).save(file, "PNG")
    file.seek(0)
    return {"picture": file, "kind": i % 2, "number": i}


def test_tfds_reads_what_is_prepared(tmp_path):
    prepared(tmp_path)
    data = read("tfds:tiny", dir=str(tmp_path), test=0.5)
    assert data.classes == ("cat", "dog") and data.shape == (4, 6, 1)
    every = np.concatenate([data.train.images, data.test.images])[:, 0, 0, 0]
    assert sorted(every.tolist()) == list(range(6)) and (data.train.labels == data.train.images[:, 0, 0, 0] % 2).all()
    assert data.valid.images[:, 0, 0, 0].tolist() == [7] and data.valid.labels.tolist() == [1]
    assert read("tfds:tiny:1.0.0", dir=str(tmp_path), size=5, channels=3).shape == (5, 5, 3)


def test_tfds_default_folder(tmp_path):
    """$TFDS_DATA_DIR is read when the library is imported, hence another process."""
    prepared(tmp_path)
    code = (
        "import sys; from aejax.data import load; from configs.base import base;"
        "d = base().data; d.name = 'tfds:tiny'; load(d); assert 'tensorflow' not in sys.modules"
    )
    environment = {**os.environ, "TFDS_DATA_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_tfds_not_prepared_says_how(tmp_path):
    message = refusal("tfds:mnist", dir=str(tmp_path))
    assert "pip install tensorflow-cpu" in message
    assert f"tfds build mnist --file_format=array_record --data_dir={tmp_path}" in message


def test_tfds_names(tmp_path):
    prepared(tmp_path)
    assert "did you mean mnist" in refusal("tfds:mnits", dir=str(tmp_path))
    assert "knows no 'zzzzzz'" in refusal("tfds:zzzzzz", dir=str(tmp_path))
    assert "which holds 1.0.0" in refusal("tfds:tiny:2.0.0", dir=str(tmp_path))
    for name in ("a b", "x:y", "huggingface:mnist", "../tiny", "mnist/"):
        assert "accepted: tfds:SET" in refusal(f"tfds:{name}", dir=str(tmp_path))
    assert "no such folder" in refusal("tfds:tiny", dir=str(tmp_path / "none"))


def test_tfds_in_a_format_that_needs_tensorflow(tmp_path):
    place = prepared(tmp_path)
    path = place / "dataset_info.json"
    path.write_text(path.read_text().replace("array_record", "tfrecord"))
    message = refusal("tfds:tiny", dir=str(tmp_path))
    assert "tfrecord, which only TensorFlow reads" in message and "--file_format=array_record" in message


def test_tfds_without_images(tmp_path):
    import tensorflow_datasets as library

    place = prepared(tmp_path, name="words")
    path = place / "features.json"
    library.features.FeaturesDict({"text": library.features.Text()}).save_config(str(place))
    assert path.exists() and "image among its features text" in refusal("tfds:words", dir=str(tmp_path))


def test_tfds_damaged(tmp_path):
    place = prepared(tmp_path)
    shard = next(path for path in place.iterdir() if "train" in path.name)
    shard.write_bytes(shard.read_bytes()[:100])
    assert "tiny" in refusal("tfds:tiny", dir=str(tmp_path))
    shard.unlink()
    assert "tiny" in refusal("tfds:tiny", dir=str(tmp_path))
    (place / "dataset_info.json").write_text("{")
    assert "tiny" in refusal("tfds:tiny", dir=str(tmp_path))


def test_tfds_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    assert "pip install tensorflow-datasets" in refusal("tfds:mnist")


def test_tfds_whose_reading_wants_tensorflow(tmp_path, monkeypatch):
    prepared(tmp_path)

    def wants(*args):
        raise ModuleNotFoundError("No module named 'tensorflow'")

    monkeypatch.setattr(tfds, "_read", wants)
    assert "pip install tensorflow-cpu" in refusal("tfds:tiny", dir=str(tmp_path))
