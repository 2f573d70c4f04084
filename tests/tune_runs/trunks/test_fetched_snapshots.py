"""Snapshots that come from a store: verified, fetched again where damaged, and replaced by training where absent."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from absgd.config import RunConfig
from absgd.datasets import Splits, load_splits
from absgd.errors import UserError
from absgd.training import Trainer
from tests.support.memory_store import MemoryStore
from tests.support.reported_runs import reports_of
from tests.support.small_runs import values
from tune_runs.trial.trial_plan import CheckpointUse
from tune_runs.trial.trial_run import TrialRun
from tune_runs.trunks.identity import trunk_snapshots
from tune_runs.trunks.snapshots import FETCHES, newest
from tune_runs.trunks.trunk_use import TrunkUse

CONFIG = RunConfig.from_dict(
    {
        "data": {"name": "digits", "val_per_class": 5, "n_max": 10},
        "model": {"name": "resnet8"},
        "attention": {"lam": 2.0, "gamma": 0.5, "ab_alpha": 0.5, "switch_epoch": 2},
        "epochs": 3,
        "batch_size": 32,
        "device": {"type": "cpu", "threads": 1},
    }
)
FOLDER = Path("/not/on/this/node")


@pytest.fixture(scope="module")
def splits() -> Splits:
    return load_splits(CONFIG)


@pytest.fixture(scope="module")
def scratch(splits: Splits) -> list[dict[str, object]]:
    return values(Trainer(CONFIG, splits).epochs())


def use_of(start_at: int = 0, save_at: tuple[int, ...] = ()) -> TrunkUse:
    return TrunkUse(str(FOLDER / "trunks"), CONFIG.stage_one_key(), "f" * 64, start_at, save_at)


@pytest.fixture
def store(splits: Splits) -> MemoryStore:
    """A store with the snapshot of a trunk after 2 epochs."""
    found = MemoryStore()
    trainer = Trainer(CONFIG.stage_one(), splits)
    reports = reports_of(trainer, TrialRun(trainer, use_of(save_at=(2,)), store=found))
    next(reports)
    next(reports)
    return found


@pytest.mark.parametrize("num_damaged", [0, FETCHES - 1])
def test_fork_equals_the_run_from_scratch_also_where_its_snapshot_arrives_damaged(
    store: MemoryStore, splits: Splits, scratch: list[dict[str, object]], num_damaged: int
) -> None:
    store.num_damaged = num_damaged
    trainer = Trainer(CONFIG, splits)
    earlier, notes = TrialRun(trainer, use_of(start_at=2), store=store).begin()
    assert (len(earlier), notes) == (2, ())
    assert values([*(epoch.record for epoch in earlier), *trainer.epochs()]) == scratch
    assert not FOLDER.exists()


def test_snapshot_that_stays_damaged_is_named_and_never_used(store: MemoryStore, splits: Splits) -> None:
    store.num_damaged = FETCHES
    earlier, notes = TrialRun(Trainer(CONFIG, splits), use_of(start_at=2), store=store).begin()
    assert earlier == ()
    assert "epoch-0002.pt is damaged" in notes[0]


def test_absent_store_costs_epochs_not_the_run(
    store: MemoryStore, splits: Splits, scratch: list[dict[str, object]]
) -> None:
    store.is_absent = True
    trainer = Trainer(CONFIG, splits)
    use = CheckpointUse(str(FOLDER / "own"), "val_accuracy", str(FOLDER), disk_budget=1)
    reports = list(reports_of(trainer, TrialRun(trainer, use_of(start_at=2), use, store=store)))
    assert values([report.epoch.record for report in reports if report.epoch]) == scratch
    notes = [note for report in reports for note in report.notes]
    assert [note.partition(" the ")[0] for note in notes[:2]] == ["cannot list", "cannot list"]
    assert notes[2] == "starts after 0 epochs instead of 2"
    assert notes[3].startswith(f"cannot write {FOLDER}/own/epoch-0001.pt: no answer")
    assert len(notes) == 4, "each is said once"


def test_run_resumes_from_its_own_checkpoints_and_keeps_the_last_two_and_the_best(
    store: MemoryStore, splits: Splits, scratch: list[dict[str, object]]
) -> None:
    use = CheckpointUse(str(FOLDER / "own"), "val_accuracy", str(FOLDER))
    first = Trainer(CONFIG, splits)
    next(reports_of(first, TrialRun(first, None, use, origin="a", store=store)))
    again = Trainer(CONFIG, splits)
    reports = list(reports_of(again, TrialRun(again, None, use, origin="a", store=store)))
    assert values([report.epoch.record for report in reports if report.epoch]) == scratch
    assert {"epoch-0002.pt", "epoch-0003.pt"} <= set(store.names(FOLDER / "own"))
    assert len(store.names(FOLDER / "own")) <= 3


def test_control_that_cannot_ask_for_its_snapshots_starts_from_scratch(store: MemoryStore, splits: Splits) -> None:
    store.is_absent = True
    source = trunk_snapshots(use_of(), torch.device("cpu"), store)
    assert not source.has(2)
    assert [type(found) for found in newest([(source, 2)], "cpu")] == [UserError]
    earlier, _ = TrialRun(Trainer(CONFIG.stage_one(), splits), use_of(save_at=(2,)), store=store).begin()
    assert earlier == ()
