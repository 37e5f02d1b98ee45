"""``python -m aejax.analysis.walk``."""

import sys

from aejax.analysis.walk import main

sys.exit(main())
