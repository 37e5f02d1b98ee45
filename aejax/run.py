"""A trained run, loaded from its workdir alone."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import FrozenConfigDict

from aejax import autoencoder, checkpoint, data, devices, workdirs
from aejax.checkpoint import Checkpoints
from aejax.data import Dataset, transforms
from aejax.errors import UserError

ROWS = 1000  # images or codes to a call


class Run:
    """A run's config and weights; its functions take raw data, as its source gives it.

    Attributes:
      config: every key, as the run was trained with.
      workdir: its folder.
      step: the number of steps behind the weights.
      variables: ``{"params": …}``, as the model's ``apply`` takes it.
      model: the ``Autoencoder``.
      preprocessing: the statistics that ``prepare`` uses, from the checkpoint.
    """

    def __init__(self, config: FrozenConfigDict, workdir: Path, step: int, shape, params, preprocessing):
        self.config, self.workdir, self.step = config, workdir, step
        self.variables = {"params": params}
        self.preprocessing = preprocessing
        self.model = autoencoder.Autoencoder(config, tuple(shape))
        self._prepare = jax.jit(transforms.prepare)
        self._encode = jax.jit(lambda v, p, x: self.model.apply(v, transforms.prepare(p, x), method="encode"))
        self._decode = jax.jit(lambda v, p, z: self.model.apply(v, z, method="decode"))
        self._reconstruct = jax.jit(lambda v, p, x: self.model.apply(v, transforms.prepare(p, x), method="reconstruct"))

    def dataset(self) -> Dataset:
        """The data that the run was trained on, loaded anew.

        Raises:
          UserError: they are not to be found.
        """
        return data.load(self.config.data)

    def prepare(self, x: np.ndarray) -> np.ndarray:
        """Raw images [n, h, w, c] -> the model's input, float32 [n, h, w, c]."""
        return np.asarray(self._prepare(self.preprocessing, self._images(x)))

    def encode(self, x: np.ndarray) -> np.ndarray:
        """Raw images [n, h, w, c] -> codes [n, d]."""
        return self._in_parts(self._encode, self._images(x))

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Codes [n, d] -> mean images, float32 [n, h, w, c] at the scale of ``prepare``."""
        return self._in_parts(self._decode, np.asarray(z, np.float32))

    def reconstruct(self, x: np.ndarray) -> np.ndarray:
        """Raw images [n, h, w, c] -> mean images, float32 [n, h, w, c] at the scale of ``prepare``."""
        return self._in_parts(self._reconstruct, self._images(x))

    def _images(self, x: np.ndarray) -> np.ndarray:
        """Images as [n, h, w, c]; the channel axis may be left out where there is one channel.

        Raises:
          ValueError: their shape is not the run's.
        """
        x = np.asarray(x)
        if x.ndim == 3 and self.model.shape[-1] == 1:
            x = x[..., None]
        if x.shape[1:] != self.model.shape:
            raise ValueError(f"images of shape {x.shape[1:]}, but the run was trained on {self.model.shape}")
        return x

    def _in_parts(self, function: Callable, rows: np.ndarray) -> np.ndarray:
        """The function over at most ``ROWS`` rows at a time; the last part padded, so that it compiles once."""
        size = min(ROWS, len(rows))
        parts = []
        for start in range(0, len(rows), size) if size else ():
            part = rows[start : start + size]
            padded = np.concatenate([part, np.zeros((size - len(part), *part.shape[1:]), part.dtype)])
            parts.append(np.asarray(function(self.variables, self.preprocessing, padded))[: len(part)])
        return np.concatenate(parts) if parts else np.asarray(function(self.variables, self.preprocessing, rows))


def load(workdir: Path | str, best: bool = False) -> Run:
    """The run in a workdir, with its newest weights or those with the best valid loss.

    Args:
      workdir: as ``aejax.main`` was given it.
      best: take the weights with the best valid loss so far.

    Raises:
      UserError: there is no run there, no checkpoint yet, or none that can be read.
    """
    workdir = Path(workdir)
    config = FrozenConfigDict(_tuples(workdirs.read_config(workdir)))
    checkpoints = Checkpoints(workdir)
    weights = "best" if best else "params"
    problem = "it has none yet"
    for step in reversed(checkpoints.steps()):
        try:
            meta = checkpoints.read(step, {}).meta
            if best and (meta["best_step"] < 0 or not config.checkpoint.best):
                raise UserError(f"{workdir} keeps no best weights; accepted: a valid split and config.checkpoint.best")
            items = checkpoints.read(step, _templates(config, meta, weights)).items
        except UserError:
            raise
        except Exception as error:  # whatever a truncated or missing file raises; the one before may be whole
            problem = f"{step}: {' '.join(str(error).split())[:200]}"
            continue
        number = meta["best_step"] if best else step
        return Run(config, workdir, number, meta["shape"], items[weights], items["preprocessing"])
    raise UserError(f"{workdir} has no checkpoint that can be read ({problem}); train with --workdir={workdir} first")


def _templates(config: FrozenConfigDict, meta: Mapping, weights: str) -> dict[str, Any]:
    """Shapes and types of the items to read, on the first device of this machine."""
    model = autoencoder.Autoencoder(config, tuple(meta["shape"]))
    params = jax.eval_shape(lambda: autoencoder.init(model, 0))
    statistics = {k: jax.ShapeDtypeStruct(shape, np.float32) for k, shape in meta["preprocessing"].items()}
    return checkpoint.templates({weights: params, "preprocessing": statistics}, devices.replicated(devices.mesh(1)))


def _tuples(tree):
    """JSON's lists are the config's tuples."""
    if isinstance(tree, dict):
        return {key: _tuples(value) for key, value in tree.items()}
    return tuple(tree) if isinstance(tree, list) else tree


