"""``python -m aejax.analysis.sweep``."""

import sys

from aejax.analysis.sweep import main

sys.exit(main())
