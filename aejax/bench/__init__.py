"""Training speed beside what people use: ``python -m aejax.bench [NAME[:PRESET] …] [--peers] [--workdir=DIR]``.

Every framework trains the same net from the same description, in a process of its own, all in one
sitting: one after another in short stretches, round by round, so that whatever else the machine does
falls on all of them. ``--peers`` adds PyTorch and Keras from an environment of their own
(``.venv-peers``), which it makes if it is not there; on Linux, PyPI's PyTorch is several GB with CUDA's
libraries, unless pip is offered a CPU build (``PIP_EXTRA_INDEX_URL``; see ``peers/requirements.txt``).

``nets`` says what is trained, ``workers`` and ``sitting`` how it is measured, ``figures`` what is
counted, ``report`` how it is told. ``ours`` is aejax's worker; ``peers/`` holds the others, run by the
peers' interpreter.
"""
