"""The Optuna study of a scenario: which point is tried next, and what trials came to.

The studies are the truth of the search. Ray's own OptunaSearch is not used: it tells trials that were stopped early as
COMPLETE and lives in a pickle; asking and telling Optuna directly is shorter and can be rebuilt from the journal alone.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from absgd import records
from absgd.errors import UserError
from absgd.randomness import derived_seed
from absgd.records import Status
from tune_runs.draws import optuna_params, points_inside, suggest
from tune_runs.early_stopping import early_stopping
from tune_runs.plan import TrialPlan
from tune_runs.recorder import FINISHED, Recorder
from tune_runs.space import Scenario, SearchSpace

STUDY_FILE = "study.journal"
STARTUP_TRIALS = 10
"""Random trials before TPE's model is used; fewer in a small search."""


class ScenarioStudy:
    """The Optuna study of one scenario, in a journal inside the run folder.

    Args:
        space: the search space.
        scenario: the scenario it is for.
        folder: where `study.journal` lies; created when absent.

    Raises:
        UserError: if the journal is damaged.
    """

    def __init__(self, space: SearchSpace, scenario: Scenario, folder: Path) -> None:
        self.space, self.scenario = space, scenario
        folder.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.study = _open_study(folder / STUDY_FILE, scenario.name, records.METRICS[space.metric])
        self._stopping = early_stopping(space)
        self._live: dict[str, optuna.trial.Trial] = {}
        self._first_epochs: dict[str, int] = {}
        """Epoch of each trial from which its steps count."""
        self._reported: dict[str, int] = {}

    def prepare(self, recorder: Recorder) -> None:
        """Queue what is to be tried first: known-good points in a new study, unfinished trials in an old one."""
        trials = self.study.get_trials(deepcopy=False)
        if not trials and recorder.finished(self.scenario.name):
            raise UserError(f"the study of `{self.scenario.name}` is gone, but its trials are recorded (--resume)")
        if not trials:
            for point in points_inside(self.space).inside:
                self.study.enqueue_trial(optuna_params(self.space, point))
        for trial in trials:
            row = recorder.trials.get(_trial_id(self.scenario, trial.number))
            recorded = row is not None and row["status"] in FINISHED
            if trial.state == TrialState.RUNNING:
                self.study.tell(trial.number, state=TrialState.FAIL)
            if trial.state != TrialState.WAITING and not recorded and not _was_replaced(trials, trial):
                self.study.enqueue_trial(trial.params, user_attrs={"replaces": trial.number})

    def ask(self) -> TrialPlan:
        """The next trial; its sampler is seeded by the trial's number, so that a resumed search asks the same."""
        asked = self.study.get_trials(deepcopy=False, states=_ASKED)
        number = sum("replaces" not in trial.user_attrs for trial in asked)
        seed = derived_seed(self.space.seed, f"search/{self.scenario.name}", number) % 2**32
        self.study.sampler = _sampler(self.space, seed)
        trial = self.study.ask()
        plan = TrialPlan(
            trial_id=_trial_id(self.scenario, trial.number),
            scenario=self.scenario.name,
            phase="search",
            number=trial.number,
            config=suggest(self.space, self.scenario, trial),
        )
        self._live[plan.trial_id] = trial
        switch_epoch = plan.config.attention.switch_epoch if plan.config.attention else None
        from_switch = self._stopping.unit != "epochs"
        self._first_epochs[plan.trial_id] = self._stopping.start_of(switch_epoch) if from_switch else 0
        return plan

    def report(self, trial_id: str, epoch: int, value: float) -> None:
        """An intermediate value, for dashboards and for TPE's use of pruned trials; the same epoch counts once.

        TPE ranks pruned trials by how far they came first, so where rungs count from a trial's own switch, steps do
        too; epochs of stage one, which a trial trains where it finds no snapshot, are not its own.
        """
        step = epoch - self._first_epochs[trial_id]
        if step >= 0 and epoch > self._reported.get(trial_id, -1):
            self._live[trial_id].report(value, step=step)
            self._reported[trial_id] = epoch

    def tell(self, trial_id: str, status: Status, value: float | None) -> None:
        """How a trial ended: a stopped or diverged one is PRUNED, never COMPLETE."""
        trial = self._live.pop(trial_id)
        trial.set_user_attr("status", status)
        if status == "completed":
            self.study.tell(trial, value)
        else:
            is_lost = status in ("failed", "interrupted")
            self.study.tell(trial, state=TrialState.FAIL if is_lost else TrialState.PRUNED)

    def give_up(self) -> None:
        """End what still runs, without a value."""
        for trial_id in list(self._live):
            self.tell(trial_id, "interrupted", None)


def _open_study(path: Path, name: str, better: Literal["max", "min"]) -> optuna.Study:
    _drop_unfinished_line(path)
    try:
        return optuna.create_study(
            study_name=name,
            storage=JournalStorage(JournalFileBackend(str(path))),
            direction="maximize" if better == "max" else "minimize",
            load_if_exists=True,
        )
    except (ValueError, KeyError) as error:
        raise UserError(f"cannot read the study {path}: damaged: {error} (--resume)") from None


def _drop_unfinished_line(journal: Path) -> None:
    """Cut off what a kill or a full disk left of a last line, before anything is appended to it."""
    content = journal.read_bytes() if journal.exists() else b""
    if content and not content.endswith(b"\n"):
        records.write_atomically(journal, content[: content.rfind(b"\n") + 1])


def _sampler(space: SearchSpace, seed: int) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return optuna.samplers.TPESampler(
            multivariate=True,
            group=True,
            constant_liar=True,
            n_startup_trials=min(STARTUP_TRIALS, max(4, space.num_trials // 4)),
            seed=seed,
        )


_ASKED = (TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def _trial_id(scenario: Scenario, number: int) -> str:
    return f"{scenario.name}-{number:04d}"


def _was_replaced(trials: list[optuna.trial.FrozenTrial], trial: optuna.trial.FrozenTrial) -> bool:
    return any(other.user_attrs.get("replaces") == trial.number for other in trials)
