"""The codes of one kind, measured: as the encoder gives them, or as training has them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aejax.analysis.sparsity.measures import Activity, Tally, histogram, rank_correlation, spread
from aejax.errors import UserError


@dataclass(frozen=True)
class Survey:
    """The codes of one kind, as the encoder gives them or as training did, and what the decoder makes of them.

    Attributes:
      how: which codes, in words.
      activity: their measures.
      counts, edges: histogram of the values that are not 0, [bins] and [bins + 1].
      errors: [n] squared error of each example; None without a decoder.
      kept, kept_errors: the trade-off curve, [p] and [p]; None where it has no meaning.
      none_kept: the error of the code that is 0.
    """

    how: str
    activity: Activity
    counts: np.ndarray
    edges: np.ndarray
    errors: np.ndarray | None = None
    kept: np.ndarray | None = None
    kept_errors: np.ndarray | None = None
    none_kept: float = field(default=float("nan"))


def survey(how: str, blocks: Callable[[], Iterator], errors: Callable | None, question: str) -> Survey:
    """The measures and errors of one kind of codes.

    Args:
      how: in words.
      blocks: gives the same blocks at every call: (which examples, codes [b, places, units]).
      errors: of flat codes [b, d] and which examples they are: [b]; None without a decoder.
      question: begins the error's line.

    Raises:
      UserError: a code or an error is not finite.
    """
    tally, found = Tally(), []
    for which, codes in blocks():
        tally.add(codes)
        if errors is not None:
            found.append(errors(codes.reshape(len(codes), -1), which))
    activity = tally.activity()
    found = np.concatenate(found) if found else None
    if not (np.isfinite([activity.low, activity.high]).all() and np.isfinite(0 if found is None else found).all()):
        raise UserError(f"{question}: the codes or their reconstructions are not all finite; the training diverged")
    counts, edges = histogram((codes for _, codes in blocks()), activity.low, activity.high)
    return Survey(how, activity, counts, edges, found)


def describe(s: Survey) -> dict[str, Any]:
    """The numbers of one kind of codes."""
    a = s.activity
    values = a.examples * a.places * a.units
    numbers = {
        "how": s.how,
        "test_examples": a.examples,
        "zeros_percent": 100 * a.zeros / values,
        "exact_zeros": not a.dense,
        "range": [a.low, a.high],
        "l0": spread(a.l0),
        "active_units": spread(a.active_units),
        "population": {"hoyer": spread(a.population_hoyer), "treves_rolls": spread(a.population_treves_rolls)},
        "lifetime": {"hoyer": spread(a.lifetime_hoyer), "treves_rolls": spread(a.lifetime_treves_rolls)},
        "firing_percent_sorted": 100 * np.sort(a.firing)[::-1],
        "firing_percent_of_places_sorted": 100 * np.sort(a.firing_places)[::-1] if a.places > 1 else None,
        "variance_sorted": np.sort(a.variance)[::-1],
        "histogram": {"edges": s.edges, "counts": s.counts},
    }
    if s.errors is not None:
        numbers["squared_error"] = spread(s.errors)
        numbers["rank_correlation_of_error"] = {
            "l0": rank_correlation(a.l0.astype(float), s.errors),
            "population_hoyer": rank_correlation(a.population_hoyer, s.errors),
        }
    if s.kept is not None:
        numbers["tradeoff"] = {"kept": s.kept, "squared_error": s.kept_errors, "squared_error_of_none": s.none_kept}
    return numbers


def against(survey: Survey) -> tuple[str, np.ndarray]:
    """What the error is set against: the number of active values, or where all examples have as many Hoyer's
    population sparsity."""
    activity = survey.activity
    if np.ptp(activity.l0) > 0:
        return ("active values" if activity.places > 1 else "active units"), activity.l0.astype(float)
    return "population sparsity (Hoyer)", activity.population_hoyer
