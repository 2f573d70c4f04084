"""The page of the study follows from the committed results, word for word, and works on partial ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from analysis import load
from benchmarks.report_scale.many_scenarios import write_scenarios
from benchmarks.study import study_tables as tables
from benchmarks.study.searched_settings import importance_frame, importance_sentence, rate_frame
from benchmarks.study.study_costs import POSTHOC, cost_frame, cost_sentence, plain_epochs
from benchmarks.study.study_page import paragraph, study_page
from benchmarks.study.study_results import StudyPart, comparison_frame, part_results, study_parts
from benchmarks.study.study_spaces import STUDY_RESULTS

PAGE = Path(__file__).parents[3] / "docs" / "study.md"


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[StudyPart]:
    """Return two made-up scenarios that were run, and one that was not."""
    folder = write_scenarios(tmp_path_factory.mktemp("study") / "digits_imbalanced", 2)
    found = [
        StudyPart("digits_imbalanced", "digits", f"exp {number}", result)
        for number, result in enumerate(part_results(load(folder)).values())
    ]
    return [*found, StudyPart("digits_noisy_sce", "digits", "symmetric noise 0.2")]


def trials_of(part: StudyPart) -> pd.DataFrame:
    """Return the trials of a scenario that was run."""
    assert part.result is not None
    return part.result.runs.trials


def test_page_is_that_of_the_committed_results() -> None:
    assert PAGE.read_text() == study_page(STUDY_RESULTS), "python -m benchmarks.study --page docs/study.md"


def test_page_of_nothing_lists_every_scenario_as_not_run(tmp_path: Path) -> None:
    page = study_page(tmp_path)
    assert page.count("| not run |") == len(study_parts(tmp_path))
    assert "Nothing was run yet: the study has 24 scenarios." in page
    assert "images/" not in page, "no figure of nothing"


def test_page_needs_neither_torch_nor_ray() -> None:
    code = "import sys, benchmarks.study.study_page; print([m for m in ('torch', 'ray') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_comparisons_are_in_points_of_the_runs(parts: list[StudyPart]) -> None:
    frame = comparison_frame(parts)
    assert len(frame) == 8
    rows = load(trials_of(parts[0]).folder.iloc[0]).comparisons
    assert frame.difference.tolist() == pytest.approx((100 * rows.difference).tolist())
    assert set(frame.title) == {"digits exp 0", "digits exp 1"}


def test_method_table_has_a_row_for_every_scenario_and_no_empty_column(parts: list[StudyPart]) -> None:
    head, _, *rows = tables.method_table(parts)
    assert "balanced softmax" not in head, "only the tuned one has a column"
    assert "plain, lr / abAlpha" in head
    assert len(rows) == 3
    assert rows[2].startswith("| symmetric noise 0.2, over SCE | not run |")


def test_costs_count_every_epoch_once(parts: list[StudyPart]) -> None:
    frame = cost_frame(parts)
    trials = trials_of(parts[0])
    assert frame.trained.iloc[0] == trials.epochs_trained.sum()
    assert "Two scenarios took" in cost_sentence(frame)
    assert "(100 %" not in cost_sentence(frame)


def test_plain_way_trains_candidates_on_all_pairs_and_posthoc_for_nothing(parts: list[StudyPart]) -> None:
    trials = trials_of(parts[0])
    before = plain_epochs(trials, 8)
    searched = int((trials.phase != "confirm").sum())
    candidates = trials[trials.phase == "confirm"].candidate.nunique()
    assert before == 10 * (searched + 8 * candidates)
    without_one = trials.assign(candidate=trials.candidate.replace("focal", POSTHOC))
    assert plain_epochs(without_one, 8) == before - 10 * 8


def test_settings_are_asked_of_scenarios_that_were_run(parts: list[StudyPart]) -> None:
    frame = importance_frame(parts)
    assert set(frame.title) == {"digits exp 0", "digits exp 1"}
    assert frame.groupby("title").importance.sum().tolist() == pytest.approx([1.0, 1.0])
    assert importance_sentence(frame).startswith("Of the settings of the method, the mean importances")
    assert rate_frame(parts).dataset.tolist() == ["digits", "digits"]


def test_paragraph_never_breaks_inside_a_word() -> None:
    lines = paragraph("word " * 60 + "`a-long-command` end", "  ").splitlines()
    assert lines[0].startswith("- word")
    assert all(line.startswith("  word") for line in lines[1:])
    assert all(len(line) <= 120 for line in lines)
