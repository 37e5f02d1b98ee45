"""``python -m aejax.analysis.samples``."""

import sys

from aejax.analysis.samples import main

sys.exit(main())
