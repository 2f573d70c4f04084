"""The record of one trial: a row of trials.parquet as typed data."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from absgd import records
from absgd.config import RunConfig
from absgd.records import ParetoRule, Phase, Status

_TEST_COLUMNS = tuple(name for name in records.TRIAL_SCHEMA.names if name.startswith("test_"))


@dataclasses.dataclass(frozen=True)
class EpochSummary:
    """The columns of a trial that summarize its epochs."""

    metric: str | None = None
    metric_last: float | None = None
    """The metric at the last epoch."""
    metric_chosen: float | None = None
    """The metric at the epoch best on validation."""
    chosen_epoch: int | None = None
    second_metric: str | None = None
    """The second metric of a Pareto search; None in a search for one metric."""
    second_last: float | None = None
    """The second metric at the last epoch."""
    pareto_rule: ParetoRule | None = None
    epochs_trained: int = 0
    epochs_inherited: int = 0
    """Epochs that another run trained, up to the snapshot that the trial forks from."""

    @property
    def last_values(self) -> tuple[float, ...]:
        """The metric at the last epoch, in a Pareto search both; none before the first epoch."""
        return tuple(value for value in (self.metric_last, self.second_last) if value is not None)


@dataclasses.dataclass
class TrialRecord:
    """Everything recorded about one trial; the recorder changes it while the trial runs."""

    run: str
    """Name of the run folder."""
    scenario: str
    trial_id: str
    number: int | None
    """Number in the scenario's study; None for runs outside it."""
    phase: Phase
    candidate: str | None
    """Name of the confirmed configuration or control, or of the tuned control whose settings the run tries."""
    pair: int | None
    """Number of its seed pair; None where an earlier version did not say."""
    settings: Mapping[str, Any]
    """The columns of the trial's config; see `absgd.records.config_columns`."""
    class_counts: Sequence[int]
    split_hash: str
    stage_one_key: str
    started_at: datetime
    status: Status = "running"
    error: str | None = None
    restarts: int = 0
    wall_s: float | None = None
    summary: EpochSummary = dataclasses.field(default_factory=EpochSummary)
    test: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """The columns that were measured on the test set; none where it was not read."""

    @property
    def config(self) -> RunConfig:
        """The config that the trial trains.

        Raises:
            UserError: if the recorded settings are impossible.
        """
        return records.config_of(self.settings)

    @property
    def is_finished(self) -> bool:
        """Whether the trial needs no further training."""
        return self.status in records.FINISHED

    @property
    def epochs_done(self) -> int:
        """Epochs trained and inherited."""
        return self.summary.epochs_trained + self.summary.epochs_inherited

    def to_row(self) -> dict[str, Any]:
        """Return the columns of trials.parquet."""
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        settings, summary, test = own.pop("settings"), own.pop("summary"), own.pop("test")
        return {**own, **settings, **vars(summary), **test}

    @classmethod
    def from_row(cls, row: Mapping[str, Any], run: str) -> TrialRecord:
        """Return the record of a row of trials.parquet, as one of the run folder `run`."""
        summary = {field.name: row[field.name] for field in dataclasses.fields(EpochSummary)}
        counts = {name: summary[name] or 0 for name in ("epochs_trained", "epochs_inherited")}
        own = {
            field.name: row[field.name] for field in dataclasses.fields(cls) if field.name in records.TRIAL_SCHEMA.names
        }
        return cls(
            **{**own, "run": run},
            settings={column: row[column] for column in records.CONFIG_COLUMNS},
            summary=EpochSummary(**{**summary, **counts}),
            test={name: row[name] for name in _TEST_COLUMNS if row[name] is not None},
        )


def has_chosen(trials: Iterable[TrialRecord]) -> bool:
    """Whether the search of a scenario has chosen its configuration, by the runs of the confirmation among its trials.

    Runs of controls may begin before that. A run without a candidate was one of an earlier choice.
    """
    confirmed = (trial.candidate for trial in trials if trial.phase == "confirm")
    return any(candidate is None or records.is_best(candidate) for candidate in confirmed)
