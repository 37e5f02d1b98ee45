"""Cells of a plane and the codes in them: how many, of which class, and where none are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage

PURE = 0.9  # the share of one class from which on a cell is that class's


def counts(cells: np.ndarray, side: int) -> np.ndarray:
    """[side, side], from the top left: how many of the codes lie in each cell; ``cells`` [n] as ``Plane.cell_of``."""
    return np.bincount(cells[cells >= 0], minlength=side * side).reshape(side, side)


def enclosed(occupied: np.ndarray) -> np.ndarray:
    """The empty cells [side, side] from which no path over edges of empty cells leads outside: holes in the codes."""
    return ndimage.binary_fill_holes(occupied) & ~occupied


def by_class(cells: np.ndarray, labels: np.ndarray, classes: int, side: int) -> np.ndarray:
    """[classes, side, side]: ``counts`` of the codes of each class."""
    return np.stack([counts(cells[labels == k], side) for k in range(classes)])


def most_frequent(members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of ``by_class`` [classes, ...], the class of most codes of each cell (of equals the lowest; -1 in an empty one),
    and its share of the cell's (0 in an empty one)."""
    total = members.sum(axis=0)
    return np.where(total > 0, members.argmax(axis=0), -1), members.max(axis=0) / np.maximum(total, 1)


def described_by_class(members: np.ndarray, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """For each class, the cells (row, column), from the top left, that hold a code of it, and in which it is first."""
    first, _ = most_frequent(members)
    return {
        name: {"cells": np.argwhere(members[k] > 0), "most_frequent_in": np.argwhere(first == k)}
        for k, name in enumerate(names)
        if members[k].any()
    }


def borders(occupied: np.ndarray) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """The edges between occupied cells [rows, columns] and empty ones or the outside.

    Each from (column, row) to (column, row), counted in cells from the top left corner.
    """
    padded = np.pad(occupied, 1).astype(int)
    upright = np.argwhere(np.diff(padded, axis=1)[1:-1] != 0)
    level = np.argwhere(np.diff(padded, axis=0)[:, 1:-1] != 0)
    lines = [((int(j), int(i)), (int(j), int(i) + 1)) for i, j in upright]
    return lines + [((int(j), int(i)), (int(j) + 1, int(i))) for i, j in level]


def evenness(members: np.ndarray) -> float:
    """``exp(entropy) / cells`` of counts, in percent: 100 where all cells hold as many, 100 / cells where one does."""
    share = members[members > 0] / members.sum()
    return float(100 * np.exp(-np.sum(share * np.log(share))) / members.size)
