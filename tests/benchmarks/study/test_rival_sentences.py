"""What a sentence of the study says when ABSGD wins, loses, is undecided, or was not compared."""

from __future__ import annotations

from benchmarks.study.rival_sentences import rival_sentence, rows_against
from tests.support.study_frames import study_comparison, study_frame


def test_sentence_names_wins_and_losses_with_their_intervals() -> None:
    rows = study_frame(
        study_comparison("digits exp 0.1", "better", 3.0, 1.0, 5.0),
        study_comparison("digits step 0.1", "worse", -2.0, -3.0, -1.0),
        study_comparison("digits step 0.01", "undecided", 0.5, -4.0, 5.0),
    )
    assert rival_sentence("ABSGD", "focal loss", rows) == (
        "ABSGD was found better than focal loss in one of three scenarios (digits exp 0.1: +3.0 points (+1.0 to +5.0)) "
        "and worse in one (digits step 0.1: −2.0 points (−3.0 to −1.0)); one is undecided. "
        "The mean lead is +0.5 points (−5.7 to +6.7)."
    )


def test_sentence_without_a_win_says_so_first() -> None:
    rows = study_frame(*(study_comparison(f"digits exp 0.{number}", "undecided", -1.0, -9.0, 7.0) for number in (1, 2)))
    assert rival_sentence("ABSGD", "focal loss", rows) == (
        "ABSGD was found better than focal loss in none of two scenarios; all are undecided. "
        "The mean lead is −1.0 points (−1.0 to −1.0)."
    )


def test_sentence_gives_the_settings_of_a_win_where_asked() -> None:
    rows = study_frame(*(study_comparison(f"digits exp 0.{number}", "better", 2.0, 1.0, 3.0) for number in (1, 2)))
    assert "+2.0 points (+1.0 to +3.0), learning rate 0.05 and weight decay 0.005;" in rival_sentence(
        "ABSGD", "plain cross entropy", rows, with_settings=True
    )


def test_sentence_on_one_scenario_has_no_mean() -> None:
    one = study_frame(study_comparison("digits exp 0.1", "undecided", -1.0))
    assert rival_sentence("ABSGD", "SCE alone", one) == (
        "Between ABSGD and SCE alone nothing is decided, with a lead of −1.0 points in digits exp 0.1, "
        "the only scenario compared."
    )
    lost = study_frame(study_comparison("digits exp 0.1", "worse", -1.0, -1.5, -0.5))
    assert rival_sentence("ABSGD", "SCE alone", lost).startswith(
        "ABSGD was found worse than SCE alone, with a lead of −1.0"
    )


def test_sentence_without_comparisons_says_that_there_are_none() -> None:
    assert rival_sentence("ABSGD", "SCE alone", study_frame()) == "ABSGD has not been compared with SCE alone yet."


def test_rows_take_the_first_control_that_a_scenario_has() -> None:
    rows = study_frame(
        study_comparison("digits exp 0.1", "better", 3.0),
        study_comparison("digits exp 0.1", "worse", -3.0, control="ce-tuned"),
        study_comparison("digits step 0.1", "better", 4.0),
        study_comparison("digits pair noise 0.4", "better", 9.0, kind="noisy_sce"),
    )
    own = rows_against(rows, ("imbalanced",), "ce-tuned", "ce")
    assert own.difference.tolist() == [-3.0, 4.0]
