"""text: words of train, counted and weighted."""

import json
import zipfile

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from aejax.data import from_raw, load, split
from aejax.errors import UserError
from configs.base import base

TRAIN = {
    "cats/1.txt": "The cat, the CAT; the purring cat.",
    "cats/2.txt": "A cat sat on the mat",
    "dogs/1.txt": "The dog sat. Dogs bark!",
    "dogs/2.txt": "the dog ate the cat's mat",
}
TEST = {"cats/1.txt": "the cat met a zebra, zebra, zebra", "dogs/1.txt": "nothing known"}


def config(name, **keys):
    data = base().data
    data.name, data.test, data.valid = name, 0.0, 0.0
    data.update(keys)
    return data


def read(folder, **keys):
    return load(config(f"text:{folder}", **keys))


def refusal(folder, **keys):
    with pytest.raises(UserError) as caught:
        read(folder, **keys)
    message = str(caught.value)
    assert message and "\n" not in message
    return message


def put(folder, texts):
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


@pytest.fixture
def corpus(tmp_path):
    put(tmp_path / "corpus" / "train", TRAIN)
    return put(tmp_path / "corpus" / "test", TEST).parent


def test_words_are_counted_in_the_order_of_train(corpus):
    data = read(corpus, words=4)
    assert data.words == ("the", "cat", "dog", "mat")  # 7, 5 and then, of those with 2, the alphabetically first
    assert data.shape == (1, 1, 4) and data.classes == ("cats", "dogs")
    assert data.train.images.dtype == np.float32 and data.train.labels.tolist() == [0, 0, 1, 1]
    assert data.train.images[:, 0, 0].tolist() == [[3, 3, 0, 0], [1, 1, 0, 1], [1, 0, 1, 0], [2, 1, 1, 1]]
    assert data.test.images[:, 0, 0].tolist() == [[1, 1, 0, 0], [0, 0, 0, 0]]
    assert data.valid.images.shape == (0, 1, 1, 4)


def test_words_of_test_alone_are_not_known(corpus):
    data = read(corpus)
    assert "zebra" not in data.words and set(data.words) == {
        *("the", "cat", "purring", "sat", "on", "mat", "dog", "dogs", "bark", "ate")
    }


def test_the_vocabulary_is_learnt_after_the_cut(tmp_path):
    """Each text has a word of its own; those of the texts that were cut off must be unknown."""
    put(tmp_path, {f"{name}/{i}.txt": f"common {name}{i}" for name in ("a", "b") for i in range(10)})
    data = read(tmp_path, test=0.2, valid=0.25)
    assert [len(part) for part in (data.train, data.valid, data.test)] == [12, 4, 4]
    assert len(data.words) == 13 and data.words[0] == "common"
    for part in (data.valid, data.test):
        assert part.images[:, 0, 0].sum(0).tolist() == [4] + [0] * 12
    names = [f"{name}{i}" for name in ("a", "b") for i in range(10)]
    labels = np.repeat([0, 1], 10).astype(np.int32)
    off = split.chosen(labels, 0.2, 0, "test")  # by the rule of every other source
    assert not {name for name, cut in zip(names, off, strict=True) if cut} & set(data.words)


def test_tfidf_is_that_of_scikit_learn(corpus):
    data = read(corpus, weighting="tfidf")
    theirs = TfidfVectorizer()
    expected = theirs.fit_transform(TRAIN.values()).toarray()
    places = [theirs.vocabulary_[word] for word in data.words]
    np.testing.assert_allclose(data.train.images[:, 0, 0], expected[:, places], rtol=1e-6)
    np.testing.assert_allclose(
        data.test.images[:, 0, 0], theirs.transform(TEST.values()).toarray()[:, places], rtol=1e-6
    )
    assert np.linalg.norm(data.train.images, axis=-1).ravel() == pytest.approx(np.ones(4))


def test_the_most_frequent_words_are_those_of_scikit_learn(corpus):
    data = read(corpus, words=2)
    assert set(data.words) == set(CountVectorizer(max_features=2).fit(TRAIN.values()).get_feature_names_out())


@pytest.mark.parametrize("weighting", ["counts", "tfidf"])
def test_what_was_learnt_survives_json_and_reads_raw_texts(corpus, weighting):
    data = read(corpus, weighting=weighting, words=5)
    reading = json.loads(json.dumps(dict(data.reading)))
    settings = config("text:wherever", weighting=weighting, words=5)
    assert np.array_equal(from_raw(settings, reading, list(TRAIN.values())), data.train.images)
    assert np.array_equal(from_raw(settings, reading, np.array(list(TEST.values()))), data.test.images)
    assert from_raw(settings, reading, []).shape == (0, 1, 1, 5)
    for raw in ("one text", [1, 2]):
        with pytest.raises(UserError, match="a list of texts"):
            from_raw(settings, reading, raw)


def test_labels_leave_the_vocabulary_of_all_of_train(corpus):
    few, whole = read(corpus, labels=2), read(corpus)
    assert few.train.labels.tolist() == [0, 1] and few.words == whole.words
    assert np.array_equal(few.test.images, whole.test.images)


def test_texts_without_classes_and_without_suffix(tmp_path):
    put(tmp_path, {"10": "ten ten", "9": "nine", "notes.pdf": b"%PDF\0"})
    data = read(tmp_path)
    assert data.train.labels is None and data.classes == () and data.words == ("ten", "nine")
    assert data.train.images[:, 0, 0].tolist() == [[0, 1], [2, 0]]  # 9 before 10


def test_encodings(tmp_path):
    put(tmp_path, {"1.txt": "\ufeffCAFÉ".encode(), "2.txt": "café".encode("latin-1"), "3.txt": b""})
    assert read(tmp_path).train.images.ravel().tolist() == [1, 1, 0]


def test_an_archive_of_texts(tmp_path, monkeypatch, corpus):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    with zipfile.ZipFile(tmp_path / "corpus.zip", "w") as packed:
        for path in corpus.rglob("*.txt"):
            packed.write(path, path.relative_to(tmp_path))
    data, same = read(tmp_path / "corpus.zip"), read(corpus)
    assert data.words == same.words and np.array_equal(data.test.images, same.test.images)


@pytest.mark.parametrize(("key", "value"), [("words", 0), ("words", -1), ("weighting", "binary")])
def test_keys_out_of_range(corpus, key, value):
    assert refusal(corpus, **{key: value}).startswith(f"data.{key}={value!r}: ")


def test_what_is_no_text(tmp_path):
    put(tmp_path / "a", {"x/1.txt": "fine", "x/2.txt": b"\0\1"})
    assert refusal(tmp_path / "a").startswith(f"{tmp_path / 'a' / 'x' / '2.txt'}: not a text")
    put(tmp_path / "b", {"1.txt": "!", "2.txt": ""})
    assert "the texts of train hold no words" in refusal(tmp_path / "b")
    (tmp_path / "c").mkdir()
    assert "no texts" in refusal(tmp_path / "c") and "no such folder" in refusal(tmp_path / "d")
