"""Rounds of a confirmation, replayed from made-up scores: what is planned, who leaves, and when it ends."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping
from typing import Any

import pytest

from absgd.comparisons import ClaimRules, PriorVariance
from tune_runs.confirmation.contests import Contest, Fork
from tune_runs.confirmation.round_plan import Outcome, PlannedRun
from tune_runs.confirmation.rounds import RoundRules, Rounds, epochs_of_candidates, replay

RIVALS = ("ce", "ce-lr", "cb-ce-drw", "focal")
CONTEST = Contest(
    subject="best-1",
    rivals=RIVALS,
    epochs=200,
    forks={"best-1": Fork("ce", 150), "cb-ce-drw": Fork("ce", 150)},
    deciding=frozenset({"ce", "ce-lr"}),
    gates={"ce-lr": "ce"},
)
MARGIN = 0.005
FAR = {"ce": 0.2, "ce-lr": 0.18, "cb-ce-drw": 0.1, "focal": 0.15}
"""Differences by which the subject is ahead, twenty standard deviations and more."""
STD = 0.005


def rules(max_pairs: int = 6, **changes: object) -> RoundRules:
    return RoundRules(ClaimRules(MARGIN), max_pairs, **changes)  # type: ignore[arg-type]


def outcomes(
    gaps: Mapping[str, float], num: int = 12, seed: int = 0, std: float = STD
) -> dict[tuple[str, int], Outcome]:
    """Return the outcomes of all candidates in all rounds."""
    source = random.Random(seed)
    names = ("best-1", *gaps)
    return {
        (name, number): Outcome(0.7 - gaps.get(name, 0.0) + source.gauss(0, std))
        for number in range(1, num + 1)
        for name in names
    }


def run_all(known: Mapping[tuple[str, int], Outcome], own: RoundRules, contest: Contest = CONTEST) -> Rounds:
    return replay(contest, own, lambda name, number: known.get((name, number)))


def planned_in(rounds: Rounds, number: int) -> set[str]:
    return {run.candidate for run in rounds.planned if run.round == number}


def test_first_step_is_the_subject_its_trunk_and_what_forks() -> None:
    rounds = run_all({}, rules())
    assert rounds.planned == (*(PlannedRun(name, 1) for name in ("best-1", "ce", "cb-ce-drw")), PlannedRun("ce", 2))
    assert rounds.ending is None
    assert rounds.epochs == 200 + 50 + 50 + 200
    assert rounds.epochs + rounds.epochs_later == 6 * (300 + 400)


@pytest.mark.parametrize(
    ("own", "changes"),
    [
        (rules(1), {}),
        (rules(epoch_budget=2 * 700 - 1), {}),
        (rules(), {"deciding": frozenset({"ce-lr"})}),
        (rules(), {"deciding": frozenset()}),
        (rules(), {"forks": {"cb-ce-drw": Fork("ce", 150)}}),
    ],
    ids=["one pair", "budget", "trunk may leave", "no rival decides", "nothing to wait for"],
)
def test_trunk_of_the_second_round_starts_early_only_where_that_round_is_certain(
    own: RoundRules, changes: dict[str, Any]
) -> None:
    assert run_all({}, rules(epoch_budget=2 * 700)).early == PlannedRun("ce", 2)
    rounds = run_all({}, own, dataclasses.replace(CONTEST, **changes))
    assert rounds.early is None
    assert {run.round for run in rounds.planned} == {1}


@pytest.mark.parametrize("seed", range(20))
def test_early_run_changes_nothing_that_is_found_whenever_it_ends(seed: int) -> None:
    """A replay that knows its score from the start is compared with one that never does; NaN prints as it is."""
    known = outcomes({name: gap / 10 for name, gap in FAR.items()}, seed=seed)
    early = {("ce", 2): known["ce", 2]}
    late: dict[tuple[str, int], Outcome] = {}
    while True:
        rounds = run_all(late, rules())
        ahead = run_all({**late, **early}, rules())
        if rounds.early is None and all(run in late for run in rounds.planned if run != ("ce", 2)):
            break
        assert repr(ahead) == repr(rounds)
        left = [run for run in rounds.planned if run not in late and run != ("ce", 2)]
        late[left[0]] = known[left[0]]
    assert [look.round for look in rounds.looks] == [1]
    assert repr(ahead.looks[0]) == repr(rounds.looks[0])


def test_second_step_follows_once_the_scores_that_decide_it_are_known() -> None:
    known = outcomes(FAR)
    for missing in ("best-1", "ce"):
        first = {(name, 1): known[name, 1] for name in ("best-1", "ce", "cb-ce-drw") if name != missing}
        assert planned_in(run_all(first, rules()), 1) == {"best-1", "ce", "cb-ce-drw"}
    first = {(name, 1): known[name, 1] for name in ("best-1", "ce")}
    assert planned_in(run_all(first, rules()), 1) == {"best-1", *RIVALS}, "cb-ce-drw decides nothing"
    others = {(name, 1): known[name, 1] for name in ("ce-lr", "focal")}
    assert run_all(first | others, rules()).looks == (), "the round has not ended"
    rounds = run_all(first | others | {("cb-ce-drw", 1): known["cb-ce-drw", 1]}, rules())
    assert [look.round for look in rounds.looks] == [1]


def test_far_rivals_are_beaten_after_few_pairs_and_no_claim_follows_from_one() -> None:
    rounds = run_all(outcomes(FAR), rules())
    assert rounds.ending == "decided"
    assert 2 <= len(rounds.looks) < 6
    assert {one.comparison.finding for one in rounds.looks[0].rivals} == {"undecided"}
    last = rounds.last()
    assert {name: last[name].comparison.finding for name in ("ce", "ce-lr")} == {"ce": "better", "ce-lr": "better"}
    assert {last[name].left for name in RIVALS} <= {"decided", "cannot win"}
    assert rounds.epochs_later == 0


def test_rivals_that_cannot_win_leave_after_one_pair_where_the_search_knows_the_spread() -> None:
    rounds = run_all(outcomes(FAR), rules(prior=PriorVariance(STD**2 * 2, 15.0)))
    first = {one.comparison.rival: one for one in rounds.looks[0].rivals}
    assert first["focal"].left == first["cb-ce-drw"].left == "cannot win"
    assert first["ce"].left is None, "it decides, so it stays until there is a claim"
    assert {one.comparison.finding for one in rounds.looks[0].rivals} == {"undecided"}, "the prior makes no claim"
    assert planned_in(rounds, 2) == {"best-1", "ce", "ce-lr"}


def test_subject_that_is_worse_ends_the_confirmation() -> None:
    rounds = run_all(outcomes({**FAR, "cb-ce-drw": -0.2}), rules())
    assert rounds.ending == "worse"
    assert rounds.last()["cb-ce-drw"].comparison.finding == "worse"
    assert len(rounds.looks) < 6
    assert None not in {one.left for one in rounds.looks[-1].rivals}


def test_raised_rate_waits_until_the_subject_beats_the_plain_rate_and_catches_up_pair_by_pair() -> None:
    known = outcomes({**FAR, "ce": 0.02, "ce-lr": 0.012})
    known["ce", 1] = Outcome(known["best-1", 1].score + 0.002)  # type: ignore[operator]
    early = {key: one for key, one in known.items() if key[1] == 1}
    assert planned_in(run_all(early, rules(12)), 1) == {"best-1", "ce", "cb-ce-drw", "focal"}, "it does not lead yet"
    whole = run_all(known, rules(12))
    beaten = next(
        look.round
        for look in whole.looks
        for one in look.rivals
        if (one.comparison.rival, one.comparison.finding) == ("ce", "better")
    )
    assert beaten > 2
    until = {key: one for key, one in known.items() if key[1] <= beaten and key[0] != "ce-lr"}
    for number in range(1, beaten + 1):
        raised = [run.round for run in run_all(until, rules(12)).planned if run.candidate == "ce-lr"]
        assert raised == list(range(1, number + 1)), "one pair, a look, and the next"
        until["ce-lr", number] = known["ce-lr", number]
        if run_all(until, rules(12)).last()["ce-lr"].left:
            break
    assert whole.last()["ce-lr"].comparison.finding == "better"
    assert len([run for run in whole.planned if run.candidate == "ce-lr"]) == whole.last()["ce-lr"].comparison.n


def test_pairs_without_a_score_of_the_subject_are_not_caught_up() -> None:
    known = outcomes({**FAR, "ce": 0.02})
    known["best-1", 1] = Outcome(None)
    rounds = run_all(known, rules(12))
    assert rounds.last()["ce"].comparison.finding == "better"
    assert 1 not in {run.round for run in rounds.planned if run.candidate == "ce-lr"}
    assert rounds.last()["ce-lr"].comparison.finding == "better"


def test_control_at_the_raised_rate_that_is_the_trunk_does_not_wait_and_no_budget_is_exceeded() -> None:
    contest = Contest(
        subject="best-1",
        rivals=("ce", "ce-lr"),
        epochs=200,
        forks={"best-1": Fork("ce-lr", 150)},
        deciding=frozenset({"ce", "ce-lr"}),
        gates={"ce-lr": "ce"},
    )
    assert contest.awaited == {}
    known = outcomes({"ce": 0.003, "ce-lr": 0.003})
    for budget in range(400, 3000, 130):
        assert run_all(known, rules(12, epoch_budget=budget), contest).epochs <= budget


def test_looks_say_which_rivals_wait() -> None:
    rounds = run_all(outcomes({**FAR, "ce": 0.002}), rules(3))
    assert {name for name, one in rounds.last().items() if one.is_waiting} == {"ce-lr", "focal"}
    behind = run_all(outcomes({**FAR, "ce-lr": 0.002}), rules(3)).last()
    assert behind["ce"].comparison.finding == "better"
    assert (behind["ce-lr"].is_waiting, behind["ce-lr"].comparison.n) == (False, 3)


def test_raised_rate_makes_no_claim_before_the_plain_rate_is_beaten() -> None:
    rounds = run_all(outcomes({**FAR, "ce": 0.002, "ce-lr": -0.2}), rules())
    assert {run.round for run in rounds.planned if run.candidate == "ce-lr"} == {1}
    last = rounds.last()["ce-lr"]
    assert (last.comparison.finding, last.comparison.n) == ("undecided", 1)


def test_raised_rate_is_never_trained_where_the_plain_rate_is_as_good() -> None:
    known = outcomes({"ce": -0.001, "ce-lr": 0.0, "cb-ce-drw": 0.1, "focal": 0.1}, std=STD / 50)
    rounds = run_all(known, rules())
    last = rounds.last()
    assert last["ce"].comparison.finding == "equivalent"
    assert last["ce-lr"].left == "verdict"
    assert last["ce-lr"].comparison.n == 0
    assert "ce-lr" not in {run.candidate for run in rounds.planned}


def test_most_pairs_and_the_epoch_budget_end_it_undecided() -> None:
    close = outcomes({"ce": 0.006, "ce-lr": 0.006, "cb-ce-drw": 0.006, "focal": 0.006})
    rounds = run_all(close, rules(max_pairs=2))
    assert rounds.ending == "max pairs"
    assert {one.left for one in rounds.looks[-1].rivals} <= {"max pairs", "decided", "cannot win"}
    assert "max pairs" in {one.left for one in rounds.looks[-1].rivals}
    assert all(one.left != "max pairs" for one in rounds.looks[0].rivals)
    bounded = run_all(close, rules(epoch_budget=1500))
    assert bounded.ending == "budget"
    assert bounded.epochs <= 1500
    assert len(bounded.looks) > 1
    nothing = run_all(close, rules(epoch_budget=100))
    assert (nothing.ending, nothing.planned, nothing.looks) == ("budget", (), ())


def test_more_pairs_leave_the_earlier_looks_as_they_were() -> None:
    close = outcomes({"ce": 0.006, "ce-lr": 0.006, "cb-ce-drw": 0.006, "focal": 0.006})
    few, more = (run_all(close, rules(max_pairs=count)) for count in (3, 5))
    assert [run for run in more.planned if run.round <= 3] == list(few.planned)
    assert repr(more.looks[:2]) == repr(few.looks[:2]), "NaN equals NaN in words"
    assert repr([one.comparison for one in more.looks[2].rivals]) == repr(
        [one.comparison for one in few.looks[2].rivals]
    )


def test_order_of_arrival_and_kills_change_nothing() -> None:
    known = outcomes({"ce": 0.02, "ce-lr": 0.01, "cb-ce-drw": 0.008, "focal": -0.002})
    own = rules(with_need=False)
    whole = run_all(known, own)
    for seed in range(10):
        source, ended = random.Random(seed), {}
        while True:
            rounds = run_all(ended, own)
            waiting = [run for run in rounds.planned if tuple(run) not in ended]
            if not waiting:
                break
            assert rounds.ending is None
            run = source.choice(waiting)
            ended[tuple(run)] = known[tuple(run)]
        assert repr(rounds.looks) == repr(whole.looks), "NaN equals NaN in words"
        assert (rounds.ending, rounds.epochs) == (whole.ending, whole.epochs)
        assert set(rounds.planned) == set(whole.planned)


def test_lost_runs_are_left_out_of_their_comparison_and_counted() -> None:
    known = outcomes(FAR)
    known["ce", 2] = Outcome(None, has_diverged=True)
    rounds = run_all(known, rules())
    looks = {one.comparison.rival: one for one in rounds.looks[1].rivals}
    assert (looks["ce"].comparison.n, looks["ce"].num_left_out) == (1, 1)
    assert looks["cb-ce-drw"].comparison.n == 2


def test_subject_that_diverged_cannot_be_better_and_a_second_time_ends_it() -> None:
    known = outcomes(FAR)
    known["best-1", 2] = Outcome(None, has_diverged=True)
    rounds = run_all(known, rules())
    assert "better" not in {one.comparison.finding for one in rounds.last().values()}
    assert "diverged" in {one.left for one in rounds.last().values()}
    known["best-1", 1] = Outcome(None, has_diverged=True)
    again = run_all(known, rules())
    assert again.ending == "no score"
    assert len(again.looks) == 2


def test_divergence_in_a_later_round_takes_back_what_was_called_better() -> None:
    known = outcomes({"ce": 0.2, "ce-lr": 0.2, "cb-ce-drw": 0.003, "focal": 0.1})
    whole = run_all(known, rules())
    first = next(look.round for look in whole.looks for one in look.rivals if one.comparison.finding == "better")
    assert first < len(whole.looks)
    known["best-1", first + 1] = Outcome(None, has_diverged=True)
    rounds = run_all(known, rules())
    assert "better" not in {one.comparison.finding for look in rounds.looks for one in look.rivals}
    assert rounds.last()["ce"].left == "diverged"


def test_runs_that_fail_each_time_are_not_paid_for_to_the_end() -> None:
    known = outcomes(FAR)
    for number in range(1, 13):
        known["ce", number] = Outcome(None)
    rounds = run_all(known, rules(max_pairs=12))
    assert rounds.last()["ce"].left == "no score"
    assert sum(run.candidate == "ce" for run in rounds.planned) == 2
    for number in range(1, 13):
        known["best-1", number] = Outcome(None)
    assert len(run_all(known, rules(max_pairs=12)).looks) == 2


def test_pairs_without_a_new_score_make_no_claim() -> None:
    """A rival whose runs fail from some pair on is not tested again on the same pairs."""
    known = outcomes({"ce": 0.006, "ce-lr": 0.006, "cb-ce-drw": 0.1, "focal": 0.1})
    for number in range(3, 13):
        known["ce", number] = Outcome(None)
    rounds = run_all(known, rules(max_pairs=12))
    found = [one.comparison for look in rounds.looks[2:] for one in look.rivals if one.comparison.rival == "ce"]
    assert found
    assert {(one.n, one.finding) for one in found} == {(2, "undecided")}


def test_trunk_that_has_left_is_trained_only_where_it_saves_epochs() -> None:
    known = outcomes({"ce": 0.2, "ce-lr": 0.006, "cb-ce-drw": 0.003, "focal": 0.1})
    rounds = run_all(known, rules())
    left = next(look.round for look in rounds.looks for one in look.rivals if one.comparison.rival == "ce" and one.left)
    forks_left = {one.comparison.rival for one in rounds.looks[left - 1].rivals if one.left is None}
    assert "cb-ce-drw" in forks_left
    assert "ce" in planned_in(rounds, left + 1), "two runs fork from it"
    alone = run_all(outcomes({"ce": 0.2, "ce-lr": 0.006, "cb-ce-drw": 0.2, "focal": 0.2}), rules())
    assert planned_in(alone, len(alone.looks)) == {"best-1", "ce-lr"}, "one run trains its own stage one"
    assert epochs_of_candidates(CONTEST, alone)["best-1"] > 50 * len(alone.looks)


def test_dear_rivals_that_do_not_decide_wait_after_one_pair_and_then_catch_up() -> None:
    known = outcomes({"ce": 0.02, "ce-lr": 0.02, "cb-ce-drw": 0.1, "focal": -0.001})
    own = rules(with_need=False)
    whole = run_all(known, own)
    claimed = max(look.round for look in whole.looks for one in look.rivals if one.comparison.rival in ("ce", "ce-lr"))
    assert claimed > 1
    until = {key: one for key, one in known.items() if key[1] <= claimed and (key[0] != "focal" or key[1] == 1)}
    rounds = run_all(until, own)
    focal = [run.round for run in rounds.planned if run.candidate == "focal"]
    assert focal == [1, 2], "one pair of all, then none until the claims, then pair by pair"
    assert rounds.ending is None
    assert rounds.epochs + rounds.epochs_later >= whole.epochs
    caught_up = run_all({key: one for key, one in known.items() if key[1] <= claimed}, own)
    assert caught_up.last()["focal"].comparison.n == claimed
    assert [look.round for look in caught_up.looks] == list(range(1, claimed + 1)), "one look after each pair"


def test_dear_rivals_that_fall_behind_while_they_catch_up_are_trained_no_further() -> None:
    known = outcomes({"ce": 0.012, "ce-lr": 0.02, "cb-ce-drw": 0.1, "focal": 0.05})
    known["focal", 1] = Outcome(known["best-1", 1].score)
    whole = run_all(known, rules(with_need=False, prior=PriorVariance(STD**2 * 2, 15.0)))
    focal = [run.round for run in whole.planned if run.candidate == "focal"]
    assert focal[:2] == [1, 2]
    assert len(focal) < sum(run.candidate == "ce" for run in whole.planned)
    assert whole.last()["focal"].left == "cannot win"


def test_dear_rivals_are_left_where_the_subject_does_not_beat_plain_training() -> None:
    known = outcomes({"ce": -0.001, "ce-lr": 0.0, "cb-ce-drw": 0.1, "focal": 0.0}, std=STD / 50)
    whole = run_all(known, rules(with_need=False))
    assert [run.round for run in whole.planned if run.candidate == "focal"] == [1]
    assert whole.last()["focal"].left == "verdict"
    assert whole.ending == "decided"


def test_no_rival_means_nothing_to_confirm() -> None:
    rounds = run_all({}, rules(), Contest("best-1", (), 200))
    assert (rounds.planned, rounds.looks, rounds.ending) == ((), (), "decided")


@pytest.mark.parametrize("max_pairs", [1, 2])
def test_one_pair_claims_nothing(max_pairs: int) -> None:
    rounds = run_all(outcomes(FAR), rules(max_pairs=max_pairs))
    assert len(rounds.looks) == max_pairs
    if max_pairs == 1:
        assert {one.comparison.finding for one in rounds.last().values()} == {"undecided"}
        assert {one.left for one in rounds.last().values()} == {"max pairs"}
