"""Parameters of a Ray trial as a run, and settings that a checkpoint must not replace; no Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from absgd.datasets import load_splits
from absgd.errors import UserError
from absgd.training import Trainer
from tests.support.own_parts import PARTS, RUN, loaded
from tune_runs.own_tuner import _restore, _save, run_of
from tune_runs.shared_images import images_name

PLAIN: dict[str, Any] = {
    "data": {"name": "digits", "val_per_class": 5, "n_max": 20},
    "model": {"name": "resnet8"},
    "loss": {"name": "ce"},
    "epochs": 2,
}


def test_run_of_takes_nested_and_dotted_keys_numbers_of_numpy_and_paths() -> None:
    run = run_of({**PLAIN, "data.root": Path("a"), "epochs": np.int64(3), "optimizer": {"lr": np.float64(0.5)}})
    assert (run.data.root, run.epochs, run.optimizer.lr, run.data.val_per_class) == ("a", 3, 0.5, 5)
    whole = {**run.to_dict(), "schedule.milestones": (1, 2), "schedule.type": "step"}
    assert run_of(whole).schedule.milestones == (1, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimiser.lr": 1}, "unknown key `optimiser.lr`; did you mean `optimizer.lr`? (param_space: optimiser.lr)"),
        ({"epochs": "many"}, "expected `epochs` to be"),
        ({"model": {"name": object()}}, "expected numbers, texts, lists and mappings of them, got <object"),
        ({"device": {"ranks": 2, "type": "cpu"}}, "expected `ranks` 1 in a trial, got 2 (param_space: device.ranks)"),
    ],
)
def test_run_of_names_a_bad_setting(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as raised:
        run_of({**PLAIN, **changes})
    assert message in str(raised.value)


@pytest.mark.usefixtures("own_tables")
def test_images_have_another_name_where_another_version_of_a_plugin_reads_them(tmp_path: Path) -> None:
    def name(text: str, **changes: Any) -> str:
        loaded(tmp_path, text)
        return images_name(run_of({**RUN, **changes}))

    assert name(PARTS) == name(PARTS, **{"epochs": 3, "seeds.train": 5})
    other = {name(f"{PARTS}# changed"), name(PARTS, **{"seeds.data": 5}), name(PARTS, **{"data.n_max": 9})}
    assert len(other - {name(PARTS)}) == 3
    plain = {**RUN, "data": {"name": "digits"}}
    assert len({images_name(run_of(plain)) for _ in (loaded(tmp_path, PARTS), loaded(tmp_path, f"{PARTS}# 2"))}) == 1


def test_checkpoint_of_other_settings_gives_its_state_and_not_its_settings(tmp_path: Path) -> None:
    one = run_of({**PLAIN, "optimizer": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}})
    other = run_of({**PLAIN, "optimizer": {"lr": 0.2, "momentum": 0.5, "weight_decay": 0.02}})
    splits = load_splits(one)
    first = Trainer(one, splits)
    next(first.epochs())
    _save(first, tmp_path)
    second = Trainer(other, splits)
    _restore(second, tmp_path)
    assert second.next_epoch == 1
    weights = zip(first.model.state_dict().values(), second.model.state_dict().values(), strict=True)
    assert all((left == right).all() for left, right in weights)
    group = second.optimizer.param_groups[0]
    assert (group["momentum"], group["weight_decay"]) == (0.5, 0.02)
    assert next(second.epochs()).lr == 0.2
