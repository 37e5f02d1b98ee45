"""``python -m aejax.analysis.denoise``."""

import sys

from aejax.analysis.denoise import main

sys.exit(main())
