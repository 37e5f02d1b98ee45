"""Backpropagation by hand, through an autoencoder with one hidden layer.

The net, for a batch of n rows x [n, d] and h hidden units, is

    ``a₁ = x W₁ + b₁``,   ``z = relu(a₁)``    the code [n, h],    W₁ [d, h], b₁ [h]
    ``a₂ = z W₂ + b₂``,   ``y = relu(a₂)``    the output [n, d],  W₂ [h, d], b₂ [d]

and its loss the mean squared error, over pixels and examples both,

    ``L = 1/(n d) Σ_k Σ_i (y_ki − x_ki)²``.

(The squared error of an autoencoder elsewhere in this package is summed over pixels: d times this.)

A change of a₂ reaches L through y alone, and one of a₁ through z and so every a₂.
With relu'(a) = 1 where a > 0, else 0, the chain rule gives their derivatives, the errors

    ``δ₂ = ∂L/∂a₂ = 2/(n d) (y − x) ∘ relu'(a₂)``      [n, d]
    ``δ₁ = ∂L/∂a₁ = (δ₂ W₂ᵀ) ∘ relu'(a₁)``             [n, h]

since ∂a₂_ki/∂z_kj = W₂_ji, so that ∂L/∂z_kj = Σ_i δ₂_ki W₂_ji. Each layer is linear in its
kernel and bias: ∂a₂_ki/∂W₂_ji = z_kj and ∂a₂_ki/∂b₂_i = 1, and every example adds its part:

    ``∂L/∂W₂ = zᵀ δ₂``,   ``∂L/∂b₂ = Σ_k δ₂_k``,
    ``∂L/∂W₁ = xᵀ δ₁``,   ``∂L/∂b₁ = Σ_k δ₁_k``.

At a = 0 relu has no derivative; 0 is taken there, as ``jax.nn.relu`` does.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Net(NamedTuple):
    """The parameters, or anything of their shapes such as their gradients: w1 [d, h], b1 [h], w2 [h, d], b2 [d]."""

    w1: jax.Array
    b1: jax.Array
    w2: jax.Array
    b2: jax.Array


class Pass(NamedTuple):
    """What the net computes on the way: a1 [n, h], z [n, h], a2 [n, d], y [n, d]."""

    a1: jax.Array
    z: jax.Array
    a2: jax.Array
    y: jax.Array


def forward(net: Net, x: jax.Array) -> Pass:
    """The net on rows x [n, d]."""
    a1 = x @ net.w1 + net.b1[None]
    z = jax.nn.relu(a1)
    a2 = z @ net.w2 + net.b2[None]
    return Pass(a1, z, a2, jax.nn.relu(a2))


def loss(net: Net, x: jax.Array) -> jax.Array:
    """``L = 1/(n d) Σ_k Σ_i (y_ki − x_ki)²`` of rows x [n, d]: a scalar, squared error a pixel."""
    return jnp.mean(jnp.square(forward(net, x).y - x))


def output_error(net: Net, x: jax.Array) -> jax.Array:
    """``δ₂ = ∂L/∂a₂ = 2/(n d) (y − x) ∘ 1[a₂ > 0]``: [n, d].

    An output whose relu is shut passes nothing back, however wrong it is.
    """
    _, _, a2, y = forward(net, x)
    return 2 / x.size * (y - x) * (a2 > 0)


def hidden_error(net: Net, x: jax.Array) -> jax.Array:
    """``δ₁ = ∂L/∂a₁ = (δ₂ W₂ᵀ) ∘ 1[a₁ > 0]``: [n, h].

    The output's errors, each weighed by how much the unit adds to it; a unit that is
    silent for an example learns nothing from it.
    """
    return output_error(net, x) @ net.w2.T * (forward(net, x).a1 > 0)


def decoder_kernel(net: Net, x: jax.Array) -> jax.Array:
    """``∂L/∂W₂ = zᵀ δ₂``, i.e. ``∂L/∂W₂_ji = Σ_k z_kj δ₂_ki``: [h, d]."""
    return forward(net, x).z.T @ output_error(net, x)


def decoder_bias(net: Net, x: jax.Array) -> jax.Array:
    """``∂L/∂b₂ = Σ_k δ₂_k``: [d]."""
    return jnp.sum(output_error(net, x), axis=0)


def encoder_kernel(net: Net, x: jax.Array) -> jax.Array:
    """``∂L/∂W₁ = xᵀ δ₁``, i.e. ``∂L/∂W₁_ij = Σ_k x_ki δ₁_kj``: [d, h]."""
    return x.T @ hidden_error(net, x)


def encoder_bias(net: Net, x: jax.Array) -> jax.Array:
    """``∂L/∂b₁ = Σ_k δ₁_k``: [h]."""
    return jnp.sum(hidden_error(net, x), axis=0)


def closed_form(net: Net, x: jax.Array) -> Net:
    """All four gradients of ``loss`` at rows x [n, d], each of its parameter's shape.

    Compiled as one, what they share is computed once.
    """
    return Net(encoder_kernel(net, x), encoder_bias(net, x), decoder_kernel(net, x), decoder_bias(net, x))
