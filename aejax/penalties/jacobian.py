"""Penalties on the Jacobian of the encoder or the decoder.

For a function f of one example with Jacobian J [outputs, inputs] they are built of
two products that cost about as much as f: ``J u`` (forward mode) and ``vᵀJ`` (reverse
mode). One for each basis vector gives ``‖J‖²`` exactly; a few of random signs
estimate it: with E[u uᵀ] = I, ``E‖J u‖² = E tr(u uᵀ JᵀJ) = tr(JᵀJ) = ‖J‖²`` (Hutchinson, 1990).

Untied weights make a penalty on the encoder's Jacobian vacuous: the encoder shrinks
and the decoder grows. Use it with a tied decoder, or with decoder_weight_decay.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from aejax import keys
from aejax.errors import UserError

Function = Callable[[jax.Array], jax.Array]
AT_ONCE = 2**22  # floats of the vectors that go through a net together: bounds the memory of an exact norm


def contractive(noisy: jax.Array, encode: Function, one_layer: tuple[jax.Array, jax.Array] | None = None) -> jax.Array:
    """``‖J(x)‖² = Σ_ji (∂z_j/∂x_i)²``, the squared Frobenius norm of the encoder's Jacobian at its input: [b], exact.

    Rifai et al., "Contractive Auto-Encoders: Explicit Invariance During Feature Extraction",
    ICML 2011, section 3. For one layer, z_j = s(h_j) with h = xW + b, ∂z_j/∂x_i is s'(h_j) W_ij, so that

        ``‖J‖² = Σ_j s'(h_j)² Σ_i W_ij²``,

    theirs with s' = z(1 − z), the sigmoid's. It costs next to nothing. Any other net takes as many passes as
    the smaller of input and code has dimensions: see ``contractive_hutchinson`` for a cheaper estimate.

    Args:
      noisy: [b, ...], what the encoder sees.
      encode: [b, ...] -> codes [b, ...], each example on its own.
      one_layer: None, or the kernel [d_in, d] and the activation's slope s'(h) [b, d].
    """
    if one_layer is not None:
        kernel, slope = one_layer
        return jnp.square(slope) @ jnp.sum(jnp.square(kernel), axis=0)
    product, shape, wide = _narrow_product(encode, noisy)
    d = math.prod(shape)

    def along(i):  # a basis vector, the same for each example
        e = jax.nn.one_hot(i, d, dtype=noisy.dtype).reshape(1, *shape)
        return _squares(product(jnp.broadcast_to(e, (len(noisy), *shape))))

    together = min(d, max(1, AT_ONCE // (len(noisy) * wide)))
    # Without the checkpoint, the backward pass would keep the activations of every basis vector.
    return jnp.sum(jax.lax.map(jax.checkpoint(along), jnp.arange(d), batch_size=together), axis=0)


def contractive_hutchinson(noisy: jax.Array, encode: Function, key: jax.Array, *, probes: int = 1) -> jax.Array:
    """``contractive``, estimated: the mean of ``‖vᵀJ(x)‖²`` over ``probes`` random v of signs ±1: [b], unbiased.

    Each example has its own v. Where the input has fewer dimensions than the code the
    probe is on its side, ``‖J(x)u‖²``: the same mean, of a smaller variance.

    Args:
      noisy: [b, ...], what the encoder sees.
      encode: [b, ...] -> codes [b, ...], each example on its own.
      key: for the probes.
      probes: how many, 1 or more.

    Raises:
      UserError: there are no probes.
    """
    return _estimate(encode, noisy, keys.named(key, "contractive_hutchinson"), probes)


def contractive_change(
    noisy: jax.Array, encode: Function, key: jax.Array, *, noise: jax.Array | float, probes: int = 1
) -> jax.Array:
    """``‖J(x) − J(x + ε)‖²`` with ε ~ N(0, noise² I): how much the encoder's Jacobian changes nearby: [b].

    A penalty on the curvature: for small noise its mean is about ``noise² ‖H‖²`` with H the
    second derivatives (Rifai et al., "Higher Order Contractive Auto-Encoder", ECML 2011; their
    CAE+H is this and ``contractive``). They average a few ε; this draws one an example, afresh
    at every step, and estimates the norm as ``contractive_hutchinson`` does: unbiased, at the
    price of two passes a probe for any net. A ReLU encoder is piecewise linear: there it
    finds the units that switch between x and x + ε, but only their weights get a gradient of it.

    Args:
      noisy: [b, ...], what the encoder sees.
      encode: [b, ...] -> codes [b, ...], each example on its own.
      key: for ε and the probes.
      noise: standard deviation of ε.
      probes: how many, 1 or more.

    Raises:
      UserError: there are no probes.
    """
    key = keys.named(key, "contractive_change")
    normal = jax.vmap(lambda k: jax.random.normal(k, noisy.shape[1:], noisy.dtype))
    step = noise * normal(keys.per_example(keys.named(key, "noise"), len(noisy)))
    return _estimate(lambda x: encode(x) - encode(x + step), noisy, keys.named(key, "probes"), probes)


def decoder_gradient(z: jax.Array, decode: Function, key: jax.Array, *, probes: int = 1) -> jax.Array:
    """``‖∂x̂/∂z‖²``, the squared Frobenius norm of the decoder's Jacobian at each code, estimated: [b], unbiased.

    Keeps a deterministic decoder smooth (Ghosh et al., "From Variational to Deterministic Autoencoders",
    arXiv 1903.12436, section 3: RAE-GP). Of what the decoder gives the likelihood, logits where
    those are read; differentiated through the codes too. Estimated as ``contractive_hutchinson`` does.

    Args:
      z: codes [b, ...].
      decode: codes -> [b, ...], each example on its own.
      key: for the probes.
      probes: how many, 1 or more.

    Raises:
      UserError: there are no probes.
    """
    return _estimate(decode, z, keys.named(key, "decoder_gradient"), probes)


def _estimate(f: Function, x: jax.Array, key: jax.Array, probes: int) -> jax.Array:
    if probes < 1:
        raise UserError(f"config.loss.probes={probes}; accepted: 1 or more")
    product, shape, _ = _narrow_product(f, x)

    def along(probe):
        example_keys = keys.per_example(jax.random.fold_in(key, probe), len(x))
        return _squares(product(jax.vmap(lambda k: jax.random.rademacher(k, shape, x.dtype))(example_keys)))

    if probes == 1:
        return along(0)
    return jnp.mean(jax.lax.map(jax.checkpoint(along), jnp.arange(probes)), axis=0)


def _narrow_product(f: Function, x: jax.Array) -> tuple[Function, tuple[int, ...], int]:
    """The product with f's Jacobian at x, taken from its side of fewer dimensions.

    Returns:
      The product, [b, *shape] -> [b, ...]: ``J u`` where an example has no more inputs than outputs, else ``vᵀJ``;
      ``shape``; and the number of dimensions of the other side.
    """
    inputs, outputs = x.shape[1:], jax.eval_shape(f, x).shape[1:]
    if math.prod(inputs) <= math.prod(outputs):
        return jax.linearize(f, x)[1], inputs, math.prod(outputs)
    pull = jax.vjp(f, x)[1]
    return lambda v: pull(v)[0], outputs, math.prod(inputs)


def _squares(values: jax.Array) -> jax.Array:
    """[b, ...] -> [b]: the squared norm of each example."""
    return jnp.sum(jnp.square(values.reshape(len(values), -1)), axis=1)
