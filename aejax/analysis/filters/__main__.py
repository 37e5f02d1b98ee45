"""``python -m aejax.analysis.filters``."""

import sys

from aejax.analysis.filters import main

sys.exit(main())
