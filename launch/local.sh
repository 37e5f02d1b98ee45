#!/usr/bin/env bash
# Sets up .venv where that is not done, then trains: configs/wta.py unless the arguments name another --config.
# All arguments are passed on to aejax.main.
set -euo pipefail
# shellcheck source=launch/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

config=(--config=configs/wta.py)
for argument in "$@"; do
  case $argument in
    --config | --config=* | -config | -config=*) config=() ;;
  esac
done
exec .venv/bin/python -m aejax.main "${config[@]}" "$@"
