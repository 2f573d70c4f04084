"""Names of the files and folders of a run and of a search: each is written here and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from absgd.paths import PathLike

TRIALS_FILE = "trials.parquet"
EPOCHS_FILE = "epochs.parquet"
ENVIRONMENT_FILE = "environment.json"
RESUME_NOTE_FILE = "resume.txt"
"""How to resume an interrupted run, where its terminal was gone when it should have been printed."""
LABELS_FILE = "train_labels.parquet"
CLASSES_FILE = "classes.parquet"
"""Names and sizes of the classes of a run or scenario."""
REPORT_FILE = "report.html"
VERDICTS_FILE = "verdicts.json"

CONFIG_FILE = "config.yaml"
"""The RunConfig of a single run."""
LAST_CHECKPOINT = "last.pt"
PREVIOUS_CHECKPOINT = "previous.pt"
BEST_CHECKPOINT = "best.pt"

SPACE_FILE = "space.yaml"
"""The space of a search."""
WARM_START_FILE = "warm_start.yaml"
"""Points of earlier searches that a search tries first."""
ID_FILE = ".id"
"""Identity of a search, which its actors are named after."""
PENDING_FOLDER = ".pending"
"""Records of a running search that its tables lack, where replacing them takes long."""
LOCK_FILE = ".lock"
"""Held by the process that runs the search."""
SCENARIOS_FOLDER = "scenarios"
CONFIRMATION_FILE = "confirmation.parquet"
"""Findings of the confirmation of a scenario at each of its looks, in the folder of the scenario."""
STUDY_FILE = "study.journal"
"""Journal of the Optuna study of a scenario, in its folder."""
EVENTS_FOLDER = "tensorboard"
"""Event files of TensorBoard, one folder for each trial."""

ABSGD_SUFFIX = "-absgd"
"""Ends the name of `best_absgd_file`, which no scenario may have in a space that tunes controls."""

_UNFINISHED = re.compile(r"\..+\.(pt|parquet|yaml|json|journal|txt)\.[a-z0-9_]{8}")
_SNAPSHOT = re.compile(r"epoch-(\d+)\.pt")


def best_file(folder: PathLike, scenario: str) -> Path:
    """File of the best configuration of a scenario, in the folder of its search."""
    return Path(folder) / "best" / f"{scenario}.yaml"


def best_absgd_file(folder: PathLike, scenario: str) -> Path:
    """File of the best configuration of ABSGD, where that of `best_file` may be a tuned control."""
    return Path(folder) / "best" / f"{scenario}{ABSGD_SUFFIX}.yaml"


def error_file(folder: PathLike, trial_id: str) -> Path:
    """File of the error of a trial that failed, in the folder of its search."""
    return Path(folder) / "errors" / f"{trial_id}.txt"


def predictions_file(folder: PathLike, trial_id: str) -> Path:
    """File of the predictions of a run after its last epoch, in its own folder or that of its search."""
    return Path(folder) / "predictions" / f"{trial_id}.parquet"


def scenario_folder(folder: PathLike, scenario: str) -> Path:
    """Folder of the files of one scenario."""
    return Path(folder) / SCENARIOS_FOLDER / scenario


def confirmation_file(folder: PathLike, scenario: str) -> Path:
    """File of the findings of the confirmation of a scenario, in the folder of its search."""
    return scenario_folder(folder, scenario) / CONFIRMATION_FILE


def trunk_folder(trunks: PathLike, stage_one_key: str, digest: str) -> Path:
    """Folder of one trunk's snapshots, among those of a scenario or of several searches.

    Args:
        trunks: folder of all trunks.
        stage_one_key: key of the runs that share the trunk.
        digest: sha256 of all that the trunk must also agree on, as text.
    """
    return Path(trunks) / f"{stage_one_key}-{digest[:8]}"


def trunks_folder(folder: PathLike, scenario: str) -> Path:
    """Folder of the trunk snapshots of a scenario, unless the space names one for several searches."""
    return scenario_folder(folder, scenario) / "trunks"


def checkpoints_folder(folder: PathLike, scenario: str, trial_id: str) -> Path:
    """Folder of the snapshots from which a trial is continued."""
    return scenario_folder(folder, scenario) / "checkpoints" / trial_id


def snapshot_file(epoch: int) -> str:
    """Name of the snapshot taken after `epoch` epochs.

    >>> snapshot_file(160)
    'epoch-0160.pt'
    """
    return f"epoch-{epoch:04d}.pt"


def snapshot_epochs(folder: PathLike) -> list[int]:
    """Epochs after which `folder` has a snapshot, intact or not, in rising order."""
    return epochs_of_snapshots(path.name for path in Path(folder).glob("epoch-*.pt"))


def epochs_of_snapshots(names: Iterable[str]) -> list[int]:
    """Epochs of those names that are names of snapshots, in rising order.

    >>> epochs_of_snapshots(["epoch-0160.pt", "epoch-0009.pt", ".epoch-0010.pt.k2_w9x0a"])
    [9, 160]
    """
    found = (_SNAPSHOT.fullmatch(name) for name in names)
    return sorted(int(name[1]) for name in found if name)


def unfinished_prefix(name: str) -> str:
    """Beginning of the name of the temporary file that becomes the file `name`."""
    return f".{name}."


def is_unfinished(name: str) -> bool:
    """Whether `name` is that of a temporary file, left by a process that was killed while it wrote a file of a run.

    >>> is_unfinished(unfinished_prefix(TRIALS_FILE) + "k2_w9x0a"), is_unfinished(TRIALS_FILE)
    (True, False)
    """
    return _UNFINISHED.fullmatch(name) is not None
