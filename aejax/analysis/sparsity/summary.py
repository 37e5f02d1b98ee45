"""What the numbers of sparsity say."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from aejax.analysis.sparsity.measures import UNVARYING, Activity, rank_correlation
from aejax.analysis.sparsity.survey import Survey, against
from aejax.analysis.sparsity.truncation import enough
from aejax.codes.variational import ACTIVE

KINDS = {"population": "the mean", "lifetime": "the mean unit"}


def summarise(numbers: Mapping[str, Any], surveys: Mapping[str, Survey], noun: str) -> list[str]:
    """What the numbers say, a sentence a line; ``noun`` is what an example is called."""
    lines = []
    if numbers["classifier"]:
        lines.append("The codes of a classifier are the features that its head reads.")
    for key, s in surveys.items():
        lines += _of_codes(numbers[key], s, noun)
        if key == "encoding":
            lines += _of_units(numbers, s.activity, noun)
        lines += _of_errors(numbers[key], s, noun)
    if numbers.get("no_tradeoff"):
        lines.append(f"No error with the largest units alone: {numbers['no_tradeoff']}.")
    return lines


def _of_codes(numbers: Mapping, s: Survey, noun: str) -> list[str]:
    a, how = s.activity, s.how.capitalize()
    if a.dense:
        what = f"all of its {a.units:,} {'maps are on everywhere' if a.places > 1 else 'units are on'}"
        first = f"{how}, the code has no exact zeros: {what} for every test {noun}."
    else:
        what = f"values of {a.places:,} places × {a.units:,} maps" if a.places > 1 else f"{a.units:,} units"
        first = f"{how}, {percent(numbers['zeros_percent'])} of the code is 0 over {a.examples:,} test {noun}s: "
        first += f"of {what} {described(numbers['l0'])} are active at once (mean, 10 to 90 %)."
    measures = [(numbers[kind][name]["mean"], kind) for name in ("hoyer", "treves_rolls") for kind in KINDS]
    told = ["unknown" if not np.isfinite(value) else f"{value:.2f}" for value, _ in measures]
    second = f"  Sparsity of {KINDS['population']} {noun} {told[0]} by Hoyer and {told[2]} by Treves–Rolls, "
    second += f"of {KINDS['lifetime']} over its lifetime {told[1]} and {told[3]} (0: all alike, 1: one alone)."
    return [first, second]


def _of_units(numbers: Mapping, a: Activity, noun: str) -> list[str]:
    found = numbers["units"]
    if "active_by_variance_of_means" in found:
        active = len(found["active_by_variance_of_means"])
        return [f"  {active} of {a.units:,} units are active: their means vary by more than {ACTIVE}."]
    if a.dense:
        flat = len(found["hardly_varying_on_test"])
        return [f"  {flat} of {a.units:,} units hardly vary: less than {UNVARYING} of the largest variance."]
    train, test = set(map(int, found["dead_on_train"])), set(map(int, found["dead_on_test"]))
    on = len(set(map(int, found["always_on_train"])) & set(map(int, found["always_on_test"])))
    line = f"  Of {a.units:,} {'maps' if a.places > 1 else 'units'} {len(train)} never fire on train"
    line += f", {len(test)} on test ({len(train & test)} on both); {on} always fire on both."
    return [line]


def _of_errors(numbers: Mapping, s: Survey, noun: str) -> list[str]:
    if s.errors is None:
        return []
    name, x = against(s)
    rho, n = rank_correlation(x, s.errors), len(x)
    lines = []
    if np.isfinite(rho):
        noise = 2 / np.sqrt(max(n - 1, 1))
        how = "no relation beyond noise" if abs(rho) < noise else "larger" if rho > 0 else "smaller"
        how = how if abs(rho) < noise else f"{how} errors where that is higher"
        lines.append(f"  Error against {name}: {how} (rank correlation {rho:+.2f}).")
    if s.kept is not None:
        lines.append(_of_tradeoff(s.kept, s.kept_errors, s.none_kept))
    return lines


def _of_tradeoff(kept: np.ndarray, errors: np.ndarray, none: float) -> str:
    least, few = int(errors.argmin()), enough(kept, errors)
    line = f"  With the largest value of each code alone the squared error is {errors[0]:.3g}, with all "
    line += f"{errors[-1]:.3g} (with none {none:.3g}); "
    best = "that" if errors[-1] <= 1.01 * errors[least] else f"the best, {errors[least]:.3g} with {kept[least]:,}"
    if none <= 1.1 * errors[least]:
        return line + f"even none comes within 10 % of {best}: the code hardly matters."
    return line + f"{few:,} {'is' if few == 1 else 'are'} enough to come within 10 % of {best}."


def percent(value: float) -> str:
    """A share with as many digits as tell it from 0 and 100 %."""
    if value in (0, 100):
        return f"{value:.0f} %"
    return f"{min(max(value, 0.1), 99.9):.1f} %"


def described(numbers: Mapping) -> str:
    """``128 (90 to 170)``: the mean of a spread and its 10 and 90 % quantiles."""
    mean, low, high = (
        f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
        for value in (numbers["mean"], numbers["quantiles"]["10 %"], numbers["quantiles"]["90 %"])
    )
    return f"{mean} ({low} to {high})"
