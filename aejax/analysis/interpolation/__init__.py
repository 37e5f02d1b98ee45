"""What lies between two images? Paths between their codes, decoded, beside the blend of their pixels."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags as absl_flags
from matplotlib.figure import Figure

from aejax.analysis import command, known_codes, nearest_images, strips, views, words
from aejax.analysis.interpolation import endpoints, paths
from aejax.analysis.quantised import snapped

PATHS = {"linear": paths.linear, "spherical": paths.spherical}
FAR = 1.5  # times as far from train as the inputs, from where on reconstructions are not like data
TEXTS = 3  # pairs told in words


def draw(
    ends: Sequence[str], paths_drawn: Mapping[str, np.ndarray], notes: Mapping[str, Sequence[str]], title: str
) -> Figure:
    """Each pair's paths under one another, with time from left to right.

    Args:
      ends: [n], what the pairs are, beside the first row of each.
      paths_drawn: by name, pictures [n, steps, h, w, 3] in [0, 1].
      notes: by name, [n] texts on the right.
      title: what it is.
    """
    rows = []
    for i, pair in enumerate(ends):
        for number, (name, pictures) in enumerate(paths_drawn.items()):
            left = f"{pair}   {name}" if number == 0 else name
            rows.append(strips.Row(pictures[i], left, notes[name][i], number == 0))
    steps = len(rows[0].pictures)
    columns = [f"{t:.2g}" for t in np.linspace(0, 1, steps)]
    longest = max(len(row.left) for row in rows)
    return strips.alone(rows, title, columns, left=0.25 + 0.055 * longest, right=0.55)


def summarise(numbers: dict, noun: str) -> list[str]:
    """What the numbers say, a sentence a line; ``noun`` is what an example is called."""
    mean, steps = numbers["mean"], numbers["steps"] - 1
    lines = [_evenness(name, mean[name], steps) for name in PATHS if name in mean]
    blend, ends = mean["blend"]["middle_to_train"], numbers["ends_to_train"]
    told = ", ".join(f"{mean[name]['middle_to_train']:.3g} on the {name} path" for name in PATHS if name in mean)
    lines.append(
        f"Distance from the middle to the nearest training {noun}: {told}, {blend:.3g} for the blend of the inputs; "
        f"from the {noun}s themselves: {ends['inputs']:.3g}, from their reconstructions: {ends['reconstructions']:.3g}."
    )
    lines += _verdicts(mean, ends)
    if "spherical" in mean:
        short = 100 * mean["linear"]["middle_norm_over_ends"]
        lines.append(f"The codes in the middle of the linear paths are {short:.0f} % as long as those at the ends.")
    for text in numbers.get("texts", ()):
        pair = f"{text['test_indices'][0]} and {text['test_indices'][1]}"
        lines.append(f"Between test texts {pair}: {words.told(text['middle'])}.")
        lines.append(f"  The ends: {words.told(text['first'])}; {words.told(text['second'])}.")
    return lines


def _evenness(name: str, mean: Mapping[str, float], steps: int) -> str:
    """How evenly and how straight the path of that name changes the output."""
    share, length, even = mean["largest_step_percent"], mean["length_over_chord"], 100 / steps
    if not np.isfinite(share):
        return f"Along the {name} path the outputs do not change."
    if length < 1.001 and share < 1.01 * even:
        return f"The {name} path is the blend of the reconstructions: the decoder is linear along it."
    how = "in a jump" if share > max(50, 2 * even) else "evenly" if share < 2 * even else "unevenly"
    return (
        f"The {name} path changes {how}: its largest of {steps} steps makes {share:.0f} % of the squared change "
        f"({even:.0f} % if all were alike), and it is {length:.2f} times as long as the straight line of its ends."
    )


def _verdicts(mean: Mapping[str, Mapping[str, float]], ends: Mapping[str, float]) -> list[str]:
    """Whether the middles are farther from train than the reconstructed ends, and the blends than the inputs."""
    if not (ends["inputs"] > 0 and ends["reconstructions"] > 0):
        return []
    if (times := ends["reconstructions"] / ends["inputs"]) > FAR:
        return [f"The reconstructions are {times:.1f} times as far from train as the inputs: no path can be near it."]
    blended = mean["blend"]["middle_to_train"] / ends["inputs"] - 1
    lines = []
    for name in (name for name in PATHS if name in mean):
        left = mean[name]["middle_to_train"] / ends["reconstructions"] - 1
        away = "stays by the data" if left <= 0.1 else "leaves the data"
        gap = left - blended
        than = "nearer to them than" if gap < -0.05 else "farther from them than" if gap > 0.05 else "about as near as"
        lines.append(
            f"The {name} path {away}, {than} the blend: train is {_farther(left)} from its middles than from its ends, "
            f"and {_farther(blended)} from the blends than from the inputs."
        )
    return lines


def _farther(share: float) -> str:
    percent = round(100 * share)
    return f"{percent} % farther" if percent > 0 else f"{-percent} % less far" if percent else "no farther"


def measure(path: np.ndarray, to_train: np.ndarray, codes: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """The numbers [n] of paths [n, steps, ...] whose middles lie so far from train [n].

    With the codes of their beginning, middle and end [n, 3, d] also how long the middle one is over the mean length of
    the others.
    """
    numbers = {**paths.smoothness(path), "middle_to_train": to_train}
    if codes is not None:
        norms = np.linalg.norm(codes, axis=2)
        ends = norms[:, [0, 2]].mean(axis=1)
        numbers["middle_norm_over_ends"] = norms[:, 1] / np.where(ends > 0, ends, 1.0)
    return numbers


def travel(run: Any, ends: np.ndarray, totals: np.ndarray, steps: int) -> tuple[dict, dict, dict]:
    """The paths between codes ``ends`` [n, 2, d], decoded; ``totals`` [n, 2] as ``known_codes.decoded`` takes them.

    Returns:
      By name of the path: examples [n, steps, h, w, c]; the middles [n, h, w, c]; the codes at 0, ½ and 1 [n, 3, d].
    """
    n = len(ends)
    t = np.append(np.linspace(0, 1, steps), 0.5)
    sums = (totals[:, :1] * (1 - t) + totals[:, 1:] * t).ravel()
    whole, middles, norms = {}, {}, {}
    for name, between in _paths(run).items():
        codes = snapped(run, between(ends[:, 0], ends[:, 1], t))
        outputs = known_codes.decoded(run, codes.reshape(n * len(t), -1), sums, f"{name} path")
        outputs = outputs.reshape(n, len(t), *outputs.shape[1:])
        whole[name], middles[name], norms[name] = outputs[:, :-1], outputs[:, -1], codes[:, [0, -1, -2]]
    return whole, middles, norms


def _paths(run: Any) -> dict[str, Callable]:
    return PATHS if known_codes.has_prior(run.config) else {"linear": paths.linear}


def analyse(workdir: Path, flags) -> command.Findings:
    """The paths of the run in ``workdir``."""
    run = command.load_autoencoder(workdir, flags.best, "an interpolation")
    dataset = run.dataset()
    noun = command.noun(run, dataset)
    test = known_codes.tested(dataset, run.config.data.name, least=2)
    chosen, rule = endpoints.choose(flags.images, flags.pairs, test)
    ends = known_codes.known(run, test.images).reshape(len(test.images), -1)[chosen]
    inputs = known_codes.comparable(run, test.images[chosen.ravel()]).reshape(*chosen.shape, *dataset.shape)
    whole, middles, codes = travel(run, ends, inputs.sum(axis=(2, 3, 4)), flags.steps)
    t = np.linspace(0, 1, flags.steps)
    flat = [inputs[:, i].reshape(len(chosen), -1) for i in (0, 1)]
    whole["blend"] = paths.linear(*flat, t).reshape(len(chosen), -1, *dataset.shape)
    middles["blend"] = inputs.mean(axis=1)
    queries = [*middles.values(), inputs[:, 0], inputs[:, 1], whole["linear"][:, 0], whole["linear"][:, -1]]
    away = nearest_images.nearest_images(run, dataset.train.images, np.concatenate(queries))[1].reshape(-1, len(chosen))
    measured = {
        name: measure(path, away[i], codes.get(name) if known_codes.has_prior(run.config) else None)
        for i, (name, path) in enumerate(whole.items())
    }
    names = None if test.labels is None else command.class_names(dataset, test.labels)
    numbers = {
        **command.about(run),
        "steps": flags.steps,
        "train_examples": len(dataset.train.images),
        "chosen": rule,
        "mean": {name: {key: _mean(values) for key, values in found.items()} for name, found in measured.items()},
        "ends_to_train": {"inputs": away[-4:-2].mean(), "reconstructions": away[-2:].mean()},
        "pairs": [
            {
                "test_indices": pair,
                "classes": None if names is None else [names[test.labels[i]] for i in pair],
                **{name: {key: values[k] for key, values in found.items()} for name, found in measured.items()},
            }
            for k, pair in enumerate(chosen)
        ],
    }
    pictures = {name: pictured(run, path, inputs, test.images[chosen]) for name, path in whole.items()}
    if run.words:
        numbers["texts"] = told(run.words, chosen, middles["linear"], inputs)
    percent = lambda share: f"{share:.0f} %" if np.isfinite(share) else "–"  # noqa: E731
    notes = {name: [percent(s) for s in found["largest_step_percent"]] for name, found in measured.items()}
    return command.Findings(
        draw(_ends(chosen, test, names), pictures, notes, _title(run, dataset, numbers, noun)),
        numbers,
        summarise(numbers, noun),
    )


def _mean(values: np.ndarray) -> float:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float("nan")


def pictured(run: Any, path: np.ndarray, inputs: np.ndarray, raw: np.ndarray) -> np.ndarray:
    """Paths [n, steps, h, w, c] at the scale of the model as pictures [n, steps, H, W, 3].

    Args:
      run: as ``aejax.load`` gives it.
      path: the examples.
      inputs: [n, 2, h, w, c] the two at the ends, to whose range they are shown.
      raw: [n, 2, h, w, c] these as they came, whose contrast they get.
    """
    n, steps, *shape = path.shape
    like = raw[:, 0].repeat(steps, axis=0)
    shown = run.picture(path.reshape(-1, *shape), like=like)
    both = [run.picture(inputs[:, i], like=raw[:, i]) for i in (0, 1)]
    pictures = views.viewable(np.asarray(shown), np.concatenate(both, axis=2).repeat(steps, axis=0))
    return pictures.reshape(n, steps, *pictures.shape[1:])


def told(vocabulary: Sequence[str], chosen: np.ndarray, middles: np.ndarray, inputs: np.ndarray) -> list[dict]:
    """For the first pairs of texts, the words of largest value in the middle and at both ends."""
    found = []
    for pair, middle, ends in list(zip(chosen, middles, inputs, strict=True))[:TEXTS]:
        first, second, between = (words.largest(x.ravel(), vocabulary, 5) for x in (*ends, middle))
        found.append({"test_indices": pair, "first": first, "middle": between, "second": second})
    return found


def _ends(chosen: np.ndarray, test: Any, names: Sequence[str] | None) -> list[str]:
    if names is None:
        return [f"{a} → {b}" for a, b in chosen]
    return [" → ".join(names[test.labels[i]][:10] for i in pair) for pair in chosen]


def _title(run: Any, dataset: Any, numbers: dict, noun: str) -> str:
    count, rule = len(numbers["pairs"]), numbers["chosen"]
    title = f"{command.heading(run)}: {count} {'pair' if count == 1 else 'pairs'} of test {noun}s, {rule}\n"
    title += "between their codes, decoded; and the blend of the inputs\n"
    title += "right: the largest step, % of the squared change"
    notes = [known_codes.how_encoded(run.config), views.layout(dataset.shape)]
    if run.config.code.name == "vector_quantised":
        notes.append("each vector at its nearest entry of the codebook")
    notes = "; ".join(filter(None, notes))
    return title + (f"\n{notes}" if notes else "")


def define(flags) -> None:
    """The flags of this command."""
    command.define_best(flags)
    absl_flags.DEFINE_integer("pairs", 8, "How many pairs of test images.", lower_bound=1, flag_values=flags)
    images = "These pairs of test images by index, such as 3:17,5:9, in place of pairs chosen by rule."
    absl_flags.DEFINE_list("images", [], images, flag_values=flags)
    absl_flags.DEFINE_integer("steps", 11, "How many images a path, ends included.", lower_bound=2, flag_values=flags)


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m aejax.analysis.interpolation --workdir=DIR [--pairs=N] [--images=A:B,...] [--steps=N] [--best]``."""
    return command.execute("interpolation", analyse, argv, define)
