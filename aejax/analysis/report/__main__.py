"""``python -m aejax.analysis.report``."""

import sys

from aejax.analysis.report import main

sys.exit(main())
