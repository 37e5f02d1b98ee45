"""The canonical sets, on made-up files of the right shape: where they are found, how damage and no network read.

Nothing here leaves the machine: mirrors are servers on the loopback, or ports that nobody listens on.
"""

import dataclasses
import functools
import gzip
import hashlib
import http.server
import io
import socket
import struct
import tarfile
import threading
import time

import numpy as np
import pytest

from aejax.data import binary, canonical, download, load
from aejax.errors import UserError
from configs.base import base

CLOSED = "http://127.0.0.1:9/"  # the discard port: refuses at once


def config(name, folder=""):
    data = base().data
    data.name, data.dir = name, str(folder)
    return data


def refusal(call, *args):
    with pytest.raises(UserError) as caught:
        call(*args)
    message = str(caught.value)
    assert message and "\n" not in message
    return message


def idx(array):
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def examples(count, shape, mark):
    """Black images, but for a mark in the corner of the first, and labels in turn."""
    images = np.zeros((count, *shape), np.uint8)
    images[0].flat[0] = mark
    return images, (np.arange(count) % 10).astype(np.uint8)


@functools.cache
def idx_files(mark=1):
    """The four files of a set of MNIST's family: name -> bytes. The mark tells one set from another."""
    parts = {}
    for prefix, count in (("train", 60_000), ("t10k", 10_000)):
        images, labels = examples(count, (28, 28), mark)
        parts |= {f"{prefix}-images-idx3-ubyte": idx(images), f"{prefix}-labels-idx1-ubyte": idx(labels)}
    return parts


@functools.cache
def zipped(mark=1):
    return {f"{name}.gz": gzip.compress(raw, 1) for name, raw in idx_files(mark).items()}


def put(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in files.items():
        (folder / name).write_bytes(raw)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty home, and mirrors that refuse."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("AEJAX_DATA", "XDG_CACHE_HOME", "KERAS_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(canonical, "SYSTEM", tmp_path / "system")
    (tmp_path / "project" / "here").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project" / "here")
    for name in canonical.SETS:
        mirrors(monkeypatch, name, CLOSED)
    return tmp_path / "home"


def mirrors(monkeypatch, name, *urls, **other):
    monkeypatch.setitem(canonical.SETS, name, dataclasses.replace(canonical.SETS[name], mirrors=urls, **other))


def mark(data):
    return max(int(part.images[:, 0, 0, 0].max()) for part in (data.train, data.valid))


def test_mnist_is_read_whole(tmp_path):
    put(tmp_path / "given", zipped())
    data = load(config("mnist", tmp_path / "given"))
    assert [len(part) for part in (data.train, data.valid, data.test)] == [54_000, 6_000, 10_000]
    assert data.shape == (28, 28, 1) and data.train.images.dtype == np.uint8
    assert data.classes == tuple("0123456789") and np.bincount(data.test.labels).tolist() == [1000] * 10


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("mnist", "home/.cache/aejax/mnist"),
        ("mnist", "project/here/data/MNIST/raw"),
        ("mnist", "project/data/MNIST/raw"),
        ("kmnist", "home/data/KMNIST/raw"),
        ("fashion_mnist", "home/.keras/datasets/fashion-mnist"),
        ("fashion_mnist", "system/fashion-mnist"),
        ("fashion_mnist", "project/here/data/FashionMNIST/raw"),
    ],
)
def test_usual_places(tmp_path, name, place):
    put(tmp_path / place, idx_files() if "raw" in place else zipped())
    assert load(config(name)).train.images.shape == (54_000, 28, 28, 1)


def test_places_have_an_order(tmp_path, monkeypatch):
    put(tmp_path / "home/data/MNIST/raw", zipped(4))
    put(tmp_path / "home/.cache/aejax/mnist", zipped(3))
    assert mark(load(config("mnist"))) == 3
    put(tmp_path / "environment", zipped(2))
    monkeypatch.setenv("AEJAX_DATA", str(tmp_path / "environment"))
    assert mark(load(config("mnist"))) == 2
    put(tmp_path / "given", zipped(1))
    assert mark(load(config("mnist", tmp_path / "given"))) == 1
    # A sub-folder named like the set comes before files beside it, which may be another set's.
    put(tmp_path / "given" / "mnist", zipped(4))
    assert mark(load(config("mnist", tmp_path / "given"))) == 4


def test_files_with_a_dot_and_caches_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    put(tmp_path / "xdg/aejax/mnist", {name.replace("-idx", ".idx"): raw for name, raw in idx_files(3).items()})
    assert mark(load(config("mnist"))) == 3


