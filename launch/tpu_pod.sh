#!/usr/bin/env bash
# A Cloud TPU VM, of one host or a pod of many: create it, install on all its workers, run on all, delete it.
set -euo pipefail

usage() {
  cat <<'END'
launch/tpu_pod.sh create          makes the TPU
launch/tpu_pod.sh install         copies the project to every worker, sets it up there, mounts $SHARE at /shared
launch/tpu_pod.sh run --config=FILE --workdir=/shared/NAME [--config.KEY=VALUE ...]
                                  trains on all workers as one run; stopped or cut off, the same command goes on
launch/tpu_pod.sh stop            has the run save and stop
launch/tpu_pod.sh delete          deletes the TPU, and all that is on its own disks
launch/tpu_pod.sh all --config=FILE --workdir=/shared/NAME [--config.KEY=VALUE ...]
                                  create, install, run; again whenever the TPU is preempted; deletes it at the end
launch/tpu_pod.sh ssh COMMAND     on every worker

Variables, here with their defaults; gcloud's own configuration names the project:
  NAME=aejax  ZONE=us-central1-a  TYPE=v5litepod-16  VERSION=v2-alpha-tpuv5-lite
  SPOT=         anything: a TPU that is cheap and may be preempted
  SHARE=        what NFS server has the workdir, such as 10.0.0.2:/share (a Filestore instance): workers share no disk of
                their own. Without it mount one by `ssh` (NFS, or gcsfuse of a bucket with a hierarchical namespace);
                gs:// paths are not accepted.
END
}

: "${NAME:=aejax}" "${ZONE:=us-central1-a}" "${TYPE:=v5litepod-16}" "${VERSION:=v2-alpha-tpuv5-lite}"
: "${SPOT:=}" "${SHARE:=}" "${PAUSE:=60}"
PROCESS='^\.venv/bin/python -m aejax\.main'

tpu() { gcloud compute tpus tpu-vm "$1" "$NAME" --zone="$ZONE" "${@:2}"; }

workers() { tpu ssh --worker=all --command="$1"; }

create() { tpu create --accelerator-type="$TYPE" --version="$VERSION" ${SPOT:+--spot}; }

install() {
  cd "$(dirname "${BASH_SOURCE[0]}")/.."
  local archive
  archive=$(mktemp)
  trap 'rm -f "$archive"' RETURN
  tar --exclude=./.git --exclude=./.venv --exclude=./.venv-peers --exclude=./runs -czf "$archive" .
  gcloud compute tpus tpu-vm scp "$archive" "$NAME:aejax.tar.gz" --zone="$ZONE" --worker=all
  # Their own Python may be older than 3.11; uv brings another. What stands in quotes expands there, not here.
  # shellcheck disable=SC2016
  workers 'set -e
    mkdir -p aejax && tar -xzf aejax.tar.gz -C aejax && cd aejax
    python3 -m pip install --quiet --user uv && ~/.local/bin/uv python install --quiet 3.12
    PYTHON=$(~/.local/bin/uv python find 3.12) EXTRA=tpu bash -ec "source launch/setup.sh"'
  if [[ -n $SHARE ]]; then
    workers "set -e
      sudo apt-get install --quiet --yes nfs-common
      sudo mkdir -p /shared
      mountpoint --quiet /shared || sudo mount -t nfs $(printf %q "$SHARE") /shared
      sudo chown \"\$USER\" /shared"
  fi
}

refuse_no_workdir() {
  local argument
  for argument in "$@"; do
    case $argument in
      --workdir=gs://*) ;;
      --workdir=*) return ;;
    esac
  done
  echo "tpu_pod.sh: --workdir: accepted: --workdir=/shared/NAME, a folder that all workers share" >&2
  exit 2
}

run() {
  refuse_no_workdir "$@"
  workers "cd aejax && exec .venv/bin/python -m aejax.main --coordinator=auto$(printf ' %q' "$@")"
}

stop() { workers "pkill -TERM -f '$PROCESS'; while pgrep -f '$PROCESS' >/dev/null; do sleep 1; done"; }

delete() { tpu delete --quiet; }

gone() { [[ "$(tpu describe --format='value(state)' || true)" != READY ]]; }

again() {
  delete || true
  until create; do sleep "$PAUSE"; done
}

all() {
  refuse_no_workdir "$@"
  create
  trap delete EXIT
  local status=1
  while true; do
    "$0" install && "$0" run "$@" && status=0 || status=$?
    case $status in
      0 | 2) break ;;
      75 | 143) if gone; then again; fi ;;
      255) if gone; then again; else "$0" stop || true; fi ;;  # of ssh, not of the run, which may go on without it
      *) if gone; then again; else break; fi ;;
    esac
    echo "tpu_pod.sh: status $status; going on" >&2
  done
  return "$status"
}

case ${1:-help} in
  create | install | run | stop | delete | all) "$@" ;;
  ssh) workers "${2:?a command}" ;;
  help | -h | --help) usage ;;
  *)
    echo "tpu_pod.sh: $1; accepted: create, install, run, stop, delete, all, ssh, help" >&2
    exit 2
    ;;
esac
