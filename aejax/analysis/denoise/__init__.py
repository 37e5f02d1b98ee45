"""How much noise does the autoencoder take away, and from which level on is that better than leaving it?

Test images are corrupted to one level after another, with the run's own corruption
unless another is asked for, restored, and compared with the clean ones: peak
signal-to-noise ratio (dB, for the peak that the figure names, 1 for pixels) and
structural similarity; sound, texts and vectors, which have no peak, by their
signal-to-noise ratio alone. Beside the autoencoder, at each level: the best affine
map, fitted on train, and the best of some filters, both chosen on valid. Corruption
acts at the scale of the model's input, as in training; whitening is undone before
anything is compared, and restorations are clipped to the range of train.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import flags as absl_flags

from aejax.analysis import command, selection
from aejax.analysis.denoise import denoisers, image_quality, noise
from aejax.analysis.denoise.panels import draw_curves, draw_sheet
from aejax.analysis.denoise.summary import summarise
from aejax.analysis.reconstructions import expected
from aejax.errors import UserError

VALUES = 2**25  # of the corrupted training images that are held at a time
DRAWS = 4  # of noise for each training image at most, where there are few
MOST_DB = 10 * float(np.log10(12 * 255**2))  # 58.9: the error of rounding to 8 bits; smaller ones count as it
SHOWN = 5  # levels on the sheet


class Examples(NamedTuple):
    """Some of a split: raw as they came, at the scale of the model's input, and as what is compared; [n, h, w, c]."""

    raw: np.ndarray
    prepared: np.ndarray
    clean: np.ndarray

    @classmethod
    def of(cls, run: Any, raw: np.ndarray) -> "Examples":
        """Of raw images [n, h, w, c]."""
        prepared = np.asarray(run.prepare(raw))
        return cls(raw, prepared, _picture(run, prepared, raw))


def _picture(run: Any, x: np.ndarray, raw: np.ndarray) -> np.ndarray:
    return np.asarray(run.picture(x, like=raw)) if len(x) else x


def quality(clean: np.ndarray, other: np.ndarray, image: bool, peak: float) -> dict[str, np.ndarray]:
    """Measures [n] by name: ``psnr`` and ``ssim`` of images, ``snr`` of other examples; decibels at most 58.9."""
    if image:
        psnr = np.minimum(image_quality.psnr(clean, other, peak), MOST_DB)
        return {"psnr": psnr, "ssim": image_quality.ssim(clean, other, peak)}
    return {"snr": np.minimum(image_quality.snr(clean, other), MOST_DB)}


def intervals(levels: Sequence[float], gain: Sequence[float]) -> list[dict[str, float | None]]:
    """Where the gain, a number at each ascending level, is above 0, straight lines between the levels.

    Returns:
      ``{"from", "to"}`` of each stretch, ascending; None for an end where the levels end.
    """
    found: list[dict[str, float | None]] = []
    for i, value in enumerate(gain):
        before = gain[i - 1] if i else value
        if i and (value > 0) != (before > 0):
            crossing = levels[i - 1] + (levels[i] - levels[i - 1]) * before / (before - value)
            if value > 0:
                found.append({"from": float(crossing), "to": None})
            else:
                found[-1]["to"] = float(crossing)
        elif not i and value > 0:
            found.append({"from": None, "to": None})
    return found


