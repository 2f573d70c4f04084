"""A search that trains nothing: the real driver, told what pretended trials report, and the time of each call."""

from __future__ import annotations

import dataclasses
import io
import itertools
import random
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import TrialScheduler
from rich.console import Console

from absgd.config import RunConfig
from absgd.records import EpochRecord
from tune_runs.driver.assembly import RunningSearch, assemble_search
from tune_runs.driver.drive import suspend_running
from tune_runs.recording.scenario_images import ScenarioImages
from tune_runs.request.search_request import SearchRequest
from tune_runs.request.space_files import space_from_dict
from tune_runs.space.model import SearchSpace
from tune_runs.trial.trial_plan import TrialTask, task_of
from tune_runs.trial.trial_reports import ReportedEpoch, TrialReport
from tune_runs.trunks.scenario_plan import plan_scenarios

NUM_CLASSES = 10


def pretend_space(num_trials: int, epochs: int) -> SearchSpace:
    """Return a space of one scenario whose trials switch after 60 to 80 % of their epochs and are never stopped."""
    return space_from_dict(
        {
            "name": "pretend",
            "base": {"data": {"name": "digits"}, "model": {"name": "resnet8"}, "epochs": epochs},
            "scenarios": [{"imbalance": {"type": "exp", "ratio": 0.1}}],
            "search": {
                "lam": {"low": 0.5, "high": 50, "log": True},
                "gamma": {"low": 0.1, "high": 1.0},
                "ab_alpha": {"low": 0.1, "high": 1.0},
                "switch_epoch": {"type": "int", "low": epochs * 6 // 10, "high": epochs * 8 // 10},
            },
            "num_trials": num_trials,
            "early_stopping": None,
            "seeds": {"pairs": 1},
            "confirm": None,
        }
    )


@dataclasses.dataclass
class CallTimes:
    """Seconds that calls of the driver took."""

    reports: list[float] = dataclasses.field(default_factory=list)
    """Of each report of an epoch."""
    ends: list[float] = dataclasses.field(default_factory=list)
    """Of each end of a trial."""
    asks: list[float] = dataclasses.field(default_factory=list)
    """Of each time that the driver is asked for a trial and gives one."""

    @property
    def reports_per_s(self) -> float:
        """Reports that the driver takes in a second, ends of trials included and draws of new ones left out."""
        return len(self.reports) / (sum(self.reports) + sum(self.ends))


class PretendSearch:
    """A search in a folder, new or resumed, whose trials report made-up numbers as fast as the driver takes them.

    Args:
        space: the space, such as `pretend_space`.
        folder: the run folder.
        concurrent: trials that take turns, one epoch each.
    """

    def __init__(self, space: SearchSpace, folder: Path, concurrent: int = 64) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        request = SearchRequest(space, folder)
        request.begin()
        plans = plan_scenarios(space)
        images = ScenarioImages(read=_splits, fingerprint_of=lambda _splits, _weights: "pretended")
        self.concurrent = concurrent
        self.search: RunningSearch = assemble_search(request, plans, images, concurrent, Console(file=io.StringIO()))

    def run(self) -> CallTimes:
        """Run to the end and return how long the driver's calls took."""
        times = CallTimes()
        live: list[SimpleNamespace] = []
        names = (f"ray{number}" for number in itertools.count())
        while True:
            while len(live) < self.concurrent and (trial := self._next(next(names), times)):
                live.append(trial)
            if not live:
                suspend_running(self.search)
                return times
            live = [trial for trial in live if not self._advance(trial, times)]

    def _next(self, ray_id: str, times: CallTimes) -> SimpleNamespace | None:
        started = time.perf_counter()
        asked = self.search.searcher.suggest(ray_id)
        if asked is None or isinstance(asked, str):
            return None
        times.asks.append(time.perf_counter() - started)
        task = task_of(asked)
        trial = SimpleNamespace(trial_id=ray_id, config=asked, reports=_reports(task), last_result=None)
        self.search.scheduler.on_trial_add(None, trial)
        return trial

    def _advance(self, trial: SimpleNamespace, times: CallTimes) -> bool:
        """Hand one report to the driver as Ray does; return whether the trial has ended."""
        report: TrialReport = next(trial.reports)
        result = {**report.to_result(), "training_iteration": 1, "pid": 1}
        started = time.perf_counter()
        decision = self.search.scheduler.on_trial_result(None, trial, result)
        for callback in self.search.callbacks[:-1]:  # the last one draws
            callback.on_trial_result(trial=trial, result=result)
        trial.last_result = result
        reported = time.perf_counter()
        times.reports.append(reported - started)
        assert report.epoch is not None
        is_last = report.epoch.record.epoch == task_of(trial.config).config.epochs - 1
        if decision == TrialScheduler.CONTINUE and not is_last:
            return False
        self.search.searcher.on_trial_complete(trial.trial_id, result)
        for callback in self.search.callbacks[:-1]:
            callback.on_trial_complete(trial=trial)
        times.ends.append(time.perf_counter() - reported)
        return True


def _reports(task: TrialTask) -> Iterator[TrialReport]:
    """Yield the reports of a run: a fork's first one holds the epochs before its fork."""
    start = task.trunk.start_at if task.trunk else 0
    earlier = tuple(ReportedEpoch(_record(task.config, epoch), is_inherited=True) for epoch in range(start))
    for epoch in range(start, task.config.epochs):
        yield TrialReport(epoch=ReportedEpoch(_record(task.config, epoch)), earlier=earlier)
        earlier = ()


def _record(config: RunConfig, epoch: int) -> EpochRecord:
    is_plain = config.attention is None or epoch < config.attention.switch_epoch
    source = random.Random(f"{'' if is_plain else config.digest()}{epoch}")
    recalls = tuple(source.random() for _ in range(NUM_CLASSES))
    value = sum(recalls) / NUM_CLASSES
    return EpochRecord(
        epoch=epoch,
        stage=1 if is_plain else 2,
        lr=0.1,
        train_loss=source.random(),
        val_loss=source.random(),
        val_accuracy=value,
        val_balanced_accuracy=value,
        val_many_accuracy=source.random(),
        val_medium_accuracy=source.random(),
        val_few_accuracy=source.random(),
        val_macro_f1=source.random(),
        val_worst_recall=min(recalls),
        val_calibration_error=source.random(),
        val_recall=recalls,
        log_u=None if is_plain else source.random(),
        mean_weight=tuple(1.0 if is_plain else source.random() for _ in range(NUM_CLASSES)),
        mean_weight_clean=1.0,
        mean_weight_changed=None,
        kept_fraction=None,
        train_s=1.0,
        val_s=0.1,
        images_per_s=1000.0,
    )


def _splits(config: RunConfig) -> Any:
    return SimpleNamespace(class_counts=(5,) * NUM_CLASSES, hash=f"{config.imbalance.type} {config.seeds.data}")
