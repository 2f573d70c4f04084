"""The progress of a search from the files of its run folder, whether it runs elsewhere or has ended."""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa

from absgd import records
from absgd.errors import UserError
from absgd.records import Verdict
from tune_runs.progress.progress_table import EndedOfAll, ScenarioProgress
from tune_runs.recording.pair_scores import Ranking, RunOnPair
from tune_runs.recording.trial_record import TrialRecord, has_chosen
from tune_runs.request.recorded_space import load_recorded, recovered
from tune_runs.seed_pairs.seed_halving import LEAST_SIZE, planned_sizes
from tune_runs.space.model import SearchSpace
from tune_runs.trunks.scenario_plan import ScenarioPlan, plan_scenarios
from tune_runs.tuned_controls.tuning_plan import tuning_plan

SearchState = Literal["running", "interrupted", "ended"]
_LOSSES = pa.schema([records.EPOCH_SCHEMA.field(name) for name in ("trial_id", "epoch", "val_loss")])


@dataclass(frozen=True)
class RecordedSearch:
    """A search as its run folder records it."""

    folder: Path
    space: SearchSpace
    state: SearchState
    """`running`: a process holds the lock of the folder; `ended`: none does, all runs have ended, and the report is
    written; else `interrupted`."""
    progress: tuple[ScenarioProgress, ...]
    verdicts: tuple[Verdict, ...]
    """Verdicts of a search that has ended; none where no report was written."""
    changed_at: float
    """When its tables last changed, in seconds since the epoch."""

    @property
    def num_done(self) -> int:
        """Search trials that have ended."""
        return sum(one.states.get(state, 0) for one in self.progress for state in records.FINISHED)

    @property
    def num_asked(self) -> int:
        """Search trials of all scenarios."""
        return sum(sum(one.states.values()) for one in self.progress)


def read_search(folder: Path, option: str = "--status") -> RecordedSearch:
    """Return what a run folder records.

    Raises:
        UserError: if it is none, or a file of it is damaged.
    """
    if not (folder / records.SPACE_FILE).is_file():
        raise UserError(f"expected a run folder with {records.SPACE_FILE}, found none in {folder} ({option})")
    space = recovered(load_recorded(folder), folder)
    is_running = is_locked(folder)
    rows = records.read_rows(folder / records.TRIALS_FILE, records.TRIAL_SCHEMA)
    trials = [TrialRecord.from_row(row, folder.name) for row in rows]
    losses = {row["trial_id"]: row["val_loss"] for row in records.read_rows(folder / records.EPOCHS_FILE, _LOSSES)}
    found = tuple(
        _scenario_progress(space, plan, [one for one in trials if one.scenario == name], losses, is_running)
        for name, plan in plan_scenarios(space).items()
    )
    is_whole = all(one.is_finished for one in trials) and not any(one.states.get("waiting") for one in found)
    has_report = (folder / records.REPORT_FILE).is_file()  # written at the end: further pairs may be still to come
    state: SearchState = "running" if is_running else "ended" if is_whole and has_report else "interrupted"
    files = [folder / name for name in (records.SPACE_FILE, records.TRIALS_FILE, records.EPOCHS_FILE)]
    changed_at = max(file.stat().st_mtime for file in files if file.exists())
    return RecordedSearch(folder, space, state, found, _verdicts(folder) if state == "ended" else (), changed_at)


def is_locked(folder: Path) -> bool:
    """Whether a process runs the search of a folder, on this machine or on another one that shares the disk.

    A shared lock is asked for and given back at once; where none is free, the search runs.
    """
    try:
        descriptor = os.open(folder / records.LOCK_FILE, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a disk that knows no locks
        return False
    finally:
        os.close(descriptor)
    return False


def _verdicts(folder: Path) -> tuple[Verdict, ...]:
    with suppress(OSError, ValueError):  # absent or damaged; the table says enough
        return tuple(records.read_verdicts(folder / records.VERDICTS_FILE))
    return ()


def _scenario_progress(
    space: SearchSpace,
    plan: ScenarioPlan,
    trials: Sequence[TrialRecord],
    losses: Mapping[str, float | None],
    is_running: bool,
) -> ScenarioProgress:
    """Return the progress of a scenario from its trials, and the last validation loss of each."""
    control = next((one for one in trials if one.trial_id == records.control_id(plan.name)), None)
    states = Counter[str](one.status for one in trials if one.phase == "search")
    lost = states.pop("interrupted", 0) + (0 if is_running else states.pop("running", 0))
    states["waiting"] = max(0, plan.num_trials - sum(states.values()) - lost) + lost
    on_pairs = (RunOnPair(one, one.pair, losses.get(one.trial_id)) for one in trials if one.pair is not None)
    scores = Ranking(on_pairs, space.objective).scores
    confirmed = _ended(trials, "confirm")
    return ScenarioProgress(
        scenario=plan.name,
        states=dict(states),
        best=scores[0].trial if scores else None,
        control=control,
        epochs_done=sum(one.summary.epochs_trained for one in trials),
        num_running=sum(one.status == "running" for one in trials) if is_running else 0,
        on_pairs=_on_pairs(space, plan, trials) if space.seeds.pairs > 1 else None,
        tuned=(_ended(trials, "tuning")[0], _num_tuned(space, plan, control)) if space.controls.tuned else None,
        confirmed=confirmed if any(one.phase == "confirm" for one in trials) else None,
    )


def _ended(trials: Sequence[TrialRecord], phase: records.Phase) -> EndedOfAll:
    """Return how many runs of a phase have ended; how many there will be is decided pair by pair."""
    return sum(one.phase == phase and one.is_finished for one in trials), None


def _on_pairs(space: SearchSpace, plan: ScenarioPlan, trials: Sequence[TrialRecord]) -> EndedOfAll | None:
    """Return the runs on further pairs that have ended, and the most: what is recorded of pairs before the last one."""
    sizes = planned_sizes(plan.num_trials, space.seeds.pairs, space.seeds.reduction_factor)
    begun = Counter(one.pair for one in trials if one.phase == "replicate")
    is_over = has_chosen(trials) or plan.num_trials < LEAST_SIZE
    last = max((pair for pair in begun if pair is not None), default=0)
    most = sum(
        begun[pair] if is_over or pair < last else max(begun[pair], min(size, plan.num_trials))
        for pair, size in enumerate(sizes, start=1)
    )
    return (_ended(trials, "replicate")[0], most) if most else None


def _num_tuned(space: SearchSpace, plan: ScenarioPlan, control: TrialRecord | None) -> int:
    """Return the planned runs of tuned controls, which depend on the class counts that the control records."""
    counts = control.class_counts if control else None
    return sum(run.phase == "tuning" for run in tuning_plan(space, plan, counts).runs)
