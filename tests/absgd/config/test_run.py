"""RunConfig: rules, messages, YAML round trip, and what decides stage one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from absgd.config import RunConfig, setting_keys
from absgd.errors import UserError
from absgd.yaml_text import parse_yaml

ATTENTION = {"lam": 5.0, "gamma": 0.7, "ab_alpha": 0.5, "switch_epoch": 10}


def make(**sections: Any) -> RunConfig:
    data = {"data": {"name": "digits"}, "epochs": 20, "attention": ATTENTION, **sections}
    return RunConfig.from_dict(data, "f.yaml")


@given(
    lam=st.floats(allow_nan=False, allow_infinity=False).filter(bool),
    gamma=st.floats(min_value=0, max_value=1, exclude_min=True),
    lr=st.floats(min_value=0, max_value=1e30, exclude_min=True),
    seed=st.integers(0, 2**63 - 1),
)
def test_yaml_round_trip_is_exact(lam: float, gamma: float, lr: float, seed: int) -> None:
    config = make(
        attention={**ATTENTION, "lam": lam, "gamma": gamma},
        optimizer={"lr": lr},
        seeds={"train": seed},
        schedule={"type": "step", "milestones": [3, 9]},
    )
    assert RunConfig.from_dict(parse_yaml(config.to_yaml(), "text")) == config


def test_from_yaml_reads_the_file_to_yaml_wrote(tmp_path: Any) -> None:
    config = make(optimizer={"lr": 1e-4})
    (tmp_path / "run.yaml").write_text(config.to_yaml())
    assert RunConfig.from_yaml(tmp_path / "run.yaml") == config


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"epoch": 3}, "unknown key `epoch`; did you mean `epochs`? (f.yaml: epoch)"),
        ({"optimizer": {"lr": -1}}, "expected `optimizer.lr` > 0.0, got -1 (f.yaml: optimizer.lr)"),
        ({"epochs": "20"}, "expected `epochs` to be a whole number, got '20' (f.yaml: epochs)"),
        ({"batch_size": True}, "expected `batch_size` to be a whole number, got true (f.yaml: batch_size)"),
        ({"optimizer": {"lr": float("nan")}}, "expected `optimizer.lr` to be a finite number, got nan"),
        ({"attention": None}, "expected `attention` with loss `abce`, got nothing (f.yaml: attention)"),
        ({"attention": {**ATTENTION, "lam": 0}}, "expected `lam` != 0, got 0 (f.yaml: attention.lam)"),
        ({"attention": {**ATTENTION, "gamma": 0}}, "expected `attention.gamma` > 0.0, got 0"),
        ({"attention": {**ATTENTION, "ab_alpha": 1.5}}, "expected `attention.ab_alpha` <= 1.0, got 1.5"),
        (
            {"attention": {**ATTENTION, "switch_epoch": 240}},
            "expected `switch_epoch` < `epochs` (20), got 240 (f.yaml: attention.switch_epoch)",
        ),
        ({"imbalance": {"type": "exp", "ratio": 0}}, "expected `imbalance.ratio` > 0.0, got 0"),
        ({"imbalance": {"ratio": 0.1}}, "expected `ratio` = 1 with imbalance type `none`, got 0.1"),
        ({"noise": {"rate": 0.2}}, "expected `rate` = 0 with noise type `none`, got 0.2"),
        ({"class_balance": {"from_epoch": 5}}, "expected `from_epoch` only with class balance type `reweight`"),
        ({"class_balance": {"type": "reweight", "from_epoch": "later"}}, "to be an epoch or `switch`, got 'later'"),
        ({"class_balance": {"type": "reweight", "from_epoch": 20}}, "expected `from_epoch` < `epochs` (20), got 20"),
        (
            {"loss": {"name": "ce"}, "class_balance": {"type": "reweight", "from_epoch": "switch"}},
            "loss `ce` has no stage two",
        ),
        ({"schedule": {"type": "step"}}, "expected milestones with schedule `step` only, got [] with `step`"),
        ({"schedule": {"milestones": [3]}}, "expected milestones with schedule `step` only, got [3] with `constant`"),
        ({"schedule": {"type": "step", "milestones": [9, 3]}}, "expected `milestones` in rising order, got [9, 3]"),
        ({"schedule": {"type": "step", "milestones": [20]}}, "expected every milestone < `epochs` (20), got 20"),
        ({"schedule": {"warmup_epochs": 20}}, "expected `warmup_epochs` < `epochs` (20), got 20"),
        ({"loss": {"name": "term", "term_tilt": 0.0}}, "expected `term_tilt` of magnitude >= 1e-06, got 0.0 (f.yaml: "),
        ({"loss": {"name": "abterm"}}, "got 'abterm'"),
        (
            {"loss": {"name": "abc"}},
            "or `abvs`, got 'abc'; a part of your own needs `--plugin FILE.py`; did you mean `abce`?",
        ),
        ({"data": "digits"}, "expected `data` to be a mapping of keys to values, got 'digits' (f.yaml: data)"),
        ({"data": {}}, "expected `data.name`, got nothing (f.yaml: data.name)"),
    ],
)
def test_bad_input_names_rule_value_file_and_key(sections: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        make(**sections)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_several_errors_come_in_one_message() -> None:
    with pytest.raises(UserError) as caught:
        make(epochs="x", batch_size=0)
    assert len(str(caught.value).splitlines()) == 2


def test_config_is_frozen() -> None:
    with pytest.raises(Exception, match="frozen"):
        make().epochs = 3


def test_with_values_replaces_and_checks() -> None:
    config = make().with_values({"loss.name": "ce", "optimizer.lr": 0.5})
    assert (config.loss.name, config.optimizer.lr, config.attention) == ("ce", 0.5, make().attention)
    with pytest.raises(UserError, match=r"did you mean `optimizer\.lr`"):
        make().with_values({"optimiser.lr": 1})
    with pytest.raises(UserError, match=r"`switch_epoch` < `epochs` \(5\)"):
        make().with_values({"epochs": 5}, "--set")


def test_with_values_does_not_change_the_original() -> None:
    config = make()
    config.with_values({"attention.lam": 1.0})
    assert config == make()


def test_unused_settings_are_named_once() -> None:
    assert make().unused_settings() == []
    assert make(loss={"name": "ce"}).unused_settings() == [
        "loss `ce` has no attention weights: `attention` is not used"
    ]


NOT_OF_STAGE_ONE: dict[str, Any] = {
    "data.title": "My digits",
    "data.root": "elsewhere",
    "data.download": True,
    "data.workers": 7,
    "data.on_duplicate": "keep",
    "attention.lam": -0.5,
    "attention.gamma": 0.1,
    "attention.ab_alpha": 1.0,
    "attention.switch_epoch": 3,
    "attention.add_uniform": True,
    "loss.posthoc_tau": 1.5,
}
"""Settings that cannot change stage one, each with another value."""

NORMALISED = {"data.mean": [0.5], "data.std": [0.2]}
NOISY = {"noise.type": "symmetric", "noise.rate": 0.2}
REWEIGHTED = {"class_balance.type": "reweight"}
STEPPED = {"schedule.type": "step", "schedule.milestones": [3]}

OF_STAGE_ONE: dict[str, tuple[Any, dict[str, Any]]] = {
    "data.name": ("cifar10", {}),
    "data.val_per_class": (7, {}),
    "data.n_max": (9, {}),
    "data.validation": ("own", {"data.name": "clothing1m"}),
    "data.mean": ([0.4], NORMALISED),
    "data.std": ([0.4], NORMALISED),
    "data.side": (64, {"data.name": "clothing1m"}),
    "data.resize": ("whole", {"data.name": "clothing1m"}),
    "data.on_bad_image": ("skip", {"data.name": "clothing1m"}),
    "imbalance.type": ("step", {"imbalance.type": "exp", "imbalance.ratio": 0.5}),
    "imbalance.ratio": (0.5, {"imbalance.type": "exp"}),
    "noise.type": ("pair_flip", NOISY),
    "noise.rate": (0.3, NOISY),
    "noise.validation": ("clean", NOISY),
    "augmentation.pad": (3, {}),
    "augmentation.flip": (True, {}),
    "augmentation.rotation_deg": (20.0, {}),
    "model.name": ("resnet8", {}),
    "model.dropout": (0.3, {}),
    "model.head": ("cosine", {"loss.name": "abldam"}),
    "model.weights": ("resnet18.pth", {"model.name": "resnet18"}),
    "loss.name": ("abfocal", {}),
    "loss.focal_gamma": (2.0, {"loss.name": "abfocal"}),
    "loss.ldam_max_margin": (0.4, {"loss.name": "abldam", "model.head": "cosine"}),
    "loss.ldam_scale": (20.0, {"loss.name": "abldam", "model.head": "cosine"}),
    "loss.sce_alpha": (0.2, {"loss.name": "absce"}),
    "loss.sce_beta": (2.0, {"loss.name": "absce"}),
    "loss.tce_q": (0.5, {"loss.name": "abtce"}),
    "loss.tce_k": (0.4, {"loss.name": "abtce"}),
    "loss.tce_prune_from": (1, {"loss.name": "abtce"}),
    "loss.la_tau": (0.5, {"loss.name": "ablogit_adjustment"}),
    "loss.vs_gamma": (0.1, {"loss.name": "abvs"}),
    "loss.vs_tau": (0.5, {"loss.name": "abvs"}),
    "loss.term_tilt": (-2.0, {"loss.name": "term", "attention": None}),
    "loss.class_tau": (1.0, {}),
    "class_balance.type": ("resample", REWEIGHTED),
    "class_balance.beta": (0.9, REWEIGHTED),
    "class_balance.from_epoch": (2, REWEIGHTED),
    "optimizer.lr": (0.3, {}),
    "optimizer.momentum": (0.5, {}),
    "optimizer.weight_decay": (0.0, {}),
    "optimizer.fc1_weight_decay": (0.01, {"model.name": "cnn8"}),
    "optimizer.grad_clip": (5.0, {}),
    "optimizer.sam_rho": (0.05, {}),
    "schedule.type": ("cosine", {}),
    "schedule.warmup_epochs": (2, {}),
    "schedule.milestones": ([4], STEPPED),
    "schedule.factor": (0.01, STEPPED),
    "epochs": (30, {}),
    "batch_size": (64, {}),
    "seeds.data": (1, {}),
    "seeds.train": (1, {}),
    "device.type": ("cpu", {}),
    "device.threads": (2, {}),
    "device.fast": (True, {}),
    "device.precision": ("bfloat16", {}),
    "device.memory_format": ("channels_last", {}),
    "device.cuda_graph": (True, {"model.dropout": 0.0}),
    "device.ranks": (2, {}),
}
"""Settings that can change stage one, each with another value and the run it is changed in."""


def test_every_setting_is_known_to_decide_stage_one_or_not() -> None:
    filled_in = ["plugins"]  # tests/absgd/plugins/test_own_parts.py
    assert sorted([*NOT_OF_STAGE_ONE, *OF_STAGE_ONE, *filled_in]) == sorted(setting_keys())


@pytest.mark.parametrize(
    "values",
    [
        *({key: value} for key, value in NOT_OF_STAGE_ONE.items()),
        {"loss.name": "ce"},
        {"loss.name": "ce", "attention": None},
        {"class_balance": {"type": "reweight", "from_epoch": "switch"}},
        {"class_balance": {"type": "resample", "from_epoch": "switch", "beta": 0.9}},
    ],
    ids=str,
)
def test_stage_one_key_ignores_settings_that_cannot_change_stage_one(values: dict[str, Any]) -> None:
    assert make().with_values(values) != make()
    assert make().with_values(values).stage_one_key() == make().stage_one_key()


def test_stage_one_key_is_that_of_versions_without_the_newer_settings() -> None:
    config = RunConfig.from_dict({"data": {"name": "digits"}, "loss": {"name": "ce"}})
    assert config.stage_one_key() == "fc1e49398935e7de"


@pytest.mark.parametrize(("loss", "head"), [("abce", "linear"), ("ce", "linear"), ("abldam", "cosine")])
def test_head_auto_is_the_one_the_loss_needs_in_every_comparison(loss: str, head: str) -> None:
    auto, named = (make(loss={"name": loss}, model={"head": one}) for one in ("auto", head))
    assert (auto.model.head, auto.head, named.head) == ("auto", head, head)
    assert auto.resolved() == named.resolved() == named
    assert auto.decisive() == named.decisive()
    assert auto.stage_one_key() == named.stage_one_key()
    assert make(loss={"name": loss}) == auto, "the default"


@pytest.mark.parametrize(
    ("loss", "wrong", "message"),
    [
        ("abldam", "linear", "expected `head` `cosine` with loss `abldam`, got `linear` (f.yaml: model.head)"),
        ("ce", "cosine", "expected `head` `linear` with loss `ce`, got `cosine` (f.yaml: model.head)"),
    ],
)
def test_head_that_the_loss_cannot_use_is_refused(loss: str, wrong: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        make(loss={"name": loss}, model={"head": wrong})
    assert str(caught.value) == message


@pytest.mark.parametrize("key", OF_STAGE_ONE)
def test_stage_one_key_differs_for_every_other_setting(key: str) -> None:
    value, companions = OF_STAGE_ONE[key]
    # ldam and its head come only together: there the run before the change is the unchanged one.
    before = make() if key == "model.head" else make().with_values(companions)
    after = make().with_values({**companions, key: value})
    assert after.unused_settings() == []
    assert after.stage_one_key() != before.stage_one_key()


def test_stage_one_is_plain_training_on_the_base_criterion() -> None:
    plain = make(class_balance={"type": "reweight", "from_epoch": 2}).stage_one()
    assert (plain.loss.name, plain.attention, plain.class_balance.from_epoch) == ("ce", None, 2)
    assert plain.stage_one() == plain
