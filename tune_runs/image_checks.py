"""The images of a search, read and checked against its space before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from absgd.config import RunConfig
from absgd.datasets import Splits, check_test_set, load_splits
from absgd.errors import UserError
from absgd.training import Trainer
from absgd.training.evaluation import absent_metrics
from tune_runs.request.search_request import SearchRequest
from tune_runs.space.boundary import boundary_runs
from tune_runs.space.model import Scenario, SearchSpace
from tune_runs.space.run_configs import control_config


def checked_images(request: SearchRequest) -> dict[str, Splits]:
    """Read the images of every scenario, and build each kind of run at the boundary of the space once.

    Torch's number of threads and choice of algorithms stay as they were.

    Returns:
        Scenario -> its images.

    Raises:
        UserError: if they cannot be read, lack what the metric needs, or a run cannot be built on them; if the
            confirmation could not read its test set.
    """
    space = request.space
    splits = {scenario.name: load_splits(control_config(space, scenario)) for scenario in space.scenario_list}
    if request.has_confirmation:
        _check_test_sets(space)
    _check_metric(space, splits)
    with _torch_kept():
        for scenario in space.scenario_list:
            _check_runs(space, scenario, splits[scenario.name])
    return splits


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
