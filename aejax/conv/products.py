"""The three products of a convolution as matrix products, for the CPU.

XLA's convolution on the CPU is as fast as its matrix product forwards, but takes the kernel's gradient at a fiftieth
of that speed (2 against 110 GFLOP/s for 5x5 filters between 16 maps of 28x28, 100 examples, two cores), and filters
of a single map at a seventh. The matrix product reaches the machine's peak. What is left to do is moving numbers, at
the speed of the memory:

- Maps lie as [channels, h, w, b], examples last, so that each move copies long runs and each sum is over whole
  vectors. Between two layers the compiler finds that it need not turn them back.
- Along each axis the taps of a kernel are met before the product, by patches of what is read, or after it, by adding
  up shares of what is written: whichever moves fewer numbers. So a 5x5 kernel from 16 maps to 16 costs patches of
  5 rows and shares of 5 columns, where patches alone would be of 25 pixels.
- Strides read or write every so many pixels, and nothing is multiplied with zeros that they put between.
- Maps too large for the cache are worked on row by row: there the patches of some rows are simply those rows, and
  of four rows at a time (``rows``) some are multiplied while others are moved.

Filters of stride 1 between many maps need fewer multiplications in ``winograd``.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from aejax.conv import rows
from aejax.conv.geometry import Geometry, Pair, first, last, padded

CACHE = 8 * 2**20  # bytes of patches and shares beyond which rows are worked on one by one; 1 to 64 MiB were tried
Met = tuple[bool, bool]  # for height and width: whether the taps are met before the product


class Read(NamedTuple):
    """The pixels of an axis that each tap of a kernel meets: so many, a stride apart."""

    first: Sequence[int]  # for each tap, counted from the zeros before the axis on
    stride: int
    pads: Pair  # zeros before and after the axis
    size: int


class Written(NamedTuple):
    """The pixels of an axis that the taps' shares are added to: ``out[r] = Σ_i share_i[(r + shift_i) / stride]``, over
    those that the stride divides."""

    shifts: Sequence[int]
    stride: int
    size: int


def convolve(x: jax.Array, k: jax.Array, geometry: Geometry) -> jax.Array:
    """As ``primitives.convolve``."""
    written = [
        Written([i - a for i in range(taps)], 1, m) if s == 1 else None
        for taps, s, a, m in zip(geometry.taps, geometry.strides, geometry.low, geometry.small, strict=True)
    ]
    return _product(x, k, (2, 3), _of_large(geometry), written)


def spread(y: jax.Array, k: jax.Array, geometry: Geometry) -> jax.Array:
    """As ``primitives.spread``."""
    written = [
        Written([a - i for i in range(taps)], s, n)
        for taps, s, a, n in zip(geometry.taps, geometry.strides, geometry.low, geometry.large, strict=True)
    ]
    return _product(y, k, (3, 2), _of_small(geometry), written)


def correlate(x: jax.Array, y: jax.Array, geometry: Geometry) -> jax.Array:
    """As ``primitives.correlate``: each axis' taps are met by patches of x or of y."""
    x, y, g = last(x), last(y), geometry
    (c, *_, b), o = x.shape, y.shape[0]
    of_x, of_y = _of_large(g), _of_small(g)

    def moved(met: Met) -> int:
        places = math.prod(m if here else n for here, m, n in zip(met, g.small, g.large, strict=True))
        rows = c * _taps(g.taps, met) * any(met) + o * _taps(g.taps, map(_not, met)) * (not all(met))
        return 4 * b * places * rows

    met, by_rows = _choice([(True, False) if r else (True,) for r in of_y], moved)
    of_x = [r if here else None for r, here in zip(of_x, met, strict=True)]
    of_y = [None if here else r for r, here in zip(of_y, met, strict=True)]
    before, after = _axes(met), _axes(map(_not, met))
    if by_rows:
        row, inner = _rows(x, of_x[0]), (None, of_x[1])
        k = rows.summed(g.small[0], lambda i: _correlated(row(i), _row(y, i), inner, (None, of_y[1])))
        before = [a for a in before if a != 0]
        order = [*before, 2, 0, *after, 3]
    else:
        k = _correlated(x, y, of_x, of_y)
        order = [*before, 2, *after, 3]
    shape = (*g.taps, c, o)
    k = k.reshape([shape[axis] for axis in order])
    return jnp.transpose(k, [order.index(axis) for axis in range(4)])


