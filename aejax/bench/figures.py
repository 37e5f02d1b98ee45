"""What is counted: pure functions from raw repeats to the numbers of the table."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from aejax.bench import layers


class Spread(NamedTuple):
    """The median of some repeats, and the least and largest of them."""

    median: float
    least: float
    most: float


def spread(values: Sequence[float]) -> Spread:
    """Of one value or more."""
    return Spread(median(values), min(values), max(values))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """``ours_i / theirs_i``, round by round; rates, so above 1 is faster."""
    return [a / b for a, b in zip(ours, theirs, strict=True)]


def arithmetic(description: Mapping[str, Any]) -> int:
    """Floating-point operations of the products with kernels that training takes for one example.

    ``Σ_layers 3 · operations − operations₁``: each layer has three products, forward, the kernel's gradient, and the
    gradient of its input, which no one computes for the first layer; what one takes is in ``layers.operations``. The
    decoder's are taken for each of a code's ``samples``. Biases, activations, codes, penalties and the optimiser are
    not counted.
    """
    encoder, decoder = ([layers.operations(layer) for layer in description[part]] for part in ("encoder", "decoder"))
    first = next(n for n in [*encoder, *decoder] if n)
    return 3 * (sum(encoder) + description["code"].get("samples", 1) * sum(decoder)) - first


def shares(rates: Sequence[float], operations: int, peaks: Sequence[float]) -> list[float]:
    """The share of the machine's matrix-product peak, round by round: images/s · operations / peak."""
    return [rate * operations / peak for rate, peak in zip(rates, peaks, strict=True)]


def disagreement(losses: Sequence[float]) -> float:
    """``(largest − least) / |least|``: by how much the losses of frameworks that do the same work differ."""
    return (max(losses) - min(losses)) / max(abs(min(losses)), 1e-12)


def steps_for(seconds: float, steps: int, took: float) -> int:
    """How many steps take about ``seconds``, where ``steps`` of them took ``took`` seconds; at least 1."""
    return max(1, round(seconds * steps / max(took, 1e-9)))


def steps_compared(seconds_a_step: Sequence[float], most: int, least: int, seconds: float) -> int:
    """How many steps every framework takes before losses are compared: ``most``, or as many as the slowest takes in
    about ``seconds``, of the speeds given; at least ``least``."""
    return max(least, min(most, int(seconds / max([1e-9, *seconds_a_step]))))


def mean(values: Sequence[float]) -> float:
    """Of one value or more."""
    return sum(values) / len(values)


def wander(losses: Sequence[float]) -> float:
    """How far the means over parts of a stretch of training lie apart, as a share of their mean: its own noise."""
    return (max(losses) - min(losses)) / max(abs(mean(losses)), 1e-12)
