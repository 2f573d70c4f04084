"""What is tried next: one Optuna study per scenario behind one Ray searcher.

The studies are the truth of the search. Ray's own OptunaSearch is not used: it tells trials that were stopped early as
COMPLETE and lives in a pickle; asking and telling Optuna directly is shorter and can be rebuilt from the journal alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from ray.tune.search import Searcher

from absgd import records
from absgd.errors import UserError
from absgd.randomness import derived_seed
from absgd.records import Status
from tune_runs.draws import optuna_params, points_inside, suggest
from tune_runs.early_stopping import early_stopping
from tune_runs.plan import TrialPlan, fork_epoch, trial_config
from tune_runs.recorder import DIVERGED, FINISHED, Recorder, end_status
from tune_runs.space import Scenario, SearchSpace
from tune_runs.trunk_book import ControlStart, TrunkBook

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


class ScenarioSearch:
    """What one scenario trains next: its control, then trials, each once its stage one is there.

    Trials are asked for ahead of their stage one, as many as can train at once: the trunk reaches the switch of some
    before that of others.

    Args:
        study: asked for trials.
        book: of the scenario's trunks.
        recorder: knows how far each control is.
        num_ahead: trials that may wait for their stage one.
    """

    def __init__(self, study: ScenarioStudy, book: TrunkBook, recorder: Recorder, num_ahead: int) -> None:
        self.study, self._book, self._recorder, self._num_ahead = study, book, recorder, num_ahead
        self._name = study.scenario.name
        self._to_ask = max(0, study.space.num_trials - recorder.finished(self._name))
        self._waiting: list[TrialPlan] = []
        self.notes: list[str] = []
        """Sentences about snapshots that cannot be used, as they are found."""

    @property
    def num_left(self) -> int:
        """Search trials that have not begun."""
        return self._to_ask + len(self._waiting)

    def next_control(self) -> TrialPlan | None:
        """The scenario's own control, if it is still to be trained."""
        return None if self._recorder.control(self._name) else self._begin(self._book.own_control())

    def next_trial(self) -> TrialPlan | None:
        """A trial that can start now, or a control that one waits for; None when there is none."""
        while True:
            if plan := next(filter(self._has_stage_one, self._waiting), None):
                self._waiting.remove(plan)
                return self._start(plan)
            if plan := next((plan for plan in self._waiting if self._control_row(plan) is None), None):
                if control := self._begin(self._book.control_of(plan)):
                    return control
            elif self._to_ask and len(self._waiting) < self._num_ahead:
                self._waiting.append(self.study.ask())
                self._to_ask -= 1
            else:
                return None

    def _has_stage_one(self, plan: TrialPlan) -> bool:
        """Whether a trial need not wait: its control has passed the switch, or will not come to it."""
        if not self._book.forks(plan):
            return True
        row = self._control_row(plan)
        if row is None:
            return False
        return row["status"] != "running" or len(self._recorder.epochs[row["trial_id"]]) >= fork_epoch(plan.config)

    def _control_row(self, plan: TrialPlan) -> dict[str, Any] | None:
        return self._recorder.control(self._name, plan.stage_one_key)

    def _begin(self, start: ControlStart) -> TrialPlan | None:
        """A control begins; None when its snapshots have all of it."""
        self.notes += start.notes
        self._recorder.start(start.plan, start.rows)
        if not start.is_complete:
            return start.plan
        self._recorder.finish(start.plan.trial_id, "completed")
        return None

    def _start(self, plan: TrialPlan) -> TrialPlan:
        if self._book.forks(plan):
            plan = self._book.forked(plan)
        self._recorder.start(plan)
        return plan


class SearchByScenario(Searcher):  # type: ignore[misc]
    """All scenarios behind one Ray searcher; the scenario with the most trials left comes first.

    The plain controls of all scenarios go before everything else.

    Args:
        space: the search space.
        recorder: told of every trial that starts.
        folder: the run folder.
        books: the trunks of each scenario by its name.
        num_concurrent: trials that train at once.
    """

    def __init__(
        self,
        space: SearchSpace,
        recorder: Recorder,
        folder: Path,
        books: Mapping[str, TrunkBook],
        num_concurrent: int = 1,
    ) -> None:
        super().__init__()
        self.recorder = recorder
        self.plans: dict[str, TrialPlan] = {}
        """Plan of every trial of this session by Ray's trial id."""
        self._searches: dict[str, ScenarioSearch] = {}
        for scenario in space.scenario_list:
            study = ScenarioStudy(space, scenario, folder / "scenarios" / scenario.name)
            study.prepare(recorder)
            book = books[scenario.name]
            self._searches[scenario.name] = ScenarioSearch(study, book, recorder, num_concurrent)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to train."""
        return not any(
            search.num_left or self.recorder.control(name) is None for name, search in self._searches.items()
        )

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial as Ray's configuration; None when all wait for their stage one, FINISHED at the end."""
        searches = sorted(self._searches.values(), key=lambda search: -search.num_left)
        controls = (search.next_control() for search in self._searches.values())
        plan = next((plan for plan in controls if plan), None)
        plan = plan or next((plan for plan in (search.next_trial() for search in searches) if plan), None)
        if plan is None:
            return None if any(search.num_left for search in searches) else str(Searcher.FINISHED)
        self.plans[trial_id] = plan
        return trial_config(plan)

    def take_notes(self) -> list[str]:
        """What there is to say since the last call, as sentences."""
        notes = [note for search in self._searches.values() for note in search.notes]
        for search in self._searches.values():
            search.notes.clear()
        return notes

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Tell the study an epoch's value."""
        self._report(self.plans[trial_id], result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell the study how a trial ended, its last value first, which Ray leaves out for a stopped trial."""
        plan = self.plans[trial_id]
        if plan.phase != "search":
            return
        status = "failed" if error else end_status(result, plan.config.epochs)
        value = (result or {}).get(self.recorder.metric)
        if result:
            self._report(plan, result)
        self._searches[plan.scenario].study.tell(plan.trial_id, status, value)

    def close(self) -> None:
        """The search ends early: trials still running end as FAIL in their studies; a resume tries them again."""
        for search in self._searches.values():
            search.study.give_up()

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing: the journal has it all."""

    def set_search_properties(self, *_args: object, **_spec: object) -> bool:
        """The space has said everything."""
        return True

    def __getstate__(self) -> dict[str, Any]:
        """Ray pickles its searcher into a file that is never read back."""
        return {}

    def _report(self, plan: TrialPlan, result: dict[str, Any]) -> None:
        if plan.phase == "search" and DIVERGED not in result and self.recorder.metric in result:
            self._searches[plan.scenario].study.report(plan.trial_id, result["epoch"], result[self.recorder.metric])


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
