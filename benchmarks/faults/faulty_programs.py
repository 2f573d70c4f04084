"""Programs that replace `absgd-tune`, and trainables that replace its own, to inject faults from inside.

Ray's worker processes load the trainables by name, so they are functions of this module.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Any
from unittest import mock

import torch

from tune_runs.trial.trainable import train_trial
from tune_runs.trial.trial_plan import task_of

IMPOSSIBLE_BYTES = 2**60
OUT_OF_MEMORY = ("-0002", "-0005")
"""Suffixes of the ids of trials that allocate too much."""
AN_HOUR_S = 3600.0


def some_run_out_of_memory(ray_config: dict[str, Any], image_store: Any) -> None:
    """Allocate more memory than there is in two trials; train the others."""
    if task_of(ray_config).trial_id.endswith(OUT_OF_MEMORY):
        torch.empty(IMPOSSIBLE_BYTES, dtype=torch.uint8)
    train_trial(ray_config, image_store)


def always_fails(ray_config: dict[str, Any], image_store: Any) -> None:
    """Raise as code with a mistake does."""
    del ray_config, image_store
    raise KeyError("a mistake in the model")


def run_with(trainable: str) -> None:
    """Run `absgd-tune` with a trainable of this module."""
    from tune_runs.ray_cluster.session import set_environment

    set_environment(is_local=True)  # before the driver imports Ray
    from tune_runs.cli import main
    from tune_runs.driver import drive as driver

    with mock.patch.object(driver, "train_trial", globals()[trainable]):
        _run_as_command(main)


def run_with_clock_set_back(after_s: float) -> None:
    """Run `absgd-tune`; set the time of day back by an hour after `after_s` seconds, and again as long after that."""
    from tune_runs.cli import main

    real, back = time.time, [0.0]
    time.time = lambda: real() - back[0]
    for times in (1, 2):
        threading.Timer(times * after_s, lambda: back.__setitem__(0, back[0] + AN_HOUR_S)).start()
    _run_as_command(main)


def _run_as_command(main: Any) -> None:
    sys.argv[0] = "absgd-tune"
    main()
