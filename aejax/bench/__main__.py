"""``python -m aejax.bench``."""

import sys

from aejax.bench.command import main

if __name__ == "__main__":
    sys.exit(main())
