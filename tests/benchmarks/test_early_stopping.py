"""The replay of early stopping: costs and regrets on curves small enough to count by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

from absgd.errors import UserError
from benchmarks.complete_curves.curve_sets import CHOSEN_ON, load_cells
from benchmarks.complete_curves.curve_tables import TrialCurve
from benchmarks.complete_curves.search_replay import ReplayedSearch
from benchmarks.early_stopping.__main__ import main
from benchmarks.early_stopping.curve_loading import comparable_cells
from benchmarks.early_stopping.rule_replays import SIZES, candidate_rules, rule_means
from benchmarks.early_stopping.rule_tables import with_short_tables
from benchmarks.early_stopping.rung_correlations import rung_correlations
from tests.support.small_curves import EPOCHS, cell_of, curve


def test_regrets_compare_with_the_trial_kept_without_stopping() -> None:
    """Trial 1 is the best at the end of this seed, trial 0 on the others."""
    curves = (curve(0, 8, 0.8), curve(1, 8, 0.6, 0.6, 0.9), curve(2, 8, 0.5))
    cell = cell_of(*curves)
    plain, ours = ReplayedSearch(10, curves), ReplayedSearch(5, curves[:1])
    means = rule_means(cell, [curves, curves], [plain] * 2, [ours] * 2, {0: 0.75, 1: 0.7, 2: 0.8})
    assert means == pytest.approx(
        {
            "epochs": 5,
            "fewer": 2,
            "completed": 1,
            "regret": 0.1,
            "regret_p90": 0.1,
            "true_regret": -0.05,
            "below_best": 0.05,
        }
    )


def test_no_stopping_does_not_keep_a_diverged_trial() -> None:
    curves = (curve(0, 8, 0.8), curve(1, 8, 0.9, end=EPOCHS - 1))
    search = ReplayedSearch(10, curves[:1])
    means = rule_means(cell_of(*curves), [curves] * 2, [search] * 2, [search] * 2, {0: 0.8, 1: 0.8})
    assert means["regret"] == 0


def test_rank_correlations_use_the_compared_values() -> None:
    """Values rise with the epoch, so that by age the later switch looks better than it is."""
    cell = cell_of(
        *(curve(n, 8 + n, *[0.5 + 0.01 * epoch for epoch in range(8 + n, 15)], 0.9 - 0.1 * n) for n in range(3))
    )
    rows = pd.DataFrame(rung_correlations(cell))
    by_age = rows[(rows.rule == "age") & (rows.rung == 1) & (rows.against == "last")]
    assert (list(by_age.trials), list(by_age.rank_correlation)) == ([3], pytest.approx([-1]))
    assert set(rows.rule) == {"asha", "age", "advantage", "mean_advantage", "age_then_epoch, by age"}


def write_curves(folder: Path, scenario: str = "digits-exp-0.05", seeds: tuple[int, ...] = (3,)) -> None:
    """Write the curves of one trial that switches at epoch 1 of 3, and of its control."""
    (folder / "parts").mkdir()
    for seed in seeds:
        rows = [
            {
                "scenario": scenario,
                "seed": seed,
                "number": number,
                "epoch": epoch,
                "stage": 2 if number >= 0 and epoch >= 1 else 1,
                "val_loss": 0.25,
                "val_balanced_accuracy": 0.5 + number / 10,
            }
            for number in (-1, 0)
            for epoch in range(3)
        ]
        pd.DataFrame(rows).to_parquet(folder / "parts" / f"{scenario}-{seed}.parquet")


def test_cells_are_read_from_parts_of_an_unfinished_study(tmp_path: Path) -> None:
    write_curves(tmp_path)
    (cell,) = load_cells(CHOSEN_ON, tmp_path)
    assert (cell.seed, dict(cell.control)) == (3, {0: 0.4, 1: 0.4, 2: 0.4})
    assert cell.curves == (TrialCurve(0, 1, {1: 0.5, 2: 0.5}, 0.25),)


def test_committed_curves_are_read() -> None:
    cells = comparable_cells(load_cells(CHOSEN_ON), max(SIZES))
    assert [len(cell.curves) for cell in cells] == [48] * 20


def test_folder_without_curves_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected what `python -m benchmarks.train_curves` writes.*--curves"):
        load_cells(CHOSEN_ON, tmp_path)


def test_curves_of_another_scenario_are_refused(tmp_path: Path) -> None:
    write_curves(tmp_path, "digits-exp-0.5")
    with pytest.raises(UserError, match=r"expected scenarios .*digits-exp-0\.05.*, got digits-exp-0\.5 "):
        load_cells(CHOSEN_ON, tmp_path)


def test_curves_of_one_seed_or_of_few_trials_are_refused() -> None:
    with pytest.raises(UserError, match="at least two seeds"):
        comparable_cells([cell_of(curve(0, 8, 0.9))], 48)
    with pytest.raises(UserError, match=r"at least 48 curves, got 1 .*digits, seed 0"):
        comparable_cells([cell_of(curve(0, 8, 0.9), seed=seed) for seed in range(2)], 48)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--orders", "1"], "--orders: expected a whole number of at least 2, got '1'"),
        (["--curves", "nowhere"], "got none of it in nowhere (--curves)"),
        (["--page", "nowhere.md"], "nowhere.md"),
    ],
)
def test_wrong_command_lines_are_refused_before_anything_is_replayed(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["early_stopping", "--out", str(tmp_path / "out"), *words])
    with pytest.raises(SystemExit) as error:
        main()
    assert (error.value.code, message in capsys.readouterr().err) == (2, True)
    assert not (tmp_path / "out").exists()


def test_every_rule_is_a_candidate() -> None:
    rules = {config.rule for config in candidate_rules().values() if config}
    assert rules == {"asha", "age", "advantage", "mean_advantage", "age_then_epoch", "median"}


def test_tables_of_a_page_are_replaced_between_their_marks() -> None:
    page = "# Page\n<!-- 32 trials -->\nold\n<!-- /32 trials -->\nrest\n"
    lines = ["| rule |", "| age, 2, from 1 |", "| age, 2, from 2 |", "| age, 3, from 2 |", "| age, 2, from 3 |"]
    new = with_short_tables(page, {"32 trials": lines, "48 trials": ["nowhere"]})
    kept = "| rule |\n| age, 2, from 1 |\n| age, 3, from 2 |"
    assert new == f"# Page\n<!-- 32 trials -->\n{kept}\n<!-- /32 trials -->\nrest\n"
