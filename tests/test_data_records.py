"""Sources that do not fit in memory: the same examples as in memory, read when they are asked for."""

import io

import numpy as np
import pytest
from array_record.python.array_record_module import ArrayRecordWriter
from PIL import Image

from aejax.data import load, pack, records, split, streaming, transforms
from aejax.data.dataset import Split
from aejax.errors import UserError
from configs.base import base
from tests.test_data_own import example, grey, prepared, refusal, save

PARTS = ("train", "valid", "test")


def read(name, host_bytes, **keys):
    data = base().data
    data.name, data.test, data.valid, data.host_bytes = name, 0.0, 0.0, host_bytes
    data.update(keys)
    return load(data)


def both(name, **keys):
    """(the set in memory, the same streamed)."""
    return read(name, 2**32, **keys), read(name, 0, **keys)


def same(resident, streamed):
    """Whether the splits hold the same examples in the same order."""
    assert isinstance(resident, Split) and isinstance(streamed, records.Records)
    assert len(streamed) == len(resident) and streamed.shape == resident.shape and streamed.dtype == resident.dtype
    assert streamed.nbytes == resident.nbytes and streamed.labelled == resident.labelled
    images, labels = streamed.read(np.arange(len(streamed)))
    assert np.array_equal(images, resident.images) and images.dtype == np.uint8
    assert np.array_equal(labels, resident.labels) if resident.labelled else labels is None
    return True


def folder(root, per_class=12, classes=("cat", "dog")):
    for c, name in enumerate(classes):
        for i in range(per_class):
            save(root / name / f"{i}.png", grey(3 * i + c))
    return f"folder:{root}"


# ---- folder


def test_a_folder_streams_what_it_holds_in_memory(tmp_path):
    resident, streamed = both(folder(tmp_path), test=0.25, valid=0.2)
    assert all(same(getattr(resident, part), getattr(streamed, part)) for part in PARTS)
    assert streamed.classes == resident.classes and streamed.shape == (4, 6, 1)
    assert np.array_equal(streamed.train.labels, resident.train.labels)


def test_a_folder_of_splits_without_classes(tmp_path):
    for part, n in (("train", 5), ("valid", 2), ("test", 3)):
        for i in range(n):
            save(tmp_path / part / f"{i}.png", grey(10 * n + i))
    resident, streamed = both(f"folder:{tmp_path}")
    assert all(same(getattr(resident, part), getattr(streamed, part)) for part in PARTS)


@pytest.mark.parametrize("keys", [{"labels": 6, "valid": 0.25}, {"folds": 3, "fold": 1}, {"resample": 2}])
def test_a_folder_selects_by_label_as_in_memory(tmp_path, keys):
    resident, streamed = both(folder(tmp_path), test=0.25, **keys)
    assert all(same(getattr(resident, part), getattr(streamed, part)) for part in PARTS)


def test_folds_join_train_and_valid(tmp_path):
    for part, n in (("train", 6), ("valid", 3)):
        for i in range(n):
            save(tmp_path / part / "cat" / f"{i}.png", grey(10 * n + i))
    resident, streamed = both(f"folder:{tmp_path}", folds=3)
    assert all(same(getattr(resident, part), getattr(streamed, part)) for part in PARTS)


def test_size_and_channels_convert(tmp_path):
    save(tmp_path / "1.png", np.full((4, 6, 3), 200, np.uint8))
    save(tmp_path / "2.png", grey(30, (9, 5)))
    resident, streamed = both(f"folder:{tmp_path}", size=8, channels=3)
    assert same(resident.train, streamed.train)


def test_what_fits_exactly_stays_in_memory(tmp_path):
    name = folder(tmp_path)
    assert isinstance(read(name, 24 * 24).train, Split) and isinstance(read(name, 24 * 24 - 1).train, records.Records)


