"""The panels of the sparsity figure."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from aejax.analysis import figure
from aejax.analysis.sparsity.summary import percent
from aejax.analysis.sparsity.survey import Survey, against
from aejax.codes.variational import ACTIVE

COLOURS = (figure.BLUE, figure.VERMILLION)  # encoding, as trained
OF_MAPS = " (a map: anywhere)"
MEASURES = {
    "hoyer": {"label": "Hoyer", "fill": True, "alpha": 0.35},
    "treves_rolls": {"label": "Treves–Rolls"},
}


def draw(surveys: Sequence[Survey], firing_train: np.ndarray, noun: str, title: str, variational: bool) -> Figure:
    """Two columns of panels, those that the code has.

    Args:
      surveys: of the codes of encoding, then perhaps as trained; of test.
      firing_train: [units] shares of train, as encoded.
      noun: what an example is called.
      title: of the whole.
      variational: whether the codes are means of Gaussians.
    """
    dense = surveys[0].activity.dense
    units: Callable = _variance if dense else _firing
    given = {"firing_train": firing_train, "variational": variational}
    panels = [(_values, {}), (units, given), (_population, {}), (_lifetime, {})]
    if surveys[0].errors is not None:
        panels.append((_errors, {}))
    if any(s.kept is not None for s in surveys):
        panels.append((_tradeoff, {}))
    rows = -(-len(panels) // 2)
    names = [[f"{2 * i}", f"{min(2 * i + 1, len(panels) - 1)}"] for i in range(rows)]
    picture = figure.new(figure.PAGE, 0.6 + 2.35 * rows)
    axes = picture.subplot_mosaic(names)
    for i, (panel, more) in enumerate(panels):
        panel(axes[str(i)], surveys, noun, **more)
        figure.tidy(axes[str(i)])
        axes[str(i)].tick_params(labelsize=7)
        axes[str(i)].yaxis.get_offset_text().set_fontsize(7)
    if len(surveys) > 1:
        handles = [Line2D([], [], color=colour, label=s.how) for s, colour in zip(surveys, COLOURS, strict=False)]
        picture.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=7.5, frameon=False)
    figure.set_title(picture, title)
    return picture


def _legend(axes: Axes, **where) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=6.5, frameon=False, **where)


def _values(axes: Axes, surveys: Sequence[Survey], noun: str) -> None:
    for s, colour in zip(surveys, COLOURS, strict=False):
        zeros = 100 * s.activity.zeros / (s.activity.examples * s.activity.places * s.activity.units)
        axes.stairs(s.counts, s.edges, color=colour, label=f"beside {percent(zeros)} zeros")
    axes.set_yscale("log")
    top = max(s.counts.max() for s in surveys)
    axes.set_ylim(0.7, max(10, top) ** (1.06 + 0.09 * len(surveys)))  # with room for the legend
    figure.name_axes(axes, "Values of the code that are not 0", "activation", "count")
    _legend(axes, loc="upper right")


def _once(label: str, s: Survey, surveys: Sequence[Survey]) -> str | None:
    """The label of the first kind of codes alone: the others differ in colour, which the figure's legend tells."""
    return label if s is surveys[0] else None


def _firing(axes: Axes, surveys: Sequence[Survey], noun: str, firing_train: np.ndarray, variational: bool) -> None:
    maps = surveys[0].activity.places > 1
    curves = [("train", firing_train, figure.BLACK, "--")]
    for s, colour in zip(surveys, COLOURS, strict=False):
        curves.append((_once("test", s, surveys), s.activity.firing, colour, "-"))
        if maps:
            curves.append((_once("share of test places", s, surveys), s.activity.firing_places, colour, ":"))
    for label, share, colour, line in curves:
        ordered = 100 * np.sort(share)[::-1]
        x = np.arange(1, len(ordered) + 1)
        axes.plot(x, np.where(ordered > 0, ordered, np.nan), line, color=colour, linewidth=1.2, label=label,
                  marker="." if len(x) == 1 else None)  # fmt: skip
    positive = np.concatenate([share[share > 0] for _, share, _, _ in curves])
    if len(positive) and positive.min() < 0.02:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 104)
    _ranks(axes, len(firing_train))
    figure.name_axes(axes, "Share of firing, sorted", "rank of the unit" + OF_MAPS * maps, f"% of {noun}s")
    _legend(axes)


def _ranks(axes: Axes, units: int) -> None:
    axes.set_xlim(1 - 0.02 * units - 0.4, 1.02 * units + 0.4)
    axes.xaxis.get_major_locator().set_params(integer=True)


