"""Greedy layer-wise training: a chain of ordinary runs, one a layer, then the stack that they make.

Layer L is an autoencoder of one hidden layer, trained on the clean codes of the
layers below; its corruption acts on its own input, not on an input corrupted
already (Vincent et al., "Stacked Denoising Autoencoders", JMLR 11, 2010, section
3.5). For an encoder of widths (n₁, n₂) and a code of n₃ the layers are
n₀-n₁-n₀, n₁-n₂-n₁ and n₂-n₃-n₂, in ``<workdir>/layer_1`` … ``layer_3``: runs like any
other, resumed and analysed like any other. The stack starts from their weights
and is trained as a whole (fine-tuned) in the workdir itself; with
``train.epochs=0`` it stays as they made it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict, FrozenConfigDict

from aejax import losses, parts
from aejax.errors import UserError
from configs.base import base


def check(config: Mapping) -> None:
    """Refuse a stack that cannot be made of its layers.

    Raises:
      UserError: naming the key and what is accepted.
    """
    if not config["greedy"]["epochs"]:
        return
    if config["model"] != "autoencoder" or config["encoder"]["name"] != "mlp":
        raise UserError("config.greedy.epochs needs model='autoencoder' and encoder.name='mlp'; accepted: 0, or these")
    decoder, widths = config["decoder"], tuple(config["encoder"]["widths"])
    if decoder["name"] not in ("tied", "mlp") or decoder["name"] == "mlp" and tuple(decoder["widths"]) != widths[::-1]:
        raise UserError(
            "config.greedy.epochs needs a decoder that mirrors the encoder; accepted: decoder.name='tied', or 'mlp' "
            f"with decoder.widths={widths[::-1]}"
        )
    if config["encoder"]["norm"] != "none" or decoder["name"] == "mlp" and decoder["norm"] != "none":
        raise UserError(
            "config.greedy.epochs stacks plain layers; accepted: encoder.norm='none' and decoder.norm='none'"
        )
    if decoder["dropout"] and decoder["name"] == "mlp" or config["encoder"]["dropout"]:
        raise UserError(
            "config.greedy.epochs stacks plain layers; accepted: encoder.dropout=0.0 and decoder.dropout=0.0"
        )
    parts.find(parts.modules(losses), "greedy.likelihood", config["greedy"]["likelihood"])
    hidden = config["encoder"]["activation"]
    if widths and config["greedy"]["likelihood"] == "bernoulli" and hidden not in ("sigmoid", "hard_sigmoid"):
        raise UserError(
            f"config.greedy.likelihood='bernoulli' needs codes in [0, 1], which encoder.activation={hidden!r} does not "
            "give; accepted: encoder.activation='sigmoid', or greedy.likelihood='squared_error'"
        )
    act = decoder["activation"]
    if widths and config["greedy"]["likelihood"] == "bernoulli" and act != "sigmoid":
        raise UserError(
            f"config.greedy.likelihood='bernoulli' ends a layer in sigmoids, not in decoder.activation={act!r}; "
            "accepted: decoder.activation='sigmoid', or greedy.likelihood='squared_error'"
        )
    if config["code"]["name"] != "deterministic":
        raise UserError("config.greedy.epochs needs code.name='deterministic'; accepted: that, or greedy.epochs=0")


def layers(config: FrozenConfigDict, workdir: Path) -> list[tuple[Path, FrozenConfigDict]]:
    """The workdir and config of each layer's run, from the first to the code."""
    sizes = (*config.encoder.widths, config.code.size)
    runs = []
    for number, size in enumerate(sizes, start=1):
        c = ConfigDict(config.to_dict())
        c.name = f"{config.name}_layer_{number}"
        c.encoder.widths = c.decoder.widths = ()
        c.code.size = size
        c.code.activation = config.code.activation if number == len(sizes) else config.encoder.activation
        c.train.epochs, c.greedy.epochs = config.greedy.epochs, 0
        c.start.workdir, c.optim.freeze = "", ()
        if number > 1:
            c.data.name = f"codes:{runs[-1][0].absolute()}"
            c.data.whiten = c.data.binarise = "none"
            c.data.labels = c.data.size = c.data.channels = 0
            c.data.host_bytes = base().data.host_bytes  # codes are in memory
            c.data.labels_seed = c.data.folds = c.data.fold = c.data.resample = 0  # as the layer below had them
            c.loss.likelihood = config.greedy.likelihood
            c.log.figure_epochs = ()  # codes are no pictures
        runs.append((workdir / f"layer_{number}", FrozenConfigDict(c)))
    return runs


def train(
    config: FrozenConfigDict, workdir: Path, run: Callable[[FrozenConfigDict, Path], int], say: Callable[[str], None]
) -> int:
    """Train the layers that are not finished, in turn: 0, or the status of the run that was stopped.

    Args:
      config: of the stack.
      workdir: of the stack.
      run: trains a layer's config in a workdir.
      say: tells which layer it is.
    """
    for folder, layer in layers(config, workdir):
        say(f"{folder}: layer of {layer.code.size} units")
        if status := run(layer, folder):
            return status
    return 0


def assembled(config: FrozenConfigDict, workdir: Path, own: Mapping[str, Any]) -> dict[str, Any]:
    """The stack's variables, with the layers' weights in their places.

    Encoder layer i is that of run i; the decoder's layer L + 1 − i (of which a tied one has the bias alone) is run i's.
    """
    from aejax import run  # here, since a run is loaded by what trains one

    params = {part: dict(own["params"].get(part, {})) for part in own["params"]}
    count = len(layers(config, workdir))
    for i, (folder, _) in enumerate(layers(config, workdir)):
        trained = run.load(folder).variables["params"]
        params["encoder"][f"layers_{i}"] = trained["encoder"]["layers_0"]
        for name in ("layers", "bias"):
            if f"{name}_0" in trained["decoder"]:
                params["decoder"][f"{name}_{count - 1 - i}"] = trained["decoder"][f"{name}_0"]
    return {**own, "params": params}
