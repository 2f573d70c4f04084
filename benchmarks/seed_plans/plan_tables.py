"""Tables of the comparison as lines of Markdown."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd


def plan_table(rows: pd.DataFrame, num_trials: int, unit: str) -> Iterator[str]:
    """Format plans by scenario: points held out with their Monte Carlo error, and epochs over those of one plan.

    Args:
        rows: of `replay_plans`, of any number of scenarios.
        num_trials: configurations of a search.
        unit: name of the plan whose epochs are 1.
    """
    chosen = rows[rows.num_trials == num_trials]
    scenarios = list(dict.fromkeys(chosen.scenario))
    unit_epochs = chosen[chosen.plan == unit].set_index("scenario").epochs
    yield f"| plan | {' | '.join(scenarios)} | epochs | pairs used |"
    yield "|---|" + "---:|" * (len(scenarios) + 2)
    for plan in dict.fromkeys(chosen.plan):
        own = chosen[chosen.plan == plan].set_index("scenario")
        points = [f"{100 * own.gain[name]:.2f} ± {100 * own.gain_error[name]:.2f}" for name in scenarios]
        ratios = (own.epochs / unit_epochs)[scenarios]
        epochs = f"{ratios.mean():.2f}x ({ratios.min():.2f} to {ratios.max():.2f})"
        yield f"| {' | '.join((str(plan), *points, epochs, f'{own.pairs_used.mean():.1f}'))} |"


def told_table(rows: pd.DataFrame) -> Iterator[str]:
    """Format what Optuna is told by scenario: points held out of the chosen configuration, and of the mean trial."""
    scenarios = list(dict.fromkeys(rows.scenario))
    yield f"| Optuna is told | {' | '.join(f'{name}: chosen | all trials' for name in scenarios)} |"
    yield "|---|" + "---:|" * 2 * len(scenarios)
    for told in dict.fromkeys(rows.told):
        own = rows[rows.told == told].set_index("scenario")
        cells = [
            cell
            for name in scenarios
            for cell in (
                f"{100 * own.gain[name]:.2f} ± {100 * own.gain_error[name]:.2f}",
                f"{100 * own.all_trials[name]:.2f}",
            )
        ]
        yield f"| {' | '.join((str(told), *cells))} |"
