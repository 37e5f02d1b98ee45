"""Penalties: functions of what an autoencoder computes, one number per example, unweighted.

The name of each is the key of the config's section ``loss`` that holds its weight.
Its positional parameters say what it needs, by name: ``x``, ``noisy`` (what the
encoder saw), ``h``, ``z``, ``output``, ``weight`` [b] (1 for an example, 0 for padding), ``key``,
``encode``, ``decode``, ``encoder_kernels``, and so on, or an extra of the code such as ``mean``. Its
keyword-only ones are numbers of the section ``loss``. What is one value for the
whole batch is given to each example, so that their mean is that value.
"""

from aejax.penalties.activity import kl_sparsity, l1, l2
from aejax.penalties.dictionary import aux_k, gate_auxiliary, gate_l1, l0
from aejax.penalties.divergence import mmd_imq, mmd_rbf, total_correlation
from aejax.penalties.jacobian import contractive, contractive_change, contractive_hutchinson, decoder_gradient
from aejax.penalties.weights import decoder_weight_decay, orthogonality, weight_decay

__all__ = [
    "aux_k",
    "contractive",
    "contractive_change",
    "contractive_hutchinson",
    "decoder_gradient",
    "decoder_weight_decay",
    "gate_auxiliary",
    "gate_l1",
    "kl_sparsity",
    "l0",
    "l1",
    "l2",
    "mmd_imq",
    "mmd_rbf",
    "orthogonality",
    "total_correlation",
    "weight_decay",
]
