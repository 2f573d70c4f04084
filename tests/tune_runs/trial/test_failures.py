"""Lost processes, errors that repeat, and memory that runs out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from optuna.trial import TrialState

from tests.support.fake_searches import CLOCKS, EXP, epochs, space_of, study_trials, trials
from tests.support.fake_trainer import FakeTrainer
from tests.support.fake_tuner import LOST, SPACE, FakeTuner, make_space, rising
from tune_runs.space.model import SearchSpace
from tune_runs.trial.failures import FailureCounter, cause_of

CONTROL = f"{EXP}-control"
RAISED = 'ray::ImplicitFunc.train() (pid=1)\n  File "x.py", line 1, in train\n'


def space_with(**changes: Any) -> SearchSpace:
    return make_space(**{"scenarios": SPACE["scenarios"][:1], "num_trials": 20, "max_equal_errors": 4, **changes})


@pytest.mark.parametrize(
    ("last_line", "words"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "out of GPU memory"),
        (
            "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
            "out of GPU memory",
        ),
        ("RuntimeError: [enforce fail at x] DefaultCPUAllocator: can't allocate memory: you tried", "out of memory"),
        ("MemoryError", "out of memory"),
        (
            "RuntimeError: CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported\n"
            "Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.\n",
            "out of GPU memory",
        ),
        ("ray.exceptions.OutOfMemoryError: Task was killed due to the node running low on memory.", "out of memory"),
    ],
)
def test_out_of_memory_is_named_with_a_remedy(last_line: str, words: str) -> None:
    cause = cause_of(f"Failure # 1 (occurred at 2026-11-24_15-00-00)\n{RAISED}{last_line}\n")
    assert not cause.is_lost
    assert cause.words.startswith(words)
    assert re.search(r"lower `batch_size`, or .*raise `resources\.[cg]pu`", cause.words)
    assert ("resources.gpu" in cause.words) == ("GPU" in words)


def test_error_of_the_code_is_its_last_line() -> None:
    assert cause_of(f"{RAISED}KeyError: 'a'\n\n") == (False, "KeyError: 'a'")
    assert cause_of("") == (False, "ended without an exception")


@pytest.mark.parametrize(
    "text",
    [
        "The actor died unexpectedly before finishing this task.\n\tclass_name: ImplicitFunc\n",
        "The actor 2ea8 is unavailable: The actor is temporarily unavailable: RpcError: recvmsg: rpc_code: 14.",
        "The actor died because its node has died. Node Id: 1. \n\tthe actor's node was terminated unexpectedly: "
        "health check failed due to missing too many heartbeats",
        f"{RAISED}ray.exceptions.ObjectLostError: Failed to retrieve object 00 on a node that died",
    ],
)
def test_lost_process_carries_rays_reason(text: str) -> None:
    cause = cause_of(f"Failure # 1 (occurred at 2026-11-24_15-00-00)\n{text}\n")
    assert cause.is_lost
    assert cause.words.startswith("its process or node was lost (")
    assert "Failure #" not in cause.words


@pytest.mark.parametrize("moments", [[0], [1], [3], [2, 0, 1]])
@pytest.mark.parametrize("trial_id", [CONTROL, f"{EXP}-0001"])
def test_run_that_loses_its_process_resumes_to_the_same_end(tmp_path: Path, trial_id: str, moments: list[int]) -> None:
    space = space_with(num_trials=4, early_stopping=None)
    FakeTuner(space, tmp_path / "whole", rising, concurrent=1).run()
    trained = FakeTrainer.epochs_trained
    tuner = FakeTuner(space, tmp_path / "lost", rising, concurrent=1)
    tuner.run(loses={trial_id: moments})
    assert FakeTrainer.epochs_trained - trained == trials(tmp_path / "lost").epochs_trained.sum(), "none twice"
    whole, lost = (trials(tmp_path / name).drop(columns=CLOCKS).set_index("trial_id") for name in ("whole", "lost"))
    assert lost.loc[trial_id, "restarts"] == len(moments)
    assert lost.restarts.sum() == len(moments)
    pd.testing.assert_frame_equal(whole.drop(columns="restarts"), lost.drop(columns="restarts"), check_exact=True)
    assert not epochs(tmp_path / "lost").duplicated(["trial_id", "epoch"]).any()
    states = [trial.state for trial in study_trials(tmp_path / "lost", EXP)]
    assert states == [trial.state for trial in study_trials(tmp_path / "whole", EXP)]


def test_run_that_loses_its_process_too_often_fails_and_the_search_continues(tmp_path: Path) -> None:
    tuner = FakeTuner(space_of(max_failures=2), tmp_path / "fake", rising)
    tuner.run(loses={f"{EXP}-0001": [0, 0, 0]})
    frame = trials(tmp_path / "fake").set_index("trial_id")
    row = frame.loc[f"{EXP}-0001"]
    assert (row.status, row.restarts) == ("failed", 2)
    assert "its process or node was lost (The actor died unexpectedly" in row.error
    assert LOST.splitlines()[0] in (tmp_path / "fake" / "errors" / f"{EXP}-0001.txt").read_text()
    assert set(frame.drop(index=f"{EXP}-0001").status) <= {"completed", "pruned"}
    assert study_trials(tmp_path / "fake", EXP)[1].state == TrialState.FAIL


def test_trial_is_lost_while_its_control_still_trains(tmp_path: Path) -> None:
    """The control loses its process too: the trial need not wait for it, since it has its own checkpoint."""
    tuner = FakeTuner(space_of(), tmp_path / "fake", rising, concurrent=3)
    tuner.run(loses={CONTROL: [5, 1], f"{EXP}-0000": [1]})
    frame = trials(tmp_path / "fake")
    assert set(frame.status) <= {"completed", "pruned"}
    assert frame.restarts.sum() == 3


def test_search_ends_when_every_run_fails_with_the_same_error(tmp_path: Path) -> None:
    tuner = FakeTuner(space_with(), tmp_path / "fake", rising, concurrent=1)
    tuner.run(fails={CONTROL: 0, **{f"{EXP}-{number:04d}": 0 for number in range(20)}})
    assert tuner.stop.failure == f"4 runs of {EXP} in a row failed before the first epoch with the same error: Boom"
    assert (trials(tmp_path / "fake").status == "failed").sum() == 4
    assert len(trials(tmp_path / "fake")) <= 5


def test_errors_after_an_epoch_or_among_good_runs_do_not_end_the_search(tmp_path: Path) -> None:
    tuner = FakeTuner(space_with(early_stopping=None), tmp_path / "fake", rising, concurrent=1)
    late = {f"{EXP}-{number:04d}": 1 for number in range(10)}
    some = {f"{EXP}-{number:04d}": 0 for number in range(10, 20) if number % 4}
    tuner.run(fails={**late, **some})
    assert tuner.stop.failure is None
    assert len(trials(tmp_path / "fake")) == 21


def test_different_errors_are_not_equal() -> None:
    failures = FailureCounter(max_failures=0, max_equal_errors=2)
    said = [failures.failed("s", 0, error) for error in ("a", "b", "a", "b", "b")]
    assert [one is not None for one in said] == [False, False, False, False, True]
    assert not failures.may_restart("x", 0)


def test_run_that_makes_progress_may_lose_its_process_again() -> None:
    """A run that makes progress is not the one that ends a shared process."""
    failures = FailureCounter(max_failures=2, max_equal_errors=5)
    assert [failures.may_restart("mate", trained) for trained in (1, 1, 2, 5, 5, 5)] == [True] * 5 + [False]
    assert [failures.may_restart("culprit", 3) for _ in range(3)] == [True, True, False]


def test_errors_that_differ_in_numbers_are_equal_and_healthy_scenarios_do_not_excuse_a_sick_one() -> None:
    failures = FailureCounter(max_failures=0, max_equal_errors=3)
    said = []
    for number in range(3):
        error = f"CUDA out of memory. Tried {2.5 * number} GiB, process {1000 + number} has the rest"
        said.append(failures.failed("sick", 0, error))
        failures.passed("healthy")
    assert [one is not None for one in said] == [False, False, True]
