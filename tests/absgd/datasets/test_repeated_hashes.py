"""Hashes of splits, and fingerprints, are the same in every process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from absgd.datasets import fingerprint, load_splits
from tests.contracts.datasets import dataset_config
from tests.support.small_files import write_cifar10, write_cifar100

NOISE = {"noise.type": "symmetric", "noise.rate": 0.4}
EXP = {"imbalance.type": "exp", "imbalance.ratio": 0.25}
PROGRAM = """
import sys, yaml
from absgd.config import RunConfig
from absgd.datasets import fingerprint, load_splits
for text in sys.argv[1:]:
    splits = load_splits(RunConfig.from_dict(yaml.safe_load(text)))
    print(splits.hash, fingerprint(splits))
"""


@pytest.mark.filterwarnings("ignore:.*does not hold the published")
def test_same_config_gives_the_same_hashes_in_another_process(tmp_path: Path) -> None:
    cifar10, cifar100 = write_cifar10(tmp_path / "10", per_class=43), write_cifar100(tmp_path / "100", per_class=11)
    configs = [
        dataset_config("digits"),
        dataset_config("digits", **{"data.val_per_class": 2, "imbalance.type": "exp", "imbalance.ratio": 0.1, **NOISE}),
        dataset_config("cifar10", cifar10, **EXP, **{**NOISE, "noise.type": "symmetric_all"}),
        dataset_config("cifar100", cifar100, **EXP, **{**NOISE, "noise.type": "cifar100_superclasses"}),
    ]
    words = [sys.executable, "-c", PROGRAM, *(config.to_yaml() for config in configs)]
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=300, env=environment)
    here = [load_splits(config) for config in configs]
    assert done.stdout.splitlines() == [f"{splits.hash} {fingerprint(splits)}" for splits in here]
