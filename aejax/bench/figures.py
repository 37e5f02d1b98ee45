"""What is counted: pure functions from raw repeats to the numbers of the table."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple


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


def fastest(rates: Mapping[str, Sequence[float]]) -> str | None:
    """The name with the largest median rate; None of none."""
    return max(rates, key=lambda name: median(rates[name]), default=None)


def arithmetic(description: Mapping[str, Any]) -> int:
    """Floating-point operations of the matrix products that training takes for one example.

    ``Σ_layers 6 · inputs · outputs − 2 · inputs₁ · outputs₁``: a product of [1, inputs] with
    [inputs, outputs] is 2 · inputs · outputs operations, and each layer has three: forward, the kernel's
    gradient, and the gradient of its input, which no one computes for the first layer.
    Biases, activations, the loss and the optimiser are not counted.
    """
    layers = [*description["encoder"], *description["decoder"]]
    products = [2 * layer["inputs"] * layer["outputs"] for layer in layers]
    return 3 * sum(products) - products[0]


def shares(rates: Sequence[float], operations: int, peaks: Sequence[float]) -> list[float]:
    """The share of the machine's matrix-product peak, round by round: images/s · operations / peak."""
    return [rate * operations / peak for rate, peak in zip(rates, peaks, strict=True)]


def disagreement(losses: Sequence[float]) -> float:
    """``(largest − least) / least``: by how much the losses of frameworks that do the same work differ."""
    return max(losses) / min(losses) - 1


def steps_for(seconds: float, steps: int, took: float) -> int:
    """How many steps take about ``seconds``, where ``steps`` of them took ``took`` seconds; at least 1."""
    return max(1, round(seconds * steps / max(took, 1e-9)))
