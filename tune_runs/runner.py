"""A whole search: data, Ray, one Tuner over all scenarios, records; and the same again for what was interrupted."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from filelock import FileLock, Timeout
from rich.console import Console

from absgd import records
from absgd.datasets import Splits, load_splits
from absgd.environment import environment_json
from absgd.errors import UserError
from absgd.training import gpu_names
from absgd.training.evaluation import shot_accuracy
from absgd.yaml_text import dump_yaml
from tune_runs.draws import control_config, points_inside
from tune_runs.ray_session import cluster_size, ray_session
from tune_runs.space import SearchSpace
from tune_runs.space_files import load_space

LOCK_FILE = ".lock"


@dataclasses.dataclass(frozen=True)
class SearchRequest:
    """What is to be searched and where it is recorded."""

    space: SearchSpace
    folder: Path
    address: str | None = None
    """Of an existing Ray cluster; None starts a local Ray."""
    is_resume: bool = False


class SearchInterrupted(Exception):  # noqa: N818 - names an event, not a fault
    """Ctrl-C or SIGTERM; everything finished is on disk."""


def new_request(space: SearchSpace, folder: Path, address: str | None = None) -> SearchRequest:
    """A search into a new folder.

    Raises:
        UserError: if the folder exists or its parent cannot be written.
    """
    if folder.exists():
        raise UserError(
            f"{folder} exists: continue it with `--resume {folder}` or give the new run another `--name` (name)"
        )
    parent = next(parent for parent in folder.absolute().parents if parent.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise UserError(f"expected a folder that can be written, got {parent} (--out)")
    return SearchRequest(space, folder.absolute(), address)


def resume_request(folder: Path, address: str | None = None) -> SearchRequest:
    """The interrupted search recorded in a folder.

    Raises:
        UserError: if there is none.
    """
    space_file = folder / records.SPACE_FILE
    if not space_file.is_file():
        raise UserError(f"expected a run folder with {records.SPACE_FILE}, found none in {folder} (--resume)")
    return SearchRequest(load_space(str(space_file)), folder.absolute(), address, is_resume=True)


def run_search(request: SearchRequest, console: Console) -> bool:
    """Search every scenario of the space, recording as it goes, and print what was found.

    Returns:
        Whether any search trial was completed.

    Raises:
        UserError: before anything is created, if data, resources or the folder are not as the space needs them.
        SearchInterrupted: after Ctrl-C or SIGTERM.
    """
    space = request.space
    for note in points_inside(space).notes:
        console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    splits = {scenario.name: load_splits(control_config(space, scenario)) for scenario in space.scenario_list}
    _check_metric(space, splits)
    with ray_session(request.address):
        num_cpus, num_gpus = cluster_size()
        request = dataclasses.replace(request, space=space.on(num_gpus))
        num_concurrent = _num_concurrent(request.space, num_cpus, num_gpus)
        with _locked_folder(request):
            return _search(request, splits, num_concurrent, console)


def _search(request: SearchRequest, splits: dict[str, Splits], num_concurrent: int, console: Console) -> bool:
    from tune_runs.progress import ProgressCallback, print_summary
    from tune_runs.recorder import Recorder, RecorderCallback, StepCallback
    from tune_runs.scheduler import SchedulerByScenario
    from tune_runs.searcher import SearchByScenario

    space, folder = request.space, request.folder
    recorder = Recorder(folder, space.metric, splits)
    recorder.load()
    searcher = SearchByScenario(space, recorder, folder)
    scheduler = None
    if space.asha is not None:
        scheduler = SchedulerByScenario(space, searcher)
        scheduler.replay(recorder)
    progress = ProgressCallback(space, recorder, console)
    with _stop_signals() as stop:
        progress.start()
        try:
            callbacks = [RecorderCallback(recorder), progress, StepCallback(stop.raise_if_set)]
            _fit(request, splits, num_concurrent, searcher, scheduler, callbacks)
        except KeyboardInterrupt:
            recorder.finish_running("interrupted")
            raise SearchInterrupted from None
        finally:
            progress.stop()
    searcher.close()
    recorder.finish_running("pruned", "stopped: the time budget was used up")
    print_summary(space, recorder, console)
    return any(recorder.best(scenario.name) for scenario in space.scenario_list)


def _fit(
    request: SearchRequest,
    splits: dict[str, Splits],
    num_concurrent: int,
    searcher: Any,
    scheduler: Any,
    callbacks: list[Any],
) -> None:
    from ray import tune

    from tune_runs.trainable import train_trial

    if searcher.num_trials_left == 0:
        return
    resources = request.space.resources
    trainable = tune.with_resources(
        tune.with_parameters(train_trial, splits=splits), {"cpu": resources.cpu, "gpu": resources.gpu}
    )
    tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler,
            num_samples=searcher.num_trials_left,
            max_concurrent_trials=num_concurrent,
            time_budget_s=request.space.time_budget,
            reuse_actors=True,
            trial_dirname_creator=_trial_folder,
        ),
        run_config=tune.RunConfig(name="ray", storage_path=str(request.folder), callbacks=callbacks, verbose=0),
    ).fit()


def _trial_folder(trial: Any) -> str:
    return str(trial.config["trial_id"])


def _check_metric(space: SearchSpace, splits: dict[str, Splits]) -> None:
    """Refuse a metric over a group of classes that a scenario does not have."""
    for name, split in splits.items():
        shots = shot_accuracy([0.0] * split.num_classes, split.class_counts)
        empty = [f"val_{group}_accuracy" for group, value in shots._asdict().items() if value is None]
        if space.metric in empty:
            raise UserError(
                f"expected a metric that every scenario has, got `{space.metric}`: "
                f"no class of `{name}` is in that group (metric)"
            )


def _num_concurrent(space: SearchSpace, cpus: float, gpus: float) -> int:
    trials = space.resources.concurrent(cpus, gpus)
    if trials == 0:
        raise UserError(
            f"expected resources of a trial within the cluster's {cpus:g} CPUs and {gpus:g} GPUs, "
            f"got cpu {space.resources.cpu:g}, gpu {space.resources.gpu:g} (resources)"
        )
    return trials


@contextmanager
def _locked_folder(request: SearchRequest) -> Iterator[None]:
    """The run folder with its space and environment, held by this process alone."""
    folder = request.folder
    lock = FileLock(folder / LOCK_FILE, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=request.is_resume)
        lock.acquire()
        if not request.is_resume:
            records.write_atomically(folder / records.SPACE_FILE, dump_yaml(request.space.to_dict()))
            records.write_atomically(folder / records.ENVIRONMENT_FILE, environment_json(gpu_names()))
    except Timeout:
        raise UserError(f"{folder} is in use by another absgd-tune (--resume)") from None
    except FileExistsError:
        raise UserError(f"{folder} exists: give another `--name` (name)") from None
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror or error} (--out)") from None
    try:
        yield
    finally:
        lock.release()


class _StopSignals:
    """Remembers the first SIGINT or SIGTERM, to be acted on between two steps of Tune; the second acts at once."""

    def __init__(self) -> None:
        self.is_set = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        if self.is_set:
            raise KeyboardInterrupt
        self.is_set = True

    def raise_if_set(self) -> None:
        """Act on a signal that came."""
        if self.is_set:
            raise KeyboardInterrupt


@contextmanager
def _stop_signals() -> Iterator[_StopSignals]:
    stop = _StopSignals()
    earlier = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
