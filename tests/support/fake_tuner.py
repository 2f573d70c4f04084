"""A tabular fake of Ray's Tuner: it calls searcher, scheduler and callbacks in Ray's order and trains nothing."""

from __future__ import annotations

import functools
import io
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ray.tune import Callback
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher
from rich.console import Console

from absgd.config import RunConfig
from absgd.records import TestMetrics
from tests.support.fake_trainer import Curve, FakeTrainer, fake_test
from tests.support.reported_runs import reports_of
from tune_runs.driver.assembly import assemble_search
from tune_runs.driver.drive import suspend_running
from tune_runs.recording.scenario_images import ScenarioImages
from tune_runs.request.search_request import SearchRequest
from tune_runs.request.space_files import space_from_dict
from tune_runs.space.model import SearchSpace
from tune_runs.space.parameters import Scalar
from tune_runs.trial.trial_plan import task_of
from tune_runs.trial.trial_reports import FinalMetrics, TrialReport
from tune_runs.trial.trial_run import TrialRun
from tune_runs.trunks.scenario_plan import plan_scenarios

LOST = "The actor died unexpectedly before finishing this task.\n\tclass_name: ImplicitFunc"
"""Text of Ray's error for a lost process."""
SPACE: dict[str, Any] = {
    "name": "fake",
    "base": {"data": {"name": "digits"}, "model": {"name": "resnet8"}, "epochs": 10},
    "scenarios": [{"imbalance": {"type": "exp", "ratio": 0.1}}, {"imbalance": {"type": "step", "ratio": 0.1}}],
    "search": {
        "lam": {"low": 0.5, "high": 50, "log": True},
        "gamma": {"low": 0.1, "high": 1.0},
        "ab_alpha": {"low": 0.1, "high": 1.0},
        "switch_epoch": {"type": "int", "low": 3, "high": 5},
    },
    "num_trials": 8,
    "metric": "val_accuracy",
    "early_stopping": {"rule": "asha", "reduction_factor": 2},
    "seeds": {"pairs": 1},
    "confirm": None,
}


def make_space(**changes: Any) -> SearchSpace:
    return space_from_dict({**SPACE, **changes})


def rising(config: RunConfig, epoch: int) -> float:
    """Rise with epoch and gamma; plain runs are below all others."""
    return (config.attention.gamma if config.attention else 0.0) * (epoch + 1) / 100


