"""A worker that trains a described net in PyTorch: ``python pytorch.py eager|compile``.

As a good user would write it for a data set that fits in memory: the whole of it one
uint8 tensor, batches by index and no DataLoader, Adam fused into one pass. (Of what was tried on a
CPU, uint8 rows were gathered faster than float32 ones, topk along the batch faster than kthvalue or a
transposed topk, and fused Adam two to six times faster than the others.) ``compile`` puts
``torch.compile`` around scaling, forward pass and loss; the backward pass comes with it.
"""

import sys
import time

import numpy as np
import protocol
import torch
from torch import nn
from torch.nn import functional as F

ACTIVATIONS = {"linear": lambda x: x, "relu": F.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "elu": F.elu}
ACTIVATIONS |= {"gelu": lambda x: F.gelu(x, approximate="tanh"), "softplus": F.softplus, "silu": F.silu}
INITS = {
    "glorot_uniform": lambda w, std: nn.init.xavier_uniform_(w),
    "glorot_normal": lambda w, std: nn.init.xavier_normal_(w),
    "he_uniform": lambda w, std: nn.init.kaiming_uniform_(w, nonlinearity="relu"),
    "he_normal": lambda w, std: nn.init.kaiming_normal_(w, nonlinearity="relu"),
    "orthogonal": lambda w, std: nn.init.orthogonal_(w),
    "normal": lambda w, std: nn.init.normal_(w, std=std),
}
LIKELIHOODS = {
    "bernoulli": lambda output, x: F.binary_cross_entropy_with_logits(output, x, reduction="sum") / len(x),
    "squared_error": lambda output, x: F.mse_loss(output, x, reduction="sum") / len(x),
}


class Layer(nn.Module):
    """A dense layer, or the adjoint of an encoder's with a bias of its own."""

    def __init__(self, layer, encoder):
        super().__init__()
        self.act = protocol.pick(ACTIVATIONS, "activation", layer["activation"])
        self.bias = nn.Parameter(torch.full((layer["outputs"],), layer["bias_init"]))
        self.adjoint = "adjoint_of" in layer
        if self.adjoint:
            self.weight = encoder[layer["adjoint_of"]].weight
        else:
            self.weight = nn.Parameter(torch.empty(layer["outputs"], layer["inputs"]))
            protocol.pick(INITS, "kernel_init", layer["kernel_init"])(self.weight, layer["init_std"])

    def forward(self, x):
        return self.act(F.linear(x, self.weight.t() if self.adjoint else self.weight, self.bias))


class Autoencoder(nn.Module):
    """The described net; its call is the loss of a raw batch [b, pixels]."""

    def __init__(self, net):
        super().__init__()
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        for part, layers in ((self.encoder, net["encoder"]), (self.decoder, net["decoder"])):
            for layer in layers:
                part.append(Layer(layer, self.encoder))
        self.code = {"deterministic": lambda z: z, "lifetime": self.winners}[net["code"]["name"]]
        self.keep = max(1, round(net["code"].get("rate", 0) * net["batch"]))
        self.likelihood = protocol.pick(LIKELIHOODS, "likelihood", net["likelihood"])

    def winners(self, z):
        """Each unit's top activations over the batch: those above the (k+1)-th largest."""
        with torch.no_grad():
            border = torch.topk(z, min(self.keep + 1, len(z)), dim=0).values[-1]
        return torch.where(z > border, z, 0.0)

    def forward(self, raw):
        x = raw if raw.is_floating_point() else raw.float().mul(1 / 255)
        z = x
        for layer in self.encoder:
            z = layer(z)
        output = self.code(z)
        for layer in self.decoder:
            output = layer(output)
        return self.likelihood(output, x)


class Training:
    """A net in training."""

    def __init__(self, compiled):
        self.compiled = compiled

    def prepare(self, net, images, threads):
        """Build, compile, and take the first step."""
        torch.set_num_threads(threads)
        torch.manual_seed(net["seed"])
        raw = torch.from_numpy(np.load(images))
        self.x = raw.reshape(len(raw), -1)
        self.batch, self.rows = net["batch"], []
        model, adam = Autoencoder(net), net["optim"]
        self.loss = torch.compile(model) if self.compiled else model
        betas, rate = (adam["b1"], adam["b2"]), adam["learning_rate"]
        self.adam = torch.optim.Adam(model.parameters(), lr=rate, betas=betas, eps=adam["eps"], fused=True)
        self.train(1)
        how = "torch.compile of scaling, forward pass and loss, " if self.compiled else ""
        how += f"{str(raw.dtype)[6:]} tensor, index batches, fused Adam"
        return {"versions": {"torch": torch.__version__}, "how": how}

    def next_rows(self):
        """The rows of the next batch; a new permutation when an epoch is used up."""
        if not self.rows:
            full = len(self.x) // self.batch * self.batch
            self.rows = list(torch.randperm(len(self.x))[:full].split(self.batch))
        return self.rows.pop()

    def train(self, steps):
        """Take steps: their seconds, and the mean of their losses."""
        total = torch.zeros(())
        began = time.perf_counter()
        for _ in range(steps):
            loss = self.loss(self.x.index_select(0, self.next_rows()))
            loss.backward()
            self.adam.step()
            self.adam.zero_grad()
            total += loss.detach()
        mean = float(total) / steps
        return {"seconds": time.perf_counter() - began, "loss": mean}


if __name__ == "__main__":
    training = Training(compiled=sys.argv[1] == "compile")
    protocol.serve({"prepare": training.prepare, "train": training.train})
