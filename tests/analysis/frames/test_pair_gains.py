"""Scores over the seed pairs of a search: the gains, the choice, and what stays as it was with one pair."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from analysis import Runs, load
from analysis.frames.pair_gains import pair_gains
from analysis.report.text_report import markdown
from tests.support.fake_searches import EXP, space_of
from tests.support.fake_tuner import FakeTuner, rising
from tests.support.run_folders import RunFolderBuilder, replicate_rows, search_rows

SCENARIO = "digits-exp-0.05"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    builder = RunFolderBuilder(tmp_path / "run", SCENARIO)
    search_rows(builder)
    replicate_rows(builder)
    return builder.write()


def by_trial(runs: Runs) -> pd.DataFrame:
    """Return the scores over pairs by the last digits of the trial's id."""
    numbers = runs.trials[runs.trials.phase == "search"].set_index("number").trial_id.str[-4:].astype(int)
    found = pair_gains(runs.scored).droplevel(["folder", "scenario"])
    return found.set_axis(numbers[found.index].to_numpy())


def test_gains_are_over_the_control_of_each_pair(folder: Path) -> None:
    runs = load(folder)
    found = by_trial(runs)
    assert found.num_pairs.to_dict() == {0: 3, 4: 3, 8: 3, 12: 1}
    first = runs.trials.set_index("trial_id").metric_last[f"{SCENARIO}-0004"]
    assert found.gain_mean[4] == pytest.approx((first - 0.80 + 0.2 + 0.2) / 3)
    assert found.gain_n[4] == 3
    assert found.gain_mean[12] == pytest.approx(runs.trials.set_index("trial_id").metric_last[f"{SCENARIO}-0012"] - 0.8)


def test_mean_gain_chooses_among_trials_on_the_most_pairs(folder: Path) -> None:
    best = load(folder).best().iloc[0]
    assert (best.configuration, best.num_pairs, best.n) == (f"{SCENARIO}-0004", 3, 1)
    assert best.gain_mean > 0.1
    assert best.num_completed == 4


def test_a_lost_run_puts_a_configuration_behind(tmp_path: Path) -> None:
    builder = RunFolderBuilder(tmp_path / "run", SCENARIO)
    search_rows(builder)
    replicate_rows(builder)
    lost = next(row for row in builder.trials if row["trial_id"] == f"{SCENARIO}-0004-pair2")
    lost["status"] = "diverged"
    best = load(builder.write()).best().iloc[0]
    assert best.configuration in (f"{SCENARIO}-0000", f"{SCENARIO}-0008")


def test_pairs_whose_control_was_lost_rank_but_have_no_gain(tmp_path: Path) -> None:
    builder = RunFolderBuilder(tmp_path / "run", SCENARIO)
    search_rows(builder)
    replicate_rows(builder)
    control = next(row for row in builder.trials if row["trial_id"] == f"{SCENARIO}-control-pair1")
    control["status"] = "failed"
    runs = load(builder.write())
    found = by_trial(runs)
    assert (found.gain_n[4], found.num_pairs[4]) == (2, 3)
    assert runs.best().configuration.iloc[0] == f"{SCENARIO}-0004"


def test_configurations_have_one_row_for_each_trial_and_control_of_the_first_pair(folder: Path) -> None:
    frame = load(folder).configurations
    assert frame.configuration.is_unique
    assert set(frame[frame.is_control].trial_id) == {f"{SCENARIO}-control"}
    assert (frame[frame.num_pairs == 1].gain_std.isna()).all()


def test_reports_say_over_how_many_pairs_the_search_chose(folder: Path) -> None:
    (verdict,) = load(folder).verdicts()
    assert str(verdict).startswith("digits-exp-0.05: Over 3 pairs of seeds of the search the best trial is")
    assert any("over 3 pairs of seeds" in text for text in load(folder).cautions().text)
    text = markdown(load(folder))
    assert "over 3 pairs of seeds" in text


def test_the_analysis_chooses_what_the_search_chose(tmp_path: Path) -> None:
    space = space_of(num_trials=9, early_stopping=None, seeds={"pairs": 3})
    tuner = FakeTuner(space, tmp_path / "fake", lambda config, epoch: rising(config, epoch) + config.seeds.data / 10)
    tuner.run()
    best, chosen = load(tmp_path / "fake").best().iloc[0], tuner.recorder.scores(EXP)[0]
    assert (best.trial_id, best.num_pairs) == (chosen.trial.trial_id, chosen.num_pairs)
    assert best.gain_mean == pytest.approx(chosen.mean_gain)
    assert best.gain_std == pytest.approx(chosen.gain_std, abs=1e-12)
