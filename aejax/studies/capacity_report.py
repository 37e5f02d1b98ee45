"""What the study of capacity shows: its table, its figure, and its sentences."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from aejax.analysis import bands, figure
from aejax.tables import Mean, number

LOOK = {"train": (figure.BLUE, "o"), "valid": (figure.VERMILLION, "s"), "test": (figure.BLACK, "^")}
WAYS = {"by_resampling": "resampling", "by_seed": "seed alone"}
NATS = dict.fromkeys(("squared_error", "sigmoid_squared_error"), "squared error")  # likelihoods whose terms are no nats


def best_size(rows: Sequence[Mapping[str, Any]], split: str) -> Mapping[str, Any] | None:
    """The row with the lowest mean reconstruction term of a split, the smaller size of equals; None without it."""
    known = [row for row in rows if split in row["reconstruction_per_pixel"]]
    return min(known, key=lambda row: row["reconstruction_per_pixel"][split].mean, default=None)


def within(rows: Sequence[Mapping[str, Any]], best: Mapping[str, Any], split: str) -> Mapping[str, Any]:
    """The smallest size whose mean is no further from that of the best than the best's standard deviation."""
    value = best["reconstruction_per_pixel"][split]
    limit = value.mean + (value.std or 0.0)
    return next(row for row in rows if row["reconstruction_per_pixel"][split].mean <= limit)


