"""A described net as one module, whose call is the loss of a raw batch."""

import contextlib
import math

import protocol
import pytorch_codes
import pytorch_losses
import pytorch_nets
import torch
from torch import nn
from torch.nn import functional as F

DECAYED = ("weight_decay", "decoder_weight_decay")  # Adam's own: its gradient is the same
ELSEWHERE = ("kl", "commitment", "aux_k", *DECAYED)  # what codes report, and what models and Adam do themselves


class Model(nn.Module):
    """Raw images to what the encoder reads, and the encoder.

    In bfloat16 encoder and decoder run under autocast; the code and the loss are in float32.
    """

    def __init__(self, net, mean, device):
        super().__init__()
        self.encoder, self.decoder = pytorch_nets.stacks(net)
        shape = () if pytorch_nets.on_vectors(net) else tuple(net["shape"])
        self.shape = shape
        self.register_buffer("mean", None if mean is None else mean.reshape(1, -1))
        self.binarised = {"none": False, "dynamic": True}[net["prepare"]["binarise"]]
        self.corruption = {key: value for key, value in net["corruption"].items() if key != "name"}
        self.corrupt = protocol.pick(pytorch_losses.CORRUPTIONS, "corruption", net["corruption"]["name"])
        self.half = net["precision"] == "bfloat16"
        self.device = device

    def prepared(self, raw):
        """What the loss compares with: raw [b, pixels] as [b, pixels], or as maps in ``channels_last``."""
        x = raw if raw.is_floating_point() else raw.float().mul(1 / 255)
        if self.mean is not None:
            x = x - self.mean
        if self.binarised:
            x = (torch.rand_like(x) < x).float()  # a third of the time of torch.bernoulli
        return x.view(-1, *self.shape).permute(0, 3, 1, 2) if self.shape else x

    def precision(self):
        """The context that the layers run in."""
        return torch.autocast(self.device, torch.bfloat16) if self.half else contextlib.nullcontext()

    def encoded(self, x):
        """The features of x, corrupted."""
        x = self.corrupt(x, **self.corruption)
        with self.precision():
            return self.encoder(x).float()

    def decoded(self, z):
        """What the likelihood reads."""
        with self.precision():
            return self.decoder(z).float()


class Autoencoder(Model):
    """The described autoencoder."""

    def __init__(self, net, mean, device):
        super().__init__(net, mean, device)
        self.code = pytorch_codes.code(net)
        self.likelihood = protocol.pick(pytorch_losses.LIKELIHOODS, "likelihood", net["likelihood"]["name"])
        self.weights = {name: numbers["weight"] for name, numbers in net["penalties"].items()}
        self.penalties = []
        for name, numbers in net["penalties"].items():
            if name not in ELSEWHERE:
                numbers = {key: value for key, value in numbers.items() if key != "weight"}
                call = protocol.pick(pytorch_losses.PENALTIES, "penalty", name)
                self.penalties.append((self.weights[name], call, numbers))
        kernels = pytorch_nets.kernels(self.encoder)
        single = len(kernels) == 1 and net["code"].get("activation") == "sigmoid"
        if "contractive" in self.weights and not single:
            raise protocol.Refused("penalty='contractive' is not written for it but of one sigmoid layer")
        self.single = single

    def forward(self, raw, *beside):
        x = self.prepared(raw)
        coded = self.code(self.encoded(x), *beside)
        loss = self.fit(self.decoded(coded.z), x, coded)
        seen = pytorch_losses.Seen(coded.z, self.encoder[0].weight if self.single else None)
        for weight, penalty, numbers in self.penalties:
            loss = loss + weight * penalty(seen, **numbers)
        return loss

    def fit(self, output, x, coded):
        """The likelihood of the samples, and what the code reports."""
        samples = len(output) // len(x)
        if samples > 1:
            x = x.repeat(samples, *[1] * (x.dim() - 1))
        loss = self.likelihood(output, x, "sum") / len(output)
        for name, value in coded.reported.items():
            loss = loss + self.weights[name] * value
        return loss


class ImportanceWeighted(Autoencoder):
    """The bound of several samples together."""

    def fit(self, output, x, coded):
        kl = coded.reported["kl"]
        x = x[None].expand(len(kl), *x.shape)
        terms = self.likelihood(output.view(x.shape), x, "none")
        losses = terms.flatten(2).sum(2) + self.weights["kl"] * kl
        return (math.log(len(kl)) - torch.logsumexp(-losses, 0)).mean()


class Auxiliary(Autoencoder):
    """A dictionary whose dead units reconstruct the rest: the second half of the output is theirs."""

    def fit(self, output, x, coded):
        if "aux_k" not in self.weights:
            return super().fit(output, x, coded)
        output, made = output.split(len(x))
        residual = (x - output).detach()
        auxiliary = F.mse_loss(made - self.decoder[0].bias, residual, reduction="sum") / len(x)
        return self.likelihood(output, x, "sum") / len(x) + self.weights["aux_k"] * coded.dead * auxiliary


class Classifier(Model):
    """The encoder with its head; labels come beside."""

    def forward(self, raw, labels):
        return F.cross_entropy(self.encoded(self.prepared(raw)), labels)


BY_CODE = {"importance_weighted": ImportanceWeighted, "top_k": Auxiliary}


def model(net, mean, device):
    """The described net.

    Raises:
      Refused: something of it is not written here.
    """
    if net["model"] == "classifier":
        return Classifier(net, mean, device)
    return BY_CODE.get(net["code"]["name"], Autoencoder)(net, mean, device)


def groups(built, net):
    """The parameters for Adam, each with the decay that the described penalties on weights come to; and how much
    that adds to the loss, as a function."""
    ends = (built.encoder, built.decoder)
    decay = {}
    for name, parts in zip(DECAYED, (ends, ends[1:]), strict=True):
        weight = net["penalties"].get(name, {"weight": 0})["weight"]
        for kernel in (kernel for part in parts for kernel in pytorch_nets.kernels(part) if weight):
            decay[kernel] = decay.get(kernel, 0) + weight
    rest = [p for p in built.parameters() if p not in decay]
    made = [{"params": rest}, *({"params": [kernel], "weight_decay": value} for kernel, value in decay.items())]

    def cost():
        with torch.no_grad():
            return sum(0.5 * value * float(kernel.square().sum()) for kernel, value in decay.items())

    return made, cost
