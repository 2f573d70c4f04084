"""The driver of a search: its parts, brought to what is recorded; Ray's Tuner over them; its end."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from contextlib import closing, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

from ray import tune
from ray.exceptions import RayError
from ray.tune import TuneError
from rich.console import Console

from absgd import records
from absgd.datasets import Splits
from tune_runs.best_file import BestFiles
from tune_runs.bookkeeper import Bookkeeper
from tune_runs.budgets import Budgets
from tune_runs.checkpoints import Checkpoints
from tune_runs.confirmation import ScenarioConfirmation
from tune_runs.draws import control_config
from tune_runs.faults import Faults
from tune_runs.images import ScenarioImages
from tune_runs.progress import ProgressCallback, print_summary
from tune_runs.recorder import Recorder
from tune_runs.request import SearchFailed, SearchInterrupted, SearchRequest, shortened
from tune_runs.scheduler import SchedulerByScenario
from tune_runs.searcher import ScenarioSearch, SearchByScenario
from tune_runs.shelf import Shelf
from tune_runs.space import ConfirmConfig, Scenario
from tune_runs.stop_request import StopRequest, signals_to
from tune_runs.study import ScenarioStudy
from tune_runs.trainable import train_trial
from tune_runs.trunk_book import TrunkBook


class _Search(NamedTuple):
    """The parts of a running search."""

    recorder: Recorder
    checkpoints: Checkpoints
    stop: StopRequest
    searcher: SearchByScenario
    scheduler: SchedulerByScenario
    confirmations: dict[str, ScenarioConfirmation]
    """Of all scenarios, also where this session runs none: what earlier ones confirmed stays so."""
    callbacks: tuple[Bookkeeper, ProgressCallback]


def drive(request: SearchRequest, splits: dict[str, Splits], num_concurrent: int, console: Console) -> bool:
    """Run a search whose folder is held, recording as it goes, and print what was found.

    Args:
        request: its space says the GPUs of a trial.
        splits: images of each scenario; taken out, since they go where workers find them.
        num_concurrent: trials that fit at once.
        console: for the table and the summary.

    Returns:
        Whether any search trial was completed.

    Raises:
        UserError: if what is recorded is damaged, or of another space.
        SearchInterrupted: after Ctrl-C or SIGTERM.
        SearchFailed: if the records cannot be written, Ray gives up, or every further trial would fail.
    """
    with closing(Shelf()) as shelf:
        search = _assembled(request, splits, num_concurrent, console, ScenarioImages(shelf))
        progress = search.callbacks[-1]
        with signals_to(search.stop):
            progress.start()
            try:
                _fit(request, shelf, num_concurrent, search)
            except KeyboardInterrupt:
                search.stop.is_interrupted = True
            finally:
                progress.stop()
    _close(search)
    print_summary(request.space, search.recorder, console, search.confirmations)
    if search.stop.reason:
        ended = (
            f"ended:   {search.stop.reason}; go on with: absgd-tune {request.go_on_option} {shortened(request.folder)}"
        )
        console.print(ended, markup=False, highlight=False, soft_wrap=True)
    return any(search.recorder.best(scenario.name) for scenario in request.space.scenario_list)


def _assembled(
    request: SearchRequest, splits: dict[str, Splits], num_concurrent: int, console: Console, images: ScenarioImages
) -> _Search:
    """Everything of a search, brought to what is recorded of it."""
    space, folder = request.space, request.folder
    for scenario in space.scenario_list:
        own = splits.pop(scenario.name)
        _write_labels(folder / records.SCENARIOS_FOLDER / scenario.name, own)
        if request.searches:
            images.adopt(scenario.name, control_config(space, scenario), own)
    recorder = Recorder(folder, space.metric, images.of)
    recorder.load()
    stop = StopRequest(Budgets(space, recorder).used)
    checkpoints = Checkpoints(space, recorder, num_concurrent, _origin(request))
    checkpoints.tidy_all()
    searches = {
        scenario.name: _scenario_search(request, scenario, images, recorder, num_concurrent)
        for scenario in space.scenario_list
    }
    confirmations = confirmations_of(request, recorder, images, searches)
    to_run = confirmations if request.has_confirmation else {}
    searcher = SearchByScenario(searches, to_run, images, checkpoints.of, stop, request.searches)
    bests = BestFiles(recorder, confirmations)
    bests.update_all()
    scheduler = SchedulerByScenario(space, searcher.plans, recorder)
    scheduler.replay(recorder)
    faults = Faults(space.max_failures, space.max_equal_errors)
    on_end = (checkpoints.run_ended, searcher.run_ended, bests.run_ended)
    bookkeeper = Bookkeeper(recorder, searcher, faults, stop, on_end)
    progress = ProgressCallback(space, recorder, console, to_run, request.searches)
    return _Search(recorder, checkpoints, stop, searcher, scheduler, confirmations, (bookkeeper, progress))


def confirmations_of(
    request: SearchRequest, recorder: Recorder, images: ScenarioImages, searches: Mapping[str, ScenarioSearch]
) -> dict[str, ScenarioConfirmation]:
    """Of each scenario."""
    config = request.space.confirm or ConfirmConfig()

    def of(scenario: Scenario) -> ScenarioConfirmation:
        def search_is_done() -> bool:
            return not request.searches or searches[scenario.name].is_done

        trunks = _trunks_folder(request, scenario)
        return ScenarioConfirmation(request.space, scenario, config, recorder, images, trunks, search_is_done)

    return {scenario.name: of(scenario) for scenario in request.space.scenario_list}


def _trunks_folder(request: SearchRequest, scenario: Scenario) -> Path:
    shared = request.space.trunks
    return Path(shared) if shared else request.folder / records.SCENARIOS_FOLDER / scenario.name / "trunks"


def _scenario_search(
    request: SearchRequest, scenario: Scenario, images: ScenarioImages, recorder: Recorder, num_concurrent: int
) -> ScenarioSearch:
    folder = request.folder / records.SCENARIOS_FOLDER / scenario.name
    study = ScenarioStudy(request.space, scenario, folder, request.warm_start.get(scenario.name, ()))
    study.prepare(recorder)
    control = control_config(request.space, scenario)

    def fingerprint(weights: str | None) -> str:
        return images.fingerprint(scenario.name, control, weights)

    book = TrunkBook(request.space, scenario, _trunks_folder(request, scenario), fingerprint)
    return ScenarioSearch(study, book, recorder, num_concurrent)


def _close(search: _Search) -> None:
    """What still runs waits for a resume.

    Raises:
        SearchFailed: if the records cannot be written, or every further trial would fail.
        SearchInterrupted: after a signal.
    """
    stop = search.stop
    with suppress(OSError) if stop.error else nullcontext():
        search.recorder.finish_running("interrupted", stop.reason or stop.failure)
        for one in search.searcher.searches.values():
            one.study.release()
        search.checkpoints.tidy_all()
    if stop.error:
        raise SearchFailed(f"{stop.error}: what was recorded before is whole")
    if stop.is_interrupted:
        raise SearchInterrupted
    if stop.failure:
        raise SearchFailed(stop.failure)


def _origin(request: SearchRequest) -> str:
    """Which search this is: the same in every session of it."""
    sessions = json.loads((request.folder / records.ENVIRONMENT_FILE).read_text())["sessions"]
    return f"{request.space.name} {sessions[0]['started_at']}"


def _write_labels(folder: Path, splits: Splits) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    labels = records.label_table(splits.train_index_N, splits.train.labels_N, splits.changed_N)
    records.write_table(folder / records.LABELS_FILE, labels)


def _fit(request: SearchRequest, shelf: Shelf, num_concurrent: int, search: _Search) -> None:
    """Let Ray train; its own files lie in a temporary folder, since nothing is read back from them.

    Raises:
        SearchFailed: if Ray gives up.
    """
    if search.searcher.is_done:
        return
    resources = request.space.resources
    trainable = tune.with_resources(
        tune.with_parameters(train_trial, shelf=shelf.actor), {"cpu": resources.cpu, "gpu": resources.gpu}
    )
    with tempfile.TemporaryDirectory(prefix="absgd-tune-", ignore_cleanup_errors=True) as scratch:
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
                name="ray", storage_path=scratch, callbacks=list(search.callbacks), stop=search.stop, verbose=0
            ),
        )
        try:
            tuner.fit()
        except (TuneError, RayError) as error:
            raise SearchFailed(f"Ray gave up: {str(error).splitlines()[0]}") from None


def _trial_folder(trial: Any) -> str:
    return str(trial.config["trial_id"])
