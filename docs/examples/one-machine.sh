#!/usr/bin/env bash
# One machine with several GPUs: there is no cluster to start. The command starts its own Ray, which listens on
# loopback only and ends with the command. `resources` in the space sets how many trials share a GPU: `gpu: 0.25` puts
# four on each.
set -euo pipefail

space=${1:-cifar100}
run=${2:-cifar100}

# To leave the other GPUs unused, prefix this script with CUDA_VISIBLE_DEVICES=0,1.
if [ -e "runs/$run/space.yaml" ]; then
    exec absgd-tune --resume "runs/$run"
fi
absgd-tune --space "$space" --preview # how many trials run at once, and what it costs
exec absgd-tune --space "$space" --name "$run"