def test_images_that_differ_are_told_when_they_are_read(tmp_path):
    save(tmp_path / "1.png", grey(1))
    save(tmp_path / "2.png", grey(2, (5, 6)))
    (tmp_path / "3.png").write_bytes(b"hello")
    streamed = read(f"folder:{tmp_path}", 0)
    with pytest.raises(UserError, match=r"1.png has 4×6 pixels, .*2.png 5×6; --config.data.size"):
        streamed.train.read(np.array([1]))
    with pytest.raises(UserError, match="3.png: not an image"):
        list(streaming.in_order(streamed.train.rows(slice(2, 3)), 3, slice(None), 2**20))


# ---- tfds


def test_tfds_streams_what_it_holds_in_memory(tmp_path):
    prepared(tmp_path)
    resident, streamed = both("tfds:tiny", dir=str(tmp_path))
    assert all(same(getattr(resident, part), getattr(streamed, part)) for part in PARTS)
    assert streamed.classes == ("cat", "dog") and streamed.train.labels is None


def test_tfds_cuts_without_labels_or_an_index(tmp_path):
    prepared(tmp_path)
    streamed = read("tfds:tiny", 0, dir=str(tmp_path), test=0.5)
    images = [part.read(np.arange(len(part)))[0][:, 0, 0, 0].tolist() for part in (streamed.train, streamed.test)]
    assert [len(part) for part in images] == [3, 3] and sorted(sum(images, [])) == list(range(6))
    labels = streamed.train.read(np.arange(3))[1]
    assert labels.tolist() == [value % 2 for value in images[0]]


@pytest.mark.parametrize(("key", "value"), [("labels", 2), ("folds", 2), ("resample", 1)])
def test_tfds_refuses_what_takes_all_labels(tmp_path, key, value):
    prepared(tmp_path)
    message = refusal("tfds:tiny", dir=str(tmp_path), host_bytes=0, **{key: value})
    assert f"data.{key}={value}: tfds:tiny does not fit in memory" in message and "data.host_bytes=168" in message


def test_tfds_without_labels(tmp_path, monkeypatch):
    from tests import test_data_own

    monkeypatch.setattr(test_data_own, "example", lambda i: {**example(i), "kind": -1})
    prepared(tmp_path)
    resident, streamed = both("tfds:tiny", dir=str(tmp_path))
    assert same(resident.train, streamed.train) and resident.classes == streamed.classes == ()


# ---- arrayrecord


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def npy(image):
    file = io.BytesIO()
    np.save(file, image)
    return file.getvalue()


def columns(image):
    return npy(np.asfortranarray(image))


def write(path, stored):
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = ArrayRecordWriter(str(path), "group_size:1")
    for record in stored:
        writer.write(record)
    writer.close()


def shards(root, n=10, encoded=png):
    """Two shards of train of unlike lengths, with labels."""
    write(root / "train-00000-of-00002.array_record", [encoded(grey(i)) for i in range(3)])
    write(root / "train-00001-of-00002.array_record", [encoded(grey(i)) for i in range(3, n)])
    np.save(root / "train.labels.npy", np.arange(n) % 2)
    return f"arrayrecord:{root}"


@pytest.mark.parametrize("encoded", [png, npy, columns])
def test_arrayrecord_streams_what_it_holds_in_memory(tmp_path, encoded):
    resident, streamed = both(shards(tmp_path, encoded=encoded))
    assert same(resident.train, streamed.train) and resident.classes == streamed.classes == ("0", "1")
    assert resident.train.images[:, 0, 0, 0].tolist() == list(range(10)) and resident.shape == (4, 6, 1)
    resident, streamed = both(shards(tmp_path, encoded=encoded), test=0.2, valid=0.25)
    assert all(same(getattr(resident, part), getattr(streamed, part)) for part in PARTS)


def test_arrayrecord_splits_and_classes(tmp_path):
    name = shards(tmp_path)
    write(tmp_path / "validation.array_record", [png(grey(50))])
    np.save(tmp_path / "validation.labels.npy", np.array([1], np.uint8))
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    (tmp_path / "extra-00000-of-00009.array_record").write_text("no split")
    resident, streamed = both(name)
    assert all(same(getattr(resident, part), getattr(streamed, part)) for part in PARTS)
    assert resident.classes == ("cat", "dog") and resident.valid.labels.tolist() == [1]


