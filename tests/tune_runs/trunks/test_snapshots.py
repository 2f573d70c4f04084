"""Snapshots of stage one: they read back as saved, and damaged or foreign ones are never used."""

from __future__ import annotations

import dataclasses
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from absgd.config import RunConfig
from absgd.datasets import Splits, load_splits
from absgd.errors import UserError
from absgd.training import Trainer
from absgd.training.device_options import Machine
from tests.support.reported_runs import reports_of
from tests.support.small_runs import values
from tune_runs.trial.trial_reports import TrialReport
from tune_runs.trial.trial_run import TrialRun
from tune_runs.trunks.identity import trunk_identity, trunk_snapshots
from tune_runs.trunks.row_columns import columns_of
from tune_runs.trunks.snapshots import Snapshot, Snapshots
from tune_runs.trunks.trunk_use import TrunkUse

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
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def splits() -> Splits:
    return load_splits(CONFIG)


@pytest.fixture(scope="module")
def trained(splits: Splits, tmp_path_factory: pytest.TempPathFactory) -> Snapshots:
    """A trunk with snapshots after 2 and 3 epochs."""
    use = use_in(tmp_path_factory.mktemp("trunks"), save_at=(2, 3))
    for _ in reported(CONFIG.stage_one(), splits, use):
        pass
    return trunk_snapshots(use, CPU)


@pytest.fixture
def trunk(trained: Snapshots, tmp_path: Path) -> Snapshots:
    """A copy that a test may damage."""
    copy = Snapshots(tmp_path / trained.folder.name, trained.identity)
    shutil.copytree(trained.folder, copy.folder)
    return copy


def reported(config: RunConfig, splits: Splits, use: TrunkUse, origin: str = "here") -> Iterator[TrialReport]:
    """Return the reports of a run on a trunk."""
    trainer = Trainer(config, splits)
    return reports_of(trainer, TrialRun(trainer, use, origin=origin))


def use_in(folder: Path, start_at: int = 0, save_at: tuple[int, ...] = ()) -> TrunkUse:
    return TrunkUse(str(folder), CONFIG.stage_one_key(), DATA, start_at, save_at)


def use_of(trunk: Snapshots, start_at: int = 0, save_at: tuple[int, ...] = ()) -> TrunkUse:
    return use_in(trunk.folder.parent, start_at, save_at)


def test_snapshots_are_written_at_due_epochs(trained: Snapshots) -> None:
    assert trained.epochs() == [2, 3]
    assert [path.name for path in sorted(trained.folder.iterdir())] == ["epoch-0002.pt", "epoch-0003.pt"]


@pytest.mark.parametrize("start_at", [0, 1, 2, 3])
def test_run_from_any_snapshot_before_the_switch_equals_one_from_scratch(
    trained: Snapshots, splits: Splits, start_at: int
) -> None:
    scratch = values(Trainer(CONFIG, splits).epochs())
    forked = Trainer(CONFIG, splits)
    earlier, notes = TrialRun(forked, use_of(trained, start_at)).begin()
    assert all(epoch.is_inherited for epoch in earlier)
    assert len(earlier) == {0: 0, 1: 0, 2: 2, 3: 3}[start_at]
    assert notes == (("starts after 0 epochs instead of 1",) if start_at == 1 else ())
    assert values([*(epoch.record for epoch in earlier), *forked.epochs()]) == scratch


def test_damaged_snapshot_is_named_and_an_earlier_one_used(trunk: Snapshots, splits: Splits) -> None:
    content = bytearray(trunk.path(3).read_bytes())
    content[len(content) // 2] ^= 1
    trunk.path(3).write_bytes(content)
    trainer = Trainer(CONFIG, splits)
    earlier, notes = TrialRun(trainer, use_of(trunk, 3)).begin()
    assert (len(earlier), trainer.next_epoch) == (2, 2)
    assert "epoch-0003.pt is damaged" in notes[0]
    assert notes[0].endswith(": trained again")
    assert notes[1] == "starts after 2 epochs instead of 3"
    records = [*(epoch.record for epoch in earlier), *trainer.epochs()]
    assert values(records) == values(Trainer(CONFIG, splits).epochs())


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("data", "data set"),
        ("stage_one", "stage one"),
        ("absgd", "version of absgd-tune"),
        ("torch", "version of torch"),
        ("hardware", "kind of processor"),
        ("format", "format"),
    ],
)
def test_foreign_snapshot_is_named_and_never_used(trunk: Snapshots, splits: Splits, field: str, message: str) -> None:
    foreign = Snapshots(trunk.folder, {**trunk.identity, field: "other"})
    for epoch in (2, 3):
        foreign.write(epoch, foreign.encoded(trunk.load(epoch)))
    with pytest.raises(UserError, match=f"epoch-0003.pt does not match this run: expected {message} .*, got other"):
        trunk.load(3)
    trainer = Trainer(CONFIG, splits)
    earlier, notes = TrialRun(trainer, use_of(trunk, 3)).begin()
    assert (earlier, trainer.next_epoch, len(notes)) == ((), 0, 3)


def test_trunks_of_different_identity_have_separate_folders(tmp_path: Path) -> None:
    use = use_in(tmp_path)
    others = (dataclasses.replace(use, data_fingerprint="0" * 64), dataclasses.replace(use, stage_one_key="0" * 16))
    folders = {trunk_snapshots(one, CPU).folder for one in (use, *others)} | {
        trunk_snapshots(use, torch.device("cuda")).folder
    }
    assert len(folders) == 4
    assert trunk_snapshots(dataclasses.replace(use, start_at=3), CPU) == trunk_snapshots(use, CPU)


