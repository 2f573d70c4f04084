"""Points of another run: whose they are, where a scenario has no namesake there, and runs that are damaged."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from absgd import records
from absgd.errors import UserError
from tests.support.fake_searches import EXP, space_of, trials
from tests.support.fake_tuner import SPACE, FakeTuner, make_space, rising
from tests.support.hostile import examples
from tests.support.tune_command import call, write
from tune_runs.request.scenario_nearness import ScenarioTraits, differences_in_words, remoteness, traits_of
from tune_runs.request.warm_start import WarmStart, warm_start_of
from tune_runs.space.model import SearchSpace

NOISY = {"type": "symmetric", "rate": 0.4}


def imbalanced(ratio: float, kind: str = "exp") -> dict[str, Any]:
    return {"imbalance": {"type": kind, "ratio": ratio}}


def space_over(*scenarios: dict[str, Any], **changes: Any) -> SearchSpace:
    return space_of(scenarios=list(scenarios), early_stopping=None, **{"num_trials": 4, **changes})


EARLIER = space_over(imbalanced(0.02), imbalanced(0.5), {**imbalanced(0.1), "noise": NOISY}, imbalanced(0.1, "step"))


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "earlier"
    FakeTuner(EARLIER, folder, rising, concurrent=1).run()
    return folder


def best_lam(folder: Path, scenario: str) -> list[float]:
    found = trials(folder).query("phase == 'search' and scenario == @scenario")
    return [float(lam) for lam in found.sort_values("metric_last", ascending=False).lam]


def source_of(start: WarmStart, folder: Path, scenario: str) -> str:
    """Return the scenario of `folder` that has all points of `scenario`."""
    lams = [point["lam"] for point in start.points[scenario]]
    (source,) = [one.name for one in EARLIER.scenario_list if best_lam(folder, one.name)[: len(lams)] == lams]
    return source


@pytest.mark.parametrize(
    ("scenario", "name", "source", "sentence"),
    [
        (imbalanced(0.02), "digits-exp-0.02", "digits-exp-0.02", "the best 4 points of digits-exp-0.02 ("),
        (
            imbalanced(0.05),
            "digits-exp-0.05",
            "digits-exp-0.02",
            "points of digits-exp-0.02, the nearest: ratio 0.02 instead of 0.05 (",
        ),
        (imbalanced(0.3), "digits-exp-0.3", "digits-exp-0.5", "the nearest: ratio 0.5 instead of 0.3 ("),
        (imbalanced(0.1), EXP, "digits-exp-0.02", "ratio 0.02 instead of 0.1 ("),  # both are as near: the first by name
        (
            {**imbalanced(0.01), "noise": {"type": "symmetric", "rate": 0.2}},
            "digits-exp-0.01-symmetric-0.2",
            "digits-exp-0.1-symmetric-0.4",
            "the nearest: ratio 0.1 instead of 0.01, rate 0.4 instead of 0.2 (",
        ),
        (imbalanced(0.5, "step"), "digits-step-0.5", "digits-step-0.1", "the nearest: ratio 0.1 instead of 0.5 ("),
        (
            {"name": "mine", **imbalanced(0.02)},
            "mine",
            "digits-exp-0.02",
            "points of digits-exp-0.02, the same under another name (",
        ),
        (
            {"data": {"name": "fashion_mnist"}, **imbalanced(0.4)},
            "fashion_mnist-exp-0.4",
            "digits-exp-0.5",
            "the nearest, since none is of fashion_mnist: data set digits instead of fashion_mnist, ratio 0.5 instead "
            "of 0.4 (",
        ),
    ],
)
def test_scenario_without_namesake_takes_points_of_the_nearest(
    earlier: Path, scenario: dict[str, Any], name: str, source: str, sentence: str
) -> None:
    start = warm_start_of(space_over(scenario), earlier)
    assert source_of(start, earlier, name) == source
    assert len(start.points[name]) == 4
    (said,) = start.sentences
    assert said.startswith(f"{name} first tries ")
    assert sentence in said


def test_search_says_whose_points_it_tries(earlier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    without_images = {**SPACE["base"], "data": {"name": "cifar10", "root": "nowhere"}}
    write(tmp_path / "s.yaml", base=without_images, scenarios=[imbalanced(0.02)])
    result = call("--space", "s.yaml", "--warm-start", earlier)
    assert result.exit_code == 2
    assert "\ncifar10-exp-0.02 first tries the best 4 points of digits-exp-0.02, the nearest, since none is" in (
        f"\n{result.stdout}"
    )


def test_namesake_with_other_data_comes_before_the_nearest(earlier: Path) -> None:
    space = space_over({"name": "digits-step-0.1", **imbalanced(0.02)})
    assert source_of(warm_start_of(space, earlier), earlier, "digits-step-0.1") == "digits-step-0.1"


def test_namesake_whose_points_lie_outside_the_space_lends_none(earlier: Path) -> None:
    lam = best_lam(earlier, "digits-step-0.1")[0]
    space = space_over(imbalanced(0.5), search=ranged(0.999 * lam, 1.001 * lam))
    start = warm_start_of(space, earlier)
    assert [point["lam"] for point in start.points["digits-exp-0.5"]] == [lam]
    assert "first tries the best point of digits-step-0.1, the nearest: imbalance step" in start.sentences[0]


def ranged(low: float, high: float) -> dict[str, Any]:
    return {**SPACE["search"], "lam": {"low": low, "high": high}}


def test_warm_start_without_usable_trials_is_refused(earlier: Path) -> None:
    message = (
        r"completed trials that this space can draw, got none: .* has scenarios digits-exp-0.02, .*\(--warm-start\)"
    )
    with pytest.raises(UserError, match=message):
        warm_start_of(space_over(imbalanced(0.5), search=ranged(100, 200)), earlier)


def test_sentences_about_many_scenarios_are_cut(earlier: Path) -> None:
    space = space_over(*(imbalanced(0.01 * (1 + k)) for k in range(13)))
    start = warm_start_of(space, earlier)
    assert len(start.sentences) == 11
    assert start.sentences[-1] == "and 3 more scenarios likewise (--warm-start)"
    assert all(start.points.values())


def test_loss_without_attention_weights_lends_no_points(tmp_path: Path) -> None:
    plain = make_space(
        scenarios=[imbalanced(0.1)],
        base={**SPACE["base"], "loss": {"name": "ce"}},
        search={"optimizer.lr": {"low": 0.01, "high": 0.1}},
        early_stopping=None,
        num_trials=2,
    )
    FakeTuner(plain, tmp_path / "plain", rising, concurrent=1).run()
    with pytest.raises(UserError, match=r"has scenarios digits-exp-0\.1 "):
        warm_start_of(space_over(imbalanced(0.2)), tmp_path / "plain")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({}, ""),
        ({"ratio": 0.05}, "ratio 0.05 instead of 0.01"),
        ({"imbalance": "step"}, "imbalance step instead of exp"),
        ({"data": "cifar100"}, "data set cifar100 instead of cifar10"),
        ({"title": "birds"}, ""),
    ],
)
def test_differences_are_said_as_the_user_writes_them(other: dict[str, Any], words: str) -> None:
    one = ScenarioTraits("cifar10", None, "exp", 0.01, "none", 0.0)
    assert differences_in_words(one, one._replace(**other)) == words


def test_images_of_another_folder_are_other_data() -> None:
    birds, cars = (traits_of({"data": {"name": "imagefolder", "root": f"photos/{name}"}}) for name in ("birds", "cars"))
    assert not birds.has_data_of(cars)
    assert differences_in_words(birds, cars) == "data set cars instead of birds"


def test_nearness_compares_kinds_before_amounts_and_ratios_as_factors() -> None:
    one = ScenarioTraits("cifar10", None, "exp", 0.1, "none", 0.0)
    in_order = [
        one._replace(ratio=0.05),
        one._replace(ratio=0.01),
        one._replace(ratio=0.1, noise="symmetric", rate=0.1),
        one._replace(ratio=0.1, noise="symmetric", rate=0.2),
        one._replace(ratio=0.01, noise="symmetric", rate=0.1),
        one._replace(imbalance="step"),
        one._replace(data="cifar100"),
    ]
    assert sorted(random.Random(0).sample(in_order, 7), key=lambda other: remoteness(one, other)) == in_order
    assert remoteness(one, one._replace(ratio=0.01)) == remoteness(one, one._replace(ratio=1.0))


@pytest.fixture(scope="module")
def damaged(earlier: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "damaged"
    shutil.copytree(earlier, folder)
    return folder


SCALARS: list[Any] = [None, "", "x" * 99, "\x1b[31m", "10", -1, 2**62, 0.0, 1e308, float("nan"), float("inf"), True]


@examples(60)
@given(data=st.data())
def test_hostile_tables_are_used_or_refused(damaged: Path, earlier: Path, data: st.DataObject) -> None:
    name, schema = data.draw(
        st.sampled_from([(records.TRIALS_FILE, records.TRIAL_SCHEMA), (records.EPOCHS_FILE, records.EPOCH_SCHEMA)])
    )
    rows = pq.read_table(earlier / name).to_pylist()
    for _ in range(data.draw(st.integers(1, 12))):
        row = data.draw(st.sampled_from(rows))
        row[data.draw(st.sampled_from(sorted(row)))] = data.draw(st.sampled_from(SCALARS))
    shutil.copytree(earlier, damaged, dirs_exist_ok=True)
    try:
        records.write_table(damaged / name, records.as_table(schema, rows))
    except (TypeError, ValueError, OverflowError):  # the column cannot hold it
        return
    try:
        start = warm_start_of(space_over(imbalanced(0.05), imbalanced(0.5)), damaged)
    except UserError:
        return
    assert any(start.points.values())
