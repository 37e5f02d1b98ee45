"""Preprocessing that runs on the device, inside the compiled step.

Raw arrays stay as they came; their statistics are a pytree of float32 arrays
that is passed to the step as an argument and saved with the run, so that a
loaded run takes raw data. Today that is a scale and a shift, of any shape that
broadcasts with [h, w, c] by itself (scalars here; a mean and standard deviation
per channel or pixel would fit as they are). A transform that needs more adds
its own key, and ``prepare`` applies it where the key is there.
"""

import jax
import jax.numpy as jnp
import numpy as np

from aejax.data.dataset import Split

Preprocessing = dict[str, np.ndarray]


def fit(train: Split) -> Preprocessing:
    """Statistics of the training images: {"scale", "shift"}, float32 scalars.

    Integers (uint8) get the scale 1/255, so that they fall in [0, 1]; floats stay as they are.
    """
    scale = 1 / 255 if np.issubdtype(train.images.dtype, np.integer) else 1
    return {"scale": np.array(scale, np.float32), "shift": np.array(0, np.float32)}


def prepare(preprocessing: Preprocessing, raw: jax.Array) -> jax.Array:
    """raw · scale + shift: raw [..., h, w, c] of any type -> float32 of the same shape. Works inside ``jit``."""
    return jnp.asarray(raw).astype(jnp.float32) * preprocessing["scale"] + preprocessing["shift"]
