"""What a run learned: one question a module, each a command and each a set of pure functions of arrays.

``python -m aejax.analysis.NAME --workdir=DIR`` reads what a run left in DIR and
writes ``DIR/analysis/NAME.png``, ``DIR/analysis/NAME.json`` and a few lines of
words; ``report`` asks everything of one run, ``compare`` sets runs side by side, and
``sweep`` tells what the members of a sweep came to, in its own workdir. A
question with much to it is a package, with what it alone needs beside its command.

What several share: ``command`` the flags and the run, ``results`` what is written and
read back, ``progress`` how far it is; ``figure`` the drawing, ``curves`` and ``bands``
that of figures over epochs and of means, ``averaged`` the lines of a sweep, ``strips`` rows of
pictures, ``tables`` numbers as text, ``views`` what an example looks like, ``words``
what a text says; ``features`` and ``known_codes`` the codes, ``quantised`` those of a
codebook, ``nearest`` and ``nearest_images`` neighbours, ``latent_plane`` the axes of
two-dimensional codes; ``weights`` the way into the parameters, and ``selection`` the
choice of what to show.
"""
