"""The ranking of trials: kept up to date, it equals the ranking of all runs."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.fake_searches import EXP, space_of
from tests.support.fake_tuner import FakeTuner
from tune_runs.recording.pair_scores import Ranking, RunOnPair


@pytest.mark.parametrize("seed", range(4))
def test_a_ranking_kept_up_to_date_equals_a_new_one(tmp_path: Path, seed: int) -> None:
    source = random.Random(seed)
    values: dict[str, float] = {}

    def curve(config: object, epoch: int) -> float | None:
        value = values.setdefault(repr(config), source.choice([0.3, 0.5, 0.5, 0.7, -1.0]))
        return None if value < 0 and epoch == 8 else max(value, 0.0)

    tuner = FakeTuner(space_of(num_trials=24, early_stopping=None), tmp_path / "run", curve, concurrent=3)
    recorder = tuner.recorder
    for _ in tuner.results({}):
        runs = [
            RunOnPair(trial, 0, recorder.epochs[trial.trial_id][-1]["val_loss"])
            for trial in recorder.trials_of(EXP)
            if recorder.epochs[trial.trial_id]
        ]
        expected = Ranking(runs, recorder.objective).scores
        assert [score.trial.number for score in recorder.scores(EXP)] == [score.trial.number for score in expected]
        assert [score.gains for score in recorder.scores(EXP)] == [score.gains for score in expected]
    assert len(recorder.scores(EXP)) > 10
