"""What a code gives."""

from typing import Any, NamedTuple

import jax


class Coded(NamedTuple):
    """A code, and what the loss and its penalties may want to know about it.

    Attributes:
      z: [b, size] or [b, h, w, size]; with a leading axis of samples [k, b, ...] where the module has a ``bound``.
      penalties: [b] by loss name, nats or whatever the docstring of the code says; summed into the loss with the
        weight ``config.loss.<name>``. [k, b] where z has samples.
      extras: arrays that a penalty may take by name, such as ``mean`` and ``log_std``.
      figures: [b] by name: logged, and no part of the loss.
    """

    z: jax.Array
    penalties: dict[str, jax.Array] = {}
    extras: dict[str, Any] = {}
    figures: dict[str, jax.Array] = {}
