"""A described net's layers as PyTorch modules: maps [b, c, h, w] in memory as ``channels_last``, vectors [b, d].

Of what was tried on a CPU, convolutions of the shipped nets took 1.04 to 2.1 times as long on
``contiguous_format``, and ``ConvTranspose2d`` of stride 1 was quicker than the equivalent ``Conv2d``.
"""

import math

import protocol
import torch
from torch import nn
from torch.nn import functional as F

ACTIVATIONS = {name: getattr(F, name) for name in ("celu", "elu", "leaky_relu", "mish", "relu", "relu6", "selu")}
ACTIVATIONS |= {"softplus": F.softplus, "silu": F.silu, "swish": F.silu, "soft_sign": F.softsign}
ACTIVATIONS |= {"linear": lambda x: x, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "hard_tanh": F.hardtanh}
ACTIVATIONS |= {"gelu": lambda x: F.gelu(x, approximate="tanh"), "hard_sigmoid": F.hardsigmoid}
TRUNCATED = 0.87962566103423978  # standard deviation of a standard normal cut off at 2


def uniform(weight, variance):
    """Of that variance, around 0."""
    limit = math.sqrt(3 * variance)
    nn.init.uniform_(weight, -limit, limit)


def truncated(weight, variance):
    """Normal, of that variance once cut off at two standard deviations."""
    std = math.sqrt(variance) / TRUNCATED
    nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)


INITS = {
    "glorot_uniform": lambda w, i, o, std: uniform(w, 2 / (i + o)),
    "glorot_normal": lambda w, i, o, std: truncated(w, 2 / (i + o)),
    "he_uniform": lambda w, i, o, std: uniform(w, 2 / i),
    "he_normal": lambda w, i, o, std: truncated(w, 2 / i),
    "lecun_uniform": lambda w, i, o, std: uniform(w, 1 / i),
    "lecun_normal": lambda w, i, o, std: truncated(w, 1 / i),
    "orthogonal": lambda w, i, o, std: nn.init.orthogonal_(w),
    "normal": lambda w, i, o, std: nn.init.normal_(w, std=std),
    "truncated_normal": lambda w, i, o, std: nn.init.trunc_normal_(w, std=std, a=-2 * std, b=2 * std),
}


def start(module, layer):
    """The module, its weights drawn as the layer's description says."""
    taps = math.prod(layer.get("kernel", ()))
    init = protocol.pick(INITS, "kernel_init", layer["kernel_init"])
    init(module.weight, layer["inputs"] * taps, layer["outputs"] * taps, layer["init_std"])
    if module.bias is not None:
        nn.init.constant_(module.bias, layer["bias_init"])
    return module


class Adjoint(nn.Module):
    """The transpose of a dense layer's kernel, with a bias of its own."""

    def __init__(self, dense, bias_init):
        super().__init__()
        self.dense = dense
        self.bias = nn.Parameter(torch.full((dense.in_features,), float(bias_init)))

    def forward(self, x):
        return F.linear(x, self.dense.weight.t(), self.bias)


class Dictionary(nn.Module):
    """``z D + b``, the rows of D of unit norm; D starts from the encoder's weights."""

    def __init__(self, dense, bias_init):
        super().__init__()
        self.weight = nn.Parameter(dense.weight.detach().clone())
        self.bias = nn.Parameter(torch.full((dense.in_features,), float(bias_init)))

    def forward(self, z):
        return F.linear(z, F.normalize(self.weight).t(), self.bias)


class LayerNorm(nn.LayerNorm):
    """Over the features: the last axis of vectors, the channels of maps at each place."""

    def forward(self, x):
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class Flatten(nn.Module):
    """Maps to vectors in (h, w, c) order, which ``channels_last`` has them in already."""

    def forward(self, x):
        return x.permute(0, 2, 3, 1).flatten(1)


class Reshape(nn.Module):
    """Vectors in (h, w, c) order to maps."""

    def __init__(self, shape):
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, x):
        return x.view(-1, *self.shape).permute(0, 3, 1, 2)


class Function(nn.Module):
    """A function as a layer."""

    def __init__(self, call):
        super().__init__()
        self.call = call

    def forward(self, x):
        return self.call(x)


def dense(layer, before):
    """``nn.Linear``, or the adjoint of one of the encoder's."""
    if "adjoint_of" in layer:
        return Adjoint(before.dense[layer["adjoint_of"]], layer["bias_init"])
    made = start(nn.Linear(layer["inputs"], layer["outputs"], bias=layer["biased"]), layer)
    before.dense.append(made)
    return made


