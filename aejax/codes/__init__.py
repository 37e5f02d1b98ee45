"""Bottlenecks: from an encoder's features to a code.

Features are [b, features], or maps [b, h, w, features]; a code works on their last
axis. Each is a module called as ``code(h, train=…, weight=…, key=…, **arguments)``:
``weight`` [b] is 1 for an example and 0 for padding; ``arguments`` are the numbers
of the config's section ``code``, and ``progress`` and ``identity``, that its call
has a parameter for; it returns a ``Coded``.

With ``train=False`` there is no training noise and no mask over a batch; a code whose
loss is an expectation, such as the variational one, still draws. With ``key=None``
nothing is drawn at all: that is how a code encodes.
"""

from aejax.codes.coded import Coded
from aejax.codes.deterministic import Deterministic
from aejax.codes.dictionary import BatchTopK, TopK
from aejax.codes.gates import Gated, JumpRelu
from aejax.codes.hashing import Hashing
from aejax.codes.importance import ImportanceWeighted
from aejax.codes.k_sparse import KSparse
from aejax.codes.largest import kth_largest
from aejax.codes.quantised import VectorQuantised
from aejax.codes.stochastic import GaussianNoise, GumbelSigmoid, LearnedNoise, StraightThrough
from aejax.codes.variational import Variational
from aejax.codes.winner_take_all import Lifetime, Spatial, winners

__all__ = [
    "BatchTopK",
    "Coded",
    "Deterministic",
    "Gated",
    "GaussianNoise",
    "GumbelSigmoid",
    "Hashing",
    "ImportanceWeighted",
    "JumpRelu",
    "KSparse",
    "LearnedNoise",
    "Lifetime",
    "Spatial",
    "StraightThrough",
    "TopK",
    "Variational",
    "VectorQuantised",
    "kth_largest",
    "winners",
]
