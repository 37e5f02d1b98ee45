"""``python -m aejax.analysis.interpolation``."""

import sys

from aejax.analysis.interpolation import main

sys.exit(main())
