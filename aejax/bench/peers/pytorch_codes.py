"""Codes in training: from the encoder's features, [b, d] or maps [b, c, h, w], to what the decoder reads.

Each is a module called as ``code(h, *beside)`` and gives a ``Coded``; ``beside`` is the
fixed noise of the batch's examples where the code has ``noise_of``, which draws it for all.
"""

import math
from typing import NamedTuple

import protocol
import pytorch_nets
import torch
from torch import nn
from torch.nn import functional as F


class Coded(NamedTuple):
    """A code.

    Attributes:
      z: [k · b, ...] of k samples, one after another.
      reported: penalties by name, a number or [k, b].
      dead: whether any unit is dead, where that is counted.
    """

    z: torch.Tensor
    reported: dict = {}
    dead: torch.Tensor | None = None


def winners(z, keep):
    """``z`` [b, d] ≥ 0 of which each unit keeps its ``keep`` largest over the batch: those above the next one.

    (On a CPU, topk along the batch was faster than kthvalue or a transposed topk.)
    """
    with torch.no_grad():
        border = torch.topk(z, min(keep + 1, len(z)), dim=0).values[-1]
    return torch.where(z > border, z, 0.0)


def largest(h, k):
    """``h`` [b, d] of which each example keeps its k largest."""
    values, places = torch.topk(h, k, sorted=False)
    return torch.zeros_like(h).scatter(1, places, values)


def straight_through(value, slope):
    """``value`` with the derivative of ``slope``."""
    return slope + (value - slope).detach()


class Deterministic(nn.Module):
    """``act(h)``."""

    def __init__(self, net):
        super().__init__()
        self.act = protocol.pick(pytorch_nets.ACTIVATIONS, "activation", net["code"]["activation"])

    def forward(self, h):
        return Coded(self.act(h))


class Lifetime(nn.Module):
    """Winners of relu(h) over the batch, unit by unit."""

    def __init__(self, net):
        super().__init__()
        self.keep = max(1, round(net["code"]["rate"] * net["batch"]))

    def forward(self, h):
        return Coded(winners(F.relu(h), self.keep))


class Spatial(Lifetime):
    """The largest activation of each map of relu(h), if it wins over the batch too."""

    def forward(self, h):
        z = F.relu(h).flatten(2)
        first, place = z.max(2, keepdim=True)
        won = winners(first[..., 0], self.keep)[..., None]
        return Coded(torch.zeros_like(z).scatter(2, place, won).view(h.shape))


class KSparse(nn.Module):
    """The k largest of h, signed."""

    def __init__(self, net):
        super().__init__()
        self.k = net["code"]["k"]

    def forward(self, h):
        return Coded(largest(h, self.k))


class TopK(nn.Module):
    """``relu`` of the k largest of h, and how long each unit has been silent.

    With the penalty ``aux_k`` a second sample follows, of the largest dead units.
    """

    def __init__(self, net):
        super().__init__()
        self.k, self.dead_after = net["code"]["k"], net["code"]["dead_after"]
        auxiliary = net["penalties"].get("aux_k")
        self.aux_units = min(max(1, round(auxiliary["aux_units"])), net["code"]["size"]) if auxiliary else 0
        self.register_buffer("silent", torch.zeros(net["code"]["size"], dtype=torch.int32))

    def forward(self, h):
        z = F.relu(largest(h, self.k))
        with torch.no_grad():
            self.silent.add_(len(h)).masked_fill_((z > 0).any(0), 0)
            dead = self.silent >= self.dead_after
        if self.aux_units:
            asleep = torch.topk(h.masked_fill(~dead, -torch.inf), self.aux_units, sorted=False)
            z = torch.cat((z, torch.zeros_like(h).scatter(1, asleep.indices, F.relu(asleep.values))))
        return Coded(z, dead=dead.any())


class StraightThrough(nn.Module):
    """Bits of probability sigmoid(h), with the probability's derivative."""

    def __init__(self, net):
        super().__init__()

    def forward(self, h):
        p = torch.sigmoid(h)
        return Coded(straight_through((torch.rand_like(p) < p).float(), p))


class GumbelSigmoid(nn.Module):
    """``sigmoid((h + logistic noise) / temperature)``."""

    def __init__(self, net):
        super().__init__()
        self.temperature = net["code"]["temperature"]

    def forward(self, h):
        return Coded(torch.sigmoid((h + torch.logit(torch.rand_like(h), 1e-7)) / self.temperature))


class GaussianNoise(Deterministic):
    """``act(h) + std · n``."""

    def __init__(self, net):
        super().__init__(net)
        self.std = net["code"]["std"]

    def forward(self, h):
        return Coded(self.act(h) + self.std * torch.randn_like(h))


class LearnedNoise(Deterministic):
    """``act(h) + exp(log_std) · n``, with a log_std for each unit that is learned."""

    def __init__(self, net):
        super().__init__(net)
        self.log_std = nn.Parameter(torch.full((net["code"]["size"],), math.log(net["code"]["std"])))

    def forward(self, h):
        return Coded(self.act(h) + self.log_std.exp() * torch.randn_like(h))


