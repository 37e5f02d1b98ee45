"""``python -m aejax.analysis.probe``."""

import sys

from aejax.analysis.probe import main

sys.exit(main())
