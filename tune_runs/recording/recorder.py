"""The records of a running search: what its trials report, kept in memory and on disk, and their ranking."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from absgd import records
from absgd.config.locations import Moves
from absgd.errors import UserError
from absgd.records import Phase, SearchObjective, Status
from tune_runs.recording.epoch_log import EpochLog, EpochRow, is_same_epoch
from tune_runs.recording.pair_scores import PairScore, Ranking, RunOnPair
from tune_runs.recording.run_tables import RunTables
from tune_runs.recording.scenario_images import ScenarioImages
from tune_runs.recording.trial_record import EpochSummary, TrialRecord, has_chosen
from tune_runs.stopping.stopping_rules import Never
from tune_runs.trial.trial_plan import TrialPlan, images_key
from tune_runs.trial.trial_reports import ReportedEpoch, TrialReport


class Recorder:
    """Records of all trials of a run and rows of all their epochs, in memory and on disk.

    Trials and epochs keep the order in which they arrived; `tables` writes both.

    The first report of a trial that forks from a snapshot holds the epochs before the fork; they become rows of the
    trial, marked `inherited`.

    Args:
        folder: the run folder.
        objective: the metrics of the search.
        images: the splits of each scenario and data seed, asked for when a trial begins.
    """

    def __init__(self, folder: Path, objective: SearchObjective, images: ScenarioImages) -> None:
        self.folder = folder
        self.objective = objective
        self._images = images
        self.trials: dict[str, TrialRecord] = {}
        self._of_scenario: dict[str, list[TrialRecord]] = defaultdict(list)
        self._controls: dict[tuple[str, int | None], list[TrialRecord]] = defaultdict(list)
        """Scenario and seed pair -> plain controls."""
        self._epoch_log = EpochLog()
        self.tables = RunTables(folder, self.trials, self._epoch_log)
        self._rankings: dict[str, Ranking] = {}
        self.epochs_reached: dict[str, int] = {}
        """Epochs that each trial of this session has reached since it last began; the records may hold more."""
        self._clock: dict[str, float] = {}

    @property
    def metric(self) -> str:
        """The metric of tables, claims and confirmations: in a Pareto search the first."""
        return self.objective.first

    @property
    def epochs(self) -> dict[str, Sequence[EpochRow]]:
        """The epochs of each trial, in order."""
        return self._epoch_log.by_trial

    def load(
        self, retried: Collection[Phase] = ("control", "replicate", "tuning", "confirm"), moves: Moves | None = None
    ) -> None:
        """Take over what earlier sessions recorded; trials that had not finished become `interrupted`.

        So do failed runs that are tried again: controls, since trials fork from them; runs of a confirmation, which
        perhaps lack only the test set; and runs on further pairs, with their controls, and of tuned controls, unless
        the choice between them is made.

        Args:
            retried: phases whose failed runs are tried again in this session.
            moves: folders that have moved since.

        Raises:
            UserError: if a table is damaged, or of another version, or was made from other images.
        """
        for row in self.tables.trial_rows():
            trial = TrialRecord.from_row(records.moved_row(row, moves or {}), self.folder.name)
            self._check_images(trial)
            self._enter(trial)
        for table in self.tables.epoch_tables():
            self._epoch_log.load(table)
        chosen = {name for name, trials in self._of_scenario.items() if has_chosen(trials)}
        for trial in self.trials.values():
            is_whole = len(self.epochs[trial.trial_id]) == trial.epochs_done
            is_over = trial.scenario in chosen and (
                trial.phase in ("replicate", "tuning") or _is_further_control(trial)
            )
            is_tried_again = trial.phase in retried and trial.status == "failed" and not is_over
            if not trial.is_finished or is_tried_again or not is_whole:
                trial.status, trial.error = "interrupted", None
            self.tables.mark_changed(trial.trial_id)

    def _enter(self, trial: TrialRecord) -> None:
        self.trials[trial.trial_id] = trial
        self._of_scenario[trial.scenario].append(trial)
        if trial.phase == "control":
            self._controls[trial.scenario, trial.pair].append(trial)
        self.epochs[trial.trial_id] = []

    def earlier_epochs(self) -> Iterator[EpochRow]:
        """Yield the epochs recorded so far in the order in which they arrived: trial, number, metrics, `inherited`."""
        return self._epoch_log.arrivals(("trial_id", "epoch", records.INHERITED, *self.objective.metrics))

    def _check_images(self, trial: TrialRecord) -> None:
        splits = self._images.held.get(images_key(trial.scenario, trial.settings["seed_data"]))
        if splits is not None and trial.split_hash != splits.hash:
            raise UserError(
                f"expected the images that {trial.trial_id} was trained on, got others: "
                f"the data of scenario `{trial.scenario}` has changed since ({self.folder / records.TRIALS_FILE})"
            )

    def start(self, plan: TrialPlan) -> None:
        """Record that a trial begins or continues.

        Raises:
            OSError: if the tables cannot be written.
        """
        if plan.trial_id not in self.trials:
            self._enter(self._new_trial(plan))
        trial = self.trials[plan.trial_id]
        if trial.is_finished:
            self._rankings.pop(trial.scenario, None)
        trial.stage_one_key = plan.stage_one_key  # another one, where its weights have moved: a trunk is found by it
        trial.status, trial.error = "running", None
        self.epochs_reached[plan.trial_id] = 0
        self._clock[plan.trial_id] = time.monotonic() - (trial.wall_s or 0.0)
        self._refresh(trial)
        self.tables.flush_if_due()

    def _new_trial(self, plan: TrialPlan) -> TrialRecord:
        splits = self._images.splits_of(plan.scenario, plan.config)
        return TrialRecord(
            run=self.folder.name,
            scenario=plan.scenario,
            trial_id=plan.trial_id,
            number=plan.number,
            phase=plan.phase,
            candidate=plan.candidate,
            pair=plan.pair,
            settings=records.config_columns(plan.config),
            class_counts=splits.class_counts,
            split_hash=splits.hash,
            stage_one_key=plan.stage_one_key,
            started_at=datetime.now(UTC),
        )

    def restart(self, trial_id: str) -> None:
        """Record that a trial lost its process and continues in another one."""
        self.trials[trial_id].restarts += 1
        self.epochs_reached[trial_id] = 0

    def add(self, trial_id: str, report: TrialReport) -> None:
        """Record the epochs of a report: the one that the trial trained, and in a first report those before it.

        An epoch that is known already, because a continued trial reports it again, counts once.

        Args:
            trial_id: id of the trial.
            report: report of the trial.

        Raises:
            OSError: if the tables cannot be written.
        """
        trial, known = self.trials[trial_id], self._epoch_log.unpacked(trial_id)
        for epoch in report.epochs:
            row = self._epoch_row(trial, epoch)
            if row["epoch"] < len(known) and not is_same_epoch(row, known[row["epoch"]]):
                self._epoch_log.forget_from(trial_id, row["epoch"])
            if row["epoch"] >= len(known):
                assert row["epoch"] == len(known), f"{trial_id} reports its epochs in order"
                self._epoch_log.keep(row)
            self.epochs_reached[trial_id] = row["epoch"] + 1
        if report.test is not None:
            trial.test = {**trial.test, **report.test.columns}
        self._refresh(trial)
        self.tables.flush_if_due()

    def finish(self, trial_id: str, status: Status, error: str | None = None) -> None:
        """Record that a trial ended.

        Raises:
            OSError: if it cannot be written.
        """
        trial = self.trials[trial_id]
        self._refresh(trial)
        trial.status, trial.error = status, error
        self._rank(trial)
        if trial.phase != "control":  # whose rows forks share
            self._epoch_log.pack(trial_id)
        self.tables.write_end()

    def fail(self, trial_id: str, traceback: str, error: str) -> None:
        """Record that a trial raised: the whole traceback becomes a file, one line of it the error of the trial.

        Raises:
            OSError: if it cannot be written.
        """
        path = records.error_file(self.folder, trial_id)
        path.parent.mkdir(exist_ok=True)
        records.write_atomically(path, traceback or error)
        self.finish(trial_id, "failed", error)

    def finish_running(self, status: Status, error: str | None = None) -> None:
        """Give all running trials a status, since the session ends early.

        Raises:
            OSError: if it cannot be written.
        """
        for trial in self.trials.values():
            if trial.status == "running":
                trial.status, trial.error = status, error
                self.tables.mark_changed(trial.trial_id)
        self._rankings.clear()
        self.tables.flush()

    def best(self, scenario: str) -> TrialRecord | None:
        """Return the first of `ranked`."""
        return next(iter(self.ranked(scenario)), None)

    def ranked(self, scenario: str) -> list[TrialRecord]:
        """Return the completed search trials, the best first; `tune_runs.recording.pair_scores` has the order."""
        return [score.trial for score in self.scores(scenario)]

    def scores(self, scenario: str, before_pair: int | None = None) -> list[PairScore]:
        """Return the scores of the completed search trials over seed pairs, the best first.

        Args:
            scenario: name of the scenario.
            before_pair: only what the pairs before this one say; None: all pairs.
        """
        every = self.trials_of(scenario)
        replicated = (one.pair for one in every if one.phase == "replicate")  # later controls change no earlier score
        if before_pair is not None and any(pair is not None and pair >= before_pair for pair in replicated):
            runs = [one for one in every if one.pair is not None and one.pair < before_pair]
            return Ranking(map(self._on_pair, runs), self.objective).scores
        if scenario not in self._rankings:
            runs = [one for one in every if one.pair is not None]
            self._rankings[scenario] = Ranking(map(self._on_pair, runs), self.objective)
        return self._rankings[scenario].scores

    def _rank(self, trial: TrialRecord) -> None:
        """Bring the ranking of a scenario up to date with a run that has ended."""
        ranking = self._rankings.get(trial.scenario)
        if ranking and trial.pair is not None and not ranking.takes(self._on_pair(trial)):
            del self._rankings[trial.scenario]

    def _on_pair(self, trial: TrialRecord) -> RunOnPair:
        assert trial.pair is not None, "runs of an earlier version that do not say their pair are not ranked"
        return RunOnPair(trial, trial.pair, self._epoch_log.last(trial.trial_id, "val_loss"))

    @property
    def epochs_trained(self) -> int:
        """Epochs trained by all runs of the search."""
        return sum(trial.summary.epochs_trained for trial in self.trials.values())

    def control(self, scenario: str, stage_one_key: str | None = None, pair: int = 0) -> TrialRecord | None:
        """Return the scenario's plain control on a pair, or that of a given stage one; None before it has begun."""
        if stage_one_key is None:
            return self.trials.get(records.control_id(scenario, pair=pair))
        return next((trial for trial in self.controls(scenario, pair) if trial.stage_one_key == stage_one_key), None)

    def trials_of(self, scenario: str) -> list[TrialRecord]:
        """Return all trials of a scenario, controls and confirmations among them."""
        return list(self._of_scenario.get(scenario, ()))

    def controls(self, scenario: str, pair: int = 0) -> list[TrialRecord]:
        """Return the plain controls of a scenario on a seed pair, one for each stage one."""
        return list(self._controls.get((scenario, pair), ()))

    def control_value(self, metric: str, scenario: str, epoch: int) -> float | Never | None:
        """Return a metric of the scenario's own plain control at an epoch; None when it is not known yet."""
        control = self.control(scenario)
        if control is None:
            return None
        epochs = self.epochs[control.trial_id]
        if epoch < len(epochs):
            value: float = epochs[epoch][metric]
            return value
        return None if control.status in ("running", "interrupted") else Never.COMES

    def finished(self, scenario: str) -> int:
        """Return the number of search trials of a scenario that need no further training."""
        return sum(trial.phase == "search" and trial.is_finished for trial in self.trials_of(scenario))

    def _epoch_row(self, trial: TrialRecord, epoch: ReportedEpoch) -> EpochRow:
        """Return the row of an epoch of a trial."""
        columns = dict(vars(epoch.record))
        if epoch.is_inherited:
            columns = self._control_columns(trial, columns)
        keys = {"run": self.folder.name, "scenario": trial.scenario, "trial_id": trial.trial_id}
        return {**columns, **keys, records.INHERITED: epoch.is_inherited}

    def _control_columns(self, trial: TrialRecord, columns: EpochRow) -> EpochRow:
        """Return the control's own values where they are equal, so that lists over many classes are held once."""
        control = self.control(trial.scenario, trial.stage_one_key, trial.pair or 0)
        epochs = self.epochs[control.trial_id] if control else []
        known = epochs[columns["epoch"]] if columns["epoch"] < len(epochs) else {}
        theirs = {name: known.get(name) for name in columns}
        return theirs if theirs == columns else columns

    def _refresh(self, trial: TrialRecord) -> None:
        self.tables.mark_changed(trial.trial_id)
        rows: list[Mapping[str, Any]] = list(self.epochs[trial.trial_id])
        trial.summary = EpochSummary(**records.summary_columns(rows, self.metric), **self.objective.columns(rows))
        trial.wall_s = time.monotonic() - self._clock[trial.trial_id]


def _is_further_control(trial: TrialRecord) -> bool:
    return trial.phase == "control" and bool(trial.pair)
