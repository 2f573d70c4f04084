"""The command of `benchmarks.cohort_prototypes` with its processes, and its stacks of a larger model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks.cohort_prototypes.__main__ import main
from benchmarks.cohort_prototypes.cohort_members import FusedStack, VmapStack
from tests.support.lockstep_stacks import assert_members_get_the_numbers_of_runs_alone
from tests.support.prototype_commands import TINY, set_arguments


def test_command_prints_and_keeps_a_row_for_each_way_and_number(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    set_arguments(monkeypatch, *TINY, "--fast", "--json", str(tmp_path / "x.json"))
    assert main() == 0
    printed = capsys.readouterr().out
    report = json.loads((tmp_path / "x.json").read_text())
    assert list(report["rows"]) == ["1", "2"]
    for named in report["rows"].values():
        assert list(named) == ["in turn", "stacked", "fused", "processes"]
        assert all(row["images_per_s"][1] > 0 and row["peak_bytes"] == 0 for row in named.values())
    assert report["rows"]["1"]["in turn"]["of_one"] == [1.0, 1.0, 1.0]
    assert report["memory_format"] == "channels_last"
    assert len([line for line in printed.splitlines() if line.lstrip().startswith(("1 ", "2 "))]) == 8
    assert printed.splitlines()[-1] == "not measured: cuda, resnet32: together at least 4 times one at a time"


@pytest.mark.parametrize("kind", [VmapStack, FusedStack])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_members_of_a_stack_of_a_larger_model_get_the_numbers_of_runs_alone(
    kind: type[VmapStack | FusedStack], dtype: torch.dtype
) -> None:
    assert_members_get_the_numbers_of_runs_alone(kind, dtype, "resnet32")
