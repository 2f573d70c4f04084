"""The queue of planned runs on seed pairs: which of them starts next, which have ended, which images they need."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from tune_runs.recording.recorder import Recorder
from tune_runs.recording.scenario_images import ScenarioImages
from tune_runs.seed_pairs.pair_runs import PairRun
from tune_runs.trial.trial_plan import TrialPlan
from tune_runs.trunks.trunk_use import TrunkUse


class PairRunQueue:
    """The planned runs of one scenario on seed pairs; each starts once its trunk has passed its fork.

    The queue keeps no state of its own but the runs that lost their process: everything else is in the records, so a
    resumed session goes on where the one before ended. Its owner derives the plan from the records and sets `runs`
    whenever a run has ended; a run that is no longer planned does not start, but one that trains is not stopped.

        queue = PairRunQueue(scenario.name, recorder, images, trunks)
        queue.runs = with_trunks([PairRun(...), ...])        # from the records, at the start and after each end
        plan = queue.next_run()                              # the searcher asks; None: nothing can start now
        queue.requeue(plan)                                  # where its process was lost
        queue.run_ended(trial_id)                            # releases images

    Args:
        scenario: name of the scenario.
        recorder: has the records of all runs.
        images: gives the splits of each data seed, read when first needed.
        trunks: folder of the snapshots that runs fork from.
    """

    def __init__(self, scenario: str, recorder: Recorder, images: ScenarioImages, trunks: Path) -> None:
        self._scenario, self._recorder, self._images, self._trunks = scenario, recorder, images, trunks
        self._runs: tuple[PairRun, ...] = ()
        self._lost: list[TrialPlan] = []
        self._to_retrain: set[str] = set()
        """Runs that have ended and train again."""
        self._seeds: set[int] = set()
        """Data seeds of all runs that were ever planned in this session."""

    @property
    def runs(self) -> tuple[PairRun, ...]:
        """Runs that may start or have started, in the order in which they start."""
        return self._runs

    @runs.setter
    def runs(self, runs: Sequence[PairRun]) -> None:
        self._runs = tuple(runs)
        self._seeds.update(run.config.seeds.data for run in runs)

    @property
    def is_done(self) -> bool:
        """Whether every planned run has ended."""
        return not self._lost and not self._to_retrain and not any(map(self.is_open, self._runs))

    @property
    def num_ended(self) -> int:
        """Planned runs that have ended."""
        return sum(not self.is_open(run) for run in self._runs)

    def is_open(self, run: PairRun) -> bool:
        """Whether a run has not ended: it waits, trains, or must continue."""
        trial = self._recorder.trials.get(run.trial_id)
        return trial is None or not trial.is_finished

    def epochs_left(self, runs: Iterable[PairRun] | None = None) -> int:
        """Return the epochs still to train of these runs, or of the planned ones, unless a snapshot is missing."""
        every = self._runs if runs is None else runs
        return sum(run.config.epochs - self._epochs_done(run) for run in every if self.is_open(run))

    def requeue(self, plan: TrialPlan) -> None:
        """Start a run again whose process was lost."""
        self._lost.append(plan)

    def retrain(self, trial_id: str) -> None:
        """Train a run again that has ended: its snapshots are gone, and runs that fork from them wait for it."""
        self._to_retrain.add(trial_id)

    def next_run(self) -> TrialPlan | None:
        """Return a run that can start now, recorded as started; None when there is none.

        Raises:
            UserError: if the data cannot be read.
            OSError: if the tables cannot be written.
        """
        if self._lost:
            return self._lost.pop(0)
        run = next((run for run in self._runs if self._waits(run) and self._has_stage_one(run)), None)
        if run is None:
            return None
        plan = self._trial_plan(run)
        self._to_retrain.discard(run.trial_id)
        self._recorder.start(plan)
        return plan

    def run_ended(self, trial_id: str, needed: Collection[int] = ()) -> None:
        """Release the images of data seeds that no open run needs, after one of the planned runs has ended.

        Images that are needed again later are read again.

        Args:
            trial_id: the run that has ended.
            needed: data seeds that runs which are not planned yet will need.
        """
        if not any(run.trial_id == trial_id for run in self._runs):
            return
        in_use = {run.config.seeds.data for run in self._runs if self.is_open(run)}
        for seed in self._seeds - in_use - set(needed):
            self._images.release(self._scenario, seed)

    def _epochs_done(self, run: PairRun) -> int:
        return max(run.fork_at, len(self._recorder.epochs.get(run.trial_id, ())))

    def _waits(self, run: PairRun) -> bool:
        trial = self._recorder.trials.get(run.trial_id)
        return trial is None or trial.status == "interrupted" or run.trial_id in self._to_retrain

    def _has_stage_one(self, run: PairRun) -> bool:
        """Whether a run need not wait: its trunk has passed the fork, or never will."""
        if run.trunk is None:
            return True
        trunk = self._recorder.trials.get(run.trunk)
        if trunk is None or trunk.status == "interrupted" or run.trunk in self._to_retrain:
            return False
        return trunk.status != "running" or self._recorder.epochs_reached[run.trunk] >= run.fork_at

    def _trial_plan(self, run: PairRun) -> TrialPlan:
        return TrialPlan(
            trial_id=run.trial_id,
            scenario=self._scenario,
            phase=run.phase,
            number=run.number,
            config=run.config,
            trunk=self.trunk_use(run),
            candidate=run.candidate,
            pair=run.pair,
        )

    def trunk_use(self, run: PairRun) -> TrunkUse | None:
        """Return how a run uses the snapshots of a trunk; None where it does not."""
        if run.trunk_key is None:
            return None
        data = self._images.fingerprint(self._scenario, run.config)
        return TrunkUse(str(self._trunks), run.trunk_key, data, run.fork_at, run.save_at)