def total(y: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """The sum over places and examples, [b, h, w, o] -> [o]: a product, for the compiler's sum turns the maps back.

    Args:
      shape: of y.
    """
    rows = last(y).reshape(shape[3], -1)
    return rows @ jnp.ones(rows.shape[1], y.dtype)


def _of_large(g: Geometry) -> list[Read]:
    """What the taps meet of the large maps at each pixel of the small."""
    axes = zip(g.taps, g.strides, g.pads(), g.small, strict=True)
    return [Read(range(taps), s, pads, m) for taps, s, pads, m in axes]


def _of_small(g: Geometry) -> list[Read | None]:
    """What the taps meet of the small maps at each pixel of the large; None along an axis with a stride."""
    axes = zip(g.taps, g.strides, g.spread_pads(), g.large, strict=True)
    return [Read(range(taps - 1, -1, -1), 1, pads, n) if s == 1 else None for taps, s, pads, n in axes]


def _product(
    x: jax.Array, k: jax.Array, channels: Pair, read: list[Read | None], written: list[Written | None]
) -> jax.Array:
    """Maps x [b, h, w, k's first channel axis] times the kernel -> [b, h', w', its second]."""
    x = last(x)
    (c, *size, b), (summed, kept) = x.shape, channels

    def moved(met: Met) -> int:
        places = math.prod(r.size if here else n for here, r, n in zip(met, read, size, strict=True))
        shares = k.shape[kept] * _taps(k.shape, map(_not, met)) * (not all(met))
        return 4 * b * places * (c * _taps(k.shape, met) * any(met) + shares)

    possible = [[True] * bool(r) + [False] * bool(w) for r, w in zip(read, written, strict=True)]
    met, by_rows = _choice(possible, moved)
    reads = [r if here else None for r, here in zip(read, met, strict=True)]
    writes = [None if here else w for w, here in zip(written, met, strict=True)]
    before, after = _axes(met), _axes(map(_not, met))
    if by_rows:
        k = k[::-1] if reads[0].first[0] else k  # the taps of a row's patch in the order of the rows
        matrix = _matrix(k, (*after, kept), (*(a for a in before if a != 0), summed, 0))
        row, inner = _rows(x, reads[0]), (None, reads[1])
        y = rows.stacked(reads[0].size, lambda i: _added(_times(matrix, _patches(row(i), inner)), writes))
    else:
        y = _added(_times(_matrix(k, (*after, kept), (*before, summed)), _patches(x, reads)), writes)
    return first(y)


def _choice(possible: Sequence[Sequence[bool]], moved: Callable[[Met], int]) -> tuple[Met, bool]:
    """Along which axes to meet the taps before the product, and whether to work row by row."""
    ways = list(itertools.product(*possible))
    best = min(ways, key=moved)
    over_rows = [way for way in ways if way[0]]
    if moved(best) <= CACHE or not over_rows:
        return best, False
    return min(over_rows, key=moved), True


def _not(met: bool) -> bool:
    return not met


def _taps(taps: Sequence[int], met: Sequence[bool]) -> int:
    return math.prod(n for n, here in zip(taps, met, strict=False) if here)


def _axes(met: Sequence[bool]) -> list[int]:
    return [axis for axis, here in enumerate(met) if here]


def _matrix(k: jax.Array, rows: Sequence[int], columns: Sequence[int]) -> jax.Array:
    """The kernel with some of its axes as rows, the others as columns."""
    return jnp.transpose(k, (*rows, *columns)).reshape(math.prod(k.shape[axis] for axis in rows), -1)


def _times(matrix: jax.Array, x: jax.Array) -> jax.Array:
    """[o, c] times [c, h, w, b] -> [o, h, w, b]."""
    return (matrix @ x.reshape(x.shape[0], -1)).reshape(-1, *x.shape[1:])


def _correlated(x: jax.Array, y: jax.Array, of_x: Sequence[Read | None], of_y: Sequence[Read | None]) -> jax.Array:
    p, q = _patches(x, of_x), _patches(y, of_y)
    return p.reshape(p.shape[0], -1) @ q.reshape(q.shape[0], -1).T


def _patches(x: jax.Array, reads: Sequence[Read | None]) -> jax.Array:
    """x [c, h, w, b] -> [taps · c, h', w', b], the taps of the axes that are read."""
    if not any(reads):
        return x
    x = padded(x, [r.pads if r else (0, 0) for r in reads])
    parts = [x]
    for axis, r in enumerate(reads, 1):
        if r:
            reach = (r.size - 1) * r.stride + 1
            parts = [lax.slice_in_dim(part, i, i + reach, r.stride, axis) for part in parts for i in r.first]
    return jnp.concatenate(parts)


def _rows(x: jax.Array, read: Read) -> Callable[[jax.Array], jax.Array]:
    """i -> the rows of x [c, h, w, b] that the i-th row of patches reads, as channels [c · taps, 1, w, b]."""
    x = padded(x, [read.pads, (0, 0)])
    taps = len(read.first)
    return lambda i: lax.dynamic_slice_in_dim(x, i * read.stride, taps, 1).reshape(-1, 1, *x.shape[2:])


def _row(y: jax.Array, i: jax.Array) -> jax.Array:
    return lax.dynamic_slice_in_dim(y, i, 1, 1)


def _added(shares: jax.Array, writes: Sequence[Written | None]) -> jax.Array:
    """Shares [taps · c, h, w, b] -> [c, h', w', b], those of the taps of the axes that are written added up.

    The sums of all remainders of an output's row and column by the strides are made apart, and interleaved.
    """
    if not any(writes):
        return shares
    counts, size = [len(v.shifts) if v else 1 for v in writes], shares.shape[1:3]
    shares = shares.reshape(*counts, -1, *shares.shape[1:])
    writes = [v or Written([0], 1, n) for v, n in zip(writes, size, strict=True)]
    wholes = [-(-v.size // v.stride) for v in writes]  # pixels with the same remainder

    def added(*remainder):
        terms = []
        for taps in itertools.product(*map(range, counts)):
            reach = [r + v.shifts[i] for r, v, i in zip(remainder, writes, taps, strict=True)]
            if any(at % v.stride for at, v in zip(reach, writes, strict=True)):
                continue
            starts = [at // v.stride for at, v in zip(reach, writes, strict=True)]
            pads = [(-at, m + at - n) for at, m, n in zip(starts, wholes, size, strict=True)]
            terms.append(padded(shares[taps], pads))
        return (
            sum(terms[1:], terms[0]) if terms else jnp.zeros((shares.shape[2], *wholes, shares.shape[-1]), shares.dtype)
        )

    s, t = (v.stride for v in writes)
    y = jnp.stack([jnp.stack([added(i, j) for j in range(t)], 3) for i in range(s)], 2)  # [c, m, s, n, t, b]
    y = y.reshape(y.shape[0], wholes[0] * s, wholes[1] * t, y.shape[-1])
    return y[:, : writes[0].size, : writes[1].size]
