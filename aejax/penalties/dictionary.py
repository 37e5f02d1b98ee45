"""Penalties of the codes that learn sparse dictionaries: they ask for what only those codes give."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from aejax.codes.gates import step
from aejax.codes.largest import keep_largest, whole


def aux_k(
    x: jax.Array,
    output: jax.Array,
    h: jax.Array,
    dead: jax.Array,
    decode_linear: Callable[[jax.Array], jax.Array],
    *,
    aux_units: jax.Array | int,
) -> jax.Array:
    """``‖e − ê‖²``, what dead units make of the reconstruction's error e: squared error per example [b].

    ``e = x − x̂`` is a constant, and ``ê = W_dec z`` where z is relu(h) of each example's
    ``aux_units`` largest dead units, 0 elsewhere. Reconstruction sends such units no
    gradient, as they are never among the k; this does, until they find something to do
    (Gao et al., "Scaling and evaluating sparse autoencoders", arXiv 2406.04093, appendix
    A.2). 0 where no unit is dead.

    It is on the scale of ``squared_error``, with which the paper weighs it 1/32. It
    takes the decoder's output for the picture: with a likelihood that reads logits from
    it, e would not be an error. A unit whose h is negative for every example gets
    nothing from it, as its relu is flat there.

    Args:
      x: clean images [b, h, w, c].
      output: the decoder's [b, h, w, c].
      h: what the code reads [b, ..., size].
      dead: units [size] that have been silent too long.
      decode_linear: codes, as h, to [b, h, w, c], without a bias.
      aux_units: how many dead units take part for each example.
    """
    residual = x - jax.lax.stop_gradient(output)

    def error() -> jax.Array:
        asleep = jnp.where(_beside(dead, h), h, -jnp.inf)
        return _sum(jnp.square(residual - decode_linear(jax.nn.relu(keep_largest(asleep, whole(aux_units))))))

    return jax.lax.cond(jnp.any(dead), error, lambda: jnp.zeros(x.shape[0], x.dtype))


def l0(h: jax.Array, threshold: jax.Array, bandwidth: jax.Array | float) -> jax.Array:
    """``Σ_j H(h_j − θ_j)``, the number of active units of each example [b].

    Its derivative for θ is the estimate of ``codes.gates.step``, and for h none, so that
    only the thresholds learn from it (Rajamanoharan et al., arXiv 2407.14435, section 3).

    Args:
      h: what the code reads [b, ..., size].
      threshold: θ [size].
      bandwidth: width of the kernel of the estimate.
    """
    return _sum(step(h, _beside(threshold, h), bandwidth))


def gate_l1(gate: jax.Array) -> jax.Array:
    """``Σ_j relu(gate_j)``, how far the gates [b, ..., size] stand open: [b] (arXiv 2404.16014, section 3)."""
    return _sum(jax.nn.relu(gate))


def gate_auxiliary(x: jax.Array, gate: jax.Array, frozen_decode: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """``‖x − x̂_frozen(relu(gate))‖²``: what the gates by themselves would reconstruct, squared error per example [b].

    It teaches a gate to open for what the decoder needs, the one gradient that it has
    against ``gate_l1``; the decoder does not learn from it (Rajamanoharan et al., arXiv
    2404.16014, section 3, where its weight is 1). It is on the scale of
    ``squared_error``, and takes the decoder's output for the picture.

    Args:
      x: clean images [b, h, w, c].
      gate: the code's [b, ..., size].
      frozen_decode: codes, as the gate, to [b, h, w, c], its parameters constant to differentiation.
    """
    return _sum(jnp.square(x - frozen_decode(jax.nn.relu(gate))))


def _sum(values: jax.Array) -> jax.Array:
    """[b, ...] summed to [b]."""
    return jnp.sum(values.reshape(values.shape[0], -1), axis=1)


def _beside(per_unit: jax.Array, h: jax.Array) -> jax.Array:
    """[size] as [1, ..., size], to stand beside h [b, ..., size]."""
    return per_unit.reshape(*[1] * (h.ndim - 1), -1)
