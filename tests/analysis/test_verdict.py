"""What is said in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from analysis import Runs, load
from analysis.verdict import Verdict
from tests.analysis import run_folders
from tests.analysis.run_folders import GAINS, GAINS_LR, config


def verdict(tmp_path: Path, gains: Sequence[float], gains_lr: Sequence[float], without: str = "") -> Verdict:
    folder = run_folders.Folder(tmp_path / "r")
    run_folders.confirm_rows(folder, gains, gains_lr)
    folder.trials = [row for row in folder.trials if row["candidate"] != without]
    (found,) = load(folder.write()).verdicts()
    return found


LOSSES = [-gain for gain in GAINS]


def test_gain_that_the_learning_rate_explains(tmp_path: Path) -> None:
    found = verdict(tmp_path, GAINS, GAINS_LR)
    assert found.outcome == "not distinguishable"
    assert found.sentence == (
        "best-1 is better than plain cross entropy, but not distinguishable from plain cross entropy at lr / ab_alpha: "
        "the gain may be the larger learning rate alone."
    )


def test_gain_over_both(tmp_path: Path) -> None:
    found = verdict(tmp_path, GAINS, GAINS)
    assert found.outcome == "better"
    assert "also at the same effective learning rate" in found.sentence


@pytest.mark.parametrize(("gains", "gains_lr", "control"), [(LOSSES, GAINS, "entropy:"), (GAINS, LOSSES, "ab_alpha:")])
def test_loss_to_one(tmp_path: Path, gains: Sequence[float], gains_lr: Sequence[float], control: str) -> None:
    found = verdict(tmp_path, gains, gains_lr)
    assert found.outcome == "worse"
    assert f"{control} use that instead" in found.sentence


def test_loss_to_another_control(tmp_path: Path) -> None:
    folder = run_folders.Folder(tmp_path / "r")
    run_folders.confirm_rows(folder)
    for row in folder.trials:
        if row["candidate"] == "focal":
            row["test_balanced_accuracy"] += 0.06
    (found,) = load(folder.write()).verdicts()
    assert found.outcome == "worse"
    assert found.sentence.startswith("best-1 is worse than focal loss: use that instead. It is better than plain cross")


def test_no_gain_at_all(tmp_path: Path) -> None:
    found = verdict(tmp_path, GAINS_LR, GAINS_LR)
    assert found.outcome == "not distinguishable"
    assert "not distinguishable from plain cross entropy at either learning rate" in found.sentence


def test_learning_rate_not_tried(tmp_path: Path) -> None:
    found = verdict(tmp_path, GAINS, GAINS_LR, without="ce-lr")
    assert found.outcome == "better"
    assert "was not tried" in found.sentence


def test_numbers_stand_behind_the_sentence(full: Runs) -> None:
    (found,) = full.verdicts()
    assert found.details[0].startswith("best-1: validation balanced accuracy 83.47 ± 0.63 %, test 82.47 ± 0.63 %")
    assert "+2.50 points on test (95 % interval +1.94 to +3.06, p < 0.001, n = 5)" in found.details[1]


def test_one_seed_is_no_finding(searched: Runs) -> None:
    (found,) = searched.verdicts()
    assert found.outcome == "one seed"
    assert "not a finding until it is confirmed on fresh seeds" in found.sentence
    assert "With 120 validation images one such score has a standard error of about 3.7 points" in found.details[1]


def test_no_control(tmp_path: Path) -> None:
    folder = run_folders.Folder(tmp_path / "r")
    folder.add("a", config(), 0.7)
    (found,) = load(folder.write()).verdicts()
    assert found.outcome == "no control"


def test_two_seeds_and_a_constant_difference_prove_nothing(tmp_path: Path) -> None:
    found = verdict(tmp_path, [0.02, 0.02], [0.02, 0.02])
    assert found.outcome == "not distinguishable"
    assert "2 pairs, no interval" in found.details[1]


def test_many_scenarios_raise_the_bar(tmp_path: Path) -> None:
    gains = [0.002, 0.021, 0.014, 0.004, 0.016]  # p = 0.033 alone
    for k in range(6):
        folder = run_folders.Folder(tmp_path / f"r{k}", f"s{k}")
        run_folders.confirm_rows(folder, gains, gains)
        folder.write()
    alone, together = load(tmp_path / "r0").verdicts(), load(tmp_path / "*").verdicts()
    assert alone[0].outcome == "better"
    assert {one.outcome for one in together} == {"not distinguishable"}
    assert "by Holm over 6 scenarios" in together[0].details[1]