def test_keras_archive(home):
    images, labels = examples(60_000, (28, 28), 5)
    path = home / ".keras/datasets/mnist.npz"
    path.parent.mkdir(parents=True)
    np.savez_compressed(path, x_train=images, y_train=labels, x_test=images[:10_000], y_test=labels[:10_000])
    assert mark(load(config("mnist"))) == 5
    path.write_bytes(path.read_bytes()[:5_000])
    assert str(path) in refusal(load, config("mnist"))


def cifar_files():
    files = {}
    for i in range(6):
        records = np.zeros((10_000, 3073), np.uint8)
        records[:, 0] = np.arange(10_000) % 10
        records[:, 1:1025], records[:, 1025:2049], records[0, 1025 + 5 * 32 + 2] = (
            10 + i,
            100,
            7,
        )  # red; green, and one pixel
        files["test_batch.bin" if i == 5 else f"data_batch_{i + 1}.bin"] = records.tobytes()
    return files


def archive(files):
    """The files in a folder of a tar, in an order that is not theirs, beside one that is not wanted."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
        for name, raw in [*reversed(files.items()), ("readme.html", b"hello"), ("../../escaped", b"no")]:
            member = tarfile.TarInfo(name if "/" in name else f"cifar-10-batches-bin/{name}")
            member.size = len(raw)
            tar.addfile(member, io.BytesIO(raw))
    return out.getvalue()


def test_cifar_from_its_archive_and_from_its_files(tmp_path):
    files = cifar_files()
    put(tmp_path / "a", {"cifar-10-binary.tar.gz": archive(files)})
    put(tmp_path / "b" / "cifar-10-batches-bin", files)
    for folder in ("a", "b"):
        data = load(config("cifar10", tmp_path / folder))
        assert data.shape == (32, 32, 3) and data.classes[3] == "cat"
        assert [len(part) for part in (data.train, data.valid, data.test)] == [45_000, 5_000, 10_000]
        assert data.train.images.flags.c_contiguous
        reds = data.train.images[:, 9, 9, 0].astype(int)
        assert np.unique(reds).tolist() == [10, 11, 12, 13, 14] and (np.diff(reds) >= 0).all()  # batches in order
        assert data.test.images[1, 5, 5].tolist() == [15, 100, 0] and data.test.images[0, 5, 2].tolist() == [15, 7, 0]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["cifar-10-binary.tar.gz"]  # nothing extracted


def test_damaged_cifar(tmp_path):
    path = tmp_path / "cifar-10-binary.tar.gz"
    whole = archive({"data_batch_1.bin": b"short"})
    path.write_bytes(whole)
    assert str(path) in refusal(load, config("cifar10", tmp_path)) and "lacks data_batch_2.bin" in refusal(
        load, config("cifar10", tmp_path)
    )
    for damaged in (whole[:40], b"not a tar"):
        path.write_bytes(damaged)
        assert f"{path}: truncated or corrupt" in refusal(load, config("cifar10", tmp_path))
    bin_file = tmp_path / "data_batch_1.bin"
    bin_file.write_bytes(b"short")
    assert f"{bin_file}: truncated" in refusal(binary.read_cifar_files, [bin_file])


def damage(name, raw):
    return {
        "gzip cut": raw[: len(raw) // 2],
        "gzip altered": raw[:-8] + bytes(8),
        "body cut": gzip.compress(gzip.decompress(raw)[:-1], 1),
        "body too long": gzip.compress(gzip.decompress(raw) + b"x", 1),
        "another format": b"<html>no such file</html>",
        "no bytes": b"",
    }[name]


@pytest.mark.parametrize(
    "kind", ["gzip cut", "gzip altered", "body cut", "body too long", "another format", "no bytes"]
)
def test_damaged_idx_names_the_file(tmp_path, kind):
    for file in ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
        put(tmp_path, {file: damage(kind, zipped()[file])})
        ndim = 3 if "images" in file else 1
        assert str(tmp_path / file) in refusal(binary.read_idx, tmp_path / file, ndim)


def test_wrong_shape_count_or_label(tmp_path):
    for name, array, expected in (
        ("train-images-idx3-ubyte", np.zeros((60_000, 20, 20), np.uint8), "train images"),
        ("t10k-images-idx3-ubyte", np.zeros((9_999, 28, 28), np.uint8), "test images"),
        ("t10k-labels-idx1-ubyte", np.full(10_000, 10, np.uint8), "test labels"),
    ):
        put(tmp_path, zipped() | {name: idx(array)})
        message = refusal(load, config("kmnist", tmp_path))
        assert expected in message and str(tmp_path) in message
        (tmp_path / name).unlink()


def test_files_of_another_set(tmp_path, monkeypatch):
    labels = idx_files()["train-labels-idx1-ubyte"][8:]
    mirrors(monkeypatch, "mnist", CLOSED, fingerprint=canonical.zlib.crc32(labels))
    put(tmp_path, zipped())
    assert "those of mnist" in refusal(load, config("fashion_mnist", tmp_path))
    assert len(load(config("mnist", tmp_path)).test) == 10_000


def test_missing_data_dir():
    assert "data.dir=/no/such/folder" in refusal(load, config("mnist", "/no/such/folder"))


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "kmnist", "cifar10"])
def test_offline_names_the_ways_out(home, name):
    start = time.monotonic()
    message = refusal(load, config(name))
    assert time.monotonic() - start < 5
    assert "no connection" in message and str(home / ".cache/aejax" / name) in message
    assert "--config.data.name=mnist5k" in message and "--config.data.dir" in message
    assert all(file in message for file in canonical.SETS[name].hashes)
    assert ("apt install dataset-fashion-mnist" in message) == (name == "fashion_mnist")


def test_a_network_that_swallows_everything(monkeypatch):
    """Two mirrors that never answer share the budget, and so does a name look-up that hangs."""
    monkeypatch.setattr(download, "QUIET", 0.6)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        mirrors(monkeypatch, "kmnist", url, url)
        start = time.monotonic()
        assert "no answer" in refusal(load, config("kmnist"))
        assert 0.5 < time.monotonic() - start < 3

    hang = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: hang.wait(20))
    mirrors(monkeypatch, "kmnist", "http://a.example/", "http://b.example/")
    start = time.monotonic()
    message = refusal(load, config("kmnist"))
    assert "a.example: no answer" in message and "b.example: no answer" in message
    assert time.monotonic() - start < 3
    hang.set()


def test_the_budget_is_within_the_promise():
    assert download.QUIET <= 13


@pytest.fixture
def server():
    """A mirror on the loopback: its files, the paths asked for, and its URL."""

    class Mirror(http.server.BaseHTTPRequestHandler):
        files, asked = {}, []

        def do_GET(self):
            self.asked.append(self.path)
            raw = self.files.get(self.path.lstrip("/"))
            self.send_response(404 if raw is None else 200)
            self.send_header("Content-Length", str(len(raw or b"")))
            self.end_headers()
            self.wfile.write(raw or b"")

        def log_message(self, *args):
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    Mirror.url = f"http://127.0.0.1:{httpd.server_port}/"
    yield Mirror
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def hashes(files):
    return {name: hashlib.sha256(raw).hexdigest() for name, raw in files.items()}


def test_download_once_then_never_again(home, monkeypatch, server):
    server.files = {f"set/{name}": raw for name, raw in zipped(9).items()}
    mirrors(monkeypatch, "kmnist", CLOSED, server.url + "set/", hashes=hashes(zipped(9)))
    assert mark(load(config("kmnist"))) == 9
    assert len(server.asked) == 4
    assert sorted(p.name for p in (home / ".cache/aejax/kmnist").iterdir()) == sorted(zipped())  # and no leavings
    assert mark(load(config("kmnist"))) == 9
    assert len(server.asked) == 4


def test_download_goes_on_where_it_was_cut_off(home, monkeypatch, server):
    mirrors(monkeypatch, "kmnist", server.url, hashes=hashes(zipped(9)))
    server.files = {name: raw for name, raw in zipped(9).items() if "t10k" not in name}
    assert "HTTP status 404" in refusal(load, config("kmnist"))
    server.files = zipped(9)
    assert mark(load(config("kmnist"))) == 9
    assert sum("train-images" in path for path in server.asked) == 1


def test_wrong_hash_is_refused_and_leaves_nothing(home, monkeypatch, server):
    server.files = zipped(9)
    mirrors(monkeypatch, "kmnist", server.url, hashes=hashes(zipped(8)))
    assert "known hash" in refusal(load, config("kmnist"))
    assert list((home / ".cache/aejax/kmnist").iterdir()) == []


def test_cache_that_cannot_be_written(home, monkeypatch, server):
    server.files = zipped(9)
    mirrors(monkeypatch, "kmnist", server.url, hashes=hashes(zipped(9)))
    (home / ".cache").mkdir(parents=True)
    (home / ".cache/aejax").write_text("a file where the folder should be")
    message = refusal(load, config("kmnist"))
    assert str(home / ".cache/aejax/kmnist") in message and "$XDG_CACHE_HOME" in message


def test_hashes_are_sha256_of_the_files_of_a_layout():
    for known in canonical.SETS.values():
        names = {name.removesuffix(".gz") for name in known.hashes}
        assert any(names == {name.removesuffix(".gz") for name in layout.files} for layout in known.layouts)
        assert all(len(bytes.fromhex(sha256)) == 32 for sha256 in known.hashes.values())
        assert all(url.endswith("/") for url in known.mirrors)
