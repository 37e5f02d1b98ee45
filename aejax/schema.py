"""What a config's sections name and read, and which parts go together."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aejax import codes, corruptions, losses, nets, parts
from aejax import penalties as penalty_functions
from aejax.data import binarisation, whitening
from aejax.errors import UserError


def find_parts(config: Mapping) -> dict[str, Any]:
    """The class or function that each section of a config names, by section.

    Raises:
      UserError: there is none of a name.
    """
    known = {
        "encoder": ("name", parts.modules(nets, "Encoder")),
        "decoder": ("name", parts.modules(nets, "Decoder")),
        "code": ("name", parts.modules(codes)),
        "corruption": ("name", parts.functions(corruptions)),
        "loss": ("likelihood", parts.modules(losses)),
    }
    return {s: parts.find(found, f"{s}.{key}", config[s][key]) for s, (key, found) in known.items()}


def find_transforms(data: Mapping) -> None:
    """Refuse names of data transforms that there are none of.

    Raises:
      UserError: naming the key.
    """
    parts.find(parts.functions(whitening), "data.whiten", data["whiten"])
    parts.find(parts.functions(binarisation), "data.binarise", data["binarise"])


def penalties(loss: Mapping) -> list[str]:
    """The penalties that a config's section ``loss`` gives a weight, by the names of their functions."""
    return sorted(name for name in parts.functions(penalty_functions) if loss.get(name, 0.0))


def learns(optim: Mapping) -> Callable[[str], bool]:
    """Whether a part of the model learns: it is not frozen as a whole."""
    return lambda part: part not in optim["freeze"]


def reported(code: type) -> dict[str, list[str]]:
    """The names of the penalties and the extras that a code gives, found by calling it on shapes alone."""
    made = code(size=2, parent=None)  # of no model, though it is called within one
    weight = np.ones(4, np.float32)
    numbers = {name: 1.0 for name in parts.parameters(code) if name not in ("self", "h", "train", "weight", "key")}
    numbers = {**numbers, **({"identity": np.zeros(4, np.uint32)} if "identity" in numbers else {})}
    names = {}

    def call(h):
        key = jax.random.key(0)  # within, so that nothing is computed
        coded, _ = made.init_with_output(key, h, train=False, weight=weight, key=key, **numbers)
        names.update(penalties=sorted(coded.penalties), extras=sorted(coded.extras))
        return coded.z

    for shape in ((4, made.features), (4, 2, 2, made.features)):
        try:
            jax.eval_shape(call, jax.ShapeDtypeStruct(shape, jnp.float32))
            return names
        except UserError:  # a code of maps alone
            continue
    return {"penalties": [], "extras": []}


def missing(config: Mapping, penalty: str, names: list[str]) -> str:
    """What to say where a penalty asks for ``names`` that the code does not give."""
    accepted = [name for name, code in parts.modules(codes).items() if set(names) <= set(reported(code)["extras"])]
    return (
        f"config.loss.{penalty} needs {' and '.join(names)}, which code.name={config['code']['name']!r} does not give; "
        f"accepted: loss.{penalty}=0.0, or code.name {' or '.join(accepted)}"
    )


def keys_read(config: Mapping) -> set[str]:
    """The dotted keys of the named parts' sections that this config's choice of parts reads.

    What an encoder, decoder, code, corruption or penalty has no field or parameter for would
    be accepted and ignored; a command refuses such a key where it is set by hand.

    Raises:
      UserError: a name that there is no part of.
    """
    found = find_parts(config)
    functions = parts.functions(penalty_functions)
    chosen = [functions[name] for name in penalties(config["loss"])]
    read = {
        "encoder": parts.fields(found["encoder"]),
        "decoder": parts.fields(found["decoder"]),
        "code": parts.fields(found["code"]) | parts.parameters(found["code"]) | {"size"},
        "corruption": parts.parameters(found["corruption"])
        | (set() if config["corruption"]["name"] == "none" else {"emphasis", "rest"}),
        "loss": {"likelihood", "warmup"}
        | parts.parameters(found["loss"])
        | set(functions)
        | set(reported(found["code"])["penalties"])
        | {name for function in chosen for name in parts.parameters(function)},
    }
    for section in ("encoder", "decoder"):
        if not hidden(config, section):
            read[section] = read[section] - {"activation", "norm", "dropout"}
        if config[section]["kernel_init"] not in nets.KERNEL_INITS_WITH_STD:
            read[section] = read[section] - {"init_std"}
    if config["model"] == "classifier":
        del read["decoder"], read["loss"]
        read["classifier"] = {"on"}
    read["start"] = {"workdir", "parts"} if config["start"]["workdir"] else {"workdir"}
    read["greedy"] = {"epochs", "likelihood"} if config["greedy"]["epochs"] else {"epochs"}
    return {f"{section}.{key}" for section, names in read.items() for key in {"name"} | names}