class Hashing(nn.Module):
    """``sigmoid(h + std · n)``, n anew."""

    def __init__(self, net):
        super().__init__()
        self.std, self.size = net["code"]["std"], net["code"]["size"]

    def forward(self, h):
        return Coded(torch.sigmoid(h + self.std * torch.randn_like(h)))


class FixedHashing(Hashing):
    """The same with an example's own noise, which comes beside."""

    def noise_of(self, examples):
        """The noise of so many examples."""
        return torch.randn(examples, self.size)

    def forward(self, h, n):
        return Coded(torch.sigmoid(h + self.std * n))


class Variational(nn.Module):
    """A sample of N(mean, σ²), the halves of h, and its divergence from N(0, I)."""

    def __init__(self, net):
        super().__init__()
        self.samples, self.free_bits = net["code"]["samples"], net["code"].get("free_bits", 0)

    def draw(self, h):
        """mean, log σ, noise and samples; the latter two [k, b, ...]."""
        mean, log_std = h.chunk(2, 1)
        log_std = log_std.clamp(max=10)
        n = torch.randn((self.samples, *mean.shape), device=h.device)
        return mean, log_std, n, mean + log_std.exp() * n

    def forward(self, h):
        mean, log_std, _, z = self.draw(h)
        kl = 0.5 * (mean.square() + torch.expm1(2 * log_std)) - log_std
        if self.free_bits:
            kl = kl.flatten(2).sum(2) if kl.dim() > 2 else kl
            kl = kl.mean(0).clamp(min=self.free_bits).sum()
        else:
            kl = kl.sum() / len(h)
        return Coded(z.flatten(0, 1), {"kl": kl})


class ImportanceWeighted(Variational):
    """The same samples, and what each costs, [k, b]."""

    def forward(self, h):
        _, log_std, n, z = self.draw(h)
        kl = 0.5 * (z.square() - n.square()) - log_std
        return Coded(z.flatten(0, 1), {"kl": kl.flatten(2).sum(2)})


class VectorQuantised(nn.Module):
    """The nearest vectors of a codebook, which follows what chose them."""

    def __init__(self, net):
        super().__init__()
        code = net["code"]
        self.size, self.decay, self.restart = code["size"], code["decay"], code["restart"]
        self.register_buffer("vectors", torch.randn(code["entries"], code["size"]))
        self.register_buffer("counts", torch.zeros(code["entries"]))
        self.register_buffer("sums", torch.zeros(code["entries"], code["size"]))

    def forward(self, h):
        last = h.movedim(1, -1)  # of channels_last maps in place
        rows = last.reshape(-1, self.size)
        with torch.no_grad():
            apart = torch.addmm(self.vectors.square().sum(1), rows, self.vectors.t(), alpha=-2)
            indices = apart.min(1).indices  # faster than argmin
            z = F.embedding(indices, self.vectors)
            self.follow(rows, indices)
        commitment = F.mse_loss(rows, z, reduction="sum") / len(h)
        return Coded(straight_through(z, rows).view(last.shape).movedim(-1, 1), {"commitment": commitment})

    def follow(self, rows, indices):
        """Move the moving averages, and entries that hardly any row chose to rows."""
        entries = len(self.counts)
        used = torch.zeros_like(self.counts).index_add_(0, indices, torch.ones_like(indices, dtype=rows.dtype))
        chosen = torch.zeros_like(self.sums).index_add_(0, indices, rows)
        counts, sums = self.counts.lerp(used, 1 - self.decay), self.sums.lerp(chosen, 1 - self.decay)
        vectors = torch.where(counts[:, None] > 0, sums / counts.clamp(min=1e-30)[:, None], self.vectors)
        share = counts.mean()
        again = counts < self.restart * share
        fresh = rows[torch.randint(len(rows), (entries,), device=rows.device)]
        self.counts.copy_(torch.where(again, share, counts))
        self.sums.copy_(torch.where(again[:, None], share * fresh, sums))
        self.vectors.copy_(torch.where(again[:, None], fresh, vectors))


CODES = {
    "deterministic": Deterministic,
    "lifetime": Lifetime,
    "spatial": Spatial,
    "k_sparse": KSparse,
    "top_k": TopK,
    "straight_through": StraightThrough,
    "gumbel_sigmoid": GumbelSigmoid,
    "gaussian_noise": GaussianNoise,
    "learned_noise": LearnedNoise,
    "hashing": lambda net: (FixedHashing if net["code"]["fixed"] else Hashing)(net),
    "variational": Variational,
    "importance_weighted": ImportanceWeighted,
    "vector_quantised": VectorQuantised,
}


def code(net):
    """The described net's code.

    Raises:
      Refused: it is not written here.
    """
    return protocol.pick(CODES, "code", net["code"]["name"])(net)
