#!/usr/bin/env bash
# sbatch configs/slurm/several_nodes.sh --config cave_x4.yaml --config topology/several_nodes.yaml
# One process for each of the four GPUs of two nodes. What follows the script's name goes to `cofusion fit`,
# --data.root DIR for example; what your cluster asks for stands before it: --account=NAME, --partition=NAME.
# On four nodes: sbatch --nodes=4 configs/slurm/several_nodes.sh ...
# The environment with cofusion, the data and runs/ must lie where all nodes see them.
#SBATCH --job-name=cofusion
#SBATCH --nodes=2
# One task for each GPU of a node; --ntasks would not say how many there are on one.
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
# So many seconds before the time is up every process is warned: the run saves where it stands, has the job
# queued again and ends. Enough for one batch or one validation, whichever is longer; SLURM counts coarsely.
#SBATCH --signal=SIGUSR1@90
#SBATCH --requeue
# A job that is queued again goes on with its log.
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.out
set -euo pipefail

# Since SLURM 22.05 srun does not take over --cpus-per-task by itself.
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}
export OMP_NUM_THREADS=$SRUN_CPUS_PER_TASK

# The number of a job is its own, and stays when it is queued again: so no two jobs share a run directory, and
# with `--ckpt_path last` the same command begins the run and goes on with it. What you add wins: to go on
# with the run of another job, --run_dir runs/cofusion/NUMBER. The devices are as many as the tasks above.
srun --kill-on-bad-exit=1 cofusion fit \
    --run_dir "runs/$SLURM_JOB_NAME/$SLURM_JOB_ID" --ckpt_path last \
    "$@" \
    --trainer.num_nodes="$SLURM_NNODES" --trainer.devices="$SLURM_NTASKS_PER_NODE"