def describe(qualities: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """The mean and the standard deviation over the examples of each measure [n]; NaN are left out."""
    return {name: {"mean": np.nanmean(values), "std": np.nanstd(values)} for name, values in qualities.items()}


def rivals(train: tuple[np.ndarray, np.ndarray], valid: tuple[np.ndarray, np.ndarray]) -> dict[str, denoisers.Denoiser]:
    """The denoisers fitted to pairs of clean and corrupted examples [n, h, w, c], by name: ``affine`` where the
    examples are not too large for it, and ``filter`` where they have places or times to filter along."""
    shape = valid[0].shape[1:]
    found = {"affine": denoisers.affine(*train, valid)} if np.prod(shape) <= denoisers.MOST else {}
    return {**found, "filter": denoisers.filtering(valid)} if max(shape[:2]) > 1 else found


def measure_level(
    run: Any, noise_: noise.Noise, level: float, seed: int, splits: Mapping[str, Examples], judge: Callable
) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """One level of noise: its numbers, the corrupted test examples and the restored ones, as pictures.

    Args:
      run: the run.
      noise_: the corruption.
      level: of it.
      seed: of it.
      splits: ``train``, ``valid`` and ``test``.
      judge: restorations to measures by name, as ``quality`` gives for the clean test examples.
    """

    def corrupted(split: str, draw: str) -> tuple[np.ndarray, np.ndarray]:
        x = noise_(splits[split].prepared, level, seed, draw)
        return x, _picture(run, x, splits[split].raw)

    train = splits["train"].clean
    draws = int(np.clip(VALUES // max(train.size, 1), 1, DRAWS))
    noisy = np.concatenate([corrupted("train", f"train {i}")[1] for i in range(draws)])
    valid = (splits["valid"].clean, corrupted("valid", "valid")[1])
    x, picture = corrupted("test", "test")
    outputs = expected(run.restore(x), x, run.config.get("loss", {}).get("likelihood"))
    low, high = float(train.min()), float(train.max())
    restored = np.clip(_picture(run, outputs, splits["test"].raw), low, high)
    if not np.isfinite(restored).all():
        raise UserError("denoise: the outputs are not all finite; the training diverged")
    found = rivals((np.tile(train, (draws, 1, 1, 1)), noisy), valid)
    measures = {"corrupted": judge(picture), "restored": judge(restored)}
    measures |= {name: judge(np.clip(rival.restore(picture), low, high)) for name, rival in found.items()}
    gain = next(iter(measures["restored"].values())) - next(iter(measures["corrupted"].values()))
    gain = gain[np.isfinite(gain)]
    numbers = {
        "level": level,
        **{name: describe(values) for name, values in measures.items()},
        "chosen": {name: rival.what for name, rival in found.items()},
        "gain": {"mean": gain.mean(), "standard_error": gain.std() / np.sqrt(len(gain)), "examples": len(gain)},
    }
    return numbers, picture, restored


def material(run: Any, dataset: Any, limit: int) -> tuple[dict[str, Examples], np.ndarray]:
    """The examples of the three splits that are used, and which of test they are: the first ``limit`` evenly spaced
    ones of test (0: all) and of valid, and of train as many as memory has room for. Without a valid split the last
    tenth of train is left out of it and stands in."""
    images = {name: getattr(dataset, name).images for name in ("train", "valid", "test")}
    most = {"train": max(2, VALUES // int(np.prod(dataset.shape))), "valid": limit, "test": limit}
    rows = {name: selection.evenly(len(x), most[name] or len(x)) for name, x in images.items()}
    chosen = {name: images[name][index] for name, index in rows.items()}
    if not len(chosen["valid"]):
        cut = len(chosen["train"]) - max(1, len(chosen["train"]) // 10)
        chosen["train"], chosen["valid"] = chosen["train"][:cut], chosen["train"][cut:]
    return {name: Examples.of(run, x) for name, x in chosen.items()}, rows["test"]


def _peak(clean: np.ndarray) -> float:
    """1 where values lie in [0, 1], but for the rounding of whitening undone; else their range."""
    low, high = float(clean.min()), float(clean.max())
    return 1.0 if low >= -1e-3 and high <= 1 + 1e-3 else high - low


def _usual(x: np.ndarray, section: Mapping[str, Any], parameter: str) -> float:
    """The level that others lie around where none was trained with: the config's, or for noise on values outside
    [0, 1] half their standard deviation."""
    if parameter != "std" or 0 <= x.min() <= x.max() <= 1:
        return section[parameter]
    return float(f"{x.std() / 2:.2g}")


def analyse(workdir: Path, flags) -> command.Findings:
    """The denoising of the run in ``workdir``."""
    run = command.load_autoencoder(workdir, flags.best, "restoring")
    dataset, section = run.dataset(), run.config.corruption
    word, image = command.noun(run, dataset), dataset.shape[0] > 1
    if not len(dataset.test.images):
        raise UserError(f"denoise: the test split of {run.config.data.name} is empty; it needs a test {word}")
    splits, rows = material(run, dataset, flags.limit)
    chosen = noise.choose(section, flags.corruption, splits["train"].prepared)
    usual = _usual(splits["train"].prepared, section, chosen.parameter)
    levels = noise.levels(chosen, flags.levels, usual)
    clean, peak = splits["test"].clean, _peak(splits["train"].clean)
    found, pictures = [], {}
    shown = selection.evenly(len(clean), flags.images)
    if dataset.test.labels is not None:
        shown = selection.by_class(np.asarray(dataset.test.labels)[rows], flags.images)
    for level in levels:
        judge = lambda x: quality(clean, x, image, peak)  # noqa: E731
        numbers, *pair = measure_level(run, chosen, level, flags.seed, splits, judge)
        found.append(numbers)
        pictures[level] = [x[shown] for x in pair]
    measures = list(found[0]["restored"])
    names = [name for name in ("affine", "filter") if name in found[0]]
    numbers = {
        **command.about(run),
        "corruption": {"name": chosen.name, "level": chosen.parameter, **chosen.fixed, "trained": chosen.trained},
        "examples": {name: len(x.raw) for name, x in splits.items()},
        "peak": peak if image else None,
        "measures": {name: {"psnr": "dB", "snr": "dB", "ssim": "of 1"}[name] for name in measures},
        "levels": found,
        "helps": {m: intervals(levels, [r["restored"][m]["mean"] - r["corrupted"][m]["mean"] for r in found])
                  for m in measures},
        "beats_all": intervals(
            levels,
            [r["restored"][measures[0]]["mean"] - max(r[n][measures[0]]["mean"] for n in ("corrupted", *names))
             for r in found]),
        "shown": rows[shown],
    }  # fmt: skip
    only = command.training_only({**run.config.to_dict(), "corruption": {"name": "none"}})
    title = f"{command.heading(run)}: {_title(chosen, word, len(clean))}"
    sheet = draw_sheet(clean[shown], _some(pictures, chosen.trained), numbers, title)
    curves = draw_curves(numbers, title)
    return command.Findings(sheet, numbers, summarise(numbers, word, only), {"curves": curves})


def _title(chosen: noise.Noise, word: str, n: int) -> str:
    trained = f"trained at {chosen.trained:g}" if chosen.trained is not None else "not trained with"
    return f"{n:,} test {word}s under {chosen.name}, by its {chosen.parameter} ({trained})"


def _some(pictures: Mapping[float, list], trained: float | None) -> dict[float, list]:
    """At most ``SHOWN`` levels, evenly spaced, the trained one among them."""
    levels = list(pictures)
    index = set(selection.evenly(len(levels), SHOWN).tolist())
    if trained in levels and levels.index(trained) not in index:
        nearest = min(index, key=lambda i: abs(i - levels.index(trained)))
        index = index - {nearest} | {levels.index(trained)}
    return {levels[i]: pictures[levels[i]] for i in sorted(index)}


def define(flags) -> None:
    """The flags of this command."""
    command.define_best(flags)
    text = f"Another corruption than the run's own: {', '.join(noise.known())}."
    absl_flags.DEFINE_string("corruption", "", text, flag_values=flags)
    text = "Levels of its std or rate, such as 0.1,0.2,0.4; around the trained one unless given."
    absl_flags.DEFINE_list("levels", [], text, flag_values=flags)
    absl_flags.DEFINE_integer("images", 10, "How many test images to draw.", lower_bound=1, flag_values=flags)
    text = "Measure so many test images, evenly spaced; 0 measures all."
    absl_flags.DEFINE_integer("limit", 1000, text, lower_bound=0, flag_values=flags)
    text = "Of the noise."
    absl_flags.DEFINE_integer("seed", 0, text, lower_bound=0, upper_bound=2**32 - 1, flag_values=flags)


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m aejax.analysis.denoise --workdir=DIR [--corruption=NAME] [--levels=A,B,…] [--images=N] [--limit=N]
    [--seed=N] [--best]``."""
    return command.execute("denoise", analyse, argv, define)
