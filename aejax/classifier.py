"""A classifier made of an encoder: what unsupervised training is good for when labels are few.

The encoder's last layer gives way to a dense head with one output a class
(``classifier.on="hidden"``), or the head reads the code (``classifier.on="code"``). With
``start.workdir`` the encoder's weights come from a run; ``optim.freeze`` keeps them,
``optim.encoder_rate`` fine-tunes them at a rate of their own. The encoder computes in
the type that ``config.precision`` names, the head and the loss in float32.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn
from ml_collections import FrozenConfigDict

from aejax import keys, losses, nets, parts, schema
from aejax.autoencoder import Arguments, Output


class Classifier(nn.Module):
    """``softmax(W f(x) + b)`` with f the encoder of a config, for images of ``shape`` [h, w, c].

    Raises:
      UserError: the config names a part that there is none of.
    """

    config: FrozenConfigDict
    shape: tuple[int, int, int]
    classes: int

    def setup(self):
        c = self.config
        found = schema.find_parts(c)
        self.code = parts.build(found["code"], c.code)
        self.encoder = parts.build(found["encoder"], c.encoder, shape=self.shape, outputs=self.code.features)
        self.features = parts.find(FEATURES, "classifier.on", c.classifier.on)
        init = nets.kernel_init(c.encoder.kernel_init, c.encoder.init_std, "encoder.kernel_init")
        self.head = nn.Dense(self.classes, kernel_init=init)
        self.corrupt = found["corruption"]

    def encode(self, x: jax.Array) -> jax.Array:
        """Prepared images [b, h, w, c] -> the features that the head reads [b, d]."""
        return self.features(self, x, train=False, weight=jnp.ones(x.shape[0]), key=None)

    def classify(self, x: jax.Array) -> jax.Array:
        """Prepared images [b, h, w, c] -> log-probabilities of the classes [b, classes]."""
        return jax.nn.log_softmax(self.head(self.encode(x)))

    def __call__(
        self,
        x: jax.Array,
        arguments: Arguments,
        *,
        weight: jax.Array,
        key: jax.Array,
        train: bool,
        progress: jax.Array | float = 1.0,
        labels: jax.Array,
        identity: jax.Array | None = None,
    ) -> Output:
        """The cross-entropy of prepared images [b, h, w, c] with labels [b], nats per example; ``error`` is 0 or 1."""
        if train:
            example_keys = keys.per_example(keys.named(key, "corruption"), x.shape[0])
            x = self.corrupt(x, example_keys, **parts.matching(self.corrupt, arguments["corruption"])).x
        given = {"train": train and schema.learns(self.config.optim)("encoder"), "weight": weight}
        logits = self.head(self.features(self, x, key=keys.named(key, "encoder"), **given))
        loss = losses.cross_entropy(logits, labels)
        error = (jnp.argmax(logits, axis=1) != labels).astype(jnp.float32)
        return Output(None, loss, {"cross_entropy": loss}, {"error": error})


def hidden(model: Classifier, x: jax.Array, **given) -> jax.Array:
    """The last hidden layer of the encoder [b, d]; its last layer is left out.

    Raises:
      UserError: the encoder has no hidden layer.
    """
    x = x.astype(nets.precision(model.config.precision))
    remat = model.config.train.remat
    return nets.called(lambda part, a: part.hidden(a, **given), model.encoder, x, remat).astype(jnp.float32)


def code(model: Classifier, x: jax.Array, *, train: bool, weight: jax.Array, key: jax.Array | None) -> jax.Array:
    """The code, as it is encoded: without masks and noise, flat [b, d]."""
    x = x.astype(nets.precision(model.config.precision))
    given = {"train": train, "weight": weight, "key": key}
    h = nets.called(lambda part, a: part(a, **given), model.encoder, x, model.config.train.remat).astype(jnp.float32)
    known = {"progress": 1.0, "identity": None, **model.config.code}
    numbers = parts.matching(type(model.code), known)
    z = model.code(h, train=False, weight=weight, key=None, **numbers).z
    return z.reshape(z.shape[0], -1)


FEATURES = {"hidden": hidden, "code": code}
