"""``python -m aejax.studies.results``."""

import sys

from aejax.studies.results import main

sys.exit(main())
