"""Operators by themselves: what the layers of the shipped configs are made of, and the arithmetic of each.

An operator is a dict with ``op`` and sizes, as workers read it: convolutions, dense layers, pooling and up-sampling
forward and backward, with the gradients of input and kernel; ``adam`` one update of an array of ``parameters``;
``winners`` the top ``rate`` of each unit over the batch and ``top_k`` the ``k`` largest of each example, with zeros
elsewhere, forward alone; ``gather`` a batch of random rows of uint8 ``images`` as floats.
"""

import math
from collections.abc import Mapping
from typing import Any

Operator = dict[str, Any]


def _conv(op: str, batch: int, inputs: int, outputs: int, kernel: int | tuple, stride: int | tuple, size: int | tuple):
    kernel, strides, size = (list(v) if isinstance(v, tuple) else [v, v] for v in (kernel, stride, size))
    return {
        "op": op, "inputs": inputs, "outputs": outputs, "kernel": kernel, "strides": strides, "size": size,
        "batch": batch,
    }  # fmt: skip


OPERATORS: tuple[Operator, ...] = (
    # conv, 28-14-7 by strides and back
    _conv("conv", 64, 1, 16, 3, 2, 28),
    _conv("conv", 64, 16, 32, 3, 2, 14),
    {"op": "dense", "inputs": 1568, "outputs": 10, "batch": 64},
    {"op": "dense", "inputs": 10, "outputs": 1568, "batch": 64},
    _conv("conv_transpose", 64, 32, 32, 3, 2, 7),
    _conv("conv_transpose", 64, 32, 16, 3, 2, 14),
    _conv("conv", 64, 16, 1, 3, 1, 28),
    # allconv, 16 filters a layer
    _conv("conv", 64, 16, 16, 3, 1, 14),
    _conv("conv_transpose", 64, 16, 16, 3, 2, 7),
    _conv("conv_transpose", 64, 16, 1, 3, 2, 14),
    # conv_wta with 16 maps, and with 64
    _conv("conv", 100, 1, 16, 5, 1, 28),
    _conv("conv", 100, 16, 16, 5, 1, 28),
    _conv("conv_transpose", 100, 16, 1, 11, 1, 28),
    _conv("conv", 100, 1, 64, 5, 1, 28),
    _conv("conv", 100, 64, 64, 5, 1, 28),
    _conv("conv_transpose", 100, 64, 1, 11, 1, 28),
    # cifar_denoising, vqvae, audio
    _conv("conv", 64, 3, 32, 3, 2, 32),
    _conv("conv", 64, 32, 64, 3, 2, 16),
    _conv("conv_transpose", 64, 64, 32, 3, 2, 16),
    _conv("conv", 64, 32, 3, 3, 1, 32),
    _conv("conv", 100, 32, 16, 3, 2, 14),
    _conv("conv", 32, 32, 64, (1, 5), (1, 2), (1, 100)),
    _conv("conv_transpose", 32, 64, 64, (1, 5), (1, 2), (1, 50)),
    # conv:pooling, and its kin
    {"op": "max_pool", "window": [2, 2], "channels": 16, "size": [28, 28], "batch": 64},
    {"op": "average_pool", "window": [2, 2], "channels": 16, "size": [28, 28], "batch": 64},
    {"op": "nearest", "channels": 32, "size": [14, 14], "to": [28, 28], "batch": 64},
    {"op": "bilinear", "channels": 32, "size": [14, 14], "to": [28, 28], "batch": 64},
    # the dense nets
    {"op": "dense", "inputs": 784, "outputs": 128, "batch": 32},
    {"op": "dense", "inputs": 784, "outputs": 2000, "batch": 100},
    {"op": "adam", "parameters": 3_138_784},
    {"op": "adam", "parameters": 51_755},
    {"op": "winners", "units": 2000, "batch": 100, "rate": 0.05},
    {"op": "top_k", "units": 2048, "batch": 100, "k": 32},
    {"op": "gather", "images": 60_000, "pixels": 784, "batch": 100},
)


def name(operator: Mapping) -> str:
    """``conv 16-32, 3x3, by 2, of 14x14, batch 64``: what it is, in so many words; another for each of the list."""
    told = {
        "inputs": lambda v: f"{v}-{operator['outputs']}",
        "kernel": lambda v: f"{v[0]}x{v[1]}",
        "strides": lambda v: f"by {max(v)}" if max(v) > 1 else "",
        "window": lambda v: f"{v[0]}x{v[1]}",
        "channels": lambda v: f"{v} maps",
        "size": lambda v: f"of {v[0]}x{v[1]}",
        "to": lambda v: f"to {v[0]}x{v[1]}",
        "units": lambda v: f"{v} units",
        "rate": lambda v: f"{v:.0%}",
        "k": lambda v: f"k {v}",
        "parameters": lambda v: f"{v:,} parameters",
        "images": lambda v: f"{v:,} images",
        "pixels": lambda v: f"{v} pixels",
        "batch": lambda v: f"batch {v}",
    }
    words = [say(operator[key]) for key, say in told.items() if key in operator]
    return f"{operator['op']} {', '.join(word for word in words if word)}"


def arithmetic(operator: Mapping) -> int:
    """Floating-point operations of its three products: forward, and the gradients of kernel and input; 0 of others.

    A convolution has a product ``2 · taps · inputs · outputs`` at each place of its smaller maps, as in
    ``layers.operations``.
    """
    if "outputs" not in operator:
        return 0
    places = operator.get("size", ())
    if operator["op"] == "conv":
        places = [-(-n // s) for n, s in zip(places, operator["strides"], strict=True)]
    taps = math.prod(operator.get("kernel", ()))
    return 3 * 2 * operator["batch"] * math.prod(places) * taps * operator["inputs"] * operator["outputs"]
