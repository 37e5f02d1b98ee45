"""``python -m aejax.analysis.activations``."""

import sys

from aejax.analysis.activations import main

sys.exit(main())