def conv(layer, before):
    """``nn.Conv2d`` with as many zeros on either side, to ⌈size / stride⌉."""
    pads = [convolution_pad(*axis) for axis in axes(layer)]
    made = nn.Conv2d(layer["inputs"], layer["outputs"], layer["kernel"], layer["strides"], pads, bias=layer["biased"])
    return start(made, layer)


def conv_transpose(layer, before):
    """``nn.ConvTranspose2d`` whose ``output_padding`` settles the size."""
    pads, more = zip(*(transposed_pads(*axis) for axis in axes(layer)), strict=True)
    given = {"stride": layer["strides"], "padding": pads, "output_padding": more, "bias": layer["biased"]}
    return start(nn.ConvTranspose2d(layer["inputs"], layer["outputs"], layer["kernel"], **given), layer)


def axes(layer):
    """(size in, size out, kernel, stride) of height and width."""
    return zip(layer["size_in"], layer["size_out"], layer["kernel"], layer["strides"], strict=True)


def convolution_pad(n, m, k, s):
    """The zeros on either side with which a convolution leads from n to m pixels.

    Raises:
      Refused: none do.
    """
    pad = max(0, -((n - k - s * (m - 1)) // 2))
    if (n + 2 * pad - k) // s + 1 != m:
        raise protocol.Refused(f"no even padding leads a kernel of {k} at stride {s} from {n} to {m} pixels")
    return pad


def transposed_pads(n, m, k, s):
    """``padding`` and ``output_padding`` with which a transposed convolution leads from n to m pixels.

    Raises:
      Refused: none do.
    """
    surplus = (n - 1) * s + k - m
    pad = max(0, -(-surplus // 2))
    if not 0 <= 2 * pad - surplus < max(s, 1):
        raise protocol.Refused(f"no even padding leads a transposed kernel of {k} at stride {s} from {n} to {m} pixels")
    return pad, 2 * pad - surplus


def norm(layer, before):
    """Batch normalisation with the batch's statistics, or layer normalisation."""
    batch = nn.BatchNorm2d if before.maps else nn.BatchNorm1d
    return protocol.pick({"batch": batch, "layer": LayerNorm}, "norm", layer["name"])(layer["features"])


LAYERS = {
    "dense": dense,
    "conv": conv,
    "conv_transpose": conv_transpose,
    "max_pool": lambda layer, before: nn.MaxPool2d(layer["window"], ceil_mode=True),
    "average_pool": lambda layer, before: nn.AvgPool2d(layer["window"], ceil_mode=True, count_include_pad=False),
    "nearest": lambda layer, before: nn.Upsample(tuple(layer["size"]), mode="nearest-exact"),
    "bilinear": lambda layer, before: nn.Upsample(tuple(layer["size"]), mode="bilinear"),
    "flatten": lambda layer, before: Flatten(),
    "reshape": lambda layer, before: Reshape(layer["shape"]),
    "norm": norm,
    "activation": lambda layer, before: Function(protocol.pick(ACTIVATIONS, "activation", layer["name"])),
    "dropout": lambda layer, before: nn.Dropout(layer["rate"]),
    "dictionary": lambda layer, before: Dictionary(before.dense[-1], layer["bias_init"]),
}
MAPS = {"conv": True, "conv_transpose": True, "reshape": True, "dense": False, "flatten": False, "dictionary": False}


class Before:
    """The encoder's dense layers, and whether what came last gives maps: what a layer may ask about those before it."""

    def __init__(self, maps):
        self.dense, self.maps = [], maps


def on_vectors(net):
    """Whether images are vectors throughout: the encoder begins by flattening them and nothing else asks for maps."""
    ends = [layer["kind"] for layer in net["decoder"][-1:]]
    return net["encoder"][0]["kind"] == "flatten" and ends in ([], ["reshape"])


def stacks(net):
    """The encoder and the decoder of the described net; a decoder of ``[]`` is the identity.

    Raises:
      Refused: a layer, an activation or an initialiser is not written here.
    """
    parts = net["encoder"], net["decoder"]
    if on_vectors(net):
        parts = net["encoder"][1:], net["decoder"][:-1]
    before, made = Before(maps=not on_vectors(net)), []
    for part in parts:
        modules = []
        for layer in part:
            modules.append(protocol.pick(LAYERS, "layer", layer["kind"])(layer, before))
            before.maps = MAPS.get(layer["kind"], before.maps)
        made.append(nn.Sequential(*modules).to(memory_format=torch.channels_last))
    return made


def kernels(part):
    """The weights of a part's layers that are no biases; an adjoint's are another's."""
    kinds = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, Dictionary)
    return [module.weight for module in part if isinstance(module, kinds)]
