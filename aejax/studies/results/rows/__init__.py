"""The rows: settings of papers and courses as commands, and where their figures stand in what those leave behind.

Accuracies of codes are of test, with whatever is chosen chosen on valid. ``published`` is what its source prints; an
error e of a classifier is there the accuracy 100 − e.
"""

from aejax.studies.results.definitions import Row
from aejax.studies.results.rows.codes import HASHING, PLANE
from aejax.studies.results.rows.density import LIKELIHOOD, OTHER
from aejax.studies.results.rows.pretraining import CONTRACTIVE, FEW_LABELS, STACKED
from aejax.studies.results.rows.reconstruction import CAPACITY, COURSE, DEEP
from aejax.studies.results.rows.sparse import DEAD_UNITS, K_SPARSE, WINNER_TAKE_ALL

ROWS: tuple[Row, ...] = (
    *(COURSE, WINNER_TAKE_ALL, K_SPARSE, CONTRACTIVE, STACKED, DEEP, LIKELIHOOD, OTHER, PLANE, FEW_LABELS),
    *(HASHING, CAPACITY, DEAD_UNITS),
)
