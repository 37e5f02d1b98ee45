"""What does each unit look for, and what does it draw? Encoder filters and decoder atoms as images."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags as absl_flags
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from aejax.analysis import command, figure, selection, views, weights, words
from aejax.analysis.filters import layer_images, pairs, texture
from aejax.errors import UserError

CHOICES = {"even": "evenly spaced in order of norm", "norm": "of largest norm", "firing": "firing most often"}
LAYERS = {
    "ends": "the encoder's first and the decoder's last",
    "all": "and in further pictures all others, taken linearly, and what the code's units read beside what they write",
}
NAMES = {"encoder": ("encoder filters", "first encoder layer"), "decoder": ("decoder atoms", "last decoder layer")}
BLOCK = 2**25  # values of the codes that are held at a time

Images = Mapping[str, np.ndarray]  # "encoder" and, but for a classifier or a tied decoder, "decoder": [units, h, w, c]


def firing_share(encode: Callable, images: np.ndarray, block: int = 5000) -> np.ndarray:
    """[size]: the share of the images [n, h, w, c] for which each code unit is not 0, in blocks to spare memory.

    A unit of maps [n, h', w', size] is a whole map: not 0 at any place.
    """
    counts = sum(_fires(np.asarray(encode(images[i : i + block]))).sum(axis=0) for i in range(0, len(images), block))
    return counts / len(images)


def _fires(codes: np.ndarray) -> np.ndarray:
    """[n, size]."""
    return np.any((codes != 0).reshape(len(codes), -1, codes.shape[-1]), axis=1)


def choose(how: str, count: int, norm: np.ndarray, firing: np.ndarray | None) -> np.ndarray:
    """The units to draw, by a key of ``CHOICES``, from their norms [n] and shares of firing [n] (None: not known)."""
    if how == "even":
        return selection.over_ranking(norm, count)
    return selection.largest(norm if how == "norm" or firing is None else firing, count)


def draw(panels: Sequence[tuple[str, np.ndarray, np.ndarray | None]], title: str, across: int = 2) -> Figure:
    """Mosaics side by side, with the colour scale under them.

    Args:
      panels: title, weight images [n, h, w, c], and which of them to frame [n] (None: none).
      title: of the whole.
      across: how many stand in a row.
    """
    width, across = figure.PAGE if len(panels) > 1 else 5.4, min(across, len(panels))
    shapes = [figure.weight_planes(images).shape for _, images, _ in panels]
    tall = [figure.grid(*shape[:3])[1] for shape in shapes]
    rows = [0.97 * width / across * max(tall[i : i + across]) for i in range(0, len(panels), across)]
    between = 0.25 * (len(rows) - 1)  # the titles of further rows
    picture = figure.new(width, sum(rows) + between + 0.62 + 0.17 * (1 + title.count("\n")))
    picture.get_layout_engine().set(wspace=0.05)
    axes = picture.subplots(len(rows), across, squeeze=False, height_ratios=rows)
    for ax in axes.ravel()[len(panels) :]:
        ax.set_axis_off()
    for ax, (name, images, marked) in zip(axes.ravel(), panels, strict=False):
        figure.draw_weights(ax, images, name, marked)
    if len(shapes[0]) == 3:
        scale = ScalarMappable(Normalize(-1, 1), figure.DIVERGING)
        bar = picture.colorbar(scale, ax=axes, orientation="horizontal", shrink=0.5, aspect=40, pad=0.01, panchor=False)
        bar.set_ticks([-1, 0, 1], labels=["−max |w| of the image", "0", "+max |w|"], fontsize=7)
    else:
        picture.supxlabel("mid-grey is 0; each image is scaled to its own largest |w|", fontsize=7)
    figure.set_title(picture, title)
    return picture


def measure(images: Images, firing: np.ndarray, train: np.ndarray, own: set[str]) -> dict[str, Any]:
    """The numbers of weight images by part, shares of firing [d] and training images [n, h, w, c].

    Where the images of a part are the code units' ``own``, dead ones are left out of their description.
    """
    alive = {part: firing > 0 if part in own else slice(None) for part in images}
    encoder = weights.on_varying_pixels(images["encoder"], train)
    numbers = {
        "code_units": len(firing),
        "dead_units": np.flatnonzero(firing == 0),
        "firing": {"median": np.median(firing), "mean": firing.mean(), "min": firing.min(), "max": firing.max()},
        "encoder": texture.describe(encoder[alive["encoder"]]),
    }
    if "decoder" in images:
        numbers["decoder"] = texture.describe(images["decoder"][alive["decoder"]])
    return numbers


def summarise(numbers: dict, own: set[str], noun: str) -> list[str]:
    """What the numbers say, a sentence a line; ``noun`` is what an example is called."""
    firing, dead = numbers["firing"], len(numbers["dead_units"])
    units = numbers["code_units"]
    lines = [
        f"{dead} of {units} code units ({100 * dead / units:.1f} %) never fire over {numbers['train_examples']:,} "
        f"training {noun}s; the median unit fires for {100 * firing['median']:.1f} % of them."
    ]
    if numbers["maps"] != (1, 1):
        lines[0] += " (A unit is a map, and fires where any place of it is not 0.)"
    elif firing["median"] == 1:
        lines[0] += " (A unit fires where its code is not exactly 0: with this code, nearly always.)"
    lines.append(f"Encoder filters{'' if 'encoder' in own else ' (first layer)'}: {texture.look(numbers['encoder'])}.")
    if numbers["tied"]:
        lines.append("The decoder is tied: its atoms are the same weights.")
    elif "decoder" not in numbers:
        lines.append("A classifier has no decoder: the units are the features that its head reads.")
    else:
        which = "" if "decoder" in own else " (last layer)"
        lines.append(f"Decoder atoms{which}: {texture.look(numbers['decoder'])}.")
        if "filter_atom_cosine" in numbers:
            lines.append(pairs.told(numbers["filter_atom_cosine"], linear=False))
    for unit in list(numbers.get("words_by_unit") or ())[:3]:
        lines.append(f"Words of largest weight, unit {unit}: {words.told(numbers['words_by_unit'][unit])}.")
    return lines


def describe_choice(how: str, drawn: int, there: int, own: bool, together: bool, whose: str) -> str:
    """Which units are drawn, for the title; ``whose`` norm they are ranked by, "" where there is but one."""
    how = CHOICES["norm" if how == "firing" and not own else how]
    how = how.replace("norm", f"{whose}norm") if together else how
    how = how if drawn < there else how.removeprefix("evenly spaced ")
    count = f"{drawn} of {there}" if drawn < there else f"all {there}"
    return f"{count} {'units' if together else 'units a layer'}, {how}"


def weight_images(run: Any, shape: tuple[int, int, int]) -> dict[str, np.ndarray]:
    """The weight images of the run's parts; those of a tied decoder are the encoder's."""
    params = run.variables["params"]
    images = {"encoder": weights.encoder_filters(params, shape)}
    if "decoder" in params:
        images["decoder"] = weights.decoder_atoms(params, shape)
    return images


def analyse(workdir: Path, flags) -> command.Findings:
    """The filters of the run in ``workdir``."""
    if flags.choose not in CHOICES:
        raise UserError(f"--choose={flags.choose}: accepted are {', '.join(CHOICES)}")
    if flags.layers not in LAYERS:
        raise UserError(f"--layers={flags.layers}: accepted are {', '.join(LAYERS)}")
    run = command.load(workdir, flags.best)
    dataset = run.dataset()
    params, train = run.variables["params"], dataset.train.images
    try:
        images = weight_images(run, dataset.shape)
    except weights.NoImages as reason:
        raise command.DoesNotApply(str(reason)) from None
    firing = firing_share(run.encode, train, max(1, min(5000, BLOCK // int(np.prod(run.code_shape)))))
    tied, last = weights.is_tied(params), list(images)[-1]
    own = weights.of_code(params, len(images["encoder"]), len(images[last]), len(firing))
    # Layers whose units belong together show the same units in the same places.
    together = tied or own == images.keys()
    known = {part: firing if part in own else None for part in images}
    norm = {part: texture.norms(i) for part, i in images.items()}
    ranked = "decoder"
    if together and np.ptp(norm[last]) < 1e-3 * norm[last].max():  # the atoms of a dictionary are all as long
        ranked, norm[last] = "encoder", norm["encoder"]
    shown = {part: choose(flags.choose, flags.units, norm[part], known[part]) for part in images}
    if together:
        shown["encoder"] = shown[last]
    numbers = {
        **command.about(run),
        "train_examples": len(train),
        "maps": tuple(run.code_shape[:-1]) or (1, 1),
        **measure(images, firing, train, own),
        "tied": tied,
        "shown": shown,
    }
    if own == images.keys() == NAMES.keys() and not tied and images["encoder"].shape == images["decoder"].shape:
        cosine = pairs.cosines(weights.on_varying_pixels(images["encoder"], train), images["decoder"])
        numbers["filter_atom_cosine"] = pairs.describe(cosine, firing > 0)
    if run.words and images[last].shape[1:] == (1, 1, len(run.words)):
        numbers["words_by_unit"] = {int(u): words.largest(images[last][u, 0, 0], run.words) for u in shown[last]}
    panels = []
    for part in ("encoder",) if tied else images:
        marks = (firing == 0)[shown[part]] if part in own else None
        h, w = images[part].shape[1:3]
        size = "" if (h, w) == dataset.shape[:2] else f", {h}×{w}"
        panels.append((NAMES[part][part not in own] + size, images[part][shown[part]], marks))
    drawn, there = len(shown[last]), len(images[last])
    chosen = describe_choice(flags.choose, drawn, there, last in own, together, f"{ranked} " if len(panels) > 1 else "")
    title = f"{command.heading(run)}: {chosen}\n"
    title += f"{len(numbers['dead_units'])} of {len(firing)} code units never fire on train"
    title += " (black frame)" if any(m is not None and m.any() for *_, m in panels) else ""
    title += "; tied decoder: the same weights" if tied else ""
    title += f"; {arranged}" if (arranged := views.layout(panels[0][1].shape[1:])) else ""
    told = summarise(numbers, own, command.noun(run, dataset))
    if flags.layers == "ends":
        return command.Findings(draw(panels, title), numbers, told)
    return _with_layers(command.Findings(draw(panels, title), numbers, told), run, train, firing, flags)


def _with_layers(findings: command.Findings, run: Any, train: np.ndarray, firing: np.ndarray, flags):
    """The findings with those about all further layers."""

    def chosen(norm: np.ndarray, known: np.ndarray | None) -> np.ndarray:
        return choose(flags.choose, flags.units, norm, known)

    seen = layer_images.examine(run, train, firing, chosen)
    more, told = {}, list(seen.told)
    if seen.panels:
        title = f"{command.heading(run)}: the other layers, as if those between them and the image were linear\n"
        title += "encoder: what a unit reads; decoder: what one that the layer reads adds to the image"
        more["layers"] = draw(seen.panels, title)
    else:
        told.insert(0, "Encoder and decoder have no further layers.")
    if seen.pairs:
        more["pairs"] = seen.pairs
    told = list(dict.fromkeys([*findings.summary, *told]))  # of a single layer both say the same of filters and atoms
    return command.Findings(findings.figure, {**findings.numbers, **seen.numbers}, told, more)


def define(flags) -> None:
    """The flags of this command."""
    command.define_best(flags)
    absl_flags.DEFINE_integer("units", 100, "How many units to draw.", lower_bound=1, flag_values=flags)
    choices = "; ".join(f"{name}: {meaning}" for name, meaning in CHOICES.items())
    absl_flags.DEFINE_string("choose", "even", f"Which units. {choices}.", flag_values=flags)
    which = "; ".join(f"{name}: {meaning}" for name, meaning in LAYERS.items())
    absl_flags.DEFINE_string("layers", "ends", f"Which layers. {which}.", flag_values=flags)


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m aejax.analysis.filters --workdir=DIR [--units=N] [--choose=even|norm|firing] [--layers=ends|all]
    [--best]``."""
    return command.execute("filters", analyse, argv, define)
