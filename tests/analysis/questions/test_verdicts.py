"""Verdicts claim what the numbers support."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from absgd.records import Verdict
from analysis import Runs, load
from analysis.frames.run_frames import Row
from analysis.questions.verdict_sentences import need_sentence
from tests.support import run_folders
from tests.support.run_folders import GAINS, GAINS_LR, config


def verdict(tmp_path: Path, gains: Sequence[float], gains_lr: Sequence[float], without: str = "") -> Verdict:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    run_folders.confirm_rows(folder, gains, gains_lr)
    folder.trials = [row for row in folder.trials if row["candidate"] != without]
    (found,) = load(folder.write()).verdicts()
    return found


LOSSES = [-gain for gain in GAINS]


def test_gain_that_the_learning_rate_explains(tmp_path: Path) -> None:
    found = verdict(tmp_path, GAINS, GAINS_LR)
    assert found.outcome == "undecided"
    assert found.sentence == (
        "ABSGD with lambda 5 (best-1) is better than plain cross entropy, "
        "but not yet distinguishable from plain cross entropy at lr / ab_alpha: "
        "the gain may be the larger learning rate alone."
    )


def test_gain_over_both(tmp_path: Path) -> None:
    found = verdict(tmp_path, GAINS, GAINS)
    assert found.outcome == "better"
    assert "also at the same effective learning rate" in found.sentence


@pytest.mark.parametrize(
    ("gains", "gains_lr", "control"), [(LOSSES, GAINS, "plain cross entropy, focal"), (GAINS, LOSSES, "lr / ab_alpha")]
)
def test_loss_to_one(tmp_path: Path, gains: Sequence[float], gains_lr: Sequence[float], control: str) -> None:
    found = verdict(tmp_path, gains, gains_lr)
    assert found.outcome == "worse"
    assert control in found.sentence.partition("is worse than")[2].partition(":")[0]


def test_loss_to_another_control(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    run_folders.confirm_rows(folder)
    for row in folder.trials:
        if row["candidate"] == "focal":
            row["test_balanced_accuracy"] += 0.06
    (found,) = load(folder.write()).verdicts()
    assert found.outcome == "worse"
    assert found.sentence == (
        "ABSGD with lambda 5 (best-1) is worse than focal loss: use that instead. "
        "It is better than plain cross entropy and not yet distinguishable from plain cross entropy at lr / ab_alpha."
    )


def test_equal_to_plain_training_within_the_margin(tmp_path: Path) -> None:
    noise = [0.0003 * math.sin(7 * k) for k in range(6)]
    found = verdict(tmp_path, noise, noise, without="balanced-softmax")
    assert found.outcome == "equivalent"
    assert found.label == "Equivalent to plain training"
    assert found.sentence.startswith(
        "ABSGD with lambda 5 (best-1) is equivalent to plain cross entropy at either learning rate. "
        "Equivalent: within 0.50 points."
    )
    assert found.advice.startswith("No reason to use it: take")
    assert found.details[1].startswith("Equivalent within 0.50 points to plain cross entropy: ")


def test_a_gain_that_the_learning_rate_explains_for_certain(tmp_path: Path) -> None:
    found = verdict(tmp_path, [*GAINS, 0.024], [0.0003 * math.sin(7 * k) for k in range(6)])
    assert found.outcome == "equivalent"
    assert found.sentence.startswith(
        "ABSGD with lambda 5 (best-1) is better than plain cross entropy, but equivalent to plain cross entropy at "
        "lr / ab_alpha: the larger learning rate alone explains it."
    )


def test_an_undecided_verdict_says_what_it_would_take(tmp_path: Path) -> None:
    found = verdict(tmp_path, GAINS, [0.004, 0.032, -0.021, 0.019, 0.003])
    assert found.outcome == "undecided"
    words = re.search(r"About (\d+) more pairs would decide it with 80 % power: (.*) --pairs (\d+)$", found.advice)
    assert words is not None
    assert words[2] == f"absgd-tune --confirm {tmp_path / 'r'}"
    assert int(words[3]) == 5 + int(words[1])
    assert f"about {words[1]} more pairs for 80 % power" in " ".join(found.details)


def test_what_it_would_take_counts_from_the_pairs_that_were_trained() -> None:
    rows = [Row(n=3, pairs_needed=3.0, left="max pairs")]
    assert need_sentence(rows, 7, "runs/x").endswith("absgd-tune --confirm runs/x --pairs 10")
    with_own = need_sentence(rows, 7, "runs/x", ["own parts.py 3f2a", "installed 77ab"])
    assert with_own.endswith("absgd-tune --confirm runs/x --plugin 'PATH/own parts.py' --pairs 10")
    bounded = need_sentence([Row(n=3, pairs_needed=3.0, left="budget")], 7, "runs/x")
    assert bounded.endswith("--confirm runs/x --space FILE, where FILE has a larger `confirm.epoch_budget`")


def test_one_pair_claims_nothing(tmp_path: Path) -> None:
    found = verdict(tmp_path, [0.2], [0.2])
    assert found.outcome == "undecided"
    assert found.details[1] == "Undecided against plain cross entropy: +19.60 points on test (one pair: no claim)."
    assert "more pair" not in found.advice.replace("more pairs of seeds.", "")


def test_pairs_that_one_side_lost_are_said(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    run_folders.confirm_rows(folder)
    for row in folder.trials:
        if row["candidate"] == "ce" and row["seed_data"] == 1001:
            row.update(status="diverged", test_balanced_accuracy=None, metric_last=None)
    (found,) = load(folder.write()).verdicts()
    assert "n = 4, 1 run without a partner left out" in found.details[1]


def test_no_gain_at_all(tmp_path: Path) -> None:
    found = verdict(tmp_path, GAINS_LR, GAINS_LR)
    assert found.outcome == "undecided"
    assert "not yet distinguishable from plain cross entropy at either learning rate" in found.sentence


def test_learning_rate_not_tried(tmp_path: Path) -> None:
    found = verdict(tmp_path, GAINS, GAINS_LR, without="ce-lr")
    assert found.outcome == "control missing"
    assert "whether the learning rate alone explains the gain was not tested" in found.sentence


def test_plain_training_not_tried(tmp_path: Path) -> None:
    found = verdict(tmp_path, GAINS, GAINS, without="ce")
    assert found.outcome == "control missing"
    assert found.sentence.endswith("plain cross entropy at lr / ab_alpha; it was not compared with it at lr.")


def with_settings(tmp_path: Path, **settings: Any) -> run_folders.RunFolderBuilder:
    """Return a confirmation without `ce-lr` whose best-1 has other settings."""
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    run_folders.confirm_rows(folder, GAINS, GAINS)
    folder.trials = [row for row in folder.trials if row["candidate"] != "ce-lr"]
    for row in folder.trials:
        if row["candidate"] == "best-1":
            row.update(settings)
    return folder


def test_without_a_raised_learning_rate_only_plain_training_decides(tmp_path: Path) -> None:
    (found,) = load(with_settings(tmp_path, ab_alpha=1.0).write()).verdicts()
    assert found.outcome == "better"
    assert found.sentence == "ABSGD with lambda 5 (best-1) is better than plain cross entropy."


@pytest.mark.parametrize(("gains", "outcome"), [(GAINS, "better"), (GAINS_LR, "undecided")])
def test_base_criterion_decides_too(tmp_path: Path, gains: Sequence[float], outcome: str) -> None:
    folder = with_settings(tmp_path, ab_alpha=1.0, loss="absce")
    best = [row["test_balanced_accuracy"] for row in folder.trials if row["candidate"] == "best-1"]
    for k, (score, gain) in enumerate(zip(best, gains, strict=True)):
        run = config(loss__name="sce", seeds__data=1000 + k, seeds__train=2000 + k).stage_one()
        folder.add(f"sce-{k}", run, 0.7, phase="confirm", candidate="sce", test=score - gain)
    (found,) = load(folder.write()).verdicts()
    assert found.outcome == outcome
    assert found.sentence.endswith("symmetric cross entropy.")


def test_base_criterion_that_was_not_tried(tmp_path: Path) -> None:
    (found,) = load(with_settings(tmp_path, ab_alpha=1.0, loss="absce").write()).verdicts()
    assert found.outcome == "control missing"
    assert found.sentence.endswith("It was not compared with symmetric cross entropy.")


@pytest.mark.parametrize("ending", ["running", "interrupted", "not begun"])
def test_confirmation_that_has_not_ended_has_no_finding(tmp_path: Path, ending: str) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    run_folders.confirm_rows(folder)
    late = [row for row in folder.trials if row["candidate"] == "best-2"][2:]
    for row in late:
        row.update(status=ending, test_balanced_accuracy=None)
    if ending == "not begun":
        folder.trials = [row for row in folder.trials if row not in late]
    (found,) = load(folder.write()).verdicts()
    assert found.outcome == "unfinished"
    assert found.sentence == (
        "The confirmation has not ended: 3 runs of the best configurations are missing. "
        "So far ABSGD with lambda 5 (best-1) leads."
    )


def test_sentence_has_its_numbers(full: Runs) -> None:
    (found,) = full.verdicts()
    assert found.details[0].startswith("best-1: validation balanced accuracy 83.47 ± 0.63 %, test 82.47 ± 0.63 %")
    assert "+2.50 points on test (95 % interval +1.72 to +3.28, p < 0.001, n = 5)" in found.details[1]


def test_one_seed_is_not_a_finding(searched: Runs) -> None:
    (found,) = searched.verdicts()
    assert found.outcome == "one seed"
    assert "not a finding until it is confirmed on fresh seeds" in found.sentence
    assert "With 120 validation images one such score has a standard error of about 3.7 points" in found.details[1]


def test_no_control(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    folder.add("a", config(), 0.7)
    (found,) = load(folder.write()).verdicts()
    assert found.outcome == "no control"


def test_control_without_a_score_is_ignored(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    folder.add("a", config(), 0.7)
    folder.add("c", config(loss__name="ce").stage_one(), 0.7, phase="control", status="failed", num_epochs=3)
    (found,) = load(folder.write()).verdicts()
    assert found.outcome == "no control"


def test_two_seeds_with_a_constant_difference_are_not_significant(tmp_path: Path) -> None:
    found = verdict(tmp_path, [0.02, 0.02], [0.02, 0.02])
    assert found.outcome == "undecided"
    assert "2 pairs, too few for an interval" in found.details[1]


def test_many_scenarios_raise_the_bar(tmp_path: Path) -> None:
    gains = [0.002, 0.021, 0.014, 0.004, 0.016]  # p = 0.033 alone
    for k in range(6):
        folder = run_folders.RunFolderBuilder(tmp_path / f"r{k}", f"s{k}")
        run_folders.confirm_rows(folder, gains, gains)
        folder.write()
    alone, together = load(tmp_path / "r0").verdicts(), load(tmp_path / "*").verdicts()
    assert alone[0].outcome == "better"
    assert {one.outcome for one in together} == {"undecided"}
    assert "p 0.210, n = 5, about 5 more pairs for 80 % power" in together[0].details[1]


def with_leads(tmp_path: Path, *leads: float) -> Verdict:
    """Return the verdict where controls are ahead by points, with a large deviation."""
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    run_folders.confirm_rows(folder, GAINS_LR, GAINS_LR)
    best = [row["test_balanced_accuracy"] for row in folder.trials if row["candidate"] == "best-1"]
    names = ("focal", "balanced-softmax", "ldam-drw", "cb-ce-drw")
    folder.trials = [row for row in folder.trials if row["candidate"] not in names]
    for name, lead in zip(names, leads, strict=False):
        for k, score in enumerate(best):
            run = config(loss__name="focal", seeds__data=1000 + k, seeds__train=2000 + k).stage_one()
            test = score + lead + 0.03 * (-1) ** k
            folder.add(f"{name}-{k}", run, 0.7, phase="confirm", candidate=name, test=test)
    (found,) = load(folder.write()).verdicts()
    return found


def test_controls_ahead_by_points_alone_are_named_the_furthest_first(tmp_path: Path) -> None:
    found = with_leads(tmp_path, 0.009, 0.019)
    assert found.outcome == "undecided"
    assert found.sentence.endswith(
        "Ahead of best-1 on test, but not yet distinguishable from it: balanced softmax by 2.50 points and focal loss "
        "by 1.50 points."
    )
    assert found.advice.startswith(
        "No reason to use it on this evidence: take the simplest of those ahead, or confirm it on more pairs of seeds. "
        "About "
    )
    assert any(line.startswith("Undecided against balanced softmax") for line in found.details)


def test_of_many_controls_ahead_three_are_named(tmp_path: Path) -> None:
    assert "deferred LDAM by 1.60 points and 1 more." in with_leads(tmp_path, 0.02, 0.015, 0.01, 0.005).sentence


@pytest.mark.parametrize(
    ("gains", "advice"),
    [(GAINS, "Use it."), (GAINS_LR, "No reason to use it on this evidence: take plain training, which is simpler")],
)
def test_advice(tmp_path: Path, gains: Sequence[float], advice: str) -> None:
    found = verdict(tmp_path, gains, gains, without="balanced-softmax")
    assert found.advice.startswith(advice)
    assert found.text == f"{found.sentence} {found.advice}"


def test_verdict_has_the_settings_of_the_winner(tmp_path: Path) -> None:
    """Here `best-2`: the confirmation has moved the winner."""
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    run_folders.search_rows(folder)
    run_folders.confirm_rows(folder)
    for row in folder.trials:
        if row.get("candidate") == "best-2":
            row["metric_last"] += 0.05
    (found,) = load(folder.write()).verdicts()
    assert (found.configuration, found.settings["lam"], found.settings["switch_epoch"]) == ("best-2", 9.0, 5)
    assert "lambda 9 (best-2)" in found.sentence


def test_interval_leaves_out_zero_exactly_where_there_is_a_finding(tmp_path: Path) -> None:
    for k, spread in enumerate((0.001, 0.004, 0.008, 0.012, 0.02)):
        folder = run_folders.RunFolderBuilder(tmp_path / f"r{k}", f"s{k}")
        run_folders.confirm_rows(folder, [0.01 + spread * math.sin(5 * n) for n in range(5)], GAINS_LR)
        folder.write()
    table = load(tmp_path / "*").compare(control=None)
    table = table[table.low.notna()]
    leaves_out = (table.low > 0) | (table.high < 0)
    assert (leaves_out == table.finding.isin(["better", "worse"])).all()
    assert (leaves_out == (table.p_value < 0.05)).all()
    assert set(leaves_out) == {True, False}


@pytest.mark.parametrize("status", ["diverged", "failed"])
def test_choice_that_completed_on_no_fresh_seed_is_not_called_unconfirmed_yet(tmp_path: Path, status: str) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    run_folders.search_rows(folder)
    run_folders.confirm_rows(folder)
    for row in folder.trials:
        if str(row.get("candidate")).startswith("best-"):
            row.update(status=status, test_balanced_accuracy=None)
    (found,) = load(folder.write()).verdicts()
    assert found.outcome == "confirmation failed"
    assert found.sentence.startswith("On fresh seeds none of 10 runs of the best configurations was completed")
    assert found.advice.startswith("Do not use it")
