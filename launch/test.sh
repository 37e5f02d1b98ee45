#!/usr/bin/env bash
# Sets up .venv where that is not done, then checks style and runs the tests; arguments are passed on to pytest.
set -euo pipefail
# shellcheck source=launch/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

.venv/bin/python -m ruff check .
exec .venv/bin/python -m pytest --numprocesses=2 --dist=loadgroup "$@"
