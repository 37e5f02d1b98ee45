#!/usr/bin/env bash
#SBATCH --job-name=aejax
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=TERM@120
# Trains under Slurm. From the project's root, on a disk that all nodes share:
#
#   sbatch --gpus-per-node=1 launch/slurm.sh --config=configs/wta.py              # one node
#   sbatch --nodes=4 --gpus-per-node=8 launch/slurm.sh --config=configs/wta.py    # four as one run, a process a node
#
# Two minutes before the time is up, and when the job is to be preempted, Slurm sends SIGTERM to srun's step (not to this
# shell: hence no B: in --signal, which would send it here alone). The run saves and ends with 143, and the job goes back
# into the queue, REQUEUES times at most; so it does where all that is left of a run ends since one of its processes is
# gone (75). One that was killed (137, for want of memory say) or crashed ends the job: what did so may do so again, and
# sbatch of the same command goes on. Where this shell too is told to end, Slurm itself has decided what follows: nothing
# after scancel, the queue after a preemption.
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-.}"
if [[ ! -f launch/setup.sh ]]; then
  echo "slurm.sh: no launch/setup.sh in $PWD; accepted: sbatch from the project's root" >&2
  exit 2
fi
source launch/setup.sh

ended=
trap 'ended=yes; kill -TERM "$step" 2>/dev/null' TERM
# --kill-on-bad-exit=0: the first process that has saved must not take the others down while they save.
srun --kill-on-bad-exit=0 ${SLURM_CPUS_PER_TASK:+--cpus-per-task="$SLURM_CPUS_PER_TASK"} \
  .venv/bin/python -m aejax.main "$@" &
step=$!
while kill -0 "$step" 2>/dev/null; do
  wait "$step" || true  # a trapped signal ends it early
done
status=0
wait "$step" || status=$?

if [[ ($status == 143 || $status == 75) && -z $ended ]]; then
  if ((${SLURM_RESTART_COUNT:-0} < ${REQUEUES:-1000})); then
    echo "slurm.sh: status $status; back into the queue" >&2
    scontrol requeue "$SLURM_JOB_ID" || echo "slurm.sh: Slurm does not requeue the job; the same command goes on" >&2
  else
    echo "slurm.sh: status $status after $SLURM_RESTART_COUNT restarts (REQUEUES); the same command goes on" >&2
  fi
fi
exit "$status"
