"""A described net in training."""

import time

import numpy as np
import pytorch_models
import torch


class Training:
    """A net in training; ``compiled`` puts ``torch.compile`` around everything from raw batch to loss."""

    def __init__(self, compiled):
        self.compiled = compiled

    def prepare(self, net, images, labels, mean, threads, device):
        """Build, compile, and take the first step."""
        self.build(net, images, labels, mean, threads, device)
        self.train(1)
        return self.told()

    def build(self, net, images, labels, mean, threads, device):
        """The net, the data and the optimiser."""
        torch.set_num_threads(threads)
        torch.manual_seed(net["seed"])
        self.device = set_up(device)
        raw = torch.from_numpy(np.load(images))
        means = None if mean is None else torch.from_numpy(np.load(mean))
        model = pytorch_models.model(net, means, self.device)
        columns = [raw.reshape(len(raw), -1)]
        if net["classes"]:
            columns.append(torch.from_numpy(np.load(labels)).long())
        elif hasattr(model.code, "noise_of"):
            columns.append(model.code.noise_of(len(raw))[alike(raw)])
        self.how = self.worked(net, raw)
        self.columns = [column.to(self.device) for column in columns]
        self.batch, self.rows = net["batch"], []
        model = model.to(self.device)
        self.loss = compiled(model, self.device) if self.compiled else model
        adam = net["optim"]
        parameters, self.decay = pytorch_models.groups(model, net)
        given = {"lr": adam["learning_rate"], "betas": (adam["b1"], adam["b2"]), "eps": adam["eps"]}
        self.adam = torch.optim.Adam(parameters, **given, fused=True)
        self.parameters = sum(p.numel() for p in model.parameters())

    def told(self):
        """How it worked, and what it learned."""
        versions = {"torch": torch.__version__}
        return {"versions": versions, "how": self.how, "parameters": self.parameters, **memory(self.device)}

    def worked(self, net, raw):
        """In a few words."""
        how = "torch.compile of preparation, forward pass and loss, " if self.compiled else ""
        how += f"{str(raw.dtype)[6:]} tensor, index batches, fused Adam"
        how += ", channels_last" if any("conv" in layer["kind"] for layer in net["encoder"]) else ""
        how += ", bfloat16 autocast" if net["precision"] == "bfloat16" else ""
        return how + (", CUDA graphs" if self.compiled and self.device == "cuda" else "")

    def next_rows(self):
        """The rows of the next batch; a new permutation when an epoch is used up."""
        if not self.rows:
            examples = len(self.columns[0])
            order = torch.randperm(examples, device=self.device)
            self.rows = list(order[: examples // self.batch * self.batch].split(self.batch))
        return self.rows.pop()

    def train(self, steps):
        """Take steps: their seconds, and the mean of their losses."""
        total = torch.zeros((), device=self.device)
        began = time.perf_counter()
        for _ in range(steps):
            rows = self.next_rows()
            torch.compiler.cudagraph_mark_step_begin()
            loss = self.loss(*(column.index_select(0, rows) for column in self.columns))
            loss.backward()
            self.adam.step()
            self.adam.zero_grad()
            total += loss.detach()
        mean = float(total) / steps  # waits for the device
        seconds = time.perf_counter() - began
        return {"seconds": seconds, "loss": mean + self.decay(), **memory(self.device)}

    def epochs(self, count):
        """Train so many epochs: the mean loss of the last."""
        for _ in range(count):
            last = self.train(len(self.columns[0]) // self.batch)
        return last["loss"]


def memory(device):
    """On a GPU the most that was allocated there, as part of a reply; on a CPU nothing, for the protocol knows."""
    return {"memory": torch.cuda.max_memory_allocated(), "memory_of": "device"} if device == "cuda" else {}


def alike(raw):
    """For each image the place of the first one equal to it: small sets are repeated, and noise is fixed by image."""
    first = {}
    return torch.tensor([first.setdefault(image.tobytes(), place) for place, image in enumerate(raw.numpy())])


def set_up(device):
    """The name that torch has for a device, "cpu" or "gpu"; float32 is float32 on a GPU too, as in aejax."""
    if device == "cpu":
        return "cpu"
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    return "cuda"


def compiled(call, device):
    """``torch.compile`` of it; on a GPU with CUDA graphs, without which small nets wait for the launches."""
    return torch.compile(call, mode="reduce-overhead" if device == "cuda" else None)
