"""The names under which a space searches settings."""

from __future__ import annotations

from tune_runs.space.setting_names import searchable_names, setting_of


def test_short_names_stand_for_settings_of_attention() -> None:
    assert setting_of("switch_epoch") == "attention.switch_epoch"
    assert setting_of("batch_size") == "batch_size"


def test_searchable_names_leave_out_settings_of_scenario_and_machine() -> None:
    sections = {name.split(".")[0] for name in searchable_names()}
    assert {"lam", "gamma", "ab_alpha", "switch_epoch", "add_uniform", "loss", "optimizer"} <= sections
    assert not sections & {"attention", "data", "imbalance", "noise", "seeds", "device", "epochs"}
