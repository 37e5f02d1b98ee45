"""``python -m aejax.analysis.likelihood``."""

import sys

from aejax.analysis.likelihood import main

sys.exit(main())
