"""Snapshots of stage one: what is saved is what is found, and nothing else is ever used."""

from __future__ import annotations

import dataclasses
import errno
from pathlib import Path
from typing import Any

import pytest
import torch

from absgd.config import RunConfig
from absgd.datasets import Splits, load_splits
from absgd.errors import UserError
from absgd.training import Trainer
from tune_runs.plan import TrunkUse
from tune_runs.trunk import Snapshot, Trunk, begin, leave, trunk_identity

CONFIG = RunConfig.from_dict(
    {
        "data": {"name": "digits", "val_per_class": 5, "n_max": 10},
        "model": {"name": "resnet8", "dropout": 0.2},
        "attention": {"lam": 2.0, "gamma": 0.5, "ab_alpha": 0.5, "switch_epoch": 3},
        "epochs": 5,
        "batch_size": 32,
        "device": {"type": "cpu", "threads": 1},
    }
)
DATA = "f" * 64


@pytest.fixture(scope="module")
def splits() -> Splits:
    return load_splits(CONFIG)


@pytest.fixture(scope="module")
def trained(splits: Splits, tmp_path_factory: pytest.TempPathFactory) -> Trunk:
    """A trunk with snapshots after 2 and 3 epochs."""
    trunk = Trunk(tmp_path_factory.mktemp("trunk"), trunk_identity(CONFIG, DATA))
    trainer, rows = Trainer(CONFIG.stage_one(), splits), []
    for record in trainer.epochs():
        rows.append({**dataclasses.asdict(record), "origin": "here"})
        leave(trainer, use_of(trunk, save_at=(2, 3)), rows)
    return trunk


@pytest.fixture
def trunk(trained: Trunk, tmp_path: Path) -> Trunk:
    """A copy that a test may damage."""
    for epoch in trained.epochs():
        (tmp_path / trained.path(epoch).name).write_bytes(trained.path(epoch).read_bytes())
    return Trunk(tmp_path, trained.identity)


def use_of(trunk: Trunk, start_at: int = 0, save_at: tuple[int, ...] = ()) -> TrunkUse:
    return TrunkUse(str(trunk.folder), trunk.identity, start_at, save_at, "here")


def values(records: Any) -> list[dict[str, Any]]:
    """Records without what a clock says."""
    clocks = ("train_s", "val_s", "images_per_s", "origin")
    rows = [record if isinstance(record, dict) else dataclasses.asdict(record) for record in records]
    return [{key: value for key, value in row.items() if key not in clocks} for row in rows]


def test_snapshots_are_left_where_they_are_due(trained: Trunk) -> None:
    assert trained.epochs() == [2, 3]
    assert [path.name for path in sorted(trained.folder.iterdir())] == ["epoch-0002.pt", "epoch-0003.pt"]


@pytest.mark.parametrize("start_at", [0, 1, 2, 3])
def test_run_from_any_snapshot_before_the_switch_equals_one_from_scratch(
    trained: Trunk, splits: Splits, start_at: int
) -> None:
    scratch = values(Trainer(CONFIG, splits).epochs())
    forked = Trainer(CONFIG, splits)
    rows, notes = begin(forked, use_of(trained, start_at))
    assert len(rows) == {0: 0, 1: 0, 2: 2, 3: 3}[start_at]
    assert notes == (["starts from epoch 0 instead of 1"] if start_at == 1 else [])
    assert values([*rows, *forked.epochs()]) == scratch


def test_damaged_snapshot_is_named_and_an_earlier_one_used(trunk: Trunk, splits: Splits) -> None:
    content = bytearray(trunk.path(3).read_bytes())
    content[len(content) // 2] ^= 1
    trunk.path(3).write_bytes(content)
    trainer = Trainer(CONFIG, splits)
    rows, notes = begin(trainer, use_of(trunk, 3))
    assert (len(rows), trainer.next_epoch) == (2, 2)
    assert "epoch-0003.pt is damaged" in notes[0]
    assert notes[1] == "starts from epoch 2 instead of 3"
    assert values([*rows, *trainer.epochs()]) == values(Trainer(CONFIG, splits).epochs())


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("data", "of another data set"),
        ("stage_one", "of another stage one"),
        ("torch", "of another version of torch"),
        ("format", "of another format"),
    ],
)
def test_foreign_snapshot_is_named_and_never_used(trunk: Trunk, splits: Splits, field: str, message: str) -> None:
    foreign = Trunk(trunk.folder, {**trunk.identity, field: "other"})
    with pytest.raises(UserError, match=f"epoch-0003.pt is {message}: expected other, got"):
        foreign.load(3)
    trainer = Trainer(CONFIG, splits)
    rows, notes = begin(trainer, use_of(foreign, 3))
    assert (rows, trainer.next_epoch, len(notes)) == ([], 0, 3)


def test_snapshot_under_another_epochs_name_is_refused(trunk: Trunk) -> None:
    trunk.path(2).replace(trunk.path(3))
    with pytest.raises(UserError, match=r"epoch-0003\.pt is not what its name says"):
        trunk.load(3)


def test_checkpoint_that_is_no_snapshot_is_refused(trunk: Trunk) -> None:
    from absgd.training.checkpoint import save_checkpoint

    save_checkpoint(trunk.path(3), {"model": {"weight": torch.zeros(2)}})
    with pytest.raises(UserError, match="is no snapshot of a trunk"):
        trunk.load(3)


def test_other_files_in_the_folder_are_left_alone(trunk: Trunk) -> None:
    for name in ("epoch-x.pt", "epoch-0001.pt.tmp", "notes.txt", ".epoch-0001.pt.abc"):
        (trunk.folder / name).write_text("mine")
    assert trunk.epochs() == [2, 3]


def test_missing_folder_means_from_scratch(splits: Splits, tmp_path: Path) -> None:
    rows, notes = begin(Trainer(CONFIG, splits), use_of(Trunk(tmp_path / "none", trunk_identity(CONFIG, DATA)), 3))
    assert (rows, notes) == ([], ["starts from epoch 0 instead of 3"])


def test_full_disk_is_said_and_training_goes_on(
    splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tune_runs.trunk.save_checkpoint", full)
    trunk = Trunk(tmp_path / "trunk", trunk_identity(CONFIG, DATA))
    trainer = Trainer(CONFIG.stage_one(), splits)
    next(trainer.epochs())
    problem = leave(trainer, use_of(trunk, save_at=(1,)), [{}])
    assert problem is not None
    assert "epoch-0001.pt: No space left on device" in problem
    assert trunk.epochs() == []


def test_snapshot_keeps_the_state_of_its_epoch(trained: Trunk) -> None:
    """The live tensors went on to epoch 5 after it was taken."""
    early, late = (trained.load(epoch).state["model"] for epoch in (2, 3))
    assert not all(torch.equal(early[name], late[name]) for name in early)


def test_saved_snapshot_reads_back_equal(tmp_path: Path) -> None:
    trunk = Trunk(tmp_path / "deep" / "folder", trunk_identity(CONFIG, DATA))
    row = {"epoch": 0, "val_recall": (0.5, None), "log_u": None, "origin": "a"}
    trunk.save(1, Snapshot({"next_epoch": 1, "w": torch.arange(3.0)}, [row]))
    state, rows = trunk.load(1)
    assert rows == [row]
    assert torch.equal(state["w"], torch.arange(3.0))
