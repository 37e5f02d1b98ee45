"""``text:PATH``: texts in folders, or in an archive of them, as counts of words.

How classes and splits are laid out: see ``tree``; a file (.txt, or no suffix at all) is a text. It is read as UTF-8, or
as Latin-1 where it is none. A word is two or more letters or digits in a row, in lower case, as scikit-learn's
``CountVectorizer`` finds them.

The vocabulary is the ``data.words`` most frequent words of train alone, most frequent first, of equally frequent ones
the alphabetically first; or all of them where there are fewer. It is learnt after the splits are cut, and belongs to
the run: ``Dataset.reading`` holds it as plain JSON, with what the weighting needs. Images are [n, 1, 1, words] float32.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from aejax.data import tree
from aejax.data.dataset import Dataset, Source, Split, one_line
from aejax.errors import UserError

SUFFIXES = (".txt", "")


@dataclasses.dataclass(frozen=True, eq=False)
class Documents:
    """Texts of a split, before there is a vocabulary: [n] strings, and [n] int32 labels or None."""

    texts: np.ndarray
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.texts)

    def rows(self, rows: np.ndarray | slice) -> "Documents":
        """Some of the texts: [n] bool, or a slice."""
        return Documents(self.texts[rows], None if self.labels is None else self.labels[rows])


def counts(number: np.ndarray, reading: Mapping[str, Any]) -> np.ndarray:
    """How often each word stands in each text: [n, words] as they are."""
    return number


def tfidf(number: np.ndarray, reading: Mapping[str, Any]) -> np.ndarray:
    """Counts [n, words], each times its word's inverse document frequency, every text then of Euclidean length 1.

    ``idf_j = 1 + ln((1 + n) / (1 + n_j))`` with n texts in train, of which n_j hold word j: scikit-learn's default.
    A text without any word of the vocabulary stays 0.
    """
    holding = np.asarray(reading["holding"], np.float64)
    weighted = number * (1 + np.log((1 + reading["texts"]) / (1 + holding))).astype(np.float32)
    length = np.linalg.norm(weighted, axis=1, keepdims=True)
    return weighted / np.where(length > 0, length, 1)


WEIGHTINGS: dict[str, Callable] = {"counts": counts, "tfidf": tfidf}


def read(data: ConfigDict, rest: str) -> Source:
    """Texts by class; the module's docstring has the rules.

    Raises:
      UserError: a key is out of range, the folder is missing or empty, a file is no text, or train holds no words.
    """
    if data.words < 1:
        raise UserError(f"data.words={data.words}: how many words to count, at least 1")
    if data.weighting not in WEIGHTINGS:
        raise UserError(f"data.weighting={data.weighting!r}: accepted: {', '.join(WEIGHTINGS)}")
    found = tree.walk("text", rest, SUFFIXES, "texts (.txt)")
    texts = np.empty(len(found.files), object)

    def put(i: int) -> None:
        texts[i] = _text(found.files[i])

    tree.fill(len(texts), put)

    def finish(dataset: Dataset) -> Dataset:
        reading = learn(dataset.train.texts, data.words, data.name)
        splits = {
            part: Split(from_raw(data, reading, documents.texts), documents.labels)
            for part, documents in (("train", dataset.train), ("valid", dataset.valid), ("test", dataset.test))
        }
        return dataclasses.replace(dataset, reading=reading, **splits)

    return Source(found.divide(lambda rows, labels: Documents(texts[rows], labels)), found.classes, finish)


def learn(texts: Sequence[str], words: int, name: str) -> dict[str, Any]:
    """What train teaches: {"words": the vocabulary, "holding": texts with each word, "texts": how many texts}.

    Raises:
      UserError: there are no words.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    vectoriser = CountVectorizer()
    try:
        number = vectoriser.fit_transform(texts)
    except ValueError as error:
        raise UserError(f"data.name={name}: the texts of train hold no words") from error
    every = vectoriser.get_feature_names_out()
    total = np.asarray(number.sum(axis=0)).ravel()
    chosen = np.lexsort((every, -total))[:words]
    holding = np.asarray((number > 0).sum(axis=0)).ravel()[chosen]
    return {"words": every[chosen].tolist(), "holding": holding.tolist(), "texts": len(texts)}


def from_raw(data: Mapping, reading: Mapping[str, Any], raw: Sequence[str]) -> np.ndarray:
    """Texts -> images [n, 1, 1, words] float32, by a run's vocabulary.

    Raises:
      UserError: it is one text instead of a list, or something else than texts.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    if isinstance(raw, str) or not all(isinstance(text, str) for text in raw):
        raise UserError("a list of texts is wanted")
    vectoriser = CountVectorizer(vocabulary=list(reading["words"]), dtype=np.float32)
    number = vectoriser.transform(raw).toarray()
    weighted = WEIGHTINGS[data["weighting"]](number, reading)
    return np.ascontiguousarray(weighted, np.float32)[:, None, None]


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({one_line(error)})") from error
    if b"\0" in raw:
        raise UserError(f"{path}: not a text, for it holds zero bytes; texts are UTF-8 or Latin-1")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
