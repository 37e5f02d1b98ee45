"""Archives of folders: unpacked once, into the cache, and never anywhere else."""

import io
import os
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from aejax.data import archive, load
from aejax.errors import UserError
from configs.base import base


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return tmp_path / "xdg" / "aejax" / "unpacked"


def read(name):
    data = base().data
    data.name, data.test, data.valid = name, 0.0, 0.0
    return load(data)


def refusal(name):
    with pytest.raises(UserError) as caught:
        read(name)
    message = str(caught.value)
    assert message and "\n" not in message
    return message


def png(value):
    file = io.BytesIO()
    Image.fromarray(np.full((4, 6), value, np.uint8)).save(file, "PNG")
    return file.getvalue()


def pack(path, files):
    """An archive of the kind that the path's suffix tells: name -> content."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name, raw in files.items():
                zipped.writestr(name, raw)
        return path
    with tarfile.open(
        path, "w" if path.suffix == ".tar" else f"w:{path.suffix.removeprefix('.').replace('t', '')}"
    ) as tar:
        for name, raw in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(raw)
            tar.addfile(member, io.BytesIO(raw))
    return path


CLASSES = {f"{name}/{i}.png": png(value) for name, i, value in (("cat", 1, 5), ("cat", 2, 6), ("dog", 1, 7))}


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz", "a.tar.xz", "a.tar.bz2", "A.TAR.GZ"])
@pytest.mark.parametrize("above", ["", "pets/", "./"])
def test_formats_with_and_without_a_folder_above(tmp_path, name, above):
    kind = {"tgz": "gz", "GZ": "gz"}.get(name.rpartition(".")[2], name.rpartition(".")[2])
    packed = pack(tmp_path / f"a.{kind}", {above + file: raw for file, raw in CLASSES.items()})
    packed = packed.rename(tmp_path / name)
    data = read(f"folder:{packed}")
    assert data.classes == ("cat", "dog") and data.train.images[:, 0, 0, 0].tolist() == [5, 6, 7]


def test_unpacked_once_and_anew_when_it_changes(tmp_path, cache):
    packed = pack(tmp_path / "a.zip", CLASSES)
    read(f"folder:{packed}")
    (folder,) = cache.iterdir()
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png")) == sorted(CLASSES)
    (folder / "cat" / "1.png").write_bytes(png(50))
    assert read(f"folder:{packed}").train.images[0, 0, 0, 0] == 50
    pack(packed, {**CLASSES, "cat/1.png": png(60)})
    assert read(f"folder:{packed}").train.images[0, 0, 0, 0] == 60
    assert len(list(cache.iterdir())) == 2


def test_splits_in_an_archive(tmp_path):
    packed = pack(tmp_path / "a.zip", {"train/cat/1.png": png(1), "test/cat/1.png": png(2)})
    data = read(f"folder:{packed}")
    assert (len(data.train), len(data.test)) == (1, 1)
    packed = pack(tmp_path / "b.zip", {"train/cat/1.png": png(1)})
    assert read(f"folder:{packed}").classes == ("cat",)


@pytest.mark.parametrize("suffix", ["zip", "gz"])
@pytest.mark.parametrize("name", ["../escaped.png", "/escaped.png", "cat/../../escaped.png", "ROOT/escaped.png"])
def test_members_that_lead_out_are_refused(tmp_path, cache, suffix, name):
    name = name.replace("ROOT", str(tmp_path))
    packed = pack(tmp_path / f"a.{suffix}", {**CLASSES, name: png(1)})
    packed = packed.rename(tmp_path / f"a.{'tar.gz' if suffix == 'gz' else 'zip'}")
    message = refusal(f"folder:{packed}")
    assert str(packed) in message and "outside" in message and "escaped.png" in message
    assert not list(cache.iterdir()) and not list(tmp_path.rglob("escaped.png"))


def test_links_and_devices_are_left_out(tmp_path, cache):
    (tmp_path / "secret.png").write_bytes(png(9))
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for kind, name, target in (
            (tarfile.SYMTYPE, "cat", str(tmp_path)),
            (tarfile.SYMTYPE, "dog/1.png", "../../secret.png"),
            (tarfile.LNKTYPE, "dog/2.png", "/etc/passwd"),
            (tarfile.FIFOTYPE, "dog/3.png", ""),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
        for name in ("cat/1.png", "dog/4.png"):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(png(3)), 0o6777
            tar.addfile(member, io.BytesIO(png(3)))
    data = read(f"folder:{tmp_path / 'a.tar'}")
    assert data.classes == ("cat", "dog") and len(data.train) == 2
    assert not (tmp_path / "1.png").exists()
    files = [path for path in cache.rglob("*") if not path.is_dir()]
    assert sorted(path.name for path in files) == ["1.png", "4.png"]
    assert all(path.is_file() and not path.is_symlink() and not path.stat().st_mode & 0o6111 for path in files)


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar.xz", "a.tar"])
def test_damaged_archives_are_named_and_leave_nothing(tmp_path, cache, name):
    whole = pack(tmp_path / f"b.{name.rpartition('.')[2]}", {"cat/1.png": os.urandom(5000)}).read_bytes()
    for damaged in (whole[:3000], whole[:50], b"hello", b""):
        (tmp_path / name).write_bytes(damaged)
        message = refusal(f"folder:{tmp_path / name}")
        assert str(tmp_path / name) in message and "cannot be unpacked" in message
        assert not list(cache.iterdir())


def test_a_password_and_files_in_each_others_way(tmp_path):
    packed = pack(tmp_path / "a.zip", CLASSES)
    raw = bytearray(packed.read_bytes())
    raw[6] |= 1  # "encrypted", in the first file's own header
    raw[raw.index(b"PK\x01\x02") + 8] |= 1  # and in the directory
    packed.write_bytes(raw)
    assert "encrypted" in refusal(f"folder:{packed}")
    packed = pack(tmp_path / "b.zip", {"cat/1.png": png(1), "cat/1.png/2.png": png(1)})
    assert str(packed) in refusal(f"folder:{packed}")


def test_what_is_larger_than_the_disk_is_not_begun(tmp_path, monkeypatch, cache):
    packed = pack(tmp_path / "a.zip", CLASSES)
    usage = archive.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda path: usage._replace(free=10))
    assert "more than the disk" in refusal(f"folder:{packed}") and not list(cache.iterdir())


def test_another_run_that_was_faster(tmp_path, cache, monkeypatch):
    packed = pack(tmp_path / "a.zip", CLASSES)
    write = archive._write

    def slow(path, folder):
        monkeypatch.setattr(archive, "_write", write)
        archive.unpack(path)  # the other run
        write(path, folder)

    monkeypatch.setattr(archive, "_write", slow)
    assert len(read(f"folder:{packed}").train) == 3
    assert len(list(cache.iterdir())) == 1  # and nothing half-written beside it


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert "$XDG_CACHE_HOME" in refusal(f"folder:{pack(tmp_path / 'a.zip', CLASSES)}")


def test_other_files_are_no_archives(tmp_path):
    (tmp_path / "a.rar").write_bytes(b"Rar!")
    message = refusal(f"folder:{tmp_path / 'a.rar'}")
    assert "not a folder or an archive (.zip, .tar, .tar.gz" in message
    assert "no such folder" in refusal(f"folder:{tmp_path / 'none.zip'}")
