"""Vectors over a vocabulary, as the words that stand out in them."""

from collections.abc import Sequence

import numpy as np

from aejax.analysis import selection


def largest(values: np.ndarray, words: Sequence[str], count: int = 8) -> list[tuple[str, float]]:
    """The words of the largest positive values [d], largest first, each with its value; ties in the words' order."""
    return [(words[i], float(values[i])) for i in selection.largest(values, count) if values[i] > 0]


def texts(shown: np.ndarray, inputs: np.ndarray, outputs: np.ndarray, words: Sequence[str]) -> list[dict]:
    """For each text shown, the words of largest count and those of largest mean in its reconstruction.

    Args:
      shown: [n] its number in the test split.
      inputs, outputs: [n, 1, 1, d].
      words: [d].
    """
    pairs = zip(shown, inputs.reshape(len(shown), -1), outputs.reshape(len(shown), -1), strict=True)
    return [{"test_index": int(i), "input": largest(x, words), "output": largest(y, words)} for i, x, y in pairs]


def told(pairs: Sequence[tuple[str, float]]) -> str:
    """``the 12, of 7.5, to 6``: words and their values in a line."""
    return ", ".join(f"{word} {value:.3g}" for word, value in pairs) or "none"
