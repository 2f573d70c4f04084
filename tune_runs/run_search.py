"""A whole search: load its data, start Ray, lock its folder, and run `tune_runs.driver.drive`.

Ray reads its environment when it is imported, so it is imported inside its session only.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from filelock import FileLock, Timeout
from rich.console import Console

from absgd import records
from absgd.config import RunConfig
from absgd.counts import plural
from absgd.datasets import Splits, check_test_set, load_splits
from absgd.errors import UserError
from absgd.records.environment import add_session
from absgd.training import Trainer, gpu_names
from absgd.training.evaluation import absent_metrics
from tune_runs.console_table import print_sentence
from tune_runs.ray_cluster.session import NodeSize, node_sizes, ray_session
from tune_runs.recording.tracker_table import check_trackers
from tune_runs.request.search_request import SearchRequest, SearchStatus, is_unbegun
from tune_runs.space.boundary import boundary_runs, unused_settings
from tune_runs.space.model import Scenario, SearchSpace
from tune_runs.space.run_configs import control_config, enqueued_points
from tune_runs.trial.disk_budget import remove_unfinished
from tune_runs.trunks.scenario_plan import plan_scenarios

if TYPE_CHECKING:
    from ray.tune import Callback


@contextmanager
def _torch_kept() -> Iterator[None]:
    """Give torch its number of threads and choice of algorithms back after the block, in which runs are built."""
    threads, cudnn = torch.get_num_threads(), torch.backends.cudnn
    chosen = cudnn.deterministic, cudnn.benchmark
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        cudnn.deterministic, cudnn.benchmark = chosen


@_torch_kept()
def run_search(
    request: SearchRequest,
    console: Console,
    callbacks: Sequence[Callback] = (),
    between_events: Callable[[], None] | None = None,
) -> SearchStatus:
    """Search every scenario of the space, record the search, and print its results.

    The process is left as it was: a Ray that is started here ends, one that was there stays.

    Args:
        request: the request.
        console: prints what is done, the live table and the summary.
        callbacks: of Ray Tune, from the user; are told of all events.
        between_events: called by the driver between two events, when the records of the search agree.

    Returns:
        How it ended.

    Raises:
        UserError: before anything is created, if data, resources or the folder are not as the space needs them.
        SearchInterrupted: after Ctrl-C or SIGTERM.
        SearchFailed: if the records cannot be written, Ray gives up, or every further trial would fail.
    """
    space = request.space
    check_trackers(space.track)
    for note in (*enqueued_points(space).notes, *unused_settings(space)):
        print_sentence(console, f"note: {note}")
    # Data is checked before Ray starts; the plans, which hold these controls, need the GPUs of the cluster.
    splits = {scenario.name: load_splits(control_config(space, scenario)) for scenario in space.scenario_list}
    if request.has_confirmation:
        _check_test_sets(space)
    _check_metric(space, splits)
    for scenario in space.scenario_list:
        _check_runs(space, scenario, splits[scenario.name])
    print_sentence(console, f"starting Ray{f' at {request.address}' if request.address else ''} and its first worker")
    with ray_session(request.address):
        from tune_runs.ray_cluster.worker_check import check_workers

        check_workers()
        nodes = node_sizes()
        request = dataclasses.replace(request, space=space.on(sum(node.gpus for node in nodes)))
        num_concurrent = _num_concurrent(request.space, nodes)
        plans = plan_scenarios(request.space)
        _make_trunks_folder(space)
        with _locked_folder(request):
            from tune_runs.driver.drive import drive

            print_sentence(console, f"training, {num_concurrent} at a time; the first result follows the first epoch")
            return drive(request, plans, splits, num_concurrent, console, callbacks, between_events)


def _make_trunks_folder(space: SearchSpace) -> None:
    if space.trunks is None:
        return
    try:
        Path(space.trunks).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=space.trunks):
            pass
    except OSError as error:
        raise UserError(f"cannot write to {space.trunks}: {error.strerror or error} (trunks)") from None


def _check_test_sets(space: SearchSpace) -> None:
    """Look at the test set of each scenario; neither imbalance, noise nor seeds change it."""
    configs = {config.data.model_dump_json(): config for config in _controls(space)}
    for config in configs.values():
        try:
            check_test_set(config)
        except UserError as error:
            raise UserError(f"{error}; the confirmation reads the test set, --no-confirm does without") from None


def _controls(space: SearchSpace) -> list[RunConfig]:
    return [control_config(space, scenario) for scenario in space.scenario_list]


def _check_metric(space: SearchSpace, splits: dict[str, Splits]) -> None:
    """Refuse a metric over a group of classes that a scenario lacks."""
    for name, split in splits.items():
        absent = absent_metrics(split.class_counts, split.val_counts)
        if metric := next((one for one in space.objective.metrics if one in absent), None):
            raise UserError(
                f"expected a metric that every scenario has, got `{metric}`: "
                f"no class of `{name}` in that group has validation images (metric)"
            )


def _check_runs(space: SearchSpace, scenario: Scenario, splits: Splits) -> None:
    """Build every kind of run at the boundary of the space once, to refuse here what cannot be built."""
    built = set()
    for _, settings in boundary_runs(space, scenario):
        config = RunConfig.from_dict(settings)
        kind = (config.augmentation, config.model, config.loss, config.class_balance)
        if kind not in built:
            on_any_device = config.with_values({"device.cuda_graph": False})  # the driver may have no GPU
            Trainer(on_any_device, splits, torch.device("cpu"))
            built.add(kind)


def _num_concurrent(space: SearchSpace, nodes: list[NodeSize]) -> int:
    """Return the number of simultaneous trials; each needs one node that has all of its resources."""
    trials = sum(space.resources.concurrent(node.cpus, node.gpus) for node in nodes)
    if trials == 0:
        largest = ", ".join(f"{plural(node.cpus, 'CPU')} and {plural(node.gpus, 'GPU')}" for node in nodes)
        raise UserError(
            f"expected resources of a trial that fit on one node ({largest}), such as "
            f"{space.resources.nearest_that_fit(nodes)}, got {space.resources.words} (resources)"
        )
    return trials


@contextmanager
def _locked_folder(request: SearchRequest) -> Iterator[None]:
    """Lock the run folder for this process, and write its space and environment."""
    folder = request.folder
    lock = FileLock(folder / records.LOCK_FILE, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        if not request.is_resume and not is_unbegun(folder):
            raise FileExistsError
        remove_unfinished(folder)
        (folder / records.RESUME_NOTE_FILE).unlink(missing_ok=True)
        request.begin()
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
