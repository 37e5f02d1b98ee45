"""Studies: questions that take several runs to answer, ``python -m aejax.studies.NAME --config=configs/X.py``.

A study plans runs, trains those that are not finished yet, measures each from its checkpoint, and tells means and
standard deviations over seeds. It stands on top of ``train.run`` and ``aejax.load``, and is stopped and gone on with
like a run.
"""
