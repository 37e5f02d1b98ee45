"""``python -m aejax.analysis.latents``."""

import sys

from aejax.analysis.latents import main

sys.exit(main())
