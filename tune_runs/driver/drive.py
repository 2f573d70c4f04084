"""The driver of a search: lets Ray train what the searcher proposes, and ends the session."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from ray import tune
from ray.exceptions import RayError
from ray.tune import Callback, TuneError
from rich.console import Console

from absgd import records
from absgd.config import RunConfig
from absgd.datasets import Splits, class_sizes
from absgd.output_streams import impatient_output
from absgd.terminal import only_shows, shortened
from tune_runs.cohorts.directory import running_cohorts
from tune_runs.cohorts.member import train_in_cohort
from tune_runs.confirmation.scenario_confirmation import every_confirmation_failed
from tune_runs.console_table import print_whole
from tune_runs.driver.assembly import RunningSearch, assemble_search
from tune_runs.driver.early_imports import EarlyImports
from tune_runs.driver.end_watch import EndWatch
from tune_runs.driver.file_serving import run_file_store
from tune_runs.driver.kept_processes import processes_kept
from tune_runs.driver.live_table import NoRayTable
from tune_runs.driver.search_summary import print_summary
from tune_runs.driver.start_watch import StartWatch
from tune_runs.driver.stop_request import signals_to
from tune_runs.driver.uncounted_callbacks import callbacks_uncounted
from tune_runs.ray_cluster.image_store import ImageStore
from tune_runs.ray_cluster.watchdog import watchdog
from tune_runs.ray_cluster.worker_check import logs_folder, raylet_error
from tune_runs.recording.budgets import RAISED_BY
from tune_runs.recording.onlooker import Onlooker
from tune_runs.recording.scenario_images import ScenarioImages
from tune_runs.recording.tracker_callback import close_trackers
from tune_runs.request.search_request import SearchFailed, SearchInterrupted, SearchRequest, SearchStatus
from tune_runs.space.model import SearchSpace
from tune_runs.trial.rank_tasks import placement
from tune_runs.trial.trainable import train_trial
from tune_runs.trial.trial_plan import task_of
from tune_runs.trunks.scenario_plan import ScenarioPlan


def drive(
    request: SearchRequest,
    plans: Mapping[str, ScenarioPlan],
    splits: dict[str, Splits],
    image_store: ImageStore,
    num_concurrent: int,
    console: Console,
    callbacks: Sequence[Callback] = (),
    between_events: Callable[[], None] | None = None,
    near_end: Callable[[], None] | None = None,
) -> SearchStatus:
    """Run a search whose folder this process has locked, record it, and print the results.

    Args:
        request: the request; its space gives the GPUs of a trial.
        plans: plans of all scenarios.
        splits: images of each scenario; emptied, since the images move to the store.
        image_store: the store of images that workers read.
        num_concurrent: trials that fit at the same time.
        console: prints the live table and the summary.
        callbacks: of the user; are told of all events.
        between_events: called between two events, when the records agree.
        near_end: called once when at most a minute of confirmation is left, if that can be foreseen.

    Returns:
        How it ended.

    Raises:
        UserError: if the records are damaged, or of another space.
        SearchInterrupted: after Ctrl-C or SIGTERM.
        SearchFailed: if the records cannot be written, Ray gives up, or every further trial would fail.
    """
    space, folder = request.space, request.folder
    with run_file_store(request, num_concurrent, console) as store:
        images = ScenarioImages(image_store)
        for name, plan in plans.items():
            own = splits.pop(name)
            _write_labels(records.scenario_folder(folder, name), plan.control, own)
            images.adopt(name, plan.control, own)
        search = assemble_search(request, plans, images, num_concurrent, console, callbacks, store)
        progress = search.progress
        with signals_to(search.stop), watchdog(request.address, request.resume_command), impatient_output():
            with only_shows("the table"):
                progress.start()
            try:
                onlookers = [_start_watch(request, search, console), *_stepper(between_events)]
                onlookers += [*_early_imports(search), *_end_watch(search, near_end)]
                _train_with_ray(space, image_store, num_concurrent, search, onlookers)
            except KeyboardInterrupt:
                search.stop.is_interrupted = True
                search.scheduler.end_processes()
            finally:
                with only_shows("the table"):
                    progress.stop()
    try:
        _end_session(search)
    finally:
        close_trackers(search.trackers, search.users)
    search.update_plans()
    with only_shows("the summary"):
        print_summary(space, search.recorder, console, search.confirmations)
    if (budget := search.stop.used_budget) is not None:
        resume = f"{request.resume_command} {RAISED_BY[budget]}".rstrip()
        print_whole(console, f"ended:   {budget}; continue with: {resume}")
        return "budget"
    has_best = any(search.recorder.best(one.name) for one in space.scenario_list)
    has_failed = request.has_confirmation and every_confirmation_failed(search.confirmations)
    return "complete" if has_best and not has_failed else "nothing completed"


def suspend_running(search: RunningSearch) -> None:
    """Mark the runs that still train as interrupted, so that a resume continues them.

    Raises:
        OSError: if it cannot be written.
    """
    stop = search.stop
    search.recorder.finish_running("interrupted", stop.used_budget or stop.failure)
    for one in search.searcher.searches.values():
        one.study.release()
    search.checkpoints.tidy_all()


def _end_session(search: RunningSearch) -> None:
    """End the session; a resume restores records that could not be written.

    Raises:
        SearchFailed: if the records cannot be written, or every further trial would fail.
        SearchInterrupted: after a signal.
    """
    stop = search.stop
    if stop.error:
        with suppress(OSError):
            search.recorder.finish_running("interrupted")
        raise SearchFailed(f"{stop.error}: earlier records are intact")
    suspend_running(search)
    if stop.is_interrupted:
        raise SearchInterrupted(f"everything finished is recorded in {shortened(search.recorder.folder)}")
    if stop.failure:
        raise SearchFailed(stop.failure)


def _write_labels(folder: Path, config: RunConfig, splits: Splits) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    labels = records.label_table(splits.train_index_N, splits.train.labels_N, splits.changed_N)
    records.write_table(folder / records.LABELS_FILE, labels)
    records.write_table(folder / records.CLASSES_FILE, class_sizes(config, splits))


def _start_watch(request: SearchRequest, search: RunningSearch, console: Console) -> Onlooker:
    say = partial(print_whole, console)
    watch = StartWatch(search.stop, request.address is None, say, lambda: raylet_error(logs_folder()))
    return Onlooker(watch, "the watch over starting trials")


class _Stepper(Callback):  # type: ignore[misc]
    """Calls a function after every step of Tune's loop."""

    def __init__(self, step: Callable[[], None]) -> None:
        self._step = step

    def on_step_end(self, **_event: Any) -> None:
        """Call the function."""
        self._step()


