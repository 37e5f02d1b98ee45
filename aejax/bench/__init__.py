"""Training speed beside what people use: ``python -m aejax.bench [NAME[:PRESET][@BATCH] | operators | sweeps |
scaling …] …``.

Every framework trains the same net from the same description, in a process of its own, all in one
sitting: one after another in short stretches, round by round, so that whatever else the machine does
falls on all of them. Without names, every shipped config is measured. Each net's result is in
``bench.json`` of ``--workdir`` as soon as it is done, and the same command goes on from there.
``operators`` times single operators; ``sweeps`` many models, trained together, one after another, and
by others in a loop, into ``sweeps.json``; ``scaling`` a step against the number of devices, measured on host
devices and on paper for accelerators, into ``scaling.json``. ``--peers`` adds PyTorch, Keras and pythae from an
environment of their own (``.venv-peers``), which it makes if it is not there; on Linux, PyPI's PyTorch is several
GB with CUDA's libraries, unless pip is offered a CPU build (``PIP_EXTRA_INDEX_URL``; see
``peers/requirements.txt``).

``nets`` and ``examples`` say what is trained on what, ``description`` and ``layers`` put it in words for
others, ``operators`` and ``experiments`` list those; ``frameworks``, ``workers``, ``sitting``, ``timing``,
``sweeps`` and ``scaling`` measure; ``figures`` and, with what ``accelerators`` lists, ``roofline`` count,
``results`` keeps, ``report``, ``sweeps_report``, ``scaling_report``, ``plots`` and ``scaling_plots`` tell.
``ours``, ``ours_operators`` and ``ours_sweeps`` are aejax's worker; ``peers/`` holds the others, run by the
peers' interpreter.
"""
