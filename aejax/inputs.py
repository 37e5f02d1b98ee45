"""From raw examples to what a model reads: preprocessing by the run's statistics, then binarisation."""

from collections.abc import Mapping

import jax

from aejax import keys, parts
from aejax.data import binarisation, transforms
from aejax.data.identity import identity


def model_input(data: Mapping, preprocessing: Mapping, raw: jax.Array, key: jax.Array | None) -> jax.Array:
    """Raw images [b, h, w, c] -> the model's input, float32 [b, h, w, c].

    Args:
      data: the section of a config.
      preprocessing: as ``transforms.fit`` gives.
      raw: as the source gave them.
      key: for a dynamic binarisation; with None it draws each image's own sample, always the same.
    """
    x = transforms.prepare(preprocessing, raw)
    binarise = parts.functions(binarisation)[data["binarise"]]
    known = {"identity": identity(raw)}
    if key is None:
        known["keys"] = jax.vmap(lambda i: jax.random.fold_in(keys.root(0, "binarise"), i))(known["identity"])
    else:
        known["keys"] = keys.per_example(key, x.shape[0])
    return binarise(x, **parts.matching(binarise, known))
