"""The time of a training step on paper: pure functions of a net's arithmetic and bytes and a maker's numbers.

On n chips that train on b examples each (S. Williams, A. Waterman, D. Patterson, "Roofline: An Insightful Visual
Performance Model for Multicore Architectures", Communications of the ACM 52(4), 2009):

    own           = max(FLOP(b) / (ATTAINED · peak), bytes(b) / (STREAMED · bandwidth))
    communication = start + steps · hop + 2 (n − 1) / n · gradient / (links · link),  0 on one chip
    step          = own + communication
"""

from collections.abc import Sequence
from typing import NamedTuple

from aejax.bench.accelerators import Accelerator

ATTAINED = 0.5  # of the peak of products
STREAMED = 0.8  # of the memory's bandwidth


class Affine(NamedTuple):
    """``fixed + each · b``: what a step on b examples has."""

    fixed: float
    each: float

    def at(self, examples: float) -> float:
        """Of so many examples."""
        return self.fixed + self.each * examples


def through(batches: Sequence[int], values: Sequence[float]) -> Affine:
    """The line through two points, neither part of it below 0."""
    (a, b), (y, z) = batches, values
    each = max(0.0, (z - y) / (b - a))
    return Affine(max(0.0, y - each * a), each)


class Net(NamedTuple):
    """A net as the roofline sees it.

    Attributes:
      flops: of the products of a step.
      bytes: that a step reads and writes.
      gradient: bytes that an all-reduce sums.
      batch: examples of a step as its config has them.
    """

    flops: Affine
    bytes: Affine
    gradient: float
    batch: int


class Times(NamedTuple):
    """Seconds of a step on each of n chips, by what they are for."""

    compute: float
    memory: float
    communication: float

    @property
    def own(self) -> float:
        """What a chip does by itself: moving bytes hides computing, or the reverse."""
        return max(self.compute, self.memory)

    @property
    def step(self) -> float:
        """Nothing of the communication is hidden."""
        return self.own + self.communication


def all_reduce(chip: Accelerator, n: int, size: float) -> float:
    """Seconds that n chips take to sum an array of so many bytes that each of them has."""
    if n == 1:
        return 0.0
    links, steps = chip.collective(n)
    return chip.start + steps * chip.hop + 2 * (n - 1) / n * size / (links * chip.link)


def times(chip: Accelerator, precision: str, net: Net, n: int, examples: int) -> Times:
    """Of a step on n chips, so many examples on each."""
    compute = net.flops.at(examples) / (ATTAINED * chip.peaks[precision])
    memory = net.bytes.at(examples) / (STREAMED * chip.bandwidth)
    return Times(compute, memory, all_reduce(chip, n, net.gradient))


def weak(chip: Accelerator, precision: str, net: Net) -> dict[int, Times]:
    """By the number of chips, the batch of the config on each."""
    return {n: times(chip, precision, net, n, net.batch) for n in chip.counts}


def strong(chip: Accelerator, precision: str, net: Net) -> dict[int, Times]:
    """By the number of chips, the batch of the config over all: one example a chip at least, some of them padding."""
    return {n: times(chip, precision, net, n, -(-net.batch // n)) for n in chip.counts}


def taken_over(found: dict[int, Times]) -> int | None:
    """The fewest chips on which communication takes longer than all else; None where it never does."""
    return min((n for n, t in found.items() if t.communication > t.own), default=None)


def fastest(found: dict[int, Times]) -> int:
    """The number of chips with the shortest step, the fewest of them."""
    return min(found, key=lambda n: (found[n].step, n))
