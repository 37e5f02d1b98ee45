"""Encoders, decoders and their adjoints: from images [b, h, w, c] to features, and back.

An encoder ends in a linear layer: what it returns, [b, d] or maps [b, h', w', d],
are pre-activations, and ``aejax.codes`` makes a code of them. A decoder ends in a
linear layer too: what it returns is read by a likelihood (logits, or a mean).
Both are called as ``net(x, train=…, weight=…, key=…)``: with the batch's statistics
and dropout, or without; ``weight`` [b] is 1 for an example and 0 for padding. They compute in the
type of x and return it; parameters are float32.
"""

from aejax.nets.allconv import AllconvDecoder, AllconvEncoder
from aejax.nets.convolutional import ConvDecoder, ConvEncoder
from aejax.nets.dense import Dense, DictionaryDecoder, MlpDecoder, MlpEncoder, TiedDecoder
from aejax.nets.layers import (
    ACTIVATIONS,
    KERNEL_INITS,
    KERNEL_INITS_WITH_STD,
    NORMS,
    PRECISIONS,
    activation,
    called,
    dropout,
    kernel_init,
    norm,
    precision,
)
from aejax.nets.maps import GROWS, SHRINKS

__all__ = [
    "ACTIVATIONS",
    "GROWS",
    "KERNEL_INITS",
    "KERNEL_INITS_WITH_STD",
    "NORMS",
    "PRECISIONS",
    "SHRINKS",
    "AllconvDecoder",
    "AllconvEncoder",
    "ConvDecoder",
    "ConvEncoder",
    "Dense",
    "DictionaryDecoder",
    "MlpDecoder",
    "MlpEncoder",
    "TiedDecoder",
    "activation",
    "called",
    "dropout",
    "kernel_init",
    "norm",
    "precision",
]
