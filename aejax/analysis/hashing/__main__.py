"""``python -m aejax.analysis.hashing``."""

import sys

from aejax.analysis.hashing import main

sys.exit(main())
