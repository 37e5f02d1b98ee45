"""Penalties on the weights themselves: the same for each example, so that their mean over a batch is their value."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from aejax.errors import UserError


def weight_decay(
    encoder_kernels: Sequence[jax.Array], decoder_kernels: Sequence[jax.Array], weight: jax.Array
) -> jax.Array:
    """``½ Σ ‖W‖²`` over the kernels of encoder and decoder, not their biases: [b], the shape of ``weight``.

    In the loss, and so in Adam's moments; ``optim.weight_decay`` of adamw is outside of them.
    """
    return jnp.broadcast_to(half_squares([*encoder_kernels, *decoder_kernels]), weight.shape)


def decoder_weight_decay(decoder_kernels: Sequence[jax.Array], weight: jax.Array) -> jax.Array:
    """``½ Σ ‖W‖²`` over the decoder's kernels: [b], the shape of ``weight``.

    What keeps a penalty on the code from being answered by a small code and large
    decoder weights; as RAE-L2 does (Ghosh et al., arXiv 1903.12436, section 3).

    Raises:
      UserError: the decoder has no kernels of its own.
    """
    if not decoder_kernels:
        raise UserError(
            "config.loss.decoder_weight_decay needs a decoder with kernels of its own; "
            "accepted with a tied one: loss.weight_decay"
        )
    return jnp.broadcast_to(half_squares(decoder_kernels), weight.shape)


def orthogonality(encoder_kernels: Sequence[jax.Array], weight: jax.Array) -> jax.Array:
    """``Σ ‖WᵀW − I‖²`` over the encoder's kernels, squared Frobenius norms: [b], the shape of ``weight``.

    W is [in, out], of a convolution [kh·kw·in, out]: 0 where its columns, the filters,
    are orthonormal. More filters than inputs cannot be; then the rows are compared,
    ``‖WWᵀ − I‖²``, which can be 0. The two differ by the constant out − in, for both are
    ``tr (WᵀW)² − 2 tr WᵀW`` plus the size of I, so the gradient is the same.
    """
    return jnp.broadcast_to(sum((_off_orthonormal(k) for k in encoder_kernels), jnp.float32(0)), weight.shape)


def half_squares(kernels: Sequence[jax.Array]) -> jax.Array:
    """``½ Σ ‖W‖²`` over some kernels: a scalar."""
    return 0.5 * sum((jnp.sum(jnp.square(k)) for k in kernels), jnp.float32(0))


def _off_orthonormal(kernel: jax.Array) -> jax.Array:
    w = kernel.reshape(-1, kernel.shape[-1])
    gram = w.T @ w if w.shape[1] <= w.shape[0] else w @ w.T
    return jnp.sum(jnp.square(gram - jnp.eye(len(gram), dtype=gram.dtype)))