def _stepper(step: Callable[[], None] | None) -> list[Onlooker]:
    return [Onlooker(_Stepper(step), "the copy of the run folder")] if step else []


def _early_imports(search: RunningSearch) -> list[Onlooker]:
    return [Onlooker(EarlyImports(), "the imports for a confirmation")] if search.searcher.confirmations else []


def _end_watch(search: RunningSearch, near_end: Callable[[], None] | None) -> list[Onlooker]:
    to_run = search.searcher.confirmations
    return [Onlooker(EndWatch(to_run, near_end), "the preparation of the report")] if to_run and near_end else []


def _train_with_ray(
    space: SearchSpace,
    image_store: ImageStore,
    num_concurrent: int,
    search: RunningSearch,
    onlookers: Sequence[Onlooker],
) -> None:
    """Let Ray train; its own files go to a temporary folder, since nothing reads them back."""
    if search.searcher.is_done:
        return
    scratch_folder = tempfile.TemporaryDirectory(prefix="absgd-tune-", ignore_cleanup_errors=True)
    with _trainable(space, image_store) as trainable, scratch_folder as scratch:
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=search.searcher,
                scheduler=search.scheduler,
                num_samples=-1,  # the searcher says when it is done
                max_concurrent_trials=num_concurrent,
                reuse_actors=True,
                trial_dirname_creator=_trial_folder,
            ),
            run_config=tune.RunConfig(
                name="ray",
                storage_path=scratch,
                callbacks=[*search.callbacks, *onlookers],
                stop=search.stop,
                progress_reporter=NoRayTable(),
                verbose=0,
            ),
        )
        try:
            with processes_kept(), callbacks_uncounted():
                tuner.fit()
        except (TuneError, RayError, OSError) as error:
            lines = [line for line in str(error).splitlines() if line.strip()]  # the last one gives the reason
            search.stop.fail(f"Ray gave up: {lines[-1] if lines else type(error).__name__}")


@contextmanager
def _trainable(space: SearchSpace, image_store: ImageStore) -> Iterator[Any]:
    """Give the function that Ray runs for a trial, with the resources it occupies."""
    occupied = placement(space.resources)
    if space.resources.cohort == 1:
        yield tune.with_resources(tune.with_parameters(train_trial, image_store=image_store.actor), occupied)
        return
    with running_cohorts(space.resources.cohort, image_store.actor) as access:
        yield tune.with_resources(tune.with_parameters(train_in_cohort, access=access), occupied)


def _trial_folder(trial: Any) -> str:
    return task_of(trial.config).trial_id
