"""Runs of one seed pair: which of them share a trunk."""

from __future__ import annotations

from typing import Any

from absgd.config import RunConfig
from tune_runs.seed_pairs.pair_runs import PairRun, on_pair, with_trunks

ABSGD = {
    "data": {"name": "digits"},
    "model": {"name": "resnet8"},
    "loss": {"name": "abce"},
    "attention": {"lam": 5.0, "gamma": 0.7, "ab_alpha": 0.5, "switch_epoch": 6},
    "epochs": 10,
    "seeds": {"data": 3, "train": 4},
}


def run_of(trial_id: str, config: RunConfig, **changes: Any) -> PairRun:
    return PairRun(trial_id, 2, "replicate", on_pair(config, 2), **changes)


def test_runs_of_a_pair_have_its_seeds() -> None:
    config = run_of("s-0000", RunConfig.from_dict(ABSGD)).config
    assert (config.seeds.data, config.seeds.train) == (5, 6)


def test_a_plain_run_equal_to_another_forks_from_it_before_its_last_epoch() -> None:
    winner = RunConfig.from_dict(ABSGD)
    plain = winner.stage_one()
    runs = with_trunks([run_of("a", plain), run_of("b", winner), run_of("c", plain)])
    found = {run.trial_id: (run.trunk, run.fork_at, run.save_at) for run in runs}
    assert found == {"a": (None, 0, (6, 9, 10)), "b": ("a", 6, ()), "c": ("a", 9, ())}
    assert len({run.trunk_key for run in runs}) == 1
    assert runs[0].trial_id == "a"


def test_a_run_adjusted_post_hoc_forks_before_its_last_epoch() -> None:
    plain = RunConfig.from_dict(ABSGD).stage_one()
    adjusted = plain.with_values({"loss.posthoc_tau": 1.0})
    deferred = adjusted.with_values({"class_balance": {"type": "reweight", "from_epoch": 4}})
    runs = with_trunks([run_of("p", plain), run_of("a", adjusted), run_of("d", deferred)])
    found = {run.trial_id: (run.trunk, run.fork_at, run.save_at) for run in runs}
    assert found == {"p": (None, 0, (4, 9, 10)), "a": ("p", 9, ()), "d": ("p", 4, ())}


def test_runs_adjusted_post_hoc_are_no_trunks_of_each_other() -> None:
    plain = RunConfig.from_dict(ABSGD).stage_one()
    one, other = (plain.with_values({"loss.posthoc_tau": tau}) for tau in (0.5, 1.0))
    assert [run.trunk_key for run in with_trunks([run_of("a", one), run_of("b", other)])] == [None, None]
    runs = {run.trial_id: run for run in with_trunks([run_of("a", one), run_of("b", other), run_of("p", plain)])}
    assert (runs["a"].trunk, runs["b"].trunk, runs["p"].trunk) == ("p", "p", None)


def test_a_trunk_keeps_the_epochs_at_which_it_was_planned_to_save() -> None:
    winner = RunConfig.from_dict(ABSGD)
    trunk = run_of("a", winner.stage_one(), save_at=(4, 6, 8))
    assert with_trunks([trunk])[0].save_at == (4, 6, 8, 10)
    assert with_trunks([trunk, run_of("b", winner)])[0].save_at == (4, 6, 8, 10)


def test_a_run_without_a_plain_run_of_its_stage_one_trains_from_its_first_epoch() -> None:
    winner = RunConfig.from_dict(ABSGD)
    other = winner.with_values({"optimizer.lr": 0.7})
    runs = {run.trial_id: run for run in with_trunks([run_of("a", winner.stage_one()), run_of("b", other)])}
    assert (runs["b"].trunk, runs["b"].trunk_key, runs["b"].save_at) == (None, None, ())
    assert runs["a"].save_at == ()
