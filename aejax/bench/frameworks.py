"""The rows of the table: each framework's worker, and the environment that it runs in."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PEERS = Path(__file__).parent / "peers"
OURS = "aejax"

NET_SCRIPTS = {
    "PyTorch eager": ("pytorch.py", "eager"),
    "torch.compile": ("pytorch.py", "compile"),
    "Keras fit": ("keras_fit.py",),
    "Keras fit, 32 steps/call": ("keras_fit.py", "32"),
    "pythae": ("pythae_trainer.py",),
}
OPERATOR_SCRIPTS = {
    "PyTorch eager": ("pytorch.py", "eager"),
    "torch.compile": ("pytorch.py", "compile"),
    "Keras": ("keras_fit.py",),
}
SWEEP_SCRIPTS = {name: NET_SCRIPTS[name] for name in ("Keras fit", "PyTorch eager")}

# On a CPU no framework is to see an accelerator that another does not; on a GPU none is to take it all for itself.
ENVIRONMENTS: dict[str, Mapping[str, str]] = {
    "cpu": {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": ""},
    "gpu": {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"},
}


@dataclass(frozen=True)
class Framework:
    """A row of the table: its name, the command of its worker, and the environment it runs in."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def ours(device: str | None) -> Framework:
    """aejax, on the device: "cpu", "gpu", or None for whichever JAX takes by itself. Nothing it compiled is kept."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {**ENVIRONMENTS.get(device, {}), "PYTHONPATH": path, "JAX_ENABLE_COMPILATION_CACHE": "false"}
    return Framework(OURS, (sys.executable, "-m", "aejax.bench.ours"), environment)


def peers(scripts: Mapping[str, tuple[str, ...]], python: str, device: str) -> list[Framework]:
    """The peers' rows, run by that interpreter."""
    environment = {**ENVIRONMENTS[device], "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    return [Framework(name, (python, str(PEERS / file), *rest), environment) for name, (file, *rest) in scripts.items()]


def suits(name: str, description: Mapping) -> bool:
    """Whether a framework has a row for the net: pythae for those autoencoders that it knows, the others for any."""
    if name != "pythae":
        return True
    known = ("variational", "importance_weighted", "vector_quantised")
    penalties = description["penalties"].keys()
    regularised = "l2" in penalties and "decoder_weight_decay" in penalties
    return description["code"]["name"] in known or bool("mmd_imq" in penalties or regularised)