def _variance(axes: Axes, surveys: Sequence[Survey], noun: str, firing_train: np.ndarray, variational: bool) -> None:
    for s, colour in zip(surveys, COLOURS, strict=False):
        ordered = np.sort(s.activity.variance)[::-1]
        x = np.arange(1, len(ordered) + 1)
        axes.plot(x, np.where(ordered > 0, ordered, np.nan), "o-", markersize=2.5, color=colour)
    if variational:
        axes.axhline(ACTIVE, color=figure.GREY, linestyle="--", label="above: active (Burda et al.)")
    _ranks(axes, len(ordered))
    axes.set_yscale("log")
    what = "means" if variational else "values"
    figure.name_axes(axes, f"Variance of each unit's {what}, sorted", "rank of the unit", f"variance over test {noun}s")
    _legend(axes)


def _population(axes: Axes, surveys: Sequence[Survey], noun: str) -> None:
    _sparseness(axes, surveys, "population")
    figure.name_axes(axes, f"Population sparsity of each {noun}", "0: all units alike, 1: one alone", f"{noun}s")


def _lifetime(axes: Axes, surveys: Sequence[Survey], noun: str) -> None:
    _sparseness(axes, surveys, "lifetime")
    figure.name_axes(axes, "Lifetime sparsity of each unit", f"0: all {noun}s alike, 1: one alone", "units")


def _sparseness(axes: Axes, surveys: Sequence[Survey], which: str) -> None:
    edges, tallest = np.linspace(0, 1, 41), 1
    for s, colour in zip(surveys, COLOURS, strict=False):
        for name, style in MEASURES.items():
            values = getattr(s.activity, f"{which}_{name}")
            counts = np.histogram(np.clip(values[np.isfinite(values)], 0, 1), edges)[0]
            tallest = max(tallest, counts.max())
            axes.stairs(counts, edges, color=colour, **{**style, "label": _once(style["label"], s, surveys)})
    axes.set_xlim(0, 1)
    axes.set_ylim(0, tallest * 1.3)
    axes.yaxis.get_major_locator().set_params(integer=True)
    _legend(axes, loc="upper left", ncols=2)


def _errors(axes: Axes, surveys: Sequence[Survey], noun: str) -> None:
    survey = surveys[0]
    name, x = against(survey)
    known = np.isfinite(x)
    x, y = x[known], survey.errors[known]
    figure.name_axes(axes, f"Error of each {noun}, {survey.how}", f"{name} of the {noun}", "squared error")
    if not len(x):
        axes.text(0.5, 0.5, "no code that is not 0", ha="center", fontsize=7, transform=axes.transAxes)
        return
    columns = _edges(x, whole=name != "population sparsity (Hoyer)")
    counts, columns, rows = np.histogram2d(x, y, [columns, _edges(y)])
    shown = np.ma.masked_equal(counts.T, 0)
    norm = LogNorm(1, max(2, counts.max()))
    image = axes.pcolormesh(columns, rows, shown, cmap="cividis_r", norm=norm, rasterized=True)
    bar = axes.figure.colorbar(image, ax=axes, pad=0.01)
    bar.set_label(f"{noun}s", fontsize=7)
    bar.ax.minorticks_off()
    most = norm.vmax
    decades = [10**i for i in range(int(np.log10(most)) + 1) if 10**i < most / 1.5]
    bar.set_ticks([*decades, most], labels=[f"{tick:,.0f}" for tick in (*decades, most)])
    bar.ax.tick_params(labelsize=6.5)


def _edges(values: np.ndarray, whole: bool = False) -> np.ndarray:
    bins = int(np.clip(1.3 * np.sqrt(len(values)), 10, 40))
    low, high = values.min(), values.max()
    if whole:  # bins of equally many whole numbers each, or stripes would come of it
        step = max(1, int(np.ceil((high - low + 1) / bins)))
        return np.arange(low - 0.5, high + step, step)
    return np.linspace(low, high, bins + 1) if high > low else np.array([low - 0.5, low + 0.5])


def _tradeoff(axes: Axes, surveys: Sequence[Survey], noun: str) -> None:
    for s, colour in zip(surveys, COLOURS, strict=False):
        if s.kept is not None:
            axes.plot(s.kept, s.kept_errors, "o-", color=colour, markersize=3, linewidth=1.2)
    first = next(s for s in surveys if s.kept is not None)
    axes.axhline(first.none_kept, color=figure.GREY, linestyle="--", linewidth=1, label="none kept")
    axes.set_xscale("log")
    ends = [s.kept[-1] for s in surveys if s.kept is not None]
    ticks = [m * 10**i for i in range(7) for m in ((1,) if max(ends) > 500 else (1, 2, 5)) if m * 10**i <= max(ends)]
    axes.set_xticks(ticks, labels=[f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    drawn = np.concatenate([s.kept_errors for s in surveys if s.kept is not None])
    if drawn.max() > 100 * max(drawn.min(), 1e-30):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    maps = first.activity.places > 1
    what = "values" if maps else "units"
    figure.name_axes(axes, f"Error with the largest {what} alone", f"{what} kept of each code", "mean squared error")
    _legend(axes)
