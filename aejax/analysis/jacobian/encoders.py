"""The encoder of a run as a function to differentiate, and the slopes of its units' activations."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import FrozenConfigDict

from aejax import nets

# |slope| over the activation's largest, below which a unit is saturated: of a sigmoid outside (0.05, 0.95), of tanh
# beyond 0.9 on either side, of ReLU at 0.
SATURATED = 0.19
MOST, CHOSEN = 1024, 256  # of maps with more values than the first the Jacobian is of places with the second alone

# Codes that are an activation of the encoder's output, and what tells which.
ACTIVATIONS: dict[str, Callable] = {
    **dict.fromkeys(("deterministic", "gaussian_noise", "learned_noise"), lambda c: c.code.get("activation")),
    **dict.fromkeys(("gumbel_sigmoid", "hashing", "straight_through"), lambda _: "sigmoid"),
    **dict.fromkeys(("lifetime", "spatial"), lambda _: "relu"),
}
# Codes that pass on the encoder's output, or up to a factor, where they choose to, and are 0 elsewhere.
CHOOSING = ("batch_top_k", "gated", "jump_relu", "k_sparse", "top_k")
# Piecewise constant codes: what is differentiated instead, and why.
BEFORE: dict[str, tuple[Callable, str]] = {
    "hashing": (jax.nn.sigmoid, "the bits are piecewise constant, with Jacobian 0: this is of sigmoid(h), which is "
                "rounded to them"),
    "vector_quantised": (lambda h: h, "the quantised code is piecewise constant, with Jacobian 0: this is of h, which "
                         "is quantised"),
}  # fmt: skip


@dataclass(frozen=True)
class Encoder:
    """A run's encoder on prepared images.

    Attributes:
      encode: [b, h, w, c] -> [b, d], flat.
      differentiate: the same, of maps with too many values at ``places`` of them alone.
      places: how many places of how many; (1, 1) of codes that are no maps.
      note: what is meant if not the code itself, or None.
    """

    encode: Callable
    differentiate: Callable
    places: tuple[int, int]
    note: str | None = None


def encoder(run: Any) -> Encoder:
    """The encoder of a run, in float32 whatever its precision: in bfloat16 a derivative is mostly rounding."""
    model, variables = _exact(run), run.variables
    before, note = (None, None) if _reads_hidden(run) else BEFORE.get(run.config.code.name, (None, None))
    if before is None:
        encode = lambda x: model.apply(variables, x, method="encode")  # noqa: E731
    else:
        encode = lambda x: before(features(model, variables, x))  # noqa: E731
    maps = len(run.code_shape) == 3
    h, w, size = run.code_shape if maps else (1, 1, run.code_shape[0])
    chosen = _spaced(h, w, h * w if h * w * size <= MOST else max(1, CHOSEN // size))

    def some(x: jax.Array) -> jax.Array:
        return encode(x).reshape(len(x), h * w, size)[:, chosen].reshape(len(x), -1)

    def every(x: jax.Array) -> jax.Array:
        return encode(x).reshape(len(x), -1)

    return Encoder(jax.jit(every), some, (len(chosen), h * w), note)


def _spaced(h: int, w: int, most: int) -> np.ndarray:
    """The numbers of at most so many of h·w places on an evenly spaced grid, which keeps away from the edges."""
    rows, columns = h, w
    while rows * columns > most:
        rows, columns = (rows - 1, columns) if rows >= columns else (rows, columns - 1)
    i, j = (((np.arange(n) + 0.5) * of / n).astype(int) for n, of in ((rows, h), (columns, w)))
    return (i[:, None] * w + j[None]).reshape(-1)


def features(model: Any, variables: Any, x: jax.Array) -> jax.Array:
    """What the encoder gives the code, float32 [b, features] or [b, h, w, features]."""
    encoders = lambda module, method: module.name == "encoder" and method == "__call__"  # noqa: E731
    _, kept = model.apply(variables, x, method="encode", capture_intermediates=encoders)
    return kept["intermediates"]["encoder"]["__call__"][0].astype(jnp.float32)


def hidden_features(model: Any, variables: Any, x: jax.Array) -> jax.Array:
    """What the activation of the encoder's last hidden layer reads, float32 [b, ...]."""
    norms = lambda module, method: (module.name or "").startswith("norms_") and method == "__call__"  # noqa: E731
    _, kept = model.apply(variables, x, method="encode", capture_intermediates=norms)
    layers = kept["intermediates"]["encoder"]
    return layers[max(layers, key=lambda name: int(name.removeprefix("norms_")))]["__call__"][0].astype(jnp.float32)


def saturation(run: Any, x: np.ndarray) -> tuple[str, np.ndarray] | None:
    """The share of prepared images (and of places of maps) in which each unit is saturated: [units].

    A unit is where the slope of its activation is, by magnitude, below ``SATURATED`` times the largest the activation
    has; and a unit that a code leaves out has slope 0.

    Returns:
      The activation's name and the shares; None for linear units, and for codes of which only the mean is linear.
    """
    model, c = _exact(run), run.config
    on_hidden = _reads_hidden(run)
    if not on_hidden and c.code.name in CHOOSING:
        z = np.asarray(jax.jit(lambda x: model.apply(run.variables, x, method="encode"))(x))
        return "choice of the largest", _by_unit(z == 0)
    name = c.encoder.activation if on_hidden else ACTIVATIONS.get(c.code.name, lambda _: None)(c)
    if name in (None, "linear"):
        return None
    read = hidden_features if on_hidden else features
    slopes = jax.jit(lambda x: relative_slopes(name, read(model, run.variables, x)))(x)
    return name, _by_unit(np.asarray(slopes) < SATURATED)


def relative_slopes(name: str, h: jax.Array) -> jax.Array:
    """|slope| of the activation of that name at h over its largest between −10 and 10, of the shape of h."""
    act = nets.activation(name, "code.activation")
    slope = lambda h: jnp.abs(jax.jvp(act, (h,), (jnp.ones_like(h),))[1])  # noqa: E731
    return slope(h) / jnp.max(slope(jnp.linspace(-10, 10, 4001)))


def _by_unit(saturated: np.ndarray) -> np.ndarray:
    return saturated.reshape(-1, saturated.shape[-1]).mean(axis=0)


def _reads_hidden(run: Any) -> bool:
    """Whether the run is a classifier on its encoder's last hidden layer, so that there is no code."""
    return run.config.get("model") == "classifier" and run.config.classifier.on == "hidden"


def _exact(run: Any) -> Any:
    if run.config.get("precision", "float32") == "float32":
        return run.model
    return run.model.clone(config=FrozenConfigDict({**run.config.to_dict(), "precision": "float32"}))
