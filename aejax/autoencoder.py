"""The five words put together from a config, and the objective.

``x̃ = corrupt(x)``, ``h = encoder(x̃)``, ``z = code(h)``, ``x̂ = decoder(z)``, and per
example ``loss = reconstruction(x, x̂) + Σ weight · penalty``.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from ml_collections import FrozenConfigDict

from aejax import codes, corruptions, keys, losses, nets, parts
from aejax.errors import UserError

Arguments = Mapping[str, Any]


class Output(NamedTuple):
    """What a pass over a batch gives: the code [b, d], and [b] for the loss and each unweighted term of it."""

    z: jax.Array
    loss: jax.Array
    terms: dict[str, jax.Array]


def arguments(config: Mapping) -> dict[str, Any]:
    """The numbers of a config that enter the compiled step as arguments: the seed, and every float of four sections.

    Changing one recompiles nothing, and a batch of them trains a batch of models.
    """
    sections = ("code", "corruption", "loss", "optim")
    floats = {s: {k: jnp.float32(v) for k, v in config[s].items() if isinstance(v, float)} for s in sections}
    return {"seed": jnp.uint32(config["seed"]), **floats}


def penalties(loss: Mapping) -> list[str]:
    """The penalties that a config's section ``loss`` gives a weight, by the names of their functions in losses.py."""
    return sorted(name for name in parts.functions(losses) if loss.get(name, 0.0))


class Autoencoder(nn.Module):
    """Encoder, code, decoder and likelihood of a config, for images of ``shape`` [h, w, c].

    Raises:
      UserError: the config names a part that there is none of, or parts that do not go together.
    """

    config: FrozenConfigDict
    shape: tuple[int, int, int]

    def setup(self):
        c = self.config
        found = find_parts(c)
        self.code = parts.build(found["code"], c.code)
        self.encoder = parts.build(found["encoder"], c.encoder, shape=self.shape, outputs=self.code.features)
        given = {"shape": self.shape, "inputs": c.code.size, "encoder": self.encoder}
        self.decoder = parts.build(found["decoder"], c.decoder, **given)
        self.likelihood = parts.build(found["loss"], c.loss)
        self.corrupt = found["corruption"]

    def encode(self, x: jax.Array) -> jax.Array:
        """Prepared images [b, h, w, c] -> codes [b, d]: no corruption, no sparsity mask, no noise."""
        return self._code(x, self.config.code, jnp.ones(x.shape[0]), jax.random.key(0), train=False).z

    def decode(self, z: jax.Array) -> jax.Array:
        """Codes [b, d] -> mean images [b, h, w, c]."""
        return self.likelihood.mean(self.decoder(z))

    def reconstruct(self, x: jax.Array) -> jax.Array:
        """Prepared images [b, h, w, c] -> mean images [b, h, w, c]."""
        return self.decode(self.encode(x))

    def __call__(
        self, x: jax.Array, arguments: Arguments, *, weight: jax.Array, key: jax.Array, train: bool
    ) -> Output:
        """The loss of prepared images [b, h, w, c], each against itself uncorrupted.

        Args:
          x: [b, h, w, c].
          arguments: as ``arguments(config)`` gives.
          weight: [b], 1 for an example and 0 for padding.
          key: of this step; every use of it is folded with a name.
          train: with corruption, sparsity masks and code noise, or without.
        """
        noisy = x
        if train:
            example_keys = keys.per_example(keys.named(key, "corruption"), x.shape[0])
            noisy = self.corrupt(x, example_keys, **parts.matching(self.corrupt, arguments["corruption"]))
        z, terms = self._code(noisy, arguments["code"], weight, keys.named(key, "code"), train=train)
        output = self.decoder(z)
        likelihood = self.likelihood
        terms = {
            "reconstruction": likelihood(output, x, **parts.matching(type(likelihood), arguments["loss"])),
            **terms,
            **{name: getattr(losses, name)(z) for name in penalties(self.config.loss)},
        }
        loss = sum(terms[name] * arguments["loss"].get(name, 1.0) for name in terms)
        return Output(z, loss, terms)

    def _code(self, x, section: Mapping, weight, key, *, train: bool) -> codes.Coded:
        call = parts.matching(type(self.code), section)
        return self.code(self.encoder(x), train=train, weight=weight, key=key, **call)


def find_parts(config: Mapping) -> dict[str, Any]:
    """The class or function that each section of a config names, by section.

    Raises:
      UserError: there is none of a name.
    """
    known = {
        "encoder": ("name", parts.modules(nets, "Encoder")),
        "decoder": ("name", parts.modules(nets, "Decoder")),
        "code": ("name", parts.modules(codes)),
        "corruption": ("name", parts.functions(corruptions)),
        "loss": ("likelihood", parts.modules(losses)),
    }
    return {s: parts.find(found, f"{s}.{key}", config[s][key]) for s, (key, found) in known.items()}


def keys_read(config: Mapping) -> set[str]:
    """The dotted keys of the named parts' sections that this config's choice of parts reads.

    What an encoder, decoder, code or corruption has no field or parameter for would
    be accepted and ignored; a command refuses such a key where it is set by hand.

    Raises:
      UserError: a name that there is no part of.
    """
    found = find_parts(config)
    read = {
        "encoder": parts.fields(found["encoder"]),
        "decoder": parts.fields(found["decoder"]),
        "code": parts.fields(found["code"]) | parts.parameters(found["code"]) | {"size"},
        "corruption": parts.parameters(found["corruption"]),
        "loss": {"likelihood"} | parts.parameters(found["loss"]) | set(parts.functions(losses)),
    }
    for section in ("encoder", "decoder"):
        if config[section]["kernel_init"] not in nets.KERNEL_INITS_WITH_STD:
            read[section] = read[section] - {"init_std"}
    return {f"{section}.{key}" for section, names in read.items() for key in {"name"} | names}


def init(model: Autoencoder, seed: jax.Array | int) -> dict[str, Any]:
    """The parameters that a seed starts from; compile it: eager, it takes longer than compiling."""
    x = jnp.zeros((1, *model.shape))
    given = {"weight": jnp.ones(1), "key": jax.random.key(0), "train": False}
    return model.init(keys.root(seed, "init"), x, arguments(model.config), **given)["params"]


def objective(
    model: Autoencoder, params: Mapping, x: jax.Array, arguments: Arguments, *, weight: jax.Array, key: jax.Array
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The training loss of a batch, ``Σ weight · loss / Σ weight``, and the same mean of ``loss`` and each term."""
    out = model.apply({"params": params}, x, arguments, weight=weight, key=key, train=True)
    total = jnp.sum(weight)
    means = {name: jnp.sum(weight * value) / total for name, value in {"loss": out.loss, **out.terms}.items()}
    return means["loss"], means


def check(config: Mapping) -> None:
    """Refuse combinations of parts that make no sense.

    Raises:
      UserError: naming the keys and what would go together.
    """
    code = find_parts(config)["code"]
    size = config["code"]["size"]
    if config["decoder"]["name"] == "tied" and parts.build(code, config["code"]).features != size:
        raise UserError(
            f"config.decoder.name='tied' needs an encoder that ends at the code; code.name={config['code']['name']!r} "
            "reads several features a unit; accepted with it: decoder.name='mlp'"
        )