def test_arrayrecord_without_labels(tmp_path):
    write(tmp_path / "train.array_record", [png(grey(i)) for i in range(8)])
    resident, streamed = both(f"arrayrecord:{tmp_path}")
    assert same(resident.train, streamed.train) and resident.classes == ()
    streamed = read(f"arrayrecord:{tmp_path}", 0, test=0.25, valid=0.5)
    values = [getattr(streamed, part).images[:][:, 0, 0, 0].tolist() for part in PARTS]
    assert [len(v) for v in values] == [3, 3, 2] and sorted(sum(values, [])) == list(range(8))


@pytest.mark.parametrize("encoded", [png, npy, columns])
def test_arrayrecord_keeps_rows_and_columns(tmp_path, encoded):
    image = np.random.default_rng(0).integers(0, 255, (4, 6, 3), np.uint8)
    write(tmp_path / "train.array_record", [encoded(image)])
    assert np.array_equal(read(f"arrayrecord:{tmp_path}", 0).train.images[0], image)


def test_arrayrecord_converts(tmp_path):
    write(tmp_path / "train.array_record", [npy(np.full((4, 6, 3), 200, np.uint8)), png(grey(30, (9, 5)))])
    resident, streamed = both(f"arrayrecord:{tmp_path}", size=8, channels=1)
    assert same(resident.train, streamed.train) and resident.shape == (8, 8, 1)
    assert "data.channels" in refusal(f"arrayrecord:{tmp_path}", size=8)


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (b"hello", "not an image"),
        (b"", "not an image"),
        (npy(grey(0))[:-3], "unreadable array"),
        (npy(np.zeros((4, 6), np.float32)), "an array float32 (4, 6); accepted: uint8"),
        (npy(np.array([{}], object)), "an array object (1,); accepted: uint8"),
        (b"\x93NUMPY\x02\x00" + bytes(100), "another version"),
    ],
)
def test_arrayrecord_names_the_record(tmp_path, record, told):
    write(tmp_path / "train.array_record", [png(grey(0)), record])
    name = f"arrayrecord:{tmp_path}"
    message = refusal(name)
    assert f"{name} train[1]: " in message and told in message
    streamed = read(name, 0)
    with pytest.raises(UserError) as caught:
        list(streaming.in_order(streamed.train, 2, slice(None), 0))
    assert str(caught.value) == message


def test_arrayrecord_damaged_on_disk(tmp_path):
    rng = np.random.default_rng(0)
    write(tmp_path / "train.array_record", [npy(rng.integers(0, 255, (40, 60), np.uint8)) for _ in range(200)])
    file = tmp_path / "train.array_record"
    whole = file.read_bytes()
    middle = len(whole) // 2
    file.write_bytes(whole[:middle] + bytes(100) + whole[middle + 100 :])
    streamed = read(f"arrayrecord:{tmp_path}", 0)
    with pytest.raises(UserError, match=r"train\[\d+\]: unreadable record") as caught:
        list(streaming.in_order(streamed.train, 50, slice(None), 0))
    assert "\n" not in str(caught.value)
    file.write_bytes(whole[:1000])
    assert "damaged" in refusal(f"arrayrecord:{tmp_path}")


