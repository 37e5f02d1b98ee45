"""Training speed beside what people use: ``python -m aejax.bench [NAME[:PRESET][@BATCH] | operators …] [--peers]``.

Every framework trains the same net from the same description, in a process of its own, all in one
sitting: one after another in short stretches, round by round, so that whatever else the machine does
falls on all of them. Without names, every shipped config is measured. Each net's result is in
``bench.json`` of ``--workdir`` as soon as it is done, and the same command goes on from there.
``operators`` times single operators. ``--peers`` adds PyTorch, Keras and pythae from an environment of
their own (``.venv-peers``), which it makes if it is not there; on Linux, PyPI's PyTorch is several GB with
CUDA's libraries, unless pip is offered a CPU build (``PIP_EXTRA_INDEX_URL``; see ``peers/requirements.txt``).

``nets`` and ``examples`` say what is trained on what, ``description`` and ``layers`` put it in words for
others, ``operators`` lists those; ``frameworks``, ``workers``, ``sitting`` and ``timing`` measure;
``figures`` counts, ``results`` keeps, ``report`` and ``plots`` tell. ``ours`` and ``ours_operators`` are
aejax's worker; ``peers/`` holds the others, run by the peers' interpreter.
"""
