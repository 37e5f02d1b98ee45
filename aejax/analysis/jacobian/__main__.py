"""``python -m aejax.analysis.jacobian``."""

import sys

from aejax.analysis.jacobian import main

sys.exit(main())
