"""A trained run, loaded from its workdir alone."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import FrozenConfigDict

from aejax import checkpoint, data, devices, inputs, keys, log_likelihood, workdirs
from aejax import model as models
from aejax.checkpoint import Checkpoints
from aejax.data import Dataset, transforms
from aejax.data.identity import identity
from aejax.errors import UserError
from aejax.sweep import members

ROWS = 1000  # images or codes to a call


class Run:
    """A run's config and weights; its functions take raw data, as its source gives it.

    Attributes:
      config: every key, as the run was trained with.
      workdir: its folder.
      step: the number of steps behind the weights.
      variables: ``{"params": …}`` and what else the parts keep, as the model's ``apply`` takes it.
      model: the ``Autoencoder`` or ``Classifier``.
      classes: names of the data's classes.
      reading: what train taught about reading raw data, for ``data.from_raw``.
      words: the vocabulary of text, () otherwise.
      code_shape: (size,) or (h, w, size), the shape of one code.
      preprocessing: the statistics that ``prepare`` uses, from the checkpoint.
    """

    def __init__(self, config: FrozenConfigDict, workdir: Path, step: int, meta: Mapping, variables, preprocessing):
        self.config, self.workdir, self.step = config, workdir, step
        self.variables, self.preprocessing = variables, preprocessing
        self.classes, self.reading = tuple(meta["classes"]), meta["reading"]
        self.words = tuple(self.reading.get("words", ()))
        self.model = model = models.build(config, tuple(meta["shape"]), len(self.classes))
        ready = lambda p, x: inputs.model_input(config.data, p, x, None)  # noqa: E731
        self._prepare = jax.jit(ready)
        self._encode = jax.jit(lambda v, p, x: model.apply(v, ready(p, x), method="encode"))
        self._decode = jax.jit(lambda v, p, z: model.apply(v, z, method="decode"))
        self._reconstruct = jax.jit(lambda v, p, x: model.apply(v, ready(p, x), method="reconstruct"))
        self._classify = jax.jit(lambda v, p, x: model.apply(v, ready(p, x), method="classify"))
        self._draw = jax.jit(lambda v, p, z, key: model.apply(v, z, key, method="draw"))
        self._restore = jax.jit(lambda v, p, x: model.apply(v, x, method="reconstruct"))
        self._posterior = jax.jit(lambda v, p, x: model.apply(v, ready(p, x), method="posterior"))
        self._weigh = jax.jit(self._weighed, static_argnames="samples")
        self._sample = jax.jit(lambda v, p, x, key: model.apply(v, ready(p, x), key, identity(x), method="code_sample"))
        image = jax.ShapeDtypeStruct((1, *model.shape), np.float32)
        self.code_shape = jax.eval_shape(lambda v, x: model.apply(v, x, method="encode"), variables, image).shape[1:]

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
        """Raw images [n, h, w, c] -> codes [n, *code_shape]; of a classifier, what its head reads [n, d]."""
        return self._in_parts(self._encode, self._images(x))

    def sample_codes(self, x: np.ndarray, seed: int = 0) -> np.ndarray:
        """Raw images [n, h, w, c] -> codes [n, *code_shape] with the code's noise: drawn from its posterior."""
        self._autoencoder("sample_codes")
        return self._drawn(self._sample, self._images(x), seed)

    def posterior(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Raw images [n, h, w, c] -> mean and log standard deviation of q(z | x), [n, *code_shape] each.

        Raises:
          UserError: the code is no Gaussian for each example.
        """
        self._gaussian("posterior")
        return self._in_parts(self._posterior, self._images(x))

    def importance_samples(self, x: np.ndarray, samples: int, seed: int = 0) -> log_likelihood.Samples:
        """Raw images [n, h, w, c] -> log weights [samples, n] and log p(x | z) of as many codes drawn for each.

        Raises:
          UserError: the code is no Gaussian for each example.
        """
        self._gaussian("importance_samples")
        x = self._images(x)
        found = self._weigh(self.variables, self.preprocessing, x, np.uint32(seed), samples=samples)
        return log_likelihood.Samples(*map(np.asarray, found))

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Codes [n, *code_shape], or flat, -> mean images, float32 [n, h, w, c] at the scale of ``prepare``.

        Raises:
          ValueError: the codes are of another size.
        """
        self._autoencoder("decode")
        return self._in_parts(self._decode, self._codes(z))

    def draw(self, z: np.ndarray, seed: int = 0) -> np.ndarray:
        """Codes [n, *code_shape], or flat, -> images [n, h, w, c] drawn from the stochastic decoder p(x | z)."""
        self._autoencoder("draw")
        return self._drawn(self._draw, self._codes(z), seed)

    def classify(self, x: np.ndarray) -> np.ndarray:
        """Raw images [n, h, w, c] -> log-probabilities of the classes [n, classes].

        Raises:
          UserError: the run is no classifier.
        """
        if self.config.model != "classifier":
            raise UserError(f"{self.workdir} is no classifier; accepted: a run with config.model='classifier'")
        return self._in_parts(self._classify, self._images(x))

    def reconstruct(self, x: np.ndarray) -> np.ndarray:
        """Raw images [n, h, w, c] -> mean images, float32 [n, h, w, c] at the scale of ``prepare``."""
        self._autoencoder("reconstruct")
        return self._in_parts(self._reconstruct, self._images(x))

    def restore(self, x: np.ndarray) -> np.ndarray:
        """Images [n, h, w, c] at the scale of ``prepare``, such as corrupted ones -> reconstructions, at it too."""
        self._autoencoder("restore")
        return self._in_parts(self._restore, np.asarray(x, np.float32))

    def picture(self, x: np.ndarray, like: np.ndarray | None = None) -> np.ndarray:
        """Images at the scale of ``prepare`` -> pixels at that of the raw data in [0, 1]: whitening undone.

        Args:
          x: [n, h, w, c].
          like: the raw images that they are to have the contrast of; train's mean contrast without them.
        """
        return np.asarray(transforms.restore(self.preprocessing, np.asarray(x, np.float32), like=like))

    def _autoencoder(self, method: str) -> None:
        if self.config.model == "classifier":
            raise UserError(f"{self.workdir} is a classifier and cannot {method}; accepted: the run of an autoencoder")

    def _gaussian(self, method: str) -> None:
        self._autoencoder(method)
        if self.config.code.name not in log_likelihood.CODES:
            raise UserError(
                f"{self.workdir} has the code {self.config.code.name!r}, which gives no {method}; "
                f"accepted: {', '.join(log_likelihood.CODES)}"
            )

    def _weighed(self, variables, preprocessing, raw, seed, samples: int) -> log_likelihood.Samples:
        x = inputs.model_input(self.config.data, preprocessing, raw, None)
        given = {"identity": identity(raw), "samples": samples, "seed": seed}
        return log_likelihood.importance_samples(self.model, variables, x, **given)

    def _codes(self, z: np.ndarray) -> np.ndarray:
        z = np.asarray(z, np.float32)
        if z.ndim < 2 or np.prod(z.shape[1:]) != np.prod(self.code_shape):
            raise ValueError(f"codes of shape {z.shape[1:]}, but the run's are {self.code_shape}")
        return z.reshape(len(z), *self.code_shape)

    def _drawn(self, function: Callable, rows: np.ndarray, seed: int) -> np.ndarray:
        """The function over at most ``ROWS`` rows at a time, each part with a key of its own."""
        parts = [rows[i : i + ROWS] for i in range(0, len(rows), ROWS)] or [rows]
        key = keys.root(seed, "draw")
        given = (self.variables, self.preprocessing)
        drawn = [np.asarray(function(*given, p, jax.random.fold_in(key, i))) for i, p in enumerate(parts)]
        return np.concatenate(drawn)

    def _images(self, x: np.ndarray) -> np.ndarray:
        """Images as [n, h, w, c]; the channel axis may be left out where there is one channel. Texts, or paths of
        recordings, become images as the run's source makes them.

        Raises:
          ValueError: their shape is not the run's.
        """
        x = np.asarray(data.from_raw(self.config.data, self.reading, x))
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
            parts.append(_first(len(part), function(self.variables, self.preprocessing, padded)))
        parts = parts or [_first(0, function(self.variables, self.preprocessing, rows))]
        return jax.tree.map(lambda *a: np.concatenate(a), *parts)


def _first(n: int, found):
    """The first n rows of each array of a function's result, on the host."""
    return jax.tree.map(lambda a: np.asarray(a)[:n], found)


def load(workdir: Path | str, best: bool = False, member: int | None = None) -> Run:
    """The run in a workdir, with its newest weights or those with the best valid loss.

    Args:
      workdir: as ``aejax.main`` was given it.
      best: take the weights with the best valid loss so far; of a sweep without ``member``, those of its best member.
      member: of a sweep, which of its models.

    Raises:
      UserError: there is no run there, no checkpoint yet, or none that can be read; a sweep's member is not named, or
        its loss ceased to be finite.
    """
    workdir = members.folder(Path(workdir), member, best)
    diverged = workdir / members.DIVERGED
    kept = not (workdir / checkpoint.LANE).exists() and Checkpoints(workdir).steps()  # from before, with finite weights
    if diverged.exists() and not best and not kept:
        raise UserError(f"{workdir}: {diverged.read_text(encoding='utf-8').strip()}; accepted: another member, or best")
    config = FrozenConfigDict(workdirs.tuples(workdirs.read_config(workdir)))
    checkpoints = checkpoint.of(workdir)
    problem = "it has none yet"
    for step in reversed(checkpoints.steps()):
        try:
            meta = checkpoints.read(step, {}).meta
            if best and (meta["best_step"] < 0 or not config.checkpoint.best):
                raise UserError(f"{workdir} keeps no best weights; accepted: a valid split and config.checkpoint.best")
            saved = checkpoints.read(step, _templates(config, meta, best))
        except UserError:
            raise
        except Exception as error:  # whatever a truncated or missing file raises; the one before may be whole
            problem = f"{step}: {' '.join(str(error).split())[:200]}"
            continue
        number, items = meta["best_step"] if best else saved.step, saved.items
        variables = items["best"] if best else {"params": items["params"], **items.get("collections", {})}
        return Run(config, workdir, number, meta, variables, items["preprocessing"])
    raise UserError(f"{workdir} has no checkpoint that can be read ({problem}); train with --workdir={workdir} first")


def _templates(config: FrozenConfigDict, meta: Mapping, best: bool) -> dict[str, Any]:
    """Shapes and types of the items to read, on the first device of this machine."""
    model = models.build(config, tuple(meta["shape"]), len(meta["classes"]))
    variables = jax.eval_shape(lambda: models.init(model, 0))
    statistics = {k: jax.ShapeDtypeStruct(shape, np.float32) for k, shape in meta["preprocessing"].items()}
    collections = {name: tree for name, tree in variables.items() if name != "params"}
    weights = {"best": variables} if best else {"params": variables["params"]}
    if collections and not best:
        weights["collections"] = collections
    return checkpoint.templates({**weights, "preprocessing": statistics}, devices.replicated(devices.mesh(1)))
