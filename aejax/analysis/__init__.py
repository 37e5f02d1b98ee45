"""What a run learned: one question a module, each a command and each a set of pure functions of arrays.

``python -m aejax.analysis.NAME --workdir=DIR`` reads what a run left in DIR and
writes ``DIR/analysis/NAME.png``, ``DIR/analysis/NAME.json`` and a few lines of
words. ``command`` holds what the commands share, ``figure`` the drawing, ``views``
what an example looks like, ``weights`` the way into the parameters, ``texture`` what
weight images are like in numbers, ``features`` what a probe reads, ``words`` what a
text says, and ``selection`` the choice of what to show. ``results`` writes and reads
back, ``report`` asks everything of one run and ``page`` is what it writes;
``compare`` sets runs side by side, by the measures of ``contestants`` and ``scores``.
"""
