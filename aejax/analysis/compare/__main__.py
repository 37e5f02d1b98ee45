"""``python -m aejax.analysis.compare``."""

import sys

from aejax.analysis.compare import main

sys.exit(main())