def test_arrayrecord_refusals(tmp_path):
    assert "no such folder" in refusal(f"arrayrecord:{tmp_path / 'none'}")
    assert "train.array_record" in refusal(f"arrayrecord:{tmp_path}")
    name = shards(tmp_path)
    np.save(tmp_path / "train.labels.npy", np.arange(9))
    assert "int64 (9,); accepted: integers (10,)" in refusal(name)
    np.save(tmp_path / "train.labels.npy", np.array([{}] * 10, object), allow_pickle=True)
    assert "train.labels.npy: not an array" in refusal(name)
    np.save(tmp_path / "train.labels.npy", np.arange(10) - 1)
    assert "labels from -1 to 8" in refusal(name)
    np.save(tmp_path / "train.labels.npy", np.arange(10))
    (tmp_path / "classes.txt").write_text("one\n")
    assert "labels from 0 to 9; 1 classes" in refusal(name)
    write(tmp_path / "test.array_record", [png(grey(0))])
    assert "no test.labels.npy" in refusal(name)
    (tmp_path / "train-00001-of-00002.array_record").unlink()
    assert "one is missing" in refusal(name)
    write(tmp_path / "train.array_record", [])
    assert "not all shards of one split" in refusal(name)
    (tmp_path / "train-00000-of-00002.array_record").unlink()
    assert "train split is empty" in refusal(name)


# ---- pack


@pytest.mark.parametrize("flags", [[], ["--shards=3"], ["--pixels"], ["--pixels", "--shards=2"]])
def test_a_packed_folder_is_the_folder(tmp_path, flags, capsys):
    images, out = tmp_path / "images", tmp_path / "out"
    folder(images / "train", 70)  # more than are fetched at once
    folder(images / "test", 2)
    assert pack.main([f"--images={images}", f"--out={out}", *flags]) == 0
    assert f"arrayrecord:{out}" in capsys.readouterr().out
    plain, packed = read(f"folder:{images}", 2**32), read(f"arrayrecord:{out}", 0)
    assert same(plain.train, packed.train) and same(plain.test, packed.test) and plain.classes == packed.classes
    shards = 3 if "--shards=3" in flags else 2 if "--shards=2" in flags else 1
    assert len(list(out.glob("train-*.array_record"))) == shards


def test_pack_converts(tmp_path):
    save(tmp_path / "images" / "1.png", np.full((4, 6, 3), 200, np.uint8))
    save(tmp_path / "images" / "2.png", grey(30, (9, 5)))
    out = tmp_path / "out"
    assert pack.main([f"--images={tmp_path / 'images'}", f"--out={out}", "--pixels", "--size=8", "--channels=3"]) == 0
    plain = read(f"folder:{tmp_path / 'images'}", 2**32, size=8, channels=3)
    assert same(plain.train, read(f"arrayrecord:{out}", 0).train)


def test_pack_refuses_in_a_line(tmp_path, capsys):
    images, out = f"--images={tmp_path / 'images'}", f"--out={tmp_path / 'out'}"
    folder(tmp_path / "images", 2)
    (tmp_path / "file").write_text("")
    assert pack.main([images, out]) == 0
    for argv, told in [
        ([images, out], "holds records already"),
        ([images], "no --out"),
        ([images, out, "more"], "unexpected more"),
        ([images, out, "--nothing"], "nothing"),
        ([images, out, "--size=8"], "with --pixels alone"),
        ([f"--images={tmp_path / 'none'}", out], "no such folder"),
        ([images, f"--out={tmp_path / 'file'}"], "cannot be written"),
    ]:
        capsys.readouterr()
        assert pack.main(argv) == 2
        message = capsys.readouterr().err
        assert told in message and message.count("\n") == 1


# ---- what records are


def made(n, shape=(2, 3, 1), labels=None):
    """Records of random images, which are drawn by their row; and the same in memory."""
    images = np.random.default_rng(0).integers(0, 255, (n, *shape), np.uint8)
    reader = records.Reader(n, lambda rows: [images[i] for i in rows], lambda image, _: (image, -1), str, "folder:made")
    return records.Records(reader, records.span(0, n), labels), Split(images, labels)


def test_images_are_read_where_they_are_indexed():
    streamed, resident = made(200)
    lazy, images = streamed.images, resident.images
    assert lazy.shape == images.shape and lazy.dtype == images.dtype and lazy.nbytes == images.nbytes
    assert len(lazy) == 200 and lazy.ndim == 4
    mask = np.arange(200) % 3 == 0
    for rows in (3, -1, np.int64(7), slice(5, 150, 7), slice(-3, None), np.array([9, 9, 0]), mask):
        assert np.array_equal(lazy[rows], images[rows])
    with pytest.raises(UserError, match="data.name=folder:made: .*data.host_bytes=1200 or more"):
        np.asarray(lazy)
    with pytest.raises(IndexError):
        lazy[200]
    with pytest.raises(IndexError):
        streamed.read(np.array([-1]))


