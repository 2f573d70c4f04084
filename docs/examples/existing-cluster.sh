#!/usr/bin/env bash
# An existing Ray cluster: run this on one of its nodes, in a folder that every node sees under the same path.
# TOKEN_FILE holds the cluster's token; ask the person who gave you the address.
set -euo pipefail

address=${1:?usage: existing-cluster.sh HOST:PORT TOKEN_FILE [SPACE [RUN]]}
token_file=${2:?usage: existing-cluster.sh HOST:PORT TOKEN_FILE [SPACE [RUN]]}
space=${3:-cifar100}
run=${4:-cifar100}

export RAY_AUTH_MODE=token
export RAY_AUTH_TOKEN_PATH=$token_file

if [ -e "runs/$run/space.yaml" ]; then
    exec absgd-tune --resume "runs/$run" --address "$address"
fi
exec absgd-tune --space "$space" --name "$run" --address "$address"