def hidden(config: Mapping, section: str) -> bool:
    """Whether the encoder or decoder has a hidden layer, so that it reads what is done after one."""
    name = config[section]["name"]
    if name == "tied":
        return bool(config["encoder"]["widths"])
    return name not in ("mlp", "allconv") or bool(config[section]["widths"])


def check(config: Mapping) -> None:
    """Refuse combinations of parts that make no sense.

    Raises:
      UserError: naming the keys and what would go together.
    """
    found = find_parts(config)
    code, size = found["code"], config["code"]["size"]
    if config["decoder"]["name"] == "tied":
        if parts.build(code, config["code"]).features != size:
            raise UserError(
                "config.decoder.name='tied' needs an encoder that ends at the code; "
                f"code.name={config['code']['name']!r} reads several features a unit; accepted with it: another decoder"
            )
        if config["encoder"]["name"] != "mlp":
            raise UserError("config.decoder.name='tied' needs encoder.name='mlp'; accepted: that, or another decoder")
    functions = parts.functions(penalty_functions)
    for name in penalties(config["loss"]):
        if "decode_linear" in parts.parameters(functions[name]) and not hasattr(found["decoder"], "linear"):
            accepted = [d for d, cls in parts.modules(nets, "Decoder").items() if hasattr(cls, "linear")]
            raise UserError(
                f"config.loss.{name} needs a dictionary of atoms, which decoder.name={config['decoder']['name']!r} is "
                f"not; accepted: loss.{name}=0.0, or decoder.name {' or '.join(accepted)}"
            )
    _check_penalties(config, code)
    if config["model"] == "classifier":
        on, hidden = config["classifier"]["on"], hasattr(found["encoder"], "hidden")
        if on == "hidden" and not (hidden and any(config["encoder"][key] for key in ("widths", "dense"))):
            raise UserError(
                "config.classifier.on='hidden' needs an encoder with a hidden layer below a dense one; "
                "accepted: encoder.widths, or classifier.on='code'"
            )
        return


def _check_penalties(config: Mapping, code: type) -> None:
    """Refuse penalties of a code or a likelihood that they are not for."""
    loss, act = config["loss"], config["code"]["activation"]
    if loss["kl_sparsity"] and "activation" in parts.fields(code) and act not in ("sigmoid", "hard_sigmoid"):
        raise UserError(
            f"config.loss.kl_sparsity needs units in [0, 1]; code.activation={act!r} is not held to that; "
            "accepted: code.activation='sigmoid', or loss.kl_sparsity=0.0"
        )
    squared = ("squared_error", "gaussian", "learned_gaussian", "laplace")
    for name in ("aux_k", "gate_auxiliary"):
        if loss[name] and loss["likelihood"] not in squared:
            raise UserError(
                f"config.loss.{name} reconstructs a difference of pictures, which the output under loss.likelihood="
                f"{loss['likelihood']!r} is not; accepted: {', '.join(squared)}"
            )
    jacobian = [name for name in penalties(loss) if name.startswith("contractive")]
    if jacobian and not getattr(code, "differentiable", True):
        raise UserError(
            f"config.loss.{jacobian[0]} needs a code with a derivative; code.name={config['code']['name']!r} rounds; "
            f"accepted: loss.{jacobian[0]}=0.0, or another code"
        )
