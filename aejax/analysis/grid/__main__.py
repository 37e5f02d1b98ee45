"""``python -m aejax.analysis.grid``."""

import sys

from aejax.analysis.grid import main

sys.exit(main())
