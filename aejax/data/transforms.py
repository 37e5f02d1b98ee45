"""Preprocessing that runs on the device, inside the compiled step.

Raw arrays stay as they came; their statistics are a pytree of float32 arrays
that is passed to the step as an argument and saved with the run, so that a
loaded run takes raw data: a scale and a shift, and what ``data.whiten`` adds.
``prepare`` applies what is there, in the order of ``STEPS``, and ``restore``
undoes it.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from aejax import parts
from aejax.data import whitening
from aejax.data.dataset import Split
from aejax.data.records import Records

SAMPLE = 2**15  # examples that statistics are of, where train does not fit in memory

Preprocessing = Mapping[str, np.ndarray]


def fit(train: Split, data: Mapping) -> dict[str, np.ndarray]:
    """Statistics of the training images: "scale" and "shift", float32 scalars, and what the whitening adds.

    Integers (uint8) get the scale 1/255, so that they fall in [0, 1]; floats stay as they are. Of a train split that
    does not fit in memory, what the whitening adds is of ``SAMPLE`` of its examples, always the same, at random.

    Args:
      train: the training images.
      data: the section of a config; ``whiten`` names a function of ``whitening``, which reads others.

    Raises:
      UserError: there is no such function, or the images are too large for it.
    """
    scale = 1 / 255 if np.issubdtype(train.dtype, np.integer) else 1
    if isinstance(train, Records) and len(train) > SAMPLE:
        train = train.drawn(0, "statistics").rows(slice(0, SAMPLE))
    whiten = parts.find(parts.functions(whitening), "data.whiten", data["whiten"])
    statistics = whiten(train.images, scale, **parts.matching(whiten, data))
    return {"scale": np.array(scale, np.float32), "shift": np.array(0, np.float32), **statistics}


def prepare(preprocessing: Preprocessing, raw: jax.Array) -> jax.Array:
    """raw · scale + shift, then whitened: raw [..., h, w, c] of any type -> float32 of the same shape.

    Works inside ``jit``; which statistics there are is all that it goes by.
    """
    x = _scaled(preprocessing, raw)
    for key, (apply, _) in STEPS.items():
        if key in preprocessing:
            x = apply(preprocessing, x)
    return x


def restore(preprocessing: Preprocessing, x: jax.Array, like: jax.Array | None = None) -> jax.Array:
    """Undoes the whitening: prepared images, or reconstructions of them, -> pixels at the scale [0, 1] of uint8.

    Without whitening, and for what the data hold as floats, that is x as it is. Works inside ``jit``.

    Args:
      preprocessing: as ``fit`` gives.
      x: [..., h, w, c] at the scale of ``prepare``.
      like: the raw images, of the same shape, whose contrast is given back; without them, train's average contrast.
    """
    target = None if like is None else _scaled(preprocessing, like)
    for key in reversed(STEPS):
        if key in preprocessing:
            x = STEPS[key][1](preprocessing, x, target)
    return x


def _scaled(p: Preprocessing, raw: jax.Array) -> jax.Array:
    x = jnp.asarray(raw).astype(jnp.float32)
    return x * _of(p["scale"], x) + _of(p["shift"], x)


def _of(statistic: jax.Array, x: jax.Array) -> jax.Array:
    """A statistic with as many axes as x."""
    return jnp.reshape(statistic, (1,) * (x.ndim - jnp.ndim(statistic)) + jnp.shape(statistic))


def _contrast(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Each image's mean and scale, [..., 1, 1, 1]."""
    axes = (-3, -2, -1)
    return jnp.mean(x, axes, keepdims=True), jnp.sqrt(jnp.var(x, axes, keepdims=True) + whitening.BIAS)


def _normalise(p, x):
    mean, scale = _contrast(x)
    return (x - mean) / scale


def _undo_normalise(p, x, target):
    known = (_of(p["contrast_mean"], x), _of(p["contrast_scale"], x))
    mean, scale = known if target is None else _contrast(target)
    return x * scale + mean


def _times(x: jax.Array, matrix: jax.Array) -> jax.Array:
    """Images as rows, times a matrix; in full float32, for some devices would round to fewer bits."""
    rows = x.reshape(-1, matrix.shape[0])
    return jnp.matmul(rows, matrix, precision=jax.lax.Precision.HIGHEST).reshape(x.shape)


# statistic -> (what is done where it is there, what undoes that)
STEPS: dict[str, tuple[Callable, Callable]] = {
    "contrast_scale": (_normalise, _undo_normalise),
    "mean": (lambda p, x: x - _of(p["mean"], x), lambda p, x, target: x + _of(p["mean"], x)),
    "std": (lambda p, x: x / _of(p["std"], x), lambda p, x, target: x * _of(p["std"], x)),
    "zca": (lambda p, x: _times(x, p["zca"]), lambda p, x, target: _times(x, p["zca_inverse"])),
}
