#!/usr/bin/env bash
#SBATCH --job-name=headstart
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --mem=32G
#SBATCH --time=04:00:00
# Runs the pipeline on the nodes of one Slurm job: sbatch deploy/slurm.sh, in the project's folder, which all nodes see.
# Once before: make .venv/ready .venv/ready-for-ray
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:?run this with sbatch}"
export PATH=$PWD/.venv/bin:$PATH RAY_USAGE_STATS_ENABLED=0
head=${SLURMD_NODENAME:?}
port=$((20000 + SLURM_JOB_ID % 10000)) # another job may have a head on this node
cores=${SLURM_CPUS_PER_TASK:?}

srun --nodes=1 --ntasks=1 --nodelist="$head" \
    ray start --head --node-ip-address="$head" --port="$port" --num-cpus="$cores" --disable-usage-stats --block &
for _ in {1..60}; do
    ray status --address="$head:$port" > /dev/null 2>&1 && break
    sleep 2
done
others=$((SLURM_JOB_NUM_NODES - 1))
if ((others)); then
    srun --nodes="$others" --ntasks="$others" --exclude="$head" \
        ray start --address="$head:$port" --num-cpus="$cores" --block &
fi
RAY_ADDRESS=$head:$port HEADSTART_RAY=auto HEADSTART_RAY_WORKERS=$((SLURM_JOB_NUM_NODES * cores / 2)) make repro