def test_rows_of_rows():
    streamed, resident = made(20, labels=np.arange(20, dtype=np.int32))
    for rows in (slice(3, 17), np.arange(20) % 2 == 0, np.array([5, 5, 1, 19])):
        assert same(resident.rows(rows), streamed.rows(rows))
        assert same(resident.rows(rows).rows(slice(1, 3)), streamed.rows(rows).rows(slice(1, 3)))
    first, second = np.arange(20) < 5, np.arange(20) > 15
    joined = split.joined(streamed.rows(second), streamed.rows(first))
    assert same(split.joined(resident.rows(second), resident.rows(first)), joined)


def test_a_cut_without_labels_is_a_larger_one_s_part():
    streamed, _ = made(1000)
    parts = [split.cut(streamed, share, 0, "test") for share in (0.1, 0.2)]
    values = [[set(s.places.at(np.arange(len(s))).tolist()) for s in pair] for pair in parts]
    (small, rest), (large, _) = values
    assert len(small) == 100 and len(large) == 200 and small < large and small | rest == set(range(1000))
    other, _ = split.cut(streamed, 0.1, 1, "test")
    assert set(other.places.at(np.arange(100)).tolist()) != small
    assert split.cut(streamed, 0.1, 2**40, "test")[0].places.at(np.arange(1)) >= 0  # seeds of any size


def test_a_fingerprint_sees_the_images_and_their_number():
    streamed, resident = made(500)
    assert streamed.fingerprint() == made(500)[0].fingerprint()
    others = [streamed.rows(slice(0, 499)), streamed.rows(slice(None, None, -1)), made(501)[0]]
    assert len({streamed.fingerprint(), *(o.fingerprint() for o in others)}) == 4
    assert resident.fingerprint() != resident.rows(slice(0, 499)).fingerprint()
    assert streamed.rows(slice(0, 0)).fingerprint() == made(1)[0].rows(slice(0, 0)).fingerprint()


@pytest.mark.parametrize("whiten", ["none", "centred", "standard", "contrast", "zca"])
def test_statistics_of_a_split_no_larger_than_the_sample_are_exact(whiten):
    streamed, resident = made(300)
    data = {"whiten": whiten, "zca_epsilon": 0.1}
    expected, found = transforms.fit(resident, data), transforms.fit(streamed, data)
    assert expected.keys() == found.keys()
    assert all(np.array_equal(expected[key], found[key]) for key in expected)


def test_statistics_of_a_larger_split_are_of_a_sample(monkeypatch):
    streamed, resident = made(3000)
    monkeypatch.setattr(transforms, "SAMPLE", 1000)
    data = {"whiten": "centred"}
    found, expected = transforms.fit(streamed, data)["mean"], resident.images.mean(axis=0) / 255
    assert 0 < np.abs(found - expected).max() < 5 * 0.29 / 1000**0.5
    assert np.array_equal(found, transforms.fit(streamed, data)["mean"])


def test_labels_that_are_missing_further_on_are_told():
    def decode(stored, row):
        return np.zeros((1, 1, 1), np.uint8), -1 if row == 3 else 0

    reader = records.Reader(5, list, decode, lambda row: f"row {row}", "tfds:made", labelled=True)
    streamed = records.Records(reader, records.span(0, 5))
    assert streamed.read(np.array([2]))[1].tolist() == [0]
    with pytest.raises(UserError, match="^row 3: has no label, but row 0 has$"):
        streamed.read(np.arange(5))


def test_other_sources_are_not_streamed():
    assert "data.host_bytes=0: read by folder and tfds and arrayrecord sources alone" in refusal("digits", host_bytes=0)
