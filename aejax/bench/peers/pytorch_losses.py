"""Input noise, likelihoods and penalties in training; the penalties are means over the batch."""

from typing import NamedTuple

import torch
from torch.nn import functional as F

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # of the kernels that a maximum mean discrepancy sums
CLOSEST = 1e-6  # to 0 and 1, of a mean activity


def masking(x, rate):
    """Each component 0 with probability ``rate``."""
    return torch.where(torch.rand_like(x) < rate, 0.0, x)


def salt_and_pepper(x, rate, low, high):
    """Each component ``low`` or ``high`` with probability ``rate``."""
    u = torch.rand_like(x)
    return torch.where(u < rate, torch.where(u < rate / 2, low, high), x)


CORRUPTIONS = {
    "none": lambda x: x,
    "gaussian": lambda x, std: x + std * torch.randn_like(x),
    "clipped_gaussian": lambda x, std, low, high: (x + std * torch.randn_like(x)).clamp(low, high),
    "masking": masking,
    "salt_and_pepper": salt_and_pepper,
}


def poisson(output, x, reduction):
    """Counts x of given log rates."""
    terms = torch.exp(output) - output * x + torch.lgamma(x + 1)
    return terms.sum() if reduction == "sum" else terms


def multinomial(output, x, reduction):
    """Draws in a given order, of logits over all components."""
    terms = -x.flatten(1) * F.log_softmax(output.flatten(1), 1)
    return terms.sum() if reduction == "sum" else terms


LIKELIHOODS = {  # with ``reduction`` "sum" or "none", as torch's own losses
    "bernoulli": lambda output, x, reduction: F.binary_cross_entropy_with_logits(output, x, reduction=reduction),
    "squared_error": lambda output, x, reduction: F.mse_loss(output, x, reduction=reduction),
    "poisson": poisson,
    "multinomial": multinomial,
}


class Seen(NamedTuple):
    """What a penalty may look at: the code z, and the kernel of an encoder of one layer."""

    z: torch.Tensor
    kernel: torch.Tensor | None


def kl_sparsity(seen, sparsity):
    """How far the units' mean activities are from ``sparsity``."""
    mean = seen.z.mean(0) if seen.z.dim() == 2 else seen.z.mean((0, 2, 3))
    mean = mean + (mean.clamp(CLOSEST, 1 - CLOSEST) - mean).detach()
    on = sparsity * torch.log(sparsity / mean)
    return (on + (1 - sparsity) * torch.log((1 - sparsity) / (1 - mean))).sum()


def contractive(seen):
    """The encoder's squared Jacobian in closed form, of one sigmoid layer."""
    slope = seen.z * (1 - seen.z)
    return slope.square().mean(0) @ seen.kernel.square().sum(1)


def discrepancy(z, kernel):
    """The squared maximum mean discrepancy of codes from N(0, I); all scales at once, faster than one by one."""
    z = z.flatten(1)
    p, n = torch.randn_like(z), len(z)
    c = 2.0 * z.shape[1] * torch.tensor(SCALES, device=z.device)[:, None, None]

    def between(x, y):
        squared = x.square().sum(1)[:, None] + y.square().sum(1) - 2 * x @ y.t()
        return kernel(squared.clamp(min=0), c).sum(0)

    alike = between(z, z) + between(p, p)
    return (alike.sum() - alike.diagonal().sum()) / (n * (n - 1)) - 2 * between(z, p).mean()


PENALTIES = {
    "l1": lambda seen: seen.z.abs().sum() / len(seen.z),
    "l2": lambda seen: 0.5 * seen.z.square().sum() / len(seen.z),
    "kl_sparsity": kl_sparsity,
    "contractive": contractive,
    "mmd_imq": lambda seen: discrepancy(seen.z, lambda squared, c: c / (c + squared)),
    "mmd_rbf": lambda seen: discrepancy(seen.z, lambda squared, c: torch.exp(-squared / c)),
}
