"""``python -m aejax.bench``."""

import signal
import sys

import jax

from aejax.bench.command import main

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: workers end, and nothing stays behind
    jax.config.update("jax_platforms", "cpu")  # the workers compute, each in an environment of its own; this waits
    sys.exit(main())
