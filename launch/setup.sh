# shellcheck shell=bash
# Sourced by the other scripts: changes to the project's root, and leaves a .venv there that holds requirements.txt.
# The second call finds it done and touches nothing. PYTHON names another interpreter than the newest that is found;
# EXTRA=cuda12, cuda13 or tpu adds what JAX needs for such a machine, and is remembered.
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

wanted() {
  cat requirements.txt
  if [[ -n ${EXTRA:-} ]]; then echo "jax[$EXTRA]"; fi
}

stamp=.venv/requirements.done
EXTRA=${EXTRA:-$(sed -n 's/^jax\[\(.*\)\]$/\1/p' "$stamp" 2>/dev/null || true)}
if [[ "$(cat "$stamp" 2>/dev/null)" != "$(wanted)" ]]; then
  if ! .venv/bin/python -c '' 2>/dev/null; then
    python=$(find_python)
    "$python" -m venv --clear .venv
  fi
  echo "aejax: installing requirements.txt${EXTRA:+ and jax[$EXTRA]} into .venv (once)" >&2
  wanted >.venv/requirements.txt
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -r .venv/requirements.txt
  mv .venv/requirements.txt "$stamp"
fi
