"""The five words put together from a config, and the loss of an example.

``x̃ = corrupt(x)``, ``h = encoder(x̃)``, ``z = code(h)``, ``x̂ = decoder(z)``, and per
example ``loss = reconstruction(x, x̂) + Σ weight · penalty``.

Encoder and decoder compute in the type that ``config.precision`` names; what goes into them and comes out of them, and
all the rest, is float32.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from ml_collections import FrozenConfigDict

from aejax import codes, keys, nets, parts, penalties, schema
from aejax.corruptions import Corrupted
from aejax.data.identity import identity as image_identity
from aejax.errors import UserError

Arguments = Mapping[str, Any]


class Output(NamedTuple):
    """What a pass over a batch gives.

    Attributes:
      z: the code [b, size] or [b, h, w, size]; None where the model has none.
      loss: [b].
      terms: each unweighted term of the loss, [b] by name.
      figures: [b] by name: logged, and no part of the loss.
    """

    z: jax.Array | None
    loss: jax.Array
    terms: dict[str, jax.Array]
    figures: dict[str, jax.Array] = {}


class Autoencoder(nn.Module):
    """Encoder, code, decoder and likelihood of a config, for images of ``shape`` [h, w, c].

    Raises:
      UserError: the config names a part that there is none of, or parts that do not go together.
    """

    config: FrozenConfigDict
    shape: tuple[int, int, int]

    def setup(self):
        c = self.config
        found = schema.find_parts(c)
        self.code = parts.build(found["code"], c.code)
        self.encoder = parts.build(found["encoder"], c.encoder, shape=self.shape, outputs=self.code.features)
        given = {"shape": self.shape, "inputs": c.code.size, "encoder": self.encoder}
        self.decoder = parts.build(found["decoder"], c.decoder, **given)
        self.likelihood = parts.build(found["loss"], c.loss)
        self.corrupt = found["corruption"]

    # -- without noise

    def encode(self, x: jax.Array, numbers: Mapping | None = None) -> jax.Array:
        """Prepared images [b, h, w, c] -> codes: no corruption, no mask over the batch, no noise.

        Args:
          x: [b, h, w, c].
          numbers: of the section ``code``; the config's unless given.
        """
        given = {"weight": jnp.ones(x.shape[0]), "key": None, "train": False}
        numbers = {**(self.config.code if numbers is None else numbers), "identity": image_identity(x)}
        return self._code(self._encoder(x), numbers, **given).z

    def output(self, z: jax.Array) -> jax.Array:
        """Codes -> what the likelihood reads [b, h, w, c]."""
        return self._decoder(z)

    def linear(self, z: jax.Array) -> jax.Array:
        """Codes -> the decoder's output without its bias; for decoders that are one dictionary of atoms."""
        return self.decoder.linear(self._compute(z)).astype(jnp.float32)

    def decode(self, z: jax.Array) -> jax.Array:
        """Codes -> mean images [b, h, w, c]."""
        return self.likelihood.mean(self.output(z))

    def reconstruct(self, x: jax.Array) -> jax.Array:
        """Prepared images [b, h, w, c] -> mean images [b, h, w, c]."""
        return self.decode(self.encode(x))

    def reconstruct_as_trained(self, x: jax.Array) -> jax.Array:
        """The same, but with the masks of a code whose decoder only ever sees masked ones: winners of these images."""
        masked = getattr(self.code, "masked", False)
        return self.decode(self.code_sample(x, jax.random.key(0)) if masked else self.encode(x))

    def posterior(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Prepared images [b, h, w, c] -> mean and log standard deviation [b, ...] of q(z | x), for codes that are
        a Gaussian for each example."""
        given = {"weight": jnp.ones(x.shape[0]), "key": None, "train": False}
        extras = self._code(self._encoder(x), self.config.code, **given).extras
        return extras["mean"], extras["log_std"]

    def log_likelihood(self, x: jax.Array, z: jax.Array) -> jax.Array:
        """``log p(x | z)`` [b] of prepared images [b, h, w, c] and codes [b, ...], as the likelihood counts it."""
        return -self.likelihood(self.output(z), x, **parts.matching(type(self.likelihood), self.config.loss))

    # -- with noise

    def draw(self, z: jax.Array, key: jax.Array) -> jax.Array:
        """Codes -> images [b, h, w, c] drawn from the stochastic decoder p(x | z)."""
        numbers = parts.matching(type(self.likelihood).sample, self.config.loss)
        return self.likelihood.sample(self.output(z), key, **numbers)

    def code_sample(self, x: jax.Array, key: jax.Array, identity: jax.Array | None = None) -> jax.Array:
        """Prepared images [b, h, w, c] -> codes with their noise, or drawn from the posterior (the first sample).

        Args:
          x: [b, h, w, c].
          key: of the noise.
          identity: [b] uint32, which example each is; a hash of x unless given.
        """
        identity = image_identity(x) if identity is None else identity
        given = {"weight": jnp.ones(x.shape[0]), "key": key, "train": True}
        coded = self._code(self._encoder(x), {**self.config.code, "identity": identity}, **given)
        return coded.z[0] if hasattr(self.code, "bound") else coded.z

    def __call__(
        self,
        x: jax.Array,
        arguments: Arguments,
        *,
        weight: jax.Array,
        key: jax.Array,
        train: bool,
        progress: jax.Array | float = 1.0,
        labels: jax.Array | None = None,
        identity: jax.Array | None = None,
    ) -> Output:
        """The loss of prepared images [b, h, w, c], each against itself uncorrupted.

        A code with samples (leading axis k) has the loss of each put together by its
        ``bound``; terms are then means over the samples, and penalties see the first.

        Args:
          x: [b, h, w, c].
          arguments: as ``model.arguments(config)`` gives; with ``width`` in its section ``code``, how many units are
            the model's own.
          weight: [b], 1 for an example and 0 for padding.
          key: of this step; every use of it is folded with a name.
          train: with corruption, sparsity masks and training noise, or without.
          progress: share of training done, in [0, 1].
          labels: not read.
          identity: [b] uint32, which example each is, for noise that stays the same; a hash of x unless given.
        """
        learns = schema.learns(self.config.optim)
        noisy, where = self._corrupted(x, arguments["corruption"], keys.named(key, "corruption"), train)
        given = {"train": train and learns("encoder"), "weight": weight, "key": keys.named(key, "encoder")}
        own = partial(self._own_units, width=arguments["code"].get("width"))
        h = own(self._encoder(noisy, **given))
        numbers = {**arguments["code"], "progress": progress}
        numbers["identity"] = image_identity(x) if identity is None else identity
        coded = self._code(h, numbers, weight=weight, key=keys.named(key, "code"), train=train)
        coded = coded._replace(z=own(coded.z))
        bound = getattr(self.code, "bound", None)
        z = coded.z if bound else coded.z[None]
        given = {"train": train and learns("decoder"), "key": keys.named(key, "decoder")}
        output, reconstruction = self._reconstruction(z, x, where, arguments, weight=weight, **given)
        ramp = jnp.where(arguments["loss"]["warmup"] > 0, progress / arguments["loss"]["warmup"], 1.0)
        ramp = jnp.minimum(ramp, 1.0)
        weights = {name: ramp * value for name, value in arguments["loss"].items()}
        reported = coded.penalties if bound else {name: value[None] for name, value in coded.penalties.items()}
        losses = reconstruction + sum(weights[name] * value for name, value in reported.items())
        context = {
            "x": x, "noisy": noisy, "h": h, "z": z[0], "output": output, "weight": weight, "progress": progress,
            "key": keys.named(key, "penalties"), "examples": arguments["examples"], **coded.extras,
        }  # fmt: skip
        added = self._penalties(context, arguments)
        loss = (bound(losses) if bound else losses[0]) + sum(weights[name] * value for name, value in added.items())
        terms = jax.tree.map(lambda value: jnp.mean(value, axis=0), {"reconstruction": reconstruction, **reported})
        return Output(z[0], loss, {**terms, **added}, coded.figures)

    # -- how

    def _own_units(self, a: jax.Array, width: jax.Array | None) -> jax.Array:
        """Features or codes [..., blocks · size] with 0 for the units from ``width`` on, which are not the model's own:
        codes of several sizes share a program."""
        if width is None:
            return a
        mine = jnp.arange(a.shape[-1]) % self.config.code.size < width
        return jnp.where(jnp.broadcast_to(mine, a.shape), a, 0.0)

    def _compute(self, a: jax.Array) -> jax.Array:
        return a.astype(nets.precision(self.config.precision))

    def _encoder(self, x: jax.Array, **given) -> jax.Array:
        return self._called(self.encoder, x, **given)

    def _decoder(self, z: jax.Array, **given) -> jax.Array:
        return self._called(self.decoder, z, **given)

    def _called(self, part: nn.Module, a: jax.Array, **given) -> jax.Array:
        found = nets.called(lambda part, a: part(a, **given), part, self._compute(a), self.config.train.remat)
        return found.astype(jnp.float32)

    def _corrupted(self, x, numbers: Mapping, key, train: bool) -> Corrupted:
        if not train:
            return Corrupted(x, None)  # so nothing to emphasise
        example_keys = keys.per_example(key, x.shape[0])
        return self.corrupt(x, example_keys, **parts.matching(self.corrupt, numbers))

    def _code(self, h, numbers: Mapping, **given) -> codes.Coded:
        return self.code(h, **given, **parts.matching(type(self.code), {"progress": 1.0, **numbers}))

    def _reconstruction(self, z, x, where, arguments: Arguments, *, weight, **given) -> tuple[jax.Array, jax.Array]:
        """The decoder's output for the first sample [b, h, w, c], and the reconstruction term of all [k, b]."""
        k, b = z.shape[:2]
        tile = (lambda a: jnp.broadcast_to(a[None], (k, *a.shape)).reshape(k * b, *a.shape[1:])) if k > 1 else _same
        output = self._decoder(z.reshape(k * b, *z.shape[2:]), weight=tile(weight), **given)
        numbers = parts.matching(type(self.likelihood), arguments["loss"])
        c = self.config.corruption
        if where is not None and (c.emphasis, c.rest) != (1.0, 1.0):
            corrupted, rest = arguments["corruption"]["emphasis"], arguments["corruption"]["rest"]
            numbers["emphasis"] = tile(rest + (corrupted - rest) * where.astype(x.dtype))
        return output[:b], self.likelihood(output, tile(x), **numbers).reshape(k, b)

    def _penalties(self, context: Mapping, arguments: Arguments) -> dict[str, jax.Array]:
        """The penalties that the config gives a weight: [b] by name, unweighted.

        Running statistics and the like are constants to them. Those that differentiate encoder or decoder do it in
        float32, whatever the precision: the difference of two close Jacobians would be mostly bfloat16's rounding.
        """
        names = schema.penalties(self.config.loss)
        if not names:
            return {}
        model, variables = self.unbind()
        exact = model.clone(config=FrozenConfigDict({**self.config.to_dict(), "precision": "float32"}))
        frozen = jax.lax.stop_gradient(variables)
        variables = {**frozen, "params": variables["params"]}
        known = {
            **{name: self.config.loss[name] for name in self.config.loss},
            **arguments["loss"],
            **context,
            "encode": lambda x: exact.apply(variables, x, arguments["code"], method="encode"),
            "decode": lambda z: exact.apply(variables, z, method="output"),
            "decode_linear": lambda z: model.apply(variables, z, method="linear"),
            "frozen_decode": lambda z: model.apply(frozen, z, method="output"),
            "one_layer": self._one_layer(context["h"]),
            "encoder_kernels": _kernels(variables["params"].get("encoder", {})),
            "decoder_kernels": _kernels(variables["params"].get("decoder", {})),
        }
        found = parts.functions(penalties)
        for name in names:
            missing = sorted(parts.parameters(found[name]) - known.keys())
            if missing:
                raise UserError(schema.missing(self.config, name, missing))
        return {name: found[name](**parts.matching(found[name], known)) for name in names}

    def _one_layer(self, h) -> tuple[jax.Array, jax.Array] | None:
        """The kernel and the slopes at h, where the code is an activation of one dense layer."""
        if not getattr(self.encoder, "single", False) or not isinstance(self.code, codes.Deterministic):
            return None
        act = nets.activation(self.code.activation, "code.activation")
        return self.encoder.layers[0].kernel, jax.jvp(act, (h,), (jnp.ones_like(h),))[1]


def _kernels(params: Mapping) -> list[jax.Array]:
    """The kernels among a part's parameters; biases and scales are none."""
    return [leaf for path, leaf in jax.tree_util.tree_leaves_with_path(params) if path[-1].key == "kernel"]


def _same(a: jax.Array) -> jax.Array:
    return a
