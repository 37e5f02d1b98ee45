"""Are the gradients derived by hand those that automatic differentiation finds? On a batch of the run's own data.

The net has one hidden layer, relu after both layers, and the mean squared error of
``aejax.gradients``, where the derivation stands. Some entries are checked against
finite differences of the loss as well, which know nothing of either.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags as absl_flags
from matplotlib.figure import Figure

from aejax import gradients
from aejax.analysis import command, figure, selection, weights
from aejax.errors import UserError
from aejax.gradients import Net

LABELS = {"w1": "W₁, encoder", "b1": "b₁, encoder", "w2": "W₂, decoder", "b2": "b₂, decoder"}
AGREE = 1e-5  # difference over the largest entry of the gradient; float32 keeps about 1e-7
POINTS = 4000  # drawn of a group
CHECKED = 20  # of a group, by finite differences: two passes each


def of_run(params: Mapping, encode: Callable[[np.ndarray], np.ndarray], raw: np.ndarray, x: np.ndarray) -> Net | None:
    """The run's own weights, where it is such a net: one dense layer each side, and codes that are relu(x W₁ + b₁).

    Args:
      params: the run's.
      encode: raw images -> codes.
      raw: images [n, h, w, c], and x: [n, d] the same, prepared, in rows.

    Returns:
      The weights; W₂ = W₁ᵀ of a tied decoder. None where the run is another net.
    """
    if "encoder" not in params or "decoder" not in params or weights.depth(params) != (1, 1):
        return None
    (w1,), own = weights.kernels(params["encoder"]), weights.kernels(params["decoder"])
    b1 = params["encoder"]["layers_0"].get("bias")
    b2 = params["decoder"].get("layers_0", {}).get("bias") if own else params["decoder"].get("bias_0")
    w2 = own[0] if own else w1.T
    if b1 is None or b2 is None or w1.shape != (x.shape[1], len(b1)) or w2.shape != w1.shape[::-1]:
        return None
    net = Net(*(np.asarray(p, np.float32) for p in (w1, b1, w2, b2)))
    codes, z = np.asarray(encode(raw)), np.asarray(gradients.forward(net, x).z)
    same = codes.shape == z.shape and np.allclose(codes, z, rtol=1e-3, atol=1e-4 * max(1.0, np.abs(z).max()))
    return net if same else None


def drawn(inputs: int, hidden: int, seed: int) -> Net:
    """A net at its start: Glorot-uniform kernels, and small biases, so that no unit stands at the kink of its relu."""
    rng = np.random.default_rng(seed)
    limit = np.sqrt(6 / (inputs + hidden))
    shapes = ((inputs, hidden), (hidden,), (hidden, inputs), (inputs,))
    limits = (limit, 0.01, limit, 0.01)
    return Net(*(rng.uniform(-a, a, shape).astype(np.float32) for shape, a in zip(shapes, limits, strict=True)))


def compare(by_hand: np.ndarray, automatic: np.ndarray) -> dict[str, Any]:
    """How far two gradients of one shape are apart.

    ``relative_difference`` is the largest difference over the largest entry of the automatic one (entry by entry, those
    near 0 would have any); 0 where both are 0 throughout.
    """
    difference = float(np.abs(by_hand.astype(np.float64) - automatic).max())
    largest = float(np.abs(automatic).max())
    relative = difference / largest if largest > 0 else (0.0 if difference == 0 else float("inf"))
    return {
        "shape": list(automatic.shape),
        "largest_entry": largest,
        "zeros_percent": 100 * float(np.mean(automatic == 0)),
        "max_difference": difference,
        "relative_difference": relative,
    }


def spread(values: np.ndarray, count: int) -> np.ndarray:
    """The flat indices of ``count`` entries evenly spaced over the ranking by value, so that both tails are in it."""
    return np.argsort(values, axis=None, kind="stable")[selection.evenly(values.size, count)]


def differences(net: Net, x: np.ndarray, name: str, indices: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """[k]: ``(L(p + step) − L(p − step)) / (2 step)`` for the entries p of one group at the flat ``indices`` [k].

    By NumPy in float64, with a loss of its own. At the kink of a relu it is the mean of the slopes of both sides.
    """
    values = {key: np.array(value, np.float64, order="C") for key, value in net._asdict().items()}
    x, moved, found = x.astype(np.float64), values[name].reshape(-1), []

    def loss_at(i: int, value: float) -> float:
        before, moved[i] = moved[i], value
        z = np.maximum(x @ values["w1"] + values["b1"], 0)
        y = np.maximum(z @ values["w2"] + values["b2"], 0)
        moved[i] = before
        return np.square(y - x).mean()

    for i in indices:
        found.append((loss_at(i, moved[i] + step) - loss_at(i, moved[i] - step)) / (2 * step))
    return np.array(found)


def apart(group: Mapping[str, Any]) -> str:
    """How far by hand and automatic are apart, in words."""
    if group["max_difference"] == 0:
        return "equal to the last bit"
    return f"largest difference {group['max_difference']:.1e}, {group['relative_difference']:.1e} of the largest entry"


def draw(
    by_hand: Net, automatic: Net, checked: Mapping[str, tuple[np.ndarray, np.ndarray]], groups: Mapping, title: str
) -> Figure:
    """A panel for each group of parameters: the entries of its gradient, by hand against automatic.

    Args:
      by_hand, automatic: the gradients.
      checked: the flat indices [k] of some entries and their finite differences [k], by group.
      groups: what ``compare`` gives, by group.
      title: of the whole.
    """
    picture = figure.new(figure.PAGE, 7.2)
    for ax, (name, label) in zip(picture.subplots(2, 2).ravel(), LABELS.items(), strict=True):
        x, y = getattr(automatic, name).ravel(), getattr(by_hand, name).ravel()
        shown, (indices, numeric) = spread(x, POINTS), checked[name]
        low, high = min(x.min(), y.min(), 0.0), max(x.max(), y.max(), 0.0)
        ends = (low - 0.08 * (high - low) - 1e-30, high + 0.08 * (high - low) + 1e-30)
        ax.plot(ends, ends, color=figure.ORANGE, linewidth=1.2, zorder=2, label="equal")
        ax.plot(x[shown], y[shown], "o", color=figure.BLUE, markersize=3, markeredgewidth=0, zorder=3, label="by hand")
        ring = {"color": figure.BLACK, "markersize": 6, "markeredgewidth": 0.9, "fillstyle": "none"}
        ax.plot(x[indices], numeric, "o", **ring, zorder=4, label="finite differences")
        figure.tidy(ax)
        ax.set_aspect("equal", adjustable="box")
        ax.set(xlim=ends, ylim=ends)
        ax.locator_params(nbins=5)
        ax.ticklabel_format(style="sci", scilimits=(-2, 3), useMathText=True)
        for axis in (ax.xaxis, ax.yaxis):
            axis.get_offset_text().set_fontsize(8)
        ax.set_xlabel("automatic", fontsize=8)
        ax.set_ylabel("the same entry, found otherwise", fontsize=8)
        ax.legend(fontsize=8, frameon=False, loc="upper left")
        size = "×".join(map(str, groups[name]["shape"]))
        ax.set_title(f"{label} ({size})\nby hand: {apart(groups[name])}", fontsize=8)
    figure.set_title(picture, title)
    return picture


def summarise(numbers: dict[str, Any]) -> list[str]:
    """What the numbers say, a sentence a line."""
    d, hidden = numbers["net"]["inputs"], numbers["net"]["hidden"]
    groups = numbers["groups"]
    worst = max(groups, key=lambda name: groups[name]["relative_difference"])
    far = groups[worst]["relative_difference"]
    if far == 0:
        verdict = "equal the automatic ones to the last bit"
    else:
        how = "agree with" if far <= AGREE else "DIFFER from"
        verdict = f"{how} the automatic ones; farthest off is {LABELS[worst]}: {apart(groups[worst])}"
    numeric = max(group["relative_difference_from_finite_differences"] for group in groups.values())
    whose = {
        "run": "weights of the run, with a relu at the output whatever its likelihood reads there",
        "run, tied": "weights of the run, W₂ = W₁ᵀ as weights of its own, with a relu at the output",
        "drawn": "freshly drawn weights",
    }
    return [
        f"A {d}-{hidden}-{d} net, {whose[numbers['weights']]}; {numbers['images']} training images, "
        f"mean squared error {numbers['loss']:.4g}.",
        f"All four gradients by hand {verdict} (float32 keeps about 1e-7).",
        f"Finite differences of the loss, {CHECKED} entries a group, are within {numeric:.1e} of the largest entry.",
        f"The relus pass {numbers['open_percent']['hidden']:.0f} % of the hidden errors and "
        f"{numbers['open_percent']['output']:.0f} % of those at the output; elsewhere the gradient is 0.",
    ]


def analyse(workdir: Path, flags) -> command.Findings:
    """The comparison on the first training images of the run in ``workdir``."""
    run = command.load(workdir, flags.best)
    raw = run.dataset().train.images[: flags.images]
    x = np.asarray(run.prepare(raw), np.float32).reshape(len(raw), -1)
    params = run.variables["params"]
    net = None if flags.hidden else of_run(params, run.encode, raw, x)
    whose = "drawn" if net is None else "run, tied" if weights.is_tied(params) else "run"
    net = drawn(x.shape[1], flags.hidden or run.config.code.size, run.config.seed) if net is None else net
    value, automatic = jax.jit(jax.value_and_grad(gradients.loss))(net, x)
    by_hand = Net(*map(np.asarray, jax.jit(gradients.closed_form)(net, x)))
    automatic = Net(*map(np.asarray, automatic))
    if not all(np.isfinite(g).all() for g in (*by_hand, *automatic)):
        raise UserError("gradients: they are not all finite; it needs a run whose training did not diverge")
    _, hidden, _, output = gradients.forward(net, x)
    groups, checked = {}, {}
    for name, a, b in zip(LABELS, by_hand, automatic, strict=True):
        indices = spread(b, CHECKED)
        numeric = differences(net, x, name, indices)
        groups[name], checked[name] = compare(a, b), (indices, numeric)
        off = np.abs(numeric - b.ravel()[indices]).max() / max(groups[name]["largest_entry"], 1e-30)
        groups[name]["relative_difference_from_finite_differences"] = float(off)
    numbers = {
        **command.about(run),
        "weights": whose,
        "net": {"inputs": x.shape[1], "hidden": net.w1.shape[1]},
        "images": len(x),
        "loss": float(value),
        "open_percent": {"hidden": 100 * float((hidden > 0).mean()), "output": 100 * float((output > 0).mean())},
        "groups": groups,
    }
    title = f"{command.heading(run)}: each entry of the gradient, by hand and automatic, {len(x)} training images\n"
    title += "freshly drawn weights" if whose == "drawn" else "weights of the run"
    title += ", mean squared error, relu after both layers"
    return command.Findings(draw(by_hand, automatic, checked, groups, title), numbers, summarise(numbers))


def define(flags) -> None:
    """The flags of this command."""
    command.define_best(flags)
    absl_flags.DEFINE_integer("images", 100, "How many training images.", lower_bound=1, flag_values=flags)
    hidden = "Draw a fresh net of so many hidden units; 0: the run's weights, or where it is another net its code size."
    absl_flags.DEFINE_integer("hidden", 0, hidden, lower_bound=0, flag_values=flags)


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m aejax.analysis.gradients --workdir=DIR [--images=N] [--hidden=N]``."""
    return command.execute("gradients", analyse, argv, define)


if __name__ == "__main__":
    sys.exit(main())
