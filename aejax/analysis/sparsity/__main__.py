"""``python -m aejax.analysis.sparsity``."""

import sys

from aejax.analysis.sparsity import main

sys.exit(main())
