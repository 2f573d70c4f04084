"""The search over further seed pairs while it runs: the best trials on each, and the controls that they fork from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from absgd.config import RunConfig
from absgd.records import control_id, replicate_id
from tune_runs.recording.recorder import Recorder
from tune_runs.recording.scenario_images import ScenarioImages
from tune_runs.seed_pairs.halving_plan import HalvingPlan, PairStage, halving_plan
from tune_runs.seed_pairs.pair_run_queue import PairRunQueue
from tune_runs.seed_pairs.pair_runs import PairRun, on_pair, seed_pair, with_trunks
from tune_runs.seed_pairs.seed_halving import LEAST_SIZE, planned_sizes
from tune_runs.space.space_sections import SeedsConfig
from tune_runs.trial.trial_plan import TrialPlan
from tune_runs.trunks.identity import has_snapshots
from tune_runs.trunks.scenario_plan import ScenarioPlan
from tune_runs.trunks.trunk_use import fork_epoch

_NOT_PLANNED = HalvingPlan((), None, is_final=False)


class SearchOverPairs:
    """The further seed pairs of one scenario's search.

    `update_plan` makes the plan from the records. The plain control of the first further pair is planned from the
    start, so that it may train on processors that the trials leave idle, first while these wait for their stage one;
    under a budget once two of them have completed. Where trials share no stage one, it starts with those of its pair,
    since none waits for it. A control serves as the trunk of its pair; where it costs less than it saves, each further
    stage one has a control of its own. Runs here are never stopped early, and the study does not know them.

    Args:
        scenario: plan of the scenario.
        config: how many pairs, and how many trials go on to each.
        recorder: has the records of all runs.
        images: gives the splits of each data seed.
        trunks: folder of the snapshots that runs fork from.
        trials_are_done: whether the scenario's trials on pair 0 have ended.
        has_budget: whether a budget may end the search before the first further pair.
    """

    def __init__(
        self,
        scenario: ScenarioPlan,
        config: SeedsConfig,
        recorder: Recorder,
        images: ScenarioImages,
        trunks: Path,
        trials_are_done: Callable[[], bool],
        has_budget: bool,
    ) -> None:
        self._scenario, self._recorder, self._trials_are_done = scenario, recorder, trials_are_done
        self._expects_first = scenario.num_trials >= LEAST_SIZE and not has_budget
        self._sizes = planned_sizes(scenario.num_trials, config.pairs, config.reduction_factor)
        self._queue = PairRunQueue(scenario.name, recorder, images, trunks)
        self._plan = _NOT_PLANNED
        self._stage_runs: dict[tuple[int, tuple[str, ...]], tuple[PairRun, ...]] = {}
        """Pair, trials -> runs: the plan is made again whenever a run has ended, and mostly of the same stages."""
        self._ended_before = {trial.trial_id for trial in recorder.trials_of(scenario.name) if trial.is_finished}

    def update_plan(self) -> None:
        """Make the plan from the records: when a session starts, and whenever a run has ended."""
        is_done = self._trials_are_done()
        self._plan = halving_plan(
            self._recorder, self._scenario.name, self._sizes, is_done, self._has_ended, self._expects_first
        )
        runs = [run for stage in self._plan.stages for run in self._runs_of(stage)]
        if self._scenario.sharing.shares and (self._plan.next_pair is not None or self._has_lone_control):
            runs += with_trunks([self._control_on(self._plan.next_pair or 1)])
        self._queue.runs = runs
        self._retrain_lost_trunks()

    @property
    def is_done(self) -> bool:
        """Whether the trials on pair 0 and all runs on further pairs have ended, and no further pair follows."""
        return self._trials_are_done() and self._plan.is_final and self._queue.is_done

    @property
    def in_play(self) -> frozenset[str]:
        """Ids of the trials on pair 0 that may still be chosen, where further pairs decide between them."""
        if not self._sizes or (self._plan.is_final and self._queue.is_done):
            return frozenset()
        if self._plan.stages:
            return frozenset(trial.trial_id for trial in self._plan.stages[-1].trials)
        scores = self._recorder.scores(self._scenario.name, before_pair=1)
        return frozenset(score.trial.trial_id for score in scores[: self._sizes[0]])

    @property
    def num_ended(self) -> int:
        """Trials that have ended on a further pair."""
        return sum(not self._queue.is_open(run) for run in self._replicates)

    @property
    def num_most(self) -> int:
        """Most trials that are trained on further pairs, as far as is known."""
        planned = len(self._replicates)
        if self._plan.is_final or self._scenario.num_trials < LEAST_SIZE:
            return planned
        later = self._sizes[len(self._plan.stages) :]
        return planned + sum(min(size, self._scenario.num_trials) for size in later)

    @property
    def epochs_left(self) -> int:
        """Epochs still to train at most: of the runs planned so far, and of those that may follow them."""
        left = self._queue.epochs_left()
        if self._plan.is_final or self._scenario.num_trials < LEAST_SIZE:
            return left
        planned = {run.pair for run in self._queue.runs if run.phase == "control"}
        at_most = self._scenario.num_trials
        for pair, size in enumerate(self._sizes, start=1):
            if pair not in planned:
                left += self._scenario.control.epochs
            if pair > len(self._plan.stages):
                left += min(size, at_most) * self._epochs_of_fork
        return left

    def requeue(self, plan: TrialPlan) -> None:
        """Start a run again whose process was lost."""
        self._queue.requeue(plan)

    def next_run(self) -> TrialPlan | None:
        """Return a run that can start now, recorded as started; None when there is none.

        Raises:
            UserError: if the data cannot be read.
            OSError: if the tables cannot be written.
        """
        return self._queue.next_run()

    def run_ended(self, trial_id: str) -> None:
        """Release the images of pairs on which nothing is left to train."""
        pair = self._plan.next_pair
        needed = () if pair is None else (seed_pair(self._scenario.control.seeds, pair).data,)
        self._queue.run_ended(trial_id, needed)

    @property
    def _replicates(self) -> list[PairRun]:
        return [run for run in self._queue.runs if run.phase == "replicate"]

    @property
    def _has_lone_control(self) -> bool:
        """Whether the first further pair's control has begun and no trial follows yet: once begun, it is trained."""
        return not self._plan.stages and self._recorder.control(self._scenario.name, pair=1) is not None

    @property
    def _epochs_of_fork(self) -> int:
        sharing, epochs = self._scenario.sharing, self._scenario.control.epochs
        return epochs - sharing.earliest_start if sharing.shares else epochs

    def _has_ended(self, stage: PairStage) -> bool:
        return not any(map(self._queue.is_open, self._runs_of(stage)))

    def _runs_of(self, stage: PairStage) -> tuple[PairRun, ...]:
        key = stage.pair, tuple(trial.trial_id for trial in stage.trials)
        if key not in self._stage_runs:
            self._stage_runs[key] = self._planned_runs(stage)
        return self._stage_runs[key]

    def _planned_runs(self, stage: PairStage) -> tuple[PairRun, ...]:
        """Return the runs of a stage: the pair's plain control, the trials, and controls of further stage ones."""
        replicates = [
            PairRun(
                replicate_id(trial.trial_id, stage.pair),
                stage.pair,
                "replicate",
                on_pair(trial.config, stage.pair),
                number=trial.number,
            )
            for trial in stage.trials
        ]
        control = self._control_on(stage.pair)
        return with_trunks([control, *self._further_controls(control, replicates), *replicates])

    def _control_on(self, pair: int) -> PairRun:
        sharing = self._scenario.sharing
        due = sharing.fork_epochs if sharing.shares else ()
        config = on_pair(self._scenario.control, pair)
        return PairRun(control_id(self._scenario.name, pair=pair), pair, "control", config, save_at=due)

    def _further_controls(self, own: PairRun, replicates: list[PairRun]) -> list[PairRun]:
        """Return a control for each further stage one whose training once costs less than each trial's own.

        A control trains all epochs of a run, and saves each of its forks those of stage one.
        """
        by_key: dict[str, list[RunConfig]] = defaultdict(list)
        for run in replicates:
            if run.config.attention is not None:
                by_key[run.config.stage_one_key()].append(run.config)
        plain = {run.config.stage_one_key() for run in (own, *replicates) if run.config.attention is None}
        made = []
        for key, configs in by_key.items():
            if key not in plain and sum(map(fork_epoch, configs)) > own.config.epochs:
                trial_id = control_id(self._scenario.name, key, own.pair)
                made.append(PairRun(trial_id, own.pair, "control", configs[0].stage_one()))
        return made

    def _retrain_lost_trunks(self) -> None:
        """Train controls again whose snapshots are gone since an earlier session, where that saves epochs."""
        runs = {run.trial_id: run for run in self._queue.runs}
        for run in runs.values():
            if run.trial_id not in self._ended_before or not run.save_at:
                continue
            forks = [one for one in runs.values() if one.trunk == run.trial_id and self._queue.is_open(one)]
            if not forks:
                continue
            self._ended_before.discard(run.trial_id)  # looked at once
            if sum(one.fork_at for one in forks) > run.config.epochs and self._has_lost(run):
                self._queue.retrain(run.trial_id)

    def _has_lost(self, run: PairRun) -> bool:
        use = self._queue.trunk_use(run)
        assert use is not None, "a run that saves snapshots has a trunk"
        return not has_snapshots(use, run.config.device.type)
