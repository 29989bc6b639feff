#!/usr/bin/env bash
# Runs the pipeline on a cluster of Ray's that is up: deploy/submit.sh http://HEAD:8265 /srv/project [dvc repro …]
# The project, with its .venv, lies on the head node; what the workers read lies where all nodes see it. `ray` here is
# of `pip install 'ray[default]'`, in the version of requirements-ray.txt.
set -euo pipefail
address=${1:?the address of the dashboard, as http://HEAD:8265}
project=${2:?the folder of the project on the head node}
shift 2
command=("$@")
((${#command[@]})) || command=(make repro)
# Quoted once more: the entrypoint goes through a shell there.
ray job submit --address "$address" -- bash -c "$(printf 'cd %q && HEADSTART_RAY=auto %s' "$project" "${command[*]@Q}")"
