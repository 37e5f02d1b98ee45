# shellcheck shell=bash
# Sourced by the other scripts: changes to the project's root, and leaves a .venv there that holds requirements.txt.
# The second call finds it done and touches nothing. PYTHON names another interpreter than the newest that is found.
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3.13 python3.12 python3.11 python3 python; do
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "aejax: no Python 3.11 or newer with venv is on the PATH (Debian: apt install python3-venv); PYTHON=... names one" >&2
  exit 2
}

stamp=.venv/requirements.done
if [[ "$(cat "$stamp" 2>/dev/null)" != "$(cat requirements.txt)" ]]; then
  if ! .venv/bin/python -c '' 2>/dev/null; then
    python=$(find_python)
    "$python" -m venv --clear .venv
  fi
  echo "aejax: installing requirements.txt into .venv (once)" >&2
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
  cp requirements.txt "$stamp"
fi
