"""What a stochastic decoder draws for one code, beside its mean."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from aejax.analysis import command, known_codes, selection, strips, views

# Without a density of one example: an error that is no likelihood, and one that draws a single word.
MEANS_ONLY = ("multinomial", "sigmoid_squared_error", "squared_error")
ROWS, COLUMNS, MEASURED = 4, 8, 100


def noise(inputs: np.ndarray, means: np.ndarray, drawn: np.ndarray) -> dict[str, float]:
    """How far draws and inputs are from the means: mean squared distances of [n, ...], and their quotient.

    A decoder whose noise is that of the data has 1; far above, it draws more noise than it
    has errors.
    """
    own, error = (
        float(np.square(x.astype(np.float64) - means).sum(axis=tuple(range(1, x.ndim))).mean()) for x in (drawn, inputs)
    )
    return {"squared_noise": own, "squared_error": error, "ratio": own / error if error > 0 else np.nan}


def told(numbers: Mapping[str, float], noun: str) -> str:
    """``noise`` in a sentence."""
    ratio = numbers["ratio"]
    than = "more than" if ratio > 1.1 else "less than" if ratio < 0.9 else "as much as"
    return (
        f"{noun.capitalize()}s drawn from p(x|code) differ from their mean by {numbers['squared_noise']:.3g} "
        f"(squared), {than} the inputs do ({numbers['squared_error']:.3g})."
    )


def drawn(run: Any, test: Any, seed: int, noun: str) -> tuple[dict[str, float] | None, dict[str, Figure]]:
    """The numbers of ``noise`` on test examples and, as figure ``draws``, some of them, their means and draws.

    None and no figure where the likelihood is one of ``MEANS_ONLY``.
    """
    if run.config.get("loss", {}).get("likelihood") in MEANS_ONLY:
        return None, {}
    rows = known_codes.subset(test, MEASURED)
    raw = test.images[rows]
    codes = known_codes.known(run, raw)
    inputs, means = np.asarray(run.prepare(raw)), known_codes.decoded(run, codes)
    shown = selection.evenly(len(rows), ROWS)
    all_drawn = run.draw(np.concatenate([codes, codes[shown].repeat(COLUMNS, axis=0)]), seed)
    numbers = noise(inputs, means, all_drawn[: len(rows)])
    lines = []
    for i, several in zip(shown, np.split(all_drawn[len(rows) :], len(shown)), strict=True):
        together = np.concatenate([inputs[i : i + 1], means[i : i + 1], several])
        like = raw[i : i + 1].repeat(len(together), axis=0)
        pictures = np.asarray(run.picture(together, like=like))
        lines.append(strips.Row(views.viewable(pictures, pictures[:1].repeat(len(together), axis=0)), str(rows[i])))
    title = f"{command.heading(run)}: test {noun}s by index, their means and draws from p(x|code)"
    columns = ["input", "mean", *["drawn"] * COLUMNS]
    return {"examples": len(rows), **numbers}, {"draws": strips.alone(lines, title, columns, left=0.5, right=0.2)}
