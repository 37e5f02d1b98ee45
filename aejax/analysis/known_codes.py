"""Codes for a decoder: those that it knows, the values that they may take, and the examples that it makes of them."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from aejax import nets
from aejax.analysis import command, progress, selection
from aejax.data import transforms
from aejax.errors import UserError
from aejax.run import ROWS

BITS = ("gumbel_sigmoid", "hashing", "straight_through")  # codes that are bits, or the means of bits
MASKED = ("lifetime", "spatial")  # codes whose decoder sees nothing but winners in training
ACTIVATED = ("deterministic", "gaussian_noise", "learned_noise")  # their values are those of config.code.activation
RECTIFIED = ("batch_top_k", "gated", "jump_relu", "top_k", *MASKED)
DRAWN_BINARY = ("dynamic", "fixed")  # binarisations that draw pixels from their grey values
PRIORS = ("mmd_imq", "mmd_rbf")  # penalties that draw the codes of any encoder towards N(0, I)
VALUES = 2**26  # of training codes that are held; fewer examples are taken where there are more
BLOCK = 2**24  # values of codes, or of what they decode to, at a time


def has_prior(config: Mapping) -> bool:
    """Whether training drew the codes towards N(0, I): variational ones, and those with a penalty of ``PRIORS``."""
    loss = config.get("loss", {})
    return config["code"]["name"] in command.VARIATIONAL or any(loss.get(name, 0) > 0 for name in PRIORS)


def bounds(config: Mapping) -> tuple[float, float]:
    """The least and greatest value that a code of this config can have; infinite where there is none."""
    code = config["code"]
    if code["name"] in ACTIVATED:
        return activation_range(code.get("activation", "relu"))
    if code["name"] in BITS:
        return 0.0, 1.0
    return (0.0, np.inf) if code["name"] in RECTIFIED else (-np.inf, np.inf)


def activation_range(name: str) -> tuple[float, float]:
    """The infimum and supremum of an activation, from its values over [-20, 20] and at ±10,000."""
    near = np.asarray(nets.activation(name, "code.activation")(jnp.linspace(-20.0, 20.0, 8001)))
    far = np.asarray(nets.activation(name, "code.activation")(jnp.asarray([-1e4, 1e4])))
    low, high = min(near.min(), far.min()), max(near.max(), far.max())
    return (-np.inf if low < -100 else float(low)), (np.inf if high > 100 else float(high))


def clipped(codes: np.ndarray, limits: tuple[float, float], tolerance: float = 1e-6) -> tuple[np.ndarray, float]:
    """Codes [n, d] brought into the limits, and the percentage of their values that were outside."""
    outside = (codes < limits[0] - tolerance) | (codes > limits[1] + tolerance)
    return np.clip(codes, *limits), 100 * float(outside.mean())


def known(run: Any, images: np.ndarray, posterior: bool = False) -> np.ndarray:
    """The codes [n, *code_shape] of raw images as the decoder knows them.

    Those of encoding; but of a code in ``MASKED`` the winners among batches of ``ROWS`` of
    these images, taken in random order (a class at a time would compete with itself).

    Args:
      run: as ``aejax.load`` gives it.
      images: raw [n, h, w, c].
      posterior: of variational codes a draw from each Gaussian, of the means of bits a draw of these; not the means.
    """
    name = run.config.code.name
    if not len(images):
        return np.zeros((0, *run.code_shape), np.float32)
    if posterior and name in BITS:
        means = np.asarray(run.encode(images))
        return (np.random.default_rng(0).random(means.shape) < means).astype(np.float32)
    if not (name in MASKED or (posterior and name in command.VARIATIONAL)):
        return np.asarray(run.encode(images))
    order = np.random.default_rng(0).permutation(len(images))
    whole = np.resize(order, -(-len(images) // ROWS) * ROWS)  # the last batch is filled up from the first
    codes = np.empty((len(images), *run.code_shape), np.float32)
    codes[order] = run.sample_codes(images[whole])[: len(images)]
    return codes


def how_encoded(config: Mapping) -> str:
    """What ``known`` does beyond encoding, in words; nothing mostly."""
    return f"codes with the winners of batches of {ROWS:,}" if config["code"]["name"] in MASKED else ""


def subset(split: Any, most: int) -> np.ndarray:
    """Which examples to take of a split with more than ``most``: as many of each class, or evenly spaced; sorted."""
    return selection.subset(split.labels, len(split.images), most)


def flat_codes(run: Any, split: Any, posterior: bool = False) -> np.ndarray:
    """``known`` for as much of a split as ``VALUES`` allow, flat [n, d].

    Raises:
      UserError: they are not all finite.
    """
    size = int(np.prod(run.code_shape))
    codes = known(run, split.images[subset(split, max(2, VALUES // size))], posterior).reshape(-1, size)
    if not np.isfinite(codes.sum(dtype=np.float64)):
        raise UserError("the codes are not all finite; it needs a run whose training did not diverge")
    return codes


def comparable(run: Any, images: np.ndarray) -> np.ndarray:
    """Raw images [n, h, w, c] on the scale of the decoder's means: ``run.prepare``; where pixels are drawn as bits
    from their grey values, these, which are what the bits' means can come near to."""
    if run.config.data.get("binarise", "none") in DRAWN_BINARY:
        return np.asarray(transforms.prepare(run.preprocessing, images))
    return np.asarray(run.prepare(images))


def decoded(run: Any, codes: np.ndarray, totals: np.ndarray | float = 1.0, what: str = "decoding") -> np.ndarray:
    """The mean examples [n, h, w, c] of codes [n, ...], in blocks to spare memory.

    Args:
      run: as ``aejax.load`` gives it.
      codes: [n, *code_shape], or flat.
      totals: [n] or one number: ``Σ_p x_p`` that a multinomial, whose mean sums to 1, is to have; others ignore it.
      what: to tell on the way.

    Raises:
      UserError: an output is not finite.
    """
    block = max(1, BLOCK // max(1, codes[0].size))
    parts = [run.decode(codes[i : i + block]) for i in progress.over(range(0, len(codes), block), what)]
    outputs = np.concatenate([np.asarray(part) for part in parts])
    if run.config.get("loss", {}).get("likelihood") == "multinomial":
        outputs = outputs * np.broadcast_to(totals, len(outputs)).reshape(-1, 1, 1, 1).astype(np.float32)
    if not np.isfinite(outputs.sum(dtype=np.float64)):
        raise UserError("the decoder's outputs are not all finite; the training diverged")
    return outputs


def tested(dataset: Any, source: str, least: int = 1) -> Any:
    """The test split.

    Raises:
      UserError: it has fewer than ``least`` examples.
    """
    if (n := len(dataset.test.images)) < least:
        raise UserError(f"the test split of {source} has {n} examples; it needs {least} or more")
    return dataset.test
