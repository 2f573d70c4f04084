"""The first paragraph of the study says first where ABSGD does not win."""

from __future__ import annotations

from benchmarks.study.study_summary import PartVerdict, summary_text
from tests.support.study_frames import study_comparison, study_frame


def test_summary_begins_with_what_is_not_won() -> None:
    verdicts = [
        PartVerdict("digits exp 0.1", "undecided"),
        PartVerdict("digits step 0.1", "worse"),
        PartVerdict("digits exp 0.01", "better"),
    ]
    rows = study_frame(
        study_comparison("digits exp 0.1", "undecided", -1.0, control="balanced-softmax-tuned"),
        study_comparison("digits step 0.1", "worse", -3.0, control="balanced-softmax-tuned"),
        study_comparison("digits step 0.1", "undecided", 2.0, control="cb-ce-drw-tuned"),
    )
    assert summary_text(verdicts, rows, 4) == (
        "In two of three scenarios ABSGD is not shown to be better than plain training at both lr and lr / abAlpha, "
        "and in one of these it is found worse than a rival (digits step 0.1). It is better than plain training, also "
        "at lr / abAlpha, its effective learning rate, in one (digits exp 0.01), and better than every tuned rival in "
        "none. On long-tailed data it is on average 2.0 points behind tuned balanced softmax (−14.7 to +10.7) and 2.0 "
        "points ahead of tuned deferred class-balanced cross entropy. One of the 4 scenarios was not run."
    )


def test_summary_of_a_study_that_wins_says_by_what() -> None:
    verdicts = [PartVerdict("digits exp 0.1", "best"), PartVerdict("digits exp 0.01", "better")]
    text = summary_text(verdicts, study_frame(), 2)
    assert text.startswith("ABSGD is better than plain training in all two scenarios that were run.")
    assert text.endswith("and better than every tuned rival in one (digits exp 0.1).")


def test_summary_of_wrong_labels_names_the_criteria_alone() -> None:
    rows = study_frame(
        study_comparison("digits pair noise 0.4", "worse", -3.0, kind="noisy_sce", control="ce"),
        study_comparison("digits pair noise 0.4", "undecided", 1.0, kind="noisy_sce", control="sce"),
    )
    text = summary_text([PartVerdict("digits pair noise 0.4, over SCE", "worse")], rows, 1)
    assert text.endswith(
        "With wrong labels alone it is on average 3.0 points behind plain cross entropy and 1.0 points ahead of SCE or "
        "TCE alone."
    )


def test_summary_of_nothing_says_so() -> None:
    assert summary_text([], study_frame(), 24) == "Nothing was run yet: the study has 24 scenarios."
