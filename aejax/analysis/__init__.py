"""What a run learned: one question a module, each a command and each a set of pure functions of arrays.

``python -m aejax.analysis.NAME --workdir=DIR`` reads what a run left in DIR and
writes ``DIR/analysis/NAME.png``, ``DIR/analysis/NAME.json`` and a few lines of
words. ``command`` holds what the commands share, ``figure`` the drawing,
``files`` what is read and written, ``weights`` the way into the parameters and
``selection`` the choice of what to show.
"""
