"""The parts of a search, built and brought to the state that is recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ray.tune import Callback
from rich.console import Console

from absgd import records
from tune_runs.confirmation.best_file import BestFiles
from tune_runs.confirmation.scenario_confirmation import ScenarioConfirmation
from tune_runs.driver.due_reports import due_reports
from tune_runs.driver.live_table import LiveTableCallback
from tune_runs.driver.recording_callback import RecordingCallback
from tune_runs.driver.scheduler import SchedulerByScenario
from tune_runs.driver.searcher import RunQueueSearcher, ScenarioRunQueue
from tune_runs.driver.stop_request import StopRequest
from tune_runs.driver.study import ScenarioStudy
from tune_runs.driver.trunk_planner import TrunkPlanner
from tune_runs.file_store.interface import StoreUse
from tune_runs.recording.budgets import Budgets
from tune_runs.recording.checkpoints import Checkpoints
from tune_runs.recording.onlooker import Onlooker, UserOnlooker
from tune_runs.recording.recorder import Recorder
from tune_runs.recording.scenario_images import ScenarioImages
from tune_runs.recording.tracker_callback import TrackerCallback, tracker_callbacks
from tune_runs.recording.trial_record import TrialRecord
from tune_runs.request.search_request import SearchRequest, search_id
from tune_runs.seed_pairs.search_over_pairs import SearchOverPairs
from tune_runs.trial.failures import FailureCounter
from tune_runs.trunks.scenario_plan import ScenarioPlan
from tune_runs.tuned_controls.control_tuning import ControlTuning


class RunningSearch(NamedTuple):
    """The parts of a running search."""

    recorder: Recorder
    checkpoints: Checkpoints
    stop: StopRequest
    searcher: RunQueueSearcher
    scheduler: SchedulerByScenario
    confirmations: dict[str, ScenarioConfirmation]
    """Confirmations of all scenarios, also where this session runs none: earlier ones keep their results."""
    callbacks: tuple[Callback, ...]
    """Callbacks for Tune: first the one that records, then those that show."""
    trackers: list[TrackerCallback]
    """Those of them that hand events to trackers."""
    users: list[UserOnlooker]
    """Those of them that hand events to callbacks of the user."""
    progress: LiveTableCallback
    """The table that the last of them draws."""
    update_plans: Callable[[], None]
    """Brings the plans of further pairs and confirmations up to date with the records."""


def assemble_search(
    request: SearchRequest,
    plans: Mapping[str, ScenarioPlan],
    images: ScenarioImages,
    num_concurrent: int,
    console: Console,
    callbacks: Sequence[Callback] = (),
    store: StoreUse | None = None,
) -> RunningSearch:
    """Build all parts of a search and bring them to the state that is recorded.

    Args:
        request: the request; its space gives the GPUs of a trial, and this process has locked its folder.
        plans: plans of all scenarios.
        images: images of all scenarios, those of their searches adopted.
        num_concurrent: trials that fit at the same time.
        console: prints the live table.
        callbacks: of the user; are told of all events.
        store: the store of nodes that do not see the run folder; None: every node sees it.

    Raises:
        UserError: if the records are damaged, or of another space or other images.
        OSError: if the folder cannot be written.
    """
    space, folder = request.space, request.folder
    recorder = Recorder(folder, space.objective, images)
    recorder.load(_retried(request), request.moves)
    stop = StopRequest(Budgets(space, recorder).used)
    parts = {name: _scenario_parts(request, plan, images, recorder, num_concurrent) for name, plan in plans.items()}
    searches = {name: one.search for name, one in parts.items()}
    pairs = {name: one.pairs for name, one in parts.items()}
    tunings = {name: one.tuning for name, one in parts.items()}
    confirmations = {name: one.confirmation for name, one in parts.items()}
    to_run = confirmations if request.has_confirmation else {}
    checkpoints = Checkpoints(
        space, recorder, lambda name: pairs[name].in_play, num_concurrent, search_id(folder), store
    )
    searcher = RunQueueSearcher(
        searches,
        pairs,
        tunings,
        to_run,
        images,
        checkpoints.with_folder,
        due_reports(space),
        stop,
        request.searches,
    )

    def update_plans() -> None:
        for one in parts.values():
            one.pairs.update_plan()
        for one in parts.values():
            one.confirmation.update_plan()

    update_plans()
    checkpoints.tidy_all()
    bests = BestFiles(recorder, confirmations, space.controls.tuned)
    bests.update_all()
    scheduler = SchedulerByScenario(space, searcher.plans, recorder, tunings)
    scheduler.replay()
    on_end = (lambda _: update_plans(), checkpoints.run_ended, searcher.run_ended, bests.run_ended)
    failures = FailureCounter(space.max_failures, space.max_equal_errors)
    recording = RecordingCallback(recorder, searcher, failures, stop, on_end)
    trackers = tracker_callbacks(space, recorder)
    users = [UserOnlooker(one, lambda trial_id: recorder.trials[trial_id].phase) for one in callbacks]
    progress = LiveTableCallback(space, plans, recorder, console, to_run, request.searches, pairs, tunings)
    shown = (Onlooker(one, one.thread.title) for one in trackers)
    told = (recording, *shown, *users, Onlooker(progress, "the table of the search"))
    return RunningSearch(
        recorder, checkpoints, stop, searcher, scheduler, confirmations, told, trackers, users, progress, update_plans
    )


def _retried(request: SearchRequest) -> tuple[records.Phase, ...]:
    """Return the phases whose failed runs are tried again: those that this session trains."""
    searched: tuple[records.Phase, ...] = ("replicate", "tuning") if request.searches else ()
    confirmed: tuple[records.Phase, ...] = ("confirm",) if request.has_confirmation else ()
    return ("control", *searched, *confirmed)


class _ScenarioParts(NamedTuple):
    """The parts of a search that each scenario has of its own."""

    search: ScenarioRunQueue
    pairs: SearchOverPairs
    tuning: ControlTuning
    confirmation: ScenarioConfirmation


def _scenario_parts(
    request: SearchRequest, plan: ScenarioPlan, images: ScenarioImages, recorder: Recorder, num_concurrent: int
) -> _ScenarioParts:
    space, name = request.space, plan.name
    trunks = Path(space.trunks) if space.trunks else records.trunks_folder(request.folder, name)
    tuning = ControlTuning(plan, space, recorder, images, trunks)
    folder = records.scenario_folder(request.folder, name)
    study = ScenarioStudy(space, plan.scenario, folder, request.warm_start.get(name, ()))
    study.prepare(recorder)
    search = ScenarioRunQueue(study, TrunkPlanner(plan, trunks, images, tuning), recorder, num_concurrent)
    pairs = SearchOverPairs(
        plan, space.seeds, recorder, images, trunks, lambda: search.trials_are_done, space.has_budget
    )

    def search_is_done() -> bool:
        return not request.searches or (pairs.is_done and tuning.is_done)

    def may_be_chosen() -> list[TrialRecord]:
        """Return the trials that may still be chosen, once all have begun and one has completed; before that, none."""
        trials = [one for one in recorder.trials_of(name) if one.phase == "search"]
        if not request.has_confirmation or search.num_left or not any(one.status == "completed" for one in trials):
            return []
        in_play = pairs.in_play if search.trials_are_done else ()
        possible = [one for one in trials if one.status in ("completed", "running")]
        return [one for one in possible if not in_play or one.trial_id in in_play]

    confirmation = ScenarioConfirmation(
        plan, space, recorder, images, trunks, search_is_done, tuning.best, may_be_chosen
    )
    return _ScenarioParts(search, pairs, tuning, confirmation)
