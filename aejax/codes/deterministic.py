"""The code that is its activation."""

import jax
from flax import linen as nn

from aejax import nets
from aejax.codes.coded import Coded


class Deterministic(nn.Module):
    """``z = act(h)``."""

    size: int
    activation: str = "relu"
    separable = True  # units do not depend on each other, nor on how many there are

    @property
    def features(self) -> int:
        return self.size

    def __call__(self, h: jax.Array, *, train: bool, weight: jax.Array, key: jax.Array) -> Coded:
        return Coded(nets.activation(self.activation, "code.activation")(h), {})
