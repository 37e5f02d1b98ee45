"""What makers say of their accelerators: peaks, bandwidths, and how chips are joined."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

RING = 16  # a TPU v5e's axis of so many chips closes into a ring; a shorter one is a line


class Collective(NamedTuple):
    """How an all-reduce goes over some chips: the links that a chip sends over at a time, and its steps in turn."""

    links: int
    steps: int


def torus(n: int) -> Collective:
    """Over the most square grid of n chips, a power of two: a reduction and a gathering along each axis.

    A ring of s chips sends both ways, so two links are busy and either takes s / 2 steps; a line of s is at half of
    that rate and takes s − 1. Parts of the gradient begin with different axes, so that the links of both are busy.
    """
    shorter = 2 ** (round(math.log2(n)) // 2)
    sides = [side for side in (shorter, n // shorter) if side > 1]
    rings = [side == RING for side in sides]
    steps = sum(2 * (side // 2 if ring else side - 1) for side, ring in zip(sides, rings, strict=True))
    return Collective(sum(2 if ring else 1 for ring in rings), steps)


def switched(n: int) -> Collective:
    """A ring over chips that a switch joins, each with one link of the whole bandwidth: 2 (n − 1) steps."""
    return Collective(min(1, n - 1), 2 * (n - 1))


@dataclass(frozen=True)
class Accelerator:
    """A chip, and those that it trains with.

    Attributes:
      name: of the chip.
      counts: how many there may be.
      peaks: of products, FLOP/s, by what a net computes in (``config.precision``).
      bandwidth: of its memory, bytes/s.
      memory: bytes.
      link: what a link carries one way, bytes/s.
      start: seconds before an all-reduce begins to move.
      hop: seconds a step of one.
      collective: how an all-reduce goes over n of them.
      sources: where the numbers are from, a sentence each.
    """

    name: str
    counts: tuple[int, ...]
    peaks: Mapping[str, float]
    bandwidth: float
    memory: float
    link: float
    start: float
    hop: float
    collective: Callable[[int], Collective]
    sources: tuple[str, ...]


TPU_V5E = Accelerator(
    name="TPU v5e",
    counts=(1, 4, 8, 16, 32, 64, 128, 256),  # the slices that there are: 1x1, 2x2, 2x4, 4x4, ... 16x16
    peaks={"float32": 197e12 / 6, "bfloat16": 197e12},
    bandwidth=819e9,
    memory=16e9,
    link=50e9,
    start=0.0,
    hop=1e-6,
    collective=torus,
    sources=(
        "197 TFLOP/s in bfloat16, 16 GB at 819 GB/s, four links that carry 400 GB/s both ways together (50 GB/s a link "
        'and way), slices of 1 to 256 chips in a 2D torus: Google Cloud, "TPU v5e" '
        "(https://cloud.google.com/tpu/docs/v5e).",
        'float32 takes six passes in bfloat16: JAX, jax.lax.Precision, "HIGHEST", which aejax asks for.',
        'An axis closes into a ring at 16 chips, and a hop takes about 1 µs: Austin et al., "How to Scale Your Model", '
        'parts "How to Think About TPUs" and "Sharded Matrices" (https://github.com/jax-ml/scaling-book). What an '
        "all-reduce takes before it moves anything is not published and counts as 0.",
    ),
)

H100 = Accelerator(
    name="H100 SXM",
    counts=(1, 2, 4, 8),
    peaks={"float32": 67e12, "bfloat16": 1979e12 / 2},
    bandwidth=3.35e12,
    memory=80e9,
    link=450e9,
    start=3.6e-6,
    hop=0.47e-6,
    collective=switched,
    sources=(
        "67 TFLOP/s in float32 (no TF32, which aejax does not take by itself), 1,979 TFLOP/s in bfloat16 with sparsity "
        'and half of that without, 80 GB at 3.35 TB/s, NVLink 900 GB/s both ways together: NVIDIA, "H100 Tensor Core '
        'GPU", table of specifications, H100 SXM (https://www.nvidia.com/en-us/data-center/h100/).',
        "An all-reduce takes 3.6 µs before and 0.47 µs a step of a ring over NVLink: NVIDIA, NCCL, "
        "src/graph/tuning.cc, baseLat and hwLat of Ring/LL (https://github.com/NVIDIA/nccl), its protocol for short "
        "messages; the bandwidth is NVLink's own.",
    ),
)

ACCELERATORS = (TPU_V5E, H100)
