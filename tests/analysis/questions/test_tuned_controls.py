"""Tuned controls in frames, verdicts and reports, from searches on curves."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

from absgd.records import best_of_all
from analysis import load
from analysis.report.html_report import write_report
from analysis.report.text_report import markdown
from analysis.runs import Runs
from tests.support.fake_searches import EXP
from tests.support.tuned_searches import run


@pytest.fixture(scope="module")
def beaten(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """A search in which tuned focal loss is the best of all."""
    return load(run(tmp_path_factory.mktemp("beaten") / "run").recorder.folder)


@pytest.fixture(scope="module")
def winning(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """A search in which ABSGD is better than every tuned control."""
    controls = {"tuned": True, "methods": ["ce", "cb-ce-drw"]}
    confirm = {"max_pairs": 4, "controls": ["ce", "ce-lr"]}
    return load(run(tmp_path_factory.mktemp("winning") / "run", controls=controls, confirm=confirm).recorder.folder)


def test_each_tuned_control_is_a_row_with_its_cost(beaten: Runs) -> None:
    table = beaten.tuned_controls().set_index("control")
    assert list(table.index) == ["ce-tuned", "cb-ce-drw-tuned", "ce-posthoc-tuned", "focal-tuned"]
    trials = beaten.trials
    for name, row in table.drop("ce-tuned").iterrows():
        own = trials[(trials.phase == "tuning") & (trials.candidate == name)]
        assert row.num_tried == len(own)
        assert row.epochs == own.epochs_trained.sum()
        done = own[own.status == "completed"]
        assert (row.num_completed, row.num_stopped) == (len(done), (own.status == "pruned").sum())
        assert row.val_best == done.metric_last.max()
        assert row.trial_id == done.loc[done.metric_last.idxmax()].trial_id
    assert table.num_tried["ce-tuned"] == 2
    assert table.ranges["ce-tuned"] == "weight decay 0.0002, 0.001"
    assert table.settings["focal-tuned"].startswith("focal gamma 2")


def test_runs_of_tuned_controls_are_no_configurations(beaten: Runs) -> None:
    assert not beaten.configurations.configuration.str.contains("-tuned-").any()
    assert set(beaten.best().trial_id) <= set(beaten.trials[beaten.trials.phase == "confirm"].trial_id)


def test_verdict_names_the_tuned_control_to_use_instead(beaten: Runs) -> None:
    (verdict,) = beaten.verdicts()
    assert verdict.advice == f"Use tuned focal loss instead: best/{EXP}.yaml has its settings."
    assert verdict.outcome in ("worse", "better")
    home = yaml.safe_load((Path(beaten.folders[0].path) / "best" / f"{EXP}.yaml").read_text())
    assert home["loss"]["name"] == "focal"


def test_verdict_says_that_every_tuned_control_is_beaten(winning: Runs) -> None:
    (verdict,) = winning.verdicts()
    assert (verdict.outcome, verdict.label) == ("best", "Better than every tuned control")
    assert "It is better than every tuned control." in verdict.sentence
    assert verdict.advice == "Use it."


def test_reports_list_the_tuned_controls(beaten: Runs, tmp_path: Path) -> None:
    write_report(beaten, tmp_path / "report.html")
    page, text = (tmp_path / "report.html").read_text(), markdown(beaten)
    for words in ("Tuned controls", "tuned focal loss", "post-hoc logit adjustment"):
        assert words in page
        assert words.lower() in text.lower()
    assert "of tuned controls" in page


def test_a_search_without_tuned_controls_has_no_rows(tmp_path: Path) -> None:
    runs = load(run(tmp_path / "run", controls={}, num_trials=4).recorder.folder)
    assert runs.tuned_controls().empty
    assert "Tuned controls" not in markdown(runs)


@pytest.mark.parametrize(
    ("findings", "scores", "expected"),
    [
        ({"ce": "undecided"}, {"best-1": {1: 0.5, 2: 0.5}, "ce": {1: 0.6, 2: 0.6}}, "ce"),
        ({"ce": "better"}, {"best-1": {1: 0.5, 2: 0.5}, "ce": {1: 0.6, 2: 0.6}}, "best-1"),
        ({"ce": "worse"}, {"best-1": {1: 0.5, 2: 0.5}, "ce": {1: 0.4, 2: 0.4}}, "ce"),
        ({"ce": "undecided"}, {"best-1": {1: 0.5}, "ce": {1: 0.6}}, "best-1"),
        ({"ce": None}, {"best-1": {1: 0.5, 2: 0.5}, "ce": {1: 0.6, 2: 0.6}}, "ce"),
        ({"ce": "undecided"}, {"best-1": {1: 0.5, 2: 0.5}, "ce": {1: 0.5, 2: 0.5}}, "best-1"),
        ({"ce": "undecided"}, {"best-1": {1: 0.9, 2: 0.5}, "ce": {2: 0.6, 3: 0.7}}, "best-1"),
        (
            {"ce": "worse", "x": "undecided"},
            {"best-1": {1: 0.5, 2: 0.5}, "ce": {1: 0.6, 2: 0.6}, "x": {1: 1, 2: 1}},
            "x",
        ),
    ],
)
def test_claims_come_before_validation(
    findings: dict[str, str | None], scores: dict[str, dict[int, float]], expected: str
) -> None:
    assert best_of_all("best-1", findings, scores) == expected


def test_best_of_all_reads_no_test_score(beaten: Runs) -> None:
    """The choice is the same whatever the test columns hold: only findings and validation scores are given to it."""
    rows = beaten.trials[(beaten.trials.phase == "confirm") & (beaten.trials.status == "completed")]
    scores = {str(name): dict(zip(own.pair, own.metric_last, strict=True)) for name, own in rows.groupby("candidate")}
    findings = dict.fromkeys(set(scores) - {"best-1"}, "undecided")
    assert best_of_all("best-1", findings, scores) == "focal-tuned"
    assert isinstance(beaten.tuned_controls(), pd.DataFrame)
