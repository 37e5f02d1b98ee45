"""Does the decoder make new examples? Codes drawn from densities, decoded, over the nearest training images."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags as absl_flags
from matplotlib.figure import Figure

from aejax.analysis import command, figure, known_codes, strips, views, words
from aejax.analysis.samples import densities, draws, realism, sampling
from aejax.errors import UserError

TEXTS = 3  # told in words of each density
SHIFT = 10  # percent of classes that would have to change, beyond that of real codes, from which it is told
CLOSE = 5  # percent of what is drawn that is closer to train than nearly all test examples, from which it is told


def draw(panels: Sequence[tuple[str, np.ndarray, np.ndarray]], title: str, across: int) -> Figure:
    """What was drawn over its nearest training examples, a panel for each density.

    Args:
      panels: title, pictures drawn [n, h, w, 3] and the nearest ones [n, h, w, 3].
      title: of the whole.
      across: pairs in a row.
    """
    rows = [_rows(drawn, nearest, across) for _, drawn, nearest in panels]
    left, above = 0.65, 0.24
    heights = [strips.sized(panel, left, 0.1, highest=9.0 / len(rows), tile=0.62)[1] + above for panel in rows]
    width = max(strips.sized(panel, left, 0.1, highest=9.0 / len(rows), tile=0.62)[0] for panel in rows)
    picture = figure.new(max(width, 5.0), sum(heights) + 0.15 + 0.17 * (1 + title.count("\n")))
    axes = picture.subplots(len(rows), 1, squeeze=False, height_ratios=heights)[:, 0]
    for ax, panel, (name, *_) in zip(axes, rows, panels, strict=True):
        strips.draw(ax, panel, width=width)
        ax.set_title(name, fontsize=8)
    figure.set_title(picture, title)
    return picture


def _rows(drawn: np.ndarray, nearest: np.ndarray, across: int) -> list[strips.Row]:
    rows = []
    for i in range(0, len(drawn), across):
        for pictures, name in ((drawn, "drawn"), (nearest, "nearest")):
            part = pictures[i : i + across]
            rest = np.ones((across - len(part), *part.shape[1:]), np.float32)
            rows.append(strips.Row(np.concatenate([part, rest]), name, first=pictures is drawn))
    return rows


def summarise(numbers: dict, noun: str) -> list[str]:
    """What the numbers say, a sentence a line; ``noun`` is what an example is called."""
    lines, found, ideal = [], numbers["densities"], numbers["references"]
    for name, scores in found.items():
        lines.append(
            f"{_capital(scores['title'])}: {_both(scores['against_test'])} against test {noun}s, "
            f"{_both(scores['against_reconstructions'])} against their reconstructions; "
            f"{scores['over_test']:.2f} and {scores['over_reconstructions']:.2f} times as far from train as those."
        )
        if scores["outside_percent"] > 0:
            lines.append(f"  {scores['outside_percent']:.1f} % of the drawn values lie outside of the code's range.")
        real = ideal.get("class_shift_percent", 0)
        if scores.get("class_shift_percent", 0) > real + SHIFT:
            most = max(scores["nearest_classes_percent"], key=scores["nearest_classes_percent"].get)
            share = scores["nearest_classes_percent"][most]
            shift = scores["class_shift_percent"]
            lines.append(f"  Its classes are not train's: {shift:.0f} % would have to change, {real:.0f} % of real ")
            lines[-1] += f"codes'; the most frequent is {most} ({share:.0f} %)."
        if scores["closer_than_1_percent_of_test_percent"] > CLOSE:
            share = scores["closer_than_1_percent_of_test_percent"]
            lines.append(f"  {share:.0f} % of them are closer to train than the closest hundredth of the test {noun}s.")
        lines += [f"  Drawn: {words.told(text)}." for text in numbers.get("texts", {}).get(name, ())]
    f = {name: scores["against_reconstructions"]["f_percent"] for name, scores in found.items()}
    best = max(f, key=f.get)
    ties = [found[name]["title"] for name in f if name != best and f[best] - f[name] < numbers["noise_percent"]]
    lines.append(
        f"The density most like that of real codes, by the harmonic mean of the latter two ({f[best]:.0f} %): "
        f"{found[best]['title']}" + (f", within noise of {' and '.join(ties)}." if ties else ".")
    )
    lines.append(
        f"Real codes, for comparison: {_both(ideal['against_test'])} against test {noun}s, "
        f"{_both(ideal['against_reconstructions'])} against their reconstructions; and training {noun}s "
        f"{_both(ideal['images_against_test'])} against test {noun}s."
    )
    near = [s for s in found.values() if s["closer_than_1_percent_of_test_percent"] > CLOSE]
    single = ", though single ones may (above)" if near else ""
    copies = [scores["title"] for scores in found.values() if scores["copies"]]
    lines.append(
        f"Copies of training {noun}s come from {' and '.join(copies)}."
        if copies
        else f"On average none copies the training {noun}s: all are at least {realism.COPY:g} times as far from them "
        f"as new ones{single}."
    )
    if "components" in (mixture := found.get("mixture", {})):
        lines.append(_components(mixture, "" if numbers["components_given"] else numbers["chosen_on"]))
    if (noise := numbers["draws"]) is not None:
        lines.append(draws.told(noise, noun))
    return lines


def _components(mixture: Mapping, chosen_on: str) -> str:
    chosen = f"chosen by the log-density of {chosen_on}" if chosen_on else "given"
    kept = mixture.get("variance_percent", 100.0)
    part = "" if kept > 99.9 else f", on {mixture['dimensions']} principal components with {kept:.0f} % of the variance"
    beyond = "; more may be better" if mixture["components"] == densities.GRID[-1] and chosen_on else ""
    return f"The mixture has {mixture['components']} components ({chosen}{part}){beyond}."


def _both(shares: Mapping) -> str:
    return f"precision {shares['precision_percent']:.0f} %, recall {shares['recall_percent']:.0f} %"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def analyse(workdir: Path, flags) -> command.Findings:
    """The samples of the run in ``workdir``."""
    run = command.load_autoencoder(workdir, flags.best, "a sample")
    dataset = run.dataset()
    test, train = known_codes.tested(dataset, run.config.data.name, least=5), dataset.train
    noun = command.noun(run, dataset)
    codes, valid = (known_codes.flat_codes(run, split, posterior=True) for split in (train, dataset.valid))
    if flags.components > len(codes) // 2:
        raise UserError(f"--components={flags.components}: accepted are 0 to {len(codes) // 2}, half of the codes")
    found = densities.fitted(run, codes, valid, flags.components, flags.seed)
    total = float(known_codes.comparable(run, train.images[: sampling.SCORED]).sum(axis=(1, 2, 3)).mean())
    sets = sampling.Sets.of(run, dataset, total)
    count = max(len(sets.test), flags.images)
    drawn, references, nearest = sampling.draw_all(run, train, sets, found, count, total, flags.seed)
    names = [] if train.labels is None else command.class_names(dataset, train.labels)
    noise, more = draws.drawn(run, test, flags.seed, noun)
    numbers = {
        **command.about(run),
        "seed": flags.seed,
        "compared": len(sets.test),
        "train_examples": len(train.images),
        "noise_percent": 100 / np.sqrt(len(sets.test)),  # two standard errors of a share near a half
        "components_given": bool(flags.components),
        "chosen_on": "valid" if len(valid) else "a tenth of train",
        "distance_to_train": {name: away.mean() for name, away in references.items()},
        "references": {**sets.scores(), **sampling.class_shift(train, nearest, names)},
        "densities": {
            name: sampling.score(d, sets, references, train, names, flags.images) for name, d in drawn.items()
        },
        "draws": noise,
    }
    if run.words:
        numbers["texts"] = {
            name: [words.largest(x.ravel(), run.words) for x in d.examples[:TEXTS]] for name, d in drawn.items()
        }
    panels = []
    for name, d in drawn.items():
        caption = f"{d.density.title}: {_both(numbers['densities'][name]['against_reconstructions'])}"
        panels.append((caption, *pictured(run, d.examples[: flags.images], train.images[d.rows[: flags.images]])))
    h, w = panels[0][1].shape[1:3]
    picture = draw(panels, _title(run, dataset, flags.images, noun), max(4, min(10, round(10 * h / w), flags.images)))
    return command.Findings(picture, numbers, summarise(numbers, noun), more)


def _title(run: Any, dataset: Any, images: int, noun: str) -> str:
    title = f"{command.heading(run)}: {images} {noun}s from each density over the codes\n"
    title += f"over the nearest of {len(dataset.train.images):,} training {noun}s\n"
    title += f"precision and recall: against reconstructed test {noun}s"
    return title + (f"\n{arranged}" if (arranged := views.layout(dataset.shape)) else "")


def pictured(run: Any, drawn: np.ndarray, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Examples drawn and the raw training images nearest to them, [n, h, w, c] each, as pictures [n, H, W, 3]."""
    nearest = np.asarray(run.picture(known_codes.comparable(run, raw), like=raw))
    return views.viewable(np.asarray(run.picture(drawn, like=raw)), nearest), views.viewable(nearest)


def define(flags) -> None:
    """The flags of this command."""
    command.define_best(flags)
    absl_flags.DEFINE_integer("images", 20, "How many to draw from each density.", lower_bound=1, flag_values=flags)
    components = "Components of the mixture; 0 chooses by the log-density of the valid codes."
    absl_flags.DEFINE_integer("components", 0, components, lower_bound=0, flag_values=flags)
    absl_flags.DEFINE_integer("seed", 0, "Of the fits and of what is drawn.", lower_bound=0, flag_values=flags)


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m aejax.analysis.samples --workdir=DIR [--images=N] [--components=K] [--seed=S] [--best]``."""
    return command.execute("samples", analyse, argv, define)
