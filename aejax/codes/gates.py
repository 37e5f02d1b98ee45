"""Sparse codes whose units decide one by one whether they are active."""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from aejax.codes.coded import Coded
from aejax.errors import UserError


class JumpRelu(nn.Module):
    """``z_j = h_j · H(h_j − θ_j)``: linear above a learned threshold θ_j > 0, nothing below.

    H is the step, 1 above 0. Unlike a ReLU with a low bias it does not shrink what it
    lets through. The step has no useful derivative, so θ learns from an estimate of
    that of the expected loss: see ``jump_relu`` and ``step``. With ``loss.l0``, the
    number of active units (Rajamanoharan et al., "Jumping Ahead: Improving
    Reconstruction Fidelity with JumpReLU Sparse Autoencoders", arXiv 2407.14435).

    ``threshold`` is where every θ_j starts; its logarithm is the parameter, so that it
    stays positive. ``bandwidth`` should be small against the spread of h, and large
    enough for some h of each batch to fall within half of it of the threshold: others
    do not move θ. On maps [b, h, w, size] there is a threshold a map.

    Extras: ``threshold`` [size], ``bandwidth``. Figures: ``active`` units of the example.

    Raises:
      UserError: the threshold is not positive.
    """

    size: int
    threshold: float = 0.03

    @property
    def features(self) -> int:
        return self.size

    @nn.compact
    def __call__(self, h: jax.Array, *, train: bool, weight: jax.Array, key: jax.Array, bandwidth: jax.Array) -> Coded:
        if not self.threshold > 0:
            raise UserError(f"config.code.threshold={self.threshold!r} is not accepted: a positive number")
        start = nn.initializers.constant(math.log(self.threshold))
        threshold = jnp.exp(self.param("log_threshold", start, (self.size,)))
        z = jump_relu(h, _beside(threshold, h), bandwidth)
        return Coded(z, extras={"threshold": threshold, "bandwidth": bandwidth}, figures={"active_units": _active(z)})


class Gated(nn.Module):
    """``z = H(gate) · relu(magnitude)``: one path decides which units are active, another how much.

    ``gate = h + b_gate`` and ``magnitude = exp(r_mag) · h + b_mag``, so that the two
    share the encoder's kernel (Rajamanoharan et al., "Improving Dictionary Learning
    with Gated Sparse Autoencoders", arXiv 2404.16014, section 3; h has the encoder's
    own bias in it besides). All three start from 0, where z = relu(h).

    The step H passes no gradient, so the reconstruction teaches the gate nothing:
    ``loss.gate_l1`` keeps it closed and ``loss.gate_auxiliary`` open where it should
    be. The L1 norm of the gate leaves the magnitudes alone, which an L1 penalty on z
    would shrink. As with any L1, an encoder that shrinks while the decoder grows
    escapes it: the paper keeps the decoder's columns at norm 1, as
    ``decoder.name='dictionary'`` does.

    On maps [b, h, w, size] the parameters are one a map. Extras: ``gate``, as h.
    Figures: ``active`` units of the example.
    """

    size: int

    @property
    def features(self) -> int:
        return self.size

    @nn.compact
    def __call__(self, h: jax.Array, *, train: bool, weight: jax.Array, key: jax.Array) -> Coded:
        b_gate, r_mag, b_mag = (
            _beside(self.param(name, nn.initializers.zeros, (self.size,)), h) for name in ("b_gate", "r_mag", "b_mag")
        )
        gate = h + b_gate
        z = jnp.where(gate > 0, jax.nn.relu(jnp.exp(r_mag) * h + b_mag), 0.0)
        return Coded(z, extras={"gate": gate}, figures={"active_units": _active(z)})


@jax.custom_jvp
def step(h: jax.Array, threshold: jax.Array, bandwidth: jax.Array | float) -> jax.Array:
    """``H(h − θ)``: 1 where h > θ, 0 elsewhere, with a derivative for θ that is an estimate.

    The expected number of active units falls with θ at the density of h there, which a
    rectangle of width ε estimates: ``∂H/∂θ := −(1/ε) K((h − θ)/ε)`` with K(u) = 1 for
    |u| < 1/2; ``∂H/∂h := 0`` (arXiv 2407.14435, sections 3 and 4).

    Args:
      h: of any shape.
      threshold: θ, broadcast to it.
      bandwidth: ε > 0, a constant to differentiation.
    """
    return (h > threshold).astype(h.dtype)


@step.defjvp
def _step_jvp(primals, tangents):
    h, threshold, bandwidth = primals
    return step(h, threshold, bandwidth), -_kernel(h, threshold, bandwidth) * tangents[1]


@jax.custom_jvp
def jump_relu(h: jax.Array, threshold: jax.Array, bandwidth: jax.Array | float) -> jax.Array:
    """``h · H(h − θ)``, with ``∂/∂h = H(h − θ)`` and the estimate ``∂/∂θ := −(θ/ε) K((h − θ)/ε)``: see ``step``."""
    return h * (h > threshold)


@jump_relu.defjvp
def _jump_relu_jvp(primals, tangents):
    h, threshold, bandwidth = primals
    estimate = threshold * _kernel(h, threshold, bandwidth)
    return jump_relu(h, threshold, bandwidth), (h > threshold) * tangents[0] - estimate * tangents[1]


def _kernel(h: jax.Array, threshold: jax.Array, bandwidth: jax.Array | float) -> jax.Array:
    """``(1/ε) K((h − θ)/ε)``."""
    return (jnp.abs(h - threshold) < bandwidth / 2) / bandwidth


def _beside(per_unit: jax.Array, h: jax.Array) -> jax.Array:
    """[size] as [1, ..., size], to stand beside h [b, ..., size]."""
    return per_unit.reshape(*[1] * (h.ndim - 1), -1)


def _active(z: jax.Array) -> jax.Array:
    """How many units of each code [b, ...] are not 0: [b]."""
    return jnp.sum(z != 0, axis=tuple(range(1, z.ndim)), dtype=jnp.float32)
