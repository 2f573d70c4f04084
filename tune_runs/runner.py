"""A whole search: data, Ray, one Tuner over all scenarios, records; and the same again for what was interrupted."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from rich.console import Console

from absgd import records
from absgd.config import RunConfig
from absgd.datasets import Splits, fingerprint, load_splits
from absgd.environment import add_session
from absgd.errors import UserError
from absgd.training import Trainer, gpu_names
from absgd.training.evaluation import shot_accuracy
from absgd.yaml_text import dump_yaml
from tune_runs.corners import corners, unused_settings
from tune_runs.draws import control_config, points_inside
from tune_runs.ray_session import NodeSize, node_sizes, ray_session
from tune_runs.space import Scenario, SearchSpace
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
    if space.trunks:
        space = space.model_copy(update={"trunks": str(Path(space.trunks).expanduser().absolute())})
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
    for note in (*points_inside(space).notes, *unused_settings(space)):
        console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    splits = {scenario.name: load_splits(control_config(space, scenario)) for scenario in space.scenario_list}
    _check_metric(space, splits)
    for scenario in space.scenario_list:
        _check_runs(space, scenario, splits[scenario.name])
    with ray_session(request.address):
        nodes = node_sizes()
        request = dataclasses.replace(request, space=space.on(sum(node.gpus for node in nodes)))
        num_concurrent = _num_concurrent(request.space, nodes)
        _make_trunks_folder(space)
        with _locked_folder(request):
            return _search(request, splits, num_concurrent, console)


def _search(request: SearchRequest, splits: dict[str, Splits], num_concurrent: int, console: Console) -> bool:
    from tune_runs.progress import ProgressCallback, print_summary
    from tune_runs.recorder import Recorder, RecorderCallback
    from tune_runs.scheduler import SchedulerByScenario
    from tune_runs.searcher import SearchByScenario
    from tune_runs.stop_request import stop_request

    space, folder = request.space, request.folder
    for name, split in splits.items():
        _write_labels(folder / "scenarios" / name, split)
    recorder = Recorder(folder, space.metric, splits)
    recorder.load()
    searcher = SearchByScenario(space, recorder, folder, _trunk_books(request, splits), num_concurrent)
    scheduler = SchedulerByScenario(space, searcher.plans, recorder)
    scheduler.replay(recorder)
    progress = ProgressCallback(space, recorder, console)
    with stop_request() as stop:
        progress.start()
        try:
            _fit(
                request,
                splits,
                num_concurrent,
                searcher,
                scheduler,
                [RecorderCallback(recorder, stop.set_error), progress],
                stop,
            )
        except KeyboardInterrupt:
            stop.is_set = True
        finally:
            progress.stop()
    searcher.close()
    with suppress(OSError) if stop.error else nullcontext():
        recorder.finish_running("interrupted", None if stop.is_set else "the time budget was used up")
    if stop.error:
        raise stop.error
    if stop.is_set:
        raise SearchInterrupted
    print_summary(space, recorder, console)
    return any(recorder.best(scenario.name) for scenario in space.scenario_list)


def _trunk_books(request: SearchRequest, splits: dict[str, Splits]) -> dict[str, Any]:
    """The trunks of each scenario by its name."""
    from tune_runs.trunk_book import TrunkBook

    sessions = json.loads((request.folder / records.ENVIRONMENT_FILE).read_text())["sessions"]
    origin = f"{request.folder.name} {sessions[0]['started_at']}"
    books = {}
    for scenario in request.space.scenario_list:
        in_run = request.folder / "scenarios" / scenario.name / "trunks"
        folder = Path(request.space.trunks) if request.space.trunks else in_run
        of_images = functools.partial(fingerprint, splits[scenario.name])
        books[scenario.name] = TrunkBook(request.space, scenario, folder, of_images, origin)
    return books


def _make_trunks_folder(space: SearchSpace) -> None:
    if space.trunks is None:
        return
    try:
        Path(space.trunks).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=space.trunks):
            pass
    except OSError as error:
        raise UserError(f"cannot write to {space.trunks}: {error.strerror or error} (trunks)") from None


def _write_labels(folder: Path, splits: Splits) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    labels = records.label_table(splits.train_index_N, splits.train.labels_N, splits.changed_N)
    records.write_table(folder / records.LABELS_FILE, labels)


def _fit(
    request: SearchRequest,
    splits: dict[str, Splits],
    num_concurrent: int,
    searcher: Any,
    scheduler: Any,
    callbacks: list[Any],
    stop: Any,
) -> None:
    from ray import tune

    from tune_runs.trainable import train_trial

    if searcher.is_done:
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
            num_samples=-1,  # the searcher says when it is done
            max_concurrent_trials=num_concurrent,
            time_budget_s=request.space.time_budget,
            reuse_actors=True,
            trial_dirname_creator=_trial_folder,
        ),
        run_config=tune.RunConfig(
            name="ray", storage_path=str(request.folder), callbacks=callbacks, stop=stop, verbose=0
        ),
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


def _check_runs(space: SearchSpace, scenario: Scenario, splits: Splits) -> None:
    """Build every kind of run at the corners of the space once, so that what cannot be built is refused here."""
    built = set()
    for _, settings in corners(space, scenario):
        config = RunConfig.from_dict(settings)
        kind = (config.augmentation, config.model, config.loss, config.class_balance)
        if kind not in built:
            Trainer(config, splits, torch.device("cpu"))
            built.add(kind)


def _num_concurrent(space: SearchSpace, nodes: list[NodeSize]) -> int:
    """Trials that run at once: each needs one node that has all of its resources."""
    trials = sum(space.resources.concurrent(node.cpus, node.gpus) for node in nodes)
    if trials == 0:
        largest = ", ".join(f"{node.cpus:g} CPUs and {node.gpus:g} GPUs" for node in nodes)
        raise UserError(
            f"expected resources of a trial that fit on one node ({largest}), "
            f"got cpu {space.resources.cpu:g}, gpu {space.resources.gpu or 0:g} (resources)"
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
        add_session(folder / records.ENVIRONMENT_FILE, gpu_names())
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