def tabulate(numbers: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row a size: the reconstruction term a pixel, then squared errors a test example."""
    table = []
    for row in numbers["rows"]:
        cells: dict[str, Any] = {"size": row["size"]}
        cells |= {f"{split} a pixel": value for split, value in row["reconstruction_per_pixel"].items()}
        cells["test squared error"] = row["squared_error"]["test"]
        for way, name in WAYS.items():
            if row[way]:
                cells |= {f"bias², {name}": row[way]["bias_squared"], f"variance, {name}": row[way]["variance"]}
        cells["PCA"] = (row["principal_components"] or {}).get("test")
        table.append(cells)
    return table


# -- figure


def draw(numbers: Mapping[str, Any], name: str) -> Figure:
    """Left, the reconstruction term of each split against size; right, bias², variance and their sum on test."""
    rows = numbers["rows"]
    seeds, models = len(numbers["seeds"]), (rows[0]["by_resampling"] or {}).get("models", 0)
    f = figure.new(height=3.5)
    left, right = f.subplots(1, 2)
    _errors(left, numbers)
    _variance(right, rows)
    for axes in (left, right):
        figure.tidy(axes)
        axes.set_xlabel("code size, units", fontsize=8)
        axes.legend(fontsize=7, frameon=False)
        if rows[-1]["size"] > 30 * rows[0]["size"]:
            axes.set_xscale("log")
    of = f"mean ± standard deviation of {seeds} seeds" if seeds > 1 else "one seed"
    sampled = f"; right, {models} bootstrap samples of train" if models else ""
    figure.set_title(f, f"{name}: how large should the code be?\nLeft, {of}{sampled}")
    return f


def _errors(axes: Axes, numbers: Mapping[str, Any]) -> None:
    rows = numbers["rows"]
    for split, (colour, marker) in LOOK.items():
        known = [row for row in rows if split in row["reconstruction_per_pixel"]]
        if known:
            values = [row["reconstruction_per_pixel"][split] for row in known]
            bands.draw(axes, [row["size"] for row in known], values, split, colour, marker)
    if best := best_size(rows, "valid"):
        axes.axvline(best["size"], color=figure.GREY, linewidth=0.9, linestyle=":", zorder=0, label="lowest on valid")
    unit = NATS.get(numbers["likelihood"], "nats")
    axes.set_title(f"reconstruction term, {unit} a pixel", fontsize=9)


def _variance(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """Of the models on bootstrap samples, thinner of the seeds alone, and the reference."""
    drawn = []
    for way, width, line in (("by_resampling", 1.5, "-"), ("by_seed", 0.9, "--")):
        known = [row for row in rows if row[way]]
        label = "" if way == "by_resampling" else ", seed alone"
        for key, name, colour, marker in (
            ("error", "bias² + variance", figure.BLACK, "^"),
            ("bias_squared", "bias²", figure.BLUE, "o"),
            ("variance", "variance", figure.VERMILLION, "s"),
        ):
            if known and (key == "variance" or way == "by_resampling" or not rows[0]["by_resampling"]):
                style = {"color": colour, "marker": marker, "linestyle": line, "linewidth": width, "markersize": 3.5}
                drawn += (values := [row[way][key] for row in known])
                axes.plot([row["size"] for row in known], values, label=name + label, **style)
    if not drawn:  # neither samples nor seeds to take a variance over
        bands.draw(axes, [r["size"] for r in rows], [r["squared_error"]["test"] for r in rows], "test", figure.BLACK)
    known = [row for row in rows if row["principal_components"]]
    if known:
        values = [row["principal_components"]["test"] for row in known]
        style = {"color": figure.GREEN, "linestyle": "-.", "linewidth": 1.2, "label": "as many principal components"}
        axes.plot([row["size"] for row in known], values, **style)
    if drawn and max(drawn) > 20 * min(drawn) > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_title("squared error of a test example", fontsize=9)


# -- sentences


def summarise(numbers: Mapping[str, Any]) -> list[str]:
    """What the numbers say."""
    rows = numbers["rows"]
    lines = [*_course(numbers), *_choice(rows)]
    for way in WAYS:
        lines += _trade_off(rows, way)
    return [*lines, *_share_of_seed(rows), *_reference(rows)]


def _course(numbers: Mapping[str, Any]) -> list[str]:
    rows, unit = numbers["rows"], NATS.get(numbers["likelihood"], "nats")
    first, last, best = rows[0], rows[-1], best_size(rows, "test")
    at = lambda row, split: row["reconstruction_per_pixel"][split]  # noqa: E731
    ends = [f"{at(row, 'test')}{of} at {row['size']}" for row, of in ((first, f" {unit} a pixel"), (last, ""))]
    course = f"goes from {ends[0]} units to {ends[1]}"
    after = at(last, "test").mean - at(best, "test").mean
    turn = "and is lowest there" if best is last else f"and is lowest in between, {at(best, 'test')} at {best['size']}"
    if best is first:
        turn = "and only rises"
    elif best is not last and after <= (at(best, "test").std or 0.0):
        turn = f"and is level from {best['size']} units on, within the deviation over seeds"
    return [
        f"The test error {course}, {turn}.",
        f"Test lies {_gap(first)} train at {first['size']} units and {_gap(last)} it at {last['size']}.",
    ]


def _gap(row: Mapping[str, Any]) -> str:
    """How far test lies from train: ``2.4 % above``; in the term's unit where it may be negative."""
    test, train = (row["reconstruction_per_pixel"][split].mean for split in ("test", "train"))
    size = f"{100 * abs(test / train - 1):.1f} %" if min(test, train) > 0 else number(abs(test - train))
    return f"{size} {'above' if test >= train else 'below'}"


def _choice(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    best = best_size(rows, "valid")
    if best is None:
        return ["There is no valid split to choose a size on."]
    small = within(rows, best, "valid")
    test: Mean = best["reconstruction_per_pixel"]["test"]
    told = f"Valid would choose {best['size']} units, at which test is {test}"
    return [told + (f"; {small['size']} units are within a standard deviation of it." if small is not best else ".")]


def _trade_off(rows: Sequence[Mapping[str, Any]], way: str) -> list[str]:
    known = [row for row in rows if row[way]]
    if len(known) < 2:
        return []
    first, last = known[0], known[-1]
    best = min(known, key=lambda row: row[way]["error"])
    bias, variance = ([number(row[way][key]) for row in (first, last)] for key in ("bias_squared", "variance"))
    share = [100 * row[way]["variance"] / row[way]["error"] for row in (first, last)]
    where = "the largest code" if best is last else f"{best['size']} units"
    over = {"by_resampling": "bootstrap samples of train", "by_seed": "seeds"}[way]
    return [
        f"Over {first[way]['models']} {over}, from {first['size']} to {last['size']} units, bias² goes from {bias[0]} "
        f"to {bias[1]} and variance from {variance[0]} to {variance[1]}, that is from {share[0]:.1f} % to "
        f"{share[1]:.1f} % of the squared error of a test example; their sum is lowest at {where}."
    ]


def _share_of_seed(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    known = [row for row in rows if row["by_resampling"] and row["by_seed"]]
    if not known:
        return []
    # of single models, from however many: variance · M / (M − 1)
    spread = lambda part: part["variance"] * part["models"] / (part["models"] - 1)  # noqa: E731
    shares = [100 * spread(row["by_seed"]) / spread(row["by_resampling"]) for row in known]
    low, high = min(shares), max(shares)
    told = f"The seed alone makes {low:.0f} % to {high:.0f} % of the variance that seed and sample make together"
    return [told + (" (above 100 %: too few models to tell)." if high > 100 else ".")]


def _reference(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    known = [row for row in rows if row["principal_components"]]
    if not known:
        return ["Codes of so many numbers leave principal components nothing to lose, so there is no such reference."]
    ratios = [row["squared_error"]["test"].mean / row["principal_components"]["test"] for row in known]
    better = [str(row["size"]) for row, ratio in zip(known, ratios, strict=True) if ratio < 1]
    i, j = int(np.argmin(ratios)), int(np.argmax(ratios))
    told = f"at {', '.join(better)} units" if better else "at no size"
    return [
        f"It beats as many principal components {told}: its squared error on test is {ratios[i]:.2f} times theirs at "
        f"{known[i]['size']} units and {ratios[j]:.2f} times at {known[j]['size']}."
    ]
