"""Importances name their method and their use of pruned trials."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import optuna
import pytest

from absgd.errors import UserError
from analysis import Runs, load
from analysis.questions.optuna_importance import quantile_name
from tests.support import run_folders
from tests.support.run_folders import config


def search(tmp_path: Path, num_trials: int, pruned: bool = False) -> Runs:
    """Load a search whose scores depend on ab_alpha only."""
    source = random.Random(3)
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    for number in range(num_trials):
        ab_alpha = source.uniform(0.1, 1.0)
        values = {"attention__ab_alpha": ab_alpha, "attention__gamma": source.uniform(0.1, 1.0)}
        values |= {"attention__lam": 10 ** source.uniform(-0.3, 1.69), "attention__switch_epoch": 5}
        is_pruned = pruned and ab_alpha < 0.7
        folder.add(
            f"t{number}", config(**values), 0.5 + 0.4 * ab_alpha, status="pruned" if is_pruned else "completed",
            num_epochs=7 if is_pruned else 10, inherited=5,
        )  # fmt: skip
    return load(folder.write())


def test_ped_anova_uses_pruned_trials_with_a_note(tmp_path: Path) -> None:
    frame = search(tmp_path, 40, pruned=True).importance()
    first = frame.iloc[0]
    assert first.parameter == "ab_alpha"
    assert first.importance > 0.6
    assert frame.importance.sum() == pytest.approx(1)
    assert frame.uses_pruned.all()
    assert (first.method, first.num_completed + first.num_pruned) == ("ped-anova", 40)
    assert first.num_pruned > 10


def test_fanova_takes_finished_trials_only_with_a_note(tmp_path: Path) -> None:
    frame = search(tmp_path, 40).importance("fanova")
    assert frame.parameter.iloc[0] == "ab_alpha"
    assert not frame.uses_pruned.any()
    left = search(tmp_path / "b", 40, pruned=True).importance("fanova")
    assert left.note.iloc[0] == f"{left.num_completed.iloc[0]} finished trials are too few (at least 20 are needed)"


def test_ped_anova_is_optunas_on_ranks(tmp_path: Path) -> None:
    runs = search(tmp_path, 40)
    trials = runs.trials
    study = optuna.create_study(direction="maximize")
    float_ = optuna.distributions.FloatDistribution
    kinds = {"lam": float_(0.5, 50, log=True), "gamma": float_(0.1, 1), "ab_alpha": float_(0.1, 1)}
    for row in trials.itertuples():
        params = {name: getattr(row, name) for name in kinds}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=kinds, value=row.metric_last))
    quantile: dict[str, Any] = {quantile_name(): 0.25}
    reference = optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.PedAnovaImportanceEvaluator(**quantile)
    )
    found = dict(zip(runs.importance().parameter, runs.importance().importance, strict=True))
    assert found == pytest.approx(reference)


def test_too_few_trials(tmp_path: Path) -> None:
    frame = search(tmp_path, 6).importance()
    assert frame.note.tolist() == ["6 trials are too few (at least 12 are needed)"]
    assert frame.parameter.isna().all()


def test_all_scores_equal(tmp_path: Path) -> None:
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    for number in range(14):
        folder.add(f"t{number}", config(attention__lam=1.0 + number), 0.5)
    assert load(folder.write()).importance().note.tolist() == ["all trials score the same"]


def test_signs_and_choices(tmp_path: Path) -> None:
    source = random.Random(0)
    folder = run_folders.RunFolderBuilder(tmp_path / "r")
    for number in range(24):
        sign = source.choice([1, -1])
        run = config(attention__lam=sign * source.uniform(1, 9), model__dropout=source.choice([0.0, 0.2]))
        folder.add(f"t{number}", run, 0.5 + 0.1 * sign + source.uniform(0, 0.01))
    lam = {"low": 1.0, "high": 9.0, "log": True, "sign": [1, -1]}
    runs = load(folder.write({"search": {"lam": lam, "model.dropout": {"choices": [0.0, 0.2]}}}))
    frame = runs.importance()
    assert set(frame.parameter) == {"|lam|", "sign of lam", "dropout"}
    assert frame.parameter.iloc[0] == "sign of lam"


def test_unknown_method(full: Runs) -> None:
    with pytest.raises(UserError, match="got 'anova'"):
        full.importance("anova")  # type: ignore[arg-type]
