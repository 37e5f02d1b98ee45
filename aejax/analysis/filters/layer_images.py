"""The layers between the ends of a net as weight images: their numbers, what these say, and which to draw."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from aejax.analysis import command, selection, weights, words
from aejax.analysis.filters import layers, pairs, texture

PAIRS = 32  # drawn

Panel = tuple[str, np.ndarray, np.ndarray | None]


class Examined(NamedTuple):
    """What there is to know about the layers between the ends.

    Attributes:
      panels: of each layer its title, the images to draw [n, h, w, c], and which to frame [n] (None: none).
      pairs: the picture of what the code's units read beside what they write; None where there are no pairs.
      numbers: of each layer and of the pairs.
      told: what they say, a sentence a line.
    """

    panels: list[Panel]
    pairs: Figure | None
    numbers: dict[str, Any]
    told: list[str]


def examine(run: Any, train: np.ndarray, firing: np.ndarray, choose: Callable) -> Examined:
    """All layers of a run but the encoder's first and the decoder's last, taken linearly as ``layers`` says.

    Args:
      run: as ``aejax.load`` gives it.
      train: the raw training images [n, h, w, c].
      firing: [d] the share of images for which each code unit fires.
      choose: from the norms [n] of a layer's images, and the shares of firing [n] where its units are the code's (else
        None), which to draw.
    """
    linear = layers.linearised(run.model)
    code_shape = tuple(run.code_shape)
    there = layers.found(linear, run.variables, code_shape)
    panels, rows, told = [], [], []
    for layer, number, of in between(there):
        images = layers.IMAGES[layer.part](linear, run.variables, layer)
        images = layers.cropped(images) if len(layer.shape) == 3 else images
        known = firing if is_code(layer, there, code_shape) else None
        shown = choose(texture.norms(images), known)
        alive = slice(None) if known is None else firing > 0
        row = {"part": layer.part, "layer": layer.name, "number": number, "of": of, "size": images.shape[1:3]}
        seen = weights.on_varying_pixels(images, train) if layer.part == "encoder" else images
        row |= texture.describe(seen[alive])
        rows.append({**row, "shown": shown})
        panels.append((caption(row, len(shown), layer.units), images[shown], _dead(firing, known, shown)))
        told.append(f"{layer.part.capitalize()} layer {number} of {of}, taken linearly: {texture.look(row)}.")
    paired, numbers, said = pair(run, linear, train, firing, deep=bool(rows))
    return Examined(panels, paired, {"layers": rows, **numbers}, told + said)


def between(there: Sequence[layers.Layer]) -> list[tuple[layers.Layer, int, int]]:
    """All but the encoder's first and the decoder's last layer, each with its number from 1 and how many there are."""
    encoder, decoder = ([layer for layer in there if layer.part == part] for part in ("encoder", "decoder"))
    counted = [(layer, i + 1, len(encoder)) for i, layer in enumerate(encoder)][1:]
    return counted + [(layer, i + 1, len(decoder)) for i, layer in enumerate(decoder)][:-1]


def is_code(layer: layers.Layer, there: Sequence[layers.Layer], code_shape: tuple[int, ...]) -> bool:
    """Whether a layer's units are those of the code: what the encoder's last gives and the decoder's first reads."""
    mine = [other for other in there if other.part == layer.part]
    return layer == mine[-1 if layer.part == "encoder" else 0] and layer.units == code_shape[-1]


def caption(row: dict, drawn: int, units: int) -> str:
    """``encoder layer 2 of 3: 100 of 250 units, 13×13``."""
    size = "×".join(map(str, row["size"]))
    return f"{row['part']} layer {row['number']} of {row['of']}: {_count(drawn, units)}, {size}"


def pair(
    run: Any, linear: Any, train: np.ndarray, firing: np.ndarray, deep: bool
) -> tuple[Figure | None, dict, list[str]]:
    """What the code's units read beside what they write: the picture, the numbers, and what they say.

    Args:
      run, train, firing: as ``examine`` takes them.
      linear: the run's model, linearised.
      deep: whether several layers are taken linearly.
    """
    if "decoder" not in run.variables["params"]:
        return None, {}, []
    atoms = layers.code_atoms(linear, run.variables, tuple(run.code_shape))
    numbers, told = {}, []
    if run.words and atoms.shape[1:] == (1, 1, len(run.words)):
        by_unit = {u: words.largest(atoms[u, 0, 0], run.words) for u in range(len(atoms))}
        numbers["words_by_code_unit"] = by_unit
        told = [f"Words that code unit {u} adds, taken linearly: {words.told(by_unit[u])}." for u in list(by_unit)[:3]]
    filters = layers.code_filters(linear, run.variables, tuple(run.code_shape))
    if filters is None or weights.is_tied(run.variables["params"]):
        return None, numbers, told
    filters = weights.on_varying_pixels(filters, train)
    values = pairs.cosines(filters, atoms)
    numbers["reads_and_writes"] = pairs.describe(values, firing > 0)
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return None, numbers, [*told, pairs.told(numbers["reads_and_writes"], deep)]
    shown = known[selection.over_ranking(values[known], PAIRS)]
    if len(run.code_shape) == 3:
        both = layers.cropped(np.concatenate([filters, atoms], axis=-1))
        filters, atoms = np.split(both, 2, axis=-1)
    title = f"{command.heading(run)}: what code units read (left) and write (right)"
    title += ", all layers taken linearly\n" if deep else "\n"
    order = ", evenly spaced in order of cosine" if len(shown) < len(values) else ""
    title += f"{_count(len(shown), len(values))}{order}; beneath: its number and the cosine of the two"
    figure = pairs.draw(filters[shown], atoms[shown], shown, values[shown], title)
    return figure, numbers, [*told, pairs.told(numbers["reads_and_writes"], deep)]


def _count(drawn: int, units: int) -> str:
    return f"{drawn} of {units} units" if drawn < units else f"all {units} units" if units > 1 else "the only unit"


def _dead(firing: np.ndarray, known: np.ndarray | None, shown: np.ndarray) -> np.ndarray | None:
    return None if known is None else (firing == 0)[shown]
