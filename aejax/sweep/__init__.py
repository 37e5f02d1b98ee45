"""Many models in one run: what ``config.sweep`` asks for, trained together (``aejax.sweep.run``)."""
