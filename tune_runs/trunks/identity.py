"""The identity of a trunk: everything that its snapshots must agree on, and the folder that follows from it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch

from absgd import records
from absgd.records.environment import version_of
from absgd.training.device_options import machine_of
from tune_runs.file_store.interface import FileStore
from tune_runs.trunks.snapshots import FORMAT, Snapshots
from tune_runs.trunks.trunk_use import TrunkUse


def trunk_identity(stage_one: str, data: str, device: torch.device) -> dict[str, str]:
    """Return what the snapshots of a trunk must agree on.

    Args:
        stage_one: stage-one key of the runs.
        data: fingerprint of the images.
        device: device that trains the trunk. Its identity includes whether it multiplies bfloat16 in hardware, which
            decides the precision of `device.fast`, and for a CPU its instruction set, which decides the bits.
    """
    return {
        "format": FORMAT,
        "stage_one": stage_one,
        "data": data,
        "absgd": str(version_of("absgd-tune")),
        "torch": str(torch.__version__),
        "hardware": _hardware(device),
    }


def _hardware(device: torch.device) -> str:
    kind = f"cpu {torch.backends.cpu.get_cpu_capability()}" if device.type == "cpu" else device.type
    return f"{kind} bfloat16" if machine_of(device).native_bfloat16 else kind


def trunk_snapshots(use: TrunkUse, device: torch.device, store: FileStore | None = None) -> Snapshots:
    """Return the snapshots of a run's trunk, in a folder that no trunk of another identity shares.

    Args:
        use: the run's use of the trunk.
        device: device that trains the run.
        store: has the files, where this node does not see the folder.
    """
    identity = trunk_identity(use.stage_one_key, use.data_fingerprint, device)
    digest = hashlib.sha256("\0".join(identity.values()).encode()).hexdigest()
    return Snapshots(records.trunk_folder(Path(use.folder), use.stage_one_key, digest), identity, store=store)


def has_snapshots(use: TrunkUse, device_type: str) -> bool:
    """Whether all snapshots that a trunk writes are there, as the names of their files say.

    Those of another version of torch, or of another kind of processor than this process', count as gone: a control that
    is trained again finds those that its own process can use.

    Args:
        use: that of the run that writes them.
        device_type: `device.type` of its config.
    """
    device = torch.device("cuda" if device_type == "cuda" else "cpu")
    return set(use.save_at) <= set(trunk_snapshots(use, device).epochs())
