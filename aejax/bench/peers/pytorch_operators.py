"""Operators by themselves, forward and backward; ``aejax/bench/operators.py`` says what they are."""

import time
from itertools import cycle

import protocol
import pytorch_codes
import pytorch_nets
import torch
from pytorch_training import compiled, memory, set_up
from torch.nn import functional as F


def maps(job, channels, device):
    """A batch of maps [b, c, h, w] in ``channels_last``, that wants a gradient."""
    x = torch.randn(job["batch"], channels, *job["size"], device=device)
    return x.to(memory_format=torch.channels_last).requires_grad_()


def filters(job, device, *channels):
    """Filters, likewise."""
    kernel = torch.randn(*channels, *job["kernel"], device=device) * 0.1
    return kernel.to(memory_format=torch.channels_last).requires_grad_()


def conv(job, device):
    """A convolution to ⌈size / stride⌉."""
    sizes = [-(-n // s) for n, s in zip(job["size"], job["strides"], strict=True)]
    pads = [pytorch_nets.convolution_pad(*axis) for axis in _axes(job, sizes)]
    inputs = maps(job, job["inputs"], device), filters(job, device, job["outputs"], job["inputs"])
    return lambda x, kernel: F.conv2d(x, kernel, stride=job["strides"], padding=pads), inputs


def conv_transpose(job, device):
    """A transposed convolution to size · stride."""
    sizes = [n * s for n, s in zip(job["size"], job["strides"], strict=True)]
    pads, more = zip(*(pytorch_nets.transposed_pads(*axis) for axis in _axes(job, sizes)), strict=True)
    inputs = maps(job, job["inputs"], device), filters(job, device, job["inputs"], job["outputs"])
    given = {"stride": job["strides"], "padding": pads, "output_padding": more}
    return lambda x, kernel: F.conv_transpose2d(x, kernel, **given), inputs


def _axes(job, sizes):
    return zip(job["size"], sizes, job["kernel"], job["strides"], strict=True)


def dense(job, device):
    """A product with a kernel."""
    x = torch.randn(job["batch"], job["inputs"], device=device, requires_grad=True)
    kernel = torch.randn(job["outputs"], job["inputs"], device=device, requires_grad=True)
    return F.linear, (x, kernel)


def pool(call, **given):
    """The builder of a pooling."""
    return lambda job, device: (
        lambda x: call(x, job["window"], ceil_mode=True, **given),
        (maps(job, job["channels"], device),),
    )


def resize(mode):
    """The builder of an up-sampling."""
    return lambda job, device: (
        lambda x: F.interpolate(x, size=tuple(job["to"]), mode=mode),
        (maps(job, job["channels"], device),),
    )


DIFFERENTIATED = {
    "conv": conv,
    "conv_transpose": conv_transpose,
    "dense": dense,
    "max_pool": pool(F.max_pool2d),
    "average_pool": pool(F.avg_pool2d, count_include_pad=False),
    "nearest": resize("nearest-exact"),
    "bilinear": resize("bilinear"),
}


def forward_and_backward(job, device, wrap):
    """The operator and its gradients for all of its inputs."""
    call, inputs = DIFFERENTIATED[job["op"]](job, device)
    call = wrap(call)
    slope = torch.randn_like(call(*inputs))
    return lambda: torch.autograd.grad(call(*inputs), inputs, slope)


def winners(job, device, wrap):
    """The winners of each unit over the batch, and zeros; forward alone."""
    keep = max(1, round(job["rate"] * job["batch"]))
    z = torch.randn(job["batch"], job["units"], device=device).relu()
    call = wrap(lambda z: pytorch_codes.winners(z, keep))
    return lambda: call(z)


def top_k(job, device, wrap):
    """The k largest units of each example, and zeros; forward alone."""
    h = torch.randn(job["batch"], job["units"], device=device)
    call = wrap(lambda h: pytorch_codes.largest(h, job["k"]))
    return lambda: call(h)


def adam(job, device, wrap):
    """One fused update."""
    parameter = torch.zeros(job["parameters"], device=device, requires_grad=True)
    parameter.grad = torch.randn_like(parameter)
    return torch.optim.Adam([parameter], fused=True).step


def gather(job, device, wrap):
    """Random rows of uint8, as float32 in [0, 1]."""
    images = torch.randint(0, 256, (job["images"], job["pixels"]), dtype=torch.uint8, device=device)
    rows = cycle(torch.randperm(job["images"], device=device).split(job["batch"])[: job["images"] // job["batch"]])
    scaled = wrap(lambda images, rows: images.index_select(0, rows).float().mul(1 / 255))
    return lambda: scaled(images, next(rows))


BUILDERS = dict.fromkeys(DIFFERENTIATED, forward_and_backward)
BUILDERS |= {"winners": winners, "top_k": top_k, "adam": adam, "gather": gather}


class Operators:
    """An operator, again and again."""

    def __init__(self, compiled):
        self.compiled = compiled

    def operator(self, operator, threads, device):
        """Build and warm it."""
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        torch.compiler.reset()  # or it would take the sizes of another operator for ones that vary
        self.device = set_up(device)
        wrap = (lambda call: compiled(call, self.device)) if self.compiled else lambda call: call
        self.call = protocol.pick(BUILDERS, "operator", operator["op"])(operator, self.device, wrap)
        self.repeat(3)
        how = "fused" if operator["op"] == "adam" else "torch.compile" if self.compiled else "eager"
        return {"versions": {"torch": torch.__version__}, "how": how, **memory(self.device)}

    def repeat(self, count):
        """Run it so many times."""
        began = time.perf_counter()
        for _ in range(count):
            torch.compiler.cudagraph_mark_step_begin()
            self.call()
        if self.device == "cuda":
            torch.cuda.synchronize()
        return {"seconds": time.perf_counter() - began, **memory(self.device)}
