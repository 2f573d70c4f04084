"""Uninterrupted searches on curves, and killed ones that must end with the same results."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
from optuna.trial import TrialState

from absgd import records
from tests.support.fake_searches import (
    EXP,
    assert_same,
    some_diverge,
    space_of,
    study_trials,
    trials,
)
from tests.support.fake_trainer import FakeTrainer
from tests.support.fake_tuner import SPACE, FakeTuner, make_space
from tests.support.kills import Killed, killed_at
from tests.support.made_up_scores import staggered
from tune_runs.space.model import SearchSpace


class WholeSearch(NamedTuple):
    """The results of an uninterrupted search, and its numbers of writes."""

    folder: Path
    writes: int
    writes_before: int = 0
    """Writes until the search was done and its confirmation started."""


def whole_search(folder: Path) -> WholeSearch:
    """Run an uninterrupted search."""
    with killed_at(0, pytest.MonkeyPatch()) as count:
        FakeTuner(space_of(), folder, some_diverge, concurrent=1).run()
    states = {trial.state for trial in study_trials(folder, EXP)}
    assert states == {TrialState.COMPLETE, TrialState.PRUNED}
    assert set(trials(folder).status) == {"completed", "pruned", "diverged"}
    return WholeSearch(folder, count[0])


CONFIRM = {"max_pairs": 4, "controls": ["ce", "ce-lr", "cb-ce-drw", "focal"]}


def with_confirmation() -> SearchSpace:
    """Return a space whose best trials are confirmed."""
    return make_space(
        scenarios=SPACE["scenarios"][:1], num_trials=3, early_stopping=None, seed=10, confirm=CONFIRM, epoch_budget=500
    )


def whole_confirmation(folder: Path) -> WholeSearch:
    """Run an uninterrupted search with its confirmation."""
    with killed_at(0, pytest.MonkeyPatch()) as count:
        tuner = FakeTuner(with_confirmation(), folder, some_diverge, concurrent=1, test_score=staggered)
        results = tuner.results({})
        while not tuner.searcher.searches[EXP].is_done:
            next(results)
        num_before = count[0]
        for _ in results:
            pass
    runs = trials(folder).query("phase == 'confirm'").groupby("candidate").size().to_dict()
    expected = {"best-1": 4, "ce": 3, "cb-ce-drw": 2, "ce-lr": 2, "focal": 4}
    assert runs == expected, "`ce` is beaten after three pairs; then `ce-lr` and focal loss catch up"
    assert set(trials(folder).status) == {"completed", "diverged"}
    return WholeSearch(folder, count[0], num_before)


def assert_killed_search_ends_as(
    whole: WholeSearch, folder: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    """Kill a search in `folder` at its write number `moment`, resume it, and compare it with `whole`."""
    trained = FakeTrainer.epochs_trained
    with pytest.raises(Killed), killed_at(moment, monkeypatch):
        FakeTuner(space_of(), folder, some_diverge, concurrent=1).run()
    FakeTuner(space_of(), folder, some_diverge, concurrent=1).run()
    assert_same(whole.folder, folder)
    recorded = trials(whole.folder).epochs_trained.sum()
    assert FakeTrainer.epochs_trained - trained - recorded in (0, 1), "at most the running epoch is lost"


def assert_killed_confirmation_ends_as(
    whole: WholeSearch, folder: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    """Kill a search and confirmation in `folder` at write number `moment`, resume it, and compare it with `whole`."""
    with pytest.raises(Killed), killed_at(moment, monkeypatch):
        FakeTuner(with_confirmation(), folder, some_diverge, concurrent=1, test_score=staggered).run()
    complete = set(trials(folder).query("phase == 'confirm' and status == 'completed'").trial_id)
    resumed = FakeTuner(with_confirmation(), folder, some_diverge, concurrent=1, test_score=staggered)
    resumed.run()
    assert_same(whole.folder, folder)
    assert not complete & set(resumed.tested), "the test set is not read again"
    tables = [pd.read_parquet(records.confirmation_file(one, EXP)) for one in (whole.folder, folder)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    best = [(one / "best" / f"{EXP}.yaml").read_text() for one in (whole.folder, folder)]
    assert best[0] == best[1]
