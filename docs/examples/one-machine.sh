#!/usr/bin/env bash
# One machine with several GPUs: no cluster to start. The command starts a Ray of its own, which listens on loopback
# only and ends with it. How many trials share a GPU is `resources` in the space: `gpu: 0.25` puts four on each.
set -euo pipefail

space=${1:-cifar100}
run=${2:-cifar100}

# CUDA_VISIBLE_DEVICES=0,1 in front of this script leaves the other GPUs alone.
if [ -e "runs/$run/space.yaml" ]; then
    exec absgd-tune --resume "runs/$run"
fi
absgd-tune --space "$space" --preview # how many trials run at once, and what it costs
exec absgd-tune --space "$space" --name "$run"
