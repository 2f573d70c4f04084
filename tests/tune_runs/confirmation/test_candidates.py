"""Pure plans of a confirmation: candidates, controls, seeds, and the runs that fork from others."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from absgd.config import RunConfig
from absgd.config.sections import SeedConfig
from absgd.datasets import load_splits
from absgd.training import Trainer
from analysis.wording.titles import control_titles
from tune_runs.confirmation.candidates import (
    Candidate,
    CandidateSet,
    confirm_runs,
    with_controls,
)
from tune_runs.seed_pairs.pair_runs import plain_prefix, seed_pair
from tune_runs.space.space_sections import ControlName

EVERY = get_args(ControlName)


def config_of(**changes: Any) -> RunConfig:
    return RunConfig.from_dict(
        {
            "data": {"name": "digits"},
            "model": {"name": "resnet8"},
            "loss": {"name": "abce"},
            "attention": {"lam": 5.0, "gamma": 0.7, "ab_alpha": 0.5, "switch_epoch": 6},
            "optimizer": {"lr": 0.1},
            "epochs": 10,
            "seeds": {"data": 0, "train": 0},
        }
    ).with_values(changes)


def controls_of(winner: RunConfig, plain: RunConfig | None = None) -> CandidateSet:
    return with_controls(Candidate("best-1", "s-0003", winner), plain or config_of().stage_one(), "s", EVERY)


def by_name(candidates: CandidateSet) -> dict[str, RunConfig]:
    return {one.name: one.config for one in candidates.members}


def changed(config: RunConfig, other: RunConfig) -> dict[str, Any]:
    """Return the settings of `config` that differ from those of `other`."""

    def flat(data: Any, key: str = "") -> dict[str, Any]:
        if not isinstance(data, dict):
            return {key: data}
        return {name: value for part in data for name, value in flat(data[part], f"{key}.{part}".strip(".")).items()}

    ours, theirs = flat(config.to_dict()), flat(other.to_dict())
    return {key: value for key, value in ours.items() if theirs.get(key) != value}


def test_controls_of_ce_differ_from_it_in_the_setting_they_are_named_after() -> None:
    winner = config_of(**{"class_balance": {"type": "reweight", "beta": 0.999, "from_epoch": "switch"}})
    made = controls_of(winner)
    found = by_name(made)
    assert list(found) == ["best-1", "ce", "ce-lr", "cb-ce-drw", "ldam-drw", "focal", "balanced-softmax"]
    assert made.notes == ()
    plain = found.pop("ce")
    assert plain == winner.stage_one()
    assert found.pop("best-1") == winner
    deferred = {"class_balance.type": "reweight", "class_balance.beta": 0.999, "class_balance.from_epoch": 6}
    assert {name: changed(config, plain) for name, config in found.items()} == {
        "ce-lr": {"optimizer.lr": 0.2},
        "cb-ce-drw": deferred,
        "ldam-drw": {"loss.name": "ldam", **deferred},
        "focal": {"loss.name": "focal"},
        "balanced-softmax": {"loss.name": "balanced_softmax"},
    }


def test_class_tau_of_the_winner_is_a_separate_control() -> None:
    found = by_name(controls_of(config_of(**{"loss.class_tau": 1.0})))
    assert changed(found["ce-tau"], found["ce"]) == {"loss.class_tau": 1.0}
    assert changed(found["ce-lr"], found["ce-tau"]) == {"optimizer.lr": 0.2}, "one step from the winner's trunk"
    assert found["ce-tau"] == found["best-1"].stage_one()
    assert found["focal"].loss.class_tau == 0
    tau = config_of(**{"loss.class_tau": 1.0})
    assert "ce-tau" not in by_name(controls_of(tau, plain=tau.stage_one())), "`ce` has it"


def test_another_base_criterion_is_a_control_under_its_own_name() -> None:
    winner = config_of(**{"loss.name": "absce", "loss.sce_alpha": 2.0})
    found = by_name(controls_of(winner))
    assert list(found)[:5] == ["best-1", "sce", "sce-lr", "ce", "ce-lr"]
    assert found["sce"] == winner.stage_one()
    assert changed(found["sce-lr"], found["sce"]) == {"optimizer.lr": 0.2}
    assert changed(found["ce"], found["sce"]) == {"loss.name": "ce"}


def test_winner_on_focal_or_ldam_keeps_heads_and_names_apart() -> None:
    focal = controls_of(config_of(**{"loss.name": "abfocal", "loss.focal_gamma": 2.0}))
    assert [one.name for one in focal.members].count("focal") == 1
    assert focal.notes == ("control `focal` is left out: it is identical to `focal`",)
    ldam = by_name(controls_of(config_of(**{"loss.name": "abldam"})))
    cosine = [name for name, config in ldam.items() if config.head == "cosine"]
    assert cosine == ["best-1", "ldam", "ldam-lr", "ldam-drw"]
    tce = config_of(**{"loss.name": "abtce", "loss.tce_prune_from": 4})
    assert by_name(controls_of(tce))["tce"].loss.tce_prune_from == 4
    assert by_name(controls_of(tce))["ce"].loss.tce_prune_from is None


def test_controls_of_a_winner_with_a_named_head_are_those_of_auto() -> None:
    for loss, head in (("abce", "linear"), ("abldam", "cosine")):
        auto, named = (controls_of(config_of(**{"loss.name": loss, "model.head": one})) for one in ("auto", head))
        assert [one.run for one in named.members] == [one.run for one in auto.members]
        assert named.notes == auto.notes


def test_winner_without_attention_has_no_control_that_needs_it() -> None:
    made = controls_of(config_of().stage_one())
    assert [one.name for one in made.members] == ["best-1", "focal", "balanced-softmax"]
    said = " ".join(made.notes)
    for part in ("`ce` is left out: it is identical to `best-1`", "no `ab_alpha`", "no switch epoch to defer to"):
        assert part in said


def test_control_that_breaks_a_rule_is_left_out_and_named() -> None:
    made = controls_of(config_of(**{"attention.ab_alpha": 1e-35}))
    assert "ce-lr" not in by_name(made)
    assert any(text.startswith("control `ce-lr` is left out: ") and "lr" in text for text in made.notes)
    assert "ce-lr" not in by_name(controls_of(config_of(**{"attention.ab_alpha": 1.0}))), "it is identical to `ce`"


def test_seeds_differ_from_the_searchs_and_from_each_other() -> None:
    pairs = [seed_pair(SeedConfig(data=2**63 - 2, train=5), number) for number in (1, 2, 3)]
    assert [pair.data for pair in pairs] == [2**63 - 1, 0, 1]
    assert [pair.train for pair in pairs] == [6, 7, 8]


def test_runs_share_a_trunk_where_stage_one_agrees_and_every_pair_has_its_own() -> None:
    winner = config_of()
    made = controls_of(winner)
    for number in (1, 2):
        own = confirm_runs(made.members, number)
        assert len({run.trial_id for run in own}) == 7
        assert all(run.trial_id.endswith(f"-seed{number}") and run.pair == number for run in own)
        assert {(run.config.seeds.data, run.config.seeds.train) for run in own} == {(number, number)}
        assert own[0].candidate == "ce"
        assert own[0].save_at == (6, 10)
        forks = {run.candidate: run.fork_at for run in own if run.trunk == own[0].trial_id}
        assert forks == {"best-1": 6, "cb-ce-drw": 6}
        assert [run.candidate for run in own[-2:]] == list(forks), "they wait for their stage one"
        for run in own:
            if run.trunk:
                assert plain_prefix(run.config)[0] == own[0].config


def test_plain_control_is_trained_once_and_a_switch_at_epoch_0_does_not_fork() -> None:
    winner = config_of(**{"attention.switch_epoch": 0})
    runs = confirm_runs(controls_of(winner).members, 1)
    assert [run.candidate for run in runs].count("ce") == 1
    assert all(run.trunk is None and not run.save_at for run in runs)


def test_without_the_control_there_is_no_trunk() -> None:
    made = with_controls(Candidate("best-1", "s-0003", config_of()), config_of().stage_one(), "s", ("focal",))
    assert [(run.candidate, run.trunk) for run in confirm_runs(made.members, 1)] == [
        ("best-1", None),
        ("focal", None),
    ]


@pytest.mark.parametrize("changes", [{"attention.lam": 6.0}, {"optimizer.lr": 0.2}])
def test_trial_ids_of_controls_change_only_with_their_configuration(changes: dict[str, Any]) -> None:
    one, other = (controls_of(config).members for config in (config_of(), config_of(**changes)))
    same = {a.name for a, b in zip(one, other, strict=True) if a.name != "best-1" and a.run == b.run}
    assert same == (
        {"ce", "ce-lr", "cb-ce-drw", "ldam-drw", "focal", "balanced-softmax"} if "attention.lam" in changes else set()
    )


@pytest.mark.parametrize("name", ["abce", "abfocal", "abldam", "absce", "abtce"])
def test_every_control_can_be_trained(name: str) -> None:
    winner = config_of(**{"loss.name": name, "loss.class_tau": 1.0, "data.n_max": 20})
    splits = load_splits(winner)
    made = controls_of(winner)
    assert len(made.members) >= 8
    for one in made.members:
        trainer = Trainer(one.config, splits)
        assert not one.config.unused_settings() or one.name in ("tce", "tce-lr"), one.config.unused_settings()
        assert trainer.objective.stage(0) == 1


@pytest.mark.parametrize("control", EVERY)
def test_every_control_has_a_recipe_and_a_title(control: ControlName) -> None:
    made: set[str] = set()
    for loss in ("abce", "abtce"):
        subject = Candidate("best-1", "s-0003", config_of(**{"loss.name": loss, "loss.class_tau": 1.0}))
        found = with_controls(subject, config_of().stage_one(), "s", (control,))
        made |= {one.name for one in found.members} - {"best-1"}
    assert made
    assert made <= control_titles().keys()