class FakeImageStore:
    """A store that counts the images in it, and the most at once."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.most = 0

    def put(self, key: str, splits: Any) -> Any:
        self.keys.add(key)
        self.most = max(self.most, len(self.keys))
        return splits

    def ensure_available(self, key: str) -> None:
        assert key in self.keys

    def drop(self, key: str) -> None:
        self.keys.remove(key)


class FakeTuner:
    """Runs a search over curves, resuming what its folder has of an earlier one.

    Args:
        space: the space.
        folder: the run folder.
        curve: what each trial would measure.
        concurrent: trials that take turns, one epoch each.
        trunks: folder of the snapshots; in the run folder if None.
        warm_start: points that a new study tries first.
        searches: whether trials are asked for; else what was found is confirmed.
        test_score: test accuracies of a run; None: the epochs that it has done.
        second: what each trial would measure as its worst recall; None: as `curve`.
        quick_flush_s: seconds below which the tables are replaced at the end of every trial, on a busy machine too.
        callbacks: of a user.
        together: whether short epochs are reported together, as by real trials; else each by itself.
    """

    def __init__(
        self,
        space: SearchSpace,
        folder: Path,
        curve: Curve,
        concurrent: int = 2,
        trunks: Path | None = None,
        warm_start: Sequence[Mapping[str, Scalar]] = (),
        searches: bool = True,
        test_score: Callable[[RunConfig], float] | None = None,
        second: Curve | None = None,
        quick_flush_s: float = math.inf,
        callbacks: Sequence[Callback] = (),
        together: bool = False,
    ) -> None:
        self._test_score, self._second, self._together = test_score, second, together
        folder.mkdir(parents=True, exist_ok=True)
        SearchRequest(space, folder).begin()
        self.space, self.curve, self.concurrent = space, curve, concurrent
        self.fingerprints = 0
        self.store = FakeImageStore()
        self.read: list[RunConfig] = []
        """Configs whose images were read."""
        self.tested: list[str] = []
        """Trials that read the test set."""
        images = ScenarioImages(self.store, self._splits, self._fingerprint)
        self.plans = plan_scenarios(space)
        for name, plan in self.plans.items():
            images.splits_of(name, plan.control)
        at = space if trunks is None else space.model_copy(update={"trunks": str(trunks)})
        points = {scenario.name: warm_start for scenario in space.scenario_list}
        request = SearchRequest(at, folder, warm_start=points, searches=searches)
        console = Console(file=io.StringIO())
        self.search = assemble_search(request, self.plans, images, concurrent, console, callbacks)
        self.confirmations = self.search.confirmations
        self.recorder, self.stop = self.search.recorder, self.search.stop
        self.recorder.tables.quick_flush_s = quick_flush_s
        self.searcher, self.scheduler = self.search.searcher, self.search.scheduler
        self.callbacks = self.search.callbacks[:-1]  # the last one draws
        self.notes: list[str] = []
        self.most_live = 0

    def run(
        self,
        stop_after_results: int | None = None,
        fails: Mapping[str, int] | None = None,
        loses: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        """Run to the end, or stop after some results and leave everything as a kill would.

        Args:
            stop_after_results: number of results after which it stops.
            fails: trial -> results after which it raises.
            loses: trial -> results, since its last start, after which its process is lost, one for each start.
        """
        for _ in itertools.islice(self.results(fails or {}, loses or {}), stop_after_results):
            pass
        for tracker in self.search.trackers:
            tracker.thread.drain()

    def results(self, fails: Mapping[str, int], loses: Mapping[str, Sequence[int]] | None = None) -> Iterator[str]:
        """Run to the end, yielding the trial of each result."""
        names = (f"ray{number}" for number in itertools.count())
        lost = {trial_id: list(moments) for trial_id, moments in (loses or {}).items()}
        live: list[SimpleNamespace] = []
        while not self.stop.stop_all():
            while len(live) < self.concurrent and (trial := self._next(next(names))):
                live.append(trial)
            self.most_live = max(self.most_live, len(live))
            if not live:
                return
            for trial in list(live):
                trial_id = task_of(trial.config).trial_id
                if trial.results == fails.get(trial_id):
                    has_ended = self._fail(trial, 'Traceback (most recent call last):\n  File "x"\nBoom')
                elif lost.get(trial_id, [])[:1] == [trial.results]:
                    lost[trial_id].pop(0)
                    has_ended = self._fail(trial, LOST)
                else:
                    has_ended = self._advance(trial)
                if has_ended:
                    live.remove(trial)
                trial.results += 1
                yield trial_id

    def end_early(self) -> None:
        """End the session as a driver does that is asked to stop while trials run."""
        suspend_running(self.search)

    def _splits(self, config: RunConfig) -> Any:
        self.read.append(config)
        return SimpleNamespace(class_counts=(5,) * 10, hash=f"{config.imbalance.type} {config.seeds.data}")

    def _test(self, trial_id: str, trainer: Any, run: TrialRun) -> FinalMetrics:
        self.tested.append(trial_id)
        if self._test_score is None:
            return fake_test(trainer, run)
        value = self._test_score(trainer.config)
        tested = TestMetrics(1.0, value, value, (value,) * 10, value, value, 1 - value)
        return FinalMetrics(tested, tested)

    def _fingerprint(self, _splits: Any, _weights: str | None) -> str:
        self.fingerprints += 1
        return "fake" * 2

    def _next(self, ray_id: str) -> SimpleNamespace | None:
        suggestion = self.searcher.suggest(ray_id)
        if suggestion is None or isinstance(suggestion, str):
            assert suggestion in (None, Searcher.FINISHED)
            return None
        task = task_of(suggestion)
        trainer: Any = FakeTrainer(task.config, self.curve, self._second)
        run = TrialRun(trainer, task.trunk, task.checkpoints, task.origin, task.tested_metric)
        read_test = functools.partial(self._test, task.trial_id) if task.reads_test else None
        trial = SimpleNamespace(
            trial_id=ray_id,
            config=suggestion,
            epochs=trainer.config.epochs,
            reports=reports_of(trainer, run, read_test, task.report_at if self._together else None),
            results=0,
            last_result=None,
            error_file=self.recorder.folder / "boom",
        )
        self.scheduler.on_trial_add(None, trial)
        return trial

    def _fail(self, trial: SimpleNamespace, error: str) -> bool:
        trial.error_file.write_text(f"Failure # 1 (occurred at 2026-01-01_00-00-00)\n{error}\n\n")
        self.searcher.on_trial_complete(trial.trial_id, None, error=True)
        for callback in self.callbacks:
            callback.on_trial_error(trial=trial)
        return True

    def _advance(self, trial: SimpleNamespace) -> bool:
        """Take one result of a trial; return whether the trial has ended."""
        report: TrialReport = next(trial.reports)
        result = {**report.to_result(), "training_iteration": 1, "pid": 1}
        self.notes += report.notes
        decision = self.scheduler.on_trial_result(None, trial, result)
        if decision == TrialScheduler.CONTINUE:
            self.searcher.on_trial_result(trial.trial_id, result)
        for callback in self.callbacks:
            callback.on_trial_result(trial=trial, result=result)
        trial.last_result = result
        ended = report.epoch is None or report.epoch.record.epoch == trial.epochs - 1
        if not ended and decision == TrialScheduler.CONTINUE:
            return False
        self.searcher.on_trial_complete(trial.trial_id, result)
        for callback in self.callbacks:
            callback.on_trial_complete(trial=trial)
        return True
