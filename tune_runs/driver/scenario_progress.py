"""Progress of the scenarios of a running search in numbers; `tune_runs.progress.progress_table` draws them."""

from __future__ import annotations

import statistics
from collections import Counter, deque

from tune_runs.confirmation.best_file import chosen_trial
from tune_runs.confirmation.scenario_confirmation import ScenarioConfirmation
from tune_runs.progress.progress_table import ScenarioProgress
from tune_runs.recording.recorder import Recorder
from tune_runs.seed_pairs.search_over_pairs import SearchOverPairs
from tune_runs.space.model import SearchSpace
from tune_runs.trunks.scenario_plan import ScenarioPlan
from tune_runs.trunks.stage_one_sharing import StageOneSharing
from tune_runs.tuned_controls.control_tuning import ControlTuning

_PACE_OVER = 100  # epochs that decide the pace


def scenario_progress(
    space: SearchSpace,
    recorder: Recorder,
    plan: ScenarioPlan,
    confirmation: ScenarioConfirmation | None = None,
    confirm_epochs: int = 0,
    is_searching: bool = True,
    pairs: SearchOverPairs | None = None,
    tuning: ControlTuning | None = None,
) -> ScenarioProgress:
    """Count the recorded trials and epochs of a scenario.

    Args:
        space: the search space.
        recorder: records of the search.
        plan: plan of the scenario.
        confirmation: confirmation of the scenario, if this session runs it.
        confirm_epochs: epochs that the confirmation is expected to train, before its plan is made.
        is_searching: whether this session trains search trials.
        pairs: search over further seed pairs of the scenario.
        tuning: search over the settings of the scenario's controls.
    """
    scenario, shared = plan.name, plan.sharing
    trials = recorder.trials_of(scenario)
    states = Counter[str](trial.status for trial in trials if trial.phase == "search")
    states["waiting"] = max(0, plan.num_trials - sum(states.values()) + states.pop("interrupted", 0))
    trial_epochs = _trial_epochs(space, recorder, scenario, shared)
    left = _controls_to_begin(recorder, scenario, shared, states["waiting"]) * space.epochs if is_searching else 0
    left += states["waiting"] * trial_epochs if is_searching else 0
    left += pairs.epochs_left if pairs and is_searching else 0
    left += tuning.epochs_left if tuning and is_searching else 0
    confirmed = None
    if confirmation is not None:
        confirmed = (confirmation.num_ended, confirmation.num_runs) if confirmation.runs else None
        left += confirmation.epochs_left if confirmation.rounds else max(0, confirm_epochs - confirmation.epochs_done)
    for trial in trials:
        if trial.status == "running" and trial.pair == 0 and trial.phase != "tuning":
            done = len(recorder.epochs[trial.trial_id])
            left += space.epochs - done if done or trial.phase == "control" else trial_epochs
    return ScenarioProgress(
        scenario=scenario,
        states=dict(states),
        best=chosen.trial if (chosen := chosen_trial(recorder, scenario, confirmation)) else None,
        control=recorder.control(scenario),
        epochs_done=sum(trial.summary.epochs_trained for trial in trials),
        epochs_left=left,
        num_running=sum(trial.status == "running" for trial in trials),
        on_pairs=(pairs.num_ended, pairs.num_most) if pairs and pairs.num_most else None,
        tuned=(tuning.num_ended, tuning.num_runs) if tuning and tuning.num_runs else None,
        confirmed=confirmed,
    )


def _trial_epochs(space: SearchSpace, recorder: Recorder, scenario: str, shared: StageOneSharing) -> int:
    """Return the most epochs that a trial trains: those from the earliest switch on, where stage one is shared.

    Where a control ended before the latest switch it is all epochs: there may be no snapshot to start from.
    """
    if not shared.shares:
        return space.epochs
    ended = [recorder.epochs[one.trial_id] for one in recorder.controls(scenario) if one.status != "running"]
    if any(len(epochs) < max(shared.fork_epochs) for epochs in ended):
        return space.epochs
    return space.epochs - shared.earliest_start


def _controls_to_begin(recorder: Recorder, scenario: str, shared: StageOneSharing, num_waiting: int) -> int:
    """Return the most controls that may still begin: the scenario's own, and one per trial with a new stage one."""
    own = recorder.control(scenario)
    to_begin = 0 if own else 1
    if not shared.shares or shared.num_stage_ones is None or shared.expected_trunks == 1:
        return to_begin
    searched = {trial.stage_one_key for trial in recorder.trials_of(scenario) if trial.phase == "search"}
    begun = sum(one is not own or one.stage_one_key in searched for one in recorder.controls(scenario))
    return to_begin + min(num_waiting, max(0, shared.num_stage_ones - begun))


class EpochPace:
    """The time that a session needs for an epoch, from the epochs that ended last.

    The start of Ray and of workers is not part of it: a session of a minute would else claim half an hour while its
    first epochs arrive. Two measures are taken, and the slower one holds: the duration of an epoch over the runs that
    train at the same time, which is right from the first epoch on, and the rate at which epochs arrive, which has the
    time between them.
    """

    def __init__(self) -> None:
        self._ended: deque[tuple[float, float]] = deque(maxlen=_PACE_OVER)
        """When each epoch ended, and how long it took, in seconds."""

    def add(self, now: float, duration_s: float) -> None:
        """Count an epoch that has just ended."""
        self._ended.append((now, duration_s))

    def seconds_left(self, epochs_left: int, num_running: int, now: float) -> float | None:
        """Return the seconds that further epochs take at this pace; None before the first epoch has ended.

        >>> pace = EpochPace()
        >>> pace.add(now=20.0, duration_s=3.0)
        >>> pace.seconds_left(epochs_left=40, num_running=2, now=20.0)
        60.0
        """
        if not self._ended:
            return None
        durations = statistics.fmean(duration for _, duration in self._ended) / max(1, num_running)
        first, later = self._ended[0][0], len(self._ended) - 1
        return epochs_left * max(durations, (now - first) / later if later else 0.0)
