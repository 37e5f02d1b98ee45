"""The rows: settings of papers and courses as commands, and where their figures stand in what those leave behind."""

from aejax.studies.results.definitions import Row

ROWS: tuple[Row, ...] = ()
