"""Confirmations simulated many at a time train and find what `tune_runs` does with the same scores, one at a time."""

from __future__ import annotations

import numpy as np
import pytest

from absgd.comparisons import ClaimRules, PriorVariance
from absgd.comparisons.look_claims import FINDINGS
from benchmarks.confirmation_power.__main__ import tables_of
from benchmarks.confirmation_power.score_cases import Case, cases, drawn
from benchmarks.simulated_confirmations import Spread, confirm
from tune_runs.confirmation.contests import Contest, Fork
from tune_runs.confirmation.round_plan import Outcome
from tune_runs.confirmation.rounds import RoundRules, replay

RIVALS = ("ce", "ce-lr", "cb-ce-drw", "ldam-drw", "focal")
CONTEST = Contest(
    subject="best-1",
    rivals=RIVALS,
    epochs=200,
    forks={"cb-ce-drw": Fork("best-1", 150)},  # a trunk is trained on when it has left; the subject never leaves
    deciding=frozenset({"ce", "ce-lr"}),
    gates={"ce-lr": "ce"},
)
MAX_PAIRS = 12


@pytest.mark.parametrize("leads", [(3.0, 3.0, 0.0, 0.5, 4.0), (1.5, 2.5, -0.5, 2.0, 0.0), (0.5, 0.0, 3.0, -3.0, 0.0)])
def test_simulated_confirmations_end_as_those_of_a_search(leads: tuple[float, ...]) -> None:
    rng = np.random.default_rng(5)
    scores_SCP = rng.normal(size=(40, 6, MAX_PAIRS)) / np.sqrt(2)
    scores_SCP[:, 1:] -= np.array(leads)[:, None]
    # The raised rate is trained on the first pair where the subject leads there; the simulation always does.
    scores_SCP = scores_SCP[scores_SCP[:, 0, 0] > scores_SCP[:, 1, 0]]
    rules, variance, df = ClaimRules(0.5), 1.0, 12.0
    known = Spread(np.full(len(scores_SCP), variance), np.full(len(scores_SCP), df))
    found = confirm(scores_SCP, known, rules, MAX_PAIRS)
    names = ("best-1", *RIVALS)
    for place, scores_CP in enumerate(scores_SCP):
        rounds = replay(
            CONTEST,
            RoundRules(rules, MAX_PAIRS, prior=PriorVariance(variance, df), with_need=False),
            lambda name, number, scores_CP=scores_CP: Outcome(scores_CP[names.index(name), number - 1]),
        )
        last = rounds.last()
        assert [FINDINGS[code] for code in found.finding_SR[place]] == [last[one].comparison.finding for one in RIVALS]
        assert found.pairs_SR[place].tolist() == [last[one].comparison.n for one in RIVALS]


def test_search_of_every_case_knows_a_spread_near_that_of_the_confirmation() -> None:
    rng = np.random.default_rng(1)
    for case in cases():
        scores_SCP, spread = drawn(case, rng, 400, 2)
        assert scores_SCP.shape == (400, 3, 20)
        if case.name.startswith(("no difference", "test set", "a tenth")):
            assert np.median(spread.variance_S) == pytest.approx(case.unit**2, rel=0.35)
    whole, half = (
        drawn(Case("", next(cases()).draw, search_share=share), np.random.default_rng(2), 50, 2)[1]
        for share in (1.0, 0.5)
    )
    assert half.variance_S == pytest.approx(whole.variance_S / 2)
    assert set(whole.df_S) == {3.0 + 3.0 + 2.0}


def test_tables_have_a_line_for_each_row() -> None:
    error = {"scenarios": 1, "rivals": 2, "case": "none", **dict.fromkeys(("by 8", "by 20", "at 3", "at 5"), 0.012)}
    error |= {f"{name} error": 0.001 for name in ("by 8", "by 20", "at 3", "at 5")}
    tables = tables_of([error], [])
    assert tables["wrong claims"][-1] == "| 1 x 2 | none | 1.2 ± 0.1 | 1.2 ± 0.1 | 1.2 ± 0.1 | 1.2 ± 0.1 |"
    assert len(tables["pair by pair"]) == len(tables["one look"]) == 2