def test_snapshot_under_another_epochs_name_is_refused(trunk: Snapshots) -> None:
    trunk.path(2).replace(trunk.path(3))
    with pytest.raises(UserError, match=r"epoch-0003\.pt does not match its name"):
        trunk.load(3)


def test_checkpoint_that_is_not_a_snapshot_is_refused(trunk: Snapshots) -> None:
    from absgd.training.checkpoint import save_checkpoint

    save_checkpoint(trunk.path(3), {"model": {"weight": torch.zeros(2)}})
    with pytest.raises(UserError, match="is not a snapshot of a run"):
        trunk.load(3)


def test_other_files_in_the_folder_are_left_alone(trunk: Snapshots) -> None:
    for name in ("epoch-x.pt", "epoch-0001.pt.tmp", "notes.txt", ".epoch-0001.pt.abc"):
        (trunk.folder / name).write_text("mine")
    assert trunk.epochs() == [2, 3]


def test_missing_folder_means_from_scratch(splits: Splits, tmp_path: Path) -> None:
    earlier, notes = TrialRun(Trainer(CONFIG, splits), use_in(tmp_path / "none", start_at=3)).begin()
    assert (earlier, notes) == ((), ("starts after 0 epochs instead of 3",))


def test_full_disk_is_reported_and_training_continues(
    splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tune_runs.trunks.snapshots.write_atomically", full)
    use = use_in(tmp_path, save_at=(1, 2, 3, 4))
    said = [report.notes for report in reported(CONFIG.stage_one(), splits, use)]
    assert said[1:] == [(), (), (), ()], "once"
    assert "epoch-0001.pt: No space left on device: epochs without a snapshot are trained again" in said[0][0]
    assert trunk_snapshots(use, CPU).epochs() == []


def test_control_resumes_before_the_first_snapshot_to_write(trunk: Snapshots, splits: Splits) -> None:
    whole = values(Trainer(CONFIG.stage_one(), splits).epochs())
    trunk.path(2).unlink()
    first, *others = reported(CONFIG.stage_one(), splits, use_of(trunk, save_at=(2, 3)))
    assert epochs_of(first) == [0]
    assert [epochs_of(one) for one in others] == [[1], [2], [3], [4]]
    assert trunk.epochs() == [2, 3]
    first, *others = reported(CONFIG.stage_one(), splits, use_of(trunk, save_at=(2, 3, 5)))
    assert epochs_of(first) == [0, 1, 2]
    assert first.epoch is not None, "its own last epoch is reported again"
    assert values([epoch.record for report in (first, *others) for epoch in report.epochs]) == whole


def test_control_that_has_all_reports_it_at_once(trunk: Snapshots, splits: Splits) -> None:
    use = use_of(trunk, save_at=(2, 3, 5))
    assert [epochs_of(one)[-1] for one in reported(CONFIG.stage_one(), splits, use)] == [2, 3, 4]
    for origin, is_inherited in (("here", False), ("elsewhere", True)):
        (only,) = reported(CONFIG.stage_one(), splits, use, origin)
        assert epochs_of(only) == [0, 1, 2, 3, 4]
        assert {epoch.is_inherited for epoch in only.epochs} == {is_inherited}


def test_fork_that_diverges_at_once_reports_inherited_epochs(trained: Snapshots, splits: Splits) -> None:
    config = CONFIG.with_values({"optimizer.lr": 1e30})
    use = dataclasses.replace(use_of(trained, 3), stage_one_key=CONFIG.stage_one_key())
    (report,) = reported(config, splits, use, "a fork")
    assert epochs_of(report) == [0, 1, 2]
    assert report.epoch is None
    assert report.divergence


def epochs_of(report: TrialReport) -> list[int]:
    return [epoch.record.epoch for epoch in report.epochs]


def test_snapshot_keeps_the_state_of_its_epoch(trained: Snapshots) -> None:
    """The live tensors were trained to epoch 5 after it was taken."""
    early, late = (trained.load(epoch).state["model"] for epoch in (2, 3))
    assert not all(torch.equal(early[name], late[name]) for name in early)


def test_saved_snapshot_reads_back_equal(tmp_path: Path) -> None:
    trunk = Snapshots(tmp_path / "deep" / "folder", trunk_identity("key", DATA, CPU))
    row = {"epoch": 0, "val_recall": (0.5, None), "log_u": None, "origin": "a"}
    trunk.write(1, trunk.encoded(Snapshot({"next_epoch": 1, "w": torch.arange(3.0)}, columns_of([row]))))
    found = trunk.load(1)
    assert found.best is None
    assert found.rows == [row]
    assert torch.equal(found.state["w"], torch.arange(3.0))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_processors_with_and_without_bfloat16_share_no_trunk(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for has_it in (True, False):
        monkeypatch.setattr(
            "tune_runs.trunks.identity.machine_of", lambda device, has=has_it: Machine(device.type, has)
        )
        found.append(trunk_identity("key", DATA, torch.device(device))["hardware"])
    assert found[0] == f"{found[1]} bfloat16"
    assert found[1].split()[0] == device
