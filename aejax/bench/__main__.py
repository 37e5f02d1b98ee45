"""``python -m aejax.bench``."""

import sys

import jax

from aejax.bench.command import main

if __name__ == "__main__":
    jax.config.update("jax_platforms", "cpu")  # the workers compute, each in an environment of its own; this waits
    sys.exit(main())
